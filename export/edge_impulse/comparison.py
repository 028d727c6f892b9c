"""Studio's RAM, ROM and latency of a model beside this project's own."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ExportError
from kws_dendrite.export.edge_impulse.studio import Profile
from kws_dendrite.plain import device_cost, load_graph
from kws_dendrite.plain.device import CORES, LATENCY_CORES

_CORE = re.compile(r"cortex-m(\d+)[fp]?-(\d+)mhz")
# boards that the SDK names, by their makers' data sheets: nRF52840, STM32H747
BOARDS = {"arduino-nano-33-ble": ("cortex-m4", 64.0), "portenta-h7": ("cortex-m7", 480.0)}


@dataclass(frozen=True)
class Row:
    """One way to run the model.

    Attributes:
        by: whose figure it is, and of what.
        ram, rom: bytes.
        milliseconds: of an inference.
        instructions: of an inference, where they are known.
    """

    by: str
    ram: int | None
    rom: int | None
    milliseconds: float | None
    instructions: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def core_of(device: str) -> tuple[str, float] | None:
    """(core, MHz) of a device by the SDK's name, where this project has a table of costs for the core."""
    match = _CORE.fullmatch(device)
    found = (f"cortex-m{match[1]}", float(match[2])) if match else BOARDS.get(device)
    return found if found and found[0] in CORES else None


def compare(profile: Profile, own: Row | None) -> tuple[Row, ...]:
    """Studio's rows, one an engine, then this project's own, where there is one."""
    rows = [
        Row(f"Studio, {memory.engine}", memory.ram, memory.rom, profile.milliseconds) for memory in profile.memories
    ]
    if not rows:
        rows = [Row("Studio", None, None, profile.milliseconds)]
    return (*rows, own) if own else tuple(rows)


def own_row(bundle: Path, device: str) -> Row | None:
    """This project's C of the model on a device's core; None for a core that it has no costs of.

    Raises:
        ExportError: the bundle has no graph.
    """
    found = core_of(device)
    if found is None:
        return None
    path = bundle / "graph.npz"
    if not path.is_file():
        raise ExportError(f"{bundle} has no graph.npz; export the bundle again")
    core, mhz = found
    cost = device_cost(load_graph(path), core)
    milliseconds = cost.latency_ms(mhz) if core in LATENCY_CORES else None
    return Row("kws_dendrite's C, predicted", cost.ram_bytes, cost.flash_bytes, milliseconds, round(cost.instructions))
