"""How fast trials are trained, with peers beside them in one run, and how fast a whole search of the paper's space is.

    python benchmarks/search_speed.py peers --data SPEECH_COMMANDS --work FOLDER [--peer-python VENV/bin/python]
    python benchmarks/search_speed.py sweep --data SPEECH_COMMANDS --work FOLDER [--sweep 800] [--workers 2]
    python benchmarks/search_speed.py workers --data SPEECH_COMMANDS --work FOLDER [--sweep 30]

`peers`: at equal architecture, data (1,299 clips of three words), epochs and batch size, this project's training beside
the loop that perforatedai 3.2.9 prescribes (its open gradient mode, in an environment of its own: --peer-python, or
--install to make one in FOLDER) and beside a plain PyTorch DataLoader loop. `sweep`: `kws-dendrite search --space
paper`; the same command goes on with one that was stopped, its time is the sum of the parts. `workers`: the same small
search with one worker and with two. --data demo takes the built-in clips, repeated. Every figure is on the clock and of
processor time; one thread a process. Results are printed, and written to FOLDER/<part>.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from search_speed_data import exact_bank, three_words
from search_speed_nets import PaperNet, SeparableNet, TimedSplit
from search_speed_sweep import sweep, workers
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from kws_dendrite.data import FeatureBank
from kws_dendrite.data.demo import demo_folder
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.models import ModelConfig, PaperConfig, SeparableConfig, build_model, parameter_count
from kws_dendrite.models.kernels.library import load
from kws_dendrite.output import write_json
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import share_epochs, train
from kws_dendrite.training.rates import MemberAdamW, Rates, repeated

HERE = Path(__file__).parent
PACKAGE = "perforatedai==3.2.9"
K, T, BANDS = 3, 49, 24


@dataclass(frozen=True)
class Row:
    """Attributes:
    name: what was trained, and by whom.
    trials: trained side by side.
    seeds: of each trial.
    epochs: of each.
    wall, cpu: seconds of all of it together.
    """

    name: str
    trials: int
    seeds: int
    epochs: int
    wall: float
    cpu: float

    @property
    def seed_epoch(self) -> float:
        """Processor seconds an epoch of one seed."""
        return self.cpu / (self.trials * self.seeds * self.epochs)

    @property
    def trials_an_hour(self) -> float:
        """By processor time, at this many epochs."""
        return 3600 * self.trials / self.cpu


def main() -> None:
    """Parse the command line and run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("peers", "sweep", "workers"))
    parser.add_argument("--data", default="demo", help="a folder with a folder a word, or demo")
    parser.add_argument("--words", default="", help="three, with commas between")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10, help="of a trial in `peers`")
    parser.add_argument("--rounds", type=int, default=3, help="of every row in `peers`, in turns; the least counts")
    parser.add_argument("--peer-python", type=Path, help=f"of an environment with {PACKAGE}")
    parser.add_argument("--install", action="store_true", help="make that environment in the work folder")
    parser.add_argument("--sweep", type=int, help="trials in all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--search", nargs=argparse.REMAINDER, default=[], help="more options of kws-dendrite search")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    options.work.mkdir(parents=True, exist_ok=True)
    source = demo_folder() if options.data == "demo" else Path(options.data)
    words = tuple(options.words.split(",")) if options.words else default_words(source)
    data = three_words(source, words, options.work / "data" / "-".join(words))
    if options.part == "peers":
        found = peers(data, options)
    elif options.part == "sweep":
        found = sweep(data, options.work, options.sweep or 800, options.workers, options.search)
    else:
        found = workers(data, options.work, options.sweep or 30, options.search)
    write_json(options.work / f"{options.part}.json", found)


def default_words(folder: Path) -> tuple[str, ...]:
    """Yes, no and up, or else the folder's first three."""
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("_"))
    usual = ("yes", "no", "up")
    return usual if set(usual) <= set(there) else tuple(there[:3])


def peers(data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Every row in turns; the table and the ratios."""
    bank = exact_bank(str(data), options.work / "cache")
    E, python = options.epochs, options.peer_python
    if options.install:
        python = make_environment(options.work / "peer")
    runs: dict[str, Callable[[], Row]] = {}
    if python:
        runs["package"] = lambda: run_package(python, bank, options)
    dendritic = DendriteConfig(mode="gradient", layers="all", dendrites=1)
    _, frames, coefficients = bank.validation.shape
    paper = PaperConfig(frames, coefficients, K)
    recipe = TrainConfig(
        epochs=E, batch_size=32, learning_rate=0.01, weight_decay=0.0, label_smoothing=0.0, warmup_epochs=0
    )
    grown = share_epochs(recipe, E, dendritic)
    runs["grown"] = lambda: ours("paper, gradient dendrites, ours", paper, bank, grown, 1, growth=dendritic)
    runs["paper loop"] = lambda: loop("paper, DataLoader loop", PaperNet(frames, coefficients, K), bank, 32, E)
    for P in (1, 2, 5):
        runs[f"paper {P}"] = lambda P=P: ours("paper, ours", paper, bank, recipe, P)
    runs["paper 4x2"] = lambda: ours("paper, ours, companions", paper, bank, recipe, 2, trials=4)
    wide = wider(bank)
    separable = SeparableConfig(T, BANDS, 12, channels=20, blocks=(0, 0), dilations=(1, 3))
    usual = TrainConfig(epochs=E)
    runs["default loop"] = lambda: loop("default net, DataLoader loop", SeparableNet(BANDS, 12), wide, 128, E)
    for P in (1, 2, 5):
        runs[f"default {P}"] = lambda P=P: ours("default net, ours", separable, wide, usual, P)
    best: dict[str, Row] = {}
    for _ in range(options.rounds):
        for key, run in runs.items():
            row = run()
            if key not in best or row.cpu < best[key].cpu:
                best[key] = row
    print(f"\n{len(bank.train_labels)} clips, {E} epochs; least of {options.rounds} rounds; kernels {bool(load())}")
    print(f"{'':34} trials seeds  wall s   cpu s  ms a seed and epoch   trials an hour")
    for row in best.values():
        print(
            f"{row.name:34} {row.trials:6} {row.seeds:5} {row.wall:7.2f} {row.cpu:7.2f} {row.seed_epoch * 1e3:20.1f} "
            f"{row.trials_an_hour:16.0f}"
        )
    ratios = {}
    if "package" in best:
        ratios["trials an hour against the package's loop"] = best["package"].cpu / best["grown"].cpu
    for net in ("paper", "default"):
        for P in (1, 2, 5):
            ratio = best[f"{net} loop"].seed_epoch / best[f"{net} {P}"].seed_epoch
            ratios[f"a seed of {P} against a DataLoader loop, {net} net"] = ratio
    ratios["four trials of two seeds at once against one after another"] = (
        best["paper 2"].seed_epoch / best["paper 4x2"].seed_epoch
    )
    for name, ratio in ratios.items():
        print(f"{name:60} {ratio:6.2f}")
    steps = {P: optimiser_steps(paper, P) for P in (1, 5, 50)}
    for P, (member, fused) in steps.items():
        print(
            f"AdamW step, paper net, {P} members: {member:.0f} us with rates of their own, {fused:.0f} us torch's fused"
        )
    sizes = {"paper": parameter_count(build_model(paper)), "default": parameter_count(build_model(separable))}
    return {
        "rows": [asdict(row) | {"seed_epoch": row.seed_epoch} for row in best.values()],
        "ratios": ratios,
        "parameters": sizes,
        "optimiser_microseconds": {P: {"member": member, "fused": fused} for P, (member, fused) in steps.items()},
        "torch": torch.__version__,
        "kernels": bool(load()),
        "rounds": options.rounds,
    }


def optimiser_steps(config: ModelConfig, members: int) -> tuple[float, float]:
    """Processor microseconds of a step and the forgetting of gradients: this project's AdamW, and torch's fused one."""
    model = build_model(config, members)
    member = MemberAdamW(model, TrainConfig(), Rates(learning_rate=tuple(0.001 * (p + 1) for p in range(members))))
    fused = torch.optim.AdamW(model.parameters(), fused=True)
    best = []
    for step, forget in ((lambda: member.step(0.5), member.zero_grad), (fused.step, fused.zero_grad)):
        least = float("inf")
        for _ in range(200):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 1e-3)
            start = time.process_time()
            step()
            forget()
            least = min(least, time.process_time() - start)
        best.append(least * 1e6)
    return best[0], best[1]


def wider(bank: FeatureBank) -> FeatureBank:
    """As many clips of random features of the default front end's shape and twelve classes: time does not depend on
    what is heard."""
    random = np.random.default_rng(0)
    N, M = len(bank.train_labels), len(bank.validation_labels)
    return replace(
        bank,
        train=random.normal(size=(1, N, T, BANDS)).astype(np.float16),
        train_labels=np.arange(N, dtype=np.int64) % 12,
        validation=random.normal(size=(M, T, BANDS)).astype(np.float32),
        validation_labels=np.arange(M, dtype=np.int64) % 12,
        labels=tuple("abcdefghijkl"),
    )


def ours(
    name: str,
    config: ModelConfig,
    bank: FeatureBank,
    recipe: TrainConfig,
    seeds: int,
    *,
    trials: int = 1,
    growth: DendriteConfig | None = None,
) -> Row:
    """This project's training, the model built and all."""
    epochs = recipe.epochs * (1 + (growth.dendrites if growth else 0))
    rates = None
    if trials > 1:
        each = [Rates(learning_rate=(recipe.learning_rate / (1 + k),)) for k in range(trials)]
        rates = repeated(each, seeds)
    with TimedSplit() as split:
        model = build_model(config, seeds * trials)
        result = train(model, bank, recipe, growth=growth, rates=rates)
    assert len(result.history) == epochs, "every row has the same epochs"
    return Row(name, trials, seeds, epochs, split.wall, split.cpu)


def loop(name: str, model: nn.Module, bank: FeatureBank, batch: int, epochs: int) -> Row:
    """The loop that one would write: a DataLoader without workers, AdamW, a cosine, validation every epoch."""
    features = TensorDataset(torch.from_numpy(bank.train[0]).float(), torch.from_numpy(bank.train_labels))
    held, labels = torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels)
    with TimedSplit() as split:
        loader = DataLoader(features, batch, shuffle=True, drop_last=True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
        for _ in range(epochs):
            model.train()
            for x, y in loader:
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            model.eval()
            with torch.no_grad():
                _ = (model(held).argmax(1) == labels).float().mean().item()
    return Row(name, 1, 1, epochs, split.wall, split.cpu)


def run_package(python: Path, bank: FeatureBank, options: argparse.Namespace) -> Row:
    """The package in a process and a folder of its own, where it leaves its files; import time is not counted."""
    features = options.work / "features.npz"
    np.savez(
        features,
        x=bank.train[0].astype(np.float32),
        y=bank.train_labels,
        validation=bank.validation,
        validation_labels=bank.validation_labels,
    )
    folder = options.work / "package"
    folder.mkdir(exist_ok=True)
    command = [
        str(python.absolute()),
        str(HERE / "search_speed_package.py"),
        str(features.absolute()),
        "--epochs",
        str(options.epochs),
        "--batch",
        "32",
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(HERE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the package's loop failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["epochs"] != options.epochs or found["restructured"] < 1:
        sys.exit(f"the package's loop ended with {found}; expected {options.epochs} epochs and a dendrite")
    whole, tracking = found["whole"], found["tracking"]
    print(f"package: {whole['cpu']:.2f} s, {tracking['cpu']:.2f} s of them in its tracker")
    return Row("paper, perforatedai's loop", 1, 1, found["epochs"], whole["wall"], whole["cpu"])


def make_environment(folder: Path) -> Path:
    """A virtual environment with the package and this environment's version of torch."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        version = torch.__version__.partition("+")[0]
        subprocess.run([str(python), "-m", "pip", "install", "-q", f"torch=={version}", PACKAGE], check=True)
    return python


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - start:.0f} s")
