"""The detector's settings, its C sources, and the same decisions in Python to hold the C to.

What is computed is stated once, in runtime/detector/kws_detector.h: a moving average of the posteriors (Chen, Parada
and Heigold, ICASSP 2014, section 2.3), a threshold, a refractory period and a hysteresis, all in integers.
"""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from kws_dendrite.errors import ConfigError, ExportError

BACKGROUND_NAMES = frozenset({"silence", "unknown", "noise", "background"})
DEFAULT_THRESHOLD = 0.8
RELEASE_SHARE = 0.5  # of the threshold, where no release is given
SOFTMAX_QUANTIZATION = (1 / 256, -128)  # TFLite's int8 softmax has no other
MOST_SMOOTHING = 255  # 255 decisions of 255 still fit the 16-bit sums
MOST_FRAMES = 65535  # 16-bit counters


@dataclass(frozen=True)
class DetectorConfig:
    """When a model's posteriors are a detection.

    Attributes:
        stride: frames from one decision to the next; None is a quarter of the window.
        smoothing: decisions in the moving average, 1 (off) to 255.
        threshold: smoothed posterior that detects, in (0, 1]; one for all keywords, or a mapping from label (0.8 for
            keywords that it leaves out). 1 asks for the highest value that int8 has, 255/256.
        release: smoothed posterior below which a keyword may be detected again, at most its threshold; one for all, a
            mapping, or None for half of each threshold.
        refractory: frames after a detection without another one; None is the window's length, 0 turns it off.
        background: labels that are never detected; None takes those that start with "_" or are called silence,
            unknown, noise or background, in any case.
    """

    stride: int | None = None
    smoothing: int = 3
    threshold: float | Mapping[str, float] = DEFAULT_THRESHOLD
    release: float | Mapping[str, float] | None = None
    refractory: int | None = None
    background: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.stride is not None:
            _check_count("stride", self.stride, 1, MOST_FRAMES)
        _check_count("smoothing", self.smoothing, 1, MOST_SMOOTHING)
        if self.refractory is not None:
            _check_count("refractory", self.refractory, 0, MOST_FRAMES)
        _check_shares("threshold", self.threshold)
        if self.release is not None:
            _check_shares("release", self.release)
        if self.background is not None:
            if isinstance(self.background, str) or not all(isinstance(name, str) for name in self.background):
                raise ConfigError(f"background must be a row of label names, got {self.background!r}")
            object.__setattr__(self, "background", tuple(self.background))

    def stride_of(self, frames: int) -> int:
        """Frames between decisions for a window of `frames`."""
        return self.stride if self.stride is not None else max(1, frames // 4)

    def refractory_of(self, frames: int) -> int:
        """Frames of silence after a detection for a window of `frames`."""
        return self.refractory if self.refractory is not None else frames

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries."""
        return asdict(self) | {"background": None if self.background is None else list(self.background)}


@dataclass(frozen=True)
class Levels:
    """A configuration fitted to its labels: what the C compares with.

    Attributes:
        thresholds: K values 0..255, 0 for a background label.
        releases: K values 0..255.
    """

    thresholds: tuple[int, ...]
    releases: tuple[int, ...]


@dataclass(frozen=True)
class Detection:
    """One detection.

    Attributes:
        label: index of the label.
        score: its smoothed posterior, 0..255.
        frame: the frame it ended on, counted from 0.
    """

    label: int
    score: int
    frame: int


def levels(labels: Sequence[str], config: DetectorConfig) -> Levels:
    """Thresholds and releases, label by label: ceil(256 * probability), so that integers compare as the shares do.

    Raises:
        ConfigError: labels that are missing, empty or double; a setting for a label that there is not or that is
            background; a release above its threshold; no keyword left.
    """
    names = list(labels)
    if not names or len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"a detector needs the model's labels, each once and none empty; got {names}")
    background = _background(names, config)
    for field in ("threshold", "release"):
        _check_labels(field, getattr(config, field), names, background)
    thresholds, releases = [], []
    for name in names:
        if name in background:
            thresholds.append(0)
            releases.append(0)
            continue
        threshold = _of(config.threshold, name, DEFAULT_THRESHOLD)
        release = _of(config.release, name, threshold * RELEASE_SHARE)
        if release > threshold:
            raise ConfigError(
                f"release of {name!r} is {release}, above its threshold {threshold}: it must be at most that, or the "
                "keyword would be re-armed while it is still heard"
            )
        thresholds.append(_level(threshold))
        releases.append(_level(release))
    return Levels(tuple(thresholds), tuple(releases))


def emit_detector(
    labels: Sequence[str],
    config: DetectorConfig | None = None,
    *,
    output_quantization: tuple[float, int] = SOFTMAX_QUANTIZATION,
) -> dict[str, str]:
    """The detector's sources, file name -> text: kws_detector.h and kws_detector.c.

    Args:
        labels: the model's K classes in order.
        config: None for the defaults.
        output_quantization: scale and zero point of the model's output.

    Raises:
        ConfigError: settings that do not fit the labels, see `levels`.
        ExportError: an output that is not a softmax's.
    """
    config = config or DetectorConfig()
    if tuple(output_quantization) != SOFTMAX_QUANTIZATION:
        raise ExportError(
            f"the detector reads a softmax's output, scale 1/256 and zero point -128; this model's has scale "
            f"{output_quantization[0]!r} and zero point {output_quantization[1]}: export a graph that ends in softmax"
        )
    fitted = levels(labels, config)
    window = "KWS_FRONTEND_FRAMES"
    stride = f"({window} < 4 ? 1 : {window} / 4)" if config.stride is None else str(config.stride)
    values = {
        "STRIDE": stride,
        "SMOOTHING": str(config.smoothing),
        "REFRACTORY": window if config.refractory is None else str(config.refractory),
        "LABELS": _wrapped(map(_comment, labels), "\n * "),
        "THRESHOLDS": _wrapped(map(str, fitted.thresholds), " \\\n    "),
        "RELEASES": _wrapped(map(str, fitted.releases), " \\\n    "),
        "CLASSES": str(len(fitted.thresholds)),
    }
    folder = files("kws_dendrite.export").joinpath("c", "runtime", "detector")
    texts = {name: folder.joinpath(name).read_text("utf-8") for name in ("kws_detector.h", "kws_detector.c")}
    for key, value in values.items():
        texts["kws_detector.h"] = texts["kws_detector.h"].replace(f"@{key}@", value)
    return texts


def smooth(outputs: np.ndarray, smoothing: int) -> np.ndarray:
    """Smoothed posteriors (N, K) uint8 of the int8 outputs (N, K), as kws_detector.h states them."""
    posteriors = outputs.astype(np.int64) + 128
    sums = np.cumsum(np.vstack([np.zeros((1, outputs.shape[1]), np.int64), posteriors]), axis=0)  # (N + 1, K)
    ends = np.arange(1, len(outputs) + 1)
    counts = np.minimum(ends, smoothing)
    return ((sums[ends] - sums[ends - counts] + counts[:, None] // 2) // counts[:, None]).astype(np.uint8)


def detect(outputs: np.ndarray, fitted: Levels, config: DetectorConfig, frames: int) -> tuple[Detection, ...]:
    """The detections in a stream of decisions: the reference that the C is held to.

    Args:
        outputs: (N, K) int8, the model's outputs; the first belongs to frame `frames` - 1.
        fitted: of the model's labels.
        config: the settings that `fitted` came from.
        frames: T, rows of the window.

    Raises:
        ConfigError: outputs of another type or number of labels, a stride beyond the window.
    """
    outputs = np.asarray(outputs)
    if outputs.dtype != np.int8 or outputs.ndim != 2 or outputs.shape[1] != len(fitted.thresholds):
        raise ConfigError(
            f"outputs must be int8 of shape (decisions, {len(fitted.thresholds)}), got {outputs.dtype} {outputs.shape}"
        )
    stride, refractory = config.stride_of(frames), config.refractory_of(frames)
    if stride > frames:
        raise ConfigError(f"stride is {stride}, beyond the window of {frames} frames: audio would go unheard")
    keywords = [k for k, threshold in enumerate(fitted.thresholds) if threshold]
    held: set[int] = set()
    found: list[Detection] = []
    for index, row in enumerate(smooth(outputs, config.smoothing)):
        frame = frames - 1 + index * stride
        held -= {k for k in keywords if row[k] < fitted.releases[k]}
        best = max(keywords, key=lambda k: row[k])  # the first of equals
        full = index + 1 >= config.smoothing
        rested = not found or frame - found[-1].frame >= refractory
        if full and rested and best not in held and row[best] >= fitted.thresholds[best]:
            found.append(Detection(best, int(row[best]), frame))
            held.add(best)
    return tuple(found)


def _background(names: list[str], config: DetectorConfig) -> set[str]:
    if config.background is None:
        background = {name for name in names if name.startswith("_") or name.lower() in BACKGROUND_NAMES}
    else:
        background = set(config.background)
        missing = sorted(background - set(names))
        if missing:
            raise ConfigError(f"background names {', '.join(missing)}, which the model does not know; it has {names}")
    if background >= set(names):
        raise ConfigError(f"all of {names} are background, so that nothing can be detected: give background explicitly")
    return background


def _check_labels(field: str, given: Any, names: list[str], background: set[str]) -> None:
    if not isinstance(given, Mapping):
        return
    for name in given:
        if name not in names:
            raise ConfigError(f"{field} names {name!r}, which the model does not know; it has {names}")
        if name in background:
            raise ConfigError(f"{field} names {name!r}, a background label that is never detected; leave it out")


def _check_count(field: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{field} must be a whole number from {least} to {most}, got {value!r}")


def _check_shares(field: str, given: Any) -> None:
    for name, value in given.items() if isinstance(given, Mapping) else ((None, given),):
        whose = "" if name is None else f" of {name!r}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:  # NaN fails too
            raise ConfigError(f"{field}{whose} must be above 0 and at most 1, such as 0.8, got {value!r}")


def _of(given: Any, name: str, default: float) -> float:
    if given is None:
        return default
    return given.get(name, default) if isinstance(given, Mapping) else given


def _level(share: float) -> int:
    """The least u with u / 256 >= share; 255 where there is none."""
    return min(255, math.ceil(256 * share))


def _wrapped(items: Iterable[str], separator: str) -> str:
    """Items with commas between, on lines that `separator` joins; an item is never broken."""
    return separator.join(textwrap.wrap(", ".join(items), 72, break_long_words=False, break_on_hyphens=False))


def _comment(name: str) -> str:
    """A label as it may stand in a C comment: printable ASCII that neither ends it nor opens another."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
    return plain.replace("*/", "* /").replace("/*", "/ *")
