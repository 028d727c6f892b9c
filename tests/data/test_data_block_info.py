import json

import pytest

from kws_dendrite.data.block_info import BlockInfo, class_names, read_info
from kws_dendrite.errors import DataError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train_input.json"


def test_without_the_file_nothing_is_known(path):
    assert read_info(path) == BlockInfo()
    assert class_names(BlockInfo(), 3) == ("0", "1", "2")


def test_what_studio_writes(path):
    values = {
        "classes": ["helloworld", "noise"], "mode": "classification", "inputShapeString": "(650,)", "yType": "npy",
        "maxTrainingTimeSeconds": 1200, "customValidationSplit": True,
    }  # fmt: skip
    path.write_text(json.dumps(values))
    assert read_info(path) == BlockInfo(("helloworld", "noise"), 1200.0, True)


@pytest.mark.parametrize("limit", [0, -1, None, "soon", "-20", "nan", True, float("nan"), float("inf")])
def test_a_limit_that_is_none(path, limit):
    path.write_text(json.dumps({"maxTrainingTimeSeconds": limit}))
    assert read_info(path).max_seconds is None


def test_a_limit_as_text_is_a_limit(tmp_path):
    path = tmp_path / "train_input.json"
    path.write_text(json.dumps({"maxTrainingTimeSeconds": "20"}))
    assert read_info(path).max_seconds == 20.0


@pytest.mark.parametrize("mode", ["regression", "object-detection", "anomaly-gmm", "visual-anomaly"])
def test_another_task_is_refused(path, mode):
    path.write_text(json.dumps({"mode": mode}))
    with pytest.raises(DataError, match=f"asks for {mode}"):
        read_info(path)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_file_that_is_no_json_object(path, text):
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="JSON"):
        read_info(path)


def test_names_for_more_classes_than_there_are_clips_of_are_fine_and_fewer_are_not():
    info = BlockInfo(("a", "b", "c"))
    assert class_names(info, 2) == ("a", "b", "c")
    with pytest.raises(DataError, match="lists 3 classes, the labels have 4"):
        class_names(info, 4)
