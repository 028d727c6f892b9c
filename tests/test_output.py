"""Writing: complete or not at all; folders with one owner."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kws_dendrite.errors import OutputError
from kws_dendrite.output import MARKER, claimed, replacing, write_bytes, write_json, write_text


def listing(folder):
    return sorted(entry.name for entry in folder.iterdir())


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert listing(path.parent) == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_json_round_trips(tmp_path):
    value = {"b": [1, 2.5, None], "a": "ö"}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == value
    assert text.index('"b"') < text.index('"a"')
    assert text.endswith("\n")


def test_json_refuses_nan_and_leaves_the_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", [float("nan")])
    assert listing(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "1\n"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputError if error is OSError else error), replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".bin"
        temporary.write_bytes(b"new, but half")
        raise error("in the middle")
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["model.bin"]


@pytest.mark.parametrize(
    "place", ["tempfile.mkstemp", "pathlib.Path.write_text", "os.fsync", "pathlib.Path.replace", "pathlib.Path.mkdir"]
)
def test_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch, place):
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(place, full_disk)
    with pytest.raises(OutputError) as error:
        write_text(path, "new")
    monkeypatch.undo()
    expected = f"no space left on the disk while writing {path}; free some and run the same command again"
    assert str(error.value) == expected
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["report.html"]


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/a.txt: "):
        write_text(tmp_path / "file" / "a.txt", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*folder: Is a directory"):
        write_text(tmp_path / "folder", "")
    assert listing(tmp_path) == ["file", "folder"]


def test_claims_a_new_folder_and_marks_it(tmp_path):
    with claimed(tmp_path / "deep" / "run") as folder:
        assert folder == tmp_path / "deep" / "run"
        assert listing(folder) == [MARKER]


def test_claims_an_empty_folder(tmp_path):
    with claimed(tmp_path):
        pass
    with claimed(tmp_path):  # nothing was written since: no results to protect
        pass


def test_refuses_a_foreign_folder_and_leaves_it(tmp_path):
    (tmp_path / "yes.wav").write_bytes(b"RIFF")
    for overwrite in (False, True):
        with (
            pytest.raises(OutputError, match="not empty and was not made by kws-dendrite"),
            claimed(tmp_path, overwrite=overwrite, resume=True),
        ):
            pytest.fail("claimed")
    assert listing(tmp_path) == ["yes.wav"]


def test_refuses_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; name a folder"), claimed(tmp_path / "file"):
        pytest.fail("claimed")
    with pytest.raises(OutputError, match="cannot write"), claimed(tmp_path / "file" / "below"):
        pytest.fail("claimed")


def test_results_need_overwrite_or_resume(tmp_path):
    with claimed(tmp_path) as folder:
        write_text(folder / "run.json", "{}")
    with pytest.raises(OutputError, match="already holds results; add --overwrite"), claimed(tmp_path):
        pytest.fail("claimed")
    assert (tmp_path / "run.json").read_text() == "{}"
    for how in ({"overwrite": True}, {"resume": True}):
        with claimed(tmp_path, **how) as folder:
            assert (folder / "run.json").exists()


def test_full_disk_while_claiming(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", full_disk)
    with pytest.raises(OutputError, match="no space left"), claimed(tmp_path / "run"):
        pytest.fail("claimed")


def test_a_second_process_waits_outside(tmp_path):
    """The lock goes with its process, even one that is killed."""
    hold = (
        "import sys; from kws_dendrite.output import claimed\n"
        "with claimed(sys.argv[1]):\n    print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "mine\n"
        for how in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(OutputError, match="in use by another kws-dendrite process"), claimed(tmp_path, **how):
                pytest.fail("claimed")
        other.kill()
    with claimed(tmp_path):
        pass


def test_the_lock_ends_with_the_block(tmp_path):
    with pytest.raises(RuntimeError), claimed(tmp_path):
        raise RuntimeError
    with claimed(tmp_path):
        pass
