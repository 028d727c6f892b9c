import numpy as np
import pytest

from kws_dendrite.data.block_labels import read_labels
from kws_dendrite.errors import DataError

PATHS = {"train": "Y_split_train.npy", "test": "Y_split_test.npy"}


def read(train, test, classes=None):
    from pathlib import Path

    arrays = {"train": np.asarray(train), "test": np.asarray(test)}
    return read_labels(arrays, {split: Path(name) for split, name in PATHS.items()}, classes)


def rows(labels, first=0, index=1):
    labels = np.asarray(labels)
    return np.stack([labels + index, 50 + first + np.arange(len(labels)), 0 * labels, 0 * labels + 980], axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8, bool])
def test_one_hot_of_any_type(dtype):
    found = read(np.eye(3, dtype=dtype), np.eye(3, dtype=dtype)[[2, 0]])
    assert found.form == "one-hot rows" and found.classes == 3 and found.samples is None
    assert found.indices["test"].tolist() == [2, 0] and found.indices["test"].dtype == np.int64


def test_indices_from_zero():
    found = read([0, 1, 2], [2, 1])
    assert found.form == "class indices counted from 0" and found.classes == 3
    assert found.indices["train"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("classes", [3, None])
def test_indices_from_one_where_no_clip_is_of_class_zero(classes):
    found = read([1, 2, 3], [3, 1], classes)
    assert found.form == "class indices counted from 1" and found.classes == 3
    assert found.indices["train"].tolist() == [0, 1, 2] and found.indices["test"].tolist() == [2, 0]


def test_one_split_alone_does_not_tell_where_counting_starts():
    """The validation clips happen to hold no class 0; the training clips do."""
    assert read([0, 1, 2], [1, 2]).indices["test"].tolist() == [1, 2]


def test_indices_that_could_be_either_are_refused():
    with pytest.raises(DataError, match="class indices 1 to 2 for 3 classes, which may be counted from 0 or from 1"):
        read([1, 2], [2, 1], classes=3)


@pytest.mark.parametrize("index", [1, 0])
def test_four_columns_give_the_sample_ids_too(index):
    found = read(rows([0, 1, 2], index=index), rows([2, 1], first=10, index=index))
    assert found.form == f"four columns (label index counted from {index}, sample id, start, end)"
    assert found.indices["train"].tolist() == [0, 1, 2] and found.indices["test"].tolist() == [2, 1]
    assert found.samples["test"].tolist() == ["60", "61"]


def test_a_split_of_four_columns_is_told_by_the_other():
    """A few rows may look one-hot by chance: both splits have one form."""
    looks_one_hot = np.array([[1, 0, 0, 0]])
    found = read(rows([0, 1]), looks_one_hot)
    assert found.form.startswith("four columns") and found.indices["test"].tolist() == [0]


def test_four_classes_one_hot_are_no_four_columns():
    found = read(np.eye(4, dtype=int), np.eye(4, dtype=int)[:2])
    assert found.form == "one-hot rows" and found.classes == 4


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (np.eye(3), [0, 1], r"different forms \(Y_split_train.npy \(3, 3\), Y_split_test.npy \(2,\)\)"),
        (np.eye(3), np.eye(2), "one-hot labels of 2 and 3 classes"),
        ([0.5, 1], [0, 1], r"no class indices \(smallest 0.5\)"),
        ([0, np.nan], [0, 1], "no class indices"),
        ([-1, 0], [0, 1], r"no class indices \(smallest -1\)"),
        (["yes", "no"], ["yes"], "expected one-hot rows, class indices or rows of 4 columns"),
        (np.zeros((2, 3, 3)), np.zeros((2, 3, 3)), "expected one-hot rows"),
        ([], [0], r"has shape \(0,\)"),
        (np.zeros((2, 3)), np.eye(3), "a single 1 in each"),
        (rows([0, 1]) - 0.5, rows([0, 1]), "no class indices"),
    ],
)
def test_labels_in_no_form(train, test, says):
    with pytest.raises(DataError, match=says):
        read(train, test)
