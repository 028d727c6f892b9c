"""Small folders of made-up clips for the tests of the data room."""

import json
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000


def tone(seconds: float = 1.0, hertz: float = 300.0, rate: int = RATE, peak: float = 5000.0) -> np.ndarray:
    """int16 (S,): a sine that is never digitally silent."""
    time = np.arange(round(seconds * rate)) / rate
    return np.rint(peak * np.sin(2 * np.pi * hertz * time + 0.3)).astype(np.int16)


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def class_folder(folder: Path, words: dict[str, int], seconds: float = 1.0) -> Path:
    """`words[word]` clips of each word, named `<word>/s<speaker>-<take>.wav`, six speakers."""
    for number, (word, count) in enumerate(words.items()):
        for take in range(count):
            samples = tone(seconds, 200 + 150 * number + 7 * take)
            write(folder / word / f"s{take % 6}-{take}.wav", samples)
    return folder


def speech_commands(folder: Path, words: tuple[str, ...], speakers: int = 40, noise: bool = True) -> Path:
    """One clip of each word for each speaker, Speech Commands names, and twelve seconds of noise."""
    rng = np.random.default_rng(5)
    for number, word in enumerate(words):
        for speaker in range(speakers):
            write(folder / word / f"{speaker:08x}_nohash_0.wav", tone(0.8, 200 + 100 * number + speaker))
    if noise:
        samples = np.rint(100 * rng.standard_normal(12 * RATE)).astype(np.int16)
        write(folder / "_background_noise_" / "hiss.wav", samples)
    return folder


def edge_impulse(folder: Path, where: str, bounding_boxes: bool = True, counts: tuple[int, int] = (20, 4)) -> Path:
    """An export with two labels; `where` is "root", "split" or "names" (no info.labels at all)."""
    entries: dict[str, list[dict]] = {"training": [], "testing": []}
    for split, count in zip(entries, counts, strict=True):
        for number, word in enumerate(("helloworld", "noise")):
            for take in range(count):
                name = f"{word}.{take:03d}.wav" if where == "names" else f"clip{number}{take:03d}.wav"
                write(folder / split / name, tone(1.0, 200 + 300 * number + take))
                path = f"{split}/{name}" if where == "root" else name
                entry = {"path": path, "name": name, "category": split, "label": {"type": "label", "label": word}}
                entries[split].append(entry | ({"boundingBoxes": []} if bounding_boxes else {}))
    if where == "root":
        _info(folder, entries["training"] + entries["testing"])
    elif where == "split":
        for split, listed in entries.items():
            _info(folder / split, listed)
    return folder


def _info(folder: Path, files: list[dict]) -> None:
    (folder / "info.labels").write_text(json.dumps({"version": 1, "files": files}))
