"""The C front end in numbers: its error, its instructions, its size, and what fixed point costs in decisions.

    python benchmarks/c_frontend.py errors
    python benchmarks/c_frontend.py counts [--flags="-O3"]
    python benchmarks/c_frontend.py clips --data SPEECH_COMMANDS [--clips 500] [--model MODEL.tflite]

`errors` compares both versions with the golden vectors of tests/golden/edge_impulse. `counts` counts on emulated cores.
`clips` compares them with the numpy reference on the first clips of the validation partition, in a shuffled order that
is the same each time; with an int8 model it also compares decisions, on all clips. Clips in which the reference takes
the logarithm of its own rounding errors are left out of the errors and counted. Tables go to standard output, as
Markdown.
"""

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError, KwsDendriteError
from kws_dendrite.export.benchmark.count import STAGE, Call, count_calls
from kws_dendrite.export.benchmark.firmware import BASE, FLAGS, compile_sources, link
from kws_dendrite.export.benchmark.targets import Target, find_target
from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.frontend import (
    FrontEndConfig,
    LogMelConfig,
    MfccConfig,
    MfeConfig,
    compute_float64,
    feature_shape,
    from_json,
)
from kws_dendrite.frontend.framing import power_spectrum, preemphasise, split_frames
from kws_dendrite.frontend.mfcc import filterbank

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "edge_impulse"
STAGES = ("pre-emphasis", "FFT", "power", "mel", "log", "DCT")
CONFIGS = {"MFCC": MfccConfig(), "MFE": MfeConfig(), "log-mel": LogMelConfig()}
SECOND = 16000
SHUFFLE_SEED = 0
MAIN = """
#include "bench.h"
#include "kws_frontend.h"
static kws_frontend frontend;
static int16_t samples[KWS_FRONTEND_FRAME_STRIDE];
static float floats[KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS];
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
    kws_bench_call((void (*)(void))kws_frontend_features, &frontend, floats, 0);
    kws_bench_call(quantized, 0, 0, 0);
    return 0;
}
"""


class HostFrontend:
    """The front end compiled for this machine."""

    def __init__(self, folder: Path, config: FrontEndConfig, frames: int, fixed: bool) -> None:
        self.config, self.shape = config, (frames, emit_columns(config))
        folder.mkdir(parents=True)
        for name, text in emit_frontend(config, frames).items():
            (folder / name).write_text(text, encoding="utf-8")
        text = "size_t glue_size(void);\nsize_t glue_size(void) { return sizeof(kws_frontend); }\n"
        (folder / "glue.c").write_text('#include "kws_frontend.h"\n' + text, encoding="utf-8")
        command = ["cc", "-std=c99", "-O2", f"-DKWS_FRONTEND_FIXED={int(fixed)}", "-shared", "-fPIC", "-o"]
        sources = [str(path) for path in sorted(folder.glob("*.c"))]
        subprocess.run([*command, str(folder / "library.so"), *sources, "-lm"], check=True)
        self.c = ctypes.CDLL(str(folder / "library.so"))
        self.c.glue_size.restype = self.c.kws_frontend_push.restype = ctypes.c_size_t
        self.state = ctypes.create_string_buffer(self.c.glue_size())
        self.samples = (frames - 1) * config.stride_samples + min(config.frame_samples, config.fft_length)

    def clip(self, signal: np.ndarray) -> np.ndarray:
        """Features of one clip, float32 (T, F), whose first sample sees its last."""
        used = np.ascontiguousarray(signal[: self.samples], np.int16)
        out = np.empty(self.shape, np.float32)
        self.c.kws_frontend_reset(self.state, ctypes.c_int16(int(signal[-1])))
        self.c.kws_frontend_push(self.state, used.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(used)))
        self.c.kws_frontend_features(self.state, out.ctypes.data_as(ctypes.c_void_p))
        return out


def emit_columns(config: FrontEndConfig) -> int:
    """F."""
    return config.num_cepstral if isinstance(config, MfccConfig) else config.num_filters


def error_text(ours: np.ndarray, expected: np.ndarray) -> str:
    """Two cells: the largest difference and its root mean square."""
    error = np.abs(ours - expected)
    return f"{error.max():.1e} | {np.sqrt((error**2).mean()):.1e}"


def errors(arguments: argparse.Namespace, work: Path) -> None:
    """A row a golden vector."""
    print("| golden vector | largest value | float: max | RMS | fixed: max | RMS |\n|---|---|---|---|---|---|")
    for path in sorted(GOLDEN.glob("*.npz")):
        with np.load(path) as file:
            settings, signal = json.loads(str(file["params"])), file["signal"]
        config = from_json({k: v for k, v in settings.items() if k not in ("signal_kind", "seed", "n_samples")})
        expected = compute_float64(signal, config)
        cells = []
        for fixed in (False, True):
            frontend = HostFrontend(work / f"{path.stem}-{fixed}", config, len(expected), fixed)
            cells.append(error_text(frontend.clip(signal), expected))
        print(f"| {path.stem} | {np.abs(expected).max():.3g} | {' | '.join(cells)} |")


def count(work: Path, config: FrontEndConfig, target: Target, flags: tuple[str, ...]) -> tuple[Call, ...]:
    """A frame, a window in floats and one in bytes, counted."""
    frames, _ = feature_shape(config, SECOND)
    sources = work / "sources"
    sources.mkdir(parents=True)
    for name, text in emit_frontend(config, frames).items():
        (sources / name).write_text(text, encoding="utf-8")
    (work / "main.c").write_text(MAIN, encoding="utf-8")
    objects = compile_sources(sorted(sources.glob("*.c")), target, work, flags=flags)
    return count_calls(link(objects, work, "count", harness=(*BASE, work / "main.c")), work / "run")


def sizes(work: Path, config: FrontEndConfig, target: Target, flags: tuple[str, ...]) -> tuple[int, int]:
    """Bytes of flash of all sources, and of a kws_frontend."""
    frames, _ = feature_shape(config, SECOND)
    folder = work / "size"
    folder.mkdir()
    for name, text in emit_frontend(config, frames).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "state.c").write_text('#include "kws_frontend.h"\nkws_frontend frontend;\n', encoding="utf-8")
    compiler = ["arm-none-eabi-gcc", *target.flags, "-std=c99", *flags, "-c", *(p.name for p in folder.glob("*.c"))]
    subprocess.run(compiler, cwd=folder, check=True)
    command = ["arm-none-eabi-size", *(path.name for path in folder.glob("*.o"))]
    rows = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()[1:]
    text, data, bss = np.array([row.split()[:3] for row in rows], int).sum(axis=0)
    return int(text + data), int(bss)


def counts(arguments: argparse.Namespace, work: Path) -> None:
    """A row a front end and core."""
    flags = tuple(arguments.flags.split())
    targets = [find_target(name) for name in ("cortex-m4", "cortex-m33", "cortex-m55", "cortex-m3")]
    # QEMU has no M0+; an M3 runs its instructions
    targets.append(replace(targets[-1], name="cortex-m0plus", flags=("-mcpu=cortex-m0plus", "-mthumb")))
    print(f"Flags {' '.join(flags)}; instructions of a frame of audio, by stage, and of a window of one second.\n")
    print(f"| front end | core | frame | {' | '.join(STAGES)} | window, float | window, int8 | flash B | RAM B |")
    print("|---|---|---|" + "---|" * (len(STAGES) + 4))
    for name, config in CONFIGS.items():
        for target in targets:
            folder = work / f"{name}-{target.name}"
            frame, floats, quantised = count(folder, config, target, flags)
            stages = {part.index: part.instructions for part in frame.segments if part.kind == STAGE}
            cells = [f"{stages[stage]:,}" if stage in stages else "" for stage in range(len(STAGES))]
            window = f"{floats.instructions:,} | {quantised.instructions:,}"
            flash, ram = sizes(folder, config, target, flags)
            print(
                f"| {name} | {target.name} | **{frame.instructions:,}** | {' | '.join(cells)} | {window} "
                f"| {flash:,} | {ram:,} |"
            )


def residues(signal: np.ndarray, config: FrontEndConfig) -> bool:
    """Whether an MFCC band of a frame that is not silent is zero but for the reference's own rounding errors.

    The default bank's first band is the constant part alone, which is exactly zero now and then. The C says so and
    takes 1e-10; in float64 some 1e-28 are left, and the logarithm makes -64 of them.
    """
    if not isinstance(config, MfccConfig):
        return False
    emphasised = preemphasise(signal.astype(np.float64), config.pre_cof, config.pre_shift)
    power = power_spectrum(split_frames(emphasised, config.frame_samples, config.stride_samples), config.fft_length)
    energies = power @ filterbank(config).T
    return bool(((energies < 1e-15) & (energies > 0)).any())


def clips(arguments: argparse.Namespace, work: Path) -> None:
    """Errors on real clips, and decisions where a model is given."""
    from kws_dendrite.data import TaskConfig, load_dataset, read_signals
    from kws_dendrite.export.predictor import load_predictor

    signals = read_signals(load_dataset(arguments.data, TaskConfig()), "validation")
    chosen = np.random.default_rng(SHUFFLE_SEED).permutation(len(signals.samples))[: arguments.clips]
    samples, labels = signals.samples[chosen], signals.labels[chosen]
    predictor = load_predictor(arguments.model) if arguments.model else None
    configs = CONFIGS
    if predictor is not None:
        described = json.loads(arguments.frontend.read_text()) if arguments.frontend else predictor.frontend
        if described is None:
            raise ExportError(f"no frontend.json beside {arguments.model}: name one with --frontend")
        configs = {described["block"]: from_json({name: value for name, value in described.items() if name != "task"})}
    print(
        f"{len(samples)} validation clips.\n\n"
        "| front end | clips left out | arithmetic | max | RMS | clips above 0.01 |\n|---|---|---|---|---|---|"
    )
    for name, config in configs.items():
        sound = ~np.array([residues(signal, config) for signal in samples])
        made = {"reference": np.stack([compute_float64(signal, config) for signal in samples])}
        for fixed in (False, True):
            arithmetic = "fixed" if fixed else "float"
            frontend = HostFrontend(work / f"{name}-{arithmetic}", config, made["reference"].shape[1], fixed)
            made[arithmetic] = np.stack([frontend.clip(signal) for signal in samples])
            ours, expected = made[arithmetic][sound], made["reference"][sound]
            far = (np.abs(ours - expected).max(axis=(1, 2)) > 0.01).sum()
            print(f"| {name} | {(~sound).sum()} | {arithmetic} | {error_text(ours, expected)} | {far} |")
        if predictor is not None:
            flat = {key: x.reshape(len(samples), -1).astype(np.float32) for key, x in made.items()}
            decided = {key: predictor.predict(x).argmax(axis=1) for key, x in flat.items()}
            print("\n| features | decisions unlike the reference's | right |\n|---|---|---|")
            for key, decisions in decided.items():
                unlike = (decisions != decided["reference"]).sum()
                print(f"| {key} | {unlike} | {(decisions == labels).mean():.4f} |")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("errors").set_defaults(run=errors)
    counting = commands.add_parser("counts")
    counting.set_defaults(run=counts)
    counting.add_argument("--flags", default=" ".join(FLAGS))
    comparing = commands.add_parser("clips")
    comparing.set_defaults(run=clips)
    comparing.add_argument("--data", type=Path, required=True)
    comparing.add_argument("--clips", type=int, default=500)
    comparing.add_argument("--model", type=Path)
    comparing.add_argument("--frontend", type=Path, help="frontend.json, where none stands beside the model")
    arguments = parser.parse_args()
    if shutil.which("cc") is None:
        sys.exit("error: needs a C compiler named cc: apt-get install gcc")
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        try:
            arguments.run(arguments, Path(name))
        except KwsDendriteError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
