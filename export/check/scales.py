"""Rules on quantisation: scales and zero points that a kernel does not read, or reads otherwise than they are meant."""

from collections.abc import Iterator

import numpy as np

from kws_dendrite.export.c.reader import LARGEST_SCALE, LEAST_SCALE
from kws_dendrite.export.check.case import COPYING, POOLING, QUANTISED, WEIGHTED, Case, scaled
from kws_dendrite.export.check.findings import Finding, Severity
from kws_dendrite.export.check.model import Operator, Tensor
from kws_dendrite.export.check.targets import EDGE_IMPULSE, ESPHOME, TFLITE_MICRO

MOST_JOINED = 10  # kMaxInputNum of CONCATENATION
AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}  # of per-channel scales
BOUNDED = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "SOFTMAX": (1 / 256, -128)}  # int8 output that is assumed
PER_TENSOR = "converter._experimental_disable_per_channel_quantization_for_dense_layers = True"


def check_sanity(case: Case) -> Iterator[Finding]:
    """Scales that cannot be, zero points outside their type."""
    for tensor in case.graph.tensors:
        if not len(tensor.scales) or tensor.dtype not in QUANTISED | {"int32"}:
            continue
        scales = tensor.scales
        good = np.isfinite(scales).all() and (scales > 0).all() and scales.max() <= LARGEST_SCALE
        if good and (tensor.dtype == "int32" or scales.min() >= LEAST_SCALE):
            yield from _zero_point(case, tensor)
            continue
        worst = scales[~(np.isfinite(scales) & (scales > 0) & (scales <= LARGEST_SCALE))]
        worst = float(worst[0]) if len(worst) else float(scales.min())
        yield case.finding(
            "scale",
            "wrong",
            what=f"{tensor.name!r} has a scale of {worst:g}",
            why=f"a scale is positive and at most {LARGEST_SCALE:g}; beyond that the multipliers overflow or are 0",
            fix="look for infinite, huge or all-zero features among the calibration clips, and convert again",
            operators=_touching(case, tensor),
            tensor=tensor,
        )


def _zero_point(case: Case, tensor: Tensor) -> Iterator[Finding]:
    least, most = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}.get(
        tensor.dtype, (-(1 << 31), 1 << 31)
    )
    points = tensor.zero_points
    if len(points) and not (points.min() >= least and points.max() <= most):
        yield case.finding(
            "zero-point",
            "wrong",
            what=f"{tensor.name!r} has a zero point of {int(points.max() if points.max() > most else points.min())}",
            why=f"{tensor.dtype} holds {least} to {most}",
            fix="convert again; the file is not what a converter writes",
            operators=_touching(case, tensor),
            tensor=tensor,
        )


def check_missing(case: Case) -> Iterator[Finding]:
    """int8 numbers that nobody can read."""
    for operator in case.graph.operators:
        for index in (*operator.inputs[:2], *operator.outputs):
            tensor = case.graph.tensors[index] if index >= 0 else None
            if tensor is not None and tensor.dtype in ("int8", "int16") and not len(tensor.scales):
                yield case.finding(
                    "no-scale",
                    "wrong",
                    what=f"{tensor.name!r} is {tensor.dtype} without a scale",
                    why="kernels take the scale as 0",
                    fix="convert with representative data, so that every tensor gets a scale",
                    operators=[operator],
                    tensor=tensor,
                )
                return


def check_dense(case: Case) -> Iterator[Finding]:
    """Per-channel FULLY_CONNECTED."""
    severity: Severity = "wrong" if case.target.key in (EDGE_IMPULSE, ESPHOME) else "note"
    why = {
        EDGE_IMPULSE: "the SDK multiplies every class by the first scale, without a check: the scores are wrong",
        ESPHOME: "the ESP-NN kernel has one multiplier, which per-channel weights leave unset",
        TFLITE_MICRO: "right since September 2024; versions of May to September 2024 refuse it, older ones give wrong "
        "scores",
    }
    source = {EDGE_IMPULSE: "ei-fc", ESPHOME: "esp-nn-fc", TFLITE_MICRO: "tflm-fc-per-channel"}
    if not case.micro:
        return
    for operator in case.graph.operators:
        weight = case.graph.read(operator, 1)
        if operator.kind != "FULLY_CONNECTED" or weight is None or len(weight.scales) < 2:
            continue
        if len(weight.scales) > 1 and np.all(weight.scales == weight.scales[0]):
            continue  # as many as there are channels, but all alike: the first is right for all
        yield case.finding(
            "dense-per-channel",
            severity,
            what=f"FULLY_CONNECTED {operator.index} has {len(weight.scales)} scales on its weights {weight.name!r}",
            why=why[case.target.key],
            fix=f"{PER_TENSOR}; or a 1 x 1 convolution as the classifier",
            source=source[case.target.key],
            operators=[operator],
            tensor=weight,
        )


def check_weights(case: Case) -> Iterator[Finding]:
    """Weights that are not symmetric, or whose scales lie along another axis."""
    if not case.micro:
        return
    for operator in case.graph.operators:
        place = WEIGHTED.get(operator.kind)
        weight = case.graph.read(operator, place) if place is not None and not operator.custom else None
        if weight is None or weight.dtype != "int8" or not len(weight.scales):
            continue
        axis = AXES[operator.kind]
        channels = weight.shape[axis] if axis < len(weight.shape) else 0
        if len(weight.scales) not in (1, channels):
            yield case.finding(
                "channel-scales",
                "fails",
                what=f"{operator.kind} {operator.index} has {len(weight.scales)} scales for {channels} channels",
                why="the kernel wants one scale, or one a channel",
                fix="convert again; the file is not what a converter writes",
                source="tflm-conv",
                operators=[operator],
                tensor=weight,
            )
        elif len(weight.scales) > 1 and weight.axis != axis:
            yield case.finding(
                "channel-axis",
                "wrong",
                what=f"{operator.kind} {operator.index} has its scales along axis {weight.axis}; expected {axis}",
                why="the kernel takes them as the output channels' and does not look at the axis",
                fix="convert again; the file is not what a converter writes",
                source="tflm-conv",
                operators=[operator],
                tensor=weight,
            )
        if weight.content is not None and operator.kind != "FULLY_CONNECTED" and weight.zero_points.any():
            yield case.finding(
                "asymmetric-weights",
                "wrong",
                what=f"{operator.kind} {operator.index} has weights of zero point {int(weight.zero_points.max())}",
                why="int8 convolutions take weights as symmetric: the zero point is not read",
                fix="quantise weights symmetrically, as TensorFlow's converter does for int8",
                source="tflm-conv",
                operators=[operator],
                tensor=weight,
            )


def check_joins(case: Case) -> Iterator[Finding]:
    """CONCATENATION with scales, numbers or ranks that it does not have."""
    if not case.micro:
        return
    rank = 5 if case.target.key == EDGE_IMPULSE else 4
    source = "ei-kernels" if case.target.key == EDGE_IMPULSE else "tflm-concatenation"
    for operator in case.graph.operators:
        output = case.graph.written(operator)
        if operator.kind != "CONCATENATION" or output is None:
            continue
        inputs = [case.graph.tensors[index] for index in operator.inputs if index >= 0]
        odd = [tensor for tensor in inputs if not tensor.same_quantisation(output)]
        if odd and output.dtype in QUANTISED:
            yield case.finding(
                "concatenation-scales",
                "wrong",
                what=f"CONCATENATION {operator.index} joins {odd[0].name!r} ({scaled(odd[0])}) into {scaled(output)}",
                why="the kernel copies bytes and looks at no scale: that part is read on the wrong scale",
                fix="let the converter give all of them one scale, or put a QUANTIZE before each that differs",
                source=source,
                operators=[operator],
                tensor=odd[0],
            )
        fused = int(operator.options.number(1, "int8")) if operator.options is not None else 0
        for bad, what in (
            (len(inputs) > MOST_JOINED, f"joins {len(inputs)} tensors; at most {MOST_JOINED}"),
            (fused != 0, "has a fused activation"),
            (len(output.shape) > rank, f"joins tensors of {len(output.shape)} axes; at most {rank}"),
        ):
            if bad:
                yield case.finding(
                    "concatenation-form",
                    "fails",
                    what=f"CONCATENATION {operator.index} {what}",
                    why="the kernel refuses it when it is loaded",
                    fix="join in two steps, and put the activation behind the join",
                    source=source,
                    operators=[operator],
                    tensor=output,
                )


def check_copies(case: Case) -> Iterator[Finding]:
    """Operators that hand bytes on, between tensors of different scales."""
    if not case.micro:
        return
    for operator in case.graph.operators:
        source = case.data(operator)
        if source is None or source.dtype not in QUANTISED or operator.kind not in COPYING | POOLING | {"RELU6"}:
            continue
        for index in operator.outputs:
            target = case.graph.tensors[index] if index >= 0 else None
            if target is None or target.same_quantisation(source):
                continue
            refused = operator.kind in POOLING and case.target.key != EDGE_IMPULSE
            yield case.finding(
                "copied-scales",
                "fails" if refused else "wrong",
                what=f"{operator.kind} {operator.index} hands {scaled(source)} on as {scaled(target)}",
                why="the kernel refuses that when it is loaded" if refused else "the kernel hands bytes on as they are",
                fix="give both the same scale and zero point, or put a QUANTIZE between",
                source="tflm-pooling" if refused else ("ei-kernels" if case.target.key == EDGE_IMPULSE else ""),
                operators=[operator],
                tensor=target,
            )
            break


def check_bounded(case: Case) -> Iterator[Finding]:
    """Sigmoid, tanh and softmax, whose int8 output scale is fixed."""
    if not case.micro:
        return
    source = {
        "SOFTMAX": {EDGE_IMPULSE: "ei-softmax"}.get(case.target.key, "tflm-softmax"),
        "LOGISTIC": {EDGE_IMPULSE: "ei-kernels"}.get(case.target.key, "tflm-logistic"),
        "TANH": {EDGE_IMPULSE: "ei-kernels"}.get(case.target.key, "tflm-tanh"),
    }
    for operator in case.graph.operators:
        output = case.graph.written(operator)
        if operator.kind not in BOUNDED or output is None or output.dtype != "int8" or not len(output.scales):
            continue
        scale, zero_point = BOUNDED[operator.kind]
        if output.scale == np.float32(scale) and output.zero_point == zero_point:
            continue
        checked = operator.kind == "SOFTMAX" or (operator.kind == "LOGISTIC" and output.zero_point != zero_point)
        yield case.finding(
            f"{operator.kind.lower()}-scale",
            "fails" if checked else "wrong",
            what=f"{operator.kind} {operator.index} gives {scaled(output)}, not 1/{round(1 / scale)}, {zero_point}",
            why="the kernel compares them and stops"
            if checked
            else "the kernel writes on its own fixed scale, whatever the file says",
            fix="let TensorFlow's converter set this output's scale",
            source=source[operator.kind],
            operators=[operator],
            tensor=output,
        )


def _touching(case: Case, tensor: Tensor) -> list[Operator]:
    """The operator that writes a tensor, else those that read it; the first of them."""
    producer = case.graph.producers.get(tensor.index)
    return [producer] if producer is not None else case.graph.readers.get(tensor.index, [])[:1]
