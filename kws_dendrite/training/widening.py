"""Growth by width: a wider net that computes the same function at first, and training that goes through it.

The other way to spend a growth step's parameters, so a control of dendrites. New channels read from everything, old
channels and the head do not read from them yet: weights out of a new channel are zero, weights into it drawn as in a
fresh net (Net2WiderNet, Chen et al. 2016, keeps the function by splitting channels; zero outgoing weights leave none
of a kind. GradMax, Evci et al. 2022, zeroes the other side, which a ReLU behind a BatchNorm would not get going).
"""

import copy
from dataclasses import fields

import torch
from torch import Tensor, nn

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import build_model
from kws_dendrite.models.layers import BatchNorm
from kws_dendrite.models.separable import SeparableConfig
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import TrainResult
from kws_dendrite.training.loop import Progress, fit_statistics, train_cycle

GROWING = ("channels", "filters", "head_hidden")
CALIBRATION_BATCHES = 2  # of 128 clips: a channel's mean and deviation to a few percent
CLOSE = 1e-6  # of the logits before and after, computed in float64


def widen(model: nn.Module, narrow: SeparableConfig, wide: SeparableConfig, features: Tensor, seed: int) -> nn.Module:
    """A net of `wide` with the function of `model`, which is of `narrow` and stays as it is.

    Args:
        model: a separable net without dendrites.
        features: (P, B, T, F); a new channel's BatchNorm begins with the statistics that it has on them.
        seed: of the new weights; member p's depend on it and p alone.

    Raises:
        ConfigError: `wide` is not `narrow` with more channels, filters or hidden neurons; or a net with dendrites.
    """
    _check(narrow, wide)
    P = next(iter(model.parameters())).shape[0]
    grown = build_model(wide, P, seed)
    old, new = _tensors(model), _tensors(grown)
    if old.keys() != new.keys():
        raise ConfigError(
            "widening takes a separable net as it was built; this one has dendrites or is of other layers"
        )
    with torch.no_grad():
        for name, place in new.items():
            _embed(old[name], place)
    _calibrate(grown, old, features)
    grown.train(model.training)
    difference = _difference(model, grown, features)
    assert difference < CLOSE, f"widening changed the logits by {difference}"
    return grown


def train_widened(
    narrow: SeparableConfig,
    wide: SeparableConfig,
    members: int,
    bank: FeatureBank,
    config: TrainConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrainResult:
    """Train the narrow net for one cycle, widen it, train the wide one for another.

    Epochs, streams of clips and first cycle are those of `train(build_model(narrow, members, seed), ...)` with one
    restart or one growth step, so that the arms are paired. The result's model is of `wide`; where the first cycle was
    interrupted, it is widened and not trained further.
    """
    _check(narrow, wide)
    model = build_model(narrow, members, seed)
    fit_statistics(model, bank)
    cycle = train_cycle(model, bank, config, seed, phase="cycle 1", progress=progress)
    history, seed_here = cycle.history, seed + 7919  # the stream of a second cycle, as in growth
    batches = PopulationBatches(bank, config, members, seed_here + 1)
    drawn = [x for _, (x, _) in zip(range(CALIBRATION_BATCHES), batches.epoch(), strict=False)]
    grown = widen(model, narrow, wide, torch.cat(drawn, 1), seed_here)
    if not cycle.interrupted:
        cycle = train_cycle(
            grown, bank, config, seed_here, phase="widened", first_epoch=len(history), progress=progress
        )
        history = history + cycle.history
    return TrainResult(grown, history, [], cycle.best_loss, cycle.best_accuracy, cycle.interrupted)


def _check(narrow: SeparableConfig, wide: SeparableConfig) -> None:
    for field in fields(SeparableConfig):
        name = field.name
        before, after = getattr(narrow, name), getattr(wide, name)
        if name not in GROWING and before != after:
            raise ConfigError(
                f"widening keeps everything but {', '.join(GROWING)}; {name} is {before!r} in the narrow net and "
                f"{after!r} in the wide one"
            )
        if name in GROWING and (after < before or (before == 0 and after)):
            raise ConfigError(
                f"widening makes {name} larger than the narrow net's or leaves it; got {before} and {after}"
            )
    if all(getattr(narrow, name) == getattr(wide, name) for name in GROWING):
        raise ConfigError(f"the wide net is the narrow one; make one of {', '.join(GROWING)} larger")


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer once, a shared one under its first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _embed(old: Tensor, place: Tensor) -> None:
    """`old`, (P, C) or (P, C, inputs, ...), into the freshly drawn `place`; its channels read nothing from new ones."""
    if old.shape == place.shape:
        place.copy_(old)
        return
    C = old.shape[1]
    if old.dim() == 2:
        place[:, :C] = old
        return
    place[:, :C] = 0
    place[:, :C, : old.shape[2]] = old


@torch.no_grad()
def _calibrate(grown: nn.Module, old: dict[str, Tensor], features: Tensor) -> None:
    """Running statistics of the new channels alone, from one pass over `features`; old channels keep theirs."""
    twin = copy.deepcopy(grown).train()
    for module in twin.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 1.0
    twin(features)
    measured = dict(twin.named_buffers())
    for name, place in grown.named_buffers():
        if place.shape != old[name].shape:
            C = old[name].shape[1]
            place[:, C:] = measured[name][:, C:]


@torch.no_grad()
def _difference(model: nn.Module, grown: nn.Module, features: Tensor) -> float:
    """Largest difference of the two nets' logits in evaluation, relative to 1 or the largest logit."""
    before, after = (copy.deepcopy(net).double().eval()(features.double()) for net in (model, grown))
    return ((before - after).abs().max() / before.abs().max().clamp_min(1)).item()
