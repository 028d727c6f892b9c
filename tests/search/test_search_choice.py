from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.choice import RUNNERS_UP, Candidate, Wish, choose
from kws_dendrite.search.limits import Limits


def candidate(trial, parameters, accuracy, half=0.01, ram=1000, price=None, **changed):
    one = Candidate(
        name=f"plain-{trial}-0", trial=trial, arm="plain", dendrites=0, accuracy=accuracy, members=5,
        interval=(accuracy - half, accuracy + half), refitted=True, costs={"parameters": parameters, "ram": ram},
        price=parameters if price is None else price,
    )  # fmt: skip
    return replace(one, **changed)


def wish(min_accuracy=None, **limits):
    return Wish(Limits(**limits), min_accuracy)


SMALL, MIDDLE, LARGE = candidate(0, 500, 0.85), candidate(1, 1400, 0.91), candidate(2, 3000, 0.94, ram=9120)
THREE = [LARGE, SMALL, MIDDLE]


def test_the_most_accurate_within_limits():
    assert choose(THREE, wish()).picked is LARGE
    choice = choose(THREE, wish(max_params=1500))
    assert choice.picked is MIDDLE and "most accurate" in choice.why
    assert [(one, why) for one, why in choice.others] == [
        (SMALL, "less accurate"), (LARGE, "parameter count 3,000 is over --max-params 1,500")
    ]  # fmt: skip


def test_of_equals_the_cheaper_then_the_earlier():
    twin = replace(MIDDLE, name="plain-7-0", trial=7, price=1300)
    assert choose([MIDDLE, twin], wish()).picked is twin
    assert choose([replace(MIDDLE, trial=9), MIDDLE], wish()).picked is MIDDLE


def test_the_cheapest_whose_lower_end_reaches():
    choice = choose(THREE, wish(0.9))
    assert choice.picked is MIDDLE and "2 nets that reach 90.0 %" in choice.why
    assert choice.others[0] == (SMALL, "lower end 84.0 %, under 90.0 %")
    assert choice.others[1] == (LARGE, "more parameters")
    assert choose(THREE, wish(0.905)).picked is LARGE  # the mean alone, 91 %, is not enough


def test_cheap_is_what_the_wish_says():
    quick = replace(LARGE, price=1.0)
    choice = choose([SMALL, MIDDLE, quick], Wish(Limits(), 0.8, "milliseconds"))
    assert choice.picked is quick and "the least milliseconds of 3" in choice.why


def test_one_seed_promises_nothing():
    alone = replace(LARGE, interval=None, members=1)
    with pytest.raises(ConfigError, match="has one seed and no interval"):
        choose([alone], wish(0.5))


def test_where_nothing_fits_the_nearest_is_named():
    with pytest.raises(ConfigError) as caught:
        choose(THREE, wish(max_params=400))
    assert str(caught.value) == (
        "nothing fits: of 3 nets trial 0 (plain) comes nearest, 85.0 %, and its parameter count 500 is over "
        "--max-params 400; raise the limit or search longer"
    )
    with pytest.raises(ConfigError, match=r"trial 1 \(plain\) comes nearest.*its RAM 1,000 B is over --max-ram 900 B"):
        choose([LARGE, replace(SMALL, costs={"parameters": 500, "ram": 2000}), MIDDLE], wish(max_ram=900))


def test_where_nothing_is_accurate_enough_the_nearest_within_the_limits_is_named():
    with pytest.raises(ConfigError) as caught:
        choose(THREE, wish(0.92, max_params=2000))
    assert str(caught.value) == (
        "no net within the limits has a lower interval end of 92.0 %: trial 1 (plain) comes nearest, 91.0 %, and has "
        "[90.0, 92.0] %; lower --min-accuracy or search longer"
    )


def test_nothing_at_all():
    with pytest.raises(ConfigError, match="no finished trial"):
        choose([], wish())


def test_dendrites_are_in_the_title():
    assert replace(SMALL, arm="gradient", dendrites=1).title == "trial 0 (gradient with 1 dendrite a neuron)"
    assert replace(SMALL, arm="gradient", dendrites=2).title == "trial 0 (gradient with 2 dendrites a neuron)"


many = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12).map(
    lambda rows: [candidate(k, 100 * a, b / 10, ram=100 * c + 1) for k, (a, b, c) in enumerate(rows)]
)


@given(many, st.integers(1, 1000), st.integers(1, 1000), st.none() | st.floats(0, 1))
def test_what_is_picked_keeps_to_all_and_no_other_is_better(candidates, parameters, ram, least):
    wanted = wish(least, max_params=parameters, max_ram=ram)

    def fits(one):
        within = one.costs["parameters"] <= parameters and one.costs["ram"] <= ram
        return within and (least is None or one.low >= least)

    fitting = [one for one in candidates if fits(one)]
    if not fitting:
        with pytest.raises(ConfigError) as caught:
            choose(candidates, wanted)
        assert "\n" not in str(caught.value) and "comes nearest" in str(caught.value)
        return
    choice = choose(candidates, wanted)
    assert fits(choice.picked)
    if least is None:
        assert choice.picked.accuracy == max(one.accuracy for one in fitting)
    else:
        assert choice.picked.price == min(one.price for one in fitting)
    assert len(choice.others) == min(RUNNERS_UP, len(candidates) - 1)
    assert choice.picked.name not in {one.name for one, _ in choice.others}
