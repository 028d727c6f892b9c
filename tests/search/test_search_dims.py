import optuna
import pytest
from optuna.trial import FixedTrial

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.dims import Choice, NoneFits, Range, draw, label


def drawn(dim, valid=lambda value: True, times: int = 60) -> tuple[set, set[str]]:
    """Values and names of so many random draws."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    values, names = set(), set()
    for _ in range(times):
        trial = study.ask()
        values.add(draw(trial, "group.name", dim, valid))
        names |= set(trial.params)
    return values, names


def test_a_choice_draws_each_of_its_values_under_its_name():
    assert drawn(Choice((256, 512, 1024))) == ({256, 512, 1024}, {"group.name"})


def test_a_choice_of_some_names_those_that_are_left():
    assert drawn(Choice((256, 512, 1024)), lambda v: v > 300) == ({512, 1024}, {"group.name:512/1024"})
    assert drawn(Choice(("relu", "tanh", "gate")), lambda v: v != "gate")[1] == {"group.name:relu/tanh"}


@pytest.mark.parametrize("dim", [Choice(("relu",)), Choice((3, 5)), Range(5, 5), Range(5, 9)])
def test_where_one_value_is_left_nothing_is_asked(dim):
    only = dim.values[-1] if isinstance(dim, Choice) else 5
    assert drawn(dim, lambda value: value == only) == ({only}, set())


def test_a_choice_of_tuples_gives_them_back():
    dim = Choice(((4, 8), (8, 16, 32), ()))
    assert drawn(dim) == ({(4, 8), (8, 16, 32), ()}, {"group.name"})
    assert draw(FixedTrial({"x": "8,16,32"}), "x", dim) == (8, 16, 32)
    assert draw(FixedTrial({"x": "none"}), "x", dim) == ()


def test_a_whole_range_draws_all_its_numbers_and_keeps_its_name_where_it_is_cut():
    assert drawn(Range(2, 6)) == ({2, 3, 4, 5, 6}, {"group.name"})
    assert drawn(Range(2, 8, step=2)) == ({2, 4, 6, 8}, {"group.name"})
    assert drawn(Range(2, 9), lambda value: value <= 4) == ({2, 3, 4}, {"group.name"})
    assert drawn(Range(2, 9, log=True), lambda value: value >= 8)[0] == {8, 9}


def test_a_range_with_a_step_draws_exact_decimals():
    assert drawn(Range(0.01, 0.03, step=0.005))[0] == {0.01, 0.015, 0.02, 0.025, 0.03}


def test_a_range_of_any_number_stays_within():
    values, _ = drawn(Range(0.01, 0.06, log=True))
    assert len(values) == 60 and all(0.01 <= value <= 0.06 for value in values)


def test_whole_is_what_the_ends_and_the_step_are():
    assert Range(1, 2).whole and not Range(1.0, 2).whole and not Range(1, 2, step=0.5).whole
    assert Range(1.0, 2.0, whole=True) == Range(1, 2)
    assert isinstance(Range(1, 2, whole=False).low, float)


def test_where_nothing_is_left_the_name_is_told():
    for dim in (Choice((1, 2)), Range(1, 2), Range(1.0, 2.0)):
        with pytest.raises(NoneFits, match=r"no value of group\.name goes with what was drawn before it"):
            draw(FixedTrial({}), "group.name", dim, lambda value: False)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Choice(()), "at least one value"),
        (lambda: Choice((1, 2, 1)), "each value once; got 1 twice"),
        (lambda: Choice((1, 1.0)), "each value once"),
        (lambda: Range(3, 2), "a least to a most not below it"),
        (lambda: Range(0, 2, log=True), "begins above 0"),
        (lambda: Range(1, 4, log=True, step=1), "both a step and log"),
        (lambda: Range(1, 4, step=0), "a step is above 0"),
        (lambda: Range("a", 4), "from one number to another"),
        (lambda: Range(True, 4), "from one number to another"),
        (lambda: Range(1.5, 4, whole=True), "whole ends"),
        (lambda: Range(1, float("inf")), "a least to a most"),
        (lambda: Range(1, 10**9), "at most 10,000 steps"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(made, says):
    with pytest.raises(ConfigError, match=says) as caught:
        made()
    assert "\n" not in str(caught.value)


def test_labels():
    assert [label(value) for value in (512, 0.02, "relu", True, (4, 8), ())] == [
        "512", "0.02", "relu", "True", "4,8", "none"
    ]  # fmt: skip
