"""The programs that the device benchmark needs: found, or named with the command that installs them."""

import shutil
import subprocess
from pathlib import Path

from kws_dendrite.errors import ExportError

INSTALL = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
GCC, SIZE, OBJDUMP, QEMU = "arm-none-eabi-gcc", "arm-none-eabi-size", "arm-none-eabi-objdump", "qemu-system-arm"
TIMEOUT = 300  # seconds for one compilation; a model of 100 kB takes two


def find(program: str) -> str:
    """The program's path.

    Raises:
        ExportError: it is not installed; the message has the command.
    """
    path = shutil.which(program)
    if path is None:
        raise ExportError(f"{program} is not installed; on Debian or Ubuntu: {INSTALL}")
    return path


def missing() -> tuple[str, ...]:
    """The programs of the device benchmark that are not installed."""
    return tuple(name for name in (GCC, SIZE, OBJDUMP, QEMU) if shutil.which(name) is None)


def version(program: str) -> str:
    """The first line of what `program --version` prints."""
    return output([find(program), "--version"]).splitlines()[0].strip()


def output(command: list[str], folder: Path | None = None) -> str:
    """What a command prints on standard output.

    Raises:
        ExportError: it failed; the message has its first complaint.
    """
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{Path(command[0]).name} did not finish within {TIMEOUT} s") from error
    except OSError as error:
        raise ExportError(f"{command[0]} cannot be run: {error.strerror}") from error
    if result.returncode != 0:
        raise ExportError(f"{Path(command[0]).name} failed: {_complaint(result.stderr)}")
    return result.stdout


def _complaint(text: str) -> str:
    """The first line that speaks of an error, or the last line there is."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line or "overflowed" in line or "undefined" in line]
    if any("string.h" in line and "No such file" in line for line in telling):
        return f"it has no C library; on Debian or Ubuntu: {INSTALL}"
    return (telling or lines[-1:] or ["it said nothing"])[0]
