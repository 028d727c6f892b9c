"""Lay a task over a folder's recordings: keywords, unknown words, silence, partitions, windows."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from kws_dendrite.data.audio import probe_audio
from kws_dendrite.data.clip import Clip, Recording
from kws_dendrite.data.dataset import Dataset
from kws_dendrite.data.layout import Layout, read_card
from kws_dendrite.data.partition import PARTITIONS, name_speakers, partition_by_hash
from kws_dendrite.data.silence import silence_clips
from kws_dendrite.data.task import SILENCE, UNKNOWN, TaskConfig
from kws_dendrite.errors import ConfigError, DataError


@dataclass
class _Gatherer:
    """Checks recordings as they are taken, and keeps count of the bad ones."""

    task: TaskConfig
    windowed: bool
    skipped: list[str] = field(default_factory=list)

    def clips(self, recordings: list[Recording], label: int) -> list[Clip]:
        found = []
        for item in recordings:
            try:
                seconds = probe_audio(item.path)
            except DataError as error:
                if not self.task.skip_bad:
                    raise
                self.skipped.append(str(error))
                continue
            found += self._windows(item, seconds, label)
        return found

    def _windows(self, item: Recording, seconds: float, label: int) -> list[Clip]:
        """One clip a window, hop equal to the window; the last is aligned to the end where half or more is left."""
        rate, window = self.task.sampling_freq, self.task.window
        first = round(item.start * rate)
        length = round((seconds - item.start if item.seconds is None else item.seconds) * rate)
        starts = [0]
        if self.windowed and length > window:
            starts = list(range(0, length - window + 1, window))
            if length - starts[-1] - window >= window / 2:
                starts.append(length - window)
        partition = item.partition or "train"
        return [Clip(item.path, item.name, label, item.speaker, partition, first + start) for start in starts]


def assemble(layout: Layout, task: TaskConfig) -> Dataset:
    """Choose the clips that a task asks for; deterministic in the layout and `task.seed`.

    Raises:
        ConfigError: a keyword without recordings; a speaker pattern that matches nothing.
        DataError: one class alone, a class or partition without clips, an unreadable clip (unless `task.skip_bad`).
    """
    recordings, notes = _partitioned(layout, task)
    notes = [*layout.notes, *notes]
    keywords, unknown = _vocabulary(layout, task)
    by_word: dict[str, list[Recording]] = {word: [] for word in keywords}
    others: list[Recording] = []
    recorded: list[Recording] = []  # a class folder named `_silence_` beside the keywords
    for item in recordings:
        by_word.get(item.word, recorded if item.word == SILENCE else others).append(item)
    gatherer = _Gatherer(task, windowed=layout.kind != "speech_commands")
    labels = list(keywords)
    clips = [clip for label, word in enumerate(keywords) for clip in gatherer.clips(by_word[word], label)]
    mean = _mean_counts(clips, [word for word in keywords if word not in (UNKNOWN, SILENCE)], labels)
    if unknown and others:
        labels.append(UNKNOWN)
        rng = np.random.default_rng([task.seed, 3])
        for partition in PARTITIONS:
            limit = round(mean[partition] * (task.unknown_ratio if partition == "train" else 1.0))
            there = [item for item in others if item.partition == partition]
            named = [item for item in there if item.word == UNKNOWN]  # chosen by whoever made that folder
            chosen = _sample([item for item in there if item.word != UNKNOWN], max(limit - len(named), 0), rng)
            clips += gatherer.clips(named + chosen, labels.index(UNKNOWN))
    if recorded and task.silence is not False:
        labels.append(SILENCE)
        clips += gatherer.clips(recorded, labels.index(SILENCE))
    elif _wants_silence(layout, task, labels):
        labels.append(SILENCE)
        if not layout.noise:
            notes.append("no noise recordings (_background_noise_): silence and noise are synthetic coloured noise")
        counts = {partition: round(mean[partition]) for partition in PARTITIONS}
        clips += silence_clips(layout.noise, counts, labels.index(SILENCE), task)
    notes += _check(layout, labels, clips)
    card = read_card(layout.source)
    return Dataset(
        name=str(card.get("name", layout.source.resolve().name)),
        labels=tuple(labels),
        clips=tuple(clips),
        noise=layout.noise,
        synthetic=bool(card.get("synthetic", False)),
        layout=layout.kind,
        skipped=tuple(gatherer.skipped),
        source=layout.source,
        task=task,
        notes=tuple(notes),
    )


def _partitioned(layout: Layout, task: TaskConfig) -> tuple[list[Recording], list[str]]:
    """Recordings that all have a partition. Where the layout names it, a speaker pattern only names the speakers."""
    recordings, notes = name_speakers(layout.recordings, task)
    if task.all_as is not None:
        return [replace(item, partition=task.all_as) for item in recordings], notes
    settled = [item for item in recordings if item.partition is not None]
    undecided = [item for item in recordings if item.partition is None]
    if layout.has_test and layout.kind != "speech_commands":
        tested = {item.speaker for item in settled if item.speaker is not None}
        shared = tested & {item.speaker for item in undecided}
        if shared:
            notes.append(f"{len(shared)} speakers are in the layout's own test part and in its training part")
    if task.speaker_pattern is not None and layout.kind == "speech_commands":
        undecided, settled = [replace(item, partition=None) for item in recordings], []
        notes.append("partitioned by the speaker pattern, not by the release's rule")
    has_test = layout.has_test and bool(settled)
    return settled + partition_by_hash(undecided, task.seed, test=not has_test) if undecided else settled, notes


def _vocabulary(layout: Layout, task: TaskConfig) -> tuple[tuple[str, ...], bool]:
    """The keywords in label order, and whether other words become `_unknown_`."""
    words = {item.word for item in layout.recordings}
    keywords = task.keywords or layout.keywords
    if keywords is None:
        special = [word for word in (UNKNOWN, SILENCE) if word in words]
        return (*sorted(words - set(special)), *special), False
    missing = [word for word in keywords if word not in words]
    if missing:
        there = ", ".join(sorted(words)[:12]) + (", ..." if len(words) > 12 else "")
        raise ConfigError(f"no clips of {', '.join(missing)} in {layout.source}; it has {there}")
    return keywords, task.unknown


def _mean_counts(clips: list[Clip], spoken: list[str], labels: list[str]) -> dict[str, float]:
    wanted = {labels.index(word) for word in spoken}
    counts = Counter(clip.partition for clip in clips if clip.label in wanted)
    return {partition: counts[partition] / max(len(wanted), 1) for partition in PARTITIONS}


def _sample(items: list[Recording], limit: int, rng: np.random.Generator) -> list[Recording]:
    if len(items) <= limit:
        return items
    return [items[index] for index in np.sort(rng.choice(len(items), limit, replace=False))]


def _wants_silence(layout: Layout, task: TaskConfig, labels: list[str]) -> bool:
    if SILENCE in labels:
        return False
    return task.silence if task.silence is not None else bool(layout.noise) or layout.kind == "speech_commands"


def _check(layout: Layout, labels: list[str], clips: list[Clip]) -> list[str]:
    """Refuse what cannot be trained on; note what can but is thin."""
    if len(labels) < 2:
        raise DataError(
            f"{layout.source} has one class alone ({labels[0]}); add clips of other words, or noise for silence"
        )
    counts = Counter((clip.label, clip.partition) for clip in clips)
    if not any(clip.partition == "train" for clip in clips):
        missing = [word for label, word in enumerate(labels) if not any(clip.label == label for clip in clips)]
        if missing:
            raise DataError(f"{layout.source} has no clips of {', '.join(missing)}")
        return ["no training clips: this folder serves to evaluate"]
    for label, word in enumerate(labels):
        total = sum(counts[label, partition] for partition in PARTITIONS)
        if total < 2:
            raise DataError(
                f"class {word!r} has {total or 'no'} clip{'s' if total == 0 else ''} in {layout.source}; "
                "record more or leave the class out"
            )
        if not counts[label, "train"]:
            raise DataError(f"class {word!r} has no training clip; all {total} belong to validation or test speakers")
    for partition in PARTITIONS[1:]:
        if not any(clip.partition == partition for clip in clips):
            raise DataError(f"{layout.source} has no {partition} clips; more speakers or more clips are needed")
    return [
        f"class {word!r} has no {partition} clip"
        for label, word in enumerate(labels)
        for partition in PARTITIONS[1:]
        if not counts[label, partition]
    ]
