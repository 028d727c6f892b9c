"""Writing results: to a temporary name, then moved; one owner a folder; nothing outside the folder that was named."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kws_dendrite.errors import OutputError

MARKER = ".kws_dendrite"  # present in every folder this package made; also the lock


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name `path`, on failure `path` is as it was.

    Raises:
        OutputError: the folder is missing, unwritable, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(explain(path, error)) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(explain(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON (sorted as given, NaN refused) through `replacing`."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def replacing_together(folder: Path | str) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`; on success its files take their places there, on failure none does.

    Raises:
        OutputError: the folder is missing, unwritable, or the disk is full.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".unfinished.", dir=folder))
    except OSError as error:
        raise OutputError(explain(folder, error)) from error
    try:
        yield temporary
        for path in sorted(temporary.iterdir()):
            path.replace(folder / path.name)
    except OSError as error:
        raise OutputError(explain(folder, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def claimed(folder: Path | str, *, overwrite: bool = False, resume: bool = False) -> Iterator[Path]:
    """Own `folder` for a while: created if missing, locked against a second process.

    A folder with files that this package did not make is refused, so that no recordings are ever overwritten; one
    that it made is refused too unless `overwrite`, or `resume` where what is there is carried on. On an error a folder
    that was new, and has nothing but the lock in it, goes again.

    Raises:
        OutputError: in use by another process, not empty, not writable.
    """
    folder = Path(folder)
    marker = folder / MARKER
    existed = folder.exists()
    try:
        if existed and not folder.is_dir():
            raise OutputError(f"{folder} is a file; name a folder for the output")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not marker.exists():
            raise OutputError(f"{folder} is not empty and was not made by kws-dendrite; name an empty or new folder")
        fresh = not marker.exists()
        lock = marker.open("a")
    except OSError as error:
        raise OutputError(explain(folder, error)) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"{folder} is in use by another kws-dendrite process; wait for it or name another"
            ) from error
        if not (fresh or overwrite or resume) and any(entry.name != MARKER for entry in folder.iterdir()):
            raise OutputError(
                f"{folder} already holds results; add --overwrite to replace them, or name another folder"
            )
        try:
            yield folder
        except BaseException:
            with contextlib.suppress(OSError):
                if fresh and [entry.name for entry in folder.iterdir()] == [MARKER]:
                    marker.unlink()
                    if not existed:
                        folder.rmdir()
            raise


@contextlib.contextmanager
def taken(folder: Path, lock: str = "claim") -> Iterator[bool]:
    """Whether `folder` is ours while open, made if need be; False where another process has taken it. The lock is the
    system's own: it ends with a process that is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / lock).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def explain(path: Path, error: OSError) -> str:
    """What went wrong with a file, in one line."""
    short = error.errno is None and "requested and" in str(error)  # numpy's words for what did not all fit
    if error.errno == errno.ENOSPC or short:
        return f"no space left on the disk while writing {path}; free some and run the same command again"
    return f"cannot write {path}: {error.strerror or error}"
