"""An exponential average of a model's weights and statistics over its steps (Polyak and Juditsky 1992)."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """Follows `model`; `applied` puts the average in its place for a while.

    Early on the decay is (1 + n) / (10 + n) after n steps, so that the start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        held = {**dict(model.named_parameters()), **dict(model.named_buffers())}  # a shared tensor once
        self.tensors: list[Tensor] = [value.detach() for value in held.values() if value.is_floating_point()]
        self.average = [value.clone() for value in self.tensors]

    @torch.no_grad()
    def update(self) -> None:
        """Take one step's state in."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        torch._foreach_lerp_(self.average, self.tensors, 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average inside, its own state again after."""
        own = [value.clone() for value in self.tensors]
        self._fill(self.average)
        try:
            yield
        finally:
            self._fill(own)

    @torch.no_grad()
    def _fill(self, values: list[Tensor]) -> None:
        for place, value in zip(self.tensors, values, strict=True):
            place.copy_(value)
