"""Bytes of code in flash: the kernels that a model uses, what they need of the C library, and the model's own calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kws_dendrite.plain.device.emitted import Emitted
from kws_dendrite.plain.device.kernels import Isa, kernel_of, pairs


@dataclass(frozen=True)
class Code:
    """Flash by part.

    Attributes:
        constants: weights, tables and layers.
        kernels: the C runtime's functions.
        library: the C library's.
        model: the inference call itself, and functions made for the model's shapes.
    """

    constants: int
    kernels: int
    library: int
    model: int

    @property
    def total(self) -> int:
        """Bytes."""
        return self.constants + self.kernels + self.library + self.model


def code_bytes(operators: Sequence[Emitted], isa: Isa, code: Mapping[str, Any], constants: int) -> Code:
    """The parts of a model's flash; `code` is what `scripts/device_cost_code.py` measured for the core."""
    used = [kernel_of(operator, isa) for operator in operators]
    symbols: dict[str, int] = {}
    library: dict[str, int] = {}
    for kernel in set(used):
        symbols |= code["symbols"].get(kernel, {})
        library |= code["library"].get(kernel, {})
    calls = [call_of(operator, kernel) for operator, kernel in zip(operators, used, strict=True)]
    model = code["invoke"]["call"] + sum(code["invoke"].get(call, 0) for call in calls)
    made = {made_function(operator, kernel) for operator, kernel in zip(operators, used, strict=True)}
    model += sum(code["made"].get(name.rpartition("@")[0] or name, 0) for name in made if name)
    return Code(constants, sum(symbols.values()), sum(library.values()), round(model))


def call_of(operator: Emitted, kernel: str) -> str:
    """What a call is told apart by: its kernel, and whether a temporal one has several layers to run."""
    return "temporal dilated" if kernel == "temporal" and operator.dilation[0] > 1 else kernel


def made_function(operator: Emitted, kernel: str) -> str:
    """The function that the generator makes for an operator's shape, "" for none; behind the @ what its size does not
    depend on."""
    form = "line" if operator.form == "line" else "rising"
    if kernel == "narrow":
        return f"narrow {operator.taps} {form}"
    if kernel == "temporal":
        (size, _), (stride, _) = operator.window, operator.stride
        step = operator.plane[2] * operator.dilation[0]
        near = f"{'far' if step > 255 else 'near'}{'far' if step * (2 if stride == 1 else 1) > 255 else ''}"
        return f"temporal {pairs(size)} {stride} {near} {form}@{size} {step}"
    return ""
