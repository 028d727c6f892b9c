"""A worker's hand: takes the next trial out of the queue, or several of one architecture, trains them and writes down
how they ended.

Optuna's `optimize` runs around every entry, for its heartbeat and its end. Trials that are trained together stand
inside one another: each is taken, drawn and signed while the turn is kept, the last one trains them all, and then they
end one by one, from the inside out.
"""

import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from kws_dendrite.errors import ConfigError, GraphError, KwsDendriteError
from kws_dendrite.search.dims import NoneFits
from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.limits import fitted, why_over
from kws_dendrite.search.proposal import Proposal, suggest
from kws_dendrite.search.queue import ATTEMPT, DOUBLE, END, FAILED, INTERRUPTED, PROPOSAL, SKIPPED, SLOT, STOPPED, WHY
from kws_dendrite.search.records import OUTCOME, now
from kws_dendrite.search.sampler import STARTUP_TRIALS, SlotSampler, draw_seed, random_trial
from kws_dendrite.search.space import Arm
from kws_dendrite.search.storage import RUN
from kws_dendrite.search.trial import Outcome, run_together, run_trial
from kws_dendrite.training.loop import EpochRecord

if TYPE_CHECKING:
    from kws_dendrite.search.study import Search

BROKEN = 5  # trials that fail unforeseen one after another, before any ended, after which a worker gives up
TRACEBACK = "traceback"  # attribute of an entry that failed unforeseen
OnEpoch = Callable[[str, EpochRecord, int], None]


class _Ended(Exception):
    """An entry that does not count as an observation: skipped, failed or needless."""


@dataclass
class _Taken:
    """An entry in hand.

    Attributes:
        trial: Optuna's.
        slot: of the queue.
        proposal: what it drew; None before, and where nothing fits.
        outcome: how it ended.
        ends_slot: whether its slot has ended by it.
    """

    trial: optuna.Trial | None = None
    slot: int = 0
    proposal: Proposal | None = None
    outcome: Outcome | None = None
    ends_slot: bool = False


class Hand:
    """Takes one entry after another.

    Attributes:
        busy: at the last taking there was an entry, even if no trial came of it.
    """

    def __init__(self, search: "Search", on_epoch: OnEpoch) -> None:
        self.search, self.on_epoch = search, on_epoch
        self.busy = False
        self.ended = 0  # trials that ended as foreseen
        self.failures = 0
        self.turn = contextlib.ExitStack()
        self.taken: list[_Taken] = []
        self.error: BaseException | None = None

    def take(self) -> list[TrialResult]:
        """Take the next slot's entry, with its companions, and train them; the slots that ended by it, [] where
        nothing is free."""
        search, self.taken, self.error = self.search, [], None
        with self.turn:
            self.turn.enter_context(search.store.turn())
            arm = search.queue.take()
            self.busy = arm is not None
            if arm is None:
                return []
            study = search.studies[arm]
            study.sampler = SlotSampler(search.config.seed, arm)
            self._optimize(arm, study)
        numbers = sorted(taken.trial.number for taken in self.taken if taken.trial is not None and taken.ends_slot)
        return [search.ledger.read(arm, number) for number in numbers]

    def _optimize(self, arm: Arm, study: optuna.Study) -> None:
        taken = _Taken()
        self.taken.append(taken)
        try:
            study.optimize(lambda trial: self._end(arm, trial, taken), n_trials=1, catch=(_Ended,))
        except Exception as error:
            cause = self.error or _known(error)
            if cause is not None:
                raise cause from None
            if not isinstance(error, UpdateFinishedTrialError | ValueError):
                raise
            # The entry was given to another while this worker could not be heard: what it found is void.
            taken.ends_slot = False

    def _end(self, arm: Arm, trial: optuna.Trial, taken: _Taken) -> tuple[float, float]:
        """Optuna's objective: accuracy and size of an entry, when it has been trained."""
        search = self.search
        slot = trial.user_attrs.get(SLOT)
        if search.queue.needless(arm, trial.number, slot):
            trial.set_user_attr(END, DOUBLE)
            raise _Ended
        taken.trial, taken.slot = trial, slot
        trial.set_user_attr(RUN, {"worker": search.worker, "started": now()})
        if search.config.companions == 1:
            self.turn.close()  # it is signed: from here on others may look
        start = time.perf_counter()
        try:
            self._draw(arm, trial, taken)
            if taken.proposal is not None and self._put_companion(arm, trial, taken):
                study = optuna.load_study(
                    study_name=search.studies[arm].study_name,
                    storage=search.store.storage,
                    sampler=SlotSampler(search.config.seed, arm),
                )
                self._optimize(arm, study)
            if taken.outcome is None:  # there is none inside, or it came to nothing
                self.turn.close()
                self._train(arm)
        except (KeyboardInterrupt, KwsDendriteError) as error:
            self.error = error
            if isinstance(error, KeyboardInterrupt):
                search.store.hurry()
            with contextlib.suppress(Exception):
                trial.set_user_attr(END, INTERRUPTED)
            raise
        except Exception as error:
            if not isinstance(error, UpdateFinishedTrialError):
                self.error = error
            raise
        assert taken.outcome is not None
        return self._write(trial, taken, time.perf_counter() - start)

    def _draw(self, arm: Arm, trial: optuna.Trial, taken: _Taken) -> None:
        search = self.search
        try:
            proposal = fitted(suggest(trial, search.space, arm, search.ground), search.config.limits)
        except NoneFits as error:
            taken.outcome = Outcome(SKIPPED, str(error))
            return
        over = self._over_elsewhere(arm, taken.slot, trial.user_attrs[ATTEMPT])
        if over:
            taken.outcome = Outcome(SKIPPED, over)
            return
        trial.set_user_attr(PROPOSAL, proposal.to_json())
        taken.proposal = proposal

    def _over_elsewhere(self, arm: Arm, slot: int, attempt: int) -> str | None:
        """Why the same draw of the random start cannot be trained in another arm: then it is drawn anew in all of them,
        and they stay paired."""
        config = self.search.config
        if slot >= STARTUP_TRIALS or not config.limits:
            return None
        for other in config.arms:
            if other == arm:
                continue  # which finds out by itself
            trial = random_trial(draw_seed(config.seed, other, slot, attempt))
            try:
                proposal = fitted(suggest(trial, self.search.space, other, self.search.ground), config.limits)
                why = why_over(proposal, config.limits, config.objective)
            except NoneFits as error:
                why = str(error)
            except (ConfigError, GraphError):
                continue  # there it is a trial that fails, and is not drawn anew
            if why:
                return f"its pair in the arm {other}: {why}"
        return None

    def _put_companion(self, arm: Arm, trial: optuna.Trial, taken: _Taken) -> bool:
        """Whether a slot was put in front that has all from `taken` but its rates, and may be trained beside it."""
        return len(self.taken) < self.search.config.companions and self.search.queue.put_companion(
            arm, taken.slot, self.search.config.companions, trial.params
        )

    def _together(self) -> list[_Taken]:
        """Entries that are trained together: all that drew a proposal; at least one, for who asks."""
        return [taken for taken in self.taken if taken.proposal is not None] or self.taken[:1]

    def _train(self, arm: Arm) -> None:
        """Train what is in hand, and give each its outcome."""
        together = self._together()
        if len(together) > 1:
            try:
                self._train_together(arm, together)
                return
            except (KwsDendriteError, OSError):
                raise
            except Exception:
                pass  # there may be no memory for all of them at once, or one of them fails: each tells by itself
        for taken in together:
            try:
                self._train_together(arm, [taken])
            except (KwsDendriteError, OSError):
                raise
            except Exception as error:  # one net that cannot be trained is no reason to end a night's search
                self._fail(taken, error)

    def _fail(self, taken: _Taken, error: Exception) -> None:
        """Let an entry end as failed; where nothing but that has come yet, the search."""
        self.failures += 1
        if self.failures >= BROKEN and not self.ended:
            raise error
        taken.trial.set_user_attr(TRACEBACK, "".join(traceback.format_exception(error)))
        taken.outcome = Outcome(FAILED, f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])

    def _train_together(self, arm: Arm, together: list[_Taken]) -> None:
        search, config = self.search, self.search.config
        proposals = [taken.proposal for taken in together]
        stops = [config.may_stop(taken.slot) for taken in together]
        given = (search.bank_of(proposals[0]), config.members, config.seed, config.objective, config.limits)
        settings: dict[str, Any] = {
            "front_now": lambda: search.standing(arm),
            "on_epoch": lambda record, planned: self.on_epoch(arm, record, planned),
            "rule": config.rule,
            "device": config.device,
        }
        if len(together) == 1:
            outcomes = [run_trial(proposals[0], *given, stop=stops[0], **settings)]
        else:
            outcomes = run_together(proposals, *given, stops=stops, **settings)
        self.ended += len(outcomes)
        for taken, outcome in zip(together, outcomes, strict=True):
            taken.outcome = outcome

    def _write(self, trial: optuna.Trial, taken: _Taken, seconds: float) -> tuple[float, float]:
        """Write how it ended; accuracy and size for Optuna."""
        outcome = taken.outcome
        if outcome.why:
            trial.set_user_attr(WHY, outcome.why)
        trial.set_user_attr(OUTCOME, _outcome_json(outcome, seconds, len(self._together())))
        taken.ends_slot = outcome.state != SKIPPED
        if outcome.state in (SKIPPED, FAILED):
            trial.set_user_attr(END, outcome.state)
            raise _Ended
        if outcome.state == STOPPED:
            trial.set_user_attr(END, STOPPED)
            raise optuna.TrialPruned
        last = outcome.points[-1]
        return last.merit(self.search.config.objective.maximise), last.value


def _known(error: BaseException) -> KwsDendriteError | None:
    """The error of ours that lies behind one: where a storage fails twice, Optuna raises what it met last."""
    at: BaseException | None = error
    while at is not None and not isinstance(at, KwsDendriteError):
        at = at.__cause__ or at.__context__
    return at


def _outcome_json(outcome: Outcome, seconds: float, together: int) -> dict[str, Any]:
    """`seconds` are those of all that were trained together: a trial has its share."""
    return {
        "state": outcome.state,
        "seconds": round(seconds / together, 3),
        "together": together,
        "epochs": outcome.epochs,
        "planned": outcome.planned,
        "saved": outcome.saved,
        "points": [point.to_json() for point in outcome.points],
        "curve": list(outcome.curve),
        "steps": list(outcome.steps),
    }
