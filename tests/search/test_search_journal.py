import fcntl
import multiprocessing
import os
import signal

import optuna
import pytest

from kws_dendrite.search.journal import JournalLock, mend, open_journal

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
