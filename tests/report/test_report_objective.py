import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console
from run_folder import trials as made_trials

from kws_dendrite.report.front_chart import front_chart, spoken, trial_facts
from kws_dendrite.report.pareto import plot_front
from kws_dendrite.report.terminal import front_table
from kws_dendrite.report.trials import points_from_trials

LABEL = "Latency on cortex-m4 at 80 MHz, ms"


def held(rng):
    """Trials whose latency falls as their parameters rise."""
    records = made_trials(rng)
    for record in records:
        value = 2000 / record["parameters"]
        record["objective"] = {"name": "latency:cortex-m4@80", "label": LABEL, "value": value}
    return records


def test_the_front_is_against_the_objective():
    pair = [
        {"number": 0, "parameters": 900, "validation_accuracy": 0.9, "objective": {"label": LABEL, "value": 0.5}},
        {"number": 1, "parameters": 500, "validation_accuracy": 0.8, "objective": {"label": LABEL, "value": 0.7}},
    ]
    assert [point.number for point in points_from_trials(pair) if point.front] == [0]
    for record in pair:
        del record["objective"]
    assert [point.number for point in points_from_trials(pair) if point.front] == [0, 1]


def test_every_chart_names_it(tmp_path, rng):
    points = points_from_trials(held(rng))
    plot_front(points, [tmp_path / "front.svg"], dataset="d")
    picture = " ".join(ElementTree.parse(tmp_path / "front.svg").getroot().itertext())
    chart = front_chart(points, 780, 540, "wide", None)
    for text in (picture, chart):
        assert f"{LABEL} (log scale)" in text and "Folded parameters" not in text
    assert "latency on cortex-m4 at 80 MHz, ms against validation accuracy" in chart
    assert trial_facts(points[0])["rows"][0] == [LABEL, f"{points[0].held:.3g}"]
    assert f"{LABEL} {points[0].held:.3g}, {points[0].parameters:,} parameters" in spoken(points[0])


def test_values_below_one_have_their_place(rng):
    points = points_from_trials(held(rng))
    assert min(point.size for point in points) < 1 < max(point.size for point in points)
    assert all(point.size == pytest.approx(2000 / point.parameters) for point in points)


def test_the_table_has_a_column_of_it(rng):
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(front_table(held(rng)))
    assert LABEL in capture.get()
