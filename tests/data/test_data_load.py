"""Layouts found out from a path alone: Speech Commands, class folders, flat files; and what is refused."""

from collections import Counter

import numpy as np
import pytest
from clip_folders import class_folder, edge_impulse, speech_commands, tone, write

from kws_dendrite.data import TaskConfig, load_dataset
from kws_dendrite.data.partition import PARTITIONS, speech_commands_partition
from kws_dendrite.errors import ConfigError, DataError

WORDS = ("yes", "no", "up", "bird", "cat")


def _count(dataset):
    return Counter((dataset.labels[clip.label], clip.partition) for clip in dataset.clips)


def test_speech_commands_by_the_official_hash(tmp_path):
    dataset = load_dataset(speech_commands(tmp_path, WORDS))
    assert dataset.layout == "speech_commands"
    assert dataset.labels == ("yes", "no", "up", "_unknown_", "_silence_")
    assert not dataset.synthetic
    for clip in dataset.clips:
        if clip.level is None:
            assert clip.partition == speech_commands_partition(clip.path.name)
            assert clip.speaker == clip.path.name.split("_nohash_")[0]
    counts = _count(dataset)
    for partition in PARTITIONS:
        assert counts["_silence_", partition] == counts["yes", partition]
    assert counts["_unknown_", "train"] == min(3 * counts["yes", "train"], 2 * counts["yes", "train"])
    assert counts["_unknown_", "test"] == counts["yes", "test"]


def test_keywords_in_the_order_given_and_others_unknown(tmp_path):
    dataset = load_dataset(speech_commands(tmp_path, WORDS), TaskConfig(keywords=("cat", "yes"), unknown_ratio=0.5))
    assert dataset.labels == ("cat", "yes", "_unknown_", "_silence_")
    counts = _count(dataset)
    assert counts["_unknown_", "train"] == round(0.5 * counts["cat", "train"])
    dataset = load_dataset(tmp_path, TaskConfig(keywords=("cat", "yes"), unknown=False, silence=False))
    assert dataset.labels == ("cat", "yes")


def test_the_same_seed_gives_the_same_clips(tmp_path):
    speech_commands(tmp_path, WORDS)
    task = TaskConfig(keywords=("yes", "no"), unknown_ratio=1.0)
    assert load_dataset(tmp_path, task).clips == load_dataset(tmp_path, task).clips
    other = TaskConfig(keywords=("yes", "no"), unknown_ratio=1.0, seed=1)
    assert load_dataset(tmp_path, other).clips != load_dataset(tmp_path, task).clips


def test_without_noise_recordings_silence_is_synthetic_and_says_so(tmp_path):
    dataset = load_dataset(speech_commands(tmp_path, WORDS, noise=False))
    assert "_silence_" in dataset.labels and dataset.noise == ()
    assert any("synthetic coloured noise" in note for note in dataset.notes)


def test_an_archive_that_unpacks_as_a_folder_in_a_folder(tmp_path):
    speech_commands(tmp_path / "SpeechCommands" / "speech_commands_v0.02", WORDS)
    assert load_dataset(tmp_path).name == "speech_commands_v0.02"


def test_class_folder_has_every_class_and_partition(tmp_path):
    dataset = load_dataset(class_folder(tmp_path, {"on": 20, "lamp": 12}))
    assert dataset.layout == "class_folder"
    assert dataset.labels == ("lamp", "on")
    counts = _count(dataset)
    assert all(counts[word, partition] for word in dataset.labels for partition in PARTITIONS)


def test_class_folder_partitioned_by_speaker(tmp_path):
    task = TaskConfig(speaker_pattern=r"/(?P<speaker>s\d+)-")
    dataset = load_dataset(class_folder(tmp_path, {"on": 20, "lamp": 12}), task)
    home = {}
    for clip in dataset.clips:
        assert home.setdefault(clip.speaker, clip.partition) == clip.partition
    assert set(home.values()) == set(PARTITIONS) and len(home) == 6


def test_class_folder_with_keywords_noise_and_subfolders(tmp_path):
    class_folder(tmp_path, {"on": 20, "lamp": 12, "cat": 12})
    write(tmp_path / "lamp" / "session2" / "extra.flac", tone())
    write(tmp_path / "_background_noise_" / "room.wav", tone(12))
    dataset = load_dataset(tmp_path, TaskConfig(keywords=("on", "lamp")))
    assert dataset.labels == ("on", "lamp", "_unknown_", "_silence_")
    assert sum(clip.name.startswith("lamp/") for clip in dataset.clips) == 13


def test_special_classes_come_last(tmp_path):
    dataset = load_dataset(class_folder(tmp_path, {"_silence_": 5, "_unknown_": 5, "zoo": 5, "ant": 5}))
    assert dataset.labels == ("ant", "zoo", "_unknown_", "_silence_")


def test_recorded_silence_is_silence_and_not_unknown(tmp_path):
    class_folder(tmp_path, {"_silence_": 8, "_unknown_": 8, "zoo": 8, "ant": 8})
    whole = load_dataset(tmp_path)
    again = load_dataset(tmp_path, TaskConfig().for_labels(whole.labels))
    assert again.labels == whole.labels and len(again.clips) == len(whole.clips)
    assert load_dataset(tmp_path, TaskConfig(keywords=("ant",), silence=False)).labels == ("ant", "_unknown_")


def test_a_folder_of_test_clips_serves_to_evaluate(tmp_path):
    folder = speech_commands(tmp_path, WORDS, noise=False)
    for path in folder.glob("*/*.wav"):
        if speech_commands_partition(path.name) != "test":
            path.unlink()
    dataset = load_dataset(tmp_path, TaskConfig(keywords=("yes", "no")))
    assert {clip.partition for clip in dataset.clips} == {"test"}
    assert any("serves to evaluate" in note for note in dataset.notes)


def test_all_as_takes_the_official_test_archives_form_whole(tmp_path):
    class_folder(tmp_path, {"yes": 6, "no": 5, "_unknown_": 9, "_silence_": 7})
    write(tmp_path / "yes" / "0a_nohash_0.wav", tone())
    dataset = load_dataset(tmp_path, TaskConfig(all_as="test"))
    assert dataset.labels == ("yes", "no", "_unknown_", "_silence_")
    assert _count(dataset) == {(word, "test"): count for word, count in zip(dataset.labels, (7, 5, 9, 7), strict=True)}


def test_long_clips_are_cut_into_windows_within_one_partition(tmp_path):
    class_folder(tmp_path, {"on": 8, "off": 8}, seconds=2.6)
    dataset = load_dataset(tmp_path)
    starts = {}
    for clip in dataset.clips:
        starts.setdefault(clip.name, []).append((clip.start, clip.partition))
    for windows in starts.values():
        assert [start for start, _ in windows] == [0, 16000, round(1.6 * 16000)]
        assert len({partition for _, partition in windows}) == 1
    short = load_dataset(class_folder(tmp_path / "short", {"on": 8, "off": 8}, seconds=1.4))
    assert {clip.start for clip in short.clips} == {0}


def test_flat_files_are_labelled_by_the_first_dot(tmp_path):
    for word in ("on", "off"):
        for take in range(6):
            write(tmp_path / f"{word}.{take}.wav", tone())
    dataset = load_dataset(tmp_path)
    assert dataset.layout == "named_files" and dataset.labels == ("off", "on")


def test_edge_impulse_is_found(tmp_path):
    assert load_dataset(edge_impulse(tmp_path, "root")).layout == "edge_impulse"


def test_no_folder_no_clips_a_file(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no clips"):
        load_dataset(tmp_path)
    (tmp_path / "archive.zip").touch()
    with pytest.raises(DataError, match="is a file; unpack it"):
        load_dataset(tmp_path / "archive.zip")
    np.save(tmp_path / "X_split_train.npy", np.zeros((2, 26), np.float32))
    with pytest.raises(DataError, match="feature arrays"):
        load_dataset(tmp_path)


def test_one_class_alone_and_a_class_with_one_clip(tmp_path):
    with pytest.raises(DataError, match=r"one class alone \(on\)"):
        load_dataset(class_folder(tmp_path / "alone", {"on": 9}))
    with pytest.raises(DataError, match="class 'off' has 1 clip"):
        load_dataset(class_folder(tmp_path / "one", {"on": 9, "off": 1}))
    speech_commands(tmp_path / "sc", ("yes", "no"))
    write(tmp_path / "sc" / "up" / "00000001_nohash_0.wav", tone())
    with pytest.raises(DataError, match="class 'up' has 1 clip"):
        load_dataset(tmp_path / "sc")


def test_a_keyword_that_is_not_there(tmp_path):
    speech_commands(tmp_path, WORDS)
    with pytest.raises(ConfigError, match=r"no clips of zebra.*it has bird, cat, no, up, yes"):
        load_dataset(tmp_path, TaskConfig(keywords=("zebra",)))


def test_a_bad_clip_stops_or_is_skipped_with_a_line(tmp_path):
    class_folder(tmp_path, {"on": 9, "off": 9})
    (tmp_path / "on" / "notes.wav").write_text("not audio at all, just some notes about audio\n")
    with pytest.raises(DataError, match=r"on/notes\.wav is text"):
        load_dataset(tmp_path)
    dataset = load_dataset(tmp_path, TaskConfig(skip_bad=True))
    assert len(dataset.skipped) == 1 and "notes.wav" in dataset.skipped[0]
    assert len(dataset.clips) == 18


def test_a_broken_card_is_refused(tmp_path):
    speech_commands(tmp_path, WORDS)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset\.json is no readable JSON"):
        load_dataset(tmp_path)
