import json

import numpy as np
import pytest

from kws_dendrite.data import load_block_arrays
from kws_dendrite.errors import ConfigError, DataError

LABELS = {"train": np.array([0, 1, 2, 0, 1, 2, 0, 1]), "test": np.array([2, 0, 1])}


def _one_hot(labels):
    return np.eye(3, dtype=np.float32)[labels]


def _structured(labels):
    columns = [labels + 1, 100 * len(labels) + np.arange(len(labels)), 0 * labels, 0 * labels + 1000]
    return np.stack(columns, axis=1).astype(np.int32)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, labels in LABELS.items():
        np.save(tmp_path / f"X_split_{split}.npy", rng.standard_normal((len(labels), 5 * 13)).astype(np.float32))
        np.save(tmp_path / f"Y_split_{split}.npy", _one_hot(labels))
    return tmp_path


@pytest.mark.parametrize(
    "form",
    [_one_hot, _structured, lambda y: y, lambda y: y[:, None], lambda y: _one_hot(y).astype(np.int64)],
    ids=["one-hot", "structured", "indices", "column", "one-hot integers"],
)
def test_every_form_of_labels_gives_the_same_indices(folder, form):
    for split, labels in LABELS.items():
        np.save(folder / f"Y_split_{split}.npy", form(labels))
    bank = load_block_arrays(folder)
    assert bank.train.shape == (1, 8, 5, 13) and bank.validation.shape == (3, 5, 13)
    np.testing.assert_array_equal(bank.train_labels, LABELS["train"])
    np.testing.assert_array_equal(bank.validation_labels, LABELS["test"])
    assert bank.labels == ("0", "1", "2")
    assert bank.train.reshape(8, -1).tobytes() == np.load(folder / "X_split_train.npy").tobytes()


def test_one_hot_rows_of_four_classes_are_not_mistaken(folder):
    for split, labels in LABELS.items():
        np.save(folder / f"Y_split_{split}.npy", np.eye(4, dtype=np.int64)[labels])
    bank = load_block_arrays(folder)
    np.testing.assert_array_equal(bank.train_labels, LABELS["train"])
    assert len(bank.labels) == 4


def test_class_names_come_from_the_info_file(folder):
    (folder / "train_input.json").write_text(json.dumps({"classes": ["helloworld", "noise", "unknown"]}))
    assert load_block_arrays(folder).labels == ("helloworld", "noise", "unknown")
    (folder / "train_input.json").write_text(json.dumps({"classes": ["helloworld"]}))
    with pytest.raises(DataError, match="lists 1 classes, the labels have 3"):
        load_block_arrays(folder)


def test_coefficients_must_divide(folder):
    assert load_block_arrays(folder, 5).train.shape == (1, 8, 13, 5)
    with pytest.raises(ConfigError, match="65 features a clip, no multiple of 40"):
        load_block_arrays(folder, 40)


def _nan(folder):
    values = np.load(folder / "X_split_train.npy")
    values[2, 3] = np.nan
    np.save(folder / "X_split_train.npy", values)


def _truncated(folder):
    path = folder / "X_split_test.npy"
    path.write_bytes(path.read_bytes()[:300])


def _pickled(folder):
    np.save(folder / "X_split_test.npy", np.array([{}], dtype=object), allow_pickle=True)


def _one_class(folder):
    for split, labels in LABELS.items():
        np.save(folder / f"Y_split_{split}.npy", 0 * labels)


def _negative(folder):
    for split, labels in LABELS.items():
        np.save(folder / f"Y_split_{split}.npy", -labels)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_nan, "row 2 holds NaN"),
        (_truncated, r"X_split_test\.npy is no readable"),
        (_pickled, r"X_split_test\.npy is no readable"),
        (_one_class, "one class alone"),
        (lambda folder: (folder / "Y_split_test.npy").unlink(), r"Y_split_test\.npy does not exist"),
        (lambda folder: np.save(folder / "Y_split_test.npy", np.arange(2)), "X_split_test.npy has 3 rows"),
        (lambda folder: np.save(folder / "Y_split_test.npy", -np.arange(3)), "of different forms"),
        (_negative, r"no class indices \(smallest -2\)"),
        (lambda folder: np.save(folder / "Y_split_test.npy", np.full((3, 3), 0.3)), "not one-hot"),
        (lambda folder: np.save(folder / "X_split_test.npy", np.zeros((3, 26))), "features"),
        (lambda folder: np.save(folder / "X_split_test.npy", np.zeros(3)), "expected numbers"),
    ],
)
def test_bad_arrays_are_named_in_one_line(folder, spoil, says):
    spoil(folder)
    with pytest.raises(DataError, match=says) as caught:
        load_block_arrays(folder)
    assert "\n" not in str(caught.value)
