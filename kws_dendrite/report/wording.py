"""Numbers as people read them. Plain text: whoever puts it into HTML escapes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

UNKNOWN = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """0.9214 -> "92.1 %"."""
    return UNKNOWN if value is None else f"{100 * value:.{digits}f} %"


def percent_range(interval: Sequence[float] | None, digits: int = 1) -> str:
    """(0.913, 0.927) -> "91.3 to 92.7 %"; two seeds that happen to agree are no proof of precision, so that is said."""
    if interval is not None and interval[0] == interval[1]:
        return "seeds alike"
    return UNKNOWN if interval is None else f"{100 * interval[0]:.{digits}f} to {100 * interval[1]:.{digits}f} %"


def count(value: float | None) -> str:
    """1392 -> "1,392"."""
    return UNKNOWN if value is None else f"{round(value):,}"


def tick(value: float | None) -> str:
    """A value of an axis: 12000 -> "12,000", 2.5 -> "2.5", 0.75 -> "0.75"."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(value: float | None) -> str:
    """Bytes; kB of 1,000 from 10,000 on: flash is sold in KiB, but files are listed in bytes."""
    if value is None:
        return UNKNOWN
    return f"{round(value):,} B" if value < 10_000 else f"{value / 1000:,.1f} kB"


def small(value: float | None) -> str:
    """A difference: 0.00000031 -> "3.1e-07", and zero is "0"."""
    if value is None:
        return UNKNOWN
    return "0" if value == 0 else f"{value:.1e}"


def microseconds(value: float | None) -> str:
    """412.3 -> "412 µs", 4123 -> "4.12 ms"."""
    if value is None:
        return UNKNOWN
    if value >= 1000:
        return f"{value / 1000:.3g} ms"
    return f"{value:.3g} µs"


def duration(seconds: float | None) -> str:
    """75 -> "1 min 15 s"."""
    if seconds is None:
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def plain(value: Any) -> str:
    """Any JSON scalar or short list, for a settings table."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value) or UNKNOWN
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items()) or UNKNOWN
    return str(value)


def title(name: str) -> str:
    """A JSON key as a heading: "noise_floor_db" -> "noise floor db"; a path keeps its name."""
    return name if "/" in name or Path(name).suffix else name.replace("_", " ").strip() or name
