"""What the int8 TFLite files of a population decide, without the rest of an export bundle."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kws_dendrite.export.predictor import load_predictor
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.plain import Graph


def int8_decisions(graphs: Sequence[Graph], calibration: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Classes (P, N) that the full int8 files decide for, by TFLite's reference kernels.

    The files are what an export bundle ships as model_quantized_int8_io.tflite, for the same calibration.

    Args:
        graphs: P folded nets.
        calibration: float32 (M, T*F), whose ranges set the scales.
        features: float32 (N, T, F).
    """
    rows = features.reshape(len(features), -1)
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        jobs = [
            TFLiteJob(graph, int8_path=Path(name) / f"{member}.tflite", calibration=calibration)
            for member, graph in enumerate(graphs)
        ]
        convert(jobs)  # one child process: TensorFlow's import would cost more than a conversion
        decided = []
        for job in jobs:
            predictor = load_predictor(job.int8_path)
            # The file's own int8, not what it means: a softmax has one scale, so the largest is the largest.
            decided.append(predictor.run(predictor.quantize(rows)).argmax(-1))
    return np.stack(decided)
