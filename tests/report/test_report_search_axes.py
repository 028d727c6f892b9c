import pytest
from test_report_search_trials import point, trial

from kws_dendrite.report.search_axes import SHOWN, axes_of, best_spot, lines_of
from kws_dendrite.report.search_trials import read_trials


def trials_of(rows, arm="plain"):
    return read_trials([
        trial(k, point(0.5 + 0.01 * k, 100 + 10 * k), params=params, arm=arm) for k, params in enumerate(rows)
    ])  # fmt: skip


def by_name(trials, **more):
    return {axis.name: axis for axis in axes_of(trials, "Parameters", **more)}


def test_a_range_a_choice_and_what_only_some_trials_have():
    rows = [
        {"rate": 10.0 ** -(k % 4) * (1 + k / 20), "kind": "ab"[k % 2]} | ({"depth": k} if k > 5 else {})
        for k in range(12)
    ]
    axes = by_name(trials_of(rows))
    assert list(axes) == ["rate", "kind", "depth", "Parameters", "Accuracy (%)"]
    assert max(axes["rate"].values) == 1 and min(axes["rate"].values) == 0  # logarithmic, from end to end
    assert [words for _, words in axes["kind"].ticks] == ["a", "b"]
    low, high = axes["kind"].values[0::2], axes["kind"].values[1::2]
    assert max(low) < 0.5 < min(high)  # set aside a little, but never into another choice
    assert axes["depth"].values[:6] == (None,) * 6 and axes["depth"].words[:6] == ("",) * 6
    assert all(0 <= value <= 1 for axis in axes.values() for value in axis.values if value is not None)
    assert axes["Accuracy (%)"].words[0] == "50.0 %" and axes["Accuracy (%)"].fixed


def test_what_never_varies_is_no_axis_and_lists_are_choices():
    axes = by_name(trials_of([{"same": 3, "dilations": [1, k % 2]} for k in range(4)]))
    assert "same" not in axes
    assert [words for _, words in axes["dilations"].ticks] == ["1, 0", "1, 1"]


def test_the_most_important_stand_on_the_page():
    rows = [{f"p{j}": (k * (j + 3)) % 7 for j in range(SHOWN + 3)} for k in range(14)]
    shown = by_name(trials_of(rows), importance={f"p{SHOWN + 2}": 0.9, f"p{SHOWN + 1}": 0.1})
    names = [name for name, axis in shown.items() if axis.shown and not axis.fixed]
    assert len(names) == SHOWN and {f"p{SHOWN + 1}", f"p{SHOWN + 2}"} <= set(names)


def test_lines_are_of_trials_that_count_by_their_net_on_the_front():
    trials = read_trials([
        trial(0, point(0.8, 100), point(0.85, 300, 1), arm="growth"), trial(1, point(0.9, 200)),
        trial(2, state="failed"), trial(3, point(0.1, 100), state="running"),
    ])  # fmt: skip
    assert [t.number for t in lines_of(trials)] == [0, 1]
    assert best_spot(trials[0]).dendrites == 0  # the larger one is beaten
    assert axes_of(read_trials([trial(0, state="failed")]), "Parameters") == []


def test_one_trial_alone_can_be_drawn():
    axes = axes_of(trials_of([{"rate": 0.1}]), "Parameters")
    assert [axis.values for axis in axes] == [(pytest.approx(0.5),), (pytest.approx(0.5),)]
