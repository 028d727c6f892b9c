"""Where a search is kept: a journal in its folder, or a database that many machines share.

Both give the same three things: Optuna's storage, a turn that one worker has at a time (whoever is killed gives it
back), and which running trials have nobody that runs them any more.
"""

import contextlib
import fcntl
import os
import secrets
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from kws_dendrite.errors import OutputError
from kws_dendrite.output import explain
from kws_dendrite.search.journal import JournalLock, open_journal

JOURNAL = "journal.log"
WORKERS = "workers"  # of the folder: a file for each worker, locked while it lives
TURN_SECONDS = 120.0  # a worker keeps it for milliseconds; seconds where it draws companions
RUN = "run"  # the attribute of a trial that says who runs it


class Store(Protocol):
    """Attributes:
    storage: Optuna's.
    shown: where it is, in words, without a password.
    many_machines: workers of other machines may be there.
    tell: is told what a person should know, a line each.
    """

    storage: BaseStorage
    shown: str
    many_machines: bool
    tell: Callable[[str], None]

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Have the queue alone for a moment."""

    def has_turn(self) -> bool:
        """Whether the turn is still ours."""

    def sign_in(self, worker: str) -> None:
        """Be alive as `worker`."""

    def sign_out(self, worker: str) -> None:
        """Be it no more."""

    def hurry(self) -> None:
        """Wait for nothing any more: somebody wants to go."""

    def lose_orphans(self, study: optuna.Study) -> None:
        """Mark running trials as failed whose worker is gone; only with the turn."""

    def close(self) -> None:
        """Give up the connection."""


def open_store(folder: Path, url: str | None = None, name: str = "search", **settings: Any) -> Store:
    """The journal in `folder`, or the database at `url`, whose search is called `name`.

    Raises:
        OutputError: the journal cannot be written, is locked or damaged.
        ServiceError: the database does not answer, refuses, or has tables of another version.
        ConfigError: a URL that is no PostgreSQL database's, or its driver is missing.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    if url is None:
        return JournalStore(folder)
    from kws_dendrite.search.database import DatabaseStore

    return DatabaseStore(url, name, **settings)


def worker_name() -> str:
    """Of this process: "host-pid-letters"."""
    return f"{socket.gethostname().split('.')[0]}-{os.getpid()}-{secrets.token_hex(2)}"


class JournalStore:
    """A journal, whose workers are processes of one machine (or of several on a shared file system with locks)."""

    many_machines = False

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / JOURNAL
        self.workers = self.folder / WORKERS
        self.shown = str(self.path)
        self.tell: Callable[[str], None] = lambda line: None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.storage = open_journal(self.path)
            self.workers.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(explain(self.folder, error)) from error
        self.alive: dict[str, BinaryIO] = {}

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have the queue alone.

        Raises:
            OutputError: another process keeps it.
        """
        lock = JournalLock(self.workers / "turn.lock", TURN_SECONDS)
        try:
            lock.acquire()
        except OSError as error:
            raise OutputError(explain(lock.path, error)) from error
        try:
            yield
        finally:
            lock.release()

    def has_turn(self) -> bool:
        """Whether the turn is still ours: a lock stays."""
        return True

    def sign_in(self, worker: str) -> None:
        """Be alive as `worker`, until `sign_out` or the end of the process, however it ends."""
        try:
            file = self._lock_of(worker).open("ab")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(explain(self._lock_of(worker), error)) from error
        self.alive[worker] = file

    def hurry(self) -> None:
        """Nothing: a file answers."""

    def lives(self, worker: str | None) -> bool:
        """Whether the process that signed in as `worker` is still there."""
        if worker is None:
            return False
        if worker in self.alive:
            return True
        try:
            with self._lock_of(worker).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                self._lock_of(worker).unlink(missing_ok=True)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def lose_orphans(self, study: optuna.Study) -> None:
        """Fail running trials whose worker is gone. One without a worker was taken by a process that ended before it
        could sign it: who takes a trial has the turn until it is signed."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if not self.lives(trial.user_attrs.get(RUN, {}).get("worker")):
                with contextlib.suppress(UpdateFinishedTrialError):
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def sign_out(self, worker: str) -> None:
        """Be alive no more."""
        file = self.alive.pop(worker, None)
        if file is not None:
            self._lock_of(worker).unlink(missing_ok=True)
            file.close()

    def close(self) -> None:
        """Sign everybody out."""
        for worker in list(self.alive):
            self.sign_out(worker)

    def _lock_of(self, worker: str) -> Path:
        return self.workers / f"{worker}.lock"
