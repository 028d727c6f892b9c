"""Checkpoints: a folder with `model.safetensors` (all members' weights) and `model.json` (everything else).

Never pickle. Reading checks that the file is whole, that every tensor is there and has the shape that the recorded
architecture asks for, and names the first that does not.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kws_dendrite import __version__
from kws_dendrite.dendrites import Dendritic, Spec, dendritic_layers
from kws_dendrite.dendrites.branches import FewInputs, PooledDense, empty_branch, neurons
from kws_dendrite.dendrites.config import KINDS, DendriteActivation, Join
from kws_dendrite.dendrites.places import join_pool
from kws_dendrite.errors import CheckpointError, ConfigError
from kws_dendrite.models import ModelConfig, build_model, config_from_json, config_to_json
from kws_dendrite.output import explain, write_bytes, write_json

WEIGHTS, DESCRIPTION, FORMAT = "model.safetensors", "model.json", 2
READABLE = (1, 2)
LARGEST_SET = 4096  # of a checkpoint's units, taps, ...: checked before anything is allocated


@dataclass(frozen=True)
class Checkpoint:
    """Attributes:
    model: the population, in evaluation mode.
    config: its architecture.
    labels: K class names.
    frontend: the front end's JSON.
    record: the rest of `model.json`: growth, history, data, seeds, settings, metrics, version.
    """

    model: nn.Module
    config: ModelConfig
    labels: tuple[str, ...]
    frontend: dict[str, Any]
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def members(self) -> int:
        """P."""
        return next(iter(self.model.parameters())).shape[0]

    @property
    def best_member(self) -> int:
        """The member with the lowest validation loss, the one to export."""
        losses = self.record.get("metrics", {}).get("validation_loss")
        return min(range(self.members), key=losses.__getitem__) if losses else 0


def weights_hash(folder: Path | str) -> str:
    """SHA-256 of a checkpoint's weights as they stand.

    Raises:
        CheckpointError: there are none.
    """
    path = Path(folder) / WEIGHTS
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{folder} is no checkpoint: {explain(path, error)}") from error


def save_checkpoint(
    folder: Path | str,
    model: nn.Module,
    config: ModelConfig,
    *,
    labels: tuple[str, ...],
    frontend: dict[str, Any],
    record: dict[str, Any],
) -> None:
    """Write both files, each complete or not at all."""
    folder = Path(folder)
    description = {
        "format": FORMAT,
        "version": __version__,
        "architecture": config_to_json(config),
        "members": next(iter(model.parameters())).shape[0],
        "dendrites": _describe_dendrites(model),
        "labels": list(labels),
        "frontend": frontend,
        **record,
    }
    # Bytes, not save_file: that one meets a full disk with an error of its own, which is not an OSError.
    write_bytes(folder / WEIGHTS, save({name: value.detach().contiguous() for name, value in _tensors(model).items()}))
    write_json(folder / DESCRIPTION, description)


def load_checkpoint(folder: Path | str) -> Checkpoint:
    """Read a checkpoint folder (or either of its two files).

    Raises:
        CheckpointError: missing, truncated, not a checkpoint, or weights of another architecture.
    """
    folder = Path(folder)
    if folder.name in (WEIGHTS, DESCRIPTION):
        folder = folder.parent
    description = _read_description(folder / DESCRIPTION)
    try:
        tensors = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} has no {WEIGHTS}; a checkpoint is that file and {DESCRIPTION}") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} is truncated or not a safetensors file ({error}); train again or restore a copy"
        ) from error
    try:
        config = config_from_json(description["architecture"])
        model = build_model(config, int(description["members"]))
        _rebuild_dendrites(model, description.get("dendrites", {}))
        labels = tuple(str(label) for label in description["labels"])
        frontend = dict(description["frontend"])
        if len(labels) != config.classes:
            raise ConfigError(f"{len(labels)} labels for {config.classes} classes")
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ConfigError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{folder / DESCRIPTION} does not describe a model: {what}") from error
    _fill(model, tensors, folder)
    model.eval()
    known = {"format", "architecture", "members", "dendrites", "labels", "frontend"}
    record = {key: value for key, value in description.items() if key not in known}
    return Checkpoint(model, config, labels, frontend, record)


def is_checkpoint(path: Path | str) -> bool:
    """Whether `path` is a checkpoint folder or one of its files."""
    path = Path(path)
    folder = path.parent if path.name in (WEIGHTS, DESCRIPTION) else path
    return (folder / WEIGHTS).exists() or (folder / DESCRIPTION).exists()


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer once, shared ones under their first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} is no checkpoint: it has no {DESCRIPTION}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated or not JSON ({error}); restore a copy or train again") from error
    if not isinstance(description, dict) or description.get("format") not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise CheckpointError(f"{path} is not a checkpoint of format {known}, which this version reads")
    return description


def _describe_dendrites(model: nn.Module) -> dict[str, Any]:
    return {
        name: {
            "cascade": layer.with_cascade,
            "before_pool": isinstance(layer.base, PooledDense),
            "sets": [spec.to_json() for spec in layer.specs],
        }
        for name, layer in dendritic_layers(model).items()
    }


def _rebuild_dendrites(model: nn.Module, described: dict[str, Any]) -> None:
    for name, settings in described.items():
        if settings.get("before_pool"):
            join_pool(model)
        base = model.get_submodule(name)
        layer = Dendritic(base, cascade=bool(settings["cascade"]))
        P, C = neurons(base)
        for number, fields in enumerate(settings["sets"] if "sets" in settings else _copies(settings)):
            spec = _spec(fields)
            layer.add(empty_branch(base, spec), torch.zeros(P, C, number), spec)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)


def _copies(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The sets of a layer as format 1 had them: copies of the layer, all of one activation."""
    return [{"activation": settings["activation"], "frozen": bool(frozen)} for frozen in settings["frozen"]]


def _spec(fields: dict[str, Any]) -> Spec:
    spec = Spec(**fields)
    for name, known in (("kind", KINDS), ("join", get_args(Join)), ("activation", get_args(DendriteActivation))):
        if getattr(spec, name) not in known:
            raise ConfigError(f"no dendrite has the {name} {getattr(spec, name)!r}")
    for name in ("units", "fan_in", "taps", "dilation"):
        value = getattr(spec, name)
        if not isinstance(value, int) or not 0 <= value <= LARGEST_SET:
            raise ConfigError(f"a dendrite's {name} is a whole number, 0 to {LARGEST_SET}; got {value!r}")
    return spec


def _fill(model: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    expected = _tensors(model)
    for name, place in expected.items():
        if name not in tensors:
            raise CheckpointError(f"{folder / WEIGHTS} lacks {name!r}, which the recorded architecture has")
        if tensors[name].shape != place.shape:
            raise CheckpointError(
                f"{name!r} in {folder / WEIGHTS} has shape {tuple(tensors[name].shape)}, the recorded architecture "
                f"needs {tuple(place.shape)}: the weights belong to another model"
            )
    for name in tensors:
        if name not in expected:
            raise CheckpointError(f"{folder / WEIGHTS} holds {name!r}, which the recorded architecture does not have")
    with torch.no_grad():
        for name, place in expected.items():
            place.copy_(tensors[name])
    for name, module in model.named_modules():
        if isinstance(module, FewInputs) and not ((module.index >= 0) & (module.index < module.inputs)).all():
            raise CheckpointError(
                f"'{name}.index' in {folder / WEIGHTS} names inputs beyond the {module.inputs} that the layer has: "
                "the weights belong to another model"
            )
