import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folder import trials as made_trials

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation import t_interval
from kws_dendrite.report.trials import points_from_trials, subtitle


def trial(number, parameters, accuracy, arm="plain", **more):
    return {"number": number, "arm": arm, "parameters": parameters, "validation_accuracy": accuracy, **more}


def test_fronts_by_hand():
    points = points_from_trials([
        trial(0, 100, 0.80), trial(1, 200, 0.90), trial(2, 200, 0.85), trial(3, 300, 0.90),
        trial(4, 150, 0.82, "grown"), trial(5, 250, 0.88, "grown"), trial(6, 90, 0.70, "grown"),
    ])  # fmt: skip
    assert [p.number for p in points if p.front] == [0, 1, 4, 6]
    assert [p.number for p in points if p.arm_front and p.arm == "plain"] == [0, 1]
    assert [p.number for p in points if p.arm_front and p.arm == "grown"] == [4, 5, 6]


def test_equal_trials_count_once():
    points = points_from_trials([trial(1, 100, 0.8), trial(0, 100, 0.8)])
    assert [p.number for p in points if p.front] == [0]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=25))
def test_front_is_what_nothing_dominates(pairs):
    points = points_from_trials([trial(k, size, score / 20) for k, (size, score) in enumerate(pairs)])
    for point in points:
        better = [
            other for other in points
            if other.parameters <= point.parameters and other.accuracy >= point.accuracy
            and (other.parameters, other.accuracy) != (point.parameters, point.accuracy)
        ]  # fmt: skip
        twins = [o for o in points if (o.parameters, o.accuracy) == (point.parameters, point.accuracy)]
        assert point.front == (not better and point is min(twins, key=lambda p: p.number))


def test_marks_of_the_search_are_kept():
    points = points_from_trials([trial(0, 100, 0.8, front=False), trial(1, 200, 0.9, front=True)])
    assert [p.front for p in points] == [False, True]


def test_unfinished_trials_are_left_out_and_intervals_are_over_members(rng):
    records = made_trials(rng)
    points = points_from_trials(records)
    finished = [record for record in records if record["validation_accuracy"] is not None]
    assert len(points) == len(finished) < len(records)
    first = next(record for record in finished if record["number"] == points[0].number)
    assert points[0].interval == pytest.approx(t_interval(first["validation_accuracy_members"]))


def test_failed_trials_are_left_out_whatever_they_scored():
    assert points_from_trials([trial(0, 10, 0.9, state="failed"), trial(1, 10, 0.5, state="complete")])[0].number == 1


def test_one_seed_has_no_interval_and_intervals_stay_inside():
    assert points_from_trials([trial(0, 10, 0.9, validation_accuracy_members=[0.9])])[0].interval is None
    low, high = points_from_trials([trial(0, 10, 0.9, validation_accuracy_members=[0.8, 1.0])])[0].interval
    assert (low, high) == (0.0, 1.0)


def test_a_wrong_type_names_the_file_and_field():
    with pytest.raises(DataError, match=r'trials\.json: "parameters" should be a number'):
        points_from_trials([trial(0, "many", 0.9)], "x/trials.json")


def net(accuracy, parameters, dendrites):
    return {"validation_accuracy": accuracy, "parameters": parameters, "dendrites": dendrites, "value": parameters}


def test_every_number_of_dendrites_is_a_net_of_its_own():
    points = points_from_trials([
        trial(0, 150, 0.9, "growth", points=[net(0.8, 100, 0), net(0.79, 120, 1), net(0.9, 150, 2)], state="complete"),
        trial(1, 130, 0.85, points=[net(0.85, 130, 0)], state="complete"),
        trial(2, 90, 0.7, points=[net(0.7, 90, 0)], state="stopped"),
        trial(3, 80, 0.99, points=[net(0.99, 80, 0)], state="failed"),
    ])  # fmt: skip
    assert [p.key for p in points] == ["0", "0-1", "0-2", "1", "2"]
    assert [p.key for p in points if p.front] == ["0", "0-2", "1", "2"]
    assert subtitle(points, None, "validation").endswith("3 trials, 5 nets")


def test_a_nets_own_cost_counts_where_it_is_not_the_parameters():
    record = trial(0, 150, 0.9, objective={"label": "RAM", "value": 4000}, points=[net(0.8, 100, 0) | {"value": 3000}])
    (point,) = points_from_trials([record])
    assert (point.held, point.axis, point.parameters) == (3000, "RAM", 100)
