"""Before a long run: dendrites on a copy of a model, and everything that could be wrong looked at, within a minute."""

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.merging import merge, merged_layer
from kws_dendrite.dendrites.places import dendritic_layers
from kws_dendrite.dendrites.torch_growth import (
    LossFunction,
    Material,
    TorchBatch,
    call,
    clips,
    count,
    grow_plain,
    largest_difference,
    loss_of,
)
from kws_dendrite.dendrites.torch_places import Place, standing_still, tensors
from kws_dendrite.dendrites.torch_structure import restore, shrink, structure
from kws_dendrite.dendrites.torch_survey import InPlace, Wanted, check_model, survey
from kws_dendrite.errors import ConfigError, KwsDendriteError

DENDRITES = 3
BATCHES = 4  # copies of the one batch, for modes that train candidates
NUDGE = 0.1  # of t, which starts at 0 and lets no gradient through to a dendrite's weights there
ROUNDING = 1e-5  # in single precision, relative to the largest output
STEPS = 3


@dataclass(frozen=True)
class CheckReport:
    """Attributes:
    took: layer -> parameters that one dendrite a neuron adds there.
    cannot: layer -> why not.
    passed, failed: what was looked at, a line each.
    seconds: that it took.
    """

    took: dict[str, int] = field(default_factory=dict)
    cannot: dict[str, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether a long run may begin: some layer takes dendrites, and nothing is wrong."""
        return bool(self.took) and not self.failed

    def __str__(self) -> str:
        lines = [f"takes dendrites  {name}: {added:,} parameters each" for name, added in self.took.items()]
        lines += [f"cannot           {name}: {why}" for name, why in self.cannot.items()]
        lines += [f"ok               {line}" for line in self.passed]
        lines += [f"WRONG            {line}" for line in self.failed]
        verdict = "nothing is wrong" if self.ok else "do not start a long run"
        return "\n".join([*lines, f"{verdict} ({self.seconds:.1f} s)"])


def quick_check(
    model: nn.Module,
    batch: TorchBatch,
    loss: LossFunction,
    config: DendriteConfig | None = None,
    *,
    layers: Wanted = None,
    skip: Sequence[str] = (),
    in_place: InPlace = "refuse",
) -> CheckReport:
    """Add three dendrites to a copy of `model` and look at all that a long run rests on; `model` is not touched.

    Args:
        batch: (inputs, targets).
        loss: outputs, targets -> one number, or one a clip.
        config: what is to be grown; None is one copy a neuron by plain backpropagation.

    Raises:
        ConfigError: the model has no layer that was asked for.
        DataError: the batch is none.
    """
    start = time.perf_counter()
    if not callable(loss):
        raise ConfigError(f"the check trains a little and needs a loss(outputs, targets); got {loss!r}")
    config = replace(config or DendriteConfig(), candidate_epochs=1, significance=0.0, held_out=0.2, probe=())
    if config.insertion == "start":
        config = replace(config, insertion="converged")
    check_model(model)
    clips(batch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    net = copy.deepcopy(model)
    found = survey(net, lambda: loss_of(net, batch, loss), config, layers, skip, in_place)
    cannot = {place.name: place.why_not for place in found if place.why_not}
    places = [place for place in found if not place.why_not]
    notes = _Notes()
    took: dict[str, int] = {}
    if places:
        devices = sorted({p.device.index for p in net.parameters() if p.device.type == "cuda"})
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            took = _look(model, net, places, batch, loss, config, notes)
        cannot |= {place.name: "gained nothing on this batch" for place in places if place.name not in took}
    same = all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    notes.add(same, "the model that was given is as it was")
    return CheckReport(took, cannot, notes.passed, notes.failed, time.perf_counter() - start)


@dataclass
class _Notes:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, fine: bool, line: str) -> None:
        (self.passed if fine else self.failed).append(line)


def _look(
    model: nn.Module,
    net: nn.Module,
    places: list[Place],
    batch: TorchBatch,
    loss: LossFunction,
    config: DendriteConfig,
    notes: _Notes,
) -> dict[str, int]:
    """Grow `net`, a copy of `model`; layer -> parameters that one step adds there."""
    material = Material(batch, loss, [batch] * BATCHES, [batch], BATCHES)
    largest = 0.0
    for number in range(DENDRITES):
        outputs = _outputs(net, batch)
        try:
            grow_plain(net, places, material, config, number)
        except KwsDendriteError as error:
            notes.add(False, f"dendrite {number + 1}: {error}")
            return {}
        change = largest_difference(outputs, _outputs(net, batch)) / _scale(outputs)
        largest = max(largest, change)
    unchanged = f"{DENDRITES} dendrites inserted, the function unchanged (largest change {largest:g})"
    notes.add(largest <= ROUNDING, unchanged)
    layers = dendritic_layers(net)
    if config.mode != "sham":
        notes.add(*_gradients(net, batch, loss))
    notes.add(*_train(net, batch, loss))
    fresh = copy.deepcopy(model)
    shrink(fresh, {})  # it may have grown before
    fresh = restore(fresh, structure(net), net.state_dict())
    difference = largest_difference(_outputs(net, batch), _outputs(fresh, batch))
    notes.add(difference == 0, f"the state dict, restored into a fresh model, gives the same (within {difference:g})")
    here, merged = _outputs(net, batch), merge(net)
    difference = largest_difference(here, _outputs(merged, batch)) / _scale(here)
    same = f"merged into plain torch layers it gives the same (within {difference:.0e})"
    notes.add(difference <= ROUNDING, f"{same}: {count(merged):,} parameters, {count(merge(model)):,} before")
    notes.add(*_export(merged, batch))
    return {
        name: (count(merged_layer(layer)) - count(merged_layer(layer, sets=0))) // len(layer.branches)
        for name, layer in layers.items()
    }


def _outputs(net: nn.Module, batch: TorchBatch) -> Any:
    """In evaluation mode; modules' modes and the random stream stay as they are."""
    with torch.no_grad(), standing_still(net):
        torch.manual_seed(0)
        return call(net, batch[0])


def _scale(outputs: Any) -> float:
    """The largest output: what differences are relative to."""
    return max((float(one.abs().max()) for one in tensors(outputs) if one.numel()), default=0.0) or 1.0


def _gradients(net: nn.Module, batch: TorchBatch, loss: LossFunction) -> tuple[bool, str]:
    trial = copy.deepcopy(net)
    learning: dict[str, list[Tensor]] = {}
    for name, layer in dendritic_layers(trial).items():
        for t in layer.t:
            nn.init.constant_(t, NUDGE)
        own = [*layer.t, *(p for branch in layer.branches for p in branch.parameters() if p.requires_grad)]
        learning[name] = own
    trial.train()
    loss_of(trial, batch, loss).backward()
    lacking = [
        name
        for name, own in learning.items()
        if not all(p.grad is not None and p.grad.isfinite().all() for p in own) or not any(p.grad.any() for p in own)
    ]
    if lacking:
        return False, f"no finite gradient reaches the dendrites of {', '.join(lacking)}"
    return True, f"gradients reach all dendrites, {sum(map(len, learning.values()))} tensors of them"


def _train(net: nn.Module, batch: TorchBatch, loss: LossFunction) -> tuple[bool, str]:
    net.train()
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss_of(net, batch, loss)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    fine = all(map(math.isfinite, losses))
    what = f"the loss {'finite' if fine else 'not finite'} ({losses[0]:.3g} to {losses[-1]:.3g})"
    return fine, f"{STEPS} training steps, {what}"


def _export(merged: nn.Module, batch: TorchBatch) -> tuple[bool, str]:
    """Whether torch.export takes it; a model that it does not take without dendrites either is not at fault here."""
    inputs = batch[0]
    arguments = () if isinstance(inputs, Mapping) else tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    try:
        torch.export.export(merged, arguments, named)
    except Exception as error:  # whatever the exporter meets in someone's code
        return True, f"torch.export does not take the merged model ({type(error).__name__}); see whether it takes yours"
    return True, "torch.export takes the merged model"
