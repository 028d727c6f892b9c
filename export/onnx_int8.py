"""Plain graph -> int8 ONNX in QDQ form, by onnxruntime's quantiser on real features."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from kws_dendrite.errors import ExportError
from kws_dendrite.export.layers import on_int8_grid
from kws_dendrite.export.onnx import INPUT, build_onnx
from kws_dendrite.export.operators import ONNX, check_operators
from kws_dendrite.export.tflite import check_calibration
from kws_dendrite.output import write_bytes
from kws_dendrite.plain import Graph


def write_onnx_int8(graph: Graph, path: Path | str, calibration: np.ndarray) -> None:
    """Write the graph as QDQ ONNX: int8 weights (convolutions per channel, MatMul and Gemm per tensor), int8 tensors.

    Ranges come from `calibration` (M, T*F). Input and output stay float32; a weight that several convolutions share is
    stored once.

    Raises:
        ExportError: calibration that does not fit, or a quantiser that fails.
        GraphError, OutputError: as `write_onnx`.
    """
    write_bytes(path, build_onnx_int8(graph, calibration).SerializeToString(deterministic=True))


def build_onnx_int8(graph: Graph, calibration: np.ndarray) -> onnx.ModelProto:
    """The int8 model in memory; arguments and errors as `write_onnx_int8`."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    rows = check_calibration(graph, calibration)
    model = build_onnx(on_int8_grid(graph), for_int8=True)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rows = iter(rows)

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self.rows, None)
            return None if row is None else {INPUT: row[None]}

    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        try:
            quantize_static(
                source,
                target,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={"WeightSymmetric": True, "TensorQuantOverrides": _per_tensor(model)},
            )
        except Exception as error:  # onnxruntime's own exceptions share no public base
            first = (str(error).splitlines() or [""])[0]
            raise ExportError(f"onnxruntime's quantiser failed ({type(error).__name__}): {first}") from error
        quantized = onnx.load(target)
    share_initializers(quantized)
    entry = quantized.metadata_props.add()
    entry.key, entry.value = "quantized", "int8"
    check_operators((node.op_type for node in quantized.graph.node), ONNX, artefact="the int8 ONNX model")
    return quantized


def share_initializers(model: onnx.ModelProto) -> None:
    """Keep one of every set of initialisers with the same type, shape and bytes: lossless."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    renamed: dict[str, str] = {}
    kept = []
    for tensor in model.graph.initializer:
        content = onnx.numpy_helper.to_array(tensor)
        key = (tensor.data_type, tuple(tensor.dims), content.tobytes())
        if key in first:
            renamed[tensor.name] = first[key]
        else:
            first[key] = tensor.name
            kept.append(tensor)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)


def _per_tensor(model: onnx.ModelProto) -> dict[str, list[dict[str, object]]]:
    """Overrides that give MatMul and Gemm weights one scale, as FULLY_CONNECTED has in the TFLite file."""
    from onnxruntime.quantization import QuantType

    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        node.input[1]: [{"quant_type": QuantType.QInt8, "symmetric": True}]
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in constants
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's quantiser advises, through the root logger, a pre-processing that a static model does not need."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
