"""BC-ResNet, the published reference (Kim et al. 2021, arXiv 2106.04140): broadcasted residual learning.

A block is y = relu(f2(x) + f1(mean over frequency of f2(x)) [+ x]): f2 works along frequency, f1 along time on one
value a frame, which is added to every frequency bin alike. 40 mel bands and 12 classes make 9,232 trainable
parameters at tau 1 and 4,585 at tau 0.625; the fold writes each sub-band's scale and shift out for every frequency bin,
which is more where a sub-band has several. Against the published code only the padding of strided convolutions differs:
TensorFlow's "same", so that exporting needs no PAD.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import (
    BatchNorm,
    Conv2d,
    ConvBn,
    Dense,
    DepthwiseTime,
    Features,
    GlobalPool,
    Logits,
    Pointwise,
    Relu,
)
from kws_dendrite.models.layers2d import (
    ChannelDropout,
    Depthwise2d,
    DepthwiseFrequency,
    DepthwiseTimeBn,
    FrequencyPool,
    Silu,
    SubSpectralNorm,
)

# Table 1 of the paper and the authors' code.
BLOCKS = (2, 2, 4, 4)  # blocks a stage
HALVED = (1, 2)  # stages that begin by halving frequency
SUB_BANDS = 5
WINDOW = 5  # bins and frames of the head's and the classifier's convolutions
BINS = 2 * 2 ** len(HALVED) * SUB_BANDS  # the head and two stages halve frequency, and sub-bands divide the rest


@dataclass(frozen=True)
class BcResNetConfig:
    """Attributes:
    frames, coefficients, classes: T, F, K; F is a multiple of 40, mel bands.
    tau: width; 8 * tau channels are the unit of every stage's width.
    dropout: of whole channels, at the end of every f1.
    remove_mean: subtract each clip's mean first; for front ends that keep the level (MFE).
    """

    family: ClassVar[str] = "bc_resnet"
    frames: int
    coefficients: int
    classes: int
    tau: float = 1.0
    dropout: float = 0.1
    remove_mean: bool = False

    def __post_init__(self) -> None:
        if self.frames < 1 or self.classes < 2:
            raise ConfigError(f"frames are at least 1 and classes at least 2; got {self.frames} and {self.classes}")
        if self.coefficients < 1 or self.coefficients % BINS:
            raise ConfigError(
                f"BC-ResNet halves frequency three times and norms {SUB_BANDS} sub-bands: coefficients is a multiple "
                f"of {BINS}; got {self.coefficients}; compute log-mel or MFE features of {BINS} bands"
            )
        if not self.tau * 8 >= 1:
            raise ConfigError(f"tau is at least 1/8, one channel a unit; got {self.tau}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is at least 0 and below 1; got {self.dropout}")

    @property
    def channels(self) -> tuple[int, ...]:
        """Widths of the head, the four stages and the classifier."""
        unit = int(8 * self.tau)
        return 2 * unit, unit, int(1.5 * unit), 2 * unit, int(2.5 * unit), 4 * unit


class BroadcastBlock(nn.Module):
    """(P, Cin, B, H, W) -> (P, C, B, H, W / stride); a transition has a 1 x 1 convolution first and no shortcut."""

    def __init__(
        self,
        members: int,
        inputs: int,
        channels: int,
        generator: torch.Generator,
        *,
        transition: bool,
        stride: int,
        dilation: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.relu = Relu()
        self.transition = None
        if transition:
            self.transition = ConvBn(Pointwise(members, inputs, channels, generator), BatchNorm(members, channels))
        self.frequency = DepthwiseFrequency(members, channels, 3, generator, stride=stride)
        self.norm = SubSpectralNorm(members, channels, SUB_BANDS)
        self.pool = FrequencyPool()
        self.time = DepthwiseTimeBn(
            DepthwiseTime(members, channels, 3, generator), BatchNorm(members, channels), dilation=dilation
        )
        self.silu = Silu()
        self.pointwise = Pointwise(members, channels, channels, generator)
        self.dropout = ChannelDropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        f2 = x if self.transition is None else self.relu(self.transition(x))
        f2 = self.norm(self.frequency(f2))  # (P, C, B, H, W / stride)
        f1 = self.dropout(self.pointwise(self.silu(self.time(self.pool(f2)))))  # (P, C, B, H, 1)
        y = f2 + f1
        return self.relu(y + x if self.transition is None else y)


class BcResNet(nn.Module):
    """(B, T, F) or (P, B, T, F) -> logits (P, B, K)."""

    def __init__(self, config: BcResNetConfig, members: int, generator: torch.Generator) -> None:
        super().__init__()
        first, *widths, last = config.channels
        self.features = Features(
            members, config.frames, config.coefficients, as_channels=False, remove_mean=config.remove_mean
        )
        self.stem = ConvBn(
            Conv2d(members, 1, first, (WINDOW, WINDOW), generator, stride=(1, 2)), BatchNorm(members, first)
        )
        self.blocks = nn.ModuleList()
        inputs = first
        for stage, (count, channels) in enumerate(zip(BLOCKS, widths, strict=True)):
            for number in range(count):
                self.blocks.append(
                    BroadcastBlock(
                        members,
                        inputs,
                        channels,
                        generator,
                        transition=number == 0,
                        stride=2 if number == 0 and stage in HALVED else 1,
                        dilation=2**stage,
                        dropout=config.dropout,
                    )
                )
                inputs = channels
        # Windows side by side over frequency need no padding there; at 40 bands there is one, over all that is left.
        self.window = Depthwise2d(members, inputs, (WINDOW, WINDOW), generator, stride=(1, WINDOW))
        self.last = ConvBn(Pointwise(members, inputs, last, generator), BatchNorm(members, last))
        self.relu = Relu()
        self.pool = GlobalPool("mean")
        self.head = Dense(members, last, config.classes, generator)
        self.logits = Logits()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(self.features(x)))  # (P, C, B, T, F / 2)
        for block in self.blocks:
            x = block(x)
        x = self.relu(self.last(self.window(x)))  # (P, C, B, T, F / 40)
        return self.logits(self.head(self.pool(x)))
