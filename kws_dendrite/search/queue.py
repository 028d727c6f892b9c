"""The queue of a search: slot k of an arm is its k-th trial, and ends exactly once, however many workers there are.

A slot is in the storage as entries, Optuna's trials: one for each draw, and one more for each worker that was lost.
What is to be done next is always worked out from these entries, with the turn, so that nothing needs to be put right
when a worker dies at any point:

    waiting -> running -> complete                 the slot has ended
                       -> stopped, as hopeless     the slot has ended
                       -> failed for good          the slot has ended
                       -> skipped, over a limit    the slot is drawn anew: attempt + 1
                       -> lost with its worker     the slot is trained again as drawn: tries + 1
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.proposal import is_rate
from kws_dendrite.search.storage import Store

SLOT, ATTEMPT, TRIES, END, WHY = "slot", "attempt", "tries", "end", "why"  # attributes of an entry
PROPOSAL = "proposal"  # another one, there as soon as all is drawn
STOPPED, FAILED, SKIPPED, INTERRUPTED, DOUBLE = "stopped", "failed", "skipped", "interrupted", "double"
LIVES = 5  # workers that a trial may take with it, by running out of memory for instance
DRAWS = 300  # of one slot that may be over a limit


@dataclasses.dataclass
class Slots:
    """What a study's entries say of its slots.

    Attributes:
        ended: slot -> the entry that ended it, the first where there are two.
        live: slot -> the entry that waits or runs, the first where there are two.
        attempt, tries: slot -> of its next entry.
        why: slot -> why its last draw was skipped.
        drawn: slot -> what its next entry draws, where one that did not end had drawn it already.
        skipped: entries over a limit.
        lost: entries whose worker was lost.
        doubles: numbers of entries that another of their slot makes needless.
    """

    ended: dict[int, FrozenTrial] = dataclasses.field(default_factory=dict)
    live: dict[int, FrozenTrial] = dataclasses.field(default_factory=dict)
    attempt: dict[int, int] = dataclasses.field(default_factory=dict)
    tries: dict[int, int] = dataclasses.field(default_factory=dict)
    why: dict[int, str] = dataclasses.field(default_factory=dict)
    drawn: dict[int, dict[str, Any]] = dataclasses.field(default_factory=dict)
    skipped: list[FrozenTrial] = dataclasses.field(default_factory=list)
    lost: int = 0
    doubles: set[int] = dataclasses.field(default_factory=set)

    @classmethod
    def of(cls, entries: Iterable[FrozenTrial]) -> "Slots":
        """Read a study's trials, in their order."""
        slots = cls()
        for entry in entries:
            slot = entry.user_attrs.get(SLOT)
            if slot is None:  # somebody else's, enqueued by hand
                if not entry.state.is_finished():
                    slots.doubles.add(entry.number)
                continue
            slots._add(entry, slot)
        for slot, entry in list(slots.live.items()):
            if slot in slots.ended:
                slots.doubles.add(entry.number)
                del slots.live[slot]
        return slots

    def _add(self, entry: FrozenTrial, slot: int) -> None:
        end = entry.user_attrs.get(END)
        if entry.state in (TrialState.WAITING, TrialState.RUNNING):
            other = self.live.get(slot)
            if other is None:
                self.live[slot] = entry
            elif other.state == TrialState.WAITING and entry.state == TrialState.RUNNING:
                self.live[slot] = entry
                self.doubles.add(other.number)
            else:
                self.doubles.add(entry.number)
        elif entry.state in (TrialState.COMPLETE, TrialState.PRUNED) or end == FAILED:
            self.ended.setdefault(slot, entry)
        elif end == SKIPPED:
            self.skipped.append(entry)
            if entry.user_attrs[ATTEMPT] >= self.attempt.get(slot, 0):
                self.attempt[slot], self.tries[slot] = entry.user_attrs[ATTEMPT] + 1, 1
                self.why[slot] = entry.user_attrs.get(WHY, "")
                self.drawn.pop(slot, None)
        elif end != DOUBLE:
            self._add_unfinished(entry, slot, end)

    def _add_unfinished(self, entry: FrozenTrial, slot: int, end: str | None) -> None:
        if PROPOSAL in entry.user_attrs and entry.user_attrs[ATTEMPT] == self.attempt.get(slot, 0):
            self.drawn[slot] = entry.params
        if end != INTERRUPTED:
            self.lost += 1
            self.tries[slot] = entry.user_attrs[TRIES] + 1
            if self.tries[slot] > LIVES:
                self.ended.setdefault(slot, entry)


class Queue:
    """The slots of all arms of a search.

    Args:
        store: where it is kept.
        studies: arm -> its study; arms take turns in this order.
        trials: slots of each arm.
    """

    def __init__(self, store: Store, studies: Mapping[str, optuna.Study], trials: int) -> None:
        self.store, self.studies, self.trials = store, studies, trials
        self.seen: dict[str, Slots] = {}

    def look(self) -> dict[str, Slots]:
        """How every arm stands."""
        self.seen = {arm: Slots.of(study.get_trials(deepcopy=False)) for arm, study in self.studies.items()}
        return self.seen

    def take(self) -> str | None:
        """The arm whose study has, as its first waiting entry, the next slot; None where none is free.

        Only with the turn, which has to be kept until the entry runs.

        Raises:
            ConfigError: a slot of which no draw is within the limits.
        """
        for study in self.studies.values():
            self.store.lose_orphans(study)
        free: list[tuple[int, int, str]] = []
        for place, (arm, slots) in enumerate(self.look().items()):
            waiting = (k for k, entry in slots.live.items() if entry.state == TrialState.WAITING and k < self.trials)
            missing = (k for k in range(self.trials) if k not in slots.ended and k not in slots.live)
            slot = min(waiting, default=next(missing, None))
            if slot is not None:
                free.append((slot, place, arm))
        if not free:
            return None
        slot, _, arm = min(free)
        return arm if slot in self.seen[arm].live or self._put(arm, slot) else None

    def put_companion(self, arm: str, slot: int, block: int, params: Mapping[str, Any]) -> bool:
        """Put in front a slot to be trained together with `slot`, whose entry drew `params`; False where there is none.

        Slots go together in blocks of `block`. One that has drawn nothing yet is given all but the rates, which it
        draws for itself; one that has goes along if it is the same net. Only with the turn.
        """
        slots = self.look()[arm]
        if any(entry.state == TrialState.WAITING for entry in slots.live.values()):
            return False  # what waits would be taken instead
        first = slot // block * block
        shared = {name: value for name, value in params.items() if not is_rate(name)}
        for k in range(first, min(first + block, self.trials)):
            if k in slots.ended or k in slots.live or slots.attempt.get(k, 0) >= DRAWS:
                continue
            drawn = slots.drawn.get(k)
            if drawn is None or shared == {name: value for name, value in drawn.items() if not is_rate(name)}:
                return self._put(arm, k, shared if drawn is None else drawn)
        return False

    def _put(self, arm: str, slot: int, drawn: Mapping[str, Any] | None = None) -> bool:
        """Enqueue the slot's next entry, that draws what it had drawn, or `drawn`; False where the turn was lost, with
        the connection to a database."""
        slots = self.seen[arm]
        attempt = slots.attempt.get(slot, 0)
        if attempt >= DRAWS:
            raise ConfigError(
                f"{DRAWS} draws of one trial were all over a limit, the last one because {slots.why[slot]}; raise the "
                "limit, or give a --space of smaller nets"
            )
        if not self.store.has_turn():
            return False
        entry = {SLOT: slot, ATTEMPT: attempt, TRIES: slots.tries.get(slot, 1)}
        # A sampler may have learned since then: what was drawn is given to it, so that it is the same trial.
        self.studies[arm].enqueue_trial(dict(drawn or slots.drawn.get(slot, {})), user_attrs=entry)
        return True

    def needless(self, arm: str, number: int, slot: int | None) -> bool:
        """Whether an entry that was just taken does what another has done or does; still with the turn."""
        slots = self.seen[arm]
        if slot is None or slot >= self.trials or slot in slots.ended or number in slots.doubles:
            return True
        other = slots.live.get(slot)
        return other is not None and other.number != number and other.state == TrialState.RUNNING

    def over(self) -> bool:
        """Whether every slot has ended; as last seen."""
        return all(self.left(arm) == 0 for arm in self.studies)

    def left(self, arm: str) -> int:
        """Slots of an arm that have not ended; as last seen."""
        return sum(k not in self.seen[arm].ended for k in range(self.trials))
