"""Which operators each target takes. An artefact with any other is refused, by name, before it is written.

TFLITE_INT8: what both Edge Impulse's SDK (v1.93.20, AllOpsResolver) and TensorFlow Lite Micro run in int8, without
those that this project never needs. RELU_N1_TO_1 is left out: both take it only fused into another operator.
ONNX: what Edge Impulse's converter and onnxruntime's quantiser both take at opset 13 and later.
"""

from collections.abc import Iterable

from kws_dendrite.errors import ExportError

TFLITE_INT8 = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RESHAPE",
        "SOFTMAX",
        "SUB",
        "TANH",
    }
)
ONNX = frozenset(
    {
        "Add",
        "AveragePool",
        "Clip",
        "Concat",
        "Conv",
        "DequantizeLinear",
        "Gemm",
        "MatMul",
        "MaxPool",
        "Mul",
        "QuantizeLinear",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Softmax",
        "Sub",
        "Tanh",
        "Transpose",
    }
)


def check_operators(found: Iterable[str], allowed: frozenset[str], *, artefact: str) -> None:
    """Refuse an artefact that uses an operator its target does not have.

    Raises:
        ExportError: naming every such operator.
    """
    foreign = sorted(set(found) - allowed)
    if foreign:
        raise ExportError(
            f"{artefact} uses {', '.join(foreign)}, which its target does not run; it runs {', '.join(sorted(allowed))}"
        )
