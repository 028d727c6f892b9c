import json
from collections import Counter

import pytest
from clip_folders import edge_impulse, tone, write

from kws_dendrite.data import load_dataset
from kws_dendrite.errors import DataError


@pytest.mark.parametrize("where", ["root", "split", "names"])
@pytest.mark.parametrize("bounding_boxes", [True, False])
def test_every_form_of_export_gives_the_same_counts(tmp_path, where, bounding_boxes):
    dataset = load_dataset(edge_impulse(tmp_path, where, bounding_boxes))
    assert dataset.layout == "edge_impulse"
    assert dataset.labels == ("helloworld", "noise")
    counts = Counter((dataset.labels[clip.label], clip.partition) for clip in dataset.clips)
    for word in dataset.labels:
        assert counts[word, "test"] == 4
        assert counts[word, "train"] + counts[word, "validation"] == 20
        assert counts[word, "validation"] >= 1
    assert all(clip.name.startswith("testing/") == (clip.partition == "test") for clip in dataset.clips)


def test_without_testing_a_tenth_is_set_aside(tmp_path):
    dataset = load_dataset(edge_impulse(tmp_path, "names", counts=(30, 0)))
    assert {clip.partition for clip in dataset.clips} == {"train", "validation", "test"}
    assert any("no testing part" in note for note in dataset.notes)


def _entries(folder):
    return json.loads((folder / "info.labels").read_text())["files"]


def _rewrite(folder, files):
    (folder / "info.labels").write_text(json.dumps({"version": 1, "files": files}))


def test_unlabelled_and_foreign_files_are_left_out_with_a_note(tmp_path):
    edge_impulse(tmp_path, "root")
    files = _entries(tmp_path)
    files[0]["label"] = {"type": "unlabeled"}
    files.append({"path": "training/motion.cbor", "category": "training", "label": {"type": "label", "label": "noise"}})
    _rewrite(tmp_path, files)
    dataset = load_dataset(tmp_path)
    assert len(dataset.clips) == 47
    assert any("1 clips have no label" in note for note in dataset.notes)
    assert any("1 files are not audio" in note for note in dataset.notes)


def test_a_multi_label_clip_gives_its_pieces(tmp_path):
    edge_impulse(tmp_path, "root")
    write(tmp_path / "training" / "long.wav", tone(4.0))
    pieces = [
        {"label": "noise", "startIndex": 0, "endIndex": 1000},
        {"label": "helloworld", "startIndex": 1500, "endIndex": 3500},
    ]
    entry = {"path": "training/long.wav", "category": "training", "label": {"type": "multi-label", "labels": pieces}}
    _rewrite(tmp_path, [*_entries(tmp_path), entry])
    dataset = load_dataset(tmp_path)
    found = [(dataset.labels[clip.label], clip.start) for clip in dataset.clips if clip.name == "training/long.wav"]
    assert sorted(found) == [("helloworld", 24000), ("helloworld", 40000), ("noise", 0)]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"path": "../../etc/clip.wav", "label": "x"}, "points outside"),
        ({"label": "x"}, "has no path"),
        ({"path": "training/x.wav", "label": {"type": "regression"}}, "no known type"),
        ({"path": "training/x.wav", "label": {"type": "multi-label", "labels": [{"label": "a"}]}}, "lack label"),
        ({"path": "training/missing.wav", "label": "noise"}, r"missing\.wav does not exist"),
    ],
)
def test_broken_entries_are_named(tmp_path, entry, says):
    edge_impulse(tmp_path, "root")
    _rewrite(tmp_path, [*_entries(tmp_path), entry])
    with pytest.raises(DataError, match=says):
        load_dataset(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"files": 3}', "\x00"])
def test_a_broken_index_is_refused(tmp_path, text):
    edge_impulse(tmp_path, "root")
    (tmp_path / "info.labels").write_text(text)
    with pytest.raises(DataError, match=r"info\.labels"):
        load_dataset(tmp_path)
