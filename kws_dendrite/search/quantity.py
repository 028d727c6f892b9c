"""Sizes and times as a command line gives them: 2000, 8k, 0.5M, 20ms@cortex-m4@80."""

import math
import re

from kws_dendrite.errors import ConfigError

_SIZE = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*(?:\.\d+)?)\s*([kKmM]?)(i?[bB])?")
_LATENCY = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|us|s)?(?:@([a-z0-9+-]+))?(?:@(\d+(?:\.\d+)?)(?:\s*MHz)?)?", re.IGNORECASE)
_TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def parse_size(text: str | int | None, name: str, thousand: int) -> int | None:
    """A whole number, with k or M for `thousand` and its square; None stays None.

    Raises:
        ConfigError: no such number, or 0.
    """
    if text is None:
        return None
    found = _SIZE.fullmatch(str(text).strip())
    value = 0.0
    if found:
        factor = {"": 1, "k": thousand, "m": thousand**2}[found[2].lower()]
        value = float(found[1].replace("_", "").replace(",", "")) * factor
    if not 1 <= value < math.inf:
        raise ConfigError(f"{name} is a number of at least 1, such as 2000, 8k or 0.5M; got {text!r}")
    return round(value)


def parse_latency(text: str) -> tuple[float, str, float]:
    """(milliseconds, core or "", MHz or 0) of 20ms@cortex-m4@80, 20ms or 20.

    Raises:
        ConfigError: no such text.
    """
    found = _LATENCY.fullmatch(text.strip())
    if not found or not float(found[1]) > 0:
        raise ConfigError(f"--max-latency is a time, such as 20ms or 20ms@cortex-m4@80; got {text!r}")
    return float(found[1]) * _TO_MS[(found[2] or "ms").lower()], (found[3] or "").lower(), float(found[4] or 0)
