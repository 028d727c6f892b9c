"""Several processes that search together on one machine, watched by the one that started them.

Each worker opens the search by itself and has a pipe to its parent: news go up, and when the pipe breaks because the
parent is gone, the worker ends, too. Ctrl-C goes to the parent alone, which ends its workers one by one. A worker that
is killed loses the trial that it was at to the queue, and nothing else.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ConfigError, KwsDendriteError
from kws_dendrite.output import write_text
from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.storage import WORKERS
from kws_dendrite.search.study import Search
from kws_dendrite.training.loop import EpochRecord

GRACE_SECONDS = 20.0  # that a worker has to end when it is told to, before it is killed
LOOK = 0.5  # seconds between two looks at the storage
INTERRUPTED, KNOWN, CRASHED = 130, 2, 1  # exit statuses


@dataclass(frozen=True)
class Epoch:
    """How far a worker's trial has come.

    Attributes:
        worker: as its records have it.
        arm, entry: its arm, and an epoch of its curve.
        done, planned: epochs.
    """

    worker: str
    arm: str
    entry: dict[str, Any]
    done: int
    planned: int


@dataclass
class _Worker:
    number: int
    process: SpawnProcess
    pipe: Connection
    curve: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""
    planned: int = 0
    ended: bool = False
    error: str = ""


def threads_each(workers: int) -> int:
    """Of each worker's arithmetic: the cores that there are, shared."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


class Crew:
    """Workers of one search on this machine.

    Args:
        open_search: opens the search in a worker; it goes to the worker by value.
        count: of workers.
        folder: of the search; what a worker that crashed had to say is written to its workers/.
        tell: is told what a person should know, a line each.
    """

    def __init__(
        self,
        open_search: Callable[[], Search],
        count: int,
        folder: Path,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        if count < 1:
            raise ConfigError(f"workers are at least 1; got {count}")
        self.open_search, self.count, self.folder, self.tell = open_search, count, Path(folder), tell
        self.workers: list[_Worker] = []
        self.said = ""

    def run(self, on_look: Callable[[], None] = lambda: None) -> None:
        """Search until every slot has ended; `on_look` is called about twice a second.

        Raises:
            KeyboardInterrupt: Ctrl-C; all workers have ended.
            KwsDendriteError: all workers ended before the search did, for the reason that the last one gave.
        """
        try:
            self._start()
            due = 0.0
            while any(not worker.ended for worker in self.workers):
                pipes = [worker.pipe for worker in self.workers if not worker.ended]
                for pipe in wait(pipes, timeout=max(0.0, due - time.monotonic())):
                    self._hear(next(worker for worker in self.workers if worker.pipe is pipe))
                if time.monotonic() >= due:
                    start = time.monotonic()
                    on_look()
                    due = start + max(LOOK, 20 * (time.monotonic() - start))  # looking is not the work
        finally:
            self._end()
        on_look()
        if all(worker.error for worker in self.workers):
            raise KwsDendriteError(
                f"all workers ended before the search did, the last one because {self.workers[-1].error}; nothing that "
                "was finished is lost, the same command again goes on"
            )

    @property
    def running(self) -> dict[str, tuple[tuple[dict[str, Any], ...], int]]:
        """Worker's name -> the curve of its trial so far, and how many epochs it has in all."""
        return {w.name: (tuple(w.curve), w.planned) for w in self.workers if not w.ended and w.curve}

    def with_curves(self, trials: Sequence[TrialResult]) -> list[TrialResult]:
        """The trials, those that run here with their curves so far."""
        return with_curves(trials, self.running)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        threads = threads_each(self.count)
        with _no_interrupts(), _environment(OMP_NUM_THREADS=str(threads)):
            for number in range(1, self.count + 1):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_main, args=(theirs, self.open_search, threads, self.folder), name=f"search worker {number}"
                )
                process.start()
                theirs.close()
                self.workers.append(_Worker(number, process, ours))

    def _hear(self, worker: _Worker) -> None:
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            self._gone(worker)
            return
        except Exception:  # it was killed in the middle of a word
            self._gone(worker)
            return
        if kind == "epoch":
            if value.done == 1 or value.worker != worker.name:
                worker.curve = []
            worker.name, worker.planned = value.worker, value.planned
            worker.curve.append(value.entry)
        elif kind == "trial":
            worker.curve = []
        elif kind == "say" and value != self.said:  # what all of them say is said once
            self.said = value
            self.tell(value)
        elif kind == "error":
            worker.error = value

    def _gone(self, worker: _Worker) -> None:
        worker.process.join()
        worker.ended, worker.curve = True, []
        status = worker.process.exitcode
        if status == 0:
            return
        if status is not None and status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
            memory = " (by a machine out of memory?)" if -status == signal.SIGKILL else ""
            worker.error = f"it was killed by {name}{memory}"
        elif not worker.error:
            worker.error = "it was told to end" if status == INTERRUPTED else f"it ended with status {status}"
        others = sum(not other.ended for other in self.workers)
        rest = f"{others} go{'es' * (others == 1)} on" if others else "none is left"
        who = f"worker {worker.number} (process {worker.process.pid})"
        self.tell(f"{who} is gone: {worker.error}; its trial is put back, {rest}")

    def _end(self) -> None:
        """End all workers that are left; they say so to the storage, if they can."""
        with _no_interrupts():
            for worker in self.workers:
                if worker.process.is_alive():
                    worker.process.terminate()
            deadline = time.monotonic() + GRACE_SECONDS
            for worker in self.workers:
                worker.process.join(max(0.1, deadline - time.monotonic()))
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
                worker.pipe.close()
                worker.ended = True


def with_curves(
    trials: Sequence[TrialResult], running: dict[str, tuple[tuple[dict[str, Any], ...], int]]
) -> list[TrialResult]:
    """The trials, those that run with their curves so far; of those that a worker trains together the first."""
    found, running = [], dict(running)
    for trial in trials:
        if trial.state == "running" and trial.worker in running:
            curve, planned = running.pop(trial.worker)
            trial = replace(trial, curve=curve, epochs=len(curve), planned=planned)
        found.append(trial)
    return found


def _main(pipe: Connection, open_search: Callable[[], Search], threads: int, folder: Path) -> None:
    """A worker's life."""
    status = 0
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        threading.Thread(target=_follow, args=(pipe,), daemon=True).start()
        import torch

        torch.set_num_threads(threads)
        search = open_search()
        search.store.tell = lambda line: _send(pipe, "say", line)
        news = _News(pipe, search)
        search.run(news.trial, news.epoch)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except KwsDendriteError as error:
        _send(pipe, "error", " ".join(str(error).split()))
        status = KNOWN
    except BaseException as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        path = folder / WORKERS / f"crash-{os.getpid()}.txt"
        with contextlib.suppress(KwsDendriteError, OSError):
            write_text(path, traceback.format_exc())
            words += f" (all of it is in {path})"
        _send(pipe, "error", words)
        status = CRASHED
    sys.stdout.flush()
    os._exit(status)  # nothing is left to do, and threads of libraries may hang on


class _News:
    """What a worker tells its parent."""

    def __init__(self, pipe: Connection, search: Search) -> None:
        self.pipe, self.search = pipe, search
        self.done = 0

    def trial(self, result: TrialResult) -> None:
        """A trial has ended."""
        self.done = 0
        _send(self.pipe, "trial", (result.number, result.state))

    def epoch(self, arm: str, record: EpochRecord, planned: int) -> None:
        """An epoch has."""
        from kws_dendrite.search.trial import entry

        self.done = 1 if record.epoch == 0 else self.done + 1
        news = Epoch(self.search.worker or "", arm, entry(record), self.done, planned)
        _send(self.pipe, "epoch", news)


def _send(pipe: Connection, kind: str, value: Any) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more; `_follow` sees to the rest
        pipe.send((kind, value))


def _follow(pipe: Connection) -> None:
    """End when the parent does."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.recv()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(INTERRUPTED)


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what comes now is the end, in order
    raise KeyboardInterrupt


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back; processes that are started meanwhile never get it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
