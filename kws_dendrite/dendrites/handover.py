"""Growing any PyTorch model with the training loop handed over."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.grower import Grower, GrowerConfig, Step
from kws_dendrite.dendrites.torch_growth import LossFunction, Source, TorchBatch, call, open_source
from kws_dendrite.dendrites.torch_places import tensors
from kws_dendrite.dendrites.torch_survey import Wanted, check_model
from kws_dendrite.errors import ConfigError, DataError

Validate = Callable[[nn.Module], Any]  # a score, or a score and every clip's loss
MakeOptimizer = Callable[[nn.Module], Any]  # an optimiser, or an optimiser and a scheduler stepped every epoch
MOST_EPOCHS = 10_000


@dataclass(frozen=True)
class GrowResult:
    """Attributes:
    model: the best model, grown where that helped.
    steps: what each step of growth did.
    scores: every epoch's validation score.
    best_score: of `model`.
    rates: the learning rate's factor of every step, where `probe` tried several.
    complete: growth ended by itself; False where `most_epochs` or Ctrl-C ended it.
    """

    model: nn.Module
    steps: list[Step]
    scores: list[float]
    best_score: float
    rates: list[float]
    complete: bool


def grow(
    model: nn.Module,
    train_batches: Source,
    validate: Validate,
    loss: LossFunction,
    make_optimizer: MakeOptimizer,
    config: GrowerConfig,
    *,
    layers: Wanted = None,
    skip: Sequence[str] = (),
    held_out_batches: Source | None = None,
    most_epochs: int = MOST_EPOCHS,
    in_place: bool = False,
    progress: Callable[[int, float, int], None] = lambda epoch, score, phase: None,
) -> GrowResult:
    """Train and grow until growth has nothing more to give.

    Args:
        model: left as it is unless `in_place`; the result's is a grown copy.
        train_batches: pairs (inputs, targets): a loader, a list, or a function that gives them.
        validate: the model in evaluation mode -> its score; (score, losses (N,)) where `standard_errors` is set.
        loss: outputs, targets -> one number, or one a clip.
        make_optimizer: called at the start of every phase; see `parameter_groups` for weight decay.
        most_epochs: ends it with the best so far.
        progress: told epoch, score and phase.

    Raises:
        ConfigError, DataError: as `Grower` does; also training that diverges before there is a best model.
    """
    if most_epochs < 1:
        raise ConfigError(f"most_epochs is at least 1; got {most_epochs}")
    if isinstance(train_batches, Iterator):
        raise ConfigError("train_batches can be read only once; give a DataLoader, a list, or a function")
    example = next(open_source(train_batches), None)
    if example is None:
        raise DataError("train_batches gave no batch; give at least one pair of inputs and targets")
    check_model(model)
    net = model if in_place else copy.deepcopy(model)
    factors = config.dendrite.probe if isinstance(config, GrowerConfig) else ()
    grower = Grower(
        net,
        example,
        replace(config, dendrite=replace(config.dendrite, probe=())) if factors else config,
        layers=layers,
        skip=skip,
        loss=loss,
        train_batches=train_batches,
        held_out_batches=held_out_batches,
    )
    rates: list[float] = []
    trainer = _Trainer(net, train_batches, loss, make_optimizer)
    try:
        while not grower.complete and len(grower.scores) < most_epochs:
            trainer.epoch()
            score, losses = _validated(net, validate)
            diverged = not math.isfinite(score) and bool(grower.scores)
            report = grower.abandon() if diverged else grower.report(score, losses)
            progress(len(grower.scores), score, report.phase)
            if report.restructured and not grower.complete:
                rates.append(_probed(net, trainer, validate, factors, config))
                trainer = _Trainer(net, train_batches, loss, make_optimizer, rates[-1])
    except KeyboardInterrupt:
        if not grower.scores:
            raise
    complete = grower.complete
    grower.finish()
    return GrowResult(net.eval(), grower.steps, grower.scores, grower.best_score, rates, complete)


class _Trainer:
    """A model, its batches and a fresh optimiser."""

    def __init__(
        self, model: nn.Module, batches: Source, loss: LossFunction, make: MakeOptimizer, factor: float = 1.0
    ) -> None:
        self.model, self.batches, self.loss, self.make = model, batches, loss, make
        made = make(model)
        self.optimizer, self.scheduler = made if isinstance(made, tuple) else (made, None)
        for group in self.optimizer.param_groups:
            group["lr"] *= factor
        if self.scheduler is not None and hasattr(self.scheduler, "base_lrs"):
            self.scheduler.base_lrs = [rate * factor for rate in self.scheduler.base_lrs]

    def epoch(self) -> None:
        """One pass over the batches."""
        self.model.train()
        for batch in open_source(self.batches):
            self.optimizer.zero_grad()
            self._mean(batch).backward()
            self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def _mean(self, batch: TorchBatch) -> Tensor:
        inputs, targets = batch
        return self.loss(call(self.model, inputs), targets).mean()


def _validated(model: nn.Module, validate: Validate) -> tuple[float, Tensor | None]:
    model.eval()
    with torch.no_grad():
        found = validate(model)
    if isinstance(found, tuple) and len(found) == 2:
        return float(found[0]), tensors(found[1])[0]
    return float(found), None


def _probed(
    model: nn.Module, trainer: _Trainer, validate: Validate, factors: tuple[float, ...], config: GrowerConfig
) -> float:
    """The factor of the learning rate whose first epoch ends with the best score; each starts from a copy."""
    best, found = min(factors, default=1.0), -math.inf
    sign = 1 if config.better == "higher" else -1
    for factor in factors:
        trial = _Trainer(copy.deepcopy(model), trainer.batches, trainer.loss, trainer.make, factor)
        trial.epoch()
        score = sign * _validated(trial.model, validate)[0]
        if math.isfinite(score) and score > found:
            best, found = factor, score
    return best
