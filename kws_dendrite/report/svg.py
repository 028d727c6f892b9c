"""A chart's axes and ticks as SVG text. Colours are CSS classes, so that one drawing serves light and dark."""

import math
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Scale:
    """From values low..high to pixels start..end; logarithmic if asked."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of `value`, to a tenth: finer only makes the file longer."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        place = (math.log(value) if self.log else value) - low
        return round(self.start + place / (high - low) * (self.end - self.start), 1)

    def ticks(self, target: int = 6) -> list[float]:
        """About `target` round values inside the range."""
        return log_ticks(self.low, self.high, target) if self.log else linear_ticks(self.low, self.high, target)


def linear_ticks(low: float, high: float, target: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside low..high."""
    raw = (high - low) / max(1, target)
    power = 10.0 ** math.floor(math.log10(raw))
    # Rather a few ticks too many than half of those asked for.
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.7 * raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float, target: int = 6) -> list[float]:
    """Decades where the range is long, finer where it is short, evenly spaced where it is under a factor of three."""
    if high / low < 3:
        return linear_ticks(low, high, target)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        within = [f * 10.0**e for e in exponents for f in factors if low <= f * 10.0**e <= high]
        if found and len(within) > target + 2:
            break
        found = within
        if len(found) >= target - 1:
            break
    return found


def padded(low: float, high: float, share: float = 0.06, least: float = 0.01) -> tuple[float, float]:
    """The range with a margin of `share` of its width on both sides, at least `least` wide."""
    margin = max((high - low) * share, (least - (high - low)) / 2, 1e-9)
    return low - margin, high + margin


def padded_log(low: float, high: float, share: float = 0.07) -> tuple[float, float]:
    """The same for a logarithmic axis; low must be positive."""
    factor = max((high / low) ** share, 1.15)
    return low / factor, high * factor


def text(x: float, y: float, words: str, classes: str = "", anchor: str = "start", turn: int = 0) -> str:
    """A text element, its words escaped."""
    rotated = f' transform="rotate({turn} {x} {y})"' if turn else ""
    named = f' class="{classes}"' if classes else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{named}{rotated}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    """A straight line."""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{classes}"/>'


MARKERS = {  # drawn within about 6 pixels of the origin, of about equal areas
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "square": "M-4.5 -4.5h9v9h-9Z",
    "triangle": "M0 -6L5.7 4.3H-5.7Z",
    "diamond": "M0 -6.2L6.2 0L0 6.2L-6.2 0Z",
    "down": "M0 6L5.7 -4.3H-5.7Z",
    "plus": "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4Z",
}


def marker(index: int) -> str:
    """Path data of the index-th marker."""
    return tuple(MARKERS.values())[index % len(MARKERS)]


def arm_order(arms: set[str]) -> list[str]:
    """Arms in the order that fixes their colour and marker: "plain" first, the others by name."""
    return sorted(arms, key=lambda arm: (arm != "plain", arm))
