"""Trials of one net, trained together: each comes out as alone, each ends its slot once."""

import json
import math
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tiny_search import CONFIG, SPACE, hashed, hashed_trial, search, timeless

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.search import SPACES, Choice, Limits, Range, SearchConfig
from kws_dendrite.search import hand as hand_module
from kws_dendrite.search import trial as trial_module
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.proposal import Proposal, is_rate
from kws_dendrite.search.records import save_trials
from kws_dendrite.search.sampler import STARTUP_TRIALS
from kws_dendrite.search.stopping import Standing, StoppingRule
from kws_dendrite.search.storage import JOURNAL
from kws_dendrite.search.trial import Outcome, run_together, run_trial
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import EpochRecord
from kws_dendrite.training.stages import Stage

sys.path.append(str(Path(__file__).parents[1] / "training"))
from tiny_bank import CONFIG as NET
from tiny_bank import make_bank

RECIPE = TrainConfig(epochs=8, batch_size=12, learning_rate=0.02)
THREE = replace(CONFIG, trials=7, arms=("plain",), companions=3)
ROOMY = replace(
    SPACE,
    families={"separable": SPACE.families["separable"] | {"channels": Range(2, 40)}},
    train=SPACE.train | {"weight_decay": Range(0.001, 0.1, log=True)},
)


class Killed(BaseException):
    """The process ends; no handler of ours runs."""


@pytest.fixture
def quick(monkeypatch):
    """Training that takes no time; the list of what was trained together."""
    groups = []

    def together(proposals, *arguments, stops, **settings):
        groups.append(proposals)
        assert len(stops) == len(proposals)
        return [hashed_trial(proposal, *arguments) for proposal in proposals]

    def alone(proposal, *arguments, **settings):
        groups.append([proposal])
        return hashed_trial(proposal, *arguments)

    monkeypatch.setattr(hand_module, "run_together", together)
    monkeypatch.setattr(hand_module, "run_trial", alone)
    return groups


def propose(**recipe):
    return Proposal(NET, replace(RECIPE, **recipe), None, None, AugmentConfig())


def without_rates(params):
    return {name: value for name, value in params.items() if not is_rate(name)}


def test_each_comes_out_as_alone():
    data = make_bank(noise=0.7)
    proposals = [
        propose(),
        propose(learning_rate=0.005, weight_decay=0.2),
        propose(learning_rate=0.06, weight_decay=0.0),
    ]
    told = []
    together = run_together(
        proposals, data, 2, 3, Objective(), on_epoch=lambda record, n: told.append((record, n)), stops=[False] * 3
    )
    for proposal, outcome in zip(proposals, together, strict=True):
        alone = run_trial(proposal, data, 2, 3, Objective())
        assert (outcome.state, outcome.planned, len(outcome.curve)) == ("complete", 8, 8)
        (one,), (other,) = outcome.points, alone.points
        assert (one.parameters, one.macs, one.epochs) == (other.parameters, other.macs, other.epochs)
        assert one.validation_loss_members == pytest.approx(other.validation_loss_members, rel=1e-4)
        for here, there in zip(outcome.curve, alone.curve, strict=True):
            assert here["learning_rate"] == pytest.approx(there["learning_rate"], rel=2e-3)
            for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
                assert here[name] == pytest.approx(there[name], abs=2e-4)
    assert together[0].points != together[1].points != together[2].points
    assert len(told) == 8 and told[0][1] == 8
    assert told[-1][0].validation_loss == pytest.approx(together[0].curve[-1]["validation_loss"], abs=1e-5)
    json.dumps(together[1].curve, allow_nan=False)


def test_one_that_diverges_fails_alone():
    data = make_bank(noise=0.7)
    outcomes = run_together([propose(learning_rate=1e30), propose()], data, 2, 3, Objective(), stops=[False] * 2)
    assert [outcome.state for outcome in outcomes] == ["failed", "complete"]
    assert "not finite" in outcomes[0].why and not outcomes[0].points
    json.dumps([outcome.curve for outcome in outcomes], allow_nan=False)
    both = run_together([propose(learning_rate=1e30)] * 2, data, 2, 3, Objective(), stops=[False] * 2)
    assert [outcome.state for outcome in both] == ["failed", "failed"]


def test_one_that_diverges_does_not_come_back_with_the_next_cycle():
    """A cycle begins from the best finite state; alone, the trial has ended by then."""

    def epoch(number, loss):
        return EpochRecord(number, "cycle 1", 0.1, loss, 0.5, [0.7, loss], [0.5, 0.5], 0.0)

    course = trial_module._Course(propose(), Objective(), None)
    for number, loss in enumerate((0.6, math.nan, 0.6)):
        course.met(epoch(number, loss))
    course.passed(Stage(None, 0, 0, 2, 3, [0.6, 0.6], [0.5, 0.5]), None)
    outcome = course.outcome(None, None, 1.0, 3)
    assert (outcome.state, len(outcome.curve), outcome.points) == ("failed", 1, ())
    assert "not finite" in outcome.why


def test_a_search_with_one_that_diverges_is_kept_and_resumed(tmp_path):
    space = replace(SPACE, train={"learning_rate": Choice((0.02, 1e30))})
    config = replace(THREE, trials=6, train=replace(RECIPE, epochs=4))
    study = search(tmp_path, config, space=space)
    study.run()
    records = study.records()
    assert {trial.state for trial in records} == {"failed", "complete"}
    save_trials(tmp_path, records)
    assert timeless(search(tmp_path, config, space=space).records()) == timeless(records)


def test_what_is_no_other_rate_is_not_trained_together():
    wider = replace(propose(), model=replace(NET, channels=NET.channels + 1))
    grown = replace(propose(), growth=DendriteConfig())
    for other in (wider, grown, propose(batch_size=6), propose(label_smoothing=0.1)):
        with pytest.raises(ConfigError, match="rates alone"):
            run_together([propose(), other], make_bank(), 1, 0, Objective(), stops=[False] * 2)


def test_over_a_limit_none_is_trained():
    pair = [propose(), propose(learning_rate=0.1)]
    outcomes = run_together(pair, make_bank(), 1, 0, Objective(), Limits(max_params=10), stops=[False] * 2)
    assert [outcome.state for outcome in outcomes] == ["skipped", "skipped"]


@dataclass
class Bound:
    """Instead of a verdict: hopeless above a loss."""

    loss: float
    most: float

    @property
    def hopeless(self):
        return self.loss > self.most

    why = "its loss is too much"


@pytest.mark.parametrize(
    ("most", "stops", "states", "epochs"),
    [
        (-1.0, [True, True], "stopped", 4),
        ("between", [True, True], "complete", 8),
        (-1.0, [True, False], "complete", 8),
    ],
    ids=["all are", "one is", "one may not be"],
)
def test_they_are_stopped_when_all_are_hopeless(most, stops, states, epochs):
    data, pair = make_bank(), [propose(learning_rate=1e-5), propose(learning_rate=0.02)]
    if most == "between":
        slow, fast = (run_trial(each, data, 1, 0, Objective()).curve for each in pair)
        most = (slow[-1]["validation_loss"][0] + fast[3]["validation_loss"][0]) / 2
        assert slow[-1]["validation_loss"][0] > most > fast[3]["validation_loss"][0]

    class Judge(Standing):
        def look(self, rule, curve, planned, value):
            return Bound(curve[-1]["validation_loss"][0], most)

    rule = StoppingRule(checks=(0.5, 0.75))
    outcomes = run_together(pair, data, 1, 0, Objective(), front_now=Judge, stops=stops, rule=rule)
    assert [(outcome.state, outcome.epochs) for outcome in outcomes] == [(states, epochs)] * 2


def test_blocks_of_slots_share_a_net_and_have_rates_of_their_own(tmp_path, quick):
    seen = []
    results = search(tmp_path, THREE, space=ROOMY).run(seen.append)
    assert [trial.slot for trial in results] == list(range(7)) and seen == results
    assert [len(group) for group in quick] == [3, 3, 1]
    blocks = [results[:3], results[3:6], results[6:]]
    for block in blocks:
        assert len({json.dumps(without_rates(trial.params)) for trial in block}) == 1
        assert len({trial.params["train.learning_rate"] for trial in block}) == len(block)
        assert len({trial.params["train.weight_decay"] for trial in block}) == len(block)
    assert len({json.dumps(without_rates(block[0].params)) for block in blocks}) == 3
    alone = search(tmp_path / "alone", replace(THREE, companions=1), space=ROOMY).run()
    assert [alone[k].params for k in (0, 3, 6)] == [results[k].params for k in (0, 3, 6)]  # who leads draws as ever


def test_real_trials_together(tmp_path):
    config = replace(THREE, trials=3, members=2, train=replace(RECIPE, epochs=4))
    study = search(tmp_path, config)
    results = study.run()
    assert [trial.state for trial in study.records()] == ["complete"] * 3
    assert len({trial.curve[-1]["train_loss"] for trial in results}) == 3
    assert {trial.parameters for trial in results} == {results[0].parameters}
    took = [datetime.fromisoformat(trial.ended) - datetime.fromisoformat(trial.started) for trial in results]
    assert all(
        whole.total_seconds() == pytest.approx(3 * trial.seconds, abs=0.01)
        for whole, trial in zip(took, results, strict=True)
    )
    states = {entry.state.name for entry in study.studies["plain"].trials}
    assert states == {"COMPLETE"}


@pytest.mark.parametrize("way", [KeyboardInterrupt, Killed])
def test_resumed_is_uninterrupted(tmp_path, quick, monkeypatch, way):
    config = replace(THREE, trials=STARTUP_TRIALS + 4)
    whole = search(tmp_path / "whole", config, space=ROOMY).run()
    usual, count = hand_module.run_together, 0

    def together(*arguments, **settings):
        nonlocal count
        count += 1
        if count in (1, 3, 6):
            raise way
        return usual(*arguments, **settings)

    monkeypatch.setattr(hand_module, "run_together", together)
    for _ in range(3):
        with pytest.raises(way):
            search(tmp_path / "parts", config, space=ROOMY).run()
    assert timeless(search(tmp_path / "parts", config, space=ROOMY).run()) == timeless(whole)


def test_a_journal_cut_at_any_byte_goes_on(tmp_path, quick):
    whole = search(tmp_path / "whole", THREE, space=ROOMY).run()
    content = (tmp_path / "whole" / JOURNAL).read_bytes()
    first = content.index(b"\n") + 1
    for number, cut in enumerate(np.linspace(first, len(content) - 1, 16).astype(int)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / JOURNAL).write_bytes(content[:cut])
        assert timeless(search(folder, THREE, space=ROOMY).run()) == timeless(whole)


def test_an_entry_that_comes_to_nothing_leaves_the_others(tmp_path, quick, monkeypatch):
    """The inner entry turns out to be another's: the outer ones are trained without it."""
    study = search(tmp_path, replace(THREE, trials=3), space=ROOMY)
    usual, asked = study.queue.needless, []

    def needless(arm, number, slot):
        asked.append(slot)
        return (slot == 2 and asked.count(2) == 1) or usual(arm, number, slot)

    monkeypatch.setattr(study.queue, "needless", needless)
    assert [trial.slot for trial in study.run()] == [0, 1, 2]
    assert [len(group) for group in quick] == [2, 1]


def test_a_net_over_a_limit_is_drawn_anew_with_its_companions(tmp_path, quick, monkeypatch):
    def together(proposals, *arguments, stops, **settings):
        if proposals[0].model.channels > 20:
            return [Outcome("skipped", "too wide") for _ in proposals]
        return [hashed(proposal, 1, 3) for proposal in proposals]

    monkeypatch.setattr(hand_module, "run_together", together)
    study = search(tmp_path, replace(THREE, trials=12), space=ROOMY)
    results = study.run()
    assert [trial.slot for trial in results] == list(range(12))
    assert any(trial.state == "skipped" for trial in study.records())
    for k in range(0, 12, 3):
        block = results[k : k + 3]
        assert len({json.dumps(without_rates(trial.params)) for trial in block}) == 1
        assert {trial.attempt for trial in block} == {block[0].attempt}


def test_what_cannot_be_trained_together_is_trained_alone(tmp_path, quick, monkeypatch):
    """There may be no memory for all of them at once, or one of them fails."""

    def together(proposals, *arguments, **settings):
        raise RuntimeError("out of luck")

    def alone(proposal, *arguments, **settings):
        count.append(1)
        if len(count) == 5:
            raise RuntimeError("no luck at all")
        return hashed(proposal, 1, 3)

    count = []
    monkeypatch.setattr(hand_module, "run_together", together)
    monkeypatch.setattr(hand_module, "run_trial", alone)
    study = search(tmp_path, replace(THREE, trials=9), space=ROOMY)
    study.run()
    assert [trial.state for trial in study.records()] == ["complete"] * 4 + ["failed"] + ["complete"] * 4
    assert study.records()[4].why == "RuntimeError: no luck at all"


def test_blocks_are_stopped_or_audited_as_a_whole(tmp_path, monkeypatch):
    rule = StoppingRule(checks=(0.5,), risk=0.5, audit=2)
    asked = []

    def together(proposals, *arguments, stops, **settings):
        asked.append(stops)
        return [hashed_trial(proposal, *arguments) for proposal in proposals]

    monkeypatch.setattr(hand_module, "run_together", together)
    study = search(tmp_path, replace(THREE, trials=12, rule=rule), space=ROOMY)
    study.run()
    assert asked == [[rule.may_stop(block)] * 3 for block in range(4)]
    assert len({stops[0] for stops in asked}) == 2
    learnt = [trial.slot for trial in study.records() if not rule.may_stop(trial.slot // 3)]
    assert sum(map(len, study.standing("plain").gains)) <= len(learnt)


def test_dropout_is_a_rate():
    assert is_rate("paper.dropout") and is_rate("paper.dropout:0/0.1") and is_rate("train.learning_rate")
    assert not is_rate("paper.channels") and not is_rate("train.time_mask") and not is_rate("augment.copies")


def test_another_number_of_companions_is_another_search(tmp_path, quick):
    search(tmp_path, replace(THREE, trials=1)).run()
    with pytest.raises(ConfigError, match="companions"):
        search(tmp_path, replace(THREE, trials=1, companions=1))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"companions": 0}, "at least 1"),
        ({"companions": 33, "arms": ("plain",)}, "at most 32"),
        ({"companions": 2}, "--arms plain"),
        ({"companions": 2, "arms": ("growth",)}, "--arms plain"),
    ],
)
def test_companions_that_cannot_be_are_refused(settings, word):
    with pytest.raises(ConfigError, match=word):
        SearchConfig(**settings)


def test_spaces_and_recipes_without_companions_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="patience"):
        search(tmp_path, replace(THREE, train=replace(RECIPE, patience=2)))
    with pytest.raises(ConfigError, match="patience"):
        search(tmp_path, THREE, space=SPACES["paper"])
    for train in ({}, {"learning_rate": Choice((0.02,))}, {"learning_rate": Range(0.02, 0.02)}):
        with pytest.raises(ConfigError, match="the space draws none of them for separable"):
            search(tmp_path, THREE, space=replace(SPACE, train=train))
    assert not (tmp_path / JOURNAL).exists()
    search(tmp_path, THREE, space=SPACES["wide"].with_dims()).close()


def test_the_device_is_passed_on_and_is_for_the_plain_arm(tmp_path, monkeypatch):
    devices = []

    def together(proposals, *arguments, device, stops, **settings):
        devices.append(device)
        return [hashed_trial(proposal, *arguments) for proposal in proposals]

    monkeypatch.setattr(hand_module, "run_together", together)
    search(tmp_path / "gpu", replace(THREE, trials=3, device="cuda")).run()
    search(tmp_path / "cpu", replace(THREE, trials=3)).run()
    assert devices == ["cuda", "cpu"]
    assert len(search(tmp_path / "gpu", replace(THREE, trials=3)).results()) == 3  # the same search on another device
    with pytest.raises(ConfigError, match="dendrites grow on the CPU: take --arms plain"):
        SearchConfig(device="cuda")
