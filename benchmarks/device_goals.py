"""Goals on the device, each as a count on an emulated core: what was measured, and whether it is reached.

Instructions are counted exactly in QEMU and belong to the compiler that is printed. The peers' figures are those of
TensorFlow Lite Micro with CMSIS-NN on the same files (tests/golden/tflite/README.md) and, for the keyword spotter of
MLPerf Tiny, of CMSIS-NN's kernels with GCC 12 at -O2 on a Cortex-M4.

    python benchmarks/device_goals.py [--flags=-O2] [--json goals.json] [--readme README.md]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from kws_dendrite.errors import KwsDendriteError
from kws_dendrite.export.benchmark.c_folder import read_operators
from kws_dendrite.export.benchmark.count import OPERATOR, count_folder
from kws_dendrite.export.benchmark.device import measure
from kws_dendrite.export.benchmark.firmware import FLAGS
from kws_dendrite.export.benchmark.toolchain import GCC, QEMU, version
from kws_dendrite.export.c import write_c
from kws_dendrite.export.c.detector import emit_detector
from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.frontend import MfccConfig
from kws_dendrite.plain import AvgPool, Conv2D, Dense, Graph, Input, Reshape, Softmax
from kws_dendrite.plain.graph import Activation, Node

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "tflite"
MFCC = MfccConfig(num_cepstral=13, frame_length=0.02, frame_stride=0.02, num_filters=32, fft_length=256)
LABELS = tuple(f"word {index}" for index in range(12))
# CMSIS-NN on MLPerf Tiny's DS-CNN, Cortex-M4, instructions of one operator
DS_CNN = {
    "conv 10x4, 1 to 64, stride 2": 1_118_460, "depthwise 3x3, 64": 561_463, "pointwise 64 to 64": 1_069_301,
    "average pool": 51_068, "dense 64 to 12": 2_526, "softmax": 3_084,
}  # fmt: skip


# TensorFlow Lite Micro with CMSIS-NN: whole inferences of the golden files; an interpreter's front end, a 30 ms frame
PEERS = {
    "sep14_s2, cortex-m4": 401_175, "sep14_s1, cortex-m4": 720_217, "sep14_s2, cortex-m55": 115_464,
    "sep14_s1, cortex-m55": 196_449, "convolution of 3 taps, 16 to 24 channels, 49 frames, cortex-m4": 3.0,
    "MFCC frame, 20 ms, 256 points, 32 bands, 13 coefficients, cortex-m4": 110_173,
}  # fmt: skip
BEGIN, END = "<!-- device:begin -->", "<!-- device:end -->"


@dataclass(frozen=True)
class Goal:
    """One goal: what is to be at most `bound`, and what came out. `peer`: another implementation's figure, if known."""

    name: str
    unit: str
    bound: float
    measured: float
    peer: float | None = None

    @property
    def reached(self) -> bool:
        """At or under the bound."""
        return self.measured <= self.bound


def golden(folder: Path, flags: Sequence[str]) -> Iterator[Goal]:
    """Whole inferences of the golden models."""
    bounds = {("sep14_s2", "cortex-m4"): 80_000, ("sep14_s1", "cortex-m4"): 150_000,
              ("sep14_s2", "cortex-m55"): 60_000, ("sep14_s1", "cortex-m55"): 110_000}  # fmt: skip
    for (name, target), bound in bounds.items():
        sources = folder / name
        if not sources.exists():
            write_c(GOLDEN / f"{name}.tflite", sources, labels=LABELS)
        (call,) = count_folder(sources, target, flags=flags, clips=clip(50 * 13))
        yield Goal(f"{name}, {target}", "instructions an inference", bound, call.instructions)


def reference_convolution(folder: Path, flags: Sequence[str]) -> Iterator[Goal]:
    """The 1-D convolution that CMSIS-NN spends 3 instructions a MAC on: 49 frames, 3 taps, 16 to 24 channels."""
    nodes = [
        Input("input", (), 49 * 16), Reshape("frames", ("input",), (49, 1, 16)),
        Conv2D("conv", ("frames",), "conv", bias=vector(24), padding="valid"),
        AvgPool("pool", ("conv",), (47, 1), (47, 1)), Reshape("flat", ("pool",), (24,)),
        Dense("dense", ("flat",), "dense", bias=vector(12)), Softmax("softmax", ("dense",)),
    ]  # fmt: skip
    rows = operators(folder / "reference", nodes, {"conv": weight(3, 1, 16, 24), "dense": weight(24, 12)}, flags)
    instructions, macs = next((count, row["macs"]) for count, row in rows if row["macs"] == 47 * 3 * 16 * 24)
    yield Goal("convolution of 3 taps, 16 to 24 channels, 49 frames, cortex-m4", "instructions a MAC", 1.2,
               round(instructions / macs, 3))  # fmt: skip


def ds_cnn(folder: Path, flags: Sequence[str]) -> Iterator[Goal]:
    """MLPerf Tiny's keyword spotter, one block of it, operator by operator; one that is fused goes with the next."""
    nodes = [
        Input("input", (), 49 * 10), Reshape("plane", ("input",), (49, 10, 1)),
        Conv2D("conv", ("plane",), "conv", bias=vector(64), stride=(2, 2)), Activation("relu", ("conv",), "relu"),
        Conv2D("depthwise", ("relu",), "depthwise", bias=vector(64), depthwise=True),
        Activation("relu_1", ("depthwise",), "relu"),
        Conv2D("pointwise", ("relu_1",), "pointwise", bias=vector(64)), Activation("relu_2", ("pointwise",), "relu"),
        AvgPool("pool", ("relu_2",), (25, 5), (25, 5)), Reshape("flat", ("pool",), (64,)),
        Dense("dense", ("flat",), "dense", bias=vector(12)), Softmax("softmax", ("dense",)),
    ]  # fmt: skip
    weights = {"conv": weight(10, 4, 1, 64), "depthwise": weight(3, 3, 64), "pointwise": weight(1, 1, 64, 64),
               "dense": weight(64, 12)}  # fmt: skip
    pending, names, whole, whole_peer = 0, [], 0, 0
    peers = iter(DS_CNN.items())
    for count, row in operators(folder / "ds_cnn", nodes, weights, flags):
        if row["operator"] == "RESHAPE":
            continue
        name, peer = next(peers)
        pending, names = pending + peer, [*names, name]
        if count is not None:
            yield Goal(f"DS-CNN: {' and '.join(names)}, cortex-m4", "instructions", pending, count, pending)
            times = 4 if any("wise" in name for name in names) else 1  # the network has four such blocks
            whole, whole_peer = whole + times * count, whole_peer + times * pending
            pending, names = 0, []
    yield Goal("DS-CNN: the network of these operators, cortex-m4", "instructions", whole_peer, whole, whole_peer)


def application(folder: Path, flags: Sequence[str]) -> Iterator[Goal]:
    """Front end, detector and a model of 1,426 parameters."""
    sources = folder / "application"
    write_c(GOLDEN / "sep14_s2.tflite", sources, labels=LABELS)
    for name, text in (emit_frontend(MFCC, 50) | emit_detector(LABELS)).items():
        (sources / name).write_text(text, encoding="utf-8")
    report = measure(sources, "cortex-m4", flags=flags)
    yield Goal("MFCC frame, 20 ms, 256 points, 32 bands, 13 coefficients, cortex-m4", "instructions", 12_000,
               report.frame.instructions)  # fmt: skip
    yield Goal("flash: front end, detector, 1,426 parameters, cortex-m4", "bytes", 16_384, report.footprint.flash)
    yield Goal("RAM: the same, stack counted, cortex-m4", "bytes", 8_192, report.ram)


def operators(
    folder: Path, nodes: Sequence[Node], weights: dict[str, np.ndarray], flags: Sequence[str]
) -> list[tuple[int | None, dict]]:
    """Export a graph, write its C, count it: each operator's instructions (None: fused into a later one) and row."""
    folder.mkdir()
    graph = Graph(tuple(nodes), weights, LABELS)
    path = folder / "model.tflite"
    calibration = np.random.default_rng(1).normal(size=(50, graph.input.size)).astype(np.float32)
    convert([TFLiteJob(graph, int8_path=path, calibration=calibration)])
    write_c(path, folder / "c", labels=LABELS)
    (call,) = count_folder(folder / "c", "cortex-m4", flags=flags, clips=clip(graph.input.size))
    counted = {segment.index: segment.instructions for segment in call.segments if segment.kind == OPERATOR}
    return [(counted.get(index), row) for index, row in sorted(read_operators(folder / "c").items())]


def weight(*shape: int) -> np.ndarray:
    """Random, the same each time."""
    return (np.random.default_rng(sum(shape)).normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)


def vector(size: int) -> np.ndarray:
    """A bias."""
    return np.random.default_rng(size).normal(0, 0.3, size).astype(np.float32)


def clip(size: int) -> bytes:
    """int8 features, random, the same each time."""
    return np.random.default_rng(0).integers(-128, 128, size).astype(np.int8).tobytes()


def main() -> None:
    """Print every goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flags", default=" ".join(FLAGS), help="of the compiler")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--readme", type=Path, help="also put the table between this file's device markers")
    given = parser.parse_args()
    flags, goals = given.flags.split(), []
    print(f"{version(GCC)}, {given.flags}; {version(QEMU)}\n")
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        for part in (golden, reference_convolution, ds_cnn, application):
            for found in part(Path(name), flags):
                goal = replace(found, peer=found.peer or PEERS.get(found.name))
                goals.append(goal)
                state = "reached" if goal.reached else f"missed by {goal.measured / goal.bound - 1:.0%}"
                print(
                    f"{goal.name:72s} {goal.measured:>12,} {goal.unit:26s} goal {goal.bound:>10,}  {state}", flush=True
                )
    print(f"\n{sum(goal.reached for goal in goals)} of {len(goals)} reached")
    if given.json:
        rows = [{**asdict(goal), "reached": goal.reached} for goal in goals]
        given.json.write_text(
            json.dumps({"compiler": version(GCC), "flags": given.flags, "goals": rows}, indent=2) + "\n"
        )
    if given.readme:
        before, _, rest = given.readme.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        given.readme.write_text(f"{before}{BEGIN}\n{table(goals, given.flags)}\n{END}{after}", encoding="utf-8")


def table(goals: Sequence[Goal], flags: str) -> str:
    """The goals as Markdown."""
    lines = [f"Counted in QEMU, GCC {flags}; the peer is TensorFlow Lite Micro with CMSIS-NN.", ""]
    lines += ["| what | measured | goal | peer |", "|---|---:|---:|---:|"]
    for goal in goals:
        peer = "" if goal.peer is None else f"{goal.peer:,}"
        lines.append(f"| {goal.name}, {goal.unit} | {goal.measured:,} | {goal.bound:,} | {peer} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except KwsDendriteError as error:
        sys.exit(f"error: {error}")
