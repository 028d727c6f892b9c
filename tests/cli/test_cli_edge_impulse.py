"""`kws-dendrite edge-impulse`: what each command writes and prints, against a local server where it needs one."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import call, contents, refuse, succeed, untouched, write_speech

from kws_dendrite.cli import edge_impulse
from kws_dendrite.data import TaskConfig, load_dataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))

from fake_studio import ARCHIVE, KEY, Scene, serve


@pytest.fixture(scope="session")
def bundle(finished):
    return finished[0] / "export"


@pytest.fixture
def studio(monkeypatch):
    """A scene that is played while the test runs; the key is in the environment."""
    scene = Scene()
    with serve(scene) as endpoint:
        monkeypatch.setenv("EI_API_KEY", KEY)
        monkeypatch.setenv("EI_API_ENDPOINT", endpoint)
        monkeypatch.setattr(edge_impulse, "PAUSE", 0.01)
        yield scene


def test_the_group_shows_its_commands():
    shown = call("edge-impulse", "--help")
    assert shown.status == 0
    assert all(name in shown.out for name in ("pack", "profile", "deploy", "dataset"))
    assert "edge-impulse" in call("--help").out
    refuse("edge-impulse", says="Missing command")
    refuse("edge-impulse", "upload", says="No such command 'upload'")


def test_pack_with_data(bundle, speech, tmp_path):
    said = succeed("edge-impulse", "pack", bundle, "--data", speech, "--out", tmp_path / "pack").out
    assert "begin with STEPS.md" in said and "log-mel is no block of Edge Impulse's" in said
    features = np.load(tmp_path / "pack" / "representative_features.npy")
    vector = json.loads((tmp_path / "pack" / "test_vector.json").read_text())
    assert features.dtype == np.float32 and features.shape[1] == len(vector["clips"][0]["features"])
    assert len(vector["clips"]) == len(vector["labels"])  # one a label, from the validation partition


def test_pack_without_data_says_what_is_missing(bundle, tmp_path):
    printed = json.loads(succeed("edge-impulse", "pack", bundle, "--out", tmp_path / "pack", "--json").out)
    assert printed["front_end"] == "logmel" and set(printed["sizes"]) <= {p.name for p in (tmp_path / "pack").iterdir()}
    again = succeed("edge-impulse", "pack", bundle, "--out", tmp_path / "pack", "--overwrite")
    assert "--data takes training clips" in again.out


def test_pack_refuses(bundle, tmp_path):
    wrong = write_speech(tmp_path / "other words", ("cat", "dog"))
    with untouched(tmp_path):
        refuse("edge-impulse", "pack", tmp_path, "--out", tmp_path / "new", says="lacks model_quantized")
        refuse("edge-impulse", "pack", bundle, "--data", wrong, "--out", tmp_path / "new", says="no clips of ")
        refuse("edge-impulse", "pack", bundle, says="Missing option '--out'")


def test_dataset_comes_back(speech, tmp_path):
    out = tmp_path / "export"
    said = succeed("edge-impulse", "dataset", speech, "--keywords", "yes,no", "--to", out)
    before, after = load_dataset(speech, TaskConfig(keywords=("yes", "no"))), load_dataset(out)
    assert after.labels == before.labels and len(after.clips) == len(before.clips)
    assert f"read back: {len(before.clips)} equal" in said.out
    refuse("edge-impulse", "dataset", speech, "--to", out, says="--overwrite")
    printed = json.loads(
        succeed("edge-impulse", "dataset", speech, "--keywords", "yes,no", "--to", out, "--overwrite",
                "--rename", "_silence_=noise", "--json").out
    )  # fmt: skip
    assert list(printed["clips"]) == ["yes", "no", "_unknown_", "noise"]
    assert sum(sum(row.values()) for row in printed["clips"].values()) == len(before.clips)
    shown = json.loads(succeed("data", out, "--json").out)
    assert shown["layout"] == "edge_impulse" and shown["clips"]["test"] == len(before.partition("test"))


def test_dataset_refuses(speech, tmp_path):
    with untouched(tmp_path):
        out = tmp_path / "out"
        refuse("edge-impulse", "dataset", tmp_path / "none", "--to", out, says="does not exist")
        refuse("edge-impulse", "dataset", speech, "--to", speech, says="is the data itself")
        refuse("edge-impulse", "dataset", speech, "--to", out, "--rename", "yes", says="expected NAME=VALUE")
        refuse("edge-impulse", "dataset", speech, "--to", out, "--rename", "yes=été", says="--rename OLD=NEW")
        refuse("edge-impulse", "dataset", speech, "--to", out, "--rename", "maybe=x", says="no label 'maybe'")


def test_profile_shows_both_in_one_table(bundle, studio):
    studio.classes = 4
    said = succeed("edge-impulse", "profile", bundle, "--device", "cortex-m4f-80mhz").out
    lines = [line.split() for line in said.splitlines()]
    assert ["Studio,", "TensorFlow", "Lite", "8,995", "47,359", "3", "-"] in lines
    assert ["Studio,", "EON", "Compiler", "6,272", "28,800", "3", "-"] in lines
    assert any(line[:3] == ["kws_dendrite's", "C,", "predicted"] for line in lines)
    printed = json.loads(succeed("edge-impulse", "profile", bundle, "--json").out)
    assert [row["by"] for row in printed["rows"]][-1] == "kws_dendrite's C, predicted"
    own = printed["rows"][-1]
    assert min(own["ram"], own["rom"], own["milliseconds"], own["instructions"]) > 0
    assert printed["studio"]["milliseconds"] == 3 and printed["client"].startswith("edgeimpulse-api")


def test_a_core_without_costs_is_said(bundle, studio):
    said = succeed("edge-impulse", "profile", bundle, "--device", "espressif-esp32").out
    assert "this project has no costs of espressif-esp32's core" in said and "predicted" not in said


def test_deploy_fetches_the_library(bundle, studio, tmp_path, monkeypatch):
    labels = (bundle / "labels.txt").read_text().split()
    studio.classes = len(labels)
    monkeypatch.chdir(tmp_path)
    said = succeed("edge-impulse", "deploy", bundle, "--device", "cortex-m4f-80mhz").out
    assert (tmp_path / "export_zip.zip").read_bytes() == ARCHIVE and "export_zip.zip: zip, " in said
    assert studio.bodies["save"]["model"]["labels"] == labels
    refuse("edge-impulse", "deploy", bundle, says="--overwrite")
    uploads = len(studio.uploads)
    refuse("edge-impulse", "deploy", bundle, "--target", "arduin", "--overwrite", says="nearest: arduino")
    refuse("edge-impulse", "deploy", bundle, "--device", "esp", "--overwrite", says="nearest: espressif-esp32")
    (tmp_path / "a file").write_bytes(b"")
    refuse("edge-impulse", "deploy", bundle, "--out", tmp_path / "a file" / "library.zip", says="cannot write")
    assert len(studio.uploads) == uploads  # the project's model is as it was
    out = tmp_path / "there" / "library.zip"
    printed = json.loads(succeed("edge-impulse", "deploy", bundle, "--out", out, "--engine", "tflite", "--json").out)
    assert printed["written"] == {"file": str(out), "bytes": len(ARCHIVE), "target": "zip", "engine": "tflite"}
    assert studio.bodies["build"]["engine"] == "tflite" and printed["rows"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"status": {"/upload": 403}}, "role Admin"),
        ({"fails": ("upload",), "echo": True}, "the upload failed"),
        ({"endless": ("profile",)}, "not done in 0.1 s"),
        ({"drop": ("/upload",)}, "the connection to"),
        ({"status": {"/projects": 500}, "echo": True}, "answers 500"),
    ],
)
@pytest.mark.parametrize("command", ["profile", "deploy"])
def test_what_fails_there_is_one_line_without_the_key(bundle, studio, tmp_path, monkeypatch, command, spoil, says):
    for name, value in spoil.items():
        setattr(studio, name, value)
    monkeypatch.chdir(tmp_path)
    with untouched(tmp_path):
        outcome = call("edge-impulse", command, bundle, "--timeout", 0.1 if "endless" in spoil else 30)
    assert outcome.status == 2 and outcome.out == ""
    assert outcome.err.count("\n") == 1 and says in outcome.err and KEY not in outcome.err


def test_the_key_is_nowhere_afterwards(bundle, studio, tmp_path, monkeypatch):
    studio.classes = len((bundle / "labels.txt").read_text().split())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    outcome = succeed("edge-impulse", "deploy", bundle)
    assert KEY not in outcome.out + outcome.err
    for name, content in (contents(tmp_path) | contents(bundle)).items():
        assert KEY.encode() not in (content or b""), name


def test_without_a_key_nothing_is_asked(bundle, studio, monkeypatch):
    monkeypatch.delenv("EI_API_KEY")
    refuse("edge-impulse", "profile", bundle, says="set EI_API_KEY")
    monkeypatch.setenv("EI_API_KEY", "wrong_0123456789")
    line = refuse("edge-impulse", "profile", bundle, says="401")
    assert "wrong_0123456789" not in line
    assert studio.uploads == []


def test_a_bundle_without_its_graph_is_not_uploaded(bundle, studio, tmp_path):
    shutil.copytree(bundle, tmp_path / "part")
    (tmp_path / "part" / "graph.npz").unlink()
    refuse("edge-impulse", "profile", tmp_path / "part", says="has no graph.npz")
    assert studio.uploads == []


def test_an_unknown_device_or_engine(bundle, studio):
    refuse("edge-impulse", "profile", bundle, "--device", "cortex-m4-80mhz", says="nearest: cortex-m4f-80mhz")
    refuse("edge-impulse", "deploy", bundle, "--engine", "eon", says="--engine is one of tflite, tflite-eon")
    refuse("edge-impulse", "deploy", bundle, "--out", bundle, says="is there already")
    assert studio.uploads == []
