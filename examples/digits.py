"""Growing a small net on scikit-learn's handwritten digits: 1,797 of 8 x 8 pixels, no download, two minutes.

    python examples/digits.py [--seeds 10] [--width 8] [--epochs 60]

Each seed splits the digits anew: half to train, a quarter to validate, a quarter to test.
"""

import argparse

import numpy as np
import torch
from comparison import Data, Schedule, compare
from torch import nn

from kws_dendrite.errors import DataError


def load() -> tuple[torch.Tensor, torch.Tensor]:
    """(1797, 64) in [0, 1], (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("the digits come with scikit-learn: pip install scikit-learn") from error
    digits = load_digits()
    return torch.from_numpy(digits.data / 16).float(), torch.from_numpy(digits.target.astype(np.int64))


class Splitter:
    """seed -> half, a quarter, a quarter, in an order of the seed's own."""

    def __init__(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __call__(self, seed: int) -> Data:
        order = torch.randperm(len(self.inputs), generator=torch.Generator().manual_seed(1000 + seed))
        half, quarter = len(order) // 2, len(order) // 4
        parts = order.split([half, quarter, len(order) - half - quarter])
        return Data(*((self.inputs[part], self.labels[part]) for part in parts))


def net(width: int) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=60)
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # the nets are too small for more
    schedule = Schedule(epochs=chosen.epochs)
    print(compare(Splitter(*load()), net, chosen.width, chosen.seeds, ("gradient", "growth"), schedule))


if __name__ == "__main__":
    main()
