"""Where dendrites may stand: a model's dendritic layers, their inputs and errors.

Every function is explicit about what it changes; hooks are gone when it returns.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.branches import CONVOLUTIONS, PooledDense
from kws_dendrite.dendrites.config import DendriteConfig, Layers
from kws_dendrite.dendrites.layer import Dendritic, Layout
from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import ConvBn, Dense, GlobalPool, SeparableBn

Batch = tuple[Tensor, Tensor]  # features (P, B, T, F), labels (P, B)
Captured = dict[str, tuple[Tensor, Tensor]]  # layer name -> its input, its output
Errors = dict[str, tuple[Tensor, Tensor]]  # layer name -> its input x, its neurons' errors
POOL, HEAD = "pool", "head"
_WANTED: dict[Layers, tuple[type[nn.Module], ...]] = {
    "all": (*CONVOLUTIONS, Dense),
    "conv": CONVOLUTIONS,
    "head": (Dense,),
}


def attach(model: nn.Module, config: DendriteConfig) -> list[str]:
    """Wrap the layers that `config.layers` names in `Dendritic`, in place; the function stays the same.

    For dendrites before the pool, the pool and the head become one layer, under the head's name. Returns the names of
    all dendritic layers. Layers wrapped before stay as they are.

    Raises:
        ConfigError: the model has no such layer.
    """
    if config.kind == "pool":
        join_pool(model)
    for name, module in list(_candidates(model, config)):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, Dendritic(module, cascade=config.cascade))
    names = list(dendritic_layers(model))
    if not names:
        raise ConfigError(f"the model has no layer for dendrites={config.layers!r}; take another setting of layers")
    return names


def join_pool(model: nn.Module) -> None:
    """Make the pool over time and the head behind it one layer, in place; the function stays the same.

    Raises:
        ConfigError: the model has no pool over time right before a dense head.
    """
    pool, head = getattr(model, POOL, None), getattr(model, HEAD, None)
    if isinstance(pool, nn.Identity):
        return
    between = getattr(model, "hidden", None) is not None
    if not isinstance(pool, GlobalPool) or not isinstance(head, Dense) or between:
        raise ConfigError(
            "dendrites of kind 'pool' stand between a pool over time and the head behind it, which this model does not "
            "have; take another kind"
        )
    setattr(model, HEAD, PooledDense(pool, head))
    setattr(model, POOL, nn.Identity())


def dendritic_layers(model: nn.Module) -> dict[str, Dendritic]:
    """Every dendritic layer by its name in `model`."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Dendritic)}


def _candidates(model: nn.Module, config: DendriteConfig) -> Iterator[tuple[str, nn.Module]]:
    wanted = _WANTED[config.layers] if config.kind != "pool" else (PooledDense,)
    wrapped = tuple(f"{name}." for name in dendritic_layers(model))
    whole = (ConvBn, SeparableBn, PooledDense)
    inside = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, whole))
    for name, module in model.named_modules():
        if name.startswith(wrapped + inside):
            continue
        if isinstance(module, wanted):
            yield name, module


@contextmanager
def captured(model: nn.Module) -> Iterator[Captured]:
    """While open, each dendritic layer's input and output of the latest forward pass, the output in the graph."""
    seen: Captured = {}
    hooks = []

    def keep(name: str, layout: Layout) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor | None]:
        def hook(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
            if not output.requires_grad:
                output.requires_grad_(True)
            seen[name] = inputs[0].detach(), output
            return None if layout.axis is None else output.clone()  # a plain net may overwrite it in place

        return hook

    try:
        for name, layer in dendritic_layers(model).items():
            hooks.append(layer.register_forward_hook(keep(name, layer.layout)))
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def errors(model: nn.Module, run: Callable[[], Tensor]) -> Errors:
    """Input x and error delta = dL/dz' (P, C, ...) of every dendritic layer that `run` passes through; L is what it
    returns, summed over the batch so that its size cancels. A layer without a gradient is left out."""
    return _errors_and_outputs(model, run)[0]


def _errors_and_outputs(model: nn.Module, run: Callable[[], Tensor]) -> tuple[Errors, dict[str, Tensor]]:
    with captured(model) as seen:
        total = run()
        names = list(seen)
        deltas = torch.autograd.grad(total, [seen[name][1] for name in names], allow_unused=True)
    layers = dendritic_layers(model)
    found = {
        name: (seen[name][0], layers[name].layout.inside(delta))
        for name, delta in zip(names, deltas, strict=True)
        if delta is not None
    }
    return found, {name: layers[name].layout.inside(seen[name][1].detach()) for name in found}


def neuron_errors(
    model: nn.Module, batch: Batch, loss: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """`errors` of a population: `loss` maps logits (P, B, K) and labels (P, B) to (P, B)."""
    features, labels = batch
    return errors(model, lambda: loss(model(features), labels).sum())


def neuron_errors_and_outputs(
    model: nn.Module, batch: Batch, loss: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Errors, dict[str, Tensor]]:
    """`neuron_errors`, and every layer's output z' (P, C, ...), without its graph. The model's weights, which want no
    gradient here, get none."""
    features, labels = batch
    held = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in held:
            parameter.requires_grad_(False)
        return _errors_and_outputs(model, lambda: loss(model(features), labels).sum())
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def remove_stale_wrappers(model: nn.Module) -> None:
    """Unwrap layers without a dendrite, so that a model that did not grow is the model it was."""
    for name, layer in dendritic_layers(model).items():
        if len(layer.branches):
            continue
        parent, _, child = name.rpartition(".")
        base = layer.base
        if isinstance(base, PooledDense) and not parent:
            setattr(model, POOL, base.pool)
            base = base.dense
        setattr(model.get_submodule(parent), child, base)


def remove_silent(model: nn.Module) -> None:
    """Take shams out again: their t is 0, so the function stays the same."""
    for layer in dendritic_layers(model).values():
        stay = [j for j, spec in enumerate(layer.specs) if not spec.silent]
        layer.branches = nn.ModuleList(layer.branches[j] for j in stay)
        layer.t = nn.ParameterList(layer.t[j] for j in stay)
        layer.cascade = nn.ParameterList(layer.cascade[j] for j in stay)
        layer.specs = [layer.specs[j] for j in stay]
