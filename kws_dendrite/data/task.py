"""What is to be told apart: keywords, the rest, silence; and how audio becomes fixed windows."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kws_dendrite.errors import ConfigError

UNKNOWN = "_unknown_"
SILENCE = "_silence_"
NOISE_FOLDER = "_background_noise_"


@dataclass(frozen=True)
class TaskConfig:
    """The classification task that is laid over a folder of recordings.

    Attributes:
        keywords: the words to spot, in label order; None lets the layout choose (Speech Commands: the classic ten
            that are there; the demo: its own; a folder of classes or an Edge Impulse export: every class).
        unknown: put the words that are no keywords into `_unknown_`; False leaves them out.
        unknown_ratio: training clips of `_unknown_`, at most, per mean number of clips of a keyword.
            Validation and test take the mean number itself, as the official 10 % does for ten keywords.
        silence: add `_silence_`, windows of the noise recordings at random levels; None adds it where the layout
            has noise recordings or is Speech Commands.
        sampling_freq: Hz; every clip is resampled to it.
        window_seconds: length of a clip; shorter ones are padded at the end, longer ones cut into windows.
        seed: draws the unknown clips, the silence windows, and partitions where the data names none.
        speaker_pattern: regular expression with a group `(?P<speaker>...)`, searched in the clip's path inside the
            folder; speakers then stay within one partition.
        all_as: take every clip as this partition, whatever the layout says: for a folder that is test data
            altogether, such as the official test archive of Speech Commands.
        skip_bad: leave out clips that cannot be read, and count them, instead of stopping at the first.
        dither: half width, in int16 steps, of the uniform noise added to every clip when it is read, so that
            digital silence (padding) never reaches the features; 0 turns it off.
    """

    keywords: tuple[str, ...] | None = None
    unknown: bool = True
    unknown_ratio: float = 3.0
    silence: bool | None = None
    sampling_freq: int = 16000
    window_seconds: float = 1.0
    seed: int = 0
    speaker_pattern: str | None = None
    all_as: str | None = None
    skip_bad: bool = False
    dither: float = 1.0

    def __post_init__(self) -> None:
        if self.keywords is not None:
            object.__setattr__(self, "keywords", tuple(self.keywords))
            if not self.keywords or any(not word for word in self.keywords):
                raise ConfigError("keywords is empty; name at least one word, or leave it out to take the layout's own")
            twice = sorted({word for word in self.keywords if self.keywords.count(word) > 1})
            if twice:
                raise ConfigError(f"keywords names {', '.join(twice)} twice; name each word once")
        if not 1000 <= self.sampling_freq <= 192000:
            raise ConfigError(f"sampling_freq is {self.sampling_freq} Hz; expected 1000 to 192000")
        if not 0.05 <= self.window_seconds <= 60:
            raise ConfigError(f"window_seconds is {self.window_seconds}; expected 0.05 to 60")
        if self.all_as not in (None, "train", "validation", "test"):
            raise ConfigError(f"all_as is {self.all_as!r}; expected train, validation or test")
        if self.unknown_ratio <= 0:
            raise ConfigError(f"unknown_ratio is {self.unknown_ratio}; expected more than 0 (or set unknown to False)")
        if not 0 <= self.dither <= 100:
            raise ConfigError(f"dither is {self.dither}; expected 0 to 100 int16 steps")
        if self.speaker_pattern is not None:
            try:
                groups = re.compile(self.speaker_pattern).groupindex
            except re.error as error:
                raise ConfigError(f"speaker_pattern {self.speaker_pattern!r} cannot be compiled: {error}") from error
            if "speaker" not in groups:
                raise ConfigError(
                    f"speaker_pattern {self.speaker_pattern!r} has no group named speaker; write (?P<speaker>...)"
                )

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TaskConfig":
        """The settings that `to_json` gave.

        Raises:
            ConfigError: an unknown or wrong setting.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(f"the task has no setting named {', '.join(unknown)}; was it written by a newer version?")
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"the task's settings are of a wrong type ({error})") from error

    def for_labels(self, labels: tuple[str, ...]) -> "TaskConfig":
        """The same task with exactly these classes: to evaluate a trained model on another folder."""
        spoken = tuple(label for label in labels if label not in (UNKNOWN, SILENCE))
        return replace(self, keywords=spoken, unknown=UNKNOWN in labels, silence=SILENCE in labels)

    @property
    def window(self) -> int:
        """Samples in a clip."""
        return round(self.window_seconds * self.sampling_freq)
