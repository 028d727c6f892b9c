"""The compiled kernels: built with the machine's C compiler at first use, kept in the user's cache folder.

They are never required. Without a compiler, without a folder to keep the library in, on any failure at all, or with
KWS_DENDRITE_KERNELS=0 in the environment, `load` gives None and the PyTorch twins in functions.py do the work.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

SWITCH = "KWS_DENDRITE_KERNELS"
SOURCES = (
    "depthwise.c", "norm.c", "pool.c", "window.c", "plateau.c", "gather.c", "conv.c", "relu_pool.c", "dropout.c",
    "adamw.c", "loss.c", "join.c", "moments.c",
)  # fmt: skip
HEADERS = ("rows.h", "planes.h")
FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
NATIVE = (("-march=native",), ("-mcpu=native",), ())  # the first that the compiler takes: x86 and new Arm, old Arm, any
BUILD_SECONDS = 120  # about 2 s on one slow core; a compiler that hangs must not stop training

_pointer, _long, _int, _double = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_double
_SIGNATURES = {
    "depthwise_forward": [_pointer] * 3 + [_long] * 8 + [_int],
    "depthwise_backward": [_pointer] * 5 + [_long] * 8 + [_int],
    "norm_forward": [_pointer] * 9 + [_long] * 2 + [_int] * 2 + [_double] * 2 + [_int],
    "norm_backward": [_pointer] * 9 + [_long] * 2 + [_int] * 3,
    "pool_forward": [_pointer] * 3 + [_long] * 2 + [_int],
    "pool_backward": [_pointer] * 3 + [_long] * 2 + [_int],
    "window_forward": [_pointer] * 2 + [_long] * 4 + [_int],
    "window_backward": [_pointer] * 4 + [_long] * 4 + [_int],
    "plateau_forward": [_pointer] * 4 + [_long] * 5 + [_int],
    "plateau_backward": [_pointer] * 5 + [_long] * 5 + [_int],
    "gather_batch": [_pointer] * 5 + [_long] * 5 + [_int] * 2,
    "conv_forward": [_pointer] * 6 + [_long] * 14 + [_int] * 2,
    "conv_backward": [_pointer] * 8 + [_long] * 14 + [_int] * 2,
    "relu_pool_forward": [_pointer] * 4 + [_long] * 9 + [_int],
    "relu_pool_backward": [_pointer] * 4 + [_long] * 9 + [_int],
    "dropout": [_pointer] * 3 + [_long] * 2 + [_int],
    "join_forward": [_pointer] * 4 + [_long] * 2 + [_int],
    "join_backward": [_pointer] * 5 + [_long] * 2 + [_int],
    "moments_forward": [_pointer] * 8 + [_long] * 6 + [_int] * 2,
    "moments_backward": [_pointer] * 9 + [_long] * 6 + [_int] * 2,
    "loss_forward": [_pointer] * 5 + [_long] * 3 + [_int],
    "loss_backward": [_pointer] * 5 + [_long] * 3 + [_int],
    "adamw": [_pointer] * 7 + [_long] * 3 + [_double] * 3 + [_int],
}


@functools.cache
def load() -> ctypes.CDLL | None:
    """The library, built if need be, or None. Asked once a process; `load.cache_clear()` makes it ask again."""
    if os.environ.get(SWITCH, "1") == "0" or os.name != "posix":
        return None
    try:
        library = ctypes.CDLL(str(build(cache_folder())))
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int
    except (OSError, RuntimeError, subprocess.SubprocessError, AttributeError, ValueError):
        return None
    return library


def cache_folder() -> Path:
    """Where built libraries are kept: $XDG_CACHE_HOME/kws_dendrite, or ~/.cache/kws_dendrite."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "kws_dendrite"


def build(folder: Path) -> Path:
    """The library's path under `folder`, compiled unless it is there already.

    The name holds a hash of all that the machine code depends on: sources, flags, compiler and processor. So a
    home folder shared between machines is safe, and a new version never meets an old library.

    Raises:
        OSError, RuntimeError, subprocess.SubprocessError: no compiler, it failed, or the folder is not ours to use.
    """
    compiler = find_compiler()
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in (*SOURCES, *HEADERS):
        digest.update((here / name).read_bytes())
    version = subprocess.run([*compiler, "--version"], capture_output=True, timeout=BUILD_SECONDS, check=True).stdout
    digest.update(repr((compiler, version, FLAGS, NATIVE, processor())).encode())
    path = folder / f"population-{digest.hexdigest()[:24]}.so"
    _own(folder)
    if not path.exists():
        _compile(compiler, [str(here / name) for name in SOURCES], path)
    return path


def find_compiler() -> list[str]:
    """$CC, or the first of cc, gcc and clang on the path, as the start of a command line."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in (named, ["cc"], ["gcc"], ["clang"]):
        if command and (program := shutil.which(command[0])):
            return [program, *command[1:]]
    raise RuntimeError("no C compiler found")


def processor() -> str:
    """What -march=native depends on: the machine, its operating system, and on Linux the processor's features."""
    features = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        wanted = ("model name", "flags", "Features", "CPU part")
        features = "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
    return "\n".join((platform.machine(), platform.system(), platform.processor(), features))


def _own(folder: Path) -> None:
    """Make `folder`, and refuse one that another user could put code in: what it holds is loaded and run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise RuntimeError(f"{folder} belongs to, or can be written by, another user")


def _compile(compiler: list[str], sources: list[str], path: Path) -> None:
    """Compile to a temporary name in the same folder, then move: two processes may do this at once."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        for native in NATIVE:
            command = [*compiler, *FLAGS, *native, "-o", name, *sources, "-lm", "-lpthread"]
            result = subprocess.run(command, capture_output=True, timeout=BUILD_SECONDS, check=False)
            if result.returncode == 0:
                temporary.replace(path)
                return
        raise RuntimeError(f"{compiler[0]} failed: {result.stderr.decode(errors='replace')[-500:]}")
    finally:
        temporary.unlink(missing_ok=True)
