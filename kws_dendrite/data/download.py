"""Fetch a public data set: checked before anything is unpacked, unpacked where nothing can escape."""

import hashlib
import http.client
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kws_dendrite.errors import DataError, OutputError

CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Source:
    """A data set's archive.

    Attributes:
        url: of a .tar.gz.
        sha256: of the archive, hexadecimal.
        size: bytes of the archive.
        folder: where it unpacks to, inside the folder that the user names.
        licence: and whom to cite.
    """

    url: str
    sha256: str
    size: int
    folder: str
    licence: str


SOURCES = {
    "speech_commands": Source(
        url="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        # the digest that torchaudio's SPEECHCOMMANDS and TensorFlow Datasets list for v0.02
        sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        size=2_428_923_189,
        folder="speech_commands_v0.02",
        licence="CC BY 4.0; P. Warden, Speech Commands, arXiv:1804.03209",
    )
}

Progress = Callable[[str, int, int], None]  # (what, bytes done, bytes in all)


def download(name: str, to: Path | str, progress: Progress | None = None, *, source: Source | None = None) -> Path:
    """Fetch and unpack a data set; returns its folder.

    Nothing appears under its final name before it is whole: the archive and the unpacked files stay in a temporary
    folder inside `to` until the digest is right and every file is written.

    Args:
        name: "speech_commands" (v0.02, 2.4 GB, 2.3 GB more unpacked).
        to: folder to put it in; created if missing.
        progress: called with ("downloading" or "unpacking", bytes done, bytes in all).
        source: another archive, for mirrors and tests.

    Raises:
        DataError: unknown name, no network, the server refuses, a wrong digest, an archive that would write outside.
        OutputError: it is there already, the folder cannot be written, the disk is full.
    """
    if source is None and name not in SOURCES:
        raise DataError(f"no data set named {name!r} to download; there is {', '.join(SOURCES)}")
    source = source or SOURCES[name]
    to = Path(to)
    target = to / source.folder
    if target.exists():
        raise OutputError(f"{target} is already there; use it, or remove it first")
    try:
        to.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(to).free
        if free < 2 * source.size:
            raise OutputError(f"{to} has {free / 1e9:.1f} GB free; {2 * source.size / 1e9:.1f} GB are needed")
        with tempfile.TemporaryDirectory(prefix=".download-", dir=to) as work:
            archive = Path(work) / "archive.tar.gz"
            _fetch(source, archive, progress)
            unpacked = Path(work) / "unpacked"
            unpack(archive, unpacked, progress)
            unpacked.rename(target)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or to}: {error.strerror or error}") from error
    return target


def _fetch(source: Source, archive: Path, progress: Progress | None) -> None:
    digest, done = hashlib.sha256(), 0
    with _open(source) as response, archive.open("wb") as file:
        total = int(response.headers.get("Content-Length") or source.size)
        while chunk := _read(response, source):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress("downloading", done, total)
    if done < total:
        raise DataError(f"{source.url} broke off after {done} of {total} bytes; nothing was kept, run it again")
    if digest.hexdigest() != source.sha256:
        raise DataError(
            f"the archive from {source.url} has SHA-256 {digest.hexdigest()}, expected {source.sha256}; "
            "nothing was kept: run it again, and do not trust that server if it repeats"
        )


def _open(source: Source) -> http.client.HTTPResponse:
    try:
        return urllib.request.urlopen(source.url, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        raise DataError(f"{source.url} answers {error.code} {error.reason}; try again later") from error
    except urllib.error.URLError as error:
        raise DataError(_no_network(source, error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(_no_network(source, error)) from error


def _read(response: http.client.HTTPResponse, source: Source) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(_no_network(source, error)) from error


def _no_network(source: Source, reason: object) -> str:
    return (
        f"cannot reach {source.url} ({reason}): is there a network? Fetch it elsewhere and unpack it, "
        "or use the built-in 'demo'"
    )


def unpack(archive: Path, folder: Path, progress: Progress | None = None) -> None:
    """Unpack a .tar.gz of plain files and folders into a new folder.

    Raises:
        DataError: not a whole archive; a member that is a link or device, or whose path leaves the folder.
    """
    folder.mkdir()
    size = archive.stat().st_size
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
                    raise DataError(f"the archive holds {member.name!r}, which may leave the folder; nothing was kept")
                tar.extract(member, folder, filter="data")
                if progress is not None:
                    progress("unpacking", raw.tell(), size)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive.name} is no whole .tar.gz archive ({error}); nothing was kept") from error
