import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from tiny_rows import make_row, right

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.evaluation import crossed_difference, t_interval
from kws_dendrite.study.folder import open_folder
from kws_dendrite.study.reading import Reading
from kws_dendrite.study.reading import TestRecord as Record
from kws_dendrite.study.reading import TestScores as Scores
from kws_dendrite.study.results import gather
from kws_dendrite.study.rows import RowStore

MADE_OF = {"name": "tiny", "labels": ["a", "b"], "clips": {"validation": 50}, "recipe": {"epochs": 60}, "seed": 0}
ARMS = {"plain": 0.8, "plain_restart": 0.81, "gradient": 0.83}


def make_folder(folder, arms=ARMS, sizes=(700, 1400), members=4, tested=True, paper=False):
    open_folder(folder, MADE_OF)
    store, record, rows = RowStore(folder), Record(folder), []
    for number, size in enumerate(sizes):
        for arm, share in arms.items():
            shares = tuple(share + 0.05 * number + 0.004 * p for p in range(members))
            rows.append((make_row(arm, size, validation=shares), right(shares, seed=size)))
    rows.append(
        (replace(make_row("spark", 1416, family="spark", validation=(0.9,) * members)), right((0.9,) * members))
    )
    if paper:
        for arm in ("plain", "gradient"):
            rows.append((make_row(f"paper-{arm}-00", 700, validation=(0.8,)), right((0.8,))))
    for row, correct in rows:
        store.path(row.name).mkdir(parents=True)
        store.write(row)
        if tested:
            recall = np.array([0.5, np.nan])
            int8 = correct.copy()
            int8[:, :4] = ~int8[:, :4]
            record.keep(row, Scores(correct, None if row.arm.startswith("paper") else int8, recall))
    if tested:
        now = Reading("2026-01-01T00:00:00+00:00", "0", {row.name: row.weights for row, _ in rows}, finished=True)
        record.write([now])
    return folder


def test_everything_is_there_once(tmp_path):
    results = gather(make_folder(tmp_path / "s"))
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert (results["measured_on"], results["clips"], results["members"]) == ("test", 400, 4)
    assert [row["name"] for row in results["rows"]] == [
        "plain-700", "plain_restart-700", "gradient-700", "plain-1400", "plain_restart-1400", "gradient-1400",
        "spark-1416",
    ]  # fmt: skip
    assert results["readings"] == {"times": ["2026-01-01T00:00:00+00:00"], "later": []}
    assert set(results["verdicts"]) == {"700", "1400"}
    assert results["best_plain"] == {"700": "plain_restart-700", "1400": "plain_restart-1400"}


def test_a_row_in_numbers(tmp_path):
    make_folder(tmp_path / "s")
    row = next(row for row in gather(tmp_path / "s")["rows"] if row["name"] == "gradient-700")
    shares = np.round(400 * np.array([0.83, 0.834, 0.838, 0.842])) / 400
    assert row["accuracy_members"] == pytest.approx(shares)
    assert row["interval"] == pytest.approx(t_interval(shares))
    assert row["int8_change"] == pytest.approx(row["int8_accuracy"] - row["accuracy"])
    correct = right((0.83, 0.834, 0.838, 0.842), seed=700)
    assert row["both_interval"] == pytest.approx(crossed_difference(correct, np.zeros_like(correct)).interval)
    assert row["recall"] == [0.5, None]


@pytest.mark.parametrize(
    ("growth", "steps", "epochs"),
    [
        (DendriteConfig(mode="growth", candidate_epochs=5, probe=(1.0, 0.3)), 2, 14),
        (DendriteConfig(mode="perforated"), 1, 8),
        (DendriteConfig(mode="gradient", probe=(0.3,)), 1, 1),
        (DendriteConfig(mode="gradient", insertion="start", probe=(0.3,)), 1, 0),
        (None, 0, 0),
    ],
)
def test_epochs_of_candidates_and_probes_are_told(tmp_path, growth, steps, epochs):
    open_folder(tmp_path / "s", MADE_OF)
    row = make_row("gradient")
    made_of = row.made_of | {"growth": json.loads(json.dumps(asdict(growth))) if growth else None}
    RowStore(tmp_path / "s").path(row.name).mkdir(parents=True)
    RowStore(tmp_path / "s").write(replace(row, made_of=made_of, growth=({"accepted": True},) * steps))
    assert gather(tmp_path / "s")["rows"][0]["candidate_epochs"] == epochs


def test_published_nets_are_compared_with_nothing(tmp_path):
    results = gather(make_folder(tmp_path / "s"))
    assert {one["arm"] for one in results["comparisons"]} == {"plain_restart", "gradient"}
    assert {one["arm"] for one in results["compression"]} == {"plain_restart", "gradient"}
    assert {one["reference"] for one in results["compression"]} == {"plain", "best plain"}


def test_before_the_reading_it_is_validation(tmp_path):
    results = gather(make_folder(tmp_path / "s", tested=False))
    assert (results["measured_on"], results["clips"]) == ("validation", 50)
    assert "int8_accuracy" not in results["rows"][0] and results["paper"] == []
    assert all(one["both"] is None for one in results["comparisons"])


def test_one_row_unread_makes_all_of_it_validation(tmp_path):
    make_folder(tmp_path / "s")
    (tmp_path / "s" / "test" / "gradient-700.npz").unlink()
    assert gather(tmp_path / "s")["measured_on"] == "validation"
    rows = [row for row in RowStore(tmp_path / "s").all() if row.name != "gradient-700"]
    assert gather(tmp_path / "s", rows)["measured_on"] == "test"


def test_one_seed_has_no_interval(tmp_path):
    results = gather(make_folder(tmp_path / "s", members=1))
    assert results["rows"][0]["interval"] is None
    assert results["conclusion"].startswith("One seed")


def test_one_size_has_no_curve(tmp_path):
    assert gather(make_folder(tmp_path / "s", sizes=(700,)))["compression"] == []


def test_the_papers_trials_stand_apart(tmp_path):
    results = gather(make_folder(tmp_path / "s", paper=True))
    assert not any(row["arm"].startswith("paper") for row in results["rows"])
    assert [one["arm"] for one in results["paper"]] == ["gradient"]
    assert results["paper"][0]["honest"] is not None and results["members"] == 4


def test_nothing_finished_is_said(tmp_path):
    open_folder(tmp_path / "s", MADE_OF)
    with pytest.raises(ConfigError, match="no row of the study"):
        gather(tmp_path / "s")
    with pytest.raises(ConfigError, match="holds no study"):
        gather(tmp_path)


def test_two_sizes_that_the_same_net_fits_are_one_point_of_the_curve(tmp_path):
    make_folder(tmp_path / "s", sizes=(700, 702, 1400))
    store = RowStore(tmp_path / "s")
    for row in store.all():
        if row.size == 702:
            store.write(replace(row, parameters=(700,) * row.members))
    found = gather(tmp_path / "s")["compression"]
    assert {(one["arm"], one["size"]) for one in found if one["reference"] == "plain"} == {
        (arm, size) for arm in ("plain_restart", "gradient") for size in (700, 702, 1400)
    }
