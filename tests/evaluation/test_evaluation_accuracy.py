import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation import evaluate_scores, t_interval, wilson_interval

NAMES = ("yes", "no", "_unknown_")


def scores_of(decisions, classes=3):
    return np.eye(classes, dtype=np.float32)[np.asarray(decisions)]


def test_one_model_by_hand():
    got = evaluate_scores(scores_of([0, 0, 1, 2, 1]), np.array([0, 0, 1, 1, 1]), NAMES)
    assert got.accuracy == 0.8
    assert got.clips == 5
    assert got.members == 1
    assert got.interval == got.clip_interval == wilson_interval(4, 5)
    assert got.interval_kind == "Wilson over clips"
    assert got.recall == (1.0, 2 / 3, None)  # no clip of the third class
    assert got.balanced_accuracy == pytest.approx(5 / 6)
    assert got.confusion == ((2, 0, 0), (0, 2, 1), (0, 0, 0))


def test_several_seeds():
    labels = np.array([0, 1, 2, 1])
    scores = np.stack([scores_of(decisions) for decisions in ([0, 1, 2, 1], [0, 1, 0, 1], [1, 1, 0, 1])])
    got = evaluate_scores(scores, labels, NAMES)
    assert got.accuracies == (1.0, 0.75, 0.5)
    assert got.accuracy == 0.75
    assert got.interval_kind == "t over seeds"
    low, high = t_interval([1.0, 0.75, 0.5])
    assert got.interval == (max(0, low), min(1, high))
    assert got.clip_interval == wilson_interval(3, 4)
    assert np.sum(got.confusion) == 12  # summed over members


def test_json_round_trip():
    got = evaluate_scores(scores_of([0, 1]), np.array([0, 2]), NAMES).to_json()
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert got["recall"] == [1.0, None, 0.0]


@given(st.integers(1, 4), st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_parts_agree(members, clips, classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((members, clips, classes)), rng.integers(0, classes, clips)
    got = evaluate_scores(scores, labels, [str(k) for k in range(classes)])
    confusion = np.array(got.confusion)
    assert confusion.sum() == members * clips
    assert got.accuracy == pytest.approx(np.trace(confusion) / confusion.sum())
    assert got.accuracy == pytest.approx(np.mean(got.accuracies))
    assert 0 <= got.interval[0] <= got.accuracy + 1e-12
    assert got.accuracy <= got.interval[1] + 1e-12
    assert got.interval[1] <= 1


@pytest.mark.parametrize(("scores", "labels", "message"), [
    (np.zeros((2, 4)), [0, 1], "class names"),
    (np.zeros((0, 3)), np.zeros(0, int), "no clips"),
    (np.zeros(3), [0], "clips, classes"),
    (np.zeros((2, 3)), [0], "one label a clip"),
    (np.zeros((2, 3)), [0, 3], "0..2"),
    (np.zeros((2, 3)), [0, -1], "0..2"),
    (np.zeros((2, 3)), [0.0, 1.0], "integers"),
    (np.array([[0, 0, 1], [np.nan, 0, 0]]), [0, 1], "first is clip 1"),
])  # fmt: skip
def test_refuses(scores, labels, message):
    with pytest.raises(DataError, match=message):
        evaluate_scores(scores, np.asarray(labels), NAMES)
