"""Wrapping the layers of a model that is not this project's, and unwrapping them.

A BatchNorm that reads a layer's output, and nothing but it, becomes a part of the layer while it is wrapped; its own
place holds an Identity. Nothing is wrapped for good until it has dendrites, so a plain model stays one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites import torch_layers as plain
from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.layer import Dendritic
from kws_dendrite.dendrites.places import dendritic_layers
from kws_dendrite.errors import DataError


@dataclass(frozen=True)
class Place:
    """A layer and whether it can take dendrites.

    Attributes:
        name: in the model.
        layer: its type's name, with its BatchNorm's.
        norm: the name of the BatchNorm that is a part of it, or "".
        positions: outputs a neuron and clip.
        why_not: the reason why it cannot take dendrites; "" where it can.
        fatal: the reason is a mistake to be put right rather than a layer to be passed over.
    """

    name: str
    layer: str
    norm: str = ""
    positions: int = 1
    why_not: str = ""
    fatal: bool = False


def wrap(model: nn.Module, places: Sequence[Place], config: DendriteConfig) -> None:
    """Wrap them in `Dendritic`, in place; the function stays the same. Those wrapped before stay as they are."""
    there = set(model.modules())
    for place in places:
        base = model.get_submodule(place.name)
        if isinstance(base, Dendritic):
            continue
        if place.norm:
            base = nn.Sequential(base, model.get_submodule(place.norm))
            put(model, place.norm, nn.Identity())
        layer = Dendritic(base, cascade=config.cascade, layout=plain.layout(base, place.norm))
        for module in layer.modules():  # what is new has the layer's mode; a BatchNorm held still stays so
            if module not in there:
                module.training = plain.split(base)[0].training
        put(model, place.name, layer)
    _keep_off_the_fast_path(model)


def unwrap_stale(model: nn.Module) -> None:
    """Unwrap layers without a dendrite, in place: a model that did not grow is the model it was."""
    for name, layer in dendritic_layers(model).items():
        if len(layer.branches) or layer.layout.axis is None:
            continue
        base, norm = layer.base, layer.layout.norm
        if norm:
            put(model, norm, base[1])
            base = base[0]
        put(model, name, base)
    _keep_off_the_fast_path(model)


@contextmanager
def standing_still(model: nn.Module) -> Iterator[None]:
    """While open, evaluation mode and a random stream of its own; afterwards each module's mode is as it was, and what
    came in between has its layer's."""
    modes = {module: module.training for module in model.modules()}
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        try:
            model.eval()
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            for layer in dendritic_layers(model).values():
                inner = plain.split(layer.base)[0].training if plain.is_plain(layer.base) else layer.base.training
                still = {
                    m
                    for branch, spec in zip(layer.branches, layer.specs, strict=True)
                    if spec.frozen
                    for m in branch.modules()
                }
                for module in layer.modules():
                    if module not in modes:
                        module.training = inner and module not in still


def tensors(value: Any) -> list[Tensor]:
    """The floating-point tensors in what a model returns: a tensor, or tuples, lists and dicts of them."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        return [one for part in value.values() for one in tensors(part)]
    if isinstance(value, (tuple, list)):
        return [one for part in value for one in tensors(part)]
    return []


def total(value: Any) -> Tensor:
    """A scalar that depends on everything in it: a loss as it is, outputs by their squares."""
    found = tensors(value)
    if not found:
        raise DataError("the model's forward pass gave no floating-point tensor to grow by; give a loss")
    if len(found) == 1 and found[0].dim() == 0:
        return found[0]
    return torch.stack([one.float().square().sum() for one in found]).sum()


def put(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` at the place `name`."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _keep_off_the_fast_path(model: nn.Module) -> None:
    """Torch's encoder layers read their linear layers' weights themselves in evaluation, past any dendrite; the
    attributes that allow it are off while one of those layers is wrapped."""
    grown = tuple(f"{name}." for name in dendritic_layers(model))
    for name, module in model.named_modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            _allow(module, "activation_relu_or_gelu", not _holds(name, grown))
        elif isinstance(module, nn.TransformerEncoder):
            _allow(module, "use_nested_tensor", not _holds(name, grown))


def _holds(name: str, grown: tuple[str, ...]) -> bool:
    return any(other.startswith(f"{name}." if name else "") for other in grown)


def _allow(module: nn.Module, attribute: str, allowed: bool) -> None:
    kept = f"{attribute}_before_dendrites"
    if not allowed and not hasattr(module, kept):
        setattr(module, kept, getattr(module, attribute))
        setattr(module, attribute, 0)
    elif allowed and hasattr(module, kept):
        setattr(module, attribute, getattr(module, kept))
        delattr(module, kept)
