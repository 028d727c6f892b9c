"""Make the built-in demo data: keywords and other words spoken by espeak-ng's voices, and synthetic noise.

    python scripts/make_demo_data.py [--to FOLDER] [--seed 0]

Needs espeak-ng on the PATH (made with 1.51). The same seed and versions give the same files. The layout is that of
Speech Commands, `<word>/<speaker>_nohash_<take>.flac`, so the loaders treat it as they treat the real thing. A
"speaker" is one voice variant with one accent; no voice variant is in two partitions. Speaker names are random but
chosen so that the Speech Commands hash rule puts 60 % in train and 20 % each in validation and test: with ten per
cent of so few voices, validation would be too coarse to see anything.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import fftconvolve, lfilter, resample_poly

from kws_dendrite.data.partition import speech_commands_partition

RATE = 16000
KEYWORDS = ("yes", "no", "stop", "go")
OTHERS = ("up", "down", "left", "right", "on", "off", "guess", "low", "step", "top", "bird", "house")
OTHERS_EACH = 2  # other words a speaker
ACCENTS = (
    "en-us", "en-gb", "en-gb-scotland", "en-029", "en-us-nyc", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
)  # fmt: skip
VARIANTS = (
    "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Alex", "Alicia", "Andrea", "Andy",
    "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike",
    "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "croak", "david", "ed", "edward",
    "grandma", "grandpa", "gustave", "john", "linda", "marcelo", "max", "steph",
)  # fmt: skip
ACCENTS_EACH = 2
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
NOISE_SECONDS = 16
NOISE_RMS = 20.0  # int16 steps; the loader scales noise anyway, and quiet noise makes small files


@dataclass(frozen=True)
class Speaker:
    """A voice: espeak-ng's name for it, the file-name id, its base pitch (0-99) and speed (words a minute)."""

    voice: str
    id: str
    pitch: float
    speed: float


def main() -> None:
    """Write the whole folder anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "kws_dendrite" / "data" / "demo")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder: Path = arguments.to
    if folder.exists() and any(folder.iterdir()) and not (folder / "dataset.json").is_file():
        sys.exit(f"{folder} is not empty and was not made by this script; name another folder")
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    for old in folder.glob("*/*.flac"):
        old.unlink()
    rng = np.random.default_rng(arguments.seed)
    count = size = 0
    for speaker in speakers(rng):
        others = rng.choice(OTHERS, OTHERS_EACH, replace=False)
        for word in (*KEYWORDS, *map(str, others)):
            path = folder / word / f"{speaker.id}_nohash_0.flac"
            write(path, one_second(speak(speaker, word, rng), rng))
            count, size = count + 1, size + path.stat().st_size
    for name, samples in noises(rng).items():
        path = folder / "_background_noise_" / f"{name}.flac"
        write(path, samples * (NOISE_RMS / np.sqrt(np.mean(samples**2))))
        count, size = count + 1, size + path.stat().st_size
    card = {"name": "demo", "synthetic": True, "keywords": list(KEYWORDS), "made_with": version, "seed": arguments.seed}
    (folder / "dataset.json").write_text(json.dumps(card, indent=2) + "\n")
    for empty in folder.glob("*/"):
        if not any(empty.iterdir()):
            shutil.rmtree(empty)
    print(f"{count} files, {size / 1e6:.2f} MB in {folder}")


def speakers(rng: np.random.Generator) -> list[Speaker]:
    """Every voice variant with ACCENTS_EACH accents; all of a variant's speakers fall in one partition."""
    found = []
    order = [VARIANTS[index] for index in rng.permutation(len(VARIANTS))]
    edges = np.round(np.cumsum(list(SHARES.values())) * len(order)).astype(int)
    for number, variant in enumerate(order):
        partition = list(SHARES)[int(np.searchsorted(edges, number, side="right"))]
        for accent in rng.choice(ACCENTS, ACCENTS_EACH, replace=False):
            while True:
                name = rng.bytes(4).hex()
                if speech_commands_partition(f"{name}_nohash_0.flac") == partition:
                    break
            found.append(Speaker(f"{accent}+{variant}", name, rng.uniform(25, 75), rng.uniform(120, 190)))
    return found


def speak(speaker: Speaker, word: str, rng: np.random.Generator) -> np.ndarray:
    """float64 samples at RATE, silence trimmed, peak 1."""
    text = word + str(rng.choice([".", "!", "?", ","], p=[0.5, 0.2, 0.2, 0.1]))
    pitch = int(np.clip(speaker.pitch + rng.normal(0, 10), 0, 99))
    speed = int(np.clip(speaker.speed * np.exp(rng.normal(0, 0.12)), 90, 260))
    command = ["espeak-ng", "-v", speaker.voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    sound, rate = soundfile.read(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout))
    common = np.gcd(rate, RATE)
    sound = resample_poly(sound, RATE // common, rate // common)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    return sound / np.abs(sound).max()


def one_second(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float64 (RATE,) in int16 steps: a room, a microphone, a distance, a random place in the second, some noise."""
    if rng.random() < 0.7:  # a room: the direct sound and a decaying tail
        decay = rng.uniform(0.08, 0.35)  # seconds to fall by 60 dB
        time = np.arange(int(decay * RATE)) / RATE
        tail = rng.standard_normal(len(time)) * np.exp(-6.9 * time / decay)
        tail *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(tail**2))
        tail[0] += 1.0
        sound = fftconvolve(sound, tail)
    sound = lfilter([1.0, -rng.uniform(-0.5, 0.7)], [1.0], sound)  # a microphone that is dull or thin
    if rng.random() < 0.3:  # a small loudspeaker or a telephone: nothing below some hundred hertz
        sound = lfilter([1.0, -1.0], [1.0, -np.exp(-2 * np.pi * rng.uniform(150, 400) / RATE)], sound)
    clip = np.zeros(RATE)
    spare = RATE - len(sound)
    start = int(rng.uniform(-0.05 * RATE, spare + 0.05 * RATE)) if spare > 0 else int(rng.uniform(spare, 0))
    first, last = max(start, 0), min(start + len(sound), RATE)
    clip[first:last] = sound[first - start : last - start]
    peak = 10.0 ** rng.uniform(2.0, 3.2)  # 100 to 1,600 steps: quiet recordings make small files
    clip *= peak / np.abs(clip).max()
    if rng.random() < 0.5:
        level = np.sqrt(np.mean(clip**2)) * 10.0 ** (-rng.uniform(3, 25) / 20)
        clip += coloured(RATE, rng.uniform(1.0, 2.0), rng) * level
    return clip


def noises(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Four recordings' worth of noise, float64, any level."""
    samples = NOISE_SECONDS * RATE
    time = np.arange(samples) / RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6.28)) / k for k in range(1, 12))
    hum = hum * (1 + 0.3 * np.sin(2 * np.pi * 0.4 * time)) + 0.15 * coloured(samples, 1.0, rng)
    clicks = 0.02 * coloured(samples, 1.0, rng)
    for start in np.cumsum(rng.exponential(0.15, 2 * NOISE_SECONDS * 7)):
        at = int(start * RATE)
        length = int(rng.uniform(0.004, 0.03) * RATE)
        if at + length < samples:
            burst = rng.standard_normal(length) * np.exp(-np.arange(length) / (0.2 * length))
            clicks[at : at + length] += burst * rng.uniform(0.2, 1)
    wind = coloured(samples, 2.0, rng) * (0.4 + np.abs(coloured(samples, 3.0, rng, lowest=0.2)))
    return {"clicks": clicks, "fan": coloured(samples, 1.0, rng), "mains_hum": hum, "wind": wind}


def coloured(samples: int, exponent: float, rng: np.random.Generator, lowest: float = 40.0) -> np.ndarray:
    """Gaussian noise of unit RMS whose power falls as 1 / f**exponent above `lowest` Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), lowest)
    sound = np.fft.irfft(spectrum * frequency ** (-exponent / 2), samples)
    return sound / np.sqrt(np.mean(sound**2))


def write(path: Path, samples: np.ndarray) -> None:
    """16-bit FLAC at the strongest compression."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    soundfile.write(path, values, RATE, format="FLAC", subtype="PCM_16", compression_level=1.0)


if __name__ == "__main__":
    main()
