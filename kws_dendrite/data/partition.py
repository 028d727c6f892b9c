"""Which clips train, which validate, which test: by speaker where speakers are known, always by a hash.

A hash of the name, not a shuffle: a clip stays where it is when others are added or removed.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from kws_dendrite.data.clip import Recording
from kws_dendrite.data.task import TaskConfig
from kws_dendrite.errors import ConfigError, DataError

PARTITIONS = ("train", "validation", "test")
VALIDATION_PERCENT = 10.0
TEST_PERCENT = 10.0
_BUCKETS = 2**27 - 1  # MAX_NUM_WAVS_PER_CLASS of the Speech Commands release


def speech_commands_partition(file_name: str) -> str:
    """The release's own rule: SHA-1 of the name before `_nohash_`, 10 % validation, 10 % test.

    Source: `which_set` in the README of Speech Commands v0.02 (Warden, arXiv:1804.03209).
    """
    return _by_percentage(_percentage(re.sub(r"_nohash_.*$", "", file_name)), test=True)


def seeded_partition(key: str, seed: int, *, test: bool = True) -> str:
    """The same arithmetic over any key (a speaker, or a clip's name) and a seed; `test=False` leaves test out."""
    return _by_percentage(_percentage(f"{seed}:{key}"), test=test)


def speaker_of(name: str, pattern: str | None) -> str | None:
    """The pattern's group `speaker` in a clip's name, or None."""
    match = re.search(pattern, name) if pattern else None
    return match["speaker"] if match else None


def name_speakers(recordings: Iterable[Recording], task: TaskConfig) -> tuple[list[Recording], list[str]]:
    """Give each recording the speaker that `task.speaker_pattern` finds; also returns notes for the user.

    Raises:
        ConfigError: the pattern matches no clip.
    """
    recordings = list(recordings)
    if task.speaker_pattern is None or not recordings:
        return recordings, []
    named = [replace(item, speaker=speaker_of(item.name, task.speaker_pattern)) for item in recordings]
    missing = sum(item.speaker is None for item in named)
    if missing == len(named):
        raise ConfigError(
            f"speaker_pattern {task.speaker_pattern!r} matches no clip; the first is named {named[0].name!r}"
        )
    notes = [f"{missing} clips do not match the speaker pattern; each counts as its own speaker"] if missing else []
    return named, notes


def partition_by_hash(recordings: Iterable[Recording], seed: int, *, test: bool = True) -> list[Recording]:
    """Partition recordings by speaker, or by name where no speaker is known.

    The hash decides; where it leaves a partition empty that should not be (small sets), the group with the lowest
    hash moves there from train: class by class where clips stand for themselves, once for the whole set where
    speakers bind clips together.

    Raises:
        DataError: too few speakers, or a class with too few clips, to fill the partitions.
    """
    recordings = list(recordings)
    wanted = PARTITIONS if test else PARTITIONS[:2]
    choice = {key: seeded_partition(key, seed, test=test) for key in map(_group, recordings)}
    spoken = [item for item in recordings if item.speaker is not None]
    if spoken:
        groups = sorted({_group(item) for item in spoken}, key=lambda key: _percentage(f"{seed}:{key}"))
        if len(groups) < len(wanted):
            raise DataError(
                f"only {len(groups)} speaker(s) found, {len(wanted)} needed (one each for {', '.join(wanted)}); "
                "record more speakers or leave the speaker pattern out"
            )
        _fill(groups, choice, wanted)
    by_class = defaultdict(list)
    for item in recordings:
        if item.speaker is None:
            by_class[item.word].append(_group(item))
    for word, names in sorted(by_class.items()):
        groups = sorted(set(names), key=lambda key: _percentage(f"{seed}:{key}"))
        if any(item.word == word for item in spoken):
            continue
        if len(groups) < len(wanted):
            raise DataError(
                f"class {word!r} has {len(groups)} clip(s); at least {len(wanted)} are needed, one each for "
                f"{', '.join(wanted)}: record more or leave the class out"
            )
        _fill(groups, choice, wanted)
    return [replace(item, partition=choice[_group(item)]) for item in recordings]


def _fill(groups: list[str], choice: dict[str, str], wanted: tuple[str, ...]) -> None:
    for partition in wanted:
        members = [key for key in groups if choice[key] == partition]
        if not members:
            crowded = max(wanted, key=lambda other: sum(choice[key] == other for key in groups))
            choice[next(key for key in groups if choice[key] == crowded)] = partition


def _group(item: Recording) -> str:
    return f"speaker:{item.speaker}" if item.speaker is not None else item.name


def _percentage(text: str) -> float:
    return (int(hashlib.sha1(text.encode()).hexdigest(), 16) % (_BUCKETS + 1)) * (100.0 / _BUCKETS)


def _by_percentage(percentage: float, *, test: bool) -> str:
    if percentage < VALIDATION_PERCENT:
        return "validation"
    if test and percentage < VALIDATION_PERCENT + TEST_PERCENT:
        return "test"
    return "train"
