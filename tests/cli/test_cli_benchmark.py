import json

from command_line import refuse, succeed


def test_json_is_one_object(finished, tmp_path):
    folder, _ = finished
    outcome = succeed("benchmark", folder / "export", "--runs", 10, "--out", tmp_path / "times.json", "--json")
    assert outcome.out.count("\n") == 1
    report = json.loads(outcome.out)
    assert [row["artefact"] for row in report["host"]] == [
        "graph.npz", "model.onnx", "model_int8.onnx", "model.tflite", "model_quantized_int8_io.tflite",
    ]  # fmt: skip
    assert json.loads((tmp_path / "times.json").read_text()) == report["host"]


def test_for_a_person(finished):
    folder, _ = finished
    outcome = succeed("benchmark", folder / "export", "--runs", 10)
    assert "says nothing about a device" in " ".join(outcome.out.split())
    assert outcome.out.split()[:2] == ["artefact", "runtime"] and "graph.npz" in outcome.out


def test_refuses_a_folder_without_artefacts(speech, tmp_path):
    refuse("benchmark", speech, says="holds no artefact")
    refuse("benchmark", tmp_path / "none", says="holds no artefact")
    refuse("benchmark", speech, "--runs", 1, says="Invalid value for '--runs'")
