"""The generated C on this machine: compiled once, fed int8 features, its outputs read back.

What runs is a program of its own in a temporary folder, so nothing of it stays in this process.
"""

import json
import shutil
import subprocess
import tempfile
import weakref
from importlib import resources
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError

FLAGS = ("-std=c99", "-O2", "-ffp-contract=off")
NO_COMPILER = "there is no C compiler (cc) here; on Debian or Ubuntu: apt-get install gcc"


def has_compiler() -> bool:
    """Whether `NativeModel` can work here."""
    return shutil.which("cc") is not None


class NativeModel:
    """A folder that `write_c` wrote, as a function of int8 features.

    Attributes:
        inputs, outputs: T*F and K.
        operators: rows of kws_model.json.
    """

    def __init__(self, folder: Path | str, *, watch: bool = False, flags: tuple[str, ...] = FLAGS) -> None:
        """Compile `folder`. With `watch` every operator's output is kept for `watched`.

        Raises:
            ExportError: no compiler, or a folder that is not such a one or does not compile.
        """
        folder = Path(folder)
        compiler = shutil.which("cc")
        if compiler is None:
            raise ExportError(NO_COMPILER)
        self.operators = _operators(folder)
        self.inputs = header_number(folder, "KWS_MODEL_INPUT_SIZE")
        self.outputs = header_number(folder, "KWS_MODEL_OUTPUT_SIZE")
        self._watch = watch
        work = tempfile.mkdtemp(prefix="kws_dendrite_")
        self._gone = weakref.finalize(self, shutil.rmtree, work, True)
        self._program = Path(work) / "model"
        glue = Path(work) / "main.c"
        glue.write_bytes((resources.files(__package__) / "runtime" / "native" / "main.c").read_bytes())
        hook = Path(work) / "hook.h"
        hook.write_bytes((resources.files(__package__) / "runtime" / "native" / "watch.h").read_bytes())
        sources = [str(path) for path in sorted(folder.glob("*.c"))]
        command = [
            compiler,
            *flags,
            *(["-include", str(hook)] if watch else []),
            "-I",
            str(folder),
            *sources,
            str(glue),
        ]
        try:
            subprocess.run(
                [*command, "-lm", "-o", str(self._program)], check=True, capture_output=True, text=True, timeout=300
            )
        except subprocess.CalledProcessError as error:
            first = next((line for line in error.stderr.splitlines() if "error" in line), error.stderr.strip()[:200])
            raise ExportError(f"the C in {folder} does not compile here: {first}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ExportError(f"cannot compile the C in {folder}: {error}") from error

    def run(self, x: np.ndarray) -> np.ndarray:
        """int8 (N, T*F) -> int8 (N, K)."""
        return self._rows(x)[:, -self.outputs :]

    def watched(self, x: np.ndarray) -> list[np.ndarray]:
        """int8 (N, T*F) -> each operator's output (N, bytes), in order. Needs `watch`."""
        if not self._watch:
            raise ExportError("this model was compiled without watch")
        ends = np.cumsum([row["bytes"] for row in self.operators])
        return np.split(self._rows(x)[:, : -self.outputs], ends[:-1], axis=1)

    def _rows(self, x: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(x, np.int8)
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise ExportError(f"the C model reads int8 (N, {self.inputs}), got {x.shape}")
        try:
            done = subprocess.run([str(self._program)], input=x.tobytes(), capture_output=True, check=True)
        except (subprocess.CalledProcessError, OSError) as error:
            said = getattr(error, "stderr", b"") or b""
            raise ExportError(
                f"the C model does not run here: {said.decode(errors='replace')[:200] or error}"
            ) from error
        width = self.outputs + (sum(row["bytes"] for row in self.operators) if self._watch else 0)
        return np.frombuffer(done.stdout, np.int8).reshape(len(x), width)


def header_number(folder: Path, name: str) -> int:
    """An integer that kws_model.h defines.

    Raises:
        ExportError: no such header or name.
    """
    try:
        lines = (folder / "kws_model.h").read_text(encoding="utf-8").splitlines()
        return int(next(line.split()[2].strip("()") for line in lines if line.startswith(f"#define {name} ")))
    except (OSError, StopIteration, ValueError, IndexError) as error:
        raise ExportError(f"{folder} holds no kws_model.h with {name}; write the C again") from error


def header_float(folder: Path, name: str) -> float:
    """A float that kws_model.h defines, to the float32's own value.

    Raises:
        ExportError: no such header or name.
    """
    try:
        lines = (folder / "kws_model.h").read_text(encoding="utf-8").splitlines()
        text = next(line.split()[2] for line in lines if line.startswith(f"#define {name} "))
        return float(np.float32(text.rstrip("f")))
    except (OSError, StopIteration, ValueError, IndexError) as error:
        raise ExportError(f"{folder} holds no kws_model.h with {name}; write the C again") from error


def _operators(folder: Path) -> list[dict]:
    try:
        return json.loads((folder / "kws_model.json").read_text(encoding="utf-8"))["operators"]
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"{folder} holds no kws_model.json; name a folder of generated C") from error
