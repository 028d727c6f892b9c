"""Processor time of an epoch of a candidate phase beside a plain training epoch, the two families of the search.

    python benchmarks/candidate_phases.py [--rounds 3] [--epochs 2] [--clips 1299] [--profile]

Paper: the 3 x 3 net of 4, 8 and 8 channels on 49 x 13, one member, batches of 32. Separable: 20 channels on 49 x 24,
two uses of one block, five members, batches of 128. Features are random: time does not depend on what is heard. Rows
are run in turns and the least of the rounds counts; one thread. `--profile` shows where each row's time goes.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from kws_dendrite.data import FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.places import attach
from kws_dendrite.dendrites.pool import draw_pools, train_pools
from kws_dendrite.models import ModelConfig, PaperConfig, SeparableConfig, build_model
from kws_dendrite.models.kernels.library import load
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import train_cycle
from kws_dendrite.training.targets import cross_entropy

T = 49
SETTINGS = {
    "copy": {},
    "copy, partial": {"objective": "partial"},
    "copy, gain": {"objective": "gain"},
    "lean, hard tanh": {"kind": "lean", "activation": "hard_tanh"},
    "any": {"mode": "growth", "kind": "any"},
}
FAMILIES: dict[str, tuple[ModelConfig, int, TrainConfig]] = {
    "paper": (PaperConfig(T, 13, 3), 1, TrainConfig(batch_size=32, learning_rate=0.01, warmup_epochs=0)),
    "separable": (SeparableConfig(T, 24, 12, channels=20, blocks=(0, 0), dilations=(1, 3)), 5, TrainConfig()),
}


def random_bank(clips: int, coefficients: int, classes: int) -> FeatureBank:
    """A bank of one copy of `clips` clips; eight to validate on, so that a plain epoch is its training alone."""
    random = np.random.default_rng(0)
    return FeatureBank(
        random.normal(size=(1, clips, T, coefficients)).astype(np.float16),
        np.arange(clips, dtype=np.int64) % classes,
        random.normal(size=(8, T, coefficients)).astype(np.float32),
        np.arange(8, dtype=np.int64) % classes,
        tuple(f"word {k}" for k in range(classes)),
        {},
        {},
    )


def plain(family: str, clips: int, epochs: int) -> float:
    """Processor seconds of an epoch of `train_cycle`."""
    config, members, recipe = FAMILIES[family]
    bank = random_bank(clips, config.coefficients, config.classes)
    model = build_model(config, members)
    recipe = TrainConfig(**{**vars(recipe), "epochs": epochs})
    start = time.process_time()
    train_cycle(model, bank, recipe, 0, phase="plain")
    return (time.process_time() - start) / epochs


def candidates(family: str, settings: dict[str, object], clips: int, epochs: int) -> float:
    """Processor seconds of an epoch of `train_pools`."""
    config, members, recipe = FAMILIES[family]
    growth = DendriteConfig(**{"mode": "perforated", **settings})
    bank = random_bank(clips, config.coefficients, config.classes)
    model = build_model(config, members)
    attach(model, growth)
    batches = PopulationBatches(bank, recipe, members, 0)
    features, _ = next(batches.epoch())
    pools = draw_pools(model, features, growth, 0, growth.candidates)
    start = time.process_time()
    train_pools(model, pools, (batches.epoch() for _ in range(epochs)), growth, cross_entropy)
    return (time.process_time() - start) / epochs


def main() -> None:
    """Parse the command line, run every row in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--clips", type=int, default=1299)
    parser.add_argument("--only", default="", help="settings, with semicolons between")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = options.only.split(";") if options.only else list(SETTINGS)
    runs: dict[tuple[str, str], Callable[[], float]] = {}
    for family in FAMILIES:
        runs[family, "plain epoch"] = lambda f=family: plain(f, options.clips, options.epochs)
        for name in wanted:
            settings = SETTINGS[name]
            runs[family, name] = lambda f=family, s=settings: candidates(f, s, options.clips, options.epochs)
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(options.rounds):
        for key, run in runs.items():
            best[key] = min(best[key], run())
    print(f"{options.clips} clips, least of {options.rounds} rounds; kernels {bool(load())}")
    for (family, name), seconds in best.items():
        ratio = seconds / best[family, "plain epoch"]
        print(f"{family:10} {name:18} {seconds * 1e3:8.0f} ms   {ratio:5.1f} plain epochs")
    if options.profile:
        for (family, name), run in runs.items():
            with torch.profiler.profile() as found:
                run()
            print(f"\n{family}, {name}")
            print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=22, max_name_column_width=40))


if __name__ == "__main__":
    main()
