"""Plain torch nets and a stop watch, for peers of search_speed.py; torch alone, so that any environment imports it."""

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TimedSplit:
    """Seconds spent inside `with`, summed: on the clock, and of this process's processor time."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> "TimedSplit":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._wall
        self.cpu += time.process_time() - self._cpu


class PaperNet(nn.Module):
    """Three of [conv 3 x 3, ReLU, max pool 2, dropout], linear: (B, T, F) -> (B, K)."""

    def __init__(self, frames: int, coefficients: int, classes: int, channels: Sequence[int] = (4, 8, 8)) -> None:
        super().__init__()
        pairs = zip((1, *channels), channels, strict=False)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding="same") for a, b in pairs)
        shrunk = 2 ** len(channels)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(frames // shrunk * (coefficients // shrunk) * channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None]
        for conv in self.convs:
            x = self.dropout(F.max_pool2d(torch.relu(conv(x)), 2))
        return self.head(x.flatten(1))


class SeparableNet(nn.Module):
    """The default net: 1 x 1 stem, one block of depthwise and pointwise convolution used twice, each time with a
    BatchNorm of its own, mean and maximum over time, linear: (B, T, F) -> (B, K)."""

    def __init__(self, coefficients: int, classes: int, channels: int = 20, kernel: int = 9) -> None:
        super().__init__()
        self.stem = nn.Conv1d(coefficients, channels, 1, bias=False)
        self.depthwise = nn.Parameter(torch.randn(channels, 1, kernel) / kernel**0.5)
        self.pointwise = nn.Conv1d(channels, channels, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(3))
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norms[0](self.stem(x.transpose(1, 2))))
        for norm, dilation in zip(self.norms[1:], (1, 3), strict=True):
            reach = (self.depthwise.shape[2] - 1) * dilation // 2
            y = F.conv1d(x, self.depthwise, padding=reach, dilation=dilation, groups=x.shape[1])
            x = x + torch.relu(norm(self.pointwise(y)))
        return self.head(0.5 * (x.mean(2) + x.amax(2)))
