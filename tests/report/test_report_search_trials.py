import numpy as np
import pytest
from search_folder import search_trials

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation import t_interval
from kws_dendrite.report.search_trials import all_spots, read_trials, the_front


def point(accuracy, size, dendrites=0, **more):
    return {"validation_accuracy": accuracy, "parameters": size, "value": size, "dendrites": dendrites, **more}


def trial(number, *points, state="complete", arm="plain", **more):
    return {"number": number, "arm": arm, "state": state, "points": list(points), **more}


def test_every_dendrite_count_is_a_point_of_its_own():
    trials = read_trials([
        trial(0, point(0.8, 100), point(0.79, 120, 1), point(0.9, 150, 2), arm="growth"),
        trial(1, point(0.85, 130)),
        trial(2, point(0.95, 90), state="failed"),
        trial(3, point(0.95, 90), state="running"),
        trial(4, point(0.7, 80), state="stopped"),
    ])  # fmt: skip
    assert [(s.trial, s.dendrites) for s in the_front(trials)] == [(4, 0), (0, 0), (1, 0), (0, 2)]
    assert [(s.trial, s.dendrites) for s in the_front(trials, "growth")] == [(0, 0), (0, 2)]
    assert [(s.trial, s.dendrites) for s in the_front(trials, "plain")] == [(4, 0), (1, 0)]
    assert len(all_spots(trials)) == 7


def test_a_search_by_loss_has_the_front_that_it_looked_for():
    trials = read_trials([
        trial(0, point(0.9, 100, validation_loss_members=[0.5, 0.7]), maximise="loss"),
        trial(1, point(0.8, 120, validation_loss_members=[0.5, 0.5]), maximise="loss"),
    ])  # fmt: skip
    assert [spot.trial for spot in the_front(trials)] == [0, 1]


def test_another_objective_is_the_size():
    trials = read_trials([trial(0, point(0.8, 100) | {"value": 4096.0}), trial(1, point(0.8, 50) | {"value": 5000.0})])
    assert [(s.trial, s.size) for s in the_front(trials)] == [(0, 4096.0)]


def test_trials_of_an_older_search_have_one_point():
    old = {"number": 3, "arm": "plain", "validation_accuracy": 0.9, "parameters": 700, "state": "complete",
           "validation_accuracy_members": [0.88, 0.92], "objective": {"label": "RAM", "value": 4096}}  # fmt: skip
    (read,) = read_trials([old])
    (spot,) = read.spots
    assert (spot.accuracy, spot.parameters, spot.size, spot.dendrites) == (0.9, 700, 4096, None)
    assert spot.interval == pytest.approx((max(0, t_interval([0.88, 0.92])[0]), 1.0))
    assert read.label == "RAM" and not read.curve.epochs


def test_draws_that_were_skipped_keep_a_name_of_their_own():
    trials = read_trials([trial(2, state="skipped", attempt=k, why="RAM") for k in range(2)] + [trial(2, attempt=2)])
    assert [t.key for t in trials] == ["2, draw 1", "2, draw 2", "2"]
    assert not all_spots(trials)


def test_curves_and_moments():
    epochs = [{"epoch": k, "phase": "cycle 1", "validation_accuracy": [0.5 + 0.1 * k, 0.7 + 0.1 * k]} for k in range(2)]
    (read,) = read_trials([trial(0, state="running", curve=epochs, started="2026-03-04T20:00:00", ended=None)])
    assert read.curve.epochs == (1, 2)
    assert read.curve.accuracy == pytest.approx((0.6, 0.7))
    assert read.curve.low == pytest.approx((0.5, 0.6)) and read.curve.high == pytest.approx((0.7, 0.8))
    assert (read.epoch, read.accuracy_so_far) == (2, pytest.approx(0.7))
    assert read.started == 1772654400.0 and read.ended is None
    assert read_trials([trial(0, started=12.5)])[0].started == 12.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "asleep"}, '"state" should be one of complete, stopped'),
        ({"started": "yesterday"}, '"started" should be a time'),
        ({"points": 7}, '"points" should be a list'),
        ({"curve": [3]}, '"curve" should be a list'),
        ({"points": [{"validation_accuracy": "high"}]}, '"validation_accuracy" should be a number'),
    ],
)
def test_what_cannot_be_read_is_named(change, words):
    with pytest.raises(DataError, match=rf"x/trials\.json: {words}"):
        read_trials([trial(0) | change], "x/trials.json")


def test_a_search_in_the_middle_is_read_whole():
    records = search_trials(np.random.default_rng(3))
    trials = read_trials(records)
    assert len(trials) == len(records) and {t.state for t in trials} == {r["state"] for r in records}
    assert len(all_spots(trials)) == sum(len(record["points"]) for record in records)
