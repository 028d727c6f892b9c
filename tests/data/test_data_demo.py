from collections import Counter

import numpy as np
import soundfile

from kws_dendrite.data import PARTITIONS, load_dataset, read_signals
from kws_dendrite.data.demo import demo_folder


def test_the_demo_is_whole_synthetic_and_small():
    dataset = load_dataset("demo")
    assert dataset.synthetic and dataset.layout == "speech_commands" and not dataset.skipped and not dataset.notes
    assert dataset.labels == ("yes", "no", "stop", "go", "_unknown_", "_silence_")
    counts = Counter((clip.label, clip.partition) for clip in dataset.clips)
    assert all(counts[label, partition] >= 20 for label in range(6) for partition in PARTITIONS)
    files = [path for path in demo_folder().rglob("*") if path.is_file()]
    assert len(files) <= 700
    assert sum(path.stat().st_size for path in files) < 5.5e6
    assert "synthetic" in (demo_folder() / "README.md").read_text()


def test_speakers_are_in_one_partition_each():
    home = {}
    for clip in load_dataset("demo").clips:
        if clip.speaker is not None:
            assert home.setdefault(clip.speaker, clip.partition) == clip.partition
    assert len(home) == 100


def test_every_clip_is_one_second_of_sound():
    for path in demo_folder().glob("[a-z]*/*.flac"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames) == (16000, 1, 16000), path
    signals = read_signals(load_dataset("demo"), "validation")
    assert (np.abs(signals.samples[~signals.silence]).max(axis=1) > 80).all()


def test_a_copy_of_the_demo_still_says_synthetic(tmp_path):
    (tmp_path / "elsewhere").symlink_to(demo_folder(), target_is_directory=True)
    assert load_dataset(tmp_path / "elsewhere").synthetic
