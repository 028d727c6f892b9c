"""Any artefact as one thing: features (N, T*F) in, probabilities (N, K) out.

TFLite runs on the reference kernels, without a delegate: they are what the micro runtimes are written against, and
give the same bits on every machine.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kws_dendrite.errors import DataError, ExportError
from kws_dendrite.plain import Graph, infer_shapes, interpret, load_graph

BUNDLE_ORDER = ("model_quantized_int8_io.tflite", "model.tflite", "model.onnx", "graph.npz", "model_int8.onnx")


class Predictor(Protocol):
    """What `load_predictor` gives.

    Attributes:
        kind: "graph", "onnx", "onnx_int8", "tflite", "tflite_int8" or "c".
        path: the file that runs.
        labels: K class names in output order; empty where neither the file nor labels.txt beside it says.
        frontend: the front end's JSON from frontend.json beside the file, or None.
        features: T*F, the width of the input.
    """

    kind: str
    path: Path
    labels: tuple[str, ...]
    frontend: dict[str, Any] | None
    features: int

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Features (N, T*F) -> probabilities (N, K), float32. DataError when `x` does not fit."""
        ...


def load_predictor(path: Path | str) -> Predictor:
    """Open an artefact: a graph .npz, an .onnx, a .tflite, a folder of C, or a bundle folder (its int8 TFLite runs).

    Raises:
        ExportError: missing, of an unknown kind, or a file that its runtime cannot read.
        GraphError: an .npz that is not a plain graph.
    """
    path = Path(path)
    if (path / "kws_model.h").is_file():
        return CPredictor(path)
    if path.is_dir():
        found = [path / name for name in BUNDLE_ORDER if (path / name).is_file()]
        if not found:
            raise ExportError(f"{path} holds none of {', '.join(BUNDLE_ORDER)}; name a bundle folder or one artefact")
        path = found[0]
    if not path.is_file():
        raise ExportError(f"{path} is not there; name a bundle folder, a graph .npz, an .onnx or a .tflite")
    match path.suffix.lower():
        case ".npz":
            return GraphPredictor(path)
        case ".onnx":
            return OnnxPredictor(path)
        case ".tflite" | ".lite":
            return TFLitePredictor(path)
    raise ExportError(f"{path} ends in {path.suffix!r}; expected a bundle folder, a graph .npz, an .onnx or a .tflite")


@dataclass(frozen=True)
class Surroundings:
    """What stands beside an artefact: labels.txt and frontend.json."""

    labels: tuple[str, ...]
    frontend: dict[str, Any] | None


def read_surroundings(folder: Path) -> Surroundings:
    """Read labels.txt (one name a line) and frontend.json from the artefact's folder, where they are there.

    Raises:
        ExportError: frontend.json is not JSON.
    """
    labels: tuple[str, ...] = ()
    frontend = None
    if (folder / "labels.txt").is_file():
        labels = tuple((folder / "labels.txt").read_text(encoding="utf-8").split("\n"))
        labels = tuple(label for label in labels if label)
    if (folder / "frontend.json").is_file():
        try:
            frontend = json.loads((folder / "frontend.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise ExportError(f"{folder / 'frontend.json'} is not JSON ({error}); export the bundle again") from error
    return Surroundings(labels, frontend)


class GraphPredictor:
    """The numpy interpreter on a graph .npz."""

    kind = "graph"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.graph: Graph = load_graph(path)
        self.features = self.graph.input.size
        beside = read_surroundings(path.parent)
        self.labels = self.graph.labels or beside.labels
        self.frontend = beside.frontend

    def predict(self, x: np.ndarray) -> np.ndarray:
        """As `Predictor.predict`."""
        return interpret(self.graph, check_features(x, self.features))


class OnnxPredictor:
    """onnxruntime on one CPU thread, one clip at a time (the batch is static)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session = open_onnx(path)
        source, target = self.session.get_inputs()[0], self.session.get_outputs()[0]
        if len(source.shape) != 2 or not isinstance(source.shape[1], int):
            raise ExportError(f"{path} reads shape {source.shape}, expected (1, T*F)")
        self.input, self.features, self.classes = source.name, source.shape[1], target.shape[-1]
        beside = read_surroundings(path.parent)
        self.labels, self.frontend = beside.labels, beside.frontend

    @property
    def kind(self) -> str:
        """ "onnx_int8" where the file quantises anything."""
        metadata = self.session.get_modelmeta().custom_metadata_map
        return "onnx_int8" if metadata.get("quantized") == "int8" else "onnx"

    def predict(self, x: np.ndarray) -> np.ndarray:
        """As `Predictor.predict`."""
        x = check_features(x, self.features)
        rows = [self.session.run(None, {self.input: row[None]})[0] for row in x]
        return np.concatenate(rows) if rows else np.empty((0, self.classes), np.float32)


class TFLitePredictor:
    """The TFLite interpreter's reference kernels on one thread, float32 or int8 in and out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.interpreter = open_tflite(path)
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]
        shape = tuple(int(size) for size in self.input["shape"])
        if len(shape) != 2 or shape[0] != 1:
            raise ExportError(f"{path} reads shape {shape}, expected (1, T*F)")
        self.features = shape[1]
        self.kind = "tflite_int8" if self.input["dtype"] == np.int8 else "tflite"
        beside = read_surroundings(path.parent)
        self.labels, self.frontend = beside.labels, beside.frontend

    def predict(self, x: np.ndarray) -> np.ndarray:
        """As `Predictor.predict`."""
        x = check_features(x, self.features)
        if self.kind == "tflite":
            return self.run(x)
        return dequantize(self.run(self.quantize(x)), *self.output["quantization"])

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Features (N, T*F) -> the int8 the file reads."""
        return quantize(x, *self.input["quantization"])

    def run(self, x: np.ndarray) -> np.ndarray:
        """The file's own input type (N, T*F) -> its own output type (N, K)."""
        out = np.empty((len(x), int(self.output["shape"][-1])), self.output["dtype"])
        for index, row in enumerate(x):
            self.interpreter.set_tensor(self.input["index"], row[None])
            self.interpreter.invoke()
            out[index] = self.interpreter.get_tensor(self.output["index"])[0]
        return out


class CPredictor:
    """The generated C, compiled for this machine; labels.txt and frontend.json stand beside its folder."""

    kind = "c"

    def __init__(self, path: Path) -> None:
        from kws_dendrite.export.c.native import NativeModel, header_float, header_number

        self.path = path
        self.model = NativeModel(path)
        self.features = self.model.inputs
        self.input, self.output = (
            (header_float(path, f"KWS_MODEL_{side}_SCALE"), header_number(path, f"KWS_MODEL_{side}_ZERO_POINT"))
            for side in ("INPUT", "OUTPUT")
        )
        beside = read_surroundings(path.absolute().parent)
        self.labels, self.frontend = beside.labels, beside.frontend

    def predict(self, x: np.ndarray) -> np.ndarray:
        """As `Predictor.predict`."""
        return dequantize(self.model.run(quantize(check_features(x, self.features), *self.input)), *self.output)


def quantize(x: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """Float -> int8 as devices do it: halves away from zero, then clipped (Edge Impulse SDK, ei_quantize.h)."""
    scaled = x.astype(np.float32) / np.float32(scale)
    rounded = np.copysign(np.floor(np.abs(scaled) + np.float32(0.5)), scaled)
    return np.clip(rounded + zero_point, -128, 127).astype(np.int8)


def dequantize(q: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """int8 -> float32: (q - zero_point) * scale."""
    return (q.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def check_features(x: np.ndarray, size: int) -> np.ndarray:
    """Features as contiguous float32 (N, size).

    Raises:
        DataError: another shape, or values that are not finite.
    """
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != size:
        raise DataError(f"the model reads features (N, {size}), got {x.shape}; is the front end the model's own?")
    if not np.isfinite(x).all():
        raise DataError("the features hold values that are not finite; look for a broken clip")
    return np.ascontiguousarray(x, dtype=np.float32)


def open_onnx(source: Path | bytes) -> Any:
    """An onnxruntime session on one CPU thread, from a file or from a model's bytes.

    Raises:
        ExportError: not a model that onnxruntime can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: the int8 model draws warnings about folded constants
    model = source if isinstance(source, bytes) else str(source)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base
        name = "the ONNX model" if isinstance(source, bytes) else source
        raise ExportError(f"{name} cannot be run by onnxruntime: {_first_line(error)}") from error


def open_tflite(path: Path, *, reference: bool = True, preserve: bool = False) -> Any:
    """A TFLite interpreter on one thread, tensors allocated.

    Args:
        path: the file.
        reference: the reference kernels; else the optimised ones with the default delegate, as a phone would run it.
        preserve: keep intermediate tensors readable.

    Raises:
        ExportError: not a model that the interpreter can run.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        with contextlib.nullcontext() if reference else _no_stderr():
            interpreter = Interpreter(
                str(path),
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO,
                experimental_preserve_all_tensors=preserve,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ExportError(f"{path} cannot be run by the TFLite interpreter: {_first_line(error)}") from error
    return interpreter


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """The C++ side announces its default delegate on standard error, and has no switch for it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def artefacts(folder: Path) -> Iterator[Path]:
    """The bundle's models, in the order of the chain: graph, ONNX, ONNX int8, TFLite, TFLite int8."""
    for name in ("graph.npz", "model.onnx", "model_int8.onnx", "model.tflite", "model_quantized_int8_io.tflite"):
        if (folder / name).is_file():
            yield folder / name


def output_classes(graph: Graph) -> int:
    """K, the width of the graph's output."""
    return infer_shapes(graph)[graph.output.name][-1]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
