"""A net of SparkNet's kind (Svirsky, Shaham and Lindenbaum, Interspeech 2024): time-channel separable convolutions on
MFCC, clipped gates that training may push shut, their mean over time, a linear head.

Only the kind is public, not the layers, so this is a reading of the abstract and carries no claim to be the original.
Its three published sizes for 12 classes, C = 4, 8, 16, come out exactly in `published`, at 40 coefficients: 1,416,
2,292 and 4,636 trainable parameters. At 101 frames the folded nets make 104k, 193k and 428k multiplications; published
are 105k, 190k and 454.5k.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import (
    BatchNorm,
    ConvBn,
    Dense,
    DepthwiseTime,
    Features,
    Logits,
    Pointwise,
    Relu,
    SeparableBn,
)


@dataclass(frozen=True)
class SparkConfig:
    """Attributes:
    frames, coefficients, classes: T, F, K.
    channels: width of every block.
    kernel: taps of the depthwise convolutions, odd.
    blocks: how many residual separable convolutions.
    gates: how many gates are pooled.
    sparsity: weight of the mean gate in the loss (`Spark.penalty`); at 0, the default, gates are free.
    remove_mean: subtract each clip's mean first; for front ends that keep the level (MFE).
    """

    family: ClassVar[str] = "spark"
    frames: int
    coefficients: int
    classes: int
    channels: int = 8
    kernel: int = 23
    blocks: int = 5
    gates: int = 20
    sparsity: float = 0.0
    remove_mean: bool = False

    def __post_init__(self) -> None:
        if min(self.frames, self.coefficients, self.channels, self.gates) < 1 or self.classes < 2 or self.blocks < 0:
            raise ConfigError(
                "frames, coefficients, channels and gates are at least 1, classes at least 2 and blocks at least 0; "
                f"got {self.frames}, {self.coefficients}, {self.channels}, {self.gates}, {self.classes} "
                f"and {self.blocks}"
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(f"kernel is an odd number of frames; got {self.kernel}")
        if not self.sparsity >= 0:
            raise ConfigError(f"sparsity is a weight in the loss, at least 0; got {self.sparsity}")


# Channels -> what gives the published parameter count at 40 coefficients and 12 classes, nearest in multiplications.
_PUBLISHED = {
    4: {"kernel": 21, "blocks": 7, "gates": 22},
    8: {"kernel": 23, "blocks": 5, "gates": 20},
    16: {"kernel": 29, "blocks": 4, "gates": 16},
}


def published(channels: int, frames: int = 101, coefficients: int = 40, classes: int = 12) -> SparkConfig:
    """The shape with SparkNet's published size at C = 4, 8 or 16 (101 frames: one second every 10 ms).

    Raises:
        ConfigError: no published size has that many channels.
    """
    if channels not in _PUBLISHED:
        raise ConfigError(f"published sizes have {', '.join(map(str, _PUBLISHED))} channels; got {channels}")
    return SparkConfig(frames, coefficients, classes, channels, **_PUBLISHED[channels])


class GatedMean(nn.Module):
    """Gates (clip(x, -1, 1) + 1) / 2, in [0, 1], and their mean over time: (P, G, B, T, 1) -> (P, G, B)."""

    def __init__(self) -> None:
        super().__init__()
        self.means: Tensor | None = None  # of the latest forward pass, (P, G, B), in its graph

    def forward(self, x: Tensor) -> Tensor:
        self.means = (x.clamp(-1, 1) + 1).flatten(3).mean(3) / 2
        return self.means

    def __getstate__(self) -> dict:
        # A copy of the model starts without a forward pass: a tensor inside a graph cannot be copied.
        return self.__dict__ | {"means": None}


class Spark(nn.Module):
    """(B, T, F) or (P, B, T, F) -> logits (P, B, K)."""

    standardised = True  # training sets the features' mean and deviation; folding takes them into the stem

    def __init__(self, config: SparkConfig, members: int, generator: torch.Generator) -> None:
        super().__init__()
        C, G = config.channels, config.gates
        self.sparsity = config.sparsity
        self.features = Features(
            members, config.frames, config.coefficients, as_channels=True, remove_mean=config.remove_mean
        )
        self.stem = ConvBn(Pointwise(members, config.coefficients, C, generator), BatchNorm(members, C))

        def separable(outputs: int) -> SeparableBn:
            depthwise = DepthwiseTime(members, C, config.kernel, generator)
            pointwise = Pointwise(members, C, outputs, generator)
            return SeparableBn(depthwise, pointwise, BatchNorm(members, outputs), dilation=1)

        self.blocks = nn.ModuleList(separable(C) for _ in range(config.blocks))
        self.gates = separable(G)
        self.relu = Relu()
        self.pool = GatedMean()
        self.head = Dense(members, G, config.classes, generator)
        self.logits = Logits()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(self.features(x)))  # (P, C, B, T, 1)
        for block in self.blocks:
            x = x + self.relu(block(x))
        return self.logits(self.head(self.pool(self.gates(x))))

    def penalty(self) -> Tensor:
        """The sparsity loss of the latest forward pass, to be added to each member's loss: (P,).

        `sparsity` times the mean gate. Without a forward pass it is 0.
        """
        if self.pool.means is None:
            return self.head.weight.new_zeros(self.head.weight.shape[0])
        return self.sparsity * self.pool.means.mean((1, 2))
