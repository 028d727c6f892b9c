"""What an int8 TFLite file says, as plain values: tensors with their quantisation and operators with their options."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Padding = Literal["same", "valid"]
Activation = Literal["none", "relu", "relu_n1_to_1", "relu6"]


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        index: in the file.
        name: in the file.
        shape: with the batch axis, static.
        dtype: "int8" or "int32".
        scales: float32; one, or one a slice along the quantised axis; empty for a tensor without quantisation.
        zero_points: as many.
        buffer: index of the file's buffer; two tensors of one buffer share their bytes.
        data: the constant's values in `shape`, None for an activation.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: np.ndarray
    zero_points: np.ndarray
    buffer: int
    data: np.ndarray | None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def scale(self) -> float:
        """The per-tensor scale, as the float32 in the file."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point."""
        return int(self.zero_points[0])


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        index: in order of execution.
        kind: TFLite's builtin name.
        inputs, outputs: tensor indices; -1 is an input left out.
        activation: fused behind it.
        padding, stride, dilation, window: (rows, columns), where the kind has them.
        depth_multiplier: of DEPTHWISE_CONV_2D.
        beta: of SOFTMAX.
        axis: of CONCATENATION.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: Activation = "none"
    padding: Padding = "valid"
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)
    depth_multiplier: int = 1
    beta: float = 1.0
    axis: int = -1


@dataclass(frozen=True)
class Program:
    """A whole model: one subgraph, one flat int8 input, one int8 output.

    Attributes:
        tensors: by index.
        operators: in order of execution.
        input, output: tensor indices.
        sha256: of the file.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int
    sha256: str
