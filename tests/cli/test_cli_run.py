import csv
import json

import pytest
from command_line import call, contents, refuse, succeed, untouched

from kws_dendrite.cli import run as run_module
from kws_dendrite.cli import search as search_module

SMALL = (
    "--copies", "1", "--keywords", "yes,no", "--trials", "1", "--arms", "plain", "--search-epochs", "2",
    "--epochs", "2", "--members", "1", "--max-params", "100000",
)  # fmt: skip


def test_writes_everything_that_it_says(finished):
    folder, outcome = finished
    assert outcome.out.count("\n") == 1
    report = json.loads(outcome.out)
    assert report["folder"] == str(folder)
    assert set(report["seconds"]) == {"features", "search", "train", "export", "benchmark", "evaluate"}
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert report["evaluation"] == evaluation
    assert evaluation["split"] == "test" and evaluation["synthetic"] is False
    assert len(evaluation["accuracy_members"]) == 2
    assert evaluation["artefacts"].keys() == {
        "graph.npz", "model.onnx", "model_int8.onnx", "model.tflite", "model_quantized_int8_io.tflite",
    }  # fmt: skip
    for name in ("report.html", "benchmark.json", "model/model.safetensors", "export/parity.json", "search/front.png"):
        assert (folder / name).is_file(), name
    settings = json.loads((folder / "run.json").read_text())["settings"]
    assert settings["keywords"] == "yes,no" and settings["search"]["trials"] == 1


def test_the_search_of_a_run_can_be_read(finished):
    folder, _ = finished
    trials = json.loads((folder / "search" / "trials.json").read_text())
    assert [trial["arm"] for trial in trials] == ["plain", "gradient"]
    with (folder / "search" / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["number"]) for row in rows} <= {0, 1} and rows
    assert float(rows[0]["validation_accuracy"]) == trials[int(rows[0]["number"])]["validation_accuracy"]


def test_tells_the_stages_as_they_pass(finished):
    _, outcome = finished
    for stage in ("features", "search", "train", "export", "benchmark", "evaluate"):
        assert f"{stage:<10} done in" in outcome.err
    assert "trial 0 (plain): " in outcome.err and "2 of 2 ended" in outcome.err and "picked trial" in outcome.err
    assert "tflite_int8: accuracy" in outcome.err
    assert "TensorFlow" not in outcome.err and "WARNING" not in outcome.err


def test_again_is_refused_without_overwrite(finished, speech, cache):
    folder, _ = finished
    with untouched(folder):
        refuse("run", "--data", speech, "--out", folder, "--cache", cache, *SMALL, says="add --overwrite")


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run's small parts, in a folder of their own."""
    folder, _ = finished
    for name, content in contents(folder).items():
        if content != b"folder":
            (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "run" / name).write_bytes(content)
    return tmp_path / "run"


def test_overwriting_with_bad_data_leaves_the_earlier_run(copied, tmp_path):
    with untouched(copied):
        refuse("run", "--data", tmp_path / "none", "--out", copied, "--overwrite", *SMALL, says="does not exist")


def test_overwriting_that_fails_midway_leaves_the_earlier_run(copied, speech, cache):
    before = contents(copied)
    refuse(
        "run", "--data", speech, "--out", copied, "--cache", cache, "--overwrite", *SMALL[:-1], 1,
        says="no trial has at most 1 parameters",
    )  # fmt: skip
    after = contents(copied)
    assert {name: after.get(name) for name in before} == before
    assert {name for name in after if name not in before and not name.startswith("unfinished")} == set()


def test_overwriting_replaces_all_of_the_earlier_run(copied, speech, cache, monkeypatch):
    """Without the export, which takes its time elsewhere: the parts that are not written anew go."""
    monkeypatch.setattr(run_module, "_benchmark", lambda folder: None)
    monkeypatch.setattr(run_module, "_evaluate", lambda *_: {"split": "test", "accuracy": 1.0})
    monkeypatch.setattr(run_module, "_export", lambda *_: _Bundle)
    (copied / "unfinished").mkdir()
    (copied / "unfinished" / "of_old").write_text("")
    before = (copied / "model" / "model.safetensors").read_bytes()
    succeed("run", "--data", speech, "--out", copied, "--cache", cache, "--overwrite", *SMALL, "--json")
    assert {path.name for path in copied.iterdir()} == {".kws_dendrite", "search", "model", "run.json", "report.html"}
    assert (copied / "model" / "model.safetensors").read_bytes() != before
    assert len(json.loads((copied / "search" / "trials.json").read_text())) == 1


class _Bundle:
    class cost:
        parameters = 1


def test_ctrl_c_in_the_search_leaves_what_is_found(tmp_path, speech, cache, monkeypatch):
    ordinary = search_module._Alone.on_trial

    def on_trial(self, result):
        ordinary(self, result)
        raise KeyboardInterrupt

    monkeypatch.setattr(search_module._Alone, "on_trial", on_trial)
    outcome = call("run", "--data", speech, "--out", tmp_path / "run", "--cache", cache, *SMALL)
    assert (outcome.status, outcome.out) == (130, "")
    assert outcome.err.splitlines()[-1] == "interrupted"
    assert len(json.loads((tmp_path / "run" / "search" / "trials.json").read_text())) == 1
