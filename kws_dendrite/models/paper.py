"""The 3 x 3 family of "Perforated Neural Networks for Keyword Spotting" (arXiv 2605.15647, 2026).

One to three of [conv 3 x 3 same, ReLU, max pool 2, dropout], flatten, one or two linear layers, no BatchNorm. Its
reported 1.5k model has 4, 8 and 8 channels and one linear layer: 1,067 parameters on 48 x 13 features and three
classes before dendrites.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.edge_impulse import PooledCnn


@dataclass(frozen=True)
class PaperConfig:
    """Attributes:
    frames, coefficients, classes: T, F, K.
    channels: one to three widths.
    hidden: widths of linear layers before the last.
    dropout: after every pool and hidden layer.
    """

    family: ClassVar[str] = "paper"
    frames: int
    coefficients: int
    classes: int
    channels: tuple[int, ...] = (4, 8, 8)
    hidden: tuple[int, ...] = ()
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= len(self.channels) <= 3 or min(self.channels) < 1:
            raise ConfigError(f"the paper's family has one to three convolutions; got channels {self.channels}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is at least 0 and below 1; got {self.dropout}")


def paper(config: PaperConfig, members: int, generator: torch.Generator) -> PooledCnn:
    """The paper's base network with `config`'s shape."""
    return PooledCnn(
        members,
        config.frames,
        config.coefficients,
        config.classes,
        config.channels,
        config.hidden,
        config.dropout,
        generator,
        over_frequency=True,
        pool_padding="valid",
    )
