"""Running a firmware in QEMU, in a folder of its own: what it reads lies there, and what it writes."""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.firmware import Firmware
from kws_dendrite.export.benchmark.toolchain import QEMU, find

TIMEOUT = 600  # seconds; a thousand clips of a 100 kB model take less than one minute
ICOUNT = ("-icount", "shift=6,align=off,sleep=off")  # 64 ns an instruction
NS_AN_INSTRUCTION = 64


def run(
    firmware: Firmware,
    folder: Path,
    files: Mapping[str, bytes] | None = None,
    *,
    options: tuple[str, ...] = (),
    timeout: float = TIMEOUT,
) -> None:
    """Run to the end. `files` are written to `folder` first; the firmware reads and writes there by semihosting.

    Raises:
        ExportError: no QEMU, a fault on the emulated core, or no end within `timeout` seconds.
    """
    _start(firmware, folder, files, options, timeout, None)


def run_logged(
    firmware: Firmware,
    folder: Path,
    files: Mapping[str, bytes] | None,
    options: tuple[str, ...],
    read: Callable[[IO[bytes]], None],
    timeout: float = TIMEOUT,
) -> None:
    """As `run`, while `read` takes QEMU's log from a pipe.

    Raises:
        ExportError: as `run`.
    """
    _start(firmware, folder, files, options, timeout, read)


def _start(
    firmware: Firmware,
    folder: Path,
    files: Mapping[str, bytes] | None,
    options: tuple[str, ...],
    timeout: float,
    read: Callable[[IO[bytes]], None] | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    command = [find(QEMU), "-M", firmware.target.machine, "-nographic", "-monitor", "none", "-serial", "null"]
    command += ["-semihosting-config", "enable=on,target=native", *options, "-kernel", str(firmware.path.absolute())]
    reader, writer = os.pipe() if read else (None, None)
    if writer is not None:
        command += ["-D", f"/dev/fd/{writer}"]
    process = watch = None
    late = threading.Event()
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=() if writer is None else (writer,),
        )
        # a timer rather than a wait with a limit: reading the log takes as long as the run does
        watch = threading.Timer(timeout, lambda: (late.set(), process.kill()))
        watch.daemon = True
        watch.start()
        if writer is not None:
            os.close(writer)
            writer = None
            with os.fdopen(reader, "rb") as log:
                reader = None
                read(log)
        _, complaint = process.communicate()
    finally:
        for handle in (reader, writer):
            if handle is not None:
                os.close(handle)
        if watch is not None:
            watch.cancel()
        if process is not None and process.poll() is None:
            process.kill()
            process.communicate()
    if late.is_set():
        raise ExportError(f"the firmware for {firmware.target.name} did not end within {timeout:g} s")
    if process.returncode != 0:
        lines = [line for line in complaint.decode("utf-8", "replace").splitlines() if line.strip()]
        said = f": {lines[-1]}" if lines else ""
        raise ExportError(f"the firmware for {firmware.target.name} ended with status {process.returncode}{said}")
