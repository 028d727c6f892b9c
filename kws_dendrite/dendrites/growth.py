"""Growth steps: which layers take dendrites, how a candidate set is drawn, trained on the error, and inserted.

Every function is explicit about its randomness and leaves no state behind but in the model that it is given.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.config import DendriteConfig, Layers
from kws_dendrite.dendrites.layer import Dendritic, fresh_branch
from kws_dendrite.dendrites.objective import SmoothedMoments, candidate_loss
from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import Conv2d, ConvBn, Dense, SeparableBn

CONVOLUTIONS = (ConvBn, SeparableBn, Conv2d)
Batch = tuple[Tensor, Tensor]  # features (P, B, T, F), labels (P, B)
Captured = dict[str, tuple[Tensor, Tensor]]  # layer name -> its input, its output


def attach(model: nn.Module, config: DendriteConfig) -> list[str]:
    """Wrap the layers that `config.layers` names in `Dendritic`, in place; the function stays the same.

    Returns the names of all dendritic layers. Layers wrapped before stay as they are.

    Raises:
        ConfigError: the model has no such layer.
    """
    for name, module in list(_candidates(model, config.layers)):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, Dendritic(module, config.activation, cascade=config.cascade))
    names = list(dendritic_layers(model))
    if not names:
        raise ConfigError(f"the model has no layer for dendrites={config.layers!r}; take another setting of layers")
    return names


def dendritic_layers(model: nn.Module) -> dict[str, Dendritic]:
    """Every dendritic layer by its name in `model`."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Dendritic)}


def _candidates(model: nn.Module, layers: Layers) -> Iterator[tuple[str, nn.Module]]:
    wrapped = tuple(f"{name}." for name in dendritic_layers(model))
    inside = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, (ConvBn, SeparableBn)))
    for name, module in model.named_modules():
        if name.startswith(wrapped + inside):
            continue
        is_conv = isinstance(module, CONVOLUTIONS)
        is_head = isinstance(module, Dense)
        if (is_conv and layers in ("all", "conv")) or (is_head and layers in ("all", "head")):
            yield name, module


def neurons(base: nn.Module) -> tuple[int, int]:
    """(P, C) of a layer: the leading axes of its last parameter, a bias or a weight (P, C, ...)."""
    P, C = list(base.parameters())[-1].shape[:2]
    return P, C


@contextmanager
def captured(model: nn.Module) -> Iterator[Captured]:
    """While open, each dendritic layer's input and output of the latest forward pass, the output in the graph."""
    seen: Captured = {}
    hooks = []

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            if not output.requires_grad:
                output.requires_grad_(True)
            seen[name] = inputs[0].detach(), output

        return hook

    try:
        for name, layer in dendritic_layers(model).items():
            hooks.append(layer.register_forward_hook(keep(name)))
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def neuron_errors(
    model: nn.Module, batch: Batch, loss: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Input x and error delta = dL/dz' of every dendritic layer, L summed over the batch so that its size cancels.

    `loss` maps logits (P, B, K) and labels (P, B) to (P, B).
    """
    features, labels = batch
    with captured(model) as seen:
        total = loss(model(features), labels).sum()
        names = list(seen)
        deltas = torch.autograd.grad(total, [seen[name][1] for name in names])
    return {name: (seen[name][0], delta) for name, delta in zip(names, deltas, strict=True)}


def draw_candidates(model: nn.Module, features: Tensor, generator: torch.Generator) -> dict[str, nn.Module]:
    """One new branch for every dendritic layer, calibrated on `features` (P, B, T, F)."""
    model.eval()
    with torch.no_grad(), captured(model) as seen:
        model(features)
        return {
            name: fresh_branch(layer.base, seen[name][0], generator) for name, layer in dendritic_layers(model).items()
        }


def train_candidates(
    model: nn.Module,
    branches: dict[str, nn.Module],
    epochs: Iterable[Iterable[Batch]],
    config: DendriteConfig,
    loss: Callable[[Tensor, Tensor], Tensor],
    on_epoch: Callable[[int, dict[str, Tensor]], None] = lambda epoch, scores: None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Train `branches` to follow their neurons' errors while the model itself stands still, in evaluation mode.

    Returns each layer's cascade weights (P, C, D) and final scores (P, C). The model's weights are not touched.
    """
    layers = dendritic_layers(model)
    model.eval()
    cascades, parameters = {}, []
    for name, layer in layers.items():
        P, C = neurons(layer.base)
        earlier = len(layer.branches)
        trained = layer.with_cascade and earlier > 0
        cascades[name] = torch.zeros(P, C, earlier, requires_grad=trained)
        branches[name].train()
        parameters += list(branches[name].parameters()) + ([cascades[name]] if trained else [])
    optimizer = torch.optim.Adam(parameters, lr=config.candidate_learning_rate)
    smoothed = {name: SmoothedMoments() for name in layers}
    for number, batches in enumerate(epochs):
        for batch in batches:
            total = torch.zeros(())
            for name, (x, delta) in neuron_errors(model, batch, loss).items():
                layer = layers[name]
                with torch.no_grad():
                    earlier_outputs = layer.dendrites(x)
                a = layer.activate_branch(branches[name], cascades[name], x, earlier_outputs)
                if not smoothed[name].sums:
                    with torch.no_grad():
                        smoothed[name].update(candidate_loss(a, delta, torch.ones(()), config.objective)[1])
                sign = torch.sign(smoothed[name].read()[0])
                value, batch_moments = candidate_loss(a, delta, sign, config.objective)
                smoothed[name].update(batch_moments)
                total = total + value
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        on_epoch(number, {name: smoothed[name].scores(config.objective) for name in layers})
    optimizer.zero_grad()  # a frozen dendrite has no use for its last gradient, nor have copies of the model
    for branch in branches.values():
        branch.eval()
    scores = {name: smoothed[name].scores(config.objective) for name in layers}
    return {name: value.detach() for name, value in cascades.items()}, scores


def insert(
    model: nn.Module, branches: dict[str, nn.Module], cascades: dict[str, Tensor] | None, *, frozen: bool
) -> None:
    """Add one dendrite to every neuron of the dendritic layers, with t = 0: the model's function does not change."""
    for name, layer in dendritic_layers(model).items():
        P, C = neurons(layer.base)
        cascade = torch.zeros(P, C, len(layer.branches)) if cascades is None else cascades[name]
        layer.add(branches[name], cascade, frozen=frozen)


def remove_stale_wrappers(model: nn.Module) -> None:
    """Unwrap layers without a dendrite, so that a model that did not grow is the model it was."""
    for name, layer in dendritic_layers(model).items():
        if not len(layer.branches):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer.base)
