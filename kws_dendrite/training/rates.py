"""Settings that members of one population need not share, since no shape depends on them.

A member trained beside others of other rates comes out as it does alone, to rounding: members do not touch each other,
each meets the clips in an order of its own, and loses its own elements to dropout.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.kernels.adamw import AdamWStep, Settings
from kws_dendrite.models.layers import Dropout
from kws_dendrite.training.config import TrainConfig

ADAM_BETAS = (0.9, 0.99)  # at a high learning rate a shorter memory of squared gradients is the steadier one


@dataclass(frozen=True)
class Rates:
    """Each a value a member, (P,); None is the recipe's, or the model's, for all.

    Attributes:
        learning_rate: of AdamW at the top of the cycle.
        weight_decay: on weights alone.
        label_smoothing: share of the target spread over all classes.
        dropout: of every dropout of the model, in the place of its own.
        draws: whose order of clips, copies and dropout a member has: (0, 1, 0, 1) are two trials of two seeds, each as
            it is alone. By default 0 .. P - 1.
    """

    learning_rate: tuple[float, ...] | None = None
    weight_decay: tuple[float, ...] | None = None
    label_smoothing: tuple[float, ...] | None = None
    dropout: tuple[float, ...] | None = None
    draws: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given = {name: value for name, value in given.items() if value is not None}
        if len({len(value) for value in given.values()}) > 1 or any(not value for value in given.values()):
            lengths = ", ".join(f"{name} {len(value)}" for name, value in given.items())
            raise ConfigError(f"rates have one value a member, as many of each; got {lengths}")
        for name, low, high in (("learning_rate", 0, math.inf), ("weight_decay", 0, math.inf),
                                ("label_smoothing", 0, 1), ("dropout", 0, 1)):  # fmt: skip
            values = given.get(name, ())
            if not all(math.isfinite(value) and low <= value < high for value in values):
                raise ConfigError(f"{name} of a member is finite, at least {low} and below {high}; got {values}")
        if 0 in given.get("learning_rate", ()):
            raise ConfigError("learning_rate of a member is above 0; got 0")
        if any(draw < 0 for draw in given.get("draws", ())):
            raise ConfigError(f"draws are 0 or more; got {self.draws}")

    @property
    def members(self) -> int | None:
        """P; None where nothing is set."""
        for field in fields(self):
            if getattr(self, field.name) is not None:
                return len(getattr(self, field.name))
        return None

    def check(self, members: int, config: TrainConfig) -> None:
        """Refuse what does not fit the population or the recipe.

        Raises:
            ConfigError: another number of members; patience, which ends a cycle for all of them.
        """
        if self.members not in (None, members):
            raise ConfigError(f"rates are of {self.members} members, the population has {members}; give one each")
        if config.patience:
            raise ConfigError("members of their own rates train for all epochs of a cycle; set patience to 0")
        if config.softened and self.label_smoothing is not None:
            raise ConfigError("mixup and distillation take one label_smoothing for all members; leave it out of rates")


def repeated(trials: Sequence["Rates"], members: int) -> Rates:
    """Trials of P members each, one rate a trial, as one population: (a, b) of 2 members are (a, a, b, b)."""
    values = {}
    for field in fields(Rates):
        each = [getattr(trial, field.name) for trial in trials]
        if field.name == "draws":
            values["draws"] = tuple(range(members)) * len(trials)
        elif all(one is None for one in each):
            values[field.name] = None
        elif any(one is None or len(one) != 1 for one in each):
            raise ConfigError(f"{field.name} is one value in each trial, or in none")
        else:
            values[field.name] = tuple(one[0] for one in each for _ in range(members))
    return Rates(**values)


class MemberAdamW:
    """AdamW over a population: weight decay on weights, and every member's own rates where there are any."""

    def __init__(self, model: nn.Module, config: TrainConfig, rates: Rates) -> None:
        P = next(iter(model.parameters())).shape[0]
        self.rates = list(rates.learning_rate or (config.learning_rate,) * P)
        self.decays = list(rates.weight_decay or (config.weight_decay,) * P)
        self.parameters: list[Tensor] = []
        decayed = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                # Biases, BatchNorm and t are (P, C); a weight has at least one axis more. What a dendrite has is small
                # by nature and its t starts at 0: decay would hold it there.
                own = name.split(".")
                is_dendrite = any(part in ("branches", "t", "cascade") for part in own)
                self.parameters.append(parameter)
                decayed.append(parameter.dim() > 2 and not is_dendrite)
        self.update = AdamWStep(self.parameters, decayed, Settings(*ADAM_BETAS))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, factor: float) -> None:
        """One step at `factor` times every member's learning rate."""
        self.update.step([rate * factor for rate in self.rates], self.decays)


@contextlib.contextmanager
def dropping(model: nn.Module, rates: Rates) -> Iterator[None]:
    """Every dropout of the model has the members' own rates and draws inside."""
    layers = [module for module in model.modules() if isinstance(module, Dropout)]
    before = [(layer.draws, layer.rates) for layer in layers]
    for layer in layers:
        layer.draws = None if rates.draws is None else torch.tensor(rates.draws)
        layer.rates = None if rates.dropout is None else torch.tensor(rates.dropout, dtype=torch.float64)
    try:
        yield
    finally:
        for layer, (draws, own) in zip(layers, before, strict=True):
            layer.draws, layer.rates = draws, own
