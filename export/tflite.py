"""Writing TFLite files. TensorFlow runs in a child process: its import, its logs and its threads stay out of ours."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.output import write_bytes
from kws_dendrite.plain import Graph, save_graph

TIMEOUT = 900  # seconds for all jobs of one child; a conversion takes about two, TensorFlow's import five
CHILD_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",  # conversion is the CPU's work; a GPU would only be claimed
}


@dataclass(frozen=True)
class TFLiteJob:
    """One graph to convert.

    Attributes:
        graph: what to convert.
        float_path: where the float32 file goes, if it is wanted.
        int8_path: where the int8 file goes, if it is wanted.
        calibration: features (M, T*F) whose ranges set the int8 scales; needed for `int8_path`.
    """

    graph: Graph
    float_path: Path | None = None
    int8_path: Path | None = None
    calibration: np.ndarray | None = None


def write_tflite(graph: Graph, path: Path | str) -> None:
    """Write the graph as float32 TFLite.

    Raises:
        ExportError: the converter failed, or an operator is off the target's list (named).
        GraphError: the graph is not well formed.
        OutputError: the file cannot be written.
    """
    convert([TFLiteJob(graph, float_path=Path(path))])


def write_tflite_int8(graph: Graph, path: Path | str, calibration: np.ndarray) -> None:
    """Write the graph as full int8 TFLite, int8 in and out; scales from `calibration` (M, T*F).

    A weight that several convolutions share, each with a positive scale of its own, is stored once.

    Raises:
        ExportError: as `write_tflite`; or calibration features that do not fit or are not finite.
        GraphError, OutputError: as `write_tflite`.
    """
    convert([TFLiteJob(graph, int8_path=Path(path), calibration=calibration)])


def convert(jobs: Sequence[TFLiteJob]) -> None:
    """Convert several graphs in one child process. All files are written, or none.

    Raises:
        ExportError, GraphError, OutputError: as `write_tflite_int8`.
    """
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folder = Path(name)
        rows = [_prepare(job, folder, index) for index, job in enumerate(jobs)]
        (folder / "jobs.json").write_text(json.dumps(rows), encoding="utf-8")
        _run_child(folder / "jobs.json")
        for job, row in zip(jobs, rows, strict=True):
            for path, made in ((job.float_path, row["float"]), (job.int8_path, row["int8"])):
                if path is not None:
                    write_bytes(path, Path(made).read_bytes())


def check_calibration(graph: Graph, calibration: np.ndarray | None) -> np.ndarray:
    """The features that set int8 ranges, as float32 (M, T*F).

    Raises:
        ExportError: none, of another size, or not finite.
    """
    size = graph.input.size
    if calibration is None or calibration.ndim != 2 or calibration.shape[1] != size or not len(calibration):
        shape = None if calibration is None else calibration.shape
        raise ExportError(f"int8 needs calibration features (M, {size}) from real clips, got {shape}")
    if not np.isfinite(calibration).all():
        raise ExportError("the calibration features hold values that are not finite; look for a broken clip")
    return calibration.astype(np.float32)


def _prepare(job: TFLiteJob, folder: Path, index: int) -> dict[str, str | None]:
    row: dict[str, str | None] = {"graph": str(folder / f"{index}.npz"), "float": None, "int8": None}
    save_graph(job.graph, folder / f"{index}.npz")
    if job.float_path is not None:
        row["float"] = str(folder / f"{index}_float.tflite")
    if job.int8_path is not None:
        row["int8"] = str(folder / f"{index}_int8.tflite")
        row["calibration"] = str(folder / f"{index}_calibration.npy")
        np.save(folder / f"{index}_calibration.npy", check_calibration(job.graph, job.calibration), allow_pickle=False)
    return row


def _run_child(jobs: Path) -> None:
    command = [sys.executable, "-m", "kws_dendrite.export.convert", str(jobs)]
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **CHILD_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"TensorFlow's converter did not finish within {TIMEOUT} s") from error
    if result.returncode == 0:
        return
    answer = jobs.with_name("error.txt")
    if answer.exists():
        raise ExportError(answer.read_text(encoding="utf-8"))
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    raise ExportError(f"TensorFlow's converter ended with status {result.returncode}: {last}")
