import json
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_refit import made_up, make_refit

from kws_dendrite.cli.refit_table import front_lines, refit_table
from kws_dendrite.errors import ConfigError
from kws_dendrite.evaluation import crossed_difference, t_interval
from kws_dendrite.search.objective import PARAMETERS, Objective
from kws_dendrite.search.refit_front import (
    FRONT,
    MOST_LIMITS,
    compare_arms,
    optimism,
    read_front,
    summarise,
    write_front,
)
from kws_dendrite.search.refitted import both_interval

CLIPS = 40
NONE = {"times": [], "later": []}


def right(accuracies, seed=0):
    """bool (P, N) with just these accuracies."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(np.arange(CLIPS) < round(a * CLIPS)) for a in accuracies])


def summary(points, scores=None, objective=PARAMETERS):
    correct = {point.name: right(point.accuracy, point.trial) for point in points}
    return summarise(points, correct, scores or {}, objective=objective, planned=len(points) + 1, readings=NONE)


POINTS = [
    made_up(0, 100, (0.5, 0.55, 0.6, 0.5, 0.6)),
    made_up(1, 200, (0.4, 0.45, 0.5, 0.4, 0.5)),
    made_up(2, 300, (0.9, 0.95, 0.9, 0.85, 0.9), arm="gradient"),
    made_up(3, 400, (0.8, 0.85, 0.9, 0.95, 0.9), arm="gradient"),
]


def test_the_front_is_of_the_refitted_means():
    value = summary(POINTS)
    assert [row["name"] for row in value["points"] if row["front"]] == ["plain-0-0", "gradient-2-0"]
    assert (value["planned"], value["finished"], value["members"]) == (5, 4, 5)
    assert value["validation_clips"] == CLIPS and value["test_clips"] is None and value["arms_on"] == "validation"
    for row, point in zip(value["points"], POINTS, strict=True):
        assert row["accuracy"] == pytest.approx(np.mean(point.accuracy))
        assert row["seed_interval"] == pytest.approx(t_interval(point.accuracy))
        assert row["interval"][0] <= row["seed_interval"][0] and row["seed_interval"][1] <= row["interval"][1]
        assert row["said"] == point.said and row["test"] is None
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_where_loss_was_made_small_the_front_is_of_losses():
    points = [replace(POINTS[0], loss=(0.5,) * 5), replace(POINTS[2], loss=(0.6,) * 5)]
    value = summary(points, objective=Objective(maximise="loss"))
    assert [row["name"] for row in value["points"] if row["front"]] == ["plain-0-0"]


def test_optimism_is_what_was_said_less_what_fresh_seeds_say():
    found = optimism(POINTS)
    seeds = np.mean([point.accuracy for point in POINTS], axis=0)
    assert found["said"] == pytest.approx(0.9) and found["refitted"] == pytest.approx(seeds.mean())
    assert found["difference"] == pytest.approx(0.9 - seeds.mean())
    assert found["interval"] == pytest.approx(list(t_interval(0.9 - seeds)))
    assert found["points"] == 4 and found["said_members"] == [2]


def test_points_trained_longer_say_nothing_of_optimism():
    longer = [replace(point, made_of={"epochs": 9}) for point in POINTS]
    assert optimism(longer) is None
    assert optimism([POINTS[0], *longer[1:]])["points"] == 1


def test_an_interval_over_both_is_honest_where_all_is_right():
    low, high = both_interval(np.ones((5, CLIPS), bool))
    assert high == 1.0 and 0.85 < low < 0.95
    low, high = both_interval(np.zeros((5, CLIPS), bool))
    assert low == 0.0 and 0.05 < high < 0.15


def test_arms_are_compared_at_each_limit_by_their_best():
    correct = {point.name: right(point.accuracy, point.trial) for point in POINTS}
    (row,) = compare_arms(POINTS, correct)  # the larger gradient net is no better than the smaller
    assert (row["limit"], row["arm"], row["point"], row["against"], row["against_point"]) == (
        300, "gradient", "gradient-2-0", "plain", "plain-0-0"
    )  # fmt: skip
    found = crossed_difference(correct["gradient-2-0"], correct["plain-0-0"])
    assert row["difference"] == pytest.approx(found.mean) and row["interval"] == pytest.approx(list(found.interval))
    assert row["p_holm"] == row["p_value"]
    assert compare_arms(POINTS[:2], correct) == []


def test_many_limits_are_thinned_and_p_values_corrected():
    points = [
        made_up(
            2 * k + (arm == "gradient"),
            100 + 10 * k,
            np.array((0.4, 0.45, 0.4, 0.45, 0.4)) + 0.025 * k + 0.2 * (arm == "gradient"),
            arm=arm,
        )
        for k in range(12)
        for arm in ("plain", "gradient")
    ]
    rows = compare_arms(points, {point.name: right(point.accuracy, point.trial) for point in points})
    assert 2 <= len(rows) <= MOST_LIMITS
    assert rows[-1]["limit"] == 210
    assert all(row["p_value"] <= row["p_holm"] <= 1 for row in rows)
    assert any(row["p_value"] < row["p_holm"] for row in rows)


def test_with_the_test_clips_read_arms_are_compared_there():
    scores = {
        point.name: SimpleNamespace(
            correct=right(np.array(point.accuracy) - 0.1, 9),
            int8_correct=right(np.array(point.accuracy) - 0.2, 8),
            speakers=np.arange(CLIPS) % 7,
        )
        for point in POINTS
    }
    value = summary(POINTS, scores)
    assert value["arms_on"] == "test" and value["test_clips"] == CLIPS
    for row in value["points"]:
        assert row["test"]["accuracy"] == pytest.approx(row["accuracy"] - 0.1)
        assert row["test"]["int8_accuracy"] == pytest.approx(row["accuracy"] - 0.2)
        assert row["test"]["interval"][0] <= row["test"]["seed_interval"][0]
    some = summary(POINTS, {"plain-0-0": scores["plain-0-0"]})
    assert some["arms_on"] == "validation" and some["points"][1]["test"] is None


def test_it_is_written_and_read(tmp_path):
    assert read_front(tmp_path) is None
    work = make_refit(tmp_path)
    work.run()
    value = write_front(tmp_path, objective=PARAMETERS, planned=3, scores=lambda point: None, readings=NONE)
    assert read_front(tmp_path) == value == json.loads((tmp_path / FRONT).read_text())
    assert [row["parameters"] for row in value["points"]] == sorted(row["parameters"] for row in value["points"])


@pytest.mark.parametrize("content", ["not JSON", "[]", '{"format": 9, "points": []}', '{"format": 1}'])
def test_a_damaged_front_is_one_line(tmp_path, content):
    (tmp_path / FRONT).write_text(content)
    with pytest.raises(ConfigError, match=r"front\.json is not") as caught:
        read_front(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_comparison_of_unequal_epochs_says_so():
    """Growth passed through its best net here: it had half the epochs."""
    from rich.console import Console

    half = [
        replace(point, made_of={**point.made_of, "epochs": 20}, said={**point.said, "epochs": 20})
        if point.arm == "gradient"
        else replace(point, made_of={**point.made_of, "epochs": 40}, said={**point.said, "epochs": 40})
        for point in POINTS
    ]
    for points, words in ((half, ", after 20 epochs against 40)"), (POINTS, ")")):
        value = summary(points)
        assert next(line for line in front_lines(value) if " less " in line).endswith(words)
        console = Console(width=200, record=True, file=StringIO())
        console.print(refit_table(value))
        assert ("epochs" in console.export_text()) == (points is half)
