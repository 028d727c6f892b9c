"""A local server that plays the documented endpoints of Edge Impulse's API, and what can go wrong with them."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "ei_0123456789abcdef0123456789abcdef"
PROJECT = 4711
ARCHIVE = b"PK\x03\x04 a library"
DEVICES = {
    "cortex-m4f-80mhz": "Cortex-M4F 80MHz",
    "cortex-m7-216mhz": "Cortex-M7 216MHz",
    "arduino-nano-33-ble": "Arduino Nano 33 BLE Sense (Cortex-M4F 64MHz)",
    "espressif-esp32": "Espressif ESP-EYE (ESP32 240MHz)",
}
MEMORY = {"tflite": (8995, 47359, 8819), "eon": (6272, 28800, 4608)}  # ram, rom, arenaSize


@dataclass
class Scene:
    """What the server does, and what it was asked.

    Attributes:
        status: path's end -> HTTP status that it answers with.
        drop: paths' ends on which the connection breaks off.
        fails: jobs that end without success: "upload", "profile", "build".
        endless: jobs that do not end.
        looks: how often a job is looked at before it is done.
        profile: changes to the profile of int8; None for no profile.
        refuses: a path's end that is answered with success: false.
        garbles: a path's end that is answered with a page for people.
        classes: width of the model's output.
        echo: put the key into every error, as a careless server might.
        archive: what a build is.
        requests: (method, path) in order.
        uploads: the multipart bodies of uploads.
        bodies: path's end -> JSON that was posted.
        cancelled: jobs.
    """

    status: dict[str, int] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    endless: tuple[str, ...] = ()
    looks: int = 2
    profile: dict | None = field(default_factory=dict)
    echo: bool = False
    refuses: str = ""
    garbles: str = ""
    classes: int = 4
    archive: bytes = ARCHIVE
    requests: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    bodies: dict[str, object] = field(default_factory=dict)
    cancelled: list[int] = field(default_factory=list)
    seen: dict[int, int] = field(default_factory=dict)
    jobs: dict[int, str] = field(default_factory=dict)
    device: str = ""

    def start(self, kind: str) -> dict:
        number = 100 + len(self.jobs)
        self.jobs[number] = kind
        return {"success": True, "id": number}

    def job(self, number: int) -> dict:
        kind = self.jobs[number]
        self.seen[number] = self.seen.get(number, 0) + 1
        job = {"id": number, "category": kind, "categoryKey": kind, "key": kind, "created": "2026-01-01T00:00:00.000Z",
               "jobNotificationUids": []}  # fmt: skip
        if kind not in self.endless and self.seen[number] >= self.looks:
            job |= {"finished": "2026-01-01T00:00:09.000Z", "finishedSuccessful": kind not in self.fails}
        return {"success": True, "job": job}

    def model(self) -> dict:
        memory = {name: dict(zip(("ram", "rom", "arenaSize"), sizes, strict=True)) for name, sizes in MEMORY.items()}
        profiled = {"variant": "int8", "device": self.device, "tfliteFileSizeBytes": 7824, "isSupportedOnMcu": True,
                    "memory": memory, "timePerInferenceMs": 3, "customMetrics": [], "hasPerformance": True}  # fmt: skip
        mcu = {"description": "", "timePerInferenceMs": 3, "memory": {}, "supported": True}
        names = ("lowEndMcu", "highEndMcu", "highEndMcuPlusAccelerator", "mpu", "gpuOrMpuAccelerator")
        table = {"variant": "int8", **dict.fromkeys(names, mcu)}
        tensor = {"dataType": "int8", "name": "x"}
        return {
            "success": True, "specificDeviceSelected": True, "availableModelTypes": ["int8"],
            "model": {
                "fileName": "model.tflite", "supportsTFLite": True, "inputs": [{**tensor, "shape": [1, 160]}],
                "outputs": [{**tensor, "shape": [1, self.classes]}],
                "profileInfo": None if self.profile is None else {"int8": {**profiled, **self.profile}, "table": table},
            },
        }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    scene: Scene

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        scene, parts = self.scene, urlsplit(self.path)
        path, query = parts.path.removeprefix("/v1"), parse_qs(parts.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        scene.requests.append((method, path))
        if any(path.endswith(end) for end in scene.drop):
            self.close_connection = True
            self.connection.close()
            return
        status = next((code for end, code in scene.status.items() if path.endswith(end)), 200)
        if self.headers.get("x-api-key") != KEY:
            status = 401
        if status in (301, 302, 307):
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            return
        if status != 200:
            text = f"something about {KEY}\n\x1b[31mred" if scene.echo else "no, said the server"
            self._send(status, {"success": False, "error": text})
            return
        if scene.refuses and path.endswith(scene.refuses):
            self._send(200, {"success": False, "error": f"no more uploads today{KEY if scene.echo else ''}"})
            return
        if scene.garbles and path.endswith(scene.garbles):
            self._send(200, f"<html>{KEY}")
            return
        if path.endswith("/deployment/download"):
            assert query["modelType"] == ["int8"]
            self.send_response(200)
            self.send_header("Content-Disposition", "attachment; filename*=utf-8''library.zip")
            self.send_header("Content-Length", str(len(scene.archive)))
            self.end_headers()
            self.wfile.write(scene.archive)
            return
        self._send(200, self._found(method, path, body))

    def _found(self, method: str, path: str, body: bytes) -> dict:
        scene, here = self.scene, f"/api/{PROJECT}"
        if (method, path) == ("GET", "/api/projects"):
            return {"success": True, "projects": [{"id": PROJECT, "name": "words"}]}
        if (method, path) == ("GET", here):
            devices = [{"mcu": mcu, "name": name, "selected": False} for mcu, name in DEVICES.items()]
            return {"success": True, "latencyDevices": devices, "developmentKeys": {"apiKey": KEY}}
        if (method, path) == ("POST", f"{here}/pretrained-model/upload"):
            scene.uploads.append(body)
            scene.device = next((name for name in DEVICES if name.encode() in body), "")
            return scene.start("upload")
        if (method, path) == ("POST", f"{here}/pretrained-model/profile"):
            return scene.start("profile")
        if (method, path) == ("GET", f"{here}/pretrained-model"):
            return scene.model()
        if (method, path) == ("POST", f"{here}/pretrained-model/save"):
            scene.bodies["save"] = json.loads(body)
            return {"success": True}
        if (method, path) == ("GET", f"{here}/deployment/targets/data-sources"):
            return {"success": True, "targets": [{"name": name, "format": name} for name in ("zip", "arduino")]}
        if (method, path) == ("POST", f"{here}/jobs/build-ondevice-model"):
            scene.bodies["build"] = json.loads(body)
            return scene.start("build")
        number, _, what = path.removeprefix(f"{here}/jobs/").partition("/")
        if what == "status":
            return scene.job(int(number))
        if what == "stdout":
            lines = ["Converting...", f"Unsupported ops: Pow {KEY if scene.echo else ''}", "Job failed (see above)"]
            items = [{"created": f"2026-01-01T00:00:0{n}.000Z", "data": line} for n, line in enumerate(lines)]
            return {"success": True, "stdout": items[::-1], "totalCount": 3}
        if what == "cancel":
            scene.cancelled.append(int(number))
            return {"success": True}
        raise AssertionError(f"{method} {path} is not played")

    def _send(self, status: int, value: dict | str) -> None:
        content = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serve(scene: Scene) -> Iterator[str]:
    """The endpoint, while open."""
    handler = type("Handler", (_Handler,), {"scene": scene})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
