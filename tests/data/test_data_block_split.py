import json

import numpy as np
import pytest

from kws_dendrite.data.block_split import read_sample_ids, split_by_sample
from kws_dendrite.errors import DataError


def windows(samples, each, classes=3):
    """(ids, labels): `each` windows of every one of `samples` recordings, a class a recording."""
    ids = np.repeat(np.arange(samples), each)
    return ids.astype(str), ids % classes


def shuffled(ids, labels, share=0.2, seed=0):
    order = np.random.default_rng(seed).permutation(len(ids))
    cut = round((1 - share) * len(ids))
    parts = {"train": order[:cut], "test": order[cut:]}
    return {split: ids[rows] for split, rows in parts.items()}, {split: labels[rows] for split, rows in parts.items()}


def pooled(parts):
    return np.concatenate([parts["train"], parts["test"]])


@pytest.mark.parametrize("ids", [None, {"train": np.array(["1", "1", "2"]), "test": np.array(["3", "3"])}])
def test_a_split_that_is_clean_stays(ids):
    found = split_by_sample(ids, {"train": np.array([0, 0, 1]), "test": np.array([1, 1])})
    assert found.train.tolist() == [0, 1, 2] and found.validation.tolist() == [3, 4]
    assert found.note.startswith("as given")


@pytest.mark.parametrize(("samples", "each"), [(30, 4), (60, 10), (12, 25), (300, 2)])
def test_windows_of_a_recording_stay_on_one_side(samples, each):
    ids, labels = shuffled(*windows(samples, each))
    found = split_by_sample(ids, labels)
    every = pooled(ids)
    assert not np.intersect1d(every[found.train], every[found.validation]).size
    assert sorted([*found.train, *found.validation]) == list(range(len(every)))
    assert "split anew by recording" in found.note
    share = len(found.validation) / len(every)
    assert abs(share - 0.2) <= 0.5 * each * 3 / len(every) + 1e-9  # half a recording a class
    assert set(pooled(labels)[found.validation]) == set(pooled(labels)[found.train]) == {0, 1, 2}


def test_the_same_arrays_are_split_alike_and_in_any_order():
    ids, labels = shuffled(*windows(30, 4))
    first = split_by_sample(ids, labels)
    again = split_by_sample(ids, labels)
    np.testing.assert_array_equal(first.validation, again.validation)
    other_ids, other_labels = shuffled(*windows(30, 4), seed=5)
    other = split_by_sample(other_ids, other_labels)
    assert set(pooled(ids)[first.validation]) == set(pooled(other_ids)[other.validation])


def test_a_recording_of_several_classes_goes_as_a_whole():
    ids, _ = windows(20, 6, 1)
    labels = np.arange(120) % 2  # both classes in every recording
    split_ids, split_labels = shuffled(ids, labels)
    found = split_by_sample(split_ids, split_labels)
    assert not np.intersect1d(pooled(split_ids)[found.train], pooled(split_ids)[found.validation]).size
    assert len(found.validation)


def test_a_class_of_one_recording_keeps_it_in_training():
    ids = np.array(["a"] * 10 + ["b", "c", "d", "e", "f"] * 4)
    labels = np.array([0] * 10 + [1] * 20)
    split_ids, split_labels = shuffled(ids, labels)
    found = split_by_sample(split_ids, split_labels)
    assert "a" not in pooled(split_ids)[found.validation] and len(found.validation)


def test_where_no_class_has_a_second_recording_the_split_stays_and_the_leak_is_told():
    ids, labels = shuffled(*windows(3, 20))
    found = split_by_sample(ids, labels)
    assert found.validation.tolist() == list(range(48, 60))
    assert "3 recordings have windows on both sides: no class has a second recording" in found.note


def test_a_split_of_the_users_own_stays_and_the_leak_is_told():
    ids, labels = shuffled(*windows(30, 4))
    found = split_by_sample(ids, labels, fixed=True)
    assert found.train.tolist() == list(range(96))
    assert "by the user's choice" in found.note and "windows on both sides" in found.note


def test_ids_are_read_as_text_and_may_be_missing(tmp_path):
    assert read_sample_ids(tmp_path, {"train": 3, "test": 1}) is None
    (tmp_path / "sample_id_details.json").write_text(json.dumps({"train": [7, "7", 8], "validation": [9]}))
    found = read_sample_ids(tmp_path, {"train": 3, "test": 1})
    assert found["train"].tolist() == ["7", "7", "8"] and found["test"].tolist() == ["9"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"train": [1, 2], "validation": [3]}', "lists 2 train ids for 3 rows"),
        ('{"train": [1, 2, 3]}', "lists no validation ids for 1 rows"),
        ('{"train": "1,2,3", "validation": [3]}', "lists no train ids"),
        ("[1, 2]", "no JSON object"),
        ("{", "no readable JSON"),
        ("[" * 100_000, "no readable JSON"),
    ],
)
def test_a_list_of_ids_that_does_not_fit(tmp_path, text, says):
    (tmp_path / "sample_id_details.json").write_text(text)
    with pytest.raises(DataError, match=says):
        read_sample_ids(tmp_path, {"train": 3, "test": 1})
