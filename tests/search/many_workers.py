"""What has to hold of a search after workers were killed in the middle of their trials, wherever it was kept."""

from collections import Counter

from kws_dendrite.search import pareto_front
from kws_dendrite.search.queue import SLOT
from kws_dendrite.search.sampler import STARTUP_TRIALS


def every_slot_ended_once(search) -> None:
    """Of all entries of a slot, one and only one counts, and it is complete."""
    for study in search.studies.values():
        ended = Counter(t.user_attrs[SLOT] for t in study.trials if t.state.name == "COMPLETE")
        assert ended == dict.fromkeys(range(search.config.trials), 1)
        assert all(t.state.is_finished() for t in study.trials)


def front_of_rows(search) -> list[tuple[float, float]]:
    """The front worked out from the storage's rows alone: (size, accuracy), by comparing all with all."""
    rows = [
        (point["value"], point["validation_accuracy"])
        for study in search.studies.values()
        for trial in study.trials
        if trial.state.name == "COMPLETE"
        for point in trial.user_attrs["outcome"]["points"]
    ]
    beaten = {row for row in rows for other in rows if other != row and other[0] <= row[0] and other[1] >= row[1]}
    return sorted(set(rows) - beaten)


def the_front_is_that_of_the_rows(search) -> None:
    """What the search calls its front."""
    front = [(trial.size, trial.validation_accuracy) for trial in pareto_front(search.results())]
    assert front == front_of_rows(search) and len(front) >= 2


def the_random_start_is_that_of_one_worker(search, alone) -> None:
    """The same nets in the same slots, whoever drew them and in whatever order."""
    drawn = {(t.arm, t.slot): t.params for t in search.records() if t.slot < STARTUP_TRIALS}
    assert drawn == {(t.arm, t.slot): t.params for t in alone.records() if t.slot < STARTUP_TRIALS}
