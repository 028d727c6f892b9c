import json

import pytest
from command_line import refuse, succeed, untouched, write_speech

ARTEFACTS = {
    "model": "checkpoint",
    "model/model.json": "checkpoint",
    "model/model.safetensors": "checkpoint",
    "export/graph.npz": "graph",
    "export/model.onnx": "onnx",
    "export/model_int8.onnx": "onnx_int8",
    "export/model.tflite": "tflite",
    "export/model_quantized_int8_io.tflite": "tflite_int8",
    "export": "tflite_int8",
}


@pytest.fixture(scope="module")
def measured(finished, speech):
    """What `evaluate --json` says of every artefact on the training clips, of which there are the most."""
    folder, _ = finished
    found = {}
    for name in ARTEFACTS:
        outcome = succeed("evaluate", "--model", folder / name, "--data", speech, "--split", "train", "--json")
        assert outcome.out.count("\n") == 1
        found[name] = json.loads(outcome.out)
    return found


def test_takes_every_artefact(measured):
    assert {name: report["kind"] for name, report in measured.items()} == ARTEFACTS
    for report in measured.values():
        assert report["labels"] == ["yes", "no", "_unknown_", "_silence_"]
        assert report["clips"] == measured["model"]["clips"]
        assert report["split"] == "train" and report["synthetic"] is False


def test_artefacts_agree(measured, finished):
    folder, _ = finished
    member = json.loads((folder / "evaluation.json").read_text())["exported_member"]
    trained = measured["model"]["accuracy_members"][member]
    for name in ("graph.npz", "model.onnx", "model.tflite"):
        assert measured[f"export/{name}"]["accuracy"] == trained
    assert measured["export"]["confusion"] == measured["export/model_quantized_int8_io.tflite"]["confusion"]


def test_for_a_person(trained, speech, tmp_path):
    outcome = succeed("evaluate", "--model", trained, "--data", speech, "--out", tmp_path / "evaluation.json")
    first, *rest = outcome.out.splitlines()
    assert first.startswith("checkpoint: accuracy ") and first.endswith("test clips, mean of 2 seeds")
    assert [line.split()[0] for line in rest] == ["yes", "no", "_unknown_", "_silence_"]
    assert json.loads((tmp_path / "evaluation.json").read_text())["kind"] == "checkpoint"


def test_the_demo_says_that_it_is_synthetic(trained):
    outcome = succeed("evaluate", "--model", trained, "--data", "demo")
    assert "synthetic demo data: says nothing about real speech" in outcome.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--split", "dev"], "--split is one of train, validation, test; got 'dev'"),
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--model", "nowhere"], "nowhere is not there"),
        (["--out", "/dev/null/x.json"], "cannot write /dev/null/x.json"),
    ],
)
def test_refuses_options(trained, speech, options, says):
    refuse("evaluate", "--model", trained, "--data", speech, *options, says=says)


def test_refuses_what_is_no_model(speech, tmp_path):
    (tmp_path / "model.tfl").write_bytes(b"x")
    refuse("evaluate", "--model", tmp_path / "model.tfl", "--data", speech, says="ends in '.tfl'; expected")
    refuse("evaluate", "--model", speech, "--data", speech, says="name a bundle folder or one artefact")
    for name in ("model.tflite", "model.onnx", "graph.npz"):
        (tmp_path / name).write_bytes(b"nonsense")
        refuse("evaluate", "--model", tmp_path / name, "--data", speech, says=name)


def test_an_artefact_without_its_bundle_is_explained(finished, speech, tmp_path):
    folder, _ = finished
    (tmp_path / "model.onnx").write_bytes((folder / "export" / "model.onnx").read_bytes())
    refuse("evaluate", "--model", tmp_path / "model.onnx", "--data", speech, says="keep it in its bundle folder")


def test_refuses_data_with_other_words(trained, tmp_path):
    write_speech(tmp_path / "other", ("on", "off"))
    refuse("evaluate", "--model", trained, "--data", tmp_path / "other", says="no clips of yes, no")


class TestBrokenCheckpoints:
    @pytest.fixture
    def copy(self, trained, tmp_path):
        for name in ("model.json", "model.safetensors"):
            (tmp_path / name).write_bytes((trained / name).read_bytes())
        return tmp_path

    def refused(self, folder, speech, says):
        with untouched(folder):
            refuse("evaluate", "--model", folder, "--data", speech, says=says)
            refuse("export", folder, "--data", speech, "--out", folder.parent / "bundle", says=says)
        assert not (folder.parent / "bundle").exists()

    @pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_truncated(self, copy, speech, name, share):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[: int(share * len(content))])
        self.refused(copy, speech, "truncated")

    @pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
    def test_a_file_is_missing(self, copy, speech, name):
        (copy / name).unlink()
        self.refused(copy, speech, name)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"channels": 5}, "the weights belong to another model"),
            ({"blocks": [0, 1]}, "which the recorded architecture"),
            ({"family": "paper"}, "does not describe a model"),
            ({"family": "hers"}, "unknown model family 'hers'"),
            ({"classes": 5}, "4 labels for 5 classes"),
        ],
    )
    def test_of_another_architecture(self, copy, speech, change, says):
        description = json.loads((copy / "model.json").read_text())
        description["architecture"] |= change
        (copy / "model.json").write_text(json.dumps(description))
        self.refused(copy, speech, says)

    def test_weights_of_another_training(self, copy, speech, finished):
        folder, _ = finished
        (copy / "model.safetensors").write_bytes((folder / "model" / "model.safetensors").read_bytes())
        self.refused(copy, speech, "the recorded architecture")
