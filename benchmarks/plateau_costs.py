"""What "plateau" dendrites cost on a device: instructions of one inference, counted in QEMU, beside plain nets.

    python benchmarks/plateau_costs.py [--sizes 700,1400,2300] [--taps 5,9,17] [--cores cortex-m3,cortex-m4,cortex-m55]

At each size of folded parameters the study's own nets: the plain one, and the narrower one whose convolutions all have
a plateau. Weights are random: counts hardly depend on them. The last column is the dendrites' share of the whole:
what the same net takes less without them.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kws_dendrite.dendrites import DendriteConfig, attach, fresh_choices, insert
from kws_dendrite.errors import KwsDendriteError
from kws_dendrite.export.benchmark.count import count_folder
from kws_dendrite.export.c import write_c
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.fold import fold
from kws_dendrite.models import SeparableConfig, build_model
from kws_dendrite.plain import Graph
from kws_dendrite.study.sizes import fit, layout

FRAMES, BANDS, CLASSES, CLIPS = 49, 24, 12, 24


def plateau(taps: int) -> DendriteConfig:
    """On every convolution."""
    return DendriteConfig(mode="gradient", kind="plateau", layers="conv", taps=taps, insertion="start")


def folded(config: SeparableConfig, growth: DendriteConfig | None = None) -> Graph:
    """The net with random weights, its dendrites inserted."""
    generator = torch.Generator().manual_seed(0)
    model = build_model(config, 1, 0)
    x = torch.randn(CLIPS, FRAMES, BANDS, generator=generator)
    if growth is not None:
        attach(model, growth)
        insert(model, fresh_choices(model, x, growth, 0))
    with torch.no_grad():  # neurons' strengths and biases as training leaves them: not 0
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return fold(model.eval())


def nets(size: int, taps: Sequence[int]) -> dict[tuple[str, int], Graph]:
    """("plain", 0), ("bare", 0) and ("plateau", taps) at a size; bare is the narrower net without its dendrites."""

    def make(channels: int) -> SeparableConfig:
        return SeparableConfig(FRAMES, BANDS, CLASSES, channels=channels, **layout(size))

    narrow = fit(size, make, plateau(taps[0])).architecture
    made = {("plain", 0): folded(fit(size, make).architecture), ("bare", 0): folded(narrow)}
    return made | {("plateau", window): folded(narrow, plateau(window)) for window in taps}


def count(graphs: dict[tuple[str, int], Graph], cores: Sequence[str], folder: Path) -> dict[tuple[str, int, str], int]:
    """(net, taps, core) -> instructions."""
    features = np.random.default_rng(0).normal(size=(CLIPS, FRAMES * BANDS)).astype(np.float32)
    files = {key: folder / f"{index}.tflite" for index, key in enumerate(graphs)}
    convert([TFLiteJob(graph, int8_path=files[key], calibration=features) for key, graph in graphs.items()])
    counted = {}
    for key, path in files.items():
        write_c(path, folder / path.stem)
        for core in cores:
            (call,) = count_folder(folder / path.stem, core)
            counted[(*key, core)] = call.instructions
    return counted


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="700,1400,2300")
    parser.add_argument("--taps", default="5,9,17")
    parser.add_argument("--cores", default="cortex-m3,cortex-m4,cortex-m55")
    given = parser.parse_args()
    taps, cores = [int(text) for text in given.taps.split(",")], given.cores.split(",")
    columns = ["core", "parameters", "plain", *(f"plateaus of {window}" for window in taps), "their share"]
    print("| " + " | ".join(columns) + " |")
    print("|---|---:|---:|" + "---:|" * (len(taps) + 1))
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        for size in map(int, given.sizes.split(",")):
            folder = Path(name) / str(size)
            folder.mkdir()
            counted = count(nets(size, taps), cores, folder)
            for core in cores:
                row = [counted["plain", 0, core], *(counted["plateau", window, core] for window in taps)]
                share = 1 - counted["bare", 0, core] / row[-1]
                print(f"| {core} | {size:,} | " + " | ".join(f"{value:,}" for value in row) + f" | {share:.0%} |")


if __name__ == "__main__":
    try:
        main()
    except KwsDendriteError as error:
        sys.exit(f"error: {error}")
