"""A model's values between its layers, under the plain graph's names and in its NHWC layout."""

from pathlib import Path
from typing import Protocol

import numpy as np
import onnx

from kws_dendrite.errors import ExportError
from kws_dendrite.export.onnx import tensor_names
from kws_dendrite.export.predictor import dequantize, open_onnx, open_tflite, quantize
from kws_dendrite.plain import Graph, infer_shapes


class LayerReader(Protocol):
    """Features (N, T*F) -> node name -> its value (N, ...), for the nodes that the artefact still has.

    `names` picks nodes (None: all), `rows` picks clips (None: all).
    """

    def __call__(
        self, x: np.ndarray, names: list[str] | None = None, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray]: ...


def onnx_layers(graph: Graph, path: Path) -> LayerReader:
    """Every node's output in an ONNX file that `write_onnx` wrote, from a copy of it with all of them as outputs."""
    shapes = infer_shapes(graph)
    tensors = tensor_names(graph)

    def read(x: np.ndarray, names: list[str] | None = None, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        try:
            model = onnx.load(path)
        except Exception as error:  # protobuf's DecodeError has no stable home
            raise ExportError(f"{path} is not an ONNX model: {error}") from error
        there = {name for node in model.graph.node for name in node.output}
        wanted = [name for name in (names or shapes) if tensors[name] in there]
        known = {output.name for output in model.graph.output}
        for name in wanted:
            if tensors[name] not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=tensors[name]))
        session = open_onnx(model.SerializeToString())
        source = session.get_inputs()[0].name
        clips = [
            session.run([tensors[name] for name in wanted], {source: np.ascontiguousarray(row[None], np.float32)})
            for row in (x if rows is None else x[rows])
        ]
        values = {name: np.concatenate(parts) for name, parts in zip(wanted, zip(*clips, strict=True), strict=True)}
        return {name: _channels_last(value, len(shapes[name])) for name, value in values.items()}

    return read


def tflite_layers(graph: Graph, path: Path) -> LayerReader:
    """The outputs of those nodes that a TFLite file kept as tensors (others were fused into the next); dequantised."""
    output = graph.output.name

    def read(x: np.ndarray, names: list[str] | None = None, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        interpreter = open_tflite(path, preserve=True)
        source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
        details[output] = target
        wanted = [node.name for node in graph.nodes[1:] if node.name in details and (not names or node.name in names)]
        values: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        for row in x if rows is None else x[rows]:
            clip = row[None].astype(np.float32)
            if source["dtype"] == np.int8:
                clip = quantize(clip, *source["quantization"])
            interpreter.set_tensor(source["index"], clip)
            interpreter.invoke()
            for name in wanted:
                value = interpreter.get_tensor(details[name]["index"])
                if value.dtype == np.int8:
                    value = dequantize(value, *details[name]["quantization"])
                values[name].append(value)
        return {name: np.concatenate(parts) for name, parts in values.items()}

    return read


def _channels_last(value: np.ndarray, rank: int) -> np.ndarray:
    """ONNX's (N, C, H, W) -> (N, H, W, C)."""
    return value.transpose(0, 2, 3, 1) if rank == 3 else value
