"""Measure what the C front end costs on each core, and write the table that a search's predictions read.

    python scripts/measure_frontend_costs.py [--cores cortex-m4,...] [--out FILE]

Front ends of a grid run in QEMU, where instructions are counted exactly, by stage. Least squares of the relative
errors, no cost below zero, gives what one of each count takes (`kws_dendrite.search.frontend_cost`). Flash is what the
compiler gives for all sources and tables. With some of the cores, the table keeps what it has of the others. Needs
arm-none-eabi-gcc and qemu-system-arm; takes some ten minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from measure_device_costs import fit

from kws_dendrite.errors import KwsDendriteError
from kws_dendrite.export.benchmark.count import STAGE, Call, count_calls
from kws_dendrite.export.benchmark.firmware import BASE, FLAGS, compile_sources, link
from kws_dendrite.export.benchmark.targets import TARGETS, Target
from kws_dendrite.export.benchmark.toolchain import GCC, QEMU, version
from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfccConfig, MfeConfig, feature_shape
from kws_dendrite.output import write_text
from kws_dendrite.search.frontend_cost import PARTS, counts_of, flash_counts

TABLE = Path(__file__).resolve().parents[1] / "kws_dendrite" / "search" / "frontend_costs.json"
SECOND = 16000
STAGE_PARTS = ("samples", "fft", "fft", "bands", "bands", "cosines")  # of the C's stages, in their order
MAIN = """
#include "bench.h"
#include "kws_frontend.h"
static kws_frontend frontend;
static int16_t samples[KWS_FRONTEND_FRAME_STRIDE];
static int8_t bytes[KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS];
void quantized(void);
void quantized(void) { kws_frontend_quantized(&frontend, 0.03f, 3, bytes); }
int main(void)
{
    uint32_t state = 1;
    kws_frontend_reset(&frontend, 0);
    while (!kws_frontend_ready(&frontend)) {
        for (int i = 0; i < KWS_FRONTEND_FRAME_STRIDE; i++) { /* noise with a level that changes */
            state = state * 1103515245u + 12345u;
            samples[i] = (int16_t)((int32_t)(state >> 16) % (int32_t)(100 + (state >> 28) * 500));
        }
        kws_frontend_push(&frontend, samples, KWS_FRONTEND_FRAME_STRIDE);
    }
    kws_bench_call((void (*)(void))kws_frontend_push, &frontend, samples, (void *)KWS_FRONTEND_FRAME_STRIDE);
    kws_bench_call(quantized, 0, 0, 0);
    return 0;
}
"""
# frame_length, frame_stride, fft_length, num_filters
FRAMES = (
    (0.008, 0.008, 128, 12),
    (0.008, 0.004, 128, 24),
    (0.016, 0.032, 256, 16),
    (0.016, 0.01, 256, 32),
    (0.025, 0.025, 512, 20),
    (0.032, 0.016, 512, 40),
    (0.05, 0.03, 1024, 26),
    (0.1, 0.1, 2048, 48),
)
# coefficients and win_size of MFCC, in turn
CEPSTRA = ((10, 201), (13, 0), (13, 21), (14, 501), (20, 41), (12, 999), (26, 0))


@dataclass(frozen=True)
class Sample:
    """One front end on one core: instructions and cycles by part, flash."""

    config: FrontEndConfig
    frames: int
    instructions: dict[str, int]
    cycles: dict[str, int | None]
    flash: int


def grid() -> list[FrontEndConfig]:
    """The front ends that are measured."""
    found: list[FrontEndConfig] = []
    for number, (length, stride, fft, bands) in enumerate(FRAMES):
        settings = {"frame_length": length, "frame_stride": stride, "fft_length": fft, "num_filters": bands}
        for kind in (LogMelConfig, MfeConfig):
            found += _possible(kind, settings)
        for shift in (0, 3):
            cepstra, window = CEPSTRA[(number + shift) % len(CEPSTRA)]
            found += _possible(MfccConfig, settings | {"num_cepstral": min(cepstra, bands), "win_size": window})
    return [*found, MfccConfig(), MfeConfig(), LogMelConfig()]


def _possible(kind: type, settings: dict[str, Any]) -> list[FrontEndConfig]:
    try:
        return [kind(**settings)]
    except KwsDendriteError:
        return []  # more bands than the FFT has bins for


def sample(config: FrontEndConfig, target: Target, work: Path) -> Sample:
    """Count one front end on one core."""
    frames, _ = feature_shape(config, SECOND)
    folder = work / "sources"
    folder.mkdir(parents=True)
    for name, text in emit_frontend(config, frames).items():
        (folder / name).write_text(text, encoding="utf-8")
    (work / "main.c").write_text(MAIN, encoding="utf-8")
    objects = compile_sources(sorted(folder.glob("*.c")), target, work)
    frame, window = count_calls(link(objects, work, "count", harness=(*BASE, work / "main.c")), work / "run")
    compiler = [GCC, *target.flags, "-std=c99", *FLAGS, "-c", *(path.name for path in sorted(folder.glob("*.c")))]
    subprocess.run(compiler, cwd=folder, check=True)
    command = ["arm-none-eabi-size", *(path.name for path in sorted(folder.glob("*.o")))]
    rows = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()[1:]
    flash = sum(int(text) + int(data) for text, data, *_ in (row.split() for row in rows))
    return Sample(
        config,
        frames,
        {part: _of(frame, window, part, "instructions") for part in PARTS},
        {part: _of(frame, window, part, "cycles") for part in PARTS},
        flash,
    )


def _of(frame: Call, window: Call, part: str, what: str) -> Any:
    """Instructions or cycles of a part; None where they are not modelled."""
    if getattr(frame, what) is None:
        return None
    if part == "window":
        return getattr(window, what)
    by_part = dict.fromkeys(PARTS, 0)
    for segment in frame.segments:
        name = STAGE_PARTS[segment.index] if segment.kind == STAGE else "samples"
        by_part[name] += getattr(segment, what)
    return by_part[part]


def fitted(found: list[Sample], what: str) -> tuple[dict[str, dict[str, float]], float]:
    """Part -> what one of its counts costs; and the worst relative error of a clip."""
    table: dict[str, dict[str, float]] = {}
    for part in PARTS:
        rows = [
            (counts_of(one.config, one.frames).get(part), getattr(one, what)[part])
            for one in found
            if getattr(one, what)[part]
        ]
        table[part], _ = fit([counts for counts, _ in rows if counts], [cost for counts, cost in rows if counts])
    worst = 0.0
    for one in found:
        predicted = actual = 0.0
        for part, counts in counts_of(one.config, one.frames).items():
            times = 1 if part == "window" else one.frames
            predicted += times * sum(table[part][name] * n for name, n in counts.items())
            actual += times * getattr(one, what)[part]
        worst = max(worst, abs(predicted / actual - 1))
    return table, worst


def core_costs(core: str, configs: list[FrontEndConfig]) -> dict[str, Any]:
    """A core's part of the table."""
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        found = [sample(config, TARGETS[core], Path(name) / str(k)) for k, config in enumerate(configs)]
    instructions, worst = fitted(found, "instructions")
    value: dict[str, Any] = {"front ends": len(found), "worst": round(worst, 4), "instructions": instructions}
    if found[0].cycles["fft"] is not None:
        value["cycles"], worst = fitted(found, "cycles")
        value["worst cycles"] = round(worst, 4)
    value["flash"], worst = fit([flash_counts(one.config) for one in found], [one.flash for one in found])
    value["worst flash"] = round(worst, 4)
    print({name: entry for name, entry in value.items() if name.startswith(("front", "worst"))}, core, flush=True)
    return value


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="What the C front end costs on each core.")
    parser.add_argument("--cores", default=",".join(TARGETS))
    parser.add_argument("--out", type=Path, default=TABLE)
    given = parser.parse_args()
    configs = grid()
    tools = {"compiler": version(GCC), "flags": list(FLAGS), "emulator": version(QEMU)}
    cores: dict[str, Any] = {}
    if given.out.exists():
        before = json.loads(given.out.read_text(encoding="utf-8"))
        cores = before["cores"] if {name: before[name] for name in tools} == tools else {}
    for core in given.cores.split(","):
        cores[core] = core_costs(core, configs)
        ordered = {name: cores[name] for name in TARGETS if name in cores}
        write_text(given.out, json.dumps({**tools, "cores": ordered}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except KwsDendriteError as error:
        sys.exit(f"error: {error}")
