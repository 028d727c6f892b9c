"""A growth step of a model that is not this project's: the same pools, objectives and selection, on its own batches.

The model and its loss stand in for a population of one whose "logits" are the batch's loss.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites import torch_layers as plain
from kws_dendrite.dendrites.branches import empty_branch
from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.growth import StepReport, grow_step
from kws_dendrite.dendrites.merging import merged_layer
from kws_dendrite.dendrites.places import dendritic_layers
from kws_dendrite.dendrites.pool import kinds_for
from kws_dendrite.dendrites.selection import Choice
from kws_dendrite.dendrites.torch_places import Place, standing_still, tensors, total, unwrap_stale, wrap
from kws_dendrite.dendrites.torch_structure import shrink, sizes
from kws_dendrite.errors import ConfigError, DataError

TorchBatch = tuple[Any, Any]  # inputs (a tensor; a tuple or dict of arguments), targets
LossFunction = Callable[[Any, Any], Tensor]  # what the model gives, targets -> a scalar, or one a clip
Source = Iterable[TorchBatch] | Callable[[], Iterable[TorchBatch]]
NET = "net"


def call(model: nn.Module, inputs: Any) -> Any:
    """The model on a batch's inputs: a tensor, a tuple of arguments, or a dict of them by name."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, (tuple, list)) else model(inputs)


def loss_of(model: nn.Module, batch: TorchBatch, loss: LossFunction | None) -> Any:
    """A batch's loss; without one, what the model gives."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise DataError(
            f"a batch is a pair of inputs and targets; got {_what(batch)}. Several inputs go into a tuple or a dict: "
            "((a, b), targets)"
        )
    outputs = call(model, batch[0])
    if loss is None:
        return outputs
    value = loss(outputs, batch[1])
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise DataError(f"the loss of a batch is a tensor, one number or one a clip; got {_what(value)}")
    return value.sum()


def clips(batch: TorchBatch) -> int:
    """How many clips a batch has: the first axis of its first input.

    Raises:
        DataError: none has such an axis, or there is one clip alone, which has no spread to calibrate on.
    """
    parts = _leaves(batch[0] if isinstance(batch, (tuple, list)) and len(batch) == 2 else batch)
    found = next((len(part) for part in parts if part.dim() > 0), None)
    if found is None:
        raise DataError("a batch's inputs hold no tensor with an axis of clips")
    if found < 2:
        raise DataError("dendrites are calibrated on a batch of at least 2 clips; got 1")
    return found


def _leaves(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return [one for part in value for one in _leaves(part)] if isinstance(value, (tuple, list)) else []


def _what(value: Any) -> str:
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"a {type(value).__name__}{size}"


class Bound(nn.Module):
    """A model and its loss as one module: a batch -> its loss, a scalar."""

    def __init__(self, net: nn.Module, loss: LossFunction | None) -> None:
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, batch: TorchBatch) -> Tensor:
        return total(loss_of(self.net, batch, self.loss))


@dataclass(frozen=True)
class Material:
    """What a growth step learns from.

    Attributes:
        example: a batch to calibrate on.
        loss: None needs no candidate phase.
        training: batches, or what gives them anew for every epoch; None where candidates are not trained.
        held_out: batches to judge candidates by; None takes a share of `training`.
        warm_up: least number of training batches.
        limit: most training batches of an epoch.
    """

    example: TorchBatch
    loss: LossFunction | None = None
    training: Source | None = None
    held_out: Source | None = None
    warm_up: int = 4
    limit: int = 100

    def check(self, config: DendriteConfig) -> None:
        """Before anything is changed.

        Raises:
            ConfigError: a candidate phase without batches or loss, or batches that can be read only once.
        """
        if not config.trains_candidates:
            return
        if self.training is None or self.loss is None:
            raise ConfigError(
                f"mode {config.mode!r} trains candidates before they are inserted: give train_batches and a loss, or "
                "take mode 'gradient', which needs neither"
            )
        for name, source in (("train_batches", self.training), ("held_out_batches", self.held_out)):
            if isinstance(source, Iterator):
                raise ConfigError(
                    f"{name} can be read only once; give a DataLoader, a list, or a function that gives the batches"
                )


def grow_plain(
    model: nn.Module, places: Sequence[Place], material: Material, config: DendriteConfig, seed: int
) -> StepReport:
    """Grow `model` in place by one step, its function unchanged; whatever goes wrong, it is as it was.

    A step of mode "growth" that finds nothing worth its price leaves it as it was, too, and chooses nothing.

    Raises:
        DataError: fewer batches than a warm-up needs.
        ConfigError: a budget below one dendrite; a kind that no layer can take.
    """
    material.check(config)
    clips(material.example)
    training, held_out = _epochs(material, config)
    before = sizes(model)
    with standing_still(model):
        try:
            wrap(model, places, config)
            bound = Bound(model, material.loss)
            price = Price(model, {place.name: place for place in places}, config.price)
            report = grow_step(
                bound,
                material.example,  # type: ignore[arg-type]
                training,
                held_out,
                config,
                seed,
                lambda value, _: value,
                price,
            )
        except BaseException:
            shrink(model, before)
            raise
        unwrap_stale(model)
    return StepReport(
        {name.removeprefix(f"{NET}."): value for name, value in report.scores.items()},
        {name.removeprefix(f"{NET}."): value for name, value in report.chosen.items()},
    )


def _epochs(
    material: Material, config: DendriteConfig
) -> tuple[Callable[[], Iterator[Any]], Callable[[], Iterator[Any]]]:
    """Where candidates are trained and judged. Without batches to judge by, the last of one epoch's are held out, and
    the others are used again and again: a loader that shuffles would mix them."""
    if not config.trains_candidates:
        return (lambda: iter(())), (lambda: iter(()))
    needed = material.warm_up
    split = config.mode == "growth" and material.held_out is None
    first = list(islice(open_source(material.training), material.limit if split else needed))
    held = max(1, round(config.held_out * len(first))) if split else 0
    if len(first) - held < needed:
        also = f" and {held} more to judge them by" if split else ""
        raise DataError(
            f"candidates warm up on at least {needed} batches{also}; train_batches gave {len(first)}: give more or "
            "smaller batches, or take mode 'gradient', which needs none"
        )
    for batch in first:
        clips(batch)
    kept = first[: len(first) - held]

    def training() -> Iterator[Any]:
        for _ in range(config.candidate_epochs):
            yield map(_counted, kept if split else islice(open_source(material.training), material.limit))

    def judging() -> Iterator[Any]:
        return map(_counted, first[len(first) - held :] if split else open_source(material.held_out))

    return training, judging


def open_source(source: Source | None) -> Iterator[TorchBatch]:
    """Its batches from the first."""
    assert source is not None
    return iter(source() if callable(source) else source)


def _counted(batch: TorchBatch) -> tuple[TorchBatch, Tensor]:
    """The batch, and a stand-in of a population's labels (1, B)."""
    return batch, torch.empty(1, clips(batch))


def check_budget(model: nn.Module, places: Sequence[Place], config: DendriteConfig) -> None:
    """See that one dendrite at least is within the budget of mode "growth"; the model is as it was.

    Raises:
        ConfigError: none is.
    """
    if config.mode != "growth" or not config.budget:
        return
    price, cheapest = Price(model, {place.name: place for place in places}, config.price), math.inf
    grown = sizes(model)
    wrap(model, places, config)
    try:
        for name in (place.name for place in places):
            layer = dendritic_layers(model)[name]
            for spec in kinds_for(layer, config):
                alone = spec.kind != "temporal" and spec.join == "add" and not config.cascade
                few = alone and plain.groups(layer.base) == 1
                spec = replace(spec, units=1) if few else spec
                cascade = torch.zeros(1, plain.outputs(layer.base), len(layer.branches))
                cheapest = min(cheapest, price(Choice(name, spec, empty_branch(layer.base, spec), cascade)))
    finally:
        shrink(model, grown)
    if cheapest > config.budget:
        raise ConfigError(
            f"a budget of {config.budget} {config.price} is below one dendrite: the cheapest one here adds "
            f"{cheapest:.0f}; raise the budget or take another kind or other layers"
        )


class Price:
    """What a choice adds to the merged model: parameters, or MACs of one clip."""

    def __init__(self, model: nn.Module, places: dict[str, Place], unit: str) -> None:
        if unit == "cycles":
            raise ConfigError("price 'cycles' is for this project's own nets; take 'parameters' or 'macs'")
        self.model, self.places, self.unit = model, places, unit
        self.base: dict[str, int] = {}

    def __call__(self, choice: Choice) -> float:
        name = choice.layer.removeprefix(f"{NET}.")
        layer = dendritic_layers(self.model)[name]
        if name not in self.base:
            self.base[name] = count(merged_layer(layer))
        grown = count(merged_layer(layer, also=(choice.branch, choice.cascade, replace(choice.spec, silent=False))))
        added = grown - self.base[name]
        return added if self.unit == "parameters" else added * self.places[name].positions


def count(module: nn.Module) -> int:
    """Parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def largest_difference(one: Any, other: Any) -> float:
    """Largest difference between two outputs of a model."""
    pairs = zip(tensors(one), tensors(other), strict=True)
    return max((float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel()), default=0.0)
