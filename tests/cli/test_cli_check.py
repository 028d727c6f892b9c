import json
import shutil
import sys
from pathlib import Path

import pytest
from command_line import call, refuse, succeed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))
from faulty_models import Classifier, requantise

TESTS = Path(__file__).resolve().parent.parent
GOLDEN = TESTS / "golden/tflite/sep14_s2.tflite"


@pytest.fixture
def faulty(tmp_path):
    """Per-channel dense weights, and no fast kernel for a TANH in front of it."""
    case = Classifier()
    requantise(case.tensor(case.weights), [0.01, 0.02, 0.03])
    path = tmp_path / "faulty.tflite"
    path.write_bytes(case.content)
    return path


def test_for_a_person_when_it_is_right():
    out = succeed("check", GOLDEN, "--target", "edge-impulse").out.splitlines()
    assert out[0] == "sep14_s2.tflite on Edge Impulse: will run right"
    assert out[1] == "6,528 bytes; 14 operators, (1, 650) int8 to (1, 12) int8".replace(
        "6,528", f"{GOLDEN.stat().st_size:,}"
    )
    assert out[2].startswith("memory for activations: about 4,") and len(out) == 3


def test_edge_impulse_is_the_target_unless_told(faulty):
    assert call("check", faulty).out == call("check", faulty, "--target", "edge-impulse").out


def test_for_a_person_when_it_is_wrong(faulty):
    outcome = call("check", faulty, "--target", "edge-impulse")
    lines = outcome.out.splitlines()
    assert outcome.status == 1 and outcome.err == ""
    assert lines[0] == "faulty.tflite on Edge Impulse: will not run right (1 silently wrong)"
    assert lines[4] == "SILENTLY WRONG  FULLY_CONNECTED 4 has 3 scales on its weights 'tensor_7'"
    assert [line[:6].strip() for line in lines[5:8]] == ["why", "do", "see"]


def test_for_a_program(faulty):
    outcome = call("check", faulty, "--json")
    value = json.loads(outcome.out)
    assert outcome.status == 1 and value["ok"] is False and value["target"] == "edge-impulse"
    assert value["counts"] == {"fails": 0, "wrong": 1, "slow": 0, "note": 0}
    assert value["findings"][0]["rule"] == "dense-per-channel" and value["findings"][0]["operators"] == [4]
    assert json.loads(succeed("check", GOLDEN, "--json").out)["ok"] is True


def test_every_target_has_its_own_answer(faulty):
    statuses = {
        target: call("check", faulty, "--target", target).status
        for target in ("edge-impulse", "tflite-micro", "esphome", "esp-dl")
    }
    assert statuses == {"edge-impulse": 1, "tflite-micro": 0, "esphome": 1, "esp-dl": 1}


def test_labels(tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"word{index}" for index in range(12)) + "\n")
    succeed("check", GOLDEN, "--labels", labels)
    labels.write_text("yes\nno\n")
    outcome = call("check", GOLDEN, "--labels", labels)
    assert outcome.status == 1 and "FAILS  2 labels for 12 scores" in outcome.out


def test_what_is_no_model(tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(GOLDEN.read_bytes()[:1000])
    refuse("check", broken, says="broken.tflite is damaged")
    shutil.copy(TESTS / "golden/tflite/README.md", broken)
    refuse("check", broken, says="is not a TFLite file")
    refuse("check", tmp_path / "none.tflite", says="No such file")
    refuse("check", tmp_path, says="is a folder; name the .tflite file in it")
    refuse("check", GOLDEN, "--target", "esp32", says="choose one of edge-impulse, tflite-micro, esphome, esp-dl")
    refuse("check", GOLDEN, "--labels", tmp_path / "none.txt", says="cannot read")
