"""Growing a small net on MNIST, where its four files are there: nothing is downloaded.

    python examples/mnist.py FOLDER [--seeds 5] [--width 8] [--epochs 12] [--clips 12000]

FOLDER holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, as
they are or with .gz. Each seed draws `--clips` of the training images, a sixth of them to validate; the test images are
MNIST's own.
"""

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from comparison import Data, Schedule, compare
from torch import Tensor, nn

from kws_dendrite.errors import DataError, KwsDendriteError

PIXELS = 28 * 28


def read(folder: Path, name: str) -> np.ndarray:
    """An IDX file of bytes: (N,) or (N, 28, 28).

    Raises:
        DataError: it is not there, or is none.
    """
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise DataError(f"{folder} has no {name} (or {name}.gz); put MNIST's four files there")
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    axes = raw[3] if len(raw) > 3 else 0
    shape = tuple(np.frombuffer(raw, ">i4", axes, 4)) if len(raw) >= 4 + 4 * axes else ()
    if raw[:3] != b"\x00\x00\x08" or len(raw) != 4 + 4 * axes + int(np.prod(shape)):
        raise DataError(f"{path} is no whole IDX file of bytes; get it again")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def load(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """(N, 784) in [0, 1], (N,) of "train" or "t10k"."""
    images, labels = read(folder, f"{part}-images-idx3-ubyte"), read(folder, f"{part}-labels-idx1-ubyte")
    if images.shape != (len(labels), 28, 28):
        raise DataError(f"{folder}: {part} has images {images.shape} for {len(labels)} labels; get both again")
    return torch.from_numpy(images.reshape(-1, PIXELS) / np.float32(255)), torch.from_numpy(labels.astype(np.int64))


class Splitter:
    """seed -> so many of the training images, a sixth of them to validate, and the test images."""

    def __init__(self, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], clips: int) -> None:
        self.train, self.test, self.clips = train, test, min(clips, len(train[1]))

    def __call__(self, seed: int) -> Data:
        order = torch.randperm(len(self.train[1]), generator=torch.Generator().manual_seed(1000 + seed))[: self.clips]
        held, rest = order.split([self.clips // 6, self.clips - self.clips // 6])
        return Data(*((self.train[0][rows], self.train[1][rows]) for rows in (rest, held)), self.test)


def net(width: int) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(PIXELS, width), nn.ReLU(), nn.Linear(width, 10))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--clips", type=int, default=12_000)
    chosen = parser.parse_args()
    try:
        split = Splitter(load(chosen.folder, "train"), load(chosen.folder, "t10k"), chosen.clips)
    except KwsDendriteError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    schedule = Schedule(steps=1, epochs=chosen.epochs, batch=128)
    print(compare(split, net, chosen.width, chosen.seeds, ("gradient", "growth"), schedule))


if __name__ == "__main__":
    main()
