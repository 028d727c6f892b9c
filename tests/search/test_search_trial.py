"""One trial: its points are nets that can be made again, its curve tells every epoch, and what ends it is told."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import DataError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model
from kws_dendrite.plain import cost
from kws_dendrite.search import trial as trial_module
from kws_dendrite.search.limits import Limits
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.proposal import Proposal
from kws_dendrite.search.stopping import Standing, StoppingRule
from kws_dendrite.search.trial import run_trial
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import share_epochs, train

sys.path.append(str(Path(__file__).parents[1] / "training"))
from tiny_bank import CONFIG, make_bank

RECIPE = TrainConfig(epochs=12, batch_size=12, learning_rate=0.02)
GRADIENT = DendriteConfig("gradient", 2, activation="tanh")
GROWTH = DendriteConfig(
    "growth", 2, kind="any", significance=0.0, held_out=0.3, candidate_epochs=1, candidates=2, activation="tanh"
)
PARAMS = Objective()


@pytest.fixture(scope="module")
def bank():
    return make_bank(noise=0.7)


def propose(growth=None, **recipe):
    return Proposal(CONFIG, replace(RECIPE, **recipe), growth, None, AugmentConfig())


def remade(point, proposal, bank, seed=3):
    settings = point.growth and {k: tuple(v) if isinstance(v, list) else v for k, v in point.growth.items()}
    growth = settings and DendriteConfig(**settings)
    config = share_epochs(proposal.train, point.epochs, growth, point.restarts)
    model = build_model(proposal.model, 2, seed)
    return train(model, bank, config, growth=growth, restarts=point.restarts, seed=seed)


@pytest.mark.parametrize(
    "growth",
    [
        None,
        GRADIENT,
        replace(GRADIENT, mode="perforated", candidate_epochs=1, candidates=2),
        GROWTH,
        replace(GRADIENT, insertion="early"),
        replace(GRADIENT, insertion="start"),
        replace(GRADIENT, probe=(0.5, 1.0)),
    ],
    ids=["plain", "gradient", "perforated", "growth", "early", "start", "probe"],
)
def test_every_point_is_a_net_that_can_be_made_again(bank, growth):
    proposal = propose(growth)
    outcome = run_trial(proposal, bank, 2, 3, PARAMS)
    assert outcome.state == "complete" and outcome.why is None and outcome.points
    counts = [point.dendrites for point in outcome.points]
    assert counts == sorted(set(counts))
    for point in outcome.points:
        again = remade(point, proposal, bank)
        counted = cost(fold(again.model))
        assert (counted.parameters, counted.macs) == (point.parameters, point.macs)
        assert tuple(again.best_accuracy) == point.validation_accuracy_members
        assert tuple(again.best_loss) == point.validation_loss_members
        assert point.value == point.parameters


def test_a_plain_net_and_each_growth_step_that_was_kept(bank):
    outcome = run_trial(propose(GRADIENT), bank, 2, 3, PARAMS)
    kept = [step["accepted"] for step in outcome.steps]
    assert [point.dendrites for point in outcome.points] == list(range(sum(kept) + 1)) and any(kept)
    sizes = [point.parameters for point in outcome.points]
    assert sizes == sorted(set(sizes))
    assert [point.epochs for point in outcome.points] == [4, 8, 12][: len(sizes)]


def test_rejected_steps_add_no_point(bank):
    stubborn = replace(GRADIENT, min_improvement=0.99, tries=2)
    outcome = run_trial(propose(stubborn), bank, 2, 3, PARAMS)
    assert [step["accepted"] for step in outcome.steps] == [False, False]
    assert [(point.dendrites, point.epochs) for point in outcome.points] == [(0, 4)]
    assert outcome.epochs == outcome.planned == 12


def test_the_curve_has_every_epoch_and_is_json(bank):
    seen = []
    outcome = run_trial(propose(GRADIENT), bank, 2, 3, PARAMS, on_epoch=lambda record, n: seen.append((record, n)))
    assert [entry["epoch"] for entry in outcome.curve] == list(range(12)) == [record.epoch for record, _ in seen]
    assert {n for _, n in seen} == {12} == {outcome.planned}
    assert [entry["phase"] for entry in outcome.curve[::4]] == ["cycle 1", "dendrite 1", "dendrite 2"]
    assert all(len(entry["validation_accuracy"]) == 2 for entry in outcome.curve)
    text = json.dumps(outcome.curve, allow_nan=False)
    assert len(text) < 250 * len(outcome.curve)
    assert 0 < sum(entry["seconds"] for entry in outcome.curve) <= outcome.seconds + 0.01


# -- limits -----------------------------------------------------------------------------------------------------------


def never(*arguments, **settings):
    raise AssertionError("it was trained")


def test_over_a_limit_nothing_is_trained(bank, monkeypatch):
    monkeypatch.setattr(trial_module, "train", never)
    outcome = run_trial(propose(), bank, 2, 3, PARAMS, Limits(max_params=10))
    assert outcome.state == "skipped" and "over --max-params 10" in outcome.why and not outcome.points


def test_the_largest_size_that_is_known_counts(bank, monkeypatch):
    points = run_trial(propose(GRADIENT), bank, 2, 3, PARAMS).points
    monkeypatch.setattr(trial_module, "train", never)
    outcome = run_trial(propose(GRADIENT), bank, 2, 3, PARAMS, Limits(max_params=points[0].parameters))
    assert outcome.state == "skipped"


def test_what_grows_over_a_limit_is_no_point_and_ends_the_trial(bank):
    free = run_trial(propose(GROWTH), bank, 2, 3, PARAMS)
    assert len(free.points) > 1
    limit = free.points[1].parameters - 1
    outcome = run_trial(propose(GROWTH), bank, 2, 3, PARAMS, Limits(max_params=limit))
    assert outcome.state == "complete" and outcome.points == free.points[:1]
    assert outcome.why.startswith("1 dendrite a neuron: parameter count") and f"--max-params {limit}" in outcome.why
    assert len(outcome.steps) == free.points[1].growth["dendrites"]


def test_objective_and_costs(bank):
    outcome = run_trial(propose(), bank, 2, 3, Objective("ram"))
    point = outcome.points[0]
    assert point.value == point.costs["ram"] != point.parameters == point.costs["parameters"]


# -- ends -------------------------------------------------------------------------------------------------------------


def test_a_net_that_diverges_is_a_failed_trial(bank):
    outcome = run_trial(propose(learning_rate=1e30), bank, 2, 3, PARAMS)
    assert outcome.state == "failed" and "loss is" in outcome.why and "lower the learning rate" in outcome.why
    assert not outcome.points


def test_what_diverges_in_its_second_cycle_keeps_the_first(bank, monkeypatch):
    whole = run_trial(propose(), bank, 2, 3, PARAMS)
    from kws_dendrite.training import growth as growth_module

    ordinary = growth_module.train_cycle

    def train_cycle(*arguments, phase, **settings):
        if phase == "cycle 2":
            raise growth_module.DivergenceError("the training loss is nan")
        return ordinary(*arguments, phase=phase, **settings)

    monkeypatch.setattr(growth_module, "train_cycle", train_cycle)
    outcome = run_trial(propose(), bank, 2, 3, PARAMS)
    assert outcome.state == "complete" and outcome.why == "the training loss is nan"
    assert [point.epochs for point in outcome.points] == [6] and outcome.curve[0] == {
        **whole.curve[0],
        "seconds": outcome.curve[0]["seconds"],
    }


def test_data_that_cannot_be_trained_on_are_an_error(bank):
    few = replace(bank, train=bank.train[:, :3], train_labels=bank.train_labels[:3])
    with pytest.raises(DataError):
        run_trial(propose(GROWTH, batch_size=2), few, 2, 3, PARAMS)


def test_ctrl_c_passes_through(bank):
    def interrupt(record, planned):
        if record.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(propose(), bank, 2, 3, PARAMS, on_epoch=interrupt)


# -- the rule ---------------------------------------------------------------------------------------------------------

RULE = StoppingRule(checks=(0.3, 0.5), risk=0.5, audit=2)
NO_HOPE = Standing(front=((1.0, 1.0),), gains=((0.0,) * 9, (0.0,) * 9))
LATE = Standing(front=((1.0, 1.0),), gains=((), (0.0,) * 9))


def test_a_hopeless_trial_is_stopped_at_the_check(bank):
    asked = []

    def front_now():
        asked.append(None)
        return NO_HOPE

    outcome = run_trial(propose(), bank, 2, 3, PARAMS, front_now=front_now, stop=True, rule=RULE)
    assert (outcome.state, outcome.epochs, outcome.planned, outcome.saved) == ("stopped", 4, 12, 8)
    assert len(asked) == 1 and outcome.verdict.hopeless and outcome.why == outcome.verdict.why
    assert not outcome.points


def test_it_waits_for_the_point_of_a_cycle_that_ends_there(bank):
    outcome = run_trial(propose(), bank, 2, 3, PARAMS, front_now=lambda: LATE, stop=True, rule=RULE)
    assert (outcome.state, outcome.epochs) == ("stopped", 6)
    assert [(point.dendrites, point.epochs) for point in outcome.points] == [(0, 6)]


def test_a_growth_step_that_is_stopped_is_none(bank):
    late = StoppingRule(checks=(0.5,), risk=0.5)
    hopeless = Standing(front=((1.0, 1.0),), gains=((0.0,) * 9,))
    outcome = run_trial(propose(GRADIENT), bank, 2, 3, PARAMS, front_now=lambda: hopeless, stop=True, rule=late)
    assert (outcome.state, outcome.epochs, outcome.steps) == ("stopped", 6, ())
    assert [point.dendrites for point in outcome.points] == [0]


@pytest.mark.parametrize("why", ["off", "reaches"])
def test_what_may_still_reach_the_front_is_as_if_there_were_no_rule(bank, why):
    whole = run_trial(propose(GRADIENT), bank, 2, 3, PARAMS)
    above = Standing(front=((1.0, 0.0),), gains=NO_HOPE.gains)
    settings = {"front_now": never} if why == "off" else {"front_now": lambda: above, "stop": True}
    outcome = run_trial(propose(GRADIENT), bank, 2, 3, PARAMS, rule=RULE, **settings)
    assert outcome.points == whole.points and outcome.state == "complete" and outcome.saved == 0


def test_the_random_stream_of_the_caller_is_its_own(bank):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run_trial(propose(), bank, 1, 0, PARAMS)
    assert torch.equal(torch.get_rng_state(), before)
