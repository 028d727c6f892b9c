"""Operators of chosen shapes as programs that can be counted: every kernel, over the sizes that small nets have."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from kws_dendrite.export.c.emitter import emit_model
from kws_dendrite.export.c.program import Operator, Program, Tensor
from kws_dendrite.export.c.sources import runtime_text, write_files
from kws_dendrite.plain.device.emitted import Emitted, is_contiguous
from kws_dendrite.plain.shapes import Shape, window_padding

SCALE = 0.05


def grids() -> Iterator[tuple[str, list[Emitted]]]:
    """Name -> operators to be counted in one firmware."""
    yield "narrow", [pointwise(p, taps, outs, form) for taps, (p, outs, form) in zip(
        [1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14] * 2,
        itertools.cycle([(25, 14, "rising"), (49, 8, "line"), (7, 11, "line"), (13, 20, "rising"), (1, 12, "rising")]),
        strict=False,
    )]  # fmt: skip
    yield "pointwise", list(_pointwise())
    yield "kernels", list(_kernels())
    yield "temporal", list(_temporal())
    yield "depthwise", list(_depthwise())
    yield "elementwise", list(_elementwise())
    yield "pools", list(_pools())
    yield "scales", list(_scales())
    yield "running maxima", list(_running_maxima())


def pointwise(positions: int, taps: int, outs: int, form: str, stride: int = 1, shared: bool = False) -> Emitted:
    """A 1 x 1 convolution over one column."""
    rows = (positions - 1) * stride + 1
    return conv((rows, 1, taps), outs, (1, 1), form, stride=(stride, 1), shared=shared)


def conv(
    source: Shape, outs: int, kernel: tuple[int, int], form: str, stride: tuple[int, int] = (1, 1), *,
    padding: str = "same", dilation: tuple[int, int] = (1, 1), shared: bool = False, depthwise: bool = False,
) -> Emitted:  # fmt: skip
    """A convolution with what follows from its sizes."""
    pads = window_padding(source, kernel, stride, padding, dilation)
    along = zip(source, pads, kernel, dilation, strict=False)
    spans = [size + sum(pad) - (k - 1) * step - 1 for size, pad, k, step in along]
    height, width = (span // step + 1 for span, step in zip(spans, stride, strict=True))
    made = Emitted(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (), (), "", (source,),
        (height, width, source[2] if depthwise else outs), kernel, stride, dilation, (pads[0][0], pads[1][0]),
        form=form, shared=shared,
    )  # fmt: skip
    return made if depthwise else replace(made, contiguous=is_contiguous(made))


def _pointwise() -> Iterator[Emitted]:
    sizes = [(16, 16), (20, 20), (24, 24), (7, 9), (11, 4), (15, 1), (17, 13), (30, 6), (40, 12), (64, 8)]
    heights = [(9, "rising"), (25, "line"), (5, "round"), (2, "rising"), (1, "line"), (3, "round"), (13, "rising")]
    for (taps, outs), (positions, form) in zip(sizes * 3, itertools.cycle(heights), strict=False):
        yield pointwise(positions, taps, outs, form)
    for taps, outs, positions, form in [
        (8, 8, 9, "rising"), (12, 12, 5, "line"), (14, 14, 13, "rising"), (10, 10, 3, "line"), (5, 6, 7, "rising"),
        (12, 11, 4, "round"), (13, 13, 6, "line"),
    ]:  # fmt: skip
        yield pointwise(positions, taps, outs, form, shared=True)
    for taps, outs, form in [
        (20, 12, "rising"), (16, 4, "rising"), (24, 10, "rising"), (64, 5, "rising"), (208, 4, "round"),
        (216, 8, "round"), (512, 6, "round"), (830, 3, "round"), (18, 7, "round"),
    ]:  # fmt: skip
        yield Emitted("FULLY_CONNECTED", (), (), "", ((taps,),), (outs,), contiguous=True, form=form)


def _kernels() -> Iterator[Emitted]:
    forms = itertools.cycle(["rising", "line", "rising", "round", "rising"])
    for source, outs, kernel in [
        ((15, 1, 13), 8, (3, 1)), ((9, 1, 8), 16, (3, 1)), ((12, 1, 16), 6, (5, 1)), ((11, 1, 1), 7, (9, 1)),
        ((17, 1, 3), 10, (3, 1)), ((8, 1, 32), 12, (3, 1)), ((30, 1, 40), 5, (3, 1)), ((7, 5, 1), 8, (3, 3)),
        ((9, 6, 4), 6, (3, 3)), ((6, 4, 8), 16, (3, 3)), ((10, 9, 2), 3, (5, 3)), ((8, 8, 6), 4, (1, 1)),
        ((7, 7, 5), 9, (3, 3)), ((6, 5, 16), 4, (3, 3)), ((13, 5, 1), 5, (10, 4)), ((5, 3, 20), 4, (3, 3)),
        ((12, 13, 1), 4, (3, 3)), ((9, 10, 1), 8, (3, 3)), ((10, 6, 1), 6, (5, 5)), ((7, 8, 2), 4, (3, 3)),
        ((9, 4, 3), 12, (3, 3)), ((6, 6, 4), 8, (3, 3)), ((20, 3, 1), 4, (5, 3)), ((11, 9, 1), 10, (3, 3)),
        ((40, 1, 4), 8, (3, 1)), ((20, 1, 12), 4, (3, 1)), ((13, 1, 6), 9, (5, 1)), ((10, 5, 12), 4, (3, 3)),
    ]:  # fmt: skip
        yield conv(source, outs, kernel, next(forms))
    yield conv((17, 9, 1), 8, (3, 5), "rising", (2, 2))
    yield conv((17, 1, 12), 12, (3, 1), "line", dilation=(2, 1))
    yield conv((12, 1, 24), 8, (3, 1), "rising", padding="valid")
    yield conv((12, 6, 3), 8, (2, 6), "rising", padding="valid")
    yield conv((9, 7, 8), 8, (3, 3), "line", (2, 1), padding="valid")
    yield conv((9, 9, 4), 9, (1, 1), "rising", (2, 2))


def _temporal() -> Iterator[Emitted]:
    forms = itertools.cycle(["line", "rising", "line"])
    heights, channels = itertools.cycle([25, 49, 13, 30, 4]), itertools.cycle([14, 6, 20, 9])
    strides = {
        1: [2, 3, 4, 5, 7, 8, 9, 9, 9, 9, 7, 5, 3, 9, 7, 5, 9, 3, 11, 13, 15, 11, 13, 15, 11, 13, 15, 10, 12, 14, 11],
        2: [3, 5, 9, 6, 7, 1, 7, 11, 13, 15, 11],
    }
    for kernel, stride in ((kernel, stride) for stride, kernels in strides.items() for kernel in kernels):
        yield conv((next(heights), 1, next(channels)), 0, (kernel, 1), next(forms), (stride, 1), depthwise=True)
    for kernel, width, dilation in [
        (9, 100, 1), (5, 140, 1), (3, 30, 9), (7, 260, 1), (5, 33, 4), (3, 12, 5), (7, 8, 2), (9, 14, 3), (9, 20, 2),
    ]:  # fmt: skip
        yield conv((12, 1, width), 0, (kernel, 1), next(forms), dilation=(dilation, 1), depthwise=True)


def _depthwise() -> Iterator[Emitted]:
    forms, heights = itertools.cycle(["line", "rising", "line", "round", "rising"]), itertools.cycle([25, 49, 12, 20])
    for kernel, channels, dilation in [
        (9, 12, 1), (9, 14, 3), (5, 20, 2), (7, 9, 1), (3, 8, 4), (11, 24, 1), (2, 7, 1), (9, 16, 2), (7, 10, 3),
        (5, 6, 1), (9, 20, 1), (17, 3, 2), (9, 12, 4), (3, 13, 1), (17, 8, 1), (18, 13, 2), (19, 5, 1), (17, 20, 1),
        (19, 10, 1), (17, 16, 3), (21, 12, 1), (17, 6, 1), (9, 8, 1), (9, 18, 1), (5, 7, 2), (3, 11, 1), (7, 15, 1),
        (9, 3, 1), (5, 2, 2), (11, 1, 1), (17, 2, 1), (13, 14, 1), (15, 19, 2), (18, 15, 1), (20, 9, 1),
    ]:  # fmt: skip
        rows = next(heights)
        yield conv((rows, 1, channels), 0, (kernel, 1), next(forms), dilation=(dilation, 1), depthwise=True)
    for source, kernel, stride in [
        ((9, 7, 8), (3, 3), (1, 1)), ((8, 5, 6), (3, 3), (2, 2)), ((6, 6, 13), (3, 3), (1, 1)),
        ((10, 4, 4), (5, 3), (2, 1)), ((5, 5, 16), (1, 1), (1, 1)), ((7, 9, 3), (3, 5), (1, 1)),
        ((12, 13, 1), (1, 3), (1, 1)), ((10, 7, 4), (3, 3), (1, 1)), ((5, 9, 12), (3, 3), (2, 1)),
        ((6, 4, 10), (5, 5), (1, 1)), ((12, 3, 7), (3, 1), (1, 1)), ((9, 11, 5), (1, 3), (1, 2)),
        ((6, 6, 9), (3, 3), (1, 1)), ((4, 10, 20), (1, 5), (1, 1)), ((8, 6, 6), (11, 3), (1, 1)),
        ((9, 7, 16), (3, 3), (1, 1)), ((6, 6, 20), (3, 3), (1, 1)), ((8, 5, 32), (5, 5), (1, 1)),
        ((7, 7, 24), (1, 3), (1, 1)), ((10, 4, 16), (3, 2), (2, 2)), ((6, 3, 40), (3, 3), (1, 1)),
        ((5, 5, 16), (3, 1), (1, 1)),
    ]:  # fmt: skip
        yield conv(source, 0, kernel, next(forms), stride, depthwise=True)


def _elementwise() -> Iterator[Emitted]:
    for kind in ("ADD", "SUB"):
        for shape in ((49, 1, 14), (25, 1, 9), (12,), (20,), (7, 1, 10), (3, 1, 7)):
            yield Emitted(kind, (), (), "", (shape, shape), shape)
    for a, b in [
        ((49, 13, 1), (1, 1, 1)), ((20, 40, 1), (1, 1, 1)), ((25, 5, 8), (1, 5, 1)), ((10, 6, 4), (1, 1, 4)),
        ((30, 1, 13), (1, 1, 13)), ((9, 1, 20), (20,)),
    ]:  # fmt: skip
        yield Emitted("SUB", (), (), "", (a, b), a)
        yield Emitted("MUL", (), (), "", (a, b), a)
    for shape in ((12,), (4,), (35,), (14, 1, 9)):
        yield Emitted("MUL", (), (), "", (shape, shape), shape)
    for kind, size in [("TANH", 12), ("LOGISTIC", 300), ("RELU", 4), ("TANH", 637), ("RELU", 35), ("LOGISTIC", 90)]:
        yield Emitted(kind, (), (), "", ((size,),), (size,))
    for classes in (2, 3, 4, 6, 8, 10, 12, 12, 16, 20, 35):
        yield Emitted("SOFTMAX", (), (), "", ((classes,),), (classes,))
    for shapes in [((12,), (12,)), ((25, 1, 3), (25, 1, 5)), ((9, 1, 16), (9, 1, 4)), ((1, 1, 20), (1, 1, 20)),
                   ((5, 3, 7), (5, 3, 8), (5, 3, 30)), ((40,), (3,))]:  # fmt: skip
        yield Emitted("CONCATENATION", (), (), "", shapes, (*shapes[0][:-1], sum(shape[-1] for shape in shapes)))


def _scales() -> Iterator[Emitted]:
    forms, heights = itertools.cycle(["line", "rising", "line"]), itertools.cycle([49, 25, 12, 50, 1, 7])
    for channels in (19, 8, 13, 20, 11, 24, 6, 16, 1, 9, 30, 3, 17, 12, 22, 5):
        yield conv((next(heights), 1, channels), 0, (1, 1), next(forms), depthwise=True)
    for source in ((9, 7, 8), (6, 5, 3), (12, 10, 1)):
        yield conv(source, 0, (1, 1), next(forms), depthwise=True)


def _running_maxima() -> Iterator[Emitted]:
    windows = itertools.cycle([17, 5, 9, 33, 3, 2, 13, 7, 25, 4])
    forms = itertools.cycle(["rising", "rising", "", "rising", "round", ""])
    sizes = [
        (49, 1, 19), (49, 1, 14), (25, 1, 20), (49, 1, 11), (50, 1, 8), (30, 1, 9), (49, 1, 24), (13, 1, 16),
        (49, 1, 21), (25, 1, 6), (98, 1, 12), (49, 1, 5), (12, 1, 7), (49, 1, 3), (20, 1, 1),
        (49, 1, 20), (49, 1, 17), (5, 1, 10), (40, 1, 18), (25, 1, 13), (49, 13, 1), (20, 5, 4), (60, 1, 15),
        (49, 1, 22),
    ]  # fmt: skip
    for source in (*sizes, *sizes):
        window = next(windows)
        pads = ((window - 1) // 2, 0)
        yield Emitted("MAX_POOL_2D", (), (), "", (source,), source, (window, 1), pads=pads, form=next(forms))
    for source, window in (((9, 20, 6), 5), ((4, 30, 8), 9), ((12, 13, 1), 3)):
        pads = (0, (window - 1) // 2)
        yield Emitted("MAX_POOL_2D", (), (), "", (source,), source, (1, window), pads=pads, form=next(forms))


def _pools() -> Iterator[Emitted]:
    for kind, (source, window, stride) in itertools.product(
        ("AVERAGE_POOL_2D", "MAX_POOL_2D"),
        [
            ((49, 1, 14), (49, 1), (49, 1)), ((25, 1, 20), (25, 1), (25, 1)), ((30, 1, 9), (30, 1), (30, 1)),
            ((20, 13, 1), (20, 13), (20, 13)), ((10, 8, 1), (10, 8), (10, 8)), ((25, 1, 8), (2, 1), (2, 1)),
            ((20, 1, 16), (2, 1), (2, 1)), ((9, 7, 8), (2, 2), (2, 2)), ((8, 6, 5), (2, 2), (2, 2)),
            ((12, 1, 7), (3, 1), (3, 1)), ((24, 6, 4), (2, 2), (2, 2)), ((20, 1, 12), (5, 1), (5, 1)),
            ((6, 5, 3), (6, 5), (6, 5)), ((13, 4, 10), (1, 4), (1, 4)), ((49, 1, 3), (7, 1), (7, 1)),
        ],
    ):  # fmt: skip
        pads = window_padding(source, window, stride, "same")
        shape = (math.ceil(source[0] / stride[0]), math.ceil(source[1] / stride[1]), source[2])
        yield Emitted(kind, (), (), "", (source,), shape, window, stride, pads=(pads[0][0], pads[1][0]))


def write_program(program: Program, folder: Path) -> str:
    """The program's C in `folder`; returns the text of its model."""
    model = emit_model(program)
    runtime = {name: runtime_text("model", name) for name in model.runtime}
    write_files(model.files | runtime, folder)
    return model.files["kws_model.c"]


class ProgramBuilder:
    """A program that runs operators one after the other, each on values of its own out of flash."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.source = self._tensor((1, 4))
        self.measured: list[tuple[int, Emitted]] = []  # operator's index -> what it is
        self.values: dict[Shape, int] = {}

    def add(self, operator: Emitted) -> None:
        """One operator, twice where its weights are to be shared."""
        weights = self._weights(operator) if operator.operator in _WEIGHTED else ()
        for _ in range(2 if operator.shared else 1):
            self._add(operator, weights)

    def chain(self, operators: list[Emitted]) -> None:
        """Operators of one shape, each on what the one before it gave; at the end SOFTMAX's place is the output's."""
        last = self.source
        shape = operators[0].inputs[0] if operators else (4,)
        self.source = last = self._tensor((1, math.prod(shape)))
        target = self._tensor((1, *shape))
        self._operator("RESHAPE", (last,), target)
        last = target
        for operator in operators:
            weights = self._weights(operator) if operator.operator in _WEIGHTED else ()
            last = self._add(operator, weights, sources=[last] * len(operator.inputs))

    def program(self) -> Program:
        """What was added."""
        output = self.operators[-1].outputs[0]
        return Program(tuple(self.tensors), tuple(self.operators), self.source, output, "0" * 64)

    def _add(self, operator: Emitted, weights: tuple[int, ...], sources: list[int] | None = None) -> int:
        sources = sources or [self._loaded(shape) for shape in operator.inputs]
        scale, zero_point, activation = self._output(operator)
        if operator.operator in ("CONCATENATION", "AVERAGE_POOL_2D", "MAX_POOL_2D"):  # these pass it through
            scale, zero_point = self.tensors[sources[0]].scale, self.tensors[sources[0]].zero_point
        if operator.operator == "MAX_POOL_2D":
            activation = {"": "none", "rising": "relu", "round": "relu_n1_to_1"}[operator.form]
        target = self._tensor((1, *operator.shape), scale=scale, zero_point=zero_point)
        padding = "same" if any(operator.pads) or _is_same(operator) else "valid"
        self.measured.append((len(self.operators), operator))
        self._operator(
            operator.operator, (*sources, *weights), target, activation=activation, padding=padding,
            stride=operator.stride, dilation=operator.dilation, window=operator.window,
        )  # fmt: skip
        return target

    def _output(self, operator: Emitted) -> tuple[float, int, str]:
        """(scale, zero point, fused activation) that give the wanted form."""
        if operator.operator == "SOFTMAX":
            return 1 / 256, -128, "none"
        if operator.operator in ("TANH", "LOGISTIC"):
            return (1 / 128, 0, "none") if operator.operator == "TANH" else (1 / 256, -128, "none")
        if operator.operator not in _WEIGHTED:
            return 2 * SCALE, -3, "none"
        products = operator.taps if operator.operator != "DEPTHWISE_CONV_2D" else math.prod(operator.window)
        scale = SCALE * 0.01 * math.sqrt(products) * 40 * 74 / 50
        if operator.form == "rising":
            return scale, -128, "relu"
        return (scale, 5, "none") if operator.form == "line" else (scale, 5, "relu")

    def _weights(self, operator: Emitted) -> tuple[int, ...]:
        outs = operator.shape[-1]
        kernel = operator.window
        shape = {
            "CONV_2D": (outs, *kernel, operator.inputs[0][-1]), "DEPTHWISE_CONV_2D": (1, *kernel, outs),
            "FULLY_CONNECTED": (outs, operator.taps),
        }[operator.operator]  # fmt: skip
        spread = 40 if operator.taps < 100 or operator.form == "round" else 20
        values = np.clip(np.rint(self.random.normal(0, spread, shape)), -127, 127).astype(np.int8)
        scales = np.full(1 if operator.operator == "FULLY_CONNECTED" else outs, 0.01, np.float32)
        bias = self.random.integers(-500, 500, outs).astype(np.int32)
        return self._tensor(shape, values, scales=scales), self._tensor((outs,), bias, dtype="int32")

    def _loaded(self, shape: Shape) -> int:
        """A tensor of random values, copied from a constant."""
        if shape not in self.values:
            values = self.random.integers(-128, 128, (1, *shape)).astype(np.int8)
            self.values[shape] = self._tensor((1, *shape), values)
        target = self._tensor((1, *shape))
        self._operator("CONCATENATION", (self.values[shape],), target)
        return target

    def _operator(self, kind: str, inputs: tuple[int, ...], target: int, **options: object) -> None:
        self.operators.append(Operator(len(self.operators), kind, inputs, (target,), **options))

    def _tensor(
        self, shape: Shape, data: np.ndarray | None = None, *, scale: float = SCALE, zero_point: int = 0,
        scales: np.ndarray | None = None, dtype: str = "int8",
    ) -> int:  # fmt: skip
        index = len(self.tensors)
        scales = np.float32([scale]) if scales is None else scales
        points = np.full(len(scales), zero_point, np.int64)
        self.tensors.append(Tensor(index, f"t{index}", tuple(map(int, shape)), dtype, scales, points, index, data))
        return index


_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def _is_same(operator: Emitted) -> bool:
    """Whether the output has the size that "same" gives; both paddings may give it."""
    sizes = zip(operator.plane, operator.out_plane, operator.stride, strict=False)
    return all(out == math.ceil(size / step) for size, out, step in sizes)
