"""Which candidates are worth their price: neuron by neuron, on clips that they were not trained on.

A candidate's gain is the estimated decrease of the loss in nats a clip (objective "gain"), counted where its held-out
score is significant. Three ways to take candidates of a layer are weighed against each other and against the other
layers' by gain for the price, which is what the folded net costs more:

    all        one dendrite a neuron, t a scalar each
    some       the m neurons with the most to gain; folded, m units and a matrix that brings them to their neurons. The
               matrix is paid for whole, so that after insertion all of it may learn
    units      the m best of a pool of units that reach every neuron ("lowrank"), by forward selection
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.branches import reads_everything, rows, separate_neurons
from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.layer import Spec
from kws_dendrite.dendrites.objective import score, standard_score
from kws_dendrite.dendrites.pool import Pool, pick
from kws_dendrite.errors import ConfigError

EPSILON = 1e-12


@dataclass(frozen=True)
class Choice:
    """What is to be inserted at one layer.

    Attributes:
        layer: its name.
        spec, branch, cascade: of the new set of dendrites.
        gain: estimated decrease of the loss, nats a clip, mean over the members.
        significance: largest held-out standard score, mean over the members.
    """

    layer: str
    spec: Spec
    branch: nn.Module
    cascade: Tensor
    gain: float = 0.0
    significance: float = 0.0


def best_of_each(pool: Pool, objective: str) -> Tensor:
    """(P, C): each neuron's best candidate by the score it was trained for. Held-out clips have no say in it, so that
    a test on them needs no correction for the number of candidates.

    Where neurons share weights (the depthwise half of a separable copy) a member takes one candidate for all of them,
    the one of the largest score in sum.
    """
    scores = score(pool.smoothed.read(), objective)  # (P, K, C)
    if separate_neurons(pool.branch):
        return scores.argmax(1)
    return scores.sum(2).argmax(1)[:, None].expand(-1, scores.shape[2])


def take_all(pools: list[Pool], config: DendriteConfig) -> list[Choice]:
    """Every neuron's best candidate, without a test: what the papers do."""
    choices = []
    for pool in pools:
        if pool.spec.units:
            choices.append(_units(pool, forward_selection(pool, config.rank)))
            continue
        branch, cascade = pick(pool, best_of_each(pool, config.objective))
        choices.append(Choice(pool.layer, pool.spec, branch, cascade))
    return choices


def select(pools: list[Pool], config: DendriteConfig, price: Callable[[Choice], float]) -> list[Choice]:
    """The choices with the most gain for their price, one a layer at most, within `config.budget` together.

    Empty where no candidate's score is significant.

    Raises:
        ConfigError: the budget is below the cheapest choice.
    """
    options = [(choice, price(choice)) for pool in pools for choice in _options(pool, config)]
    cheapest = min((cost for _, cost in options), default=0.0)
    if config.budget and cheapest > config.budget:
        raise ConfigError(
            f"a budget of {config.budget} {config.price} is below one dendrite: the cheapest one here adds "
            f"{cheapest:.0f}; raise the budget or take another kind or place"
        )
    return greedy([option for option in options if option[0].gain > 0], config.budget or math.inf)


def greedy(options: list[tuple[Choice, float]], budget: float) -> list[Choice]:
    """Choices, one a layer, by gain for the price: each step takes the option that adds the most gain for what it adds
    to the price, a layer's present choice given back, until nothing that fits adds any (Dantzig 1957)."""
    taken: dict[str, tuple[Choice, float]] = {}
    spent = 0.0
    while True:
        best, most = None, 0.0
        for choice, cost in options:
            gain, price = (taken[choice.layer][0].gain, taken[choice.layer][1]) if choice.layer in taken else (0.0, 0.0)
            more, dearer = choice.gain - gain, cost - price
            if more <= 0 or spent + dearer > budget:
                continue
            worth = more / max(dearer, 1.0)
            if worth > most:
                best, most = (choice, cost), worth
        if best is None:
            return [choice for choice, _ in taken.values()]
        spent += best[1] - (taken[best[0].layer][1] if best[0].layer in taken else 0.0)
        taken[best[0].layer] = best


def _options(pool: Pool, config: DendriteConfig) -> list[Choice]:
    if pool.spec.units:
        order = forward_selection(pool, config.rank)
        return [_units(pool, order[:, :m], config.significance) for m in range(1, config.rank + 1)]
    best = best_of_each(pool, config.objective)
    gain, strength = _held_out(pool, config.significance, best)
    branch, cascade = pick(pool, best)
    whole = Choice(pool.layer, pool.spec, branch, cascade, gain.sum(1).mean().item(), strength.amax(1).mean().item())
    sizes = _some(gain.shape[1])
    fixed = config.cascade or not separate_neurons(branch) or not reads_everything(branch)
    if fixed or pool.spec.join == "gate" or pool.spec.kind in ("temporal", "pool"):
        sizes = []  # a dendrite for each neuron, or none
    order = gain.argsort(1, descending=True)
    some = []
    for m in sizes:
        index = order[:, :m]
        part = gain.gather(1, index).sum(1).mean().item()
        spec = replace(pool.spec, units=m)
        some.append(Choice(pool.layer, spec, rows(branch, index), cascade, part, whole.significance))
    return [whole, *some]


def _some(neurons: int) -> list[int]:
    """Sizes of a set to weigh: 1, 2, 3, 4, 6, 8, 12, ... below half of the neurons, where all of them cost no more."""
    return [m for m in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) if m < neurons / 2]


def _held_out(pool: Pool, significance: float, best: Tensor) -> tuple[Tensor, Tensor]:
    """Gain, 0 where it is not significant, and standard score of the candidates `best` (P, C): (P, C) each."""
    judged = pool.judged.read()
    index = best[:, None]
    strength = standard_score(judged, pool.judged_clips).gather(1, index)[:, 0]
    gain = score(judged, "gain").gather(1, index)[:, 0]
    return torch.where(strength >= significance, gain, 0.0), strength


def forward_selection(pool: Pool, rank: int) -> Tensor:
    """(P, rank): units in the order of what each adds to the gain over all neurons, by the moments of the candidate
    phase (held-out clips have no say in it, see `best_of_each`).

    Of units that say the same, the later one adds nothing: a neuron counts where its gain is larger than with any
    earlier unit (a lower bound that needs no moments between units).
    """
    gain = score(pool.smoothed.read(), "gain")  # (P, m, C)
    order = []
    covered = torch.zeros_like(gain[:, 0])  # (P, C)
    used = torch.zeros(gain.shape[:2], dtype=torch.bool, device=gain.device)
    for _ in range(rank):
        added = (gain - covered[:, None]).clamp_min(0).sum(2) + EPSILON * gain.sum(2)
        added[used] = -1.0
        best = added.argmax(1)
        order.append(best)
        member = torch.arange(len(best))
        used[member, best] = True
        covered = torch.maximum(covered, gain[member, best])
    return torch.stack(order, 1)


def _units(pool: Pool, order: Tensor, significance: float = 0.0) -> Choice:
    """The set of the units `order` (P, m). A neuron's gain is that of the unit which suited it best in training."""
    spec, branch = replace(pool.spec, units=order.shape[1]), rows(pool.branch, order)
    choice = Choice(pool.layer, spec, branch, pool.cascade)
    if not pool.judged.sums:
        return choice
    member = torch.arange(len(order))[:, None]
    best = score(pool.smoothed.read(), "gain")[member, order].argmax(1)  # (P, C), places in `order`
    gain, strength = _held_out(pool, significance, order.gather(1, best))
    return replace(choice, gain=gain.sum(1).mean().item(), significance=strength.amax(1).mean().item())
