"""What each target takes: operators.toml as typed values."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from kws_dendrite.errors import ExportError

EDGE_IMPULSE, TFLITE_MICRO, ESPHOME, ESP_DL = "edge-impulse", "tflite-micro", "esphome", "esp-dl"


@dataclass(frozen=True)
class Cell:
    """What one target takes of one operator.

    Attributes:
        types: of its data input; () where the source does not say.
        form: the quantisation that int8 has to have; "" where the source does not say.
        sources: keys.
    """

    types: tuple[str, ...] = ()
    form: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """One runtime.

    Attributes:
        key, title, what: its names and what it is.
        resolver: key of the source that lists its operators.
        operators: TFLite's names of those it runs.
        custom: custom operators that it has.
        fast: operators with an optimised int8 kernel; () where that is not stated.
        fast_name: of the kernels' library.
        fast_source: key of their source.
        cells: operator -> what is known of it.
    """

    key: str
    title: str
    what: str
    resolver: str
    operators: frozenset[str]
    custom: frozenset[str]
    fast: frozenset[str]
    fast_name: str
    fast_source: str
    cells: dict[str, Cell]

    def cell(self, operator: str) -> Cell:
        """What is known of an operator; empty where nothing is."""
        return self.cells.get(operator, Cell())


@dataclass(frozen=True)
class Table:
    """The whole file.

    Attributes:
        targets: by key, in the file's order.
        sources: key -> URL.
        onnx: TFLite operator -> the ONNX operator that ESP-DL lists.
        newest: operator -> the newest version that LiteRT knows.
    """

    targets: dict[str, Target]
    sources: dict[str, str]
    onnx: dict[str, str]
    newest: dict[str, int]

    @property
    def operators(self) -> list[str]:
        """Every operator that a target runs, by name."""
        return sorted(set().union(*(target.operators for target in self.targets.values())))


@cache
def load_table() -> Table:
    """Read operators.toml."""
    text = resources.files(__package__).joinpath("operators.toml").read_text(encoding="utf-8")
    value: dict[str, Any] = tomllib.loads(text)
    return Table(
        targets={key: _target(key, entry, value["operators"]) for key, entry in value["targets"].items()},
        sources=value["sources"],
        onnx=value["onnx"],
        newest=value["newest"],
    )


def find_target(key: str) -> Target:
    """A target by its key.

    Raises:
        ExportError: no such target.
    """
    targets = load_table().targets
    if key not in targets:
        raise ExportError(f"there is no target {key!r}; choose one of {', '.join(targets)}")
    return targets[key]


def _target(key: str, entry: dict[str, Any], operators: dict[str, Any]) -> Target:
    cells = {}
    for name, row in operators.items():
        if key in row:
            cell = row[key]
            cells[name] = Cell(tuple(cell.get("types", ())), cell.get("form", ""), tuple(cell.get("source", ())))
    return Target(
        key=key,
        title=entry["title"],
        what=entry["what"],
        resolver=entry["resolver"],
        operators=frozenset(entry["operators"]),
        custom=frozenset(entry["custom"]),
        fast=frozenset(entry.get("fast", ())),
        fast_name=entry.get("fast_name", ""),
        fast_source=entry.get("fast_source", ""),
        cells=cells,
    )
