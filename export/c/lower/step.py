"""What lowering makes: steps, and the constants that they share."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.program import Operator, Program, Tensor

MAX_EXTENT = (1 << 16) - 1  # the kernels' uint16_t


@dataclass(frozen=True)
class Step:
    """One operator as C.

    Attributes:
        operator: what it stands for.
        kernel: the C function, "" where nothing is computed (RESHAPE).
        calls: C statements; {0}, {1}... stand for the activations in `reads`, {out} and {scratch} for theirs.
        reads: activation tensors, in the order of the placeholders.
        writes: the tensor it gives.
        sources: runtime files it needs.
        scratch: bytes of scratch memory, 4-byte aligned.
        macs: multiply-accumulates.
        overwrites: which of `reads` the kernel may overwrite with its output, element by element.
    """

    operator: Operator
    kernel: str
    calls: tuple[str, ...]
    reads: tuple[int, ...]
    writes: int
    sources: tuple[str, ...] = ()
    scratch: int = 0
    macs: int = 0
    overwrites: tuple[int, ...] = ()


@dataclass
class Constants:
    """The const objects of the model's file, each stored once however many steps use it."""

    declarations: dict[str, str] = field(default_factory=dict)  # name -> C text
    bytes: dict[str, int] = field(default_factory=dict)  # name -> bytes of flash, of the portable build
    names: dict[tuple, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)  # name -> C text, for a kernel made for a model's shapes

    def array(self, key: tuple, stem: str, c_type: str, values: np.ndarray, *, off_dsp: bool = False) -> str:
        """The name of a const array with these values, declared at its first use. `key` says when two are the same.

        `off_dsp`: it is not there on the DSP extension; write KWS_OFF_DSP(name).
        """
        if key not in self.names:
            name = self._new(key, stem)
            text = f"static const {c_type} {name}[{values.size}] = {braces(values.reshape(-1))};"
            self.declarations[name] = f"#if !KWS_DSP\n{text}\n#endif" if off_dsp else text
            self.bytes[name] = values.nbytes
        return self.names[key]

    def on_dsp(self, key: tuple, stem: str, c_type: str, values: np.ndarray) -> str:
        """The name of a const array that is there on the DSP extension alone."""
        if key not in self.names:
            name = self._new(key, stem)
            text = f"static const {c_type} {name}[{values.size}] = {braces(values.reshape(-1))};"
            self.declarations[name] = f"#if KWS_DSP\n{text}\n#endif"
        return self.names[key]

    def either(self, key: tuple, stem: str, variants: Iterable[tuple[str, str, np.ndarray]]) -> str:
        """The same, of which the preprocessor picks a variant: (condition, type, values); the last has no condition."""
        if key in self.names:
            return self.names[key]
        name = self._new(key, stem)
        lines, values = [], np.empty(0)
        for index, (condition, c_type, values) in enumerate(variants):
            lines.append(f"#{'if' if index == 0 else 'elif'} {condition}" if condition else "#else")
            lines.append(f"static const {c_type} {name}[{values.size}] = {braces(values.reshape(-1))};")
        self.declarations[name] = "\n".join([*lines, "#endif"])
        self.bytes[name] = values.nbytes
        return name

    def struct(self, key: tuple, stem: str, c_type: str, fields: str, size: int) -> str:
        """The name of a const struct with these initialisers; `size` bytes."""
        if key not in self.names:
            name = self._new(key, stem)
            self.declarations[name] = f"static const {c_type} {name} = {{\n{fields}\n}};"
            self.bytes[name] = size
        return self.names[key]

    def text(self, key: tuple, stem: str, c_type: str, rows: Iterable[str], count: int, size: int) -> str:
        """The name of a const array of structs, a line each."""
        if key not in self.names:
            name = self._new(key, stem)
            body = "\n".join(f"    {row}," for row in rows)
            self.declarations[name] = f"static const {c_type} {name}[{count}] = {{\n{body}\n}};"
            self.bytes[name] = size
        return self.names[key]

    def _new(self, key: tuple, stem: str) -> str:
        name = stem
        while name in self.declarations:
            name = f"{stem}_{sum(other.startswith(stem) for other in self.declarations)}"
        self.names[key] = name
        return name


def braces(values: np.ndarray) -> str:
    """Numbers in braces, wrapped below 120 columns."""
    lines, line = [], "   "
    for value in values.tolist():
        text = f" {c_integer(value)},"
        if len(line) + len(text) > 118:
            lines.append(line)
            line = "   "
        line += text
    return "{\n" + "\n".join([*lines, line]) + "\n}"


def c_integer(value: int) -> str:
    """A literal of any int32; C has no literal for the least one."""
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(int(value))


def spatial(tensor: Tensor, program: Program) -> tuple[int, int, int]:
    """(H, W, C) of a (1, H, W, C) tensor.

    Raises:
        ExportError: another rank or batch, or sizes that the kernels cannot count.
    """
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise ExportError(f"tensor {tensor.name!r} has the shape {tensor.shape}, expected (1, H, W, C)")
    small(tensor.name, *tensor.shape)
    return tensor.shape[1], tensor.shape[2], tensor.shape[3]


def small(name: str, *sizes: int) -> None:
    """Refuse what does not fit the kernels' 16-bit sizes."""
    if max(sizes) > MAX_EXTENT:
        raise ExportError(f"{name!r} has a size of {max(sizes):,}; the C kernels count to {MAX_EXTENT:,}")


def one_scale(tensor: Tensor) -> tuple[float, int]:
    """An activation's scale and zero point.

    Raises:
        ExportError: not int8, or not quantised per tensor.
    """
    if tensor.dtype != "int8" or len(tensor.scales) != 1:
        raise ExportError(f"tensor {tensor.name!r} has {len(tensor.scales)} scales, expected int8 with one")
    return tensor.scale, tensor.zero_point


def activation_range(operator: Operator, scale: float, zero_point: int) -> tuple[int, int]:
    """(least, largest) int8 that the fused activation lets through; TFLite's CalculateActivationRangeQuantized."""

    def quantized(real: float) -> int:
        ratio = float(np.float32(real) / np.float32(scale))
        return zero_point + int(np.floor(abs(ratio) + 0.5) * np.sign(ratio))

    low, high = -128, 127
    if operator.activation in ("relu", "relu6"):
        low = max(low, quantized(0.0))
    if operator.activation == "relu6":
        high = min(high, quantized(6.0))
    if operator.activation == "relu_n1_to_1":
        low, high = max(low, quantized(-1.0)), min(high, quantized(1.0))
    return low, high


def constant(program: Program, index: int, operator: Operator, role: str) -> Tensor:
    """A constant input.

    Raises:
        ExportError: it is computed at run time.
    """
    tensor = program.tensors[index]
    if tensor.data is None:
        raise ExportError(f"{operator.kind} at {operator.index} computes its {role} at run time; expected a constant")
    return tensor
