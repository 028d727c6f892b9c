"""A PostgreSQL server of a test's own: in a temporary folder, as another user where the test runs as root."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "s3cret{}%/word"
URL_PASSWORD = "s3cret%7B%7D%25%2Fword"


def binaries() -> Path | None:
    """The folder of initdb and postgres, of the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    here = shutil.which("initdb")
    return Path(here).parent if here else None


@dataclass
class Server:
    """A server on a socket in `folder`."""

    folder: Path
    bin: Path
    user: dict[str, object]
    process: subprocess.Popen | None = None

    def url(self, database: str = "postgres", password: str = URL_PASSWORD) -> str:
        """Of one of its databases."""
        return f"postgresql://kws:{password}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=",
                 "-c", "fsync=off", "-c", "timezone=Asia/Kolkata"],
                stdout=log, stderr=log, **self.user,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self.sql("SELECT 1", check=False).startswith("1"):
            assert time.monotonic() < deadline and self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it at once, with SIGINT in order; connections break."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def sql(self, query: str, database: str = "postgres", *, check: bool = True) -> str:
        """What psql prints."""
        done = subprocess.run(
            [self.bin / "psql", "-h", self.folder, "-U", "kws", "-d", database, "-Atqc", query],
            env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A running server; the test is skipped where PostgreSQL is not installed."""
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed (pip install 'kws-dendrite[postgres]')")
    folder = Path(tempfile.mkdtemp(prefix="kws_pg_"))
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # which initdb refuses to be
        name = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
        entry = pwd.getpwnam(name)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    folder.chmod(0o755)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    here = Server(folder, found, user)
    try:
        subprocess.run(
            [found / "initdb", "-D", folder / "data", "-U", "kws", "-A", "scram-sha-256", "--no-sync",
             "--pwfile", folder / "password", "--locale", "C", "-E", "UTF8"],
            check=True, capture_output=True, cwd=folder, **user,
        )  # fmt: skip
        here.start()
        yield here
    finally:
        here.stop(signal.SIGQUIT)  # its files go anyway
        shutil.rmtree(folder, ignore_errors=True)
