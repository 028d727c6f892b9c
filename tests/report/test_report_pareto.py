import xml.etree.ElementTree as ElementTree

import pytest
from run_folder import trials as made_trials

from kws_dendrite.errors import DataError
from kws_dendrite.report.pareto import plot_front
from kws_dendrite.report.trials import accuracy_range, points_from_trials, subtitle


def words(path):
    return " ".join(ElementTree.parse(path).getroot().itertext())


def test_svg_says_what_it_shows(tmp_path, rng):
    points = points_from_trials(made_trials(rng))
    plot_front(points, [tmp_path / "front.svg"], dataset="Spoken <digits>", clips=1655, synthetic=True)
    text = words(tmp_path / "front.svg")
    for part in ("Spoken <digits>", "1,655 validation clips", "P = 5", "Folded parameters", "Validation accuracy (%)",
                 "SYNTHETIC DEMO DATA", "plain", "gradient", "perforated"):  # fmt: skip
        assert part in text


def test_real_data_carries_no_stamp(tmp_path, rng):
    plot_front(points_from_trials(made_trials(rng)), [tmp_path / "front.svg"], dataset="real")
    assert "SYNTHETIC" not in words(tmp_path / "front.svg")


def test_same_points_same_bytes(tmp_path, rng):
    points = points_from_trials(made_trials(rng))
    for name in ("a", "b"):
        plot_front(points, [tmp_path / f"{name}.png", tmp_path / f"{name}.svg"], dataset="d")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_one_point_can_be_drawn(tmp_path):
    points = points_from_trials([{"number": 0, "arm": "plain", "parameters": 700, "validation_accuracy": 1.0}])
    plot_front(points, [tmp_path / "one.png"], dataset="d")
    assert subtitle(points, None, "validation") == "validation clips, P = 1 seed a trial, 1 trial"
    low, high = accuracy_range(points)
    assert low < 1.0 <= high


def test_refuses_nothing_to_draw_and_other_formats(tmp_path):
    with pytest.raises(DataError, match="no finished trial"):
        plot_front([], [tmp_path / "a.png"], dataset="d")
    points = points_from_trials([{"number": 0, "parameters": 700, "validation_accuracy": 0.9}])
    with pytest.raises(DataError, match=r"a\.pdf"):
        plot_front(points, [tmp_path / "a.pdf"], dataset="d")
    assert not list(tmp_path.iterdir())
