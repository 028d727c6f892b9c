"""How long each artefact takes for one clip on this machine, on one thread.

The host's runtimes are optimised for other things than a microcontroller's; the numbers compare artefacts on one
machine and say nothing about a device.
"""

import platform
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.c_folder import sources_of
from kws_dendrite.export.benchmark.firmware import harness_file
from kws_dendrite.export.benchmark.toolchain import output
from kws_dendrite.export.predictor import artefacts, open_onnx, open_tflite, quantize
from kws_dendrite.plain import interpret, load_graph

RUNS = 1000
WARM_UP = 50  # runs that fill caches and are not counted
CC_FLAGS = ("-std=c99", "-O2")
CC_MISSING = "the C build is left out: no C compiler; on Debian or Ubuntu: apt-get install gcc"


@dataclass(frozen=True)
class HostLatency:
    """One artefact on the host.

    Attributes:
        artefact: file name; "c" for the generated sources.
        runtime: what ran it.
        bytes: size of the file, of all sources for C.
        runs: single-clip runs that were timed, one thread.
        median_us, p10_us, p90_us: of one run, in microseconds, from features to scores.
        machine: processor and system.
    """

    artefact: str
    runtime: str
    bytes: int
    runs: int
    median_us: float
    p10_us: float
    p90_us: float
    machine: str

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return asdict(self)


def time_host(folder: Path | str, *, runs: int = RUNS) -> tuple[HostLatency, ...]:
    """Time every artefact of a bundle on its own test vector (on zeros where there is none).

    The generated C is compiled first; without a compiler its row is left out (`host_note` says so).

    Raises:
        ExportError: no artefact in `folder`, or one that its runtime cannot read.
    """
    folder = Path(folder)
    paths = list(artefacts(folder))
    if not paths:
        raise ExportError(f"{folder} holds no artefact; name the folder that the export wrote")
    rows = [_time(path, folder, runs) for path in paths]
    if (folder / "c" / "kws_model.h").is_file() and shutil.which("cc"):
        rows.append(time_c(folder / "c", runs=runs, clip=_clip_of_bundle(folder)))
    return tuple(rows)


def host_note(folder: Path | str) -> str | None:
    """What `time_host` leaves out for want of a tool, in a line for the user."""
    return CC_MISSING if (Path(folder) / "c").is_dir() and not shutil.which("cc") else None


def time_c(c_folder: Path, *, runs: int = RUNS, clip: np.ndarray | None = None) -> HostLatency:
    """Compile generated sources with the host's cc and time an inference; `clip`: (T*F,) int8, zeros if None.

    Raises:
        ExportError: no compiler, or sources that it refuses.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise ExportError(CC_MISSING)
    sources = sources_of(c_folder)
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        program, features = Path(name) / "host", Path(name) / "clip.bin"
        # zeros follow the clip, so that none has to be cut to size
        features.write_bytes((b"" if clip is None else clip.astype(np.int8).tobytes()) + bytes(1 << 20))
        files = [str(path) for path in (harness_file("host.c"), *sources)]
        output([compiler, *CC_FLAGS, "-I", str(c_folder), *files, "-lm", "-o", str(program)])
        try:
            said = subprocess.run(
                [str(program), str(features), str(runs)], capture_output=True, text=True, check=True, timeout=600
            ).stdout
        except (subprocess.SubprocessError, OSError) as error:
            raise ExportError(f"the C build of {c_folder} does not run here: {error}") from error
    size = sum(path.stat().st_size for path in (*sources, *Path(c_folder).glob("*.h")))
    return _row("c", f"C, cc {' '.join(CC_FLAGS)}", size, np.array(said.split(), float))


def _clip_of_bundle(folder: Path) -> np.ndarray | None:
    """The first int8 clip of the bundle's test vector."""
    try:
        with np.load(folder / "test_vector.npz", allow_pickle=False) as file:
            return file["int8_input"][0]
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return None


def _time(path: Path, folder: Path, runs: int) -> HostLatency:
    runtime, call = _caller(path, folder)
    for _ in range(min(WARM_UP, runs)):
        call()
    taken = np.empty(runs)
    for index in range(runs):
        start = time.perf_counter_ns()
        call()
        taken[index] = time.perf_counter_ns() - start
    return _row(path.name, runtime, path.stat().st_size, taken)


def _row(artefact: str, runtime: str, size: int, taken: np.ndarray) -> HostLatency:
    """`taken`: nanoseconds of each run."""
    p10, median, p90 = np.percentile(taken / 1000, (10, 50, 90))
    return HostLatency(
        artefact=artefact,
        runtime=runtime,
        bytes=size,
        runs=len(taken),
        median_us=round(float(median), 2),
        p10_us=round(float(p10), 2),
        p90_us=round(float(p90), 2),
        machine=machine(),
    )


def machine() -> str:
    """Processor and system, as /proc/cpuinfo or the platform module has them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {platform.system()}"


def _caller(path: Path, folder: Path) -> tuple[str, Callable[[], object]]:
    if path.suffix == ".npz":
        graph = load_graph(path)
        clip = _clip(folder, graph.input.size)
        return "numpy", lambda: interpret(graph, clip)
    if path.suffix == ".onnx":
        session = open_onnx(path)
        source = session.get_inputs()[0]
        clip = _clip(folder, source.shape[1])
        return "onnxruntime", lambda: session.run(None, {source.name: clip})
    interpreter = open_tflite(path, reference=False)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    clip = _clip(folder, int(source["shape"][1]))
    if source["dtype"] == np.int8:
        clip = quantize(clip, *source["quantization"])

    def run() -> object:
        interpreter.set_tensor(source["index"], clip)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return "LiteRT", run  # with its default delegate, XNNPACK


def _clip(folder: Path, size: int) -> np.ndarray:
    """(1, T*F): the first clip of the bundle's test vector, or zeros."""
    path = folder / "test_vector.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as file:
                x = np.asarray(file["x"], np.float32)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ExportError(f"{path} cannot be read ({type(error).__name__}); export the bundle again") from error
        if x.ndim == 2 and x.shape[1] == size and len(x):
            return x[:1]
    return np.zeros((1, size), np.float32)
