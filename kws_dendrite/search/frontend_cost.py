"""What a front end costs on a device for the features of one clip: instructions, modelled cycles, flash and RAM.

As for the net (`plain.device`), cost is linear in how often the parts of the C run: `search/frontend_costs.json` has
what one of each takes, measured by `scripts/measure_frontend_costs.py`, and RAM follows from the C's own structure.
A clip's features are computed whole, each frame once, which is what a decision costs where windows do not overlap.
"""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import FrontEndConfig, MfccConfig, MfeConfig, coefficients

FILE = "frontend_costs.json"
AT_ONCE = 12  # cosines that are made in one pass over the bands
WORD = 4
STATE = 12  # bytes of a kws_frontend beside its arrays
PARTS = ("samples", "fft", "bands", "cosines", "window")


@dataclass(frozen=True)
class FrontEndCost:
    """One front end on one core.

    Attributes:
        instructions: of a clip's frames and of the conversion to int8.
        cycles: the same, modelled; None on a core without a model.
        flash_bytes: code and tables.
        ram_bytes: of its state, the features' ring among it; the stack is not in it.
    """

    core: str
    instructions: float
    cycles: float | None
    flash_bytes: int
    ram_bytes: int


def frontend_costs(config: FrontEndConfig, frames: int, core: str) -> FrontEndCost:
    """Predict the cost of the features of one clip.

    Args:
        frames: T.
        core: one of `plain.device.CORES`.

    Raises:
        ConfigError: a core or an FFT length that was not measured.
    """
    cores = load_table()["cores"]
    if core not in cores:
        raise ConfigError(f"costs of front ends are known for {', '.join(cores)}; got {core!r}")
    costs = cores[core]
    parts = [(part, counts, frames if part != "window" else 1) for part, counts in counts_of(config, frames).items()]
    known = costs["instructions"]
    for part, counts, _ in parts:
        missing = sorted(set(counts) - set(known.get(part, {})))
        if missing:
            raise ConfigError(
                f"no costs are known of a front end with {missing[0]}; take another fft_length, or leave the front end "
                "out of what is counted"
            )

    def total(table: Mapping[str, Mapping[str, float]]) -> float:
        return sum(times * table[part][name] * n for part, counts, times in parts for name, n in counts.items())

    flash = costs["flash"]
    return FrontEndCost(
        core=core,
        instructions=total(known),
        cycles=total(costs["cycles"]) if "cycles" in costs else None,
        flash_bytes=round(sum(flash[name] * n for name, n in flash_counts(config).items())),
        ram_bytes=ram_bytes(config, frames),
    )


def counts_of(config: FrontEndConfig, frames: int) -> dict[str, dict[str, float]]:
    """Part -> what it does how often: for one frame, and in "window" for one clip's normalisation and conversion."""
    N, bands, width = config.fft_length, config.num_filters, coefficients(config)
    read = _read(config)
    how = f"{'windowed' if config.block == 'logmel' else 'emphasised'}{', overlapping' if _overlaps(config) else ''}"
    bins = (config.top_frequency - config.low_frequency) * N / config.sampling_freq
    counts: dict[str, dict[str, float]] = {
        "samples": {f"{how}": 1, f"{how}: samples": read, "padding": N - read},
        "fft": {f"an FFT of {N} points": 1},
        "bands": {config.block: 1, f"{config.block}: bins": bins, f"{config.block}: bands": bands},
    }
    if isinstance(config, MfccConfig):
        passes = math.ceil((width - 1) / AT_ONCE)
        counts["cosines"] = {"rows": 1, "values": width, "passes": passes, "pairs": passes * math.ceil(bands / 2)}
    mode = _normalised(config, frames)
    counts["window"] = {mode: 1, f"{mode}: values": frames * width, f"{mode}: columns": width}
    return counts


def flash_counts(config: FrontEndConfig) -> dict[str, float]:
    """What takes flash, how often."""
    N, bands = config.fft_length, config.num_filters
    counts: dict[str, float] = {
        f"{config.block}{', overlapping' if _overlaps(config) else ''}": 1,
        f"an FFT of {N} points": 1,
        "bands": bands,
    }
    if config.block == "logmel":
        counts["window's samples"] = _read(config)
    if isinstance(config, MfccConfig):
        counts[_normalised(config, 1)] = 1
        passes = math.ceil((coefficients(config) - 1) / AT_ONCE)
        counts["cosines"] = AT_ONCE * passes * math.ceil(bands / 2)
    return counts


def ram_bytes(config: FrontEndConfig, frames: int) -> int:
    """sizeof(kws_frontend): the FFT's work, the ring of rows, and samples that wait where frames overlap."""
    width = coefficients(config)
    row = WORD * width
    if isinstance(config, MfeConfig):
        row = width + math.ceil(width / 8)  # nine bits a value
    elif config.block == "logmel":
        row = 2 * width
    waiting = 2 * _read(config) if _overlaps(config) else 0
    return -(-(STATE + WORD * (config.fft_length + 2) + frames * row + waiting) // WORD) * WORD


@functools.cache
def load_table() -> Mapping[str, Any]:
    """The table that ships with the package."""
    return json.loads((resources.files("kws_dendrite.search") / FILE).read_text(encoding="utf-8"))


def _read(config: FrontEndConfig) -> int:
    """Samples of a frame that reach the FFT."""
    return min(config.frame_samples, config.fft_length)


def _overlaps(config: FrontEndConfig) -> bool:
    return _read(config) > config.stride_samples


def _normalised(config: FrontEndConfig, frames: int) -> str:
    """How a window's rows are normalised: not at all, all alike, or each in a window of its own."""
    if not isinstance(config, MfccConfig):
        return config.block
    if not config.win_size:
        return "mfcc as it is"
    return "mfcc normalised" if config.win_size >= 2 * frames else "mfcc normalised in windows"
