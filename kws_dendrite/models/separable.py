"""The default family: a separable temporal CNN of a thousand parameters.

A 1 x 1 stem over the coefficients, residual blocks of depthwise and pointwise convolution over time, a pool, a linear
head, with a small hidden layer before it on request (the kind of TC-ResNet, Choi et al. 2019, and of SparkNet's
backbone). A block's weights may be used more than once, each use with a BatchNorm and a dilation of its own.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.filters import FilterBank, FrequencySum
from kws_dendrite.models.layers import (
    BatchNorm,
    ConvBn,
    Dense,
    DepthwiseTime,
    Features,
    GlobalPool,
    HardTanh,
    Logits,
    MaxPool,
    Pointwise,
    Relu,
    SeparableBn,
    rectified,
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
    pool_window: maxima of so many frames, a divisor of them, come before the pool; 1 is off. A mean of maxima lies
        between the two.
    filters: filters over time and frequency before the stem, each then summed up over frequency with weights of its
        own; 0 is none. Their weights serve every pitch alike, where the stem alone has its own for every band.
    filter_size: their taps in time and in frequency.
    filter_stride: their stride in frequency.
    stem_kernel: taps of a depthwise convolution over time between the stem and its BatchNorm, odd; 1 is none.
    residual: "added" is x + relu(f(x)), "joined" relu(x + f(x)).
    head_hidden: neurons of a hidden layer between the pool and the head; 0 is none, the head then linear.
    head_activation: theirs.
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
    pool_window: int = 1
    filters: int = 0
    filter_size: tuple[int, ...] = (3, 5)
    filter_stride: int = 2
    stem_kernel: int = 1
    residual: Literal["added", "joined"] = "added"
    head_hidden: int = 0
    head_activation: Literal["relu", "hard_tanh"] = "relu"

    def __post_init__(self) -> None:
        if min(self.frames, self.coefficients, self.channels, self.stride) < 1 or self.classes < 2:
            raise ConfigError(
                "frames, coefficients, channels and stride are at least 1 and classes at least 2; got "
                f"{self.frames}, {self.coefficients}, {self.channels}, {self.stride} and {self.classes}"
            )
        if self.filters < 0 or self.filter_stride < 1 or len(self.filter_size) != 2 or min(self.filter_size) < 1:
            raise ConfigError(
                "filters is at least 0, filter_stride at least 1 and filter_size two numbers of at least 1; got "
                f"{self.filters}, {self.filter_stride} and {self.filter_size}"
            )
        left = -(-self.frames // self.stride)
        if self.pool_window < 1 or left % self.pool_window:
            raise ConfigError(f"pool_window divides the {left} frames that the stride leaves; got {self.pool_window}")
        for name in ("kernel", "stem_kernel"):
            value = getattr(self, name)
            if value < 1 or value % 2 == 0:
                raise ConfigError(f"{name} is an odd number of frames; got {value}")
        if len(self.blocks) != len(self.dilations):
            raise ConfigError(f"one dilation a block; got blocks {self.blocks} and dilations {self.dilations}")
        if self.pooling not in ("mean", "max", "mean_max"):
            raise ConfigError(f"pooling is mean, max or mean_max; got {self.pooling!r}")
        if self.residual not in ("added", "joined"):
            raise ConfigError(f"residual is added or joined; got {self.residual!r}")
        if self.head_hidden < 0:
            raise ConfigError(f"head_hidden is a number of neurons, 0 for none; got {self.head_hidden}")
        if self.head_activation not in ("relu", "hard_tanh"):
            raise ConfigError(f"head_activation is relu or hard_tanh; got {self.head_activation!r}")


class Separable(nn.Module):
    """(B, T, F) or (P, B, T, F) -> logits (P, B, K)."""

    def __init__(self, config: SeparableConfig, members: int, generator: torch.Generator) -> None:
        super().__init__()
        C = config.channels
        # Training sets the features' mean and deviation, and folding takes them into the stem; a filter serves several
        # bands, so that there they would remain.
        self.standardised = not config.filters
        self.features = Features(
            members,
            config.frames,
            config.coefficients,
            as_channels=not config.filters,
            remove_mean=config.remove_mean,
        )
        inputs = config.coefficients
        if config.filters:
            inputs = config.filters
            size, stride = tuple(config.filter_size), config.filter_stride
            bank = FilterBank(members, inputs, size, generator, stride=stride)
            self.filters = ConvBn(bank, BatchNorm(members, inputs))
            self.collapse = FrequencySum(members, inputs, -(-config.coefficients // stride), generator)
        else:
            self.filters = None
        entry = Pointwise(members, inputs, C, generator, stride=config.stride)
        if config.stem_kernel > 1:
            self.entry = entry
            self.stem = ConvBn(DepthwiseTime(members, C, config.stem_kernel, generator), BatchNorm(members, C))
        else:
            self.entry = None
            self.stem = ConvBn(entry, BatchNorm(members, C))
        weights = {}
        for number in sorted(set(config.blocks)):
            depthwise = DepthwiseTime(members, C, config.kernel, generator)
            weights[number] = depthwise, Pointwise(members, C, C, generator)
        self.blocks = nn.ModuleList()
        for number, dilation in zip(config.blocks, config.dilations, strict=True):
            norm = BatchNorm(members, C, positive=config.blocks.count(number) > 1)
            self.blocks.append(SeparableBn(*weights[number], norm, dilation=dilation))
        self.joined = config.residual == "joined"
        self.relu = Relu()
        self.windows = MaxPool((config.pool_window, 1)) if config.pool_window > 1 else None
        self.pool = GlobalPool(config.pooling)
        width = config.head_hidden or C
        self.hidden = Dense(members, C, width, generator) if config.head_hidden else None
        self.bend = Relu() if config.head_activation == "relu" else HardTanh()
        self.head = Dense(members, width, config.classes, generator)
        self.logits = Logits()

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (P, F, B, T, 1)
        if self.filters is not None:  # (P, 1, B, T, F) -> (P, filters, B, T, 1)
            x = self.collapse(self.relu(self.filters(x)))
        if self.entry is not None:
            x = self.entry(x)
        x = rectified(self.stem, x, self.relu)  # (P, C, B, T, 1)
        for block in self.blocks:
            x = self.relu(x + block(x)) if self.joined else rectified(block, x, self.relu, x)
        if self.windows is not None:
            x = self.windows(x)
        x = self.pool(x)  # (P, C, B)
        if self.hidden is not None:
            x = self.bend(self.hidden(x))
        return self.logits(self.head(x))
