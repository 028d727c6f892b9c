"""A bundle as Edge Impulse is given it: its files, labels, front end and test vector, held to one another."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.check import check_file
from kws_dendrite.export.predictor import TFLitePredictor, open_onnx, read_surroundings
from kws_dendrite.frontend import BLOCKS, FrontEndConfig, coefficients, feature_shape, from_json

INT8, FLOAT, ONNX = "model_quantized_int8_io.tflite", "model.tflite", "model.onnx"
VECTOR = "test_vector.npz"


@dataclass(frozen=True)
class Vector:
    """Clips with what the model says of them.

    Attributes:
        features: float32 (N, T*F).
        labels: (N,) the clips' true classes.
        scores: float32 (N, K), of the int8 file, dequantised.
        int8_input, int8_output: its bytes.
        audio: int16 (S,), the first clip's sound; None where the bundle alone is known.
    """

    features: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    int8_input: np.ndarray
    int8_output: np.ndarray
    audio: np.ndarray | None = None


@dataclass(frozen=True)
class BundleModel:
    """A bundle, read and checked.

    Attributes:
        folder: the bundle.
        labels: K class names, in output order.
        features: T*F, width of the input.
        frontend: how sound becomes features; None where they came from elsewhere (a learning block's arrays).
        samples: of the window; None without a front end.
        int8: the int8 file, open.
    """

    folder: Path
    labels: tuple[str, ...]
    features: int
    frontend: FrontEndConfig | None
    samples: int | None
    int8: TFLitePredictor

    @property
    def shape(self) -> tuple[int, int] | None:
        """(T, F), where the front end says."""
        if self.frontend is None:
            return None
        width = coefficients(self.frontend)
        return self.features // width, width

    def vector(self) -> Vector:
        """The bundle's own test vector, run again.

        Raises:
            ExportError: it cannot be read, or the int8 file says something else.
        """
        path = self.folder / VECTOR
        try:
            with np.load(path, allow_pickle=False) as file:
                x, labels, wanted = file["x"], file["labels"], file["int8_output"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ExportError(f"{path} cannot be read ({type(error).__name__}); export the bundle again") from error
        if x.ndim != 2 or x.shape[1] != self.features or len(x) != len(labels) or not len(x):
            raise ExportError(f"{path} has clips of shape {x.shape}, the model reads {self.features}; export again")
        vector = self.run(x, labels)
        if not np.array_equal(vector.int8_output, wanted):
            raise ExportError(f"{path} is not of {INT8}: its outputs differ; export the bundle again")
        return vector

    def run(self, x: np.ndarray, labels: np.ndarray, audio: np.ndarray | None = None) -> Vector:
        """Features (N, T*F) through the int8 file."""
        x = np.ascontiguousarray(x, np.float32)
        quantized = self.int8.quantize(x)
        return Vector(x, labels, self.int8.predict(x), quantized, self.int8.run(quantized), audio)


def read_bundle(folder: Path | str) -> BundleModel:
    """Open a bundle.

    Raises:
        ExportError: a file is missing or is not what Edge Impulse takes (one input (1, T*F), one output (1, K)),
            labels that do not fit, operators that it would not run or run wrong, a front end that its device code
            computes otherwise.
    """
    folder = Path(folder)
    missing = [name for name in (INT8, FLOAT, ONNX, "labels.txt", VECTOR) if not (folder / name).is_file()]
    if missing:
        raise ExportError(f"{folder} lacks {', '.join(missing)}; name a bundle folder that `kws-dendrite export` wrote")
    beside = read_surroundings(folder)
    int8 = TFLitePredictor(folder / INT8)
    if int8.kind != "tflite_int8":
        raise ExportError(f"{folder / INT8} is not int8 in and out; export the bundle again")
    _check(folder / INT8)
    sizes = {INT8: int8.features, FLOAT: TFLitePredictor(folder / FLOAT).features}
    shape = open_onnx(folder / ONNX).get_inputs()[0].shape
    if len(shape) != 2 or shape[0] != 1 or not isinstance(shape[1], int):  # Edge Impulse makes 1 of what is open
        raise ExportError(f"{folder / ONNX} reads shape {shape}, expected (1, T*F), all known; export the bundle again")
    sizes[ONNX] = shape[1]
    if len(set(sizes.values())) > 1:
        raise ExportError(f"{folder}: the files read {sizes}, not the same features; export the bundle again")
    outputs = tuple(int(size) for size in int8.output["shape"])
    if outputs != (1, len(beside.labels)):
        raise ExportError(f"{folder} has {len(beside.labels)} labels, the model's output is {outputs}; export it again")
    commas = [label for label in beside.labels if "," in label]
    if commas:
        raise ExportError(f"Edge Impulse reads labels with commas between; {commas[0]!r} has one: name that class anew")
    frontend, samples = _front_end(folder, beside.frontend or {}, int8.features)
    return BundleModel(folder, beside.labels, int8.features, frontend, samples, int8)


def _check(path: Path) -> None:
    """Refuse a file that Edge Impulse would not run, or would run wrong."""
    report = check_file(path, "edge-impulse")
    if not report.ok:
        raise ExportError(
            f"{path} would not run right in Edge Impulse: {report.findings[0].what}; `kws-dendrite check` has the rest"
        )


def _front_end(folder: Path, stored: dict, features: int) -> tuple[FrontEndConfig | None, int | None]:
    settings = {name: value for name, value in stored.items() if name != "task"}
    if settings.get("block") not in BLOCKS:
        return None, None
    try:
        config = from_json(settings)
        seconds = float((stored.get("task") or {}).get("window_seconds", 1.0))
        samples = round(seconds * config.sampling_freq)
        frames, width = feature_shape(config, samples)
    except (ConfigError, TypeError, ValueError) as error:
        raise ExportError(f"{folder / 'frontend.json'}: {error}; export the bundle again") from error
    if frames * width != features:
        raise ExportError(
            f"{folder / 'frontend.json'} gives {frames} x {width} features, the model reads {features}; export it again"
        )
    if getattr(config, "implementation_version", 4) < 4 and config.low_frequency == 0:
        raise ExportError(
            f"version {config.implementation_version} with low_frequency 0: Edge Impulse's device code takes 300 "
            "instead; train with --set low_frequency=300, or with version 4"
        )
    return config, samples
