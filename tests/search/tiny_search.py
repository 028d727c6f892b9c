"""A small search whose trials take no time: what training finds is a hash of what was drawn."""

import hashlib
import itertools
import json
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.data import FeatureBank
from kws_dendrite.search import Choice, Range, Search, SearchConfig, Space
from kws_dendrite.search import hand as hand_module
from kws_dendrite.search.points import Point
from kws_dendrite.search.trial import Outcome
from kws_dendrite.training.config import TrainConfig

SPACE = Space(
    families={
        "separable": {
            "stride": Choice((1, 2)),
            "kernel": Choice((1, 3)),
            "layout": Choice(("once", "twice")),
            "channels": Range(2, 4, log=True),
        }
    },
    train={"learning_rate": Range(0.01, 0.06, log=True)},
    dendrites={
        "layers": Choice(("head", "conv", "all")),
        "activation": Choice(("relu", "tanh")),
        "dendrites": Range(1, 2),
        "candidate_epochs": Choice((2,)),
    },
)
CONFIG = SearchConfig(trials=3, arms=("plain", "gradient"), members=1, train=TrainConfig(epochs=8), seed=3)
SHARED = ("separable.layout", "separable.channels", "separable.kernel", "separable.stride", "train.learning_rate")


def bank(frames: int = 12, coefficients: int = 4, clips: int = 24) -> FeatureBank:
    """Three classes that differ in one coefficient."""
    rng = np.random.default_rng(1)
    labels = np.arange(clips) % 3
    features = rng.standard_normal((clips, frames, coefficients)).astype(np.float32)
    features[np.arange(clips), :, labels] += 1
    return FeatureBank(
        features[None], labels, features, labels, ("a", "b", "c"), {"block": "logmel"},
        {"name": "made up", "digest": "0123", "task": {"unknown": True}, "augmentation": {"copies": 0}},
    )  # fmt: skip


def search(folder, config=CONFIG, data=None, space=SPACE, **settings) -> Search:
    return Search(folder, data or bank(), config, space, **settings)


def timeless(results) -> list:
    """Without what two runs of the same search differ in."""
    same = {"seconds": 0.0, "started": None, "ended": None, "worker": None, "tries": 1}
    return [replace(r, **same, curve=tuple({**entry, "seconds": 0.0} for entry in r.curve)) for r in results]


def hashed(proposal, members: int, seed: int) -> Outcome:
    """A point for each number of dendrites; accuracies out of a hash."""
    text = json.dumps([proposal.to_json(), members, seed], sort_keys=True)
    grown = proposal.growth.dendrites if proposal.growth else 0
    points = []
    for dendrites in range(grown + 1):
        digest = hashlib.sha256(f"{text} {dendrites}".encode()).hexdigest()
        accuracy = int(digest[:4], 16) / 0xFFFF
        parameters = 100 + int(digest[4:7], 16) * (1 + dendrites)
        growth = {**proposal.to_json()["growth"], "dendrites": dendrites} if dendrites else None
        costs = {"parameters": parameters, "macs": 10 * parameters}
        points.append(
            Point(dendrites, accuracy, (accuracy,) * members, (1 - accuracy,) * members, parameters, 10 * parameters,
                  float(parameters), 8, costs, growth, 0 if dendrites else 1)
        )  # fmt: skip
    entry = {"epoch": 0, "phase": "cycle 1", "validation_loss": [0.5], "validation_accuracy": [0.5]}
    return Outcome("complete", points=tuple(points), curve=(entry,), planned=1)


def hashed_trial(proposal, bank, members, seed, objective, limits=None, **settings) -> Outcome:
    """Instead of `run_trial`."""
    return hashed(proposal, members, seed)


@dataclass(frozen=True)
class Opener:
    """Opens the search in a process of its own. Its trials take `seconds`; some of them end otherwise.

    Attributes:
        killed: which trials, of those begun by all processes together, are killed in the middle with their process.
        crashed: which end their process with a status of its own.
    """

    folder: Path
    config: SearchConfig = CONFIG
    seconds: float = 0.0
    killed: tuple[int, ...] = ()
    crashed: tuple[int, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()

    def __call__(self) -> Search:
        """The search."""

        def trial(proposal, bank, members, seed, objective, limits=None, **settings) -> Outcome:
            number = self.begin()
            time.sleep(self.seconds / 2)
            if number in self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            if number in self.crashed:
                os._exit(3)
            time.sleep(self.seconds / 2)
            return hashed(proposal, members, seed)

        hand_module.run_trial = trial
        return search(self.folder, self.config, **dict(self.settings))

    def begin(self) -> int:
        """The number of this trial, counted over all processes by files."""
        for number in itertools.count(1):
            try:
                (self.folder / f"begun-{number}").open("x").close()
            except FileExistsError:
                continue
            return number

    def begun(self, number: int) -> bool:
        """Whether that trial has begun."""
        return (self.folder / f"begun-{number}").exists()
