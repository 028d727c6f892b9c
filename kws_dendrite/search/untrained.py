"""What a net costs before it is trained: that follows from its shape, so an untrained one with its dendrites tells."""

from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.branches import empty_branch, neurons, own_parameters
from kws_dendrite.dendrites.places import attach, dendritic_layers
from kws_dendrite.dendrites.pool import kinds_for
from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.models import ModelConfig, build_model
from kws_dendrite.plain import Graph, cost


@lru_cache(maxsize=16)  # of the paper's widest nets, some megabytes each
def largest_graph(model: ModelConfig, growth: DendriteConfig | None = None) -> Graph:
    """The folded, untrained net with `growth.dendrites` sets of dendrites at every layer that takes them.

    A sham leaves nothing behind; of mode "growth" nothing is known beforehand but its budget: the net itself.

    Raises:
        ConfigError: no layer takes such dendrites.
    """
    net = _untrained(model)
    if growth is not None and growth.mode not in ("growth", "sham"):
        attach(net, growth)
        for _ in range(growth.dendrites):
            _add_dendrites(net, growth)
        _unlike_fresh(net)
    return fold(net)


@lru_cache(maxsize=1024)
def parameters_of(model: ModelConfig) -> int:
    """Folded parameters of a net without dendrites."""
    return cost(largest_graph(model)).parameters


@lru_cache(maxsize=1024)
def cheapest_dendrite(model: ModelConfig, growth: DendriteConfig) -> int:
    """Folded parameters of the cheapest set of dendrites with one for every neuron of a layer: a budget that growth can
    do something with.

    Raises:
        ConfigError: no layer takes such dendrites.
    """
    net = _untrained(model)
    attach(net, growth)
    prices = []
    for layer in dendritic_layers(net).values():
        _, C = neurons(layer.base)
        for spec in kinds_for(layer, growth):
            one = replace(spec, units=1) if spec.units else spec
            if spec.kind == "sparse":  # which folds dense
                one = replace(spec, kind="lean")
            weights = own_parameters(empty_branch(layer.base, one), layer.base)
            # Their weights and biases, t, and where they gate, its 1; a BatchNorm's two folds to one bias.
            prices.append(sum(weight[0].numel() for weight in weights) + (2 if spec.join == "gate" else 1) * C)
    if not prices:
        raise ConfigError(f"no layer of this net takes dendrites of kind {growth.kind!r}; take another kind or place")
    return min(prices)


def _add_dendrites(net: nn.Module, growth: DendriteConfig) -> None:
    """One set of every kind asked for, at every layer that takes it, with t above 0 so that it counts."""
    taken = 0
    for layer in dendritic_layers(net).values():
        for spec in kinds_for(layer, growth):
            spec = replace(spec, units=growth.rank) if spec.units else spec
            P, C = neurons(layer.base)
            layer.add(empty_branch(layer.base, spec), torch.full((P, C, len(layer.branches)), 0.5), spec)
            with torch.no_grad():
                layer.t[-1].fill_(0.5)
            taken += 1
    if not taken:
        raise ConfigError(f"no layer of this net takes dendrites of kind {growth.kind!r}; take another kind or place")


def _untrained(model: ModelConfig) -> nn.Module:
    net = build_model(model).eval()
    _unlike_fresh(net)
    return net


@torch.no_grad()
def _unlike_fresh(net: nn.Module) -> None:
    """Statistics and shifts as training leaves them, none of them 0 or 1: what is 0 or 1 folds to nothing."""
    if getattr(net, "standardised", False):
        net.features.mean.fill_(0.5)
        net.features.std.fill_(2.0)
    for module in net.modules():
        for name, value in module.named_parameters(recurse=False):
            if name == "bias":
                value.copy_(torch.linspace(0.05, 0.15, value.numel()).view_as(value))
        if hasattr(module, "running_mean"):
            module.running_mean.fill_(0.1)
            module.running_var.fill_(1.5)
