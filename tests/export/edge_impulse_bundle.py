"""A bundle folder without a training: the temporal sample's files behind a front end of 20 x 8 features."""

import json
import shutil
from pathlib import Path

import numpy as np

from kws_dendrite.export.bundle import _write_test_vector
from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfccConfig, MfeConfig, to_json

FRAMING = {"frame_length": 0.05, "frame_stride": 0.05, "fft_length": 1024}
FRONT_ENDS: dict[str, FrontEndConfig] = {
    "mfcc": MfccConfig(num_cepstral=8, num_filters=20, low_frequency=100, high_frequency=7000, **FRAMING),
    "mfe": MfeConfig(num_filters=8, noise_floor_db=-60, **FRAMING),
    "logmel": LogMelConfig(num_filters=8, **FRAMING),
}


def write(exported, folder: Path, frontend: dict | str | None = "mfcc") -> Path:
    """`frontend`: a block's name, or what frontend.json holds, or None for no such file."""
    folder.mkdir(parents=True)
    for name in ("graph.npz", "model.onnx", "model.tflite", "model_quantized_int8_io.tflite"):
        shutil.copyfile(exported.folder / name, folder / name)
    (folder / "labels.txt").write_text("\n".join(exported.graph.labels) + "\n")
    if isinstance(frontend, str):
        frontend = {**to_json(FRONT_ENDS[frontend]), "task": {"window_seconds": 1.0}}
    if frontend is not None:
        (folder / "frontend.json").write_text(json.dumps(frontend))
    _write_test_vector(
        exported.graph, folder / "test_vector.npz", folder / "model_quantized_int8_io.tflite", exported.x,
        exported.probabilities.argmax(1),
    )  # fmt: skip
    return folder


def voices(count: int = 3) -> np.ndarray:
    """int16 (count, 16000): sweeps over a floor of noise."""
    time = np.arange(16000) / 16000
    rng = np.random.default_rng(3)
    sweeps = [6000 * np.sin(2 * np.pi * (200 + 150 * n + 900 * time) * time) for n in range(count)]
    return np.rint(np.stack(sweeps) + 30 * rng.standard_normal((count, 16000))).astype(np.int16)
