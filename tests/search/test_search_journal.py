import errno
import fcntl
import multiprocessing
import os
import signal

import optuna
import pytest

from kws_dendrite.errors import OutputError
from kws_dendrite.search.journal import JournalLock, WholeLines, mend, open_journal, whole_end

JOURNAL = "journal.log"


def killed_while_it_holds_the_lock(path):
    JournalLock(path).acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    child = multiprocessing.get_context("fork").Process(target=killed_while_it_holds_the_lock, args=(tmp_path / "a",))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    storage = open_journal(tmp_path / "a")
    optuna.create_study(study_name="arm", storage=storage)
    assert [study.study_name for study in open_journal(tmp_path / "a").get_all_studies()] == ["arm"]


def test_the_lock_is_held_between_acquire_and_release(tmp_path):
    lock = JournalLock(tmp_path / "a")
    lock.release()
    assert lock.acquire()
    with (tmp_path / "a").open("ab") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.release()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"", b""),
        (b'{"op_code":0}\n{"op_code":2}\n', b'{"op_code":0}\n{"op_code":2}\n'),
        (b'{"op_code":0}\n{"op_code":2}', b'{"op_code":0}\n'),
        (b'{"op_code":0}\n{"op_c', b'{"op_code":0}\n'),
        (b'{"op_code":0}\n{"op_c\n', b'{"op_code":0}\n'),
        (b'{"op_code":0}\n\0\0\0\0', b'{"op_code":0}\n'),
        (b'{"op_code":0}\n\n', b'{"op_code":0}\n'),
        (b'{"op_code":0', b""),
    ],
)
def test_a_last_line_that_is_not_whole_is_cut_off(tmp_path, content, left):
    (tmp_path / JOURNAL).write_bytes(content)
    mend(tmp_path / JOURNAL)
    assert (tmp_path / JOURNAL).read_bytes() == left


def test_a_file_of_another_kind_is_not_mended(tmp_path):
    (tmp_path / JOURNAL).write_bytes(b"a diary\nwithout an end")
    with pytest.raises(ValueError, match="another kind"):
        mend(tmp_path / JOURNAL)
    assert (tmp_path / JOURNAL).read_bytes() == b"a diary\nwithout an end"


LINE = {"op_code": 0, "worker_id": "w", "study_name": "a", "directions": [1]}


def test_a_line_follows_the_last_whole_one(tmp_path):
    """Another worker was killed in the middle of a line: who writes next writes in its place."""
    journal = WholeLines(tmp_path / JOURNAL)
    journal.append_logs([LINE])
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"killed')
    journal.append_logs([{**LINE, "study_name": "b"}])
    assert [log["study_name"] for log in journal.read_logs(0)] == ["a", "b"]
    other = WholeLines(tmp_path / JOURNAL)
    assert [log["study_name"] for log in other.read_logs(0)] == ["a", "b"]


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    journal = WholeLines(tmp_path / JOURNAL)
    journal.append_logs([LINE])
    before = (tmp_path / JOURNAL).read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"no space left on the disk while writing .*journal\.log; free some"):
        journal.append_logs([{**LINE, "study_name": "b"}])
    assert (tmp_path / JOURNAL).read_bytes() == before
    monkeypatch.undo()
    journal.append_logs([{**LINE, "study_name": "c"}])
    assert [log["study_name"] for log in journal.read_logs(0)] == ["a", "c"]


def write_many(path, name, count):
    journal = WholeLines(path)
    for number in range(count):
        journal.append_logs([{**LINE, "study_name": f"{name} {number}"}])


def test_lines_of_several_processes_are_all_there(tmp_path):
    context = multiprocessing.get_context("fork")
    names = "abc"
    children = [context.Process(target=write_many, args=(tmp_path / JOURNAL, name, 40)) for name in names]
    for child in children:
        child.start()
    for child in children:
        child.join()
    found = [log["study_name"] for log in WholeLines(tmp_path / JOURNAL).read_logs(0)]
    assert sorted(found) == sorted(f"{name} {number}" for name in names for number in range(40))
    for name in names:
        assert [each for each in found if each[0] == name] == [f"{name} {number}" for number in range(40)]


def test_a_journal_that_another_keeps_locked_is_told(tmp_path):
    lock = JournalLock(tmp_path / JOURNAL, patience=0.05)
    with (tmp_path / JOURNAL).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match=r"locked by another process for 0\.05 s; end that one") as caught:
            lock.acquire()
    assert "\n" not in str(caught.value)
    assert lock.acquire()
    lock.release()


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\n", b"a\nbc\n" + b"d" * 9, b"x" * 9])
@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_where_the_last_whole_line_ends(tmp_path, content, block):
    (tmp_path / "a").write_bytes(content)
    with (tmp_path / "a").open("rb") as file:
        assert whole_end(file, block=block) == content.rfind(b"\n") + 1


def test_a_journal_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*journal.log: No such file"):
        open_journal(tmp_path / "missing" / JOURNAL)
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*journal.log: Is a directory"):
        open_journal(tmp_path / JOURNAL)
