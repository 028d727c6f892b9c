import fcntl
import multiprocessing
import os
import signal

import pytest
from tiny_search import CONFIG, search

from kws_dendrite.errors import ConfigError, OutputError
from kws_dendrite.search import storage as storage_module
from kws_dendrite.search.storage import JOURNAL, WORKERS, JournalStore, open_store, worker_name


def test_without_a_url_it_is_a_journal_in_the_folder(tmp_path):
    store = open_store(tmp_path / "new" / "search")
    assert isinstance(store, JournalStore) and not store.many_machines and store.has_turn()
    assert (tmp_path / "new" / "search" / JOURNAL).is_file()
    assert store.shown == str(tmp_path / "new" / "search" / JOURNAL)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        open_store(tmp_path / "file")


def test_a_url_of_another_database_is_refused_before_anything_is_written(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match="takes postgresql://"):
        search(tmp_path / "new", CONFIG, url="sqlite:///here.db")
    assert list(tmp_path.iterdir()) == []


def live_and_die(folder, signed_in):
    store = JournalStore(folder)
    store.sign_in("child")
    signed_in.send(True)
    signal.pause()


def test_who_is_killed_lives_no_more(tmp_path):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=live_and_die, args=(tmp_path, theirs))
    child.start()
    assert ours.recv()
    store = JournalStore(tmp_path)
    assert store.lives("child") and not store.lives("nobody") and not store.lives(None)
    child.kill()
    child.join()
    assert not store.lives("child")
    assert list((tmp_path / WORKERS).iterdir()) == []  # nor is a file of it left


def test_who_signs_out_lives_no_more(tmp_path):
    store, other = JournalStore(tmp_path), JournalStore(tmp_path)
    store.sign_in("me")
    assert store.lives("me") and other.lives("me")
    store.sign_out("me")
    assert not store.lives("me") and not other.lives("me")
    store.sign_in("me")
    store.close()
    assert not other.lives("me")


def test_one_has_the_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "TURN_SECONDS", 0.05)
    one, other = JournalStore(tmp_path), JournalStore(tmp_path)
    with one.turn(), pytest.raises(OutputError, match="has been locked by another process"), other.turn():
        raise AssertionError
    with other.turn(), (tmp_path / WORKERS / "turn.lock").open("ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_worker_has_a_name_of_its_own():
    names = {worker_name() for _ in range(20)}
    assert len(names) == 20 and {name.split("-")[-2] for name in names} == {str(os.getpid())}
