import pytest

from kws_dendrite.errors import ExportError
from kws_dendrite.export.operators import ONNX, TFLITE_INT8, check_operators


def test_operators_on_the_list_pass():
    check_operators(["RESHAPE", "CONV_2D", "CONV_2D", "SOFTMAX"], TFLITE_INT8, artefact="it")


@pytest.mark.parametrize("name", ["SHAPE", "PACK", "STRIDED_SLICE", "RELU_N1_TO_1", "POW", "DEQUANTIZE"])
def test_others_are_named(name):
    with pytest.raises(ExportError, match=f"model.tflite uses {name}, which its target does not run"):
        check_operators(["RESHAPE", name], TFLITE_INT8, artefact="model.tflite")


def test_all_of_them_are_named_once():
    with pytest.raises(ExportError, match="uses Gelu, Pow,"):
        check_operators(["Pow", "Conv", "Gelu", "Pow"], ONNX, artefact="it")
