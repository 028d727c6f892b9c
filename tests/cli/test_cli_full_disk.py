"""A disk that is full: one line, and what was there is there still. A real one where the tests may mount it."""

import errno
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import TINY, contents, refuse, succeed, untouched

OPTIONS = ("--keywords", "yes,no", *TINY)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 96 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def options(trained_on_arrays, arrays):
    return ("train", arrays, *TINY)


def fill(disk: Path, leave: int) -> None:
    free = shutil.disk_usage(disk).free
    (disk / "ballast").write_bytes(bytes(max(free - leave, 0)))


def test_training_onto_a_full_disk(options, small_disk):
    fill(small_disk, 4096)
    with untouched(small_disk):
        refuse(*options, "--out", small_disk / "model", says="no space left")


def test_training_over_a_checkpoint_on_a_full_disk(options, small_disk):
    succeed(*options, "--out", small_disk / "model")
    for leave in (0, 4096):  # nothing fits, or the weights fit and their description does not
        (small_disk / "ballast").unlink(missing_ok=True)
        fill(small_disk, leave)
        with untouched(small_disk):
            outcome = refuse(*options, "--out", small_disk / "model", "--overwrite", "--seed", 5, says="no space left")
        assert "model" in outcome


def test_a_cache_on_a_full_disk(speech, small_disk, tmp_path):
    cache = small_disk / "cache"
    refuse("train", speech, "--out", tmp_path / "new", "--cache", cache, *OPTIONS, says="no space left")
    assert not (tmp_path / "new").exists()
    assert not list(cache.glob(".*"))  # entries that were whole by then may stay


def test_searching_on_a_full_disk_and_going_on_with_room(arrays, small_disk):
    asked = ("search", arrays, "--trials", 2, "--arms", "plain", "--epochs", 2, "--members", 1)
    fill(small_disk, 8192)
    refuse(*asked, "--out", small_disk / "search", says="no space left")
    (small_disk / "ballast").unlink()
    outcome = succeed(*asked, "--out", small_disk / "search", "--json")
    assert '"trials": 2' in outcome.out


def test_exporting_onto_a_full_disk(trained_on_arrays, arrays, small_disk):
    fill(small_disk, 8192)
    with untouched(small_disk):
        refuse("export", trained_on_arrays, "--data", arrays, "--out", small_disk / "bundle", says="no space left")


def test_without_a_disk_of_our_own(options, tmp_path, monkeypatch):
    succeed(*options, "--out", tmp_path / "model")
    ordinary = Path.write_text

    def write_text(self, *arguments, **settings):
        if ".model.json." in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return ordinary(self, *arguments, **settings)

    monkeypatch.setattr(Path, "write_text", write_text)
    before = contents(tmp_path)
    refuse(*options, "--out", tmp_path / "model", "--overwrite", "--seed", 5, says="no space left on the disk")
    assert contents(tmp_path) == before
