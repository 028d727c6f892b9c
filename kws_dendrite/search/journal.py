"""The journal of a search on disk: Optuna's append-only file, which outlives a process that is killed at any point."""

import fcntl
import json
import os
from pathlib import Path
from typing import BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from kws_dendrite.errors import OutputError


def open_journal(path: Path) -> JournalStorage:
    """The journal at `path`, new if there is none; a last line that was being written when its process ended is cut.

    Raises:
        OutputError: the file cannot be written, is damaged, or is no journal; it is left as it is.
    """
    try:
        mend(path)
        return JournalStorage(JournalFileBackend(str(path), JournalLock(path)))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged line makes optuna's replay raise whatever it happens to meet
        raise OutputError(
            f"{path} is damaged or not a search's journal ({str(error) or type(error).__name__}); "
            "name another folder, or delete it to start over"
        ) from error


class JournalLock:
    """Optuna's interface of a lock. Its own are links, which stay when a process is killed; the kernel's do not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self.file = self.path.open("ab")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Give it back."""
        if self.file is not None:
            self.file.close()
            self.file = None


def mend(journal: Path) -> None:
    """Cut off a last line that is not whole: a process was killed, or the disk was full, while it was written.

    Raises:
        ValueError: the first line is no journal's; the file is left as it is.
    """
    content = journal.read_bytes() if journal.is_file() else b""
    if not content:
        return
    if not content.startswith(b'{"op_code":'):
        raise ValueError("its first line is of another kind")
    start = content.rfind(b"\n", 0, -1) + 1  # of the last line
    try:
        whole = content.endswith(b"\n") and isinstance(json.loads(content[start:]), dict)
    except ValueError:
        whole = False
    if not whole:
        os.truncate(journal, start)
