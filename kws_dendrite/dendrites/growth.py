"""A growth step: candidates drawn, trained on the error, chosen, and inserted, the model's function unchanged.

Each piece is a function of its own, explicit about its randomness, with no state but in the model that it is given;
`grow_step` puts them together for one step.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.branches import empty_branch
from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.objective import score
from kws_dendrite.dendrites.places import Batch, attach, dendritic_layers
from kws_dendrite.dendrites.pool import Loss, draw_pools, judge_pools, train_pools
from kws_dendrite.dendrites.selection import Choice, select, take_all

START_T = 0.5  # of dendrites that are there from the first epoch: as much as the neuron's own output, to begin with


@dataclass(frozen=True)
class StepReport:
    """What a growth step found.

    Attributes:
        scores: objective of every neuron's best candidate, mean over neurons and members, by layer (and kind where
            there are several); None where they diverged.
        chosen: by layer: kind, units (0: one dendrite a neuron), estimated gain in nats a clip, significance.
    """

    scores: dict[str, float | None] = field(default_factory=dict)
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)


def insert(model: nn.Module, choices: Iterable[Choice], *, start: bool = False) -> None:
    """Add the chosen dendrites with t = 0: the model's function does not change.

    With `start`, for a net that has not been trained, t is `START_T` instead, so that they take part at once; a sham's
    stays 0.
    """
    layers = dendritic_layers(model)
    for choice in choices:
        layer = layers[choice.layer]
        layer.add(choice.branch, choice.cascade, choice.spec)
        if start and not choice.spec.silent:
            m = choice.spec.units
            with torch.no_grad():
                layer.t[-1].fill_(START_T)
                if m:  # unit j reaches neurons j, j + m, ... at first
                    reach = torch.arange(layer.t[-1].shape[1])[:, None] % m == torch.arange(m)
                    layer.t[-1].mul_(reach.to(layer.t[-1].device))


def fresh_choices(model: nn.Module, features: Tensor, config: DendriteConfig, seed: int) -> list[Choice]:
    """One untrained set of dendrites for every dendritic layer, calibrated on `features` (P, B, T, F)."""
    pools = draw_pools(model, features, config, seed, 1)
    choices = []
    for pool in pools:
        choices.append(Choice(pool.layer, pool.spec, pool.branch.eval(), pool.cascade.detach()))
    return choices


def grow_step(
    model: nn.Module,
    features: Tensor,
    training: Callable[[], Iterable[Iterable[Batch]]],
    held_out: Callable[[], Iterable[Batch]],
    config: DendriteConfig,
    seed: int,
    loss: Loss,
    price: Callable[[Choice], float],
) -> StepReport:
    """Grow `model` in place by one step; for mode "growth" it may end without a dendrite, and says so in the report.

    Args:
        features: (P, B, T, F) to calibrate candidates on.
        training: gives the candidate phase's epochs.
        held_out: gives batches of clips that those epochs leave out.
        loss: logits (P, B, K), labels (P, B) -> (P, B).
        price: of a choice, in `config.price`.
    """
    attach(model, config)
    if not config.trains_candidates:
        choices = fresh_choices(model, features, config, seed)
        insert(model, choices, start=config.insertion == "start")
        return StepReport(chosen=_described(choices))
    pools = draw_pools(model, features, config, seed, config.candidates)
    train_pools(model, pools, training(), config, loss)
    if config.mode == "growth":
        judge_pools(model, pools, held_out(), config, loss)
        choices = select(pools, config, price)
    else:
        choices = take_all(pools, config)
    several = len({(pool.layer, pool.spec.kind) for pool in pools}) > len({pool.layer for pool in pools})
    scores: dict[str, float | None] = {}
    for pool in pools:
        best = score(pool.smoothed.read(), config.objective).amax(1).mean().item()
        name = f"{pool.layer}.{pool.spec.kind}" if several else pool.layer
        scores[name] = best if math.isfinite(best) else None
    insert(model, choices)
    return StepReport(scores, _described(choices))


def with_choice(model: nn.Module, choice: Choice) -> nn.Module:
    """A copy of `model` with `choice` inserted, to count what it costs folded; t is 1, as none is 0."""
    single = copy.deepcopy(model)
    layer = dendritic_layers(single)[choice.layer]
    # An echo shares its weights with the layer that it stands in.
    echo = choice.spec.kind == "echo"
    branch = empty_branch(layer.base, choice.spec) if echo else copy.deepcopy(choice.branch)
    layer.add(branch, choice.cascade, replace(choice.spec, silent=False))
    with torch.no_grad():
        layer.t[-1].fill_(1.0)
    return single


def _described(choices: list[Choice]) -> dict[str, dict[str, Any]]:
    return {
        choice.layer: {
            "kind": choice.spec.kind,
            "units": choice.spec.units,
            "gain": choice.gain,
            "significance": choice.significance,
        }
        for choice in choices
    }
