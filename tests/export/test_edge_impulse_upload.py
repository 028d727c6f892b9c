"""The official SDK takes an export as it is: every clip arrives with its label, category and metadata."""

import http.server
import json
import re
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from kws_dendrite.data import TaskConfig, load_dataset
from kws_dendrite.data.edge_impulse_export import export_dataset


@pytest.fixture
def ingestion():
    """(endpoint, what arrived): Edge Impulse's ingestion service as documented, `POST /api/{category}/files`."""
    arrived = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            boundary = self.headers["Content-Type"].split("boundary=")[1].encode()
            [part] = body.split(b"--" + boundary)[1:-1]
            head, content = part.split(b"\r\n\r\n", 1)
            arrived.append(
                {
                    "category": urlsplit(self.path).path.split("/")[2],
                    "label": self.headers["x-label"],
                    "metadata": json.loads(self.headers["x-metadata"]),
                    "name": re.search(rb'filename="([^"]+)"', head)[1].decode(),
                    "content": content.removesuffix(b"\r\n"),
                }
            )
            answer = json.dumps({"files": [{"success": True, "sampleId": len(arrived), "projectId": 1}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", arrived
        server.shutdown()
        thread.join()


def test_the_sdk_uploads_every_clip_as_it_is_listed(tmp_path, ingestion, monkeypatch):
    import edgeimpulse
    from edgeimpulse.experimental.data import upload_exported_dataset

    for number, word in enumerate(("lamp on", "lamp-off", "_unknown_")):
        for take in range(12):
            samples = np.rint(4000 * np.sin(2 * np.pi * (200 + 90 * number + 7 * take) * np.arange(16000) / 16000))
            path = tmp_path / "in" / word / f"s{take % 4}-{take}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples.astype(np.int16), 16000, subtype="PCM_16")
    dataset = load_dataset(tmp_path / "in", TaskConfig(speaker_pattern=r"/(?P<speaker>s\d)-"))
    export_dataset(dataset, tmp_path / "out")
    endpoint, arrived = ingestion
    monkeypatch.setattr(edgeimpulse, "INGESTION_ENDPOINT", endpoint)
    monkeypatch.setattr(edgeimpulse, "API_KEY", "ei_0123456789abcdef")
    response = upload_exported_dataset(str(tmp_path / "out"))
    assert response.success and len(response.successes) == len(dataset.clips) == len(arrived)
    wanted = {
        entry["name"] + ".wav": entry for entry in json.loads((tmp_path / "out" / "info.labels").read_text())["files"]
    }
    for sample in arrived:
        entry = wanted.pop(sample["name"])
        assert sample["category"] == entry["category"]
        assert sample["label"] == entry["label"]["label"] == sample["name"].split(".")[0]
        assert sample["metadata"] == entry["metadata"]
        assert sample["content"] == (tmp_path / "out" / entry["path"]).read_bytes()
    assert wanted == {}
