"""How a network grows: settings, checked when made."""

import math
from dataclasses import dataclass
from typing import Literal

from kws_dendrite.errors import ConfigError

Mode = Literal["perforated", "gradient"]
DendriteActivation = Literal["tanh", "relu", "sigmoid", "hard_tanh"]
Objective = Literal["covariance", "correlation"]
Layers = Literal["all", "conv", "head"]


@dataclass(frozen=True)
class DendriteConfig:
    """Attributes:
    mode: "perforated", candidates trained on the neuron's error, then frozen, no gradient through them; or
        "gradient", ordinary backpropagation through everything.
    dendrites: growth steps to try; each adds one dendrite to every neuron of `layers`.
    layers: which layers take them: every convolution and the head, the convolutions, or the head.
    activation: the dendrite's own nonlinearity.
    cascade: later dendrites of a neuron see earlier ones.
    objective: what a candidate maximises: |covariance| with the error, or |correlation|.
    candidate_epochs: length of a candidate phase ("perforated" only).
    candidate_learning_rate: of Adam in that phase.
    min_improvement: relative decrease of the validation loss that a growth step has to bring to be kept.
    """

    mode: Mode = "gradient"
    dendrites: int = 1
    layers: Layers = "all"
    activation: DendriteActivation = "relu"
    cascade: bool = False
    objective: Objective = "correlation"
    candidate_epochs: int = 8
    candidate_learning_rate: float = 0.01
    min_improvement: float = 0.0

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, ("perforated", "gradient"))
        _one_of("layers", self.layers, ("all", "conv", "head"))
        _one_of("activation", self.activation, ("tanh", "relu", "sigmoid", "hard_tanh"))
        _one_of("objective", self.objective, ("covariance", "correlation"))
        if self.dendrites < 1 or self.candidate_epochs < 1:
            raise ConfigError(
                "dendrites and candidate_epochs are at least 1; "
                f"got {self.dendrites} and {self.candidate_epochs}; for a net without dendrites leave growth out"
            )
        if not 0 < self.candidate_learning_rate < math.inf or not 0 <= self.min_improvement < 1:
            raise ConfigError(
                "candidate_learning_rate is above 0, finite, and min_improvement in [0, 1); "
                f"got {self.candidate_learning_rate} and {self.min_improvement}"
            )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is one of {', '.join(known)}; got {value!r}")
