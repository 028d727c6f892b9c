"""Picks of one search by one request: what is to be chosen from, and training what was not trained with fresh seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kws_dendrite.cli import inputs
from kws_dendrite.cli.refit import train_points, write_summary
from kws_dendrite.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.cli.pick import Request
    from kws_dendrite.cli.searched import SearchData, Searched
    from kws_dendrite.search.choice import Candidate, Choice, Wish
    from kws_dendrite.search.objective import Objective

MOST_TRAINED = 5  # nets trained again to find one that will do; a refit of the front is then the better way


class Desk:
    """Picks of one search by one request."""

    def __init__(self, found: Searched, request: Request) -> None:
        from kws_dendrite.search.objective import DEFAULT_CORE
        from kws_dendrite.search.refit_front import read_front
        from kws_dendrite.search.refitted import RefitStore

        self.found, self.request = found, request
        self.objective = found.objective
        self.wish = request.wish(self.objective, self.objective.core or found.limits.core or DEFAULT_CORE)
        self.store = RefitStore(found.folder)
        self.front = read_front(found.folder)
        self.notes: list[str] = []

    def refitted(self) -> list[Candidate]:
        """Nets with fresh seeds."""
        from kws_dendrite.search.candidates import refitted_candidates

        tests = {row["name"]: row["test"] for row in (self.front or {}).get("points", [])}
        numbers = {(trial.arm, trial.slot): trial.number for trial in self.found.results}
        return refitted_candidates(self.store, self.objective, self.request.target, tests, numbers)

    def searched(self) -> list[Candidate]:
        """Every point by the search's own figures."""
        from kws_dendrite.search.candidates import searched_candidates

        found, unknown = searched_candidates(self.found.results, self.objective, self.request.target)
        if unknown:
            self._note(
                f"{unknown} net(s) of the growth arm are left out: what they cost elsewhere is known after a refit"
            )
        return found

    def unfitted(self) -> list[Candidate]:
        """The points without fresh seeds."""
        known = {point.name for point in self.store.all()}
        return [one for one in self.searched() if one.name not in known]

    def choose(self) -> Choice:
        """By fresh seeds where the whole front has them, else by the search's own figures.

        Where nothing of the refitted front is within the limits, a net beside it may be.

        Raises:
            ConfigError: nothing fits; the message names the nearest.
        """
        from kws_dendrite.search.choice import choose
        from kws_dendrite.search.refit import front_names

        names = front_names(self.found.results)
        have = len(names & {point.name for point in self.store.all()})
        if names and have == len(names):
            refitted = self.refitted()
            within = any(self.wish.limits.broken_by(one.costs) is None for one in refitted)
            if within or all(self.wish.limits.broken_by(one.costs) for one in self.searched()):
                choice = choose(refitted, self.wish)
                self._look_beside(choice.picked)
                return choice
            self._note("nothing of the refitted front is within the limits; this net is beside it")
        some = f"; {have} of {len(names)} nets of the front have fresh seeds" if have else ""
        self._note(
            f"the search's own figures, which the luck of a maximum flatters{some}: "
            f"`kws-dendrite refit {self.found.folder}` trains the front with fresh seeds, --out the picked net alone"
        )
        return choose(self.searched(), self._by_the_mean())

    def choose_trained(self, data: SearchData, members: int, epochs: int | None, console: Console) -> Choice:
        """As `choose`, where the picked net is trained with fresh seeds if it was not.

        With `min_accuracy` the cheapest that should reach it are trained in turn, until one does; without, the next
        where what growth chose anew is over a limit.

        Raises:
            ConfigError: nothing fits, or nothing of what was trained does.
        """
        from kws_dendrite.search.choice import choose

        choice, trained = self.choose(), 0
        while not choice.picked.refitted:
            self.notes.clear()
            name = choice.picked.name
            if name not in {point.name for point in self.store.all()}:
                if trained == MOST_TRAINED:
                    choice = choose(self.refitted(), self.wish)
                    break
                self._train(name, data, members, epochs, console)
                trained += 1
            fresh = next(one for one in self.refitted() if one.name == name)
            if self.wish.min_accuracy is not None:
                choice = choose([*self.refitted(), *self.unfitted()], self._by_the_mean())
            elif self.wish.limits.broken_by(fresh.costs) is None:
                choice = replace(choice, picked=fresh, why=f"{choice.why} by the search's figures")
            else:
                choice = choose([fresh, *self.unfitted()], self.wish)
        if trained > 1:
            self._note(f"{trained} nets were trained with fresh seeds until one would do")
        return choice

    def _by_the_mean(self) -> Wish:
        """Of a search's few seeds the interval says little: what has an accuracy by its mean is worth a try."""
        return replace(self.wish, by_mean=True)

    def _train(self, name: str, data: SearchData, members: int, epochs: int | None, console: Console) -> None:
        from kws_dendrite.search.refit import front_names, name_of, plan_of

        results, seed = self.found.results, self.found.settings["seed"]
        point = next(one for trial in results for one in trial.candidates() if name_of(one) == name)
        inputs.say(console, f"training {name} with {members} fresh seeds")
        work = train_points(self.found, data, [plan_of(point, results, seed, members, epochs)], console)
        if work.left():
            raise DataError(f"another process trains {name}; pick again when it has ended")
        self.front = write_summary(self.found, front_names(results))

    def _look_beside(self, picked: Candidate) -> None:
        """Say where a net without fresh seeds fits, too, and had looked better in the search than the picked one."""
        said = next(point.said["accuracy"] for point in self.store.all() if point.name == picked.name)
        beside = [
            one
            for one in self.unfitted()
            if self.wish.limits.broken_by(one.costs) is None and one.accuracy > said and self.wish.min_accuracy is None
        ]
        if beside:
            best = max(beside, key=lambda one: one.accuracy)
            self._note(
                f"{best.title}, which is not on the front of the search and was not refitted, fits too and had "
                f"{100 * best.accuracy:.1f} % in the search; {picked.title} had {100 * said:.1f} %"
            )

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def report(self, choice: Choice) -> dict[str, Any]:
        """All that is said of a pick, as JSON values."""
        from kws_dendrite.search.limits import ABOUT

        target = self.request.target
        return {
            "folder": str(self.found.folder),
            "picked": self._row(choice.picked, None, choice.picked),
            "why": choice.why,
            "others": [self._row(one, why, choice.picked) for one, why in choice.others],
            "costs_on": None if target is None else {"core": target.core, "mhz": target.mhz},
            "price": self.wish.price,
            "price_of": _cost(target.objective if target else self.objective),
            "limits": self.wish.limits.to_json(),
            "limited": [key for name, (key, _, _) in ABOUT.items() if getattr(self.wish.limits, name) is not None],
            "min_accuracy": self.wish.min_accuracy,
            "validation_clips": self.found.settings.get("validation_clips"),
            "trials": {state: sum(t.state == state for t in self.found.results) for state in ("complete", "running")},
            "notes": list(self.notes),
        }

    def _row(self, one: Candidate, why: str | None, picked: Candidate) -> dict[str, Any]:
        value = {
            "name": one.name,
            "trial": one.trial,
            "arm": one.arm,
            "dendrites": one.dendrites,
            "accuracy": one.accuracy,
            "interval": list(one.interval) if one.interval else None,
            "interval_over": "seeds and clips" if one.refitted else "seeds",
            "members": one.members,
            "refitted": one.refitted,
            "costs": one.costs,
            "price": one.price,
            "test": one.test,
        }
        if why is not None:
            value["against"] = why
            value["difference"] = self._difference(one, picked)
        elif one.refitted:
            value["checkpoint"] = str(self.store.path(one.name))
        return value

    def _difference(self, one: Candidate, picked: Candidate) -> dict[str, Any] | None:
        """Accuracy of a runner-up less the picked one's, paired over seeds and clips; None where they are not."""
        from kws_dendrite.evaluation import crossed_difference

        if not (one.refitted and picked.refitted) or one.members != picked.members:
            return None
        found = crossed_difference(self.store.correct(one.name), self.store.correct(picked.name))
        return {"mean": found.mean, "interval": list(found.interval)}


def _cost(objective: Objective) -> str:
    """The name among costs of what is to be cheap."""
    from kws_dendrite.search.objective import COSTS

    return COSTS.get(objective.kind, objective.kind)
