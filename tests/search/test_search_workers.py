import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from many_workers import (
    every_slot_ended_once,
    the_front_is_that_of_the_rows,
    the_random_start_is_that_of_one_worker,
)
from tiny_search import CONFIG, Opener, bank, hashed_trial, search, timeless

from kws_dendrite.errors import ConfigError, KwsDendriteError, OutputError
from kws_dendrite.search import hand as hand_module
from kws_dendrite.search import shared
from kws_dendrite.search.shared import SharedBank
from kws_dendrite.search.storage import WORKERS
from kws_dendrite.search.workers import Crew, threads_each


def never(*_, **__):
    raise AssertionError("a trial was repeated")


def test_three_workers_one_killed_and_one_crashed(tmp_path, monkeypatch):
    config = replace(CONFIG, trials=8)
    watch, told = search(tmp_path, config), []
    Crew(Opener(tmp_path, config, 0.1, killed=(4,), crashed=(7,)), 3, tmp_path, told.append).run()
    assert sum("killed by SIGKILL" in line for line in told) == 1
    assert sum("ended with status 3" in line for line in told) == 1
    assert len(told) == 2 and all("its trial is put back, " in line and "\n" not in line for line in told)
    every_slot_ended_once(watch)
    the_front_is_that_of_the_rows(watch)
    assert sum(trial.tries - 1 for trial in watch.records()) == 2
    before = (tmp_path / "journal.log").read_bytes()
    monkeypatch.setattr(hand_module, "run_trial", never)
    assert timeless(search(tmp_path, config).run()) == timeless(watch.results())
    assert (tmp_path / "journal.log").read_bytes() == before
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)
    alone = search(tmp_path / "alone", config)
    alone.run()
    the_random_start_is_that_of_one_worker(watch, alone)
    assert [path.name for path in (tmp_path / WORKERS).iterdir()] == ["turn.lock"]


def test_all_workers_gone_is_an_error_and_nothing_is_lost(tmp_path, monkeypatch):
    crew = Crew(Opener(tmp_path, killed=(2,)), 1, tmp_path)
    with pytest.raises(KwsDendriteError, match=r"all workers ended before the search did, .* killed by SIGKILL"):
        crew.run()
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)
    resumed = search(tmp_path)
    assert [trial.state for trial in resumed.records()].count("complete") == 1
    assert len(resumed.run()) == 6


@dataclass(frozen=True)
class Refused:
    """A search that cannot be opened."""

    crash: bool = False

    def __call__(self):
        if self.crash:
            raise ZeroDivisionError("of a bug")
        raise OutputError("the disk is full")


def test_why_a_worker_ended_is_told_in_a_line(tmp_path):
    told = []
    with pytest.raises(KwsDendriteError, match="the last one because the disk is full; nothing that was finished"):
        Crew(Refused(), 1, tmp_path, told.append).run()
    (line,) = told
    assert line.endswith("is gone: the disk is full; its trial is put back, none is left")
    with pytest.raises(KwsDendriteError, match=r"ZeroDivisionError: of a bug \(all of it is in .*crash-\d+\.txt\)"):
        Crew(Refused(crash=True), 1, tmp_path).run()
    (path,) = (tmp_path / WORKERS).glob("crash-*.txt")
    assert "Traceback" in path.read_text()


def test_ctrl_c_ends_all_workers_and_their_trials_wait(tmp_path, monkeypatch):
    opener, told = Opener(tmp_path, seconds=60), []
    crew = Crew(opener, 2, tmp_path, told.append)

    def interrupt():
        while not opener.begun(2):
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        crew.run()
    assert told == [] and not any(worker.process.is_alive() for worker in crew.workers)
    watch = search(tmp_path)
    entries = [trial for study in watch.studies.values() for trial in study.trials]
    assert [trial.user_attrs.get("end") for trial in entries] == ["interrupted"] * 2
    assert {trial.state for trial in watch.records()} == {"waiting"}
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)
    assert len(watch.run()) == 6 and {trial.tries for trial in watch.records()} == {1}


PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tiny_search import Opener
from kws_dendrite.search.workers import Crew
if __name__ == "__main__":
    folder = Path(sys.argv[2])
    Crew(Opener(folder, seconds=60), 1, folder).run()
"""


def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    folder = tmp_path / "search"
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, script, str(Path(__file__).parent), str(folder)])
    try:
        deadline = time.monotonic() + 120
        while not Opener(folder).begun(1):
            assert time.monotonic() < deadline and parent.poll() is None
            time.sleep(0.05)
        watch = search(folder)
        (running,) = [trial for trial in watch.records() if trial.state == "running"]
    finally:
        parent.kill()
        parent.wait()
    pid = int(running.worker.split("-")[-2])
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {trial.state for trial in watch.records()} == {"waiting"}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_cores_are_shared():
    cores = len(os.sched_getaffinity(0))
    assert threads_each(1) == cores and threads_each(cores) == 1 and threads_each(10 * cores) == 1


def test_there_is_at_least_one(tmp_path):
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        Crew(Opener(tmp_path), 0, tmp_path)


def test_a_shared_bank_is_the_bank(tmp_path):
    before = bank()
    shared = SharedBank.write(before, tmp_path / "features")
    after = shared.open()
    for name in ("train", "train_labels", "validation", "validation_labels"):
        assert (getattr(after, name) == getattr(before, name)).all()
    assert (after.labels, after.frontend, after.summary) == (before.labels, before.frontend, before.summary)
    assert after.train_words is None and after.teacher is None
    shared.remove()
    assert not (tmp_path / "features").exists() and (after.train == before.train).all()
    with pytest.raises(OutputError, match="cannot write"):
        shared.open()


def test_a_shared_bank_that_has_no_room_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise OutputError("no space left on the disk")

    monkeypatch.setattr(shared, "write_json", full)
    with pytest.raises(OutputError):
        SharedBank.write(bank(), tmp_path / "features")
    assert not (tmp_path / "features").exists()
