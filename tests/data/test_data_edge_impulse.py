import json
from collections import Counter

import pytest
from clip_folders import edge_impulse

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


def _add(folder, *entries):
    _rewrite(folder, [*_entries(folder), *entries])


def test_what_has_no_single_label_or_is_no_audio_is_left_out_and_named(tmp_path):
    edge_impulse(tmp_path, "root")
    files = _entries(tmp_path)
    files[0]["label"] = {"type": "unlabeled"}
    files[1]["label"] = {"type": "label", "label": " "}
    pieces = [
        {"label": "noise", "startIndex": 0, "endIndex": 500},
        {"label": "yes", "startIndex": 500, "endIndex": 999},
    ]
    files[2]["label"] = {"type": "multi-label", "labels": pieces}
    files.append({"path": "training/photo.png", "category": "training", "label": "noise"})
    files.append({"path": "training/odd.wav", "category": "anomaly", "label": "noise"})
    files.append(dict(files[5]))
    _rewrite(tmp_path, files)
    dataset = load_dataset(tmp_path)
    assert len(dataset.clips) == 45
    assert [note for note in dataset.notes if note.startswith("left out")] == [
        "left out, no label: 2 (training/clip0000.wav, training/clip0001.wav)",
        "left out, several labels in one clip: 1 (training/clip0002.wav)",
        "left out, not audio: 1 (training/photo.png)",
        "left out, category anomaly: 1 (training/odd.wav)",
        "left out, listed twice: 1 (training/clip0005.wav)",
    ]


def test_many_left_out_are_counted_after_five(tmp_path):
    edge_impulse(tmp_path, "root")
    files = _entries(tmp_path)
    for entry in files[:8]:
        entry["label"] = {"type": "unlabeled"}
    _rewrite(tmp_path, files)
    note = next(note for note in load_dataset(tmp_path).notes if note.startswith("left out"))
    assert note.endswith("training/clip0004.wav and 3 more)") and "no label: 8" in note


def test_metadata_name_the_speaker_and_divide_the_training_part(tmp_path):
    edge_impulse(tmp_path, "root")
    files = _entries(tmp_path)
    for number, entry in enumerate(files):
        entry["metadata"] = {"speaker": f"s{number % 6}", "partition": "validation" if number % 4 == 0 else "train"}
    _rewrite(tmp_path, files)
    dataset = load_dataset(tmp_path)
    wanted = {entry["path"]: entry for entry in files}
    for clip in dataset.clips:
        entry = wanted[clip.name]
        assert clip.speaker == entry["metadata"]["speaker"]
        category = "test" if entry["category"] == "testing" else entry["metadata"]["partition"]
        assert clip.partition == category  # Studio's category wins over what the metadata say


def test_without_a_partition_in_the_metadata_speakers_stay_together(tmp_path):
    edge_impulse(tmp_path, "root", counts=(40, 4))
    files = _entries(tmp_path)
    for number, entry in enumerate(files):
        entry["metadata"] = {"speaker": f"{entry['category']}{number % 20}", "partition": "elsewhere"}
    _rewrite(tmp_path, files)
    found = {}
    for clip in load_dataset(tmp_path).clips:
        assert found.setdefault(clip.speaker, clip.partition) == clip.partition
    assert set(found.values()) == {"train", "validation", "test"}


def test_a_validation_category_is_the_validation_partition(tmp_path):
    edge_impulse(tmp_path, "split")
    listed = json.loads((tmp_path / "training" / "info.labels").read_text())["files"]
    for number, entry in enumerate(listed):
        entry["category"] = "validation" if number % 5 == 0 else "training"
        entry["metadata"] = {"partition": "train"}
    _rewrite(tmp_path / "training", listed)
    counts = Counter(clip.partition for clip in load_dataset(tmp_path).clips)
    assert counts == {"train": 32, "validation": 8, "test": 8}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"path": "../../etc/clip.wav", "label": "x"}, "points outside"),
        ({"label": "x"}, "has no path"),
        ({"path": "training/x.wav", "label": {"type": "regression"}}, "no known type"),
        ({"path": "training/x\x00.wav", "label": "x"}, "a path that is none"),
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
