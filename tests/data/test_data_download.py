"""Downloads from file:// addresses: no network is needed, none is used."""

import hashlib
import io
import tarfile
from dataclasses import replace

import pytest
from clip_folders import speech_commands

from kws_dendrite.data import load_dataset
from kws_dendrite.data.download import SOURCES, Source, download, unpack
from kws_dendrite.errors import DataError, OutputError


@pytest.fixture
def source(tmp_path):
    folder = speech_commands(tmp_path / "made", ("yes", "no", "bird"), speakers=12)
    archive = tmp_path / "set.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")
    content = archive.read_bytes()
    return Source(archive.as_uri(), hashlib.sha256(content).hexdigest(), len(content), "set_v1", "none")


def test_fetch_check_unpack(source, tmp_path):
    seen = []
    folder = download("x", tmp_path / "to", lambda *step: seen.append(step), source=source)
    assert folder == tmp_path / "to" / "set_v1"
    assert [entry.name for entry in (tmp_path / "to").iterdir()] == ["set_v1"]
    assert load_dataset(folder).layout == "speech_commands"
    assert {what for what, _, _ in seen} == {"downloading", "unpacking"}
    assert ("downloading", source.size, source.size) in seen
    with pytest.raises(OutputError, match="already there"):
        download("x", tmp_path / "to", source=source)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "0" * 64}, "has SHA-256"),
        ({"url": "file:///nowhere/at/all.tar.gz"}, "is there a network"),
        ({"url": "http://127.0.0.1:9/x.tar.gz"}, "is there a network"),
    ],
)
def test_nothing_is_left_when_it_fails(source, tmp_path, changes, says):
    with pytest.raises(DataError, match=says) as caught:
        download("x", tmp_path / "to", source=replace(source, **changes))
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "to").iterdir()) == []


def _archive(path, name, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = "/etc/passwd"
        member.size = 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(b"evil") if kind == tarfile.REGTYPE else None)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../escaped.wav", tarfile.REGTYPE),
        ("/escaped.wav", tarfile.REGTYPE),
        ("yes/../../escaped.wav", tarfile.REGTYPE),
        ("yes/link.wav", tarfile.SYMTYPE),
        ("yes/hard.wav", tarfile.LNKTYPE),
        ("yes/device", tarfile.CHRTYPE),
    ],
)
def test_members_that_would_leave_the_folder_are_refused(tmp_path, name, kind):
    archive = _archive(tmp_path / "a.tar.gz", name, kind)
    with pytest.raises(DataError, match="may leave the folder"):
        unpack(archive, tmp_path / "unpacked")
    assert not (tmp_path / "escaped.wav").exists()


def test_a_truncated_archive_is_refused(source, tmp_path):
    content = (tmp_path / "set.tar.gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for keep in (0, 5, len(content) // 2):
        cut.write_bytes(content[:keep])
        with pytest.raises(DataError, match=r"no whole \.tar\.gz"):
            unpack(cut, tmp_path / f"unpacked{keep}")


def test_not_enough_room_is_said_before_the_download(source, tmp_path):
    with pytest.raises(OutputError, match="are needed"):
        download("x", tmp_path / "to", source=replace(source, size=10**18))


def test_the_list(tmp_path):
    assert SOURCES["speech_commands"].sha256.startswith("af14739e")
    with pytest.raises(DataError, match="there is speech_commands"):
        download("nothing", tmp_path)
