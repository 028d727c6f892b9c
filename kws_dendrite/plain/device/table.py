"""The measured table: what one of each count costs on each core."""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.plain.device.kernels import ISAS

FILE = "device_costs.json"


@functools.cache
def load_table() -> Mapping[str, Any]:
    """The table that ships with the package (`scripts/measure_device_costs.py` writes it)."""
    return json.loads((resources.files("kws_dendrite.plain") / FILE).read_text(encoding="utf-8"))


def core_table(core: str, table: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """A core's part of the table.

    Raises:
        ConfigError: no such core.
    """
    cores = (table or load_table())["cores"]
    if core not in cores or core not in ISAS:
        raise ConfigError(f"costs are known for {', '.join(cores)}; got {core!r}")
    return cores[core]
