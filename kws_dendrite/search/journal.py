"""The journal of a search on disk: Optuna's append-only file, which outlives a process that is killed at any point."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from kws_dendrite.errors import KwsDendriteError, OutputError
from kws_dendrite.output import explain

LOCK_SECONDS = 60.0  # that another process may hold the journal; an append takes milliseconds
# Optuna's numbers of what must not be lost when the power fails: a new study, its attributes, a trial's state with all
# that was written of the trial before. The rest belongs to a trial that has not ended, which is drawn anew.
DURABLE = (0, 2, 6)


def open_journal(path: Path) -> JournalStorage:
    """The journal at `path`, new if there is none; a last line that was being written when its process ended is cut.

    Raises:
        OutputError: the file cannot be written, is locked, is damaged, or is no journal; it is left as it is.
    """
    try:
        lock = JournalLock(path)
        lock.acquire()  # another worker's line may be half written at this moment
        try:
            mend(path)
        finally:
            lock.release()
        return JournalStorage(WholeLines(path))
    except KwsDendriteError:
        raise
    except OSError as error:
        raise OutputError(explain(path, error)) from error
    except Exception as error:  # a damaged line makes optuna's replay raise whatever it happens to meet
        raise OutputError(
            f"{path} is damaged or not a search's journal ({str(error) or type(error).__name__}); "
            "name another folder, or delete it to start over"
        ) from error


class WholeLines(JournalFileBackend):
    """Optuna's file, to which lines are added whole or not at all, whoever is killed and however full the disk is."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), JournalLock(path))
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add `logs` behind the last whole line.

        Raises:
            OutputError: the disk is full, or the file cannot be written; it is as it was.
        """
        content = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        self._lock.acquire()
        try:
            with self.path.open("r+b") as file:
                end = whole_end(file)
                file.truncate(end)
                file.seek(end)
                try:
                    file.write(content)
                    file.flush()
                    if any(log["op_code"] in DURABLE for log in logs):
                        os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), end)
                    raise
        except OSError as error:
            raise OutputError(explain(self.path, error)) from error
        finally:
            self._lock.release()


class JournalLock:
    """Optuna's interface of a lock. Its own are links, which stay when a process is killed; the kernel's do not."""

    def __init__(self, path: Path, patience: float = LOCK_SECONDS) -> None:
        self.path, self.patience = path, patience
        self.file: BinaryIO | None = None

    def acquire(self) -> bool:
        """Wait for the lock.

        Raises:
            OutputError: another process keeps it for longer than any write takes.
        """
        file = self.path.open("ab")
        deadline, pause = time.monotonic() + self.patience, 0.001
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(pause)
                    pause = min(2 * pause, 0.05)
                    continue
                file.close()
                raise OutputError(
                    f"{self.path} has been locked by another process for {self.patience:g} s; end that one (`fuser "
                    f"{self.path}` names it) and run the same command again, nothing that was finished is lost"
                ) from None
            self.file = file
            return True

    def release(self) -> None:
        """Give it back."""
        if self.file is not None:
            self.file.close()
            self.file = None


def whole_end(file: BinaryIO, end: int | None = None, block: int = 1 << 16) -> int:
    """Where the last line that has an end ends, in bytes, of all or of the first `end` of them; 0 where none has."""
    end = file.seek(0, os.SEEK_END) if end is None else end
    while end:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def mend(journal: Path) -> None:
    """Cut off a last line that is not whole: a process was killed, or the disk was full, while it was written.

    Raises:
        ValueError: the first line is no journal's; the file is left as it is.
    """
    if not journal.is_file() or not journal.stat().st_size:
        return
    with journal.open("rb") as file:
        if not file.read(11) == b'{"op_code":':
            raise ValueError("its first line is of another kind")
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        ended = file.read(1) == b"\n"
        start = 0 if size < 2 else whole_end(file, size - 1)
        file.seek(start)
        last = file.read(size - start)
    try:
        whole = ended and isinstance(json.loads(last), dict)
    except ValueError:
        whole = False
    if not whole:
        os.truncate(journal, start)
