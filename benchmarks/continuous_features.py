"""What Edge Impulse's continuous mode costs in accuracy on real clips, and what wins it back.

    python benchmarks/continuous_features.py train --data SPEECH_COMMANDS --work FOLDER --cache FOLDER
    python benchmarks/continuous_features.py report --work FOLDER --out docs

`train` fits one net a recipe, P seeds, and scores it on the validation clips four ways; `report` writes
continuous_mode.md. The seeds of all recipes are the same, so differences are paired. The test partition is not read.

A window is heard "in step" when it is the clip, "off step" when it begins up to half a slice before or after: a stream
is classified at the end of each slice, so that is where the window nearest to a word lies.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kws_dendrite.data import AugmentConfig, Dataset, Signals, TaskConfig, build_bank, load_dataset, read_signals
from kws_dendrite.evaluation import paired_difference, t_interval
from kws_dendrite.fold import fold
from kws_dendrite.frontend import FeatureCache, MfccConfig, extract
from kws_dendrite.frontend.continuous import SLICES, draw_offsets, extract_continuous, hear_off_step
from kws_dendrite.models import EdgeImpulse1dConfig, SeparableConfig, build_model
from kws_dendrite.output import write_json, write_text
from kws_dendrite.plain import cost
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import predict

MEMBERS, SEED, EPOCHS, COPIES = 5, 0, 30, 2
OFFSETS, OFFSET_SEED = 4, 31  # windows a clip off step; another seed than training's
MFCC = MfccConfig()
T, F, K = 50, 13, 12
NETS = {
    # Studio's own net and its Adam of 5e-3
    "edge_impulse_1d": (
        EdgeImpulse1dConfig(T, F, K),
        {"learning_rate": 0.005, "weight_decay": 0.0, "label_smoothing": 0.0},
    ),
    "separable": (SeparableConfig(T, F, K, channels=20, blocks=(0, 0), dilations=(1, 3)), {}),
}


@dataclass(frozen=True)
class Recipe:
    """Attributes:
    name: of its file.
    title: in the table.
    augment, train: what is not as the default.
    """

    name: str
    title: str
    augment: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)


CONTROL, USUAL = "recorded", "usual"
STILL = {"speed": (1.0, 1.0), "gain_db": (0.0, 0.0), "noise_probability": 0.0, "shift_ms": 0.0}  # nothing moves
RECIPES = (
    Recipe(CONTROL, "clips as recorded", {"copies": 0}, {"shift_frames": 0}),
    Recipe("heard", "and copies as continuous mode hears them", {**STILL, "continuous": 1.0}, {"shift_frames": 0}),
    Recipe(USUAL, "the default augmentation"),
    Recipe("both", "and half of the copies as continuous mode hears them", {"continuous": 0.5}),
)
TITLES = {recipe.name: recipe.title for recipe in RECIPES}


def conditions(signals: Signals) -> dict[str, np.ndarray]:
    """Validation features (draws, N, T, F): the clip, its window as continuous mode has it, and both off step."""
    N, window = signals.samples.shape
    random = np.random.default_rng(OFFSET_SEED)
    found = {
        "clip": [extract(signals.samples, MFCC)],
        "sliced": [extract_continuous(signals.samples, MFCC, window)],
        "off": [],
        "sliced_off": [],
    }
    for _ in range(OFFSETS):
        heard = hear_off_step(signals.samples, draw_offsets(N, window, random))
        found["off"].append(extract(heard, MFCC))
        found["sliced_off"].append(extract_continuous(heard, MFCC, window))
    return {name: np.stack(features) for name, features in found.items()}


def fit(
    net: str, recipe: Recipe, dataset: Dataset, scored: dict[str, np.ndarray], arguments: argparse.Namespace
) -> None:
    """Train, score, store."""
    augment = AugmentConfig(**{"copies": COPIES, **recipe.augment})
    bank = build_bank(dataset, MFCC, augment, FeatureCache(arguments.cache))
    architecture, settings = NETS[net]
    config = TrainConfig(epochs=arguments.epochs, **settings, **recipe.train)
    start = time.perf_counter()
    result = train(build_model(architecture, MEMBERS, SEED), bank, config, seed=SEED)
    if result.interrupted:
        sys.exit(130)
    labels = torch.from_numpy(bank.validation_labels)
    accuracy = {}
    for name, draws in scored.items():
        right = [(predict(result.model, torch.from_numpy(one)).argmax(-1) == labels).float().mean(1) for one in draws]
        accuracy[name] = torch.stack(right).mean(0).tolist()
    value = {
        "net": net,
        **asdict(recipe),
        "epochs": arguments.epochs,
        "copies": augment.copies,
        "members": MEMBERS,
        "clips": len(bank.validation_labels),
        "parameters": cost(fold(result.model, 0)).parameters,
        "seconds": round(time.perf_counter() - start, 1),
        "accuracy": accuracy,
    }
    write_json(arguments.work / f"{net}-{recipe.name}.json", value)
    print(net, recipe.name, {name: round(float(np.mean(values)), 4) for name, values in accuracy.items()}, flush=True)


def feature_differences(signals: np.ndarray) -> dict[str, float]:
    """How far continuous features are from the clip's own, over clips (N, S)."""
    far = np.abs(extract_continuous(signals, MFCC, signals.shape[1]) - extract(signals, MFCC))
    return {"mean": float(far.mean()), "p99": float(np.quantile(far, 0.99)), "max": float(far.max())}


def train_all(arguments: argparse.Namespace) -> None:
    """Every recipe of every net that is not finished."""
    dataset = load_dataset(arguments.data, TaskConfig())
    signals = read_signals(dataset, "validation")
    write_json(arguments.work / "features.json", feature_differences(signals.samples))
    scored = conditions(signals)
    for recipe in RECIPES:
        for net in NETS:
            if not (arguments.work / f"{net}-{recipe.name}.json").exists():
                fit(net, recipe, dataset, scored, arguments)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("train", "report"))
    parser.add_argument("--data", type=Path, help="a Speech Commands folder; `report` needs none")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("kws_cache"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.stage == "report":
        report(arguments.work, arguments.out)
        return
    if arguments.data is None:
        parser.error("train needs --data")
    train_all(arguments)


def report(work: Path, out: Path) -> None:
    """continuous_mode.md and results/continuous/results.json, of what is finished."""
    results = [
        json.loads(path.read_text())
        for net in NETS
        for recipe in RECIPES
        if (path := work / f"{net}-{recipe.name}.json").exists()
    ]
    if not results:
        sys.exit(f"error: {work} holds no results; run train first")
    features = json.loads((work / "features.json").read_text())
    write_json(out / "results" / "continuous" / "results.json", {"features": features, "nets": results})
    write_text(out / "continuous_mode.md", page(features, results))


HEAD = """# Continuous mode

`run_classifier_continuous` of Edge Impulse's SDK hears a stream slice by slice ({slices} slices a window unless told
otherwise) and decides at the end of every slice. Its MFCC are not quite those of one clip, which training and Studio's
own test see. `kws_dendrite.frontend.continuous` computes them exactly, slice by slice (`ContinuousMfcc`) and for many
clips at once (`extract_continuous`):

* pre-emphasis wraps inside every slice: its first sample sees its last one, where a clip wraps once;
* frames lie on one grid for the whole stream, and a frame that spans two slices is put together from both;
* a frame that is no whole number of samples loses frames between slices (the device truncates where a clip rounds up);
  a `frame_stride` above `frame_length` is refused;
* mean and variance are normalised over the assembled window, anew at every slice.

And a word does not begin where a window does: it lies up to half a slice off in the window that fits it best.

## What it costs, and what wins it back

{clips} validation clips of real speech (12 classes, MFCC of 50 x 13, {epochs} epochs, {copies} augmented copies); means
over P = {members} seeds with 95 % t intervals; differences in points of accuracy are paired by seed. "Off step" is a
window that begins up to half a slice ({half} ms) before or after the clip, {offsets} draws a clip; what the clip lacks
there is its own edge, mirrored. Of each training the epoch with the least validation loss on the clips themselves is
kept, which favours the first column a little. The test partition was not read.

"""
TAIL = """
Made by

    python benchmarks/continuous_features.py train --data data/speech_commands_v0.02 --work FOLDER --cache FOLDER
    python benchmarks/continuous_features.py report --work FOLDER --out docs

The augmentation is a switch of the feature bank: with `AugmentConfig(continuous=0.5)` half of the augmented clips are
heard as on the device, up to half a slice off step and slice by slice. Left out of this measurement: Studio's
post-processing of scores over time, and other speech before and after a word.
"""


def page(features: dict[str, float], results: list[dict]) -> str:
    """The whole page."""
    first = results[0]
    text = HEAD.format(
        slices=SLICES, clips=f"{first['clips']:,}", epochs=first["epochs"], copies=COPIES, members=first["members"],
        half=1000 // SLICES // 2, offsets=OFFSETS,
    )  # fmt: skip
    lines = [
        f"Features of the same clips differ by {features['mean']:.3f} in the mean, by {features['p99']:.2f} or more in",
        f"one value of a hundred and by {features['max']:.1f} at most: three frames of fifty hold a slice's first",
        "sample, and the window's mean and deviation take them in. A model's int8 step is some 0.03.\n",
    ]
    for net in dict.fromkeys(result["net"] for result in results):
        lines += _net(net, [result for result in results if result["net"] == net])
    return text + "\n".join(lines) + TAIL


def _net(net: str, results: list[dict]) -> list[str]:
    """Two tables of one net."""
    lines = [
        f"### {net}, {results[0]['parameters']:,} parameters\n",
        "| training | the clip, one shot % | in step, continuous | off step, one shot | off step, continuous |",
        "|---|---:|---:|---:|---:|",
    ]
    for result in results:
        clip = result["accuracy"]["clip"]
        cells = [_difference(result["accuracy"][name], clip) for name in ("sliced", "off", "sliced_off")]
        low, high = t_interval(np.array(clip) * 100)
        lines.append(
            f"| {TITLES[result['name']]} | {np.mean(clip) * 100:.1f} [{low:.1f}, {high:.1f}] | {' | '.join(cells)} |"
        )
    by_name = {result["name"]: result for result in results}
    lines += [
        "\nGained by training, off step and continuous, which is what a device hears:\n",
        "| training | accuracy % | over clips as recorded | over the default augmentation |",
        "|---|---:|---:|---:|",
    ]
    for result in results:
        heard = result["accuracy"]["sliced_off"]
        cells = [
            _difference(heard, by_name[name]["accuracy"]["sliced_off"])
            if name in by_name and name != result["name"] and not (name == USUAL and result["name"] == CONTROL)
            else ""
            for name in (CONTROL, USUAL)
        ]
        low, high = t_interval(np.array(heard) * 100)
        lines.append(
            f"| {TITLES[result['name']]} | {np.mean(heard) * 100:.1f} [{low:.1f}, {high:.1f}] | {' | '.join(cells)} |"
        )
    return [*lines, "", *_in_words(by_name), ""]


def _in_words(by_name: dict[str, dict]) -> list[str]:
    """What the loss is without and with copies as heard, and whether the gain can be told from none."""
    lines = []
    for plain, heard in ((CONTROL, "heard"), (USUAL, "both")):
        if plain in by_name and heard in by_name:
            (before, after), scores = (
                [np.array(by_name[name]["accuracy"]["sliced_off"]) for name in (plain, heard)],
                [np.array(by_name[name]["accuracy"]["clip"]) for name in (plain, heard)],
            )
            lost = [100 * float((clip - off).mean()) for clip, off in zip(scores, (before, after), strict=True)]
            low, high = paired_difference(100 * after, 100 * before).interval
            told = "above 0" if low > 0 else "below 0" if high < 0 else "not to be told from 0"
            title = TITLES[plain][0].upper() + TITLES[plain][1:]
            gain = 100 * float((after - before).mean())
            lines.append(
                f"* {title}: {lost[0]:.2f} points lost to continuous mode; with copies as heard {lost[1]:.2f}.\n"
                f"  What the device hears gains {gain:+.2f} [{low:+.2f}, {high:+.2f}]: {told}."
            )
    return lines


def _difference(first: list[float], second: list[float]) -> str:
    difference = paired_difference(np.array(first) * 100, np.array(second) * 100)
    low, high = difference.interval
    return f"{difference.mean:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    main()
