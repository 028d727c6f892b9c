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


def test_the_form_of_labels_and_the_split_are_told(folder):
    summary = load_block_arrays(folder).summary
    assert summary["label_form"] == "one-hot rows"
    assert summary["split"] == "as given; nothing tells which windows are of one recording"


def test_arrays_of_frames_tell_their_coefficients_themselves(folder):
    """(N, T, F) or (N, T, F, 1): a number that happens to divide must not cut frames into pieces."""
    for split, labels in LABELS.items():
        values = np.load(folder / f"X_split_{split}.npy")
        np.save(folder / f"X_split_{split}.npy", values.reshape(len(labels), 13, 5, *([1] if split == "test" else [])))
    bank = load_block_arrays(folder, 13)
    assert bank.train.shape == (1, 8, 13, 5) and bank.frontend["coefficients"] == 5


def test_windows_of_one_recording_are_put_on_one_side(folder):
    ids = {"train": [1, 2, 3, 4, 5, 6, 7, 8], "validation": [3, 4, 5]}
    (folder / "sample_id_details.json").write_text(json.dumps(ids))
    flat = {split: np.load(folder / f"X_split_{split}.npy") for split in LABELS}
    bank = load_block_arrays(folder)
    assert "3 recordings have windows on both sides; split anew" in bank.summary["split"]
    rows = np.concatenate([bank.train[0], bank.validation]).reshape(11, -1)
    expected = np.concatenate([flat["train"], flat["test"]])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, expected))  # every row once
    clip_of = {row.tobytes(): number for row, number in zip(expected, ids["train"] + ids["validation"], strict=True)}
    sides = [
        {clip_of[row.tobytes()] for row in part.reshape(len(part), -1)} for part in (bank.train[0], bank.validation)
    ]
    assert not sides[0] & sides[1]
    (folder / "train_input.json").write_text('{"customValidationSplit": true}')
    assert load_block_arrays(folder).train.shape[1] == 8


def test_four_columns_alone_are_enough_to_split_by(folder):
    for split, labels in LABELS.items():
        rows = _structured(labels)
        rows[:, 1] = 100 + labels  # one recording a class
        np.save(folder / f"Y_split_{split}.npy", rows)
    assert "no class has a second recording" in load_block_arrays(folder).summary["split"]


@pytest.mark.parametrize(
    ("block", "settings", "keeps"),
    [("mfcc", {}, False), ("mfcc", {"win_size": 21}, False), ("mfcc", {"win_size": 0}, True), ("mfe", {}, True)],
)
def test_whether_clips_keep_their_level_is_seen(block, settings, keeps):
    """Noise that swells, at several loudnesses: CMVN takes that out, nothing else does."""
    from kws_dendrite.data.block_arrays import keeps_level
    from kws_dendrite.frontend import compute, configure

    rng = np.random.default_rng(0)
    config = configure(block, {name: str(value) for name, value in settings.items()})
    swell = np.sin(np.arange(16000) / 900) ** 2 + 0.01
    clips = [np.rint(gain * swell * rng.standard_normal(16000)).astype(np.int16) for gain in (100, 300, 900, 2700)]
    assert keeps_level(np.stack([compute(clip, config) for clip in clips])) is keeps


def test_no_clip_to_validate_on_says_what_to_do_in_studio(folder):
    np.save(folder / "X_split_test.npy", np.zeros((0, 65), np.float32))
    with pytest.raises(DataError, match="no clip to validate on; set the validation set size in Studio above 0 %"):
        load_block_arrays(folder)


def test_numbers_that_would_divide_are_offered(folder):
    with pytest.raises(ConfigError, match=r"\(these divide: 13\)"):
        load_block_arrays(folder, 40)
