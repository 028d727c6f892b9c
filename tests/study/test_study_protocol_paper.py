from dataclasses import replace

import numpy as np
import pytest
from tiny_rows import right, scored
from tiny_study import RECIPE, M, make_config, make_source, make_study

from kws_dendrite.errors import ConfigError
from kws_dendrite.study import runner
from kws_dendrite.study.protocol_paper import (
    ARMS,
    PaperConfig,
    conclude,
    draw_clips,
    is_paper,
    with_few_clips,
)
from kws_dendrite.study.runner import make_plans

PAPER = PaperConfig(trials=4, clips=10)


def plans():
    config = make_config("plain", (250,), paper=PAPER, train=replace(RECIPE, epochs=6))
    return [plan for plan in make_plans(make_source(), config) if is_paper(plan.arm)]


def test_equal_trials_one_seed_few_clips_and_epochs_that_are_not_shared():
    found = plans()
    assert len(found) == len(ARMS) * PAPER.trials
    assert {plan.members for plan in found} == {1} and {plan.validation_clips for plan in found} == {10}
    assert {plan.train.epochs for plan in found} == {6}  # a cycle each: a dendrite brings as many again
    assert {plan.restarts for plan in found} == {0}
    assert sum(plan.growth is None for plan in found) == PAPER.trials


def test_dendrites_come_on_top_of_the_net():
    widest = max(plan.parameters for plan in plans() if plan.growth is None)
    assert widest <= 252
    assert max(plan.parameters for plan in plans() if plan.growth) > widest


def test_trials_are_drawn_by_the_seed():
    assert plans() == plans()
    assert len({(plan.architecture, plan.growth, plan.train.learning_rate) for plan in plans()}) > 6


def test_clips_are_drawn_by_the_seed():
    one, other = draw_clips(M, 10, 0), draw_clips(M, 10, 1)
    assert len(set(one)) == 10 and (np.diff(one) > 0).all() and list(one) != list(other)
    assert list(draw_clips(5, 10, 0)) == [0, 1, 2, 3, 4]
    bank = make_source().bank(None)
    few = with_few_clips(bank, 10, 0)
    assert (few.validation == bank.validation[one]).all() and (
        few.validation_labels == bank.validation_labels[one]
    ).all()
    assert few.train is bank.train


def test_trials_train_on_few_validation_clips(tmp_path, monkeypatch):
    seen, ordinary = {}, runner.fit_row

    def watch(plan, bank, progress):
        seen[plan.name] = len(bank.validation_labels)
        return ordinary(replace(plan, growth=None), bank, progress)

    monkeypatch.setattr(runner, "fit_row", watch)
    work = make_study(tmp_path / "s", arms="plain", sizes=(250,), paper=PaperConfig(1, 10))
    work.train()
    assert seen == {"plain-250": M, **{f"paper-{arm}-00-250": 10 for arm in ARMS}}


def trial(arm, number, validation, share, seed=0):
    one = scored(f"paper-{arm}-{number:02d}", (share,), validation=(validation,), seed=seed)
    correct = right((share,), clips=1000, seed=seed + number)
    return replace(one, correct=correct, accuracies=correct.mean(1))


def test_the_best_by_validation_is_reported():
    trials = [
        trial("plain", 0, 0.8, 0.8), trial("plain", 1, 0.9, 0.7),
        trial("gradient", 0, 0.95, 0.9), trial("gradient", 1, 0.7, 0.99),
    ]  # fmt: skip
    (one,) = conclude(trials, [], seed=0)
    chosen = draw_clips(1000, 165, 0)
    assert one["validation"] == [0.95, 0.9] and one["trials"] == 2 and one["clips"] == 165
    assert one["test"] == pytest.approx([trials[2].correct[0, chosen].mean(), trials[1].correct[0, chosen].mean()])
    assert one["difference"] == pytest.approx(one["test"][0] - one["test"][1])
    assert one["difference_clips"] == round(165 * one["difference"])
    assert one["concludes"] == "better" and one["other_clips"]["better"] > 0.99
    assert one["honest"] is None


def test_the_honest_rows_stand_beside():
    rng = np.random.default_rng(0)
    rows = []
    for arm in ("plain", "gradient"):
        correct = rng.random((5, 1000)) < 0.9
        rows.append(replace(scored(arm, (0.9,) * 5), correct=correct, accuracies=correct.mean(1)))
    trials = [trial("plain", 0, 0.8, 0.8), trial("gradient", 0, 0.9, 0.9), trial("perforated", 0, 0.9, 0.7)]
    found = {one["arm"]: one for one in conclude(trials, rows, seed=0)}
    honest = found["gradient"]["honest"]
    assert honest["difference"] == pytest.approx(rows[1].accuracies.mean() - rows[0].accuracies.mean())
    low, high = honest["one_seed"]["interval"]
    expected = 1.96 * np.sqrt(2 * 0.9 * 0.1 / 165)  # two independent accuracies on 165 clips
    assert (high - low) / 2 == pytest.approx(expected, rel=0.2)
    assert found["perforated"]["honest"] is None and found["perforated"]["concludes"] == "worse"


def test_without_plain_trials_nothing_is_concluded():
    assert conclude([trial("gradient", 0, 0.9, 0.9)], [], seed=0) == []


@pytest.mark.parametrize("changed", [{"trials": 0}, {"clips": 1}])
def test_settings_are_checked(changed):
    with pytest.raises(ConfigError, match="trials are at least 1"):
        PaperConfig(**changed)
