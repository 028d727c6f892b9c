"""Any TFLite file as plain values: operators, tensors, quantisation, shapes; nothing is refused but damage.

On top of the C emitter's flatbuffer reader, which follows no offset out of the file. A file that nobody vouches for
can still name the same bytes many times over, so the work is bounded here: how many tensors, operators, inputs and
scales are read in all. Field numbers are those of schema.fbs, version 3.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.flatbuffer import Table, read_root
from kws_dendrite.export.c.reader import IDENTIFIER
from kws_dendrite.export.check.builtins import BYTES, CUSTOM, operator_name, type_name

MOST_SUBGRAPHS = 64
MOST_ITEMS = 1 << 16  # tensors, operators, operators' inputs, of all subgraphs together
MOST_SCALES = 1 << 22
MOST_CHANNELS = 1 << 14  # scales of one tensor
MOST_RANK = 16
LABEL = 120  # characters of a name


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor.

    Attributes:
        index: in its subgraph.
        name: in the file, cut to 120 characters; its index where it has none.
        shape: as stored.
        signature: with -1 where an axis is dynamic; None where the file gives none.
        dtype: such as "int8".
        scales: float32; one, one a slice along `axis`, or none.
        zero_points: int64, as many or one.
        axis: of the scales.
        content: a constant's bytes, a view of the file; None for what is computed.
        variable: whether it keeps its value between calls.
        external: whether its bytes lie outside the flatbuffer.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...] | None
    dtype: str
    scales: np.ndarray
    zero_points: np.ndarray
    axis: int
    content: np.ndarray | None
    variable: bool
    external: bool

    @property
    def size(self) -> int:
        """Elements; 0 where an axis is not positive."""
        return max(0, prod(self.shape)) if all(extent >= 0 for extent in self.shape) else 0

    @property
    def bytes(self) -> int:
        """As stored or computed; types below a byte count half."""
        return self.size * BYTES[self.dtype] if self.dtype in BYTES else -(-self.size // 2)

    @property
    def dynamic(self) -> bool:
        """Whether an axis is open."""
        return any(extent < 0 for extent in (self.signature or self.shape) + self.shape)

    @property
    def scale(self) -> float | None:
        """The per-tensor scale."""
        return float(self.scales[0]) if len(self.scales) == 1 else None

    @property
    def zero_point(self) -> int | None:
        """The per-tensor zero point."""
        return int(self.zero_points[0]) if len(self.zero_points) == 1 else None

    def same_quantisation(self, other: "Tensor") -> bool:
        """Whether both have equal scales and zero points."""
        return np.array_equal(self.scales, other.scales) and np.array_equal(self.zero_points, other.zero_points)


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator.

    Attributes:
        index: in order of execution.
        kind: TFLite's name; a custom operator's own name.
        custom: whether it is one.
        version: as stored.
        inputs, outputs: tensor indices; -1 is one left out.
        options: its table of builtin options.
    """

    index: int
    kind: str
    custom: bool
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@dataclass(frozen=True, eq=False)
class Graph:
    """One subgraph.

    Attributes:
        tensors: by index.
        operators: in order of execution.
        inputs, outputs: tensor indices.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def producers(self) -> dict[int, Operator]:
        """Tensor index -> the operator that writes it."""
        return {index: operator for operator in self.operators for index in operator.outputs if index >= 0}

    @cached_property
    def readers(self) -> dict[int, list[Operator]]:
        """Tensor index -> the operators that read it."""
        found: dict[int, list[Operator]] = {}
        for operator in self.operators:
            for index in set(operator.inputs):
                found.setdefault(index, []).append(operator)
        return found

    def read(self, operator: Operator, place: int) -> Tensor | None:
        """An operator's input, None where it is left out."""
        index = operator.inputs[place] if place < len(operator.inputs) else -1
        return self.tensors[index] if index >= 0 else None

    def written(self, operator: Operator) -> Tensor | None:
        """Its first output."""
        index = operator.outputs[0] if operator.outputs else -1
        return self.tensors[index] if index >= 0 else None


@dataclass(frozen=True, eq=False)
class Model:
    """A file.

    Attributes:
        name: of the file.
        size: bytes.
        version: of the schema.
        graphs: its subgraphs, the first of them the model.
        signatures: keys.
    """

    name: str
    size: int
    version: int
    graphs: tuple[Graph, ...]
    signatures: tuple[str, ...]

    @property
    def main(self) -> Graph:
        """The subgraph that runs."""
        return self.graphs[0]


def read_model(path: Path | str) -> Model:
    """Describe a TFLite file.

    Raises:
        ExportError: missing, not a TFLite file, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise ExportError(f"{path} is a folder; name the .tflite file in it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror or error}") from error
    return parse_model(content, name=path.name)


def parse_model(content: bytes, *, name: str = "model") -> Model:
    """The same from bytes. `name` stands in messages."""
    root = read_root(content, IDENTIFIER, name)
    budget = _Budget(name)
    subgraphs = root.tables(2)
    if not 0 < len(subgraphs) <= MOST_SUBGRAPHS:
        raise ExportError(f"{name} has {len(subgraphs):,} subgraphs, expected 1 to {MOST_SUBGRAPHS}; export it again")
    codes = [_code(table) for table in root.tables(1)]
    buffers = root.tables(4)
    return Model(
        name=name,
        size=len(content),
        version=int(root.number(0, "uint32")),
        graphs=tuple(_graph(table, codes, buffers, budget) for table in subgraphs),
        signatures=tuple(_text(table, 2) for table in root.tables(7)[:MOST_SUBGRAPHS]),
    )


@dataclass
class _Budget:
    """How much of a file has been read."""

    name: str
    items: int = 0
    scales: int = 0

    def spend(self, items: int = 0, scales: int = 0) -> None:
        self.items, self.scales = self.items + items, self.scales + scales
        if self.items > MOST_ITEMS or self.scales > MOST_SCALES:
            raise ExportError(
                f"{self.name} holds more than {MOST_ITEMS:,} tensors and operators or {MOST_SCALES:,} scales; "
                "no microcontroller's model does"
            )


def _graph(table: Table, codes: list[tuple[str, bool, int]], buffers: list[Table], budget: _Budget) -> Graph:
    tables = table.tables(0)
    budget.spend(len(tables))
    tensors = tuple(_tensor(one, index, buffers, budget) for index, one in enumerate(tables))
    rows = table.tables(3)
    budget.spend(len(rows))
    operators = tuple(_operator(row, index, codes, len(tensors), budget) for index, row in enumerate(rows))
    return Graph(
        tensors=tensors,
        operators=operators,
        inputs=_indices(table, 1, len(tensors), "an input", budget),
        outputs=_indices(table, 2, len(tensors), "an output", budget),
    )


def _code(table: Table) -> tuple[str, bool, int]:
    code = max(int(table.number(3, "int32")), int(table.number(0, "int8")))
    name = operator_name(code)
    if name == CUSTOM:
        return _text(table, 1) or "without a name", True, int(table.number(2, "int32", 1))
    return name, False, int(table.number(2, "int32", 1))


def _operator(table: Table, index: int, codes: list[tuple[str, bool, int]], tensors: int, budget: _Budget) -> Operator:
    opcode = int(table.number(0, "uint32"))
    if opcode >= len(codes):
        raise ExportError(f"{budget.name} is damaged: operator {index} names code {opcode} of {len(codes)}")
    kind, custom, version = codes[opcode]
    return Operator(
        index=index,
        kind=kind,
        custom=custom,
        version=version,
        inputs=_indices(table, 1, tensors, f"operator {index}", budget, least=-1),
        outputs=_indices(table, 2, tensors, f"operator {index}", budget, least=-1),
        options=table.table(4),
    )


def _tensor(table: Table, index: int, buffers: list[Table], budget: _Budget) -> Tensor:
    name = _text(table, 3) or str(index)
    shape = _extents(table, 0, name, budget) or ()
    dtype = type_name(int(table.number(1, "int8")))
    scales, zero_points, axis = np.empty(0, np.float32), np.empty(0, np.int64), 0
    quantisation = table.table(4)
    if quantisation is not None:
        scales, zero_points = _array(quantisation, 2, "float32"), _array(quantisation, 3, "int64")
        axis = int(quantisation.number(6, "int32"))
        budget.spend(scales=len(scales) + len(zero_points))
        if max(len(scales), len(zero_points)) > MOST_CHANNELS:
            raise ExportError(
                f"{budget.name}: tensor {name!r} has {max(len(scales), len(zero_points)):,} scales, expected at most "
                f"{MOST_CHANNELS:,}"
            )
    buffer = int(table.number(2, "uint32"))
    if buffer >= len(buffers):
        raise ExportError(f"{budget.name} is damaged: tensor {name!r} names buffer {buffer} of {len(buffers)}")
    content = buffers[buffer].array(0, "uint8")
    content = content if content is not None and len(content) else None
    tensor = Tensor(
        index=index,
        name=name,
        shape=shape,
        signature=_extents(table, 7, name, budget),
        dtype=dtype,
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        content=content,
        variable=bool(table.number(5, "int8")),
        external=content is None and int(buffers[buffer].number(1, "uint64")) > 1,
    )
    sparse = table.table(6) is not None
    if content is not None and dtype in BYTES and not sparse and len(content) != tensor.bytes:
        raise ExportError(
            f"{budget.name} is damaged: tensor {name!r} of shape {shape} has {len(content):,} bytes, expected "
            f"{tensor.bytes:,}"
        )
    return tensor


def _extents(table: Table, field: int, name: str, budget: _Budget) -> tuple[int, ...] | None:
    found = table.array(field, "int32")
    if found is None:
        return None
    if len(found) > MOST_RANK:
        raise ExportError(f"{budget.name}: tensor {name!r} has {len(found):,} axes, expected at most {MOST_RANK}")
    return tuple(int(extent) for extent in found)


def _indices(table: Table, field: int, tensors: int, whose: str, budget: _Budget, least: int = 0) -> tuple[int, ...]:
    found = _array(table, field, "int32")
    budget.spend(len(found))
    if len(found) and not (found.min() >= least and found.max() < tensors):
        raise ExportError(f"{budget.name} is damaged: {whose} names tensor {int(found.max())} of {tensors}")
    return tuple(int(value) for value in found)


def _array(table: Table, field: int, dtype: str) -> np.ndarray:
    found = table.array(field, dtype)
    return np.empty(0, dtype) if found is None else found


def _text(table: Table, field: int) -> str:
    """A name, cut before it is decoded: many tensors may name one long string. Control characters become spaces."""
    found = table.array(field, "uint8")
    text = "" if found is None else found[: 4 * LABEL].tobytes().decode("utf-8", errors="replace")[:LABEL]
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
