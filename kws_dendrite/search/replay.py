"""What the rule for hopeless trials saves and what it costs: told from trials that were trained to their end.

Trials go past in the order of their numbers. Each is looked at as it would have been, against the front and the gains
of those before it; one that the rule ends adds nothing from there on. What it would have come to is in its record, so
that a false stop can be counted. What the sampler would have drawn after a stop is not: the draws stay as recorded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from kws_dendrite.search.stopping import Board, Finished, Standing, StoppingRule, Verdict, pairs_of, undominated


class Recorded(Finished, Protocol):
    """What a replay reads of a trial beside that."""

    number: int
    seconds: float
    saved: int


@dataclass(frozen=True)
class StoppedTrial:
    """A trial that the rule ends, or an audit that it would have ended.

    Attributes:
        number, arm: which.
        verdict: of the check.
        beyond: whether it came above the bound in the end.
        reached: whether a net of it would have been on the front of the trials before it.
        owned: nets of it on the front of the whole record.
        epochs, seconds: that it took from the check on; seconds in proportion to its epochs.
    """

    number: int
    arm: str
    verdict: Verdict
    beyond: bool
    reached: bool
    owned: int
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Replay:
    """Attributes:
    trials: with a curve, in all; `looked_at` came to a check with a bound.
    epochs, seconds: that the record took.
    front: nets on its front.
    beyond: share of the trials looked at that came above a bound, at any check: what `risk` is to limit.
    stopped: what the rule ends.
    audited: trials kept for audit among those looked at; `audit_stops` would have been ended.
    kept_front: (size, merit) of the front without what was stopped; `full_front` with it.
    """

    trials: int
    looked_at: int
    epochs: int
    seconds: float
    front: int
    beyond: float
    stopped: tuple[StoppedTrial, ...]
    audited: int
    audit_stops: tuple[StoppedTrial, ...]
    full_front: tuple[tuple[float, float], ...]
    kept_front: tuple[tuple[float, float], ...]

    @property
    def saved_epochs(self) -> float:
        """Share of all epochs."""
        return sum(stop.epochs for stop in self.stopped) / max(self.epochs, 1)

    @property
    def saved_seconds(self) -> float:
        """Share of all seconds."""
        return sum(stop.seconds for stop in self.stopped) / max(self.seconds, 1e-9)

    @property
    def false_stops(self) -> int:
        """Trials that the rule ends, and that would have reached the front as it then was."""
        return sum(stop.reached for stop in self.stopped)

    @property
    def lost(self) -> int:
        """Nets of the whole record's front that the rule would have cost."""
        return sum(stop.owned for stop in self.stopped)

    def to_json(self) -> dict[str, Any]:
        """With the shares worked out."""
        shares = ("saved_epochs", "saved_seconds", "false_stops", "lost")
        return asdict(self) | {name: getattr(self, name) for name in shares}


def replay(trials: Iterable[Recorded], rule: StoppingRule, maximise: str = "accuracy") -> Replay:
    """The rule on a record: of a search that stopped none, or of one that did, where only its audits tell."""
    with_curve = sorted((trial for trial in trials if trial.curve and trial.planned), key=lambda trial: trial.number)
    full = undominated([pair for trial in with_curve for pair in pairs_of(trial.points, maximise)])
    board = Board(rule, maximise)
    stopped: list[StoppedTrial] = []
    audits: list[StoppedTrial] = []
    looked_at = audited = beyond = 0
    for trial in with_curve:
        ended = None
        if trial.state == "complete" and trial.points and trial.slot is not None:
            verdicts = _verdicts(trial, rule, board.standing(trial.arm))
            looked_at += bool(verdicts)
            best = max(point.merit(maximise) for point in trial.points)
            beyond += any(best > verdict.bound for verdict in verdicts)
            hopeless = next((verdict for verdict in verdicts if verdict.hopeless), None)
            if hopeless:
                ended = _ended(trial, hopeless, board, full)
            if verdicts and not rule.may_stop(trial.slot):
                audited += 1
                audits += [ended] if ended else []
                ended = None
        if ended:
            stopped.append(ended)
        else:
            board.add(trial)
    return Replay(
        trials=len(with_curve),
        looked_at=looked_at,
        epochs=sum(len(trial.curve) for trial in with_curve),
        seconds=sum(trial.seconds for trial in with_curve),
        front=len(full),
        beyond=beyond / max(looked_at, 1),
        stopped=tuple(stopped),
        audited=audited,
        audit_stops=tuple(audits),
        full_front=tuple(full),
        kept_front=tuple(board.pairs),
    )


def _verdicts(trial: Recorded, rule: StoppingRule, standing: Standing) -> list[Verdict]:
    """Of every check that had enough to learn from, in order."""
    assert trial.planned is not None
    size = min(point.value for point in trial.points)
    found = [
        standing.look(rule, trial.curve[:done], trial.planned, size)
        for done in sorted(rule.epochs(trial.planned))
        if done < len(trial.curve)
    ]
    return [verdict for verdict in found if verdict and verdict.known]


def _ended(trial: Recorded, verdict: Verdict, board: Board, full: Sequence[tuple[float, float]]) -> StoppedTrial:
    pairs = pairs_of(trial.points, board.maximise)
    now = board.standing(trial.arm)
    left = len(trial.curve) - verdict.epochs
    return StoppedTrial(
        number=trial.number,
        arm=trial.arm,
        verdict=verdict,
        beyond=max(merit for _, merit in pairs) > verdict.bound,
        reached=any(merit > now.front_at(size) for size, merit in pairs),
        owned=sum(pair in full for pair in pairs),
        epochs=left,
        seconds=trial.seconds * left / len(trial.curve),
    )
