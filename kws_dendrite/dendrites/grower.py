"""Growing any PyTorch model from one's own training loop.

    grower = Grower(model, batch, GrowerConfig(better="higher"), layers=["fc1", nn.Conv2d])
    optimizer = make_optimizer(model)
    while not grower.complete:
        train_one_epoch(model, optimizer)
        if grower.report(validate(model)).restructured:
            optimizer = make_optimizer(model)         # and the scheduler, and an average of the weights

    phase 0        |---- the net as it is ----|                            until its score rises no more
    phase 1, 2 ..  best weights back, + dendrites |---- train on ----|     kept if the best score rose, else taken off

`model` is changed in place and stays the same object. There is no global state and nothing is written.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from torch import Tensor, nn

from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.torch_growth import (
    LossFunction,
    Material,
    Source,
    TorchBatch,
    check_budget,
    clips,
    grow_plain,
    loss_of,
)
from kws_dendrite.dendrites.torch_places import Place
from kws_dendrite.dendrites.torch_structure import Snapshot, remove_shams, sizes
from kws_dendrite.dendrites.torch_survey import InPlace, Wanted, refuse, survey
from kws_dendrite.errors import ConfigError, DataError

Better = Literal["higher", "lower"]
EARLY = 0.4  # of a phase of fixed length: a fifth of the first two
STEP_SEED = 7919  # apart, so that a step's stream is none of another's


@dataclass(frozen=True)
class GrowerConfig:
    """Attributes:
    better: whether a "higher" or a "lower" validation score is the better one.
    dendrite: what is grown and how: `mode`, `kind`, `dendrites` (steps), `tries`, `min_improvement` and so on.
    patience: epochs without a better score after which a phase ends.
    epochs: length of every phase instead, the same for all; 0 goes by patience.
    min_epochs: least length of a phase.
    in_place: "refuse" layers whose output something overwrites in place (`ReLU(inplace=True)`, `out += x`), or read
        the errors from a "copy" of it.
    warm_up: least number of training batches of a candidate phase.
    candidate_batches: most training batches of a candidate epoch.
    seed: of the dendrites that are drawn; the same seed gives the same ones.
    """

    better: Better
    dendrite: DendriteConfig = field(default_factory=DendriteConfig)
    patience: int = 10
    epochs: int = 0
    min_epochs: int = 1
    in_place: InPlace = "refuse"
    warm_up: int = 4
    candidate_batches: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("better", get_args(Better)), ("in_place", get_args(InPlace))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is one of {', '.join(known)}; got {getattr(self, name)!r}")
        for name, least in (
            ("patience", 1), ("epochs", 0), ("min_epochs", 1), ("warm_up", 1), ("candidate_batches", 1), ("seed", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigError(f"{name} is a whole number, {least} or more; got {value!r}")
        if self.dendrite.insertion == "early" and not self.epochs:
            raise ConfigError("insertion 'early' counts in epochs: give phases a length with `epochs`")


@dataclass(frozen=True)
class Report:
    """What `Grower.report` did.

    Attributes:
        restructured: dendrites came or went: rebuild the optimiser, its scheduler and any average of the weights.
        complete: growth has ended; the model is the best one and needs no more training.
        improved: this score is the best so far.
        phase: steps of growth behind this score.
        accepted: of a phase that ended: whether its dendrites stay; None while it goes on.
    """

    restructured: bool
    complete: bool
    improved: bool
    phase: int
    accepted: bool | None = None


@dataclass(frozen=True)
class Step:
    """One step of growth, as `Grower.steps` keeps them.

    Attributes:
        epoch: reports before it.
        before, after: best score before it and of its phase; `after` is None until that ended.
        accepted: whether its dendrites stayed.
        chosen: by layer: kind, units, estimated gain, significance. Empty: nothing was worth its price.
        scores: the candidates' mean objective, by layer.
    """

    epoch: int
    before: float
    after: float | None = None
    accepted: bool | None = None
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)


class Grower:
    """Grows a model in place, told nothing but its validation scores.

    Args:
        model: any `nn.Module` with layers that can take dendrites.
        batch: (inputs, targets), to find the layers' places by, and to calibrate dendrites on.
        config: how; `GrowerConfig(better="higher")` adds one copy a neuron by plain backpropagation.
        layers: names, patterns and types of the layers; None goes by `config.dendrite.layers`.
        skip: names or patterns to leave alone.
        loss: outputs, targets -> one number, or one a clip. For modes that train candidates, and to see that every
            layer gets a gradient.
        train_batches, held_out_batches: for modes that train candidates: pairs (inputs, targets), as a loader, a list,
            or a function that gives them.

    Raises:
        ConfigError, DataError: it cannot be; the model is as it was.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: TorchBatch,
        config: GrowerConfig,
        *,
        layers: Wanted = None,
        skip: Sequence[str] = (),
        loss: LossFunction | None = None,
        train_batches: Source | None = None,
        held_out_batches: Source | None = None,
    ) -> None:
        if not isinstance(config, GrowerConfig):
            raise ConfigError(
                "config is a GrowerConfig, which says whether a higher or a lower score is better; a DendriteConfig "
                f"goes into its `dendrite`; got a {type(config).__name__}"
            )
        self.model, self.config = model, config
        growth = config.dendrite
        self.material = Material(batch, loss, train_batches, held_out_batches, config.warm_up, config.candidate_batches)
        if growth.probe:
            raise ConfigError("probe tries learning rates, which are yours here; `grow` has the optimiser and takes it")
        self.material.check(growth)
        clips(batch)
        found = survey(model, lambda: loss_of(model, batch, loss), growth, layers, skip, config.in_place)
        self.places: list[Place] = refuse(found, growth)
        check_budget(model, self.places, growth)
        self.left_out: dict[str, str] = {place.name: place.why_not for place in found if place.why_not}
        self.steps: list[Step] = []
        self.scores: list[float] = []
        self.complete = False
        self._phase, self._tries, self._draws = 0, 0, 0
        self._best: _Best | None = None  # of the phase
        self._kept: _Best | None = None  # of the phases before
        self._stale = self._length = 0
        if growth.insertion == "start":
            for _ in range(growth.dendrites):
                self._draw()

    @property
    def best_score(self) -> float:
        """The best score of the model that would be kept; nan before the first report."""
        found = [best.score for best in (self._best, self._kept) if best is not None]
        return math.nan if not found else (max(found) if self.config.better == "higher" else min(found))

    @property
    def sizes(self) -> dict[str, int]:
        """How many sets of dendrites each grown layer has."""
        return sizes(self.model)

    def report(self, score: float | Tensor, losses: Tensor | None = None) -> Report:
        """Tell one epoch's validation score; grows, rolls back or ends growth when a phase has ended.

        Args:
            losses: of every validation clip, in the same order each time; only for `standard_errors`.

        Raises:
            DataError: the score is not a finite number; nothing has happened then. Or a growth step's batches are too
                few, or its budget below one dendrite: growth is complete then and the model is the best one so far.
        """
        value = _number(score)
        if self.complete:
            return Report(False, True, False, self._phase)
        growth = self.config.dendrite
        if growth.standard_errors and losses is None:
            raise ConfigError("standard_errors needs every validation clip's loss: report(score, losses)")
        self.scores.append(value)
        self._length += 1
        improved = self._best is None or self._is_better(value, self._best.score)
        if improved:
            self._best = _Best(value, Snapshot(self.model), None if losses is None else losses.detach().cpu().clone())
            self._stale = 0
        else:
            self._stale += 1
        overall = improved and (self._kept is None or self._is_better(value, self._kept.score))
        if not self._phase_over():
            return Report(False, False, overall, self._phase)
        return self._end_phase(overall)

    def abandon(self) -> Report:
        """End the phase under way without its dendrites, as after training that diverged; phase 0 ends at its best.

        Raises:
            DataError: there is no reported score to go back to.
        """
        if self.complete:
            return Report(False, True, False, self._phase)
        if self._kept is None and self._best is None:
            raise DataError("there is no reported score to go back to: report one before the first phase is abandoned")
        if self._kept is not None:
            self._best = None
        return self._end_phase(False)

    def finish(self) -> nn.Module:
        """End growth now: the best model so far, its dendrites those that have earned their place; the same object.

        A phase under way counts as it stands. For a loop that ends by its own clock."""
        if not self.complete:
            if self._best is not None or self._kept is not None:
                self._judge()
            self._close()
        return self.model

    def _phase_over(self) -> bool:
        length = self.config.epochs
        if not length:
            return self._stale >= self.config.patience and self._length >= self.config.min_epochs
        if self.config.dendrite.insertion == "early" and len(self.steps) < 2:
            first = max(1, round(EARLY * length))
            length = first if not self.steps else 2 * length - first
        return self._length >= max(length, self.config.min_epochs)

    def _end_phase(self, improved: bool) -> Report:
        growth = self.config.dendrite
        phase = self._phase
        accepted, changed = self._judge()
        from_start = growth.insertion == "start"
        if from_start or self._phase >= growth.dendrites or self._tries >= growth.tries:
            changed |= self._close()
            return Report(changed, True, improved, phase, accepted)
        try:
            while not self._draw():  # nothing worth its price: another draw may have it
                self._tries += 1
                if self._tries >= growth.tries:
                    changed |= self._close()
                    return Report(changed, True, improved, phase, accepted)
        except BaseException:
            self._close()
            raise
        return Report(True, False, improved, phase, accepted)

    def _judge(self) -> tuple[bool | None, bool]:
        """The end of a phase: its best weights back, or those before it. Whether it was accepted, what was changed."""
        first = self._kept is None
        best = self._best
        accepted = first or (best is not None and self._accepts(best, self._kept))  # type: ignore[arg-type]
        if accepted:
            self._kept = best
            if not first:
                self._phase, self._tries = self._phase + 1, 0
        else:
            self._tries += 1
        if not first:
            after = None if best is None else best.score
            self.steps[-1] = replace(self.steps[-1], after=after, accepted=accepted)
        assert self._kept is not None
        changed = self._kept.snapshot.restore(self.model)
        self._best, self._stale, self._length = None, 0, 0
        return (None if first else accepted), changed

    def _draw(self) -> bool:
        """A step of growth; whether anything came of it."""
        self._draws += 1
        seed = self.config.seed + STEP_SEED * self._draws
        report = grow_plain(self.model, self.places, self.material, self.config.dendrite, seed)
        before = math.nan if self._kept is None else self._kept.score
        self.steps.append(
            Step(len(self.scores), before, None, None if report.chosen else False, report.chosen, report.scores)
        )
        return bool(report.chosen)

    def _close(self) -> bool:
        self.complete = True
        before = sizes(self.model)
        remove_shams(self.model)
        return sizes(self.model) != before

    def _is_better(self, score: float, than: float) -> bool:
        return score > than if self.config.better == "higher" else score < than

    def _accepts(self, new: "_Best", old: "_Best") -> bool:
        growth = self.config.dendrite
        sign = 1 if self.config.better == "higher" else -1
        least = growth.min_improvement * abs(old.score)
        if growth.standard_errors:
            assert new.losses is not None and old.losses is not None
            difference = old.losses.double() - new.losses.double()
            error = difference.std() / math.sqrt(len(difference))
            if difference.mean() <= growth.standard_errors * error:
                return False
        return sign * (new.score - old.score) > least


@dataclass
class _Best:
    score: float
    snapshot: Snapshot
    losses: Tensor | None = None


def _number(score: float | Tensor) -> float:
    if isinstance(score, Tensor) and score.numel() != 1:
        raise DataError(f"a validation score is one number; got a tensor of shape {tuple(score.shape)}")
    try:
        value = float(score)
    except (TypeError, ValueError) as error:
        raise DataError(f"a validation score is a number; got {score!r}") from error
    if not math.isfinite(value):
        raise DataError(
            f"the validation score is {value}: nothing was changed. Training diverged or validation divides by zero: "
            "lower the learning rate, or report a finite score"
        )
    return value


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser: weight decay for matrices and kernels of the plain layers alone. A dendrite's t starts
    at 0, and decay would hold it there; its weights are small by nature."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            grown = any(part in ("branches", "t", "cascade") for part in name.split("."))
            (free if parameter.dim() < 2 or grown else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
