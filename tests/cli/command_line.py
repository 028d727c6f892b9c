"""Calling the commands as the console script does, but in this process; and small folders to call them on."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from kws_dendrite.cli.main import main

RATE = 16000
WORDS = ("yes", "no", "cat", "dog")
TINY = ("--epochs", "2", "--members", "2", "--copies", "1", "--model", "channels=4")


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


def call(*arguments: object) -> Outcome:
    """`kws-dendrite ARGUMENTS`: exit status, standard output, standard error."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["kws-dendrite", *map(str, arguments)]
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv = before
    return Outcome(status, out.getvalue(), err.getvalue())


def succeed(*arguments: object) -> Outcome:
    outcome = call(*arguments)
    assert outcome.status == 0, outcome.err
    assert "Warning" not in outcome.err
    return outcome


def refuse(*arguments: object, says: str) -> str:
    """The command ends with status 2, nothing on standard output, and one line `error: ...` that holds `says`."""
    outcome = call(*arguments)
    assert outcome.status == 2, outcome
    assert outcome.out == ""
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and outcome.err.splitlines()[-1] == lines[0]
    assert says in lines[0], lines[0]
    assert "Traceback" not in outcome.err
    return lines[0]


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """`folder` holds the same files with the same bytes before and after."""
    before = contents(folder)
    yield
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below `folder`; None if it does not exist itself."""
    if not folder.exists():
        return {".": None}
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"folder" for path in found}


def tone(hertz: float, seconds: float = 0.7) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.rint(4000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def write_clip(path: Path, samples: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path


def write_speech(folder: Path, words: tuple[str, ...] = WORDS, speakers: int = 14) -> Path:
    """As Speech Commands lays it out: a tone a word, a little higher with each speaker, and a file of noise."""
    for number, word in enumerate(words):
        for speaker in range(speakers):
            samples = tone(300 + 200 * number + 5 * speaker, 0.5 + 0.5 * speaker / speakers)
            write_clip(folder / word / f"{speaker:08x}_nohash_0.wav", samples)
    noise = np.rint(100 * np.random.default_rng(5).standard_normal(12 * RATE)).astype(np.int16)
    write_clip(folder / "_background_noise_" / "hiss.wav", noise)
    return folder


def write_arrays(folder: Path, change: Callable[[dict[str, np.ndarray]], object] = lambda arrays: None) -> Path:
    """As an Edge Impulse learning block is given them: 3 classes, 50 frames of 13 coefficients."""
    rng = np.random.default_rng(2)
    means = rng.standard_normal((3, 650))
    arrays = {}
    for split, count in (("train", 36), ("test", 15)):
        labels = np.arange(count) % 3
        arrays[f"X_split_{split}"] = (means[labels] + 0.5 * rng.standard_normal((count, 650))).astype(np.float32)
        arrays[f"Y_split_{split}"] = np.eye(3, dtype=np.float32)[labels]
    change(arrays)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder
