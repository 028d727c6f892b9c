"""Do numpy, torch and C compute Edge Impulse's features? Every golden vector through all of them, in one table.

    python benchmarks/features_agree.py --out docs/features_agree.md

The golden vectors are what Edge Impulse's own MFCC and MFE blocks gave (tests/golden/edge_impulse). A cell is the
largest difference from them over a clip's features. Columns of C stay empty where a compiler or QEMU is missing, and
the page says so. Nothing is left out but what the page names.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from c_frontend import GOLDEN, HostFrontend

from kws_dendrite.errors import KwsDendriteError
from kws_dendrite.export.benchmark.emulator import run
from kws_dendrite.export.benchmark.firmware import BASE, compile_sources, link
from kws_dendrite.export.benchmark.targets import find_target
from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.frontend import FrontEndConfig, MfeConfig, compute_float64, extract, from_json
from kws_dendrite.output import write_text

CORE = "cortex-m4"
COLUMNS = ("numpy", "torch", "C float, host", "C fixed, host", f"C float, {CORE}", f"C fixed, {CORE}")
NO_SETTINGS = ("signal_kind", "seed", "n_samples")  # how a vector's signal was made
CLIP = """
#include "kws_frontend.h"
#include "semihosting.h"
static kws_frontend frontend;
static int16_t samples[256];
static float floats[KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS];
int main(void)
{
    const int in = semihosting_open("samples.bin", SEMIHOSTING_READ_BINARY);
    const int out = semihosting_open("features.bin", SEMIHOSTING_WRITE_BINARY);
    size_t count;
    kws_frontend_reset(&frontend, PREVIOUS);
    while ((count = semihosting_read(in, samples, sizeof samples)) > 0) {
        kws_frontend_push(&frontend, samples, count / sizeof *samples);
    }
    kws_frontend_features(&frontend, floats);
    semihosting_write(out, floats, sizeof floats);
    semihosting_close(out);
    return 0;
}
"""
HEAD = """# The features agree

What Edge Impulse's own processing blocks gave for {count} clips, and what this project's four ways give for the same
clips: the numpy reference, the batched torch path that training uses, and the C that runs on the device, in float and
in fixed point, on this machine and on an emulated Cortex-M4 (QEMU). A cell is the largest difference over a clip.

Made by `python benchmarks/features_agree.py --out docs/features_agree.md`.
"""
NOTES = """
* MFCC are some -4 to 4 with the window normalisation (`win_size` above 0) and up to some 25 without; MFE are 0 to 1 in
  steps of 1/256 = 3.9e-3. A model's int8 step on MFCC is some 0.03.
* Fixed point is for cores without an FPU; `docs/c_frontend.md` says what it costs in decisions.
* Degenerate{degenerate}: one frame, or silence. The normalisation divides rounding noise by 1e-10 there, and what Edge
  Impulse's block itself gives is noise. Such clips are no test of agreement, and no speech.
* Values that Edge Impulse's Python rounds to 256/256 wrap to 0 there (uint8); its device code and this project give 1.
  They are left out: {wrapped}.
"""


@dataclass(frozen=True)
class Vector:
    """One golden vector.

    Attributes:
        name: of its file.
        config: the block's settings.
        signal: int16 (S,).
        expected: float64 (T, F), as the block gave it.
    """

    name: str
    config: FrontEndConfig
    signal: np.ndarray
    expected: np.ndarray

    @property
    def frames(self) -> int:
        """T."""
        return len(self.expected)

    @property
    def degenerate(self) -> bool:
        """Whether the normalisation has nothing to divide by: one frame, or frames that are all alike."""
        window = getattr(self.config, "win_size", 0) if not isinstance(self.config, MfeConfig) else 0
        return bool(window) and (self.frames == 1 or not self.signal.any())

    @property
    def wrapped(self) -> np.ndarray:
        """bool (T, F): MFE of 1 that the block wrote as 0."""
        if not isinstance(self.config, MfeConfig):
            return np.zeros(self.expected.shape, bool)
        return (self.expected == 0) & (compute_float64(self.signal, self.config) == 1)

    def difference(self, ours: np.ndarray) -> float:
        """The largest, over what is not wrapped."""
        return float(np.abs(ours - self.expected)[~self.wrapped].max())


def read_vectors(folder: Path) -> list[Vector]:
    """Every .npz of a folder, by name."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            settings, signal = json.loads(str(file["params"])), file["signal"]
            expected = file["features_f64"].reshape(file["features_2d"].shape)
        config = from_json({name: value for name, value in settings.items() if name not in NO_SETTINGS})
        found.append(Vector(path.stem, config, signal, expected))
    return found


def row(vector: Vector, work: Path, host: bool, device: bool) -> dict[str, float]:
    """Column -> largest difference."""
    cells = {
        "numpy": vector.difference(compute_float64(vector.signal, vector.config)),
        "torch": vector.difference(extract(vector.signal[None], vector.config)[0]),
    }
    for fixed, name in ((False, "float"), (True, "fixed")):
        if host:
            made = HostFrontend(work / f"{vector.name}-{name}", vector.config, vector.frames, fixed).clip(vector.signal)
            cells[f"C {name}, host"] = vector.difference(made)
        if device:
            cells[f"C {name}, {CORE}"] = vector.difference(on_core(vector, fixed, work / f"{vector.name}-{name}-core"))
    return cells


def on_core(vector: Vector, fixed: bool, folder: Path) -> np.ndarray:
    """Features that an emulated core computes, float32 (T, F)."""
    sources = folder / "sources"
    sources.mkdir(parents=True)
    for name, text in emit_frontend(vector.config, vector.frames).items():
        (sources / name).write_text(text, encoding="utf-8")
    (folder / "main.c").write_text(CLIP.replace("PREVIOUS", str(int(vector.signal[-1]))), encoding="utf-8")
    flags = ("-O2", f"-DKWS_FRONTEND_FIXED={int(fixed)}")
    objects = compile_sources(sorted(sources.glob("*.c")), find_target(CORE), folder, hooks=None, flags=flags)
    firmware = link(objects, folder, "clip", harness=(*BASE, folder / "main.c"))
    config = vector.config
    used = (vector.frames - 1) * config.stride_samples + min(config.frame_samples, config.fft_length)
    run(firmware, folder / "run", {"samples.bin": vector.signal[:used].astype("<i2").tobytes()})
    return np.frombuffer((folder / "run" / "features.bin").read_bytes(), "<f4").reshape(vector.expected.shape)


def page(vectors: list[Vector], rows: list[dict[str, float]]) -> str:
    """The whole page."""
    columns = [name for name in COLUMNS if name in rows[0]]
    lines = [HEAD.format(count=len(vectors))]
    missing = [name for name in COLUMNS if name not in rows[0]]
    if missing:
        lines.append(f"Not made on this machine: {', '.join(missing)}.\n")
    lines.append(f"| golden vector | T x F | largest value | {' | '.join(columns)} |")
    lines.append(f"|---|---|---:|{'---:|' * len(columns)}")
    for vector, cells in zip(vectors, rows, strict=True):
        name = f"{vector.name} (degenerate)" if vector.degenerate else vector.name
        shape = f"{vector.frames} x {vector.expected.shape[1]}"
        numbers = " | ".join(_number(cells[column]) for column in columns)
        lines.append(f"| {name} | {shape} | {np.abs(vector.expected).max():.3g} | {numbers} |")
    for title, kind in (("MFCC", "mfcc"), ("MFE", "mfe")):
        sound = [
            cells
            for vector, cells in zip(vectors, rows, strict=True)
            if not vector.degenerate and vector.config.block == kind
        ]
        if sound:
            worst = (max(cells[column] for cells in sound) for column in columns)
            lines.append(f"| **worst, {title}** | | | {' | '.join(f'**{_number(value)}**' for value in worst)} |")
    wrapped = {vector.name: int(vector.wrapped.sum()) for vector in vectors if vector.wrapped.any()}
    lines.append(
        NOTES.format(
            degenerate=f" ({sum(vector.degenerate for vector in vectors)} clips)",
            wrapped=", ".join(f"{count} of {name}" for name, count in wrapped.items()) or "none here",
        ).rstrip()
    )
    lines.append(
        "\nContinuous mode computes them slice by slice: [continuous_mode.md](continuous_mode.md) has what that costs."
    )
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, default=GOLDEN, help="a folder of golden .npz")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    vectors = read_vectors(arguments.golden)
    if not vectors:
        sys.exit(f"error: {arguments.golden} holds no .npz")
    host = shutil.which("cc") is not None
    device = all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm")))
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        try:
            rows = [row(vector, Path(name), host, device) for vector in vectors]
        except KwsDendriteError as error:
            sys.exit(f"error: {error}")
    write_text(arguments.out, page(vectors, rows))


if __name__ == "__main__":
    main()
