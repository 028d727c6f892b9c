from dataclasses import replace

import numpy as np
import pytest
from clip_folders import class_folder, speech_commands, tone, write

from kws_dendrite.data import TaskConfig, load_dataset, read_signals
from kws_dendrite.errors import DataError


def test_short_clips_are_padded_at_the_end(tmp_path):
    dataset = load_dataset(speech_commands(tmp_path, ("yes", "no", "bird")), TaskConfig(dither=0))
    signals = read_signals(dataset, "train")
    assert signals.samples.dtype == np.int16 and signals.samples.shape == (len(dataset.partition("train")), 16000)
    first = signals.ids.index(next(name for name in signals.ids if name.startswith("yes/")))
    assert signals.samples[first, 12800:].max() == 0 == signals.samples[first, 12800:].min()
    np.testing.assert_array_equal(signals.labels, [clip.label for clip in dataset.partition("train")])
    np.testing.assert_array_equal(signals.silence, signals.labels == dataset.silence_label)


def test_dither_leaves_no_digital_silence_and_moves_no_sample_by_more_than_its_width(tmp_path):
    folder = speech_commands(tmp_path, ("yes", "no", "bird"))
    clean = read_signals(load_dataset(folder, TaskConfig(dither=0)), "test").samples.astype(int)
    dithered = read_signals(load_dataset(folder), "test").samples.astype(int)
    assert np.abs(clean - dithered).max() == 1
    assert (np.abs(dithered[:, 12800:]).max(axis=1) > 0).all()


def test_a_clip_reads_the_same_in_any_company(tmp_path):
    dataset = load_dataset(speech_commands(tmp_path, ("yes", "no", "bird")))
    whole = read_signals(dataset, "train")
    fewer = replace(dataset, clips=tuple(clip for clip in dataset.clips if clip.label == 1))
    part = read_signals(fewer, "train")
    rows = [whole.ids.index(name) for name in part.ids]
    np.testing.assert_array_equal(part.samples, whole.samples[rows])


def test_windows_of_a_long_file_are_consecutive(tmp_path):
    class_folder(tmp_path, {"on": 6, "off": 6}, seconds=3.0)
    dataset = load_dataset(tmp_path, TaskConfig(dither=0))
    signals = read_signals(dataset, "train")
    name = signals.ids[0]
    rows = [signals.ids.index(other) for other in (name, f"{name}@16000", f"{name}@32000")]
    take = int(name.split("-")[1].split(".")[0])
    expected = tone(3.0, 200 + 150 * (0 if name.startswith("on") else 1) + 7 * take)
    np.testing.assert_array_equal(signals.samples[rows].reshape(-1), expected)


def test_another_rate_reads_windows_of_its_own_length(tmp_path):
    dataset = load_dataset(class_folder(tmp_path, {"on": 6, "off": 6}), TaskConfig(sampling_freq=8000))
    assert read_signals(dataset, "test").samples.shape[1] == 8000


def test_progress_reaches_the_total(tmp_path):
    dataset = load_dataset(class_folder(tmp_path, {"on": 6, "off": 6}))
    seen = []
    read_signals(dataset, "train", lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(dataset.partition("train")),) * 2


def test_a_clip_that_breaks_after_loading_is_named_or_skipped(tmp_path):
    class_folder(tmp_path, {"on": 9, "off": 9})
    for skip in (False, True):
        dataset = load_dataset(tmp_path, TaskConfig(skip_bad=skip))
        victim = dataset.partition("train")[2]
        kept = victim.path.read_bytes()
        victim.path.write_bytes(b"")
        if skip:
            signals = read_signals(dataset, "train")
            assert len(signals) == len(dataset.partition("train")) - 1 == len(signals.samples) == len(signals.silence)
            assert victim.id not in signals.ids
            assert len(signals.skipped) == 1 and victim.path.name in signals.skipped[0]
        else:
            with pytest.raises(DataError, match=victim.path.name):
                read_signals(dataset, "train")
        victim.path.write_bytes(kept)


def test_an_empty_partition_is_refused(tmp_path):
    dataset = load_dataset(class_folder(tmp_path, {"on": 9, "off": 9}))
    with pytest.raises(DataError, match="has no test clips"):
        read_signals(replace(dataset, clips=dataset.partition("train")), "test")


def test_nan_in_a_float_clip_is_named(tmp_path):
    class_folder(tmp_path, {"on": 9, "off": 9})
    write(tmp_path / "on" / "s0-0.wav", np.full(16000, np.nan), subtype="FLOAT")
    dataset = load_dataset(tmp_path)
    partition = next(clip.partition for clip in dataset.clips if clip.name == "on/s0-0.wav")
    with pytest.raises(DataError, match=r"s0-0\.wav holds NaN"):
        read_signals(dataset, partition)
