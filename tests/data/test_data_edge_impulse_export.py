"""What is written for Edge Impulse comes back as it went: samples, labels, partitions, speakers."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from clip_folders import RATE, class_folder, edge_impulse, speech_commands, tone, write

from kws_dendrite.data import TaskConfig, load_dataset, read_audio
from kws_dendrite.data.edge_impulse_export import export_dataset, read_back
from kws_dendrite.data.silence import cut_silence, read_noise
from kws_dendrite.errors import ConfigError, DataError, OutputError

WORDS = ("yes", "no", "bed", "cat")
PATTERN = r"/(?P<speaker>s\d)-"


def clips_of(dataset):
    """Samples of every clip, without padding and dither: (label, partition, speaker, bytes), as a multiset."""
    noise = read_noise(dataset.noise, dataset.task)
    found = Counter()
    for clip in dataset.clips:
        if clip.level is not None:
            samples = cut_silence(noise, clip, dataset.task.window)
        else:
            samples = read_audio(clip.path, dataset.task.sampling_freq)[clip.start : clip.start + dataset.task.window]
        found[dataset.labels[clip.label], clip.partition, clip.speaker, samples.tobytes()] += 1
    return found


def files_of(folder):
    return json.loads((folder / "info.labels").read_text())["files"]


def _speech(folder):
    return speech_commands(folder, WORDS, speakers=60), TaskConfig(keywords=("yes", "no"))


def _long_recordings(folder):
    return class_folder(folder, {"zeta": 18, "alpha": 18}, seconds=2.6), TaskConfig(speaker_pattern=PATTERN)


def _stereo_and_slow(folder):
    class_folder(folder, {"a": 14, "b": 14}, seconds=0.7)
    write(folder / "a" / "stereo.wav", np.stack([tone(0.9), tone(0.9, 500)], 1), rate=22050, subtype="PCM_24")
    return folder, TaskConfig()


def _same_names_below(folder):
    for word in ("on", "off"):
        for session in range(6):
            for take in range(3):
                write(folder / word / f"day {session}" / f"take.{take}.wav", tone(1.0, 200 + 40 * session + 9 * take))
    return folder, TaskConfig()


def _own_unknown_and_silence(folder):
    return class_folder(folder, {"go": 12, "_unknown_": 12, "_silence_": 12, "Stop-now 2": 12}), TaskConfig()


def _an_export(folder):
    return edge_impulse(folder, "root"), TaskConfig()


@pytest.mark.parametrize(
    "made", [_speech, _long_recordings, _stereo_and_slow, _same_names_below, _own_unknown_and_silence, _an_export]
)
def test_what_comes_back_equals_what_went_out(tmp_path, made):
    folder, task = made(tmp_path / "in")
    before = load_dataset(folder, task)
    written = export_dataset(before, tmp_path / "out")
    assert read_back(written, task) == len(before.clips)
    after = load_dataset(tmp_path / "out")
    assert after.layout == "edge_impulse"
    assert after.labels == before.labels
    assert clips_of(after) == clips_of(before)
    assert (after.name, after.synthetic) == (before.name, before.synthetic)
    assert [note for note in after.notes if note.startswith("left out")] == []
    export_dataset(after, tmp_path / "again")  # and it stays so
    assert files_of(tmp_path / "again") != [] and clips_of(load_dataset(tmp_path / "again")) == clips_of(before)


def test_every_entry_is_as_the_uploader_and_the_sdk_take_it(tmp_path):
    folder, task = _speech(tmp_path / "in")
    before = load_dataset(folder, task)
    written = export_dataset(before, tmp_path / "out")
    entries = files_of(tmp_path / "out")
    assert len(entries) == len(before.clips) == sum(sum(row.values()) for row in written.clips.values())
    on_disk = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").glob("t*/*")}
    assert {entry["path"] for entry in entries} == on_disk
    assert len({entry["path"].split("/")[1].casefold() for entry in entries}) == len(entries)
    for entry in entries:
        category, name = entry["path"].split("/")
        assert set(entry) == {"path", "name", "category", "label", "metadata", "boundingBoxes"}
        assert entry["boundingBoxes"] == []  # the SDK fails without
        assert entry["category"] == category in ("training", "testing")
        assert entry["label"] == {"type": "label", "label": name.split(".")[0]}  # the uploader's rule for names
        assert re.fullmatch(r"[A-Za-z0-9 _-]+\.[A-Za-z0-9_-]+\.wav", name) and entry["name"] + ".wav" == name
        assert all(isinstance(value, str) for value in entry["metadata"].values())
        partition = entry["metadata"]["partition"]
        assert (category == "testing") == (partition == "test")
    assert {entry["metadata"]["partition"] for entry in entries} == {"train", "validation", "test"}


def test_without_the_card_only_the_order_of_classes_is_lost(tmp_path):
    folder, task = _speech(tmp_path / "in")
    before = load_dataset(folder, task)
    export_dataset(before, tmp_path / "out")
    (tmp_path / "out" / "dataset.json").unlink()  # Studio does not keep it
    after = load_dataset(tmp_path / "out")
    assert after.labels == ("no", "yes", "_unknown_", "_silence_")
    assert clips_of(after) == clips_of(before)


def test_the_same_data_gives_the_same_bytes(tmp_path):
    folder, task = _speech(tmp_path / "in")
    for name in ("one", "two"):
        export_dataset(load_dataset(folder, task), tmp_path / name)
    first, second = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()}
                     for n in ("one", "two"))  # fmt: skip
    assert first == second


def test_renamed_labels_come_back_renamed(tmp_path):
    folder, task = _speech(tmp_path / "in")
    before = load_dataset(folder, task)
    export_dataset(before, tmp_path / "out", rename={"_silence_": "noise", "_unknown_": "unknown"})
    after = load_dataset(tmp_path / "out")
    assert after.labels == ("yes", "no", "unknown", "noise")
    renamed = {"_silence_": "noise", "_unknown_": "unknown"}
    wanted = {(renamed.get(word, word), *rest): count for (word, *rest), count in clips_of(before).items()}
    assert clips_of(after) == wanted


def test_clips_that_are_there_twice_are_named(tmp_path):
    folder = class_folder(tmp_path / "in", {"a": 12, "b": 12})
    (folder / "a" / "copy.wav").write_bytes((folder / "b" / "s0-0.wav").read_bytes())
    written = export_dataset(load_dataset(folder), tmp_path / "out")
    assert len(written.duplicates) == 1 and written.duplicates[0].split("/")[1] in ("a.copy.wav", "b.s0-0.wav")


@pytest.mark.parametrize("label", ["häuser", "v1.0", "a/b", " yes", "yes\n", "", "tab\tbed"])
def test_a_label_that_the_uploader_does_not_take_is_refused_and_can_be_renamed(tmp_path, label):
    folder = class_folder(tmp_path / "in", {"odd": 12, "b": 12})
    dataset = load_dataset(folder)
    with pytest.raises(ConfigError, match="--rename"):
        export_dataset(dataset, tmp_path / "out", rename={"odd": label})
    assert not (tmp_path / "out").exists()


def test_renames_that_cannot_be_are_refused(tmp_path):
    dataset = load_dataset(class_folder(tmp_path / "in", {"a": 12, "b": 12}))
    with pytest.raises(ConfigError, match="no label 'c' to rename; the labels are a, b"):
        export_dataset(dataset, tmp_path / "out", rename={"c": "d"})
    with pytest.raises(ConfigError, match="two labels would be 'b'"):
        export_dataset(dataset, tmp_path / "out", rename={"a": "b"})


def test_a_broken_clip_stops_it_and_leaves_nothing(tmp_path):
    folder = class_folder(tmp_path / "in", {"a": 12, "b": 12})
    dataset = load_dataset(folder)
    (folder / "b" / "s3-3.wav").write_bytes(b"RIFF\x00\x00")
    with pytest.raises(DataError, match=r"s3-3\.wav"):
        export_dataset(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_clip_is_left_out_where_that_is_asked_for(tmp_path):
    folder = class_folder(tmp_path / "in", {"a": 12, "b": 12})
    dataset = load_dataset(folder, TaskConfig(skip_bad=True))
    (folder / "b" / "s3-3.wav").write_bytes(b"RIFF\x00\x00")
    written = export_dataset(dataset, tmp_path / "out")
    assert len(written.skipped) == 1 and "s3-3.wav" in written.skipped[0]
    assert len(files_of(tmp_path / "out")) == 23 == len(list((tmp_path / "out").glob("t*/*.wav")))


def test_what_does_not_come_back_is_counted(tmp_path):
    dataset = load_dataset(class_folder(tmp_path / "in", {"a": 12, "b": 12}))
    written = export_dataset(dataset, tmp_path / "out")
    entries = files_of(tmp_path / "out")
    train = [entry for entry in entries if entry["metadata"]["partition"] == "train"]
    train[0]["label"]["label"] = "b" if train[0]["label"]["label"] == "a" else "a"
    train[1]["metadata"]["speaker"] = "someone"
    train[2]["metadata"]["partition"] = "validation"
    (tmp_path / "out" / "info.labels").write_text(json.dumps({"version": 1, "files": entries}))
    write(tmp_path / "out" / train[3]["path"], tone(1.0, 77))
    assert read_back(written, dataset.task) == 20


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path):
    first = load_dataset(class_folder(tmp_path / "first", {"a": 12, "b": 12}))
    second = load_dataset(class_folder(tmp_path / "second", {"c": 12, "d": 12}))
    export_dataset(first, tmp_path / "out")
    with pytest.raises(OutputError, match="--overwrite"):
        export_dataset(second, tmp_path / "out")
    export_dataset(second, tmp_path / "out", overwrite=True)
    assert {path.name[0] for path in (tmp_path / "out").glob("t*/*.wav")} == {"c", "d"}
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "precious.wav", tone(1.0), RATE)
    with pytest.raises(OutputError, match="not made by kws-dendrite"):
        export_dataset(second, tmp_path / "mine", overwrite=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["precious.wav"]
