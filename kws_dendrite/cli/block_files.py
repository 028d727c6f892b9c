"""The learning block's two files: converted by a process that waits for the work, checked, put in place, scored."""

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from kws_dendrite.errors import ExportError, OutputError
from kws_dendrite.evaluation import wilson_interval
from kws_dendrite.export.parity import PLAIN_BOUND, check_parity, worst_difference
from kws_dendrite.export.predictor import TFLitePredictor
from kws_dendrite.export.tflite import CHILD_ENVIRONMENT, TIMEOUT, check_calibration
from kws_dendrite.output import replacing_together
from kws_dendrite.plain import Graph, interpret, save_graph

FLOAT, INT8 = "model.tflite", "model_quantized_int8_io.tflite"
OTHERS = ("saved_model.zip", "saved_model", "model.onnx", "model.pkl")  # what Studio would convert as well
CALIBRATION_CLIPS = 500  # as a bundle takes
PARITY_CLIPS = 256  # over which every value of the float file is held to the trained net
PARITY_PASSES = 3  # of both files over those clips: their outputs, then every layer
REHEARSAL_CLIPS = 32


@dataclass(frozen=True)
class Score:
    """How a written file does on the validation clips.

    Attributes:
        name: of the file.
        size: bytes.
        decisions: int64 (N,).
        right: clips decided as labelled.
    """

    name: str
    size: int
    decisions: np.ndarray
    right: int

    @property
    def accuracy(self) -> float:
        """Share of clips that are right."""
        return self.right / len(self.decisions)

    @property
    def text(self) -> str:
        """In words, with a 95 % interval."""
        low, high = wilson_interval(self.right, len(self.decisions))
        return (
            f"{100 * self.accuracy:.2f} % ({self.right:,} of {len(self.decisions):,} clips, 95 % interval "
            f"{100 * low:.1f} to {100 * high:.1f}; {self.name}, {self.size:,} bytes)"
        )


class Converter:
    """A child process that loads TensorFlow while ours reads data and trains. Use as a context manager."""

    def __init__(self) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kws_dendrite.cli.block_converter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, **CHILD_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C ends the training, not the process that writes what came of it
        )
        self.ready = False
        self.turn = threading.Lock()

    def __enter__(self) -> "Converter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            stream.close()

    def convert(self, graph: Graph, calibration: np.ndarray, folder: Path) -> None:
        """Write FLOAT and INT8 into `folder`; scales from `calibration` (M, T*F).

        Raises:
            ExportError: the converter refused, failed or ended.
        """
        save_graph(graph, folder / "graph.npz")
        np.save(folder / "calibration.npy", check_calibration(graph, calibration), allow_pickle=False)
        job = {name: str(folder / file) for name, file in (("graph", "graph.npz"), ("float", FLOAT), ("int8", INT8))}
        job["calibration"] = str(folder / "calibration.npy")
        (folder / "jobs.json").write_text(json.dumps([job]), encoding="utf-8")
        with self.turn:
            if not self.ready:
                self._answer()
                self.ready = True
            try:
                self.process.stdin.write(f"{folder / 'jobs.json'}\n".encode())
                self.process.stdin.flush()
            except OSError as error:
                raise ExportError(self._ended()) from error
            status = self._answer()
        if status != "0":
            report = folder / "error.txt"
            raise ExportError(report.read_text(encoding="utf-8") if report.is_file() else "the converter failed")

    def _answer(self) -> str:
        ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT)
        if not ready:
            raise ExportError(f"TensorFlow's converter took more than {TIMEOUT} s; give the block more CPU")
        line = self.process.stdout.readline()
        if not line:
            raise ExportError(self._ended())
        return line.decode().strip()

    def _ended(self) -> str:
        self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return (
            f"TensorFlow's converter ended with status {self.process.returncode}: {lines[-1] if lines else 'no word'}"
        )


def rehearse(converter: Converter, graph: Graph, calibration: np.ndarray, clips: np.ndarray) -> float:
    """Seconds that an export of such a graph takes, scoring every one of `clips` (N, T*F) included.

    Raises:
        ExportError: as `Converter.convert`.
    """
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folder = Path(name)
        with converter.turn:  # loading is no part of what the export will take
            if not converter.ready:
                converter._answer()
                converter.ready = True
        start = time.perf_counter()
        converter.convert(graph, thinned(calibration), folder)
        converted = time.perf_counter()
        few = clips[:REHEARSAL_CLIPS]
        for file in (FLOAT, INT8):
            score(folder / file, few, np.zeros(len(few), np.int64))
        one = (time.perf_counter() - converted) / len(few)
        return (converted - start) + one * (len(clips) + PARITY_PASSES * min(len(clips), PARITY_CLIPS))


def thinned(calibration: np.ndarray) -> np.ndarray:
    """At most CALIBRATION_CLIPS rows, evenly spaced."""
    rows = np.linspace(0, len(calibration) - 1, min(len(calibration), CALIBRATION_CLIPS)).astype(int)
    return calibration[rows]


def check_out(folder: Path) -> list[str]:
    """Make the folder, try to write in it; names of files there that Studio would take for results of this run.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing_together(folder) as temporary:
        (temporary / ".probe").write_bytes(b"")
        (temporary / ".probe").unlink()
    return [name for name in OTHERS if (folder / name).exists()]


def write_files(
    converter: Converter,
    graph: Graph,
    folder: Path,
    *,
    calibration: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    trained: np.ndarray,
) -> list[Score]:
    """Convert, hold the files to the trained net, put both into `folder`, and score them there.

    Args:
        converter: the process that converts.
        graph: the folded net.
        folder: the block's output; what it held is as it was until both files are complete.
        calibration: training features (M, T*F).
        x: validation features (N, T*F).
        y: (N,) class indices.
        trained: the trained net's probabilities (N, K).

    Raises:
        ExportError: a conversion failed, or a file answers the same for every clip.
        ParityError: the float file differs from the trained net by more than its bound.
        OutputError: the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        place = Path(name)
        converter.convert(graph, thinned(calibration), place)
        rows = np.linspace(0, len(x) - 1, min(len(x), PARITY_CLIPS)).astype(int)
        check_parity(graph, place, x[rows], y[rows], reference_probabilities=trained[rows])
        chunks = [slice(start, start + PARITY_CLIPS) for start in range(0, len(x), PARITY_CLIPS)]
        worst = max(worst_difference(trained[chunk], interpret(graph, x[chunk])) for chunk in chunks)
        if worst > PLAIN_BOUND:
            raise ExportError(f"the folded net differs from the trained one by {worst:.3g}, bound {PLAIN_BOUND:g}")
        with replacing_together(folder) as temporary:
            for file in (FLOAT, INT8):
                (temporary / file).write_bytes((place / file).read_bytes())
    return [score(folder / file, x, y) for file in (FLOAT, INT8)]


def score(path: Path, x: np.ndarray, y: np.ndarray) -> Score:
    """Run a written file over clips (N, T*F).

    Raises:
        ExportError: it cannot be run.
        OutputError: it cannot be read.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from error
    decisions = TFLitePredictor(path).predict(x).argmax(1)
    return Score(path.name, size, decisions, int((decisions == y).sum()))
