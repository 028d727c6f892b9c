"""What a model that is not this project's has grown, beside its weights: read, put back, cut back.

A state dict and this description, JSON, are a grown model; nothing is pickled.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites import torch_layers as plain
from kws_dendrite.dendrites.branches import empty_branch
from kws_dendrite.dendrites.config import KINDS, DendriteActivation, DendriteConfig, Join
from kws_dendrite.dendrites.layer import Dendritic, Spec
from kws_dendrite.dendrites.places import dendritic_layers
from kws_dendrite.dendrites.torch_places import Place, unwrap_stale, wrap
from kws_dendrite.errors import CheckpointError, ConfigError

FORMAT = 1
_NAMED = {"kind": KINDS, "join": get_args(Join), "activation": get_args(DendriteActivation)}
LARGEST = 65536  # units, taps, ...: more is no description that this project wrote


def structure(model: nn.Module) -> str:
    """JSON: the dendrites of every layer; a plain model's has none."""
    layers = {
        name: {
            "cascade": layer.with_cascade,
            "norm": layer.layout.norm,
            "sets": [spec.to_json() for spec in layer.specs],
        }
        for name, layer in dendritic_layers(model).items()
    }
    return json.dumps({"format": FORMAT, "layers": layers}, indent=1)


def restore(model: nn.Module, described: str, state: Mapping[str, Any]) -> nn.Module:
    """Grow a fresh, plain `model` as `described` says and load `state` into it, in place; returns it.

    Raises:
        CheckpointError: a description that is none, or of another model; weights that do not fit. The model is as it
            was.
    """
    if dendritic_layers(model):
        raise CheckpointError("restore a grown state into a fresh model; this one has dendrites already")
    try:
        _rebuild(model, described)
        _check(model, state)
    except BaseException:
        shrink(model, {})
        raise
    model.load_state_dict(state)
    return model


def _rebuild(model: nn.Module, described: str) -> None:
    try:
        layers = _read(described)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"the description of the dendrites is not one of format {FORMAT}: {error}") from error
    modules = dict(model.named_modules())
    for name, (cascade, norm, specs) in layers.items():
        if name not in modules or (norm and norm not in modules) or not isinstance(modules[name], plain.SERVED):
            raise CheckpointError(f"the model has no layer {name!r} to put dendrites on: it is another model")
        place = Place(name, type(modules[name]).__name__, norm)
        wrap(model, [place], DendriteConfig(cascade=cascade))
        layer = model.get_submodule(name)
        assert isinstance(layer, Dendritic)
        for number, spec in enumerate(specs):
            try:
                branch = empty_branch(layer.base, spec)
            except ConfigError as error:
                raise CheckpointError(f"layer {name!r}: {error}") from error
            layer.add(branch, torch.zeros(1, plain.outputs(layer.base), number), spec)
        layer.train(plain.split(layer.base)[0].training)


def _read(described: str) -> dict[str, tuple[bool, str, list[Spec]]]:
    value = json.loads(described)
    if value["format"] != FORMAT:
        raise ValueError(f"format {value['format']!r}")
    known = {field.name for field in fields(Spec)}
    found = {}
    for name, layer in value["layers"].items():
        specs = []
        for settings in layer["sets"]:
            if set(settings) - known:
                raise ValueError(f"unknown settings {sorted(set(settings) - known)}")
            spec = Spec(**settings)
            for field, allowed in _NAMED.items():
                if getattr(spec, field) not in allowed:
                    raise ValueError(f"no dendrite has the {field} {getattr(spec, field)!r}")
            for field in ("units", "fan_in", "taps", "dilation"):
                number = getattr(spec, field)
                if type(number) is not int or not 0 <= number <= LARGEST:
                    raise ValueError(f"a dendrite's {field} is a whole number up to {LARGEST}; got {number!r}")
            specs.append(spec)
        found[str(name)] = (bool(layer["cascade"]), str(layer["norm"]), specs)
    return found


def _check(model: nn.Module, state: Mapping[str, Any]) -> None:
    expected = model.state_dict()
    for name, value in expected.items():
        if name not in state:
            raise CheckpointError(f"the state dict lacks {name!r}, which the described model has")
        if isinstance(value, Tensor) and getattr(state[name], "shape", None) != value.shape:
            raise CheckpointError(
                f"{name!r} has shape {tuple(getattr(state[name], 'shape', ()))} in the state dict, the described model "
                f"needs {tuple(value.shape)}"
            )
    more = [name for name in state if name not in expected]
    if more:
        raise CheckpointError(f"the state dict holds {more[0]!r}, which the described model does not have")


def sizes(model: nn.Module) -> dict[str, int]:
    """How many sets of dendrites each grown layer has."""
    return {name: len(layer.branches) for name, layer in dendritic_layers(model).items()}


def shrink(model: nn.Module, to: Mapping[str, int]) -> None:
    """Take off, in place, what came after `to` was counted; layers left with nothing are unwrapped."""
    for name, layer in dendritic_layers(model).items():
        keep(layer, range(min(to.get(name, 0), len(layer.branches))))
    unwrap_stale(model)


def remove_shams(model: nn.Module) -> None:
    """Take off sets whose t is held at 0: the function stays the same."""
    for layer in dendritic_layers(model).values():
        keep(layer, [j for j, spec in enumerate(layer.specs) if not spec.silent])
    unwrap_stale(model)


def keep(layer: Dendritic, sets: Any) -> None:
    """Keep these sets of a layer's dendrites alone."""
    sets = list(sets)
    if len(sets) == len(layer.branches):
        return
    layer.branches = nn.ModuleList(layer.branches[j] for j in sets)
    layer.t = nn.ParameterList(layer.t[j] for j in sets)
    layer.cascade = nn.ParameterList(layer.cascade[j] for j in sets)
    layer.specs = [layer.specs[j] for j in sets]


class Snapshot:
    """A model's dendrites and weights at one moment."""

    def __init__(self, model: nn.Module) -> None:
        self.sizes = sizes(model)
        self.state = copy.deepcopy(model.state_dict())

    def restore(self, model: nn.Module) -> bool:
        """Put both back, in place; whether dendrites had to go."""
        changed = sizes(model) != self.sizes
        shrink(model, self.sizes)
        model.load_state_dict(self.state)
        return changed
