import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.data.clip import Recording
from kws_dendrite.data.partition import (
    PARTITIONS,
    name_speakers,
    partition_by_hash,
    seeded_partition,
    speaker_of,
    speech_commands_partition,
)
from kws_dendrite.data.task import TaskConfig
from kws_dendrite.errors import ConfigError, DataError


def _recording(name: str, word: str = "yes", speaker: str | None = None) -> Recording:
    return Recording(Path(name), name, word, speaker)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), st.integers(0, 9))
def test_speech_commands_rule_as_the_release_writes_it(speaker, take):
    name = f"{speaker}_nohash_{take}.wav"
    hashed = hashlib.sha1(re.sub(r"_nohash_.*$", "", name).encode("utf-8")).hexdigest()
    most = 2**27 - 1
    percent = (int(hashed, 16) % (most + 1)) * (100.0 / most)
    expected = "validation" if percent < 10 else "test" if percent < 20 else "train"
    assert speech_commands_partition(name) == expected
    assert speech_commands_partition(f"{speaker}_nohash_{take + 1}.flac") == expected


def test_shares_are_near_ten_per_cent():
    counts = Counter(speech_commands_partition(f"{number:08x}_nohash_0.wav") for number in range(5000))
    assert 400 < counts["validation"] < 600 and 400 < counts["test"] < 600


def test_seed_matters_and_repeats():
    first = [seeded_partition(f"s{number}", 0) for number in range(200)]
    assert first == [seeded_partition(f"s{number}", 0) for number in range(200)]
    assert first != [seeded_partition(f"s{number}", 1) for number in range(200)]
    assert "test" not in [seeded_partition(f"s{number}", 0, test=False) for number in range(200)]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["yes", "no"])), min_size=30, max_size=60),
    st.integers(0, 5),
)
def test_no_speaker_is_in_two_partitions(pairs, seed):
    recordings = [_recording(f"{word}/{row}.wav", word, f"s{who}") for row, (who, word) in enumerate(pairs)]
    if len({item.speaker for item in recordings}) < 3:
        return
    parts = partition_by_hash(recordings, seed)
    home = {}
    for item in parts:
        assert home.setdefault(item.speaker, item.partition) == item.partition
    assert {item.partition for item in parts} == set(PARTITIONS)


@given(st.integers(3, 30), st.integers(0, 5))
def test_every_class_reaches_every_partition(count, seed):
    recordings = [_recording(f"{word}/{row}.wav", word) for word in ("a", "b") for row in range(count)]
    parts = partition_by_hash(recordings, seed)
    for word in ("a", "b"):
        assert {item.partition for item in parts if item.word == word} == set(PARTITIONS)


def test_adding_clips_moves_no_other():
    names = [f"a/{row}.wav" for row in range(200)]
    before = {item.name: item.partition for item in partition_by_hash(map(_recording, names), 0)}
    after = {item.name: item.partition for item in partition_by_hash(map(_recording, [*names, "a/new.wav"]), 0)}
    assert all(after[name] == partition for name, partition in before.items())


def test_too_few_are_refused():
    with pytest.raises(DataError, match=r"class 'lonely' has 1 clip"):
        partition_by_hash([_recording(f"a/{row}.wav", "a") for row in range(9)] + [_recording("l/0.wav", "lonely")], 0)
    with pytest.raises(DataError, match="only 2 speaker"):
        partition_by_hash([_recording(f"a/{row}.wav", "a", f"s{row % 2}") for row in range(9)], 0)


def test_speaker_pattern():
    assert speaker_of("yes/anna-3.wav", r"/(?P<speaker>\w+)-\d") == "anna"
    assert speaker_of("yes/3.wav", r"/(?P<speaker>[a-z]+)-\d") is None
    task = TaskConfig(speaker_pattern=r"/(?P<speaker>[a-z]+)-\d")
    named, notes = name_speakers([_recording("yes/anna-3.wav"), _recording("yes/3.wav")], task)
    assert [item.speaker for item in named] == ["anna", None]
    assert notes == ["1 clips do not match the speaker pattern; each counts as its own speaker"]
    with pytest.raises(ConfigError, match=r"matches no clip; the first is named 'yes/3\.wav'"):
        name_speakers([_recording("yes/3.wav")], task)
