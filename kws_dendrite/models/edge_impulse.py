"""Edge Impulse's stock keyword CNNs, 1-D and 2-D, as Studio generates them for MFCC features.

1-D: two of [conv k3 same, ReLU, max pool 2 same, dropout] with 8 and 16 channels over time, flatten, dense. 2-D: the
same with 3 x 3 kernels over time and frequency (Studio also holds these to norm 1, which is left out). 50 x 13
features and 12 classes make 3,228 and 11,244 parameters.
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import (
    Conv2d,
    Dense,
    Dropout,
    Features,
    Flatten,
    Logits,
    MaxPool,
    Padding,
    Relu,
    pooled,
)


@dataclass(frozen=True)
class _StockConfig:
    frames: int
    coefficients: int
    classes: int
    channels: tuple[int, ...] = (8, 16)
    dropout: float = 0.25

    def __post_init__(self) -> None:
        if min(self.frames, self.coefficients, *self.channels) < 1 or self.classes < 2:
            raise ConfigError(
                "frames, coefficients and channels are at least 1 and classes at least 2; got "
                f"{self.frames}, {self.coefficients}, {self.channels} and {self.classes}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is at least 0 and below 1; got {self.dropout}")


@dataclass(frozen=True)
class EdgeImpulse1dConfig(_StockConfig):
    """Coefficients are the channels of a convolution over time. Attributes: T, F, K, widths, dropout."""

    family: ClassVar[str] = "edge_impulse_1d"


@dataclass(frozen=True)
class EdgeImpulse2dConfig(_StockConfig):
    """Frequency is an axis of its own. Attributes: T, F, K, widths, dropout (Studio's 2-D default is 0.5)."""

    family: ClassVar[str] = "edge_impulse_2d"
    dropout: float = 0.5


class PooledCnn(nn.Module):
    """Stages of convolution, ReLU, pool, dropout, then a dense head: (B, T, F) or (P, B, T, F) -> logits (P, B, K)."""

    def __init__(
        self,
        members: int,
        frames: int,
        coefficients: int,
        classes: int,
        channels: tuple[int, ...],
        hidden: tuple[int, ...],
        dropout: float,
        generator: torch.Generator,
        *,
        over_frequency: bool,
        pool_padding: Padding,
    ) -> None:
        super().__init__()
        self.features = Features(members, frames, coefficients, as_channels=not over_frequency)
        kernel, window = ((3, 3), (2, 2)) if over_frequency else ((3, 1), (2, 1))
        height, width = (frames, coefficients) if over_frequency else (frames, 1)
        inputs = 1 if over_frequency else coefficients
        self.convs = nn.ModuleList()
        for outputs in channels:
            self.convs.append(Conv2d(members, inputs, outputs, kernel, generator, bias=True))
            inputs = outputs
            height = _pooled(height, window[0], pool_padding)
            width = _pooled(width, window[1], pool_padding)
        if height * width == 0:
            raise ConfigError(
                f"{len(channels)} poolings leave nothing of {frames} frames by {coefficients} coefficients; "
                "take fewer stages or more frames"
            )
        self.relu = Relu()
        self.pool = MaxPool(window, padding=pool_padding)
        self.dropout = Dropout(dropout)
        self.flatten = Flatten()
        sizes = (height * width * inputs, *hidden)
        self.hidden = nn.ModuleList(
            Dense(members, before, after, generator) for before, after in itertools.pairwise(sizes)
        )
        self.head = Dense(members, sizes[-1], classes, generator)
        self.logits = Logits()

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        for conv in self.convs:
            x = pooled(conv, x, self.relu, self.pool, self.dropout)  # (P, C, B, H, W)
        x = self.flatten(x)
        for hidden in self.hidden:
            x = self.dropout(self.relu(hidden(x)))
        return self.logits(self.head(x))


def _pooled(size: int, window: int, padding: Padding) -> int:
    return -(-size // window) if padding == "same" else size // window


def stock(config: EdgeImpulse1dConfig | EdgeImpulse2dConfig, members: int, generator: torch.Generator) -> PooledCnn:
    """Studio's network with `config`'s shape."""
    return PooledCnn(
        members,
        config.frames,
        config.coefficients,
        config.classes,
        config.channels,
        (),
        config.dropout,
        generator,
        over_frequency=isinstance(config, EdgeImpulse2dConfig),
        pool_padding="same",
    )
