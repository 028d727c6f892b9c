"""The default family: a separable temporal CNN of a thousand parameters.

A 1 x 1 stem over the coefficients, residual blocks of depthwise and pointwise convolution over time, a pool, a linear
head (the kind of TC-ResNet, Choi et al. 2019, and of SparkNet's backbone). A block's weights may be used more than
once, each use with a BatchNorm and a dilation of its own.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import (
    BatchNorm,
    ConvBn,
    Dense,
    DepthwiseTime,
    Features,
    GlobalPool,
    Logits,
    Pointwise,
    Relu,
    SeparableBn,
)


@dataclass(frozen=True)
class SeparableConfig:
    """Attributes:
    frames, coefficients, classes: T, F, K.
    channels: width of every block.
    kernel: taps of the depthwise convolutions, odd.
    blocks: which weights each block uses; equal numbers share, (0, 0) is one block used twice.
    dilations: one a block.
    stride: in time, taken by the stem.
    pooling: how time is summed up.
    remove_mean: subtract each clip's mean first; for front ends that keep the level (MFE).
    """

    family: ClassVar[str] = "separable"
    frames: int
    coefficients: int
    classes: int
    channels: int = 20
    kernel: int = 9
    blocks: tuple[int, ...] = (0, 0)
    dilations: tuple[int, ...] = (1, 3)
    stride: int = 1
    pooling: Literal["mean", "max", "mean_max"] = "mean_max"
    remove_mean: bool = False

    def __post_init__(self) -> None:
        if min(self.frames, self.coefficients, self.channels, self.stride) < 1 or self.classes < 2:
            raise ConfigError(
                "frames, coefficients, channels and stride are at least 1 and classes at least 2; got "
                f"{self.frames}, {self.coefficients}, {self.channels}, {self.stride} and {self.classes}"
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(f"kernel is an odd number of frames; got {self.kernel}")
        if len(self.blocks) != len(self.dilations):
            raise ConfigError(f"one dilation a block; got blocks {self.blocks} and dilations {self.dilations}")
        if self.pooling not in ("mean", "max", "mean_max"):
            raise ConfigError(f"pooling is mean, max or mean_max; got {self.pooling!r}")


class Separable(nn.Module):
    """(B, T, F) or (P, B, T, F) -> logits (P, B, K)."""

    standardised = True  # training sets the features' mean and deviation; folding takes them into the stem

    def __init__(self, config: SeparableConfig, members: int, generator: torch.Generator) -> None:
        super().__init__()
        C = config.channels
        self.features = Features(
            members, config.frames, config.coefficients, as_channels=True, remove_mean=config.remove_mean
        )
        self.stem = ConvBn(
            Pointwise(members, config.coefficients, C, generator, stride=config.stride), BatchNorm(members, C)
        )
        weights = {}
        for number in sorted(set(config.blocks)):
            depthwise = DepthwiseTime(members, C, config.kernel, generator)
            weights[number] = depthwise, Pointwise(members, C, C, generator)
        self.blocks = nn.ModuleList()
        for number, dilation in zip(config.blocks, config.dilations, strict=True):
            norm = BatchNorm(members, C, positive=config.blocks.count(number) > 1)
            self.blocks.append(SeparableBn(*weights[number], norm, dilation=dilation))
        self.relu = Relu()
        self.pool = GlobalPool(config.pooling)
        self.head = Dense(members, C, config.classes, generator)
        self.logits = Logits()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(self.features(x)))  # (P, C, B, T, 1)
        for block in self.blocks:
            x = x + self.relu(block(x))
        return self.logits(self.head(self.pool(x)))
