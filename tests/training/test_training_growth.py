"""The growth schedule: equal epochs, what is kept and what is rolled back, to the bit."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_bank import F, K, T, make_bank, net, same, state

from kws_dendrite.dendrites import DendriteConfig, Dendritic, dendritic_layers
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.models import PaperConfig, build_model
from kws_dendrite.training import growth as growth_module
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import grow, share_epochs, train
from kws_dendrite.training.loop import fit_statistics, predict, train_cycle, validate

QUICK = TrainConfig(epochs=2, batch_size=12, learning_rate=0.02)
GRADIENT = DendriteConfig(mode="gradient", activation="tanh")
PERFORATED = replace(GRADIENT, mode="perforated", candidate_epochs=2)
both_modes = pytest.mark.parametrize("plan", [GRADIENT, PERFORATED], ids=["gradient", "perforated"])


@pytest.fixture(scope="module")
def bank():
    return make_bank(noise=0.7)


def figures(model, bank):
    loss, accuracy = validate(model, torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels))
    return loss.tolist(), accuracy.tolist()


@pytest.mark.parametrize(
    ("total", "plan", "restarts", "cycle"),
    [
        (40, None, 0, 40),  # |----------------------------------------|
        (40, None, 1, 20),  # |--------------------|--------------------|
        (40, GRADIENT, 0, 20),  # |--------------------|+|--------------------|
        (40, replace(PERFORATED, candidate_epochs=8), 0, 16),  # |----------------|pppppppp|+|----------------|
        (40, None, 2, 13),
        (40, replace(GRADIENT, dendrites=3), 0, 10),
        (40, replace(PERFORATED, dendrites=2, candidate_epochs=5), 0, 10),
        (3, PERFORATED, 0, None),
        (2, PERFORATED, 0, None),
        (4, PERFORATED, 0, 1),
        (1, GRADIENT, 0, None),
        (0, None, 0, None),
    ],
)
def test_epochs_are_shared_over_cycles_and_candidate_phases(total, plan, restarts, cycle):
    if cycle is None:
        with pytest.raises(ConfigError, match=f"{total} epochs leave none"):
            share_epochs(QUICK, total, plan, restarts)
        return
    assert share_epochs(QUICK, total, plan, restarts) == replace(QUICK, epochs=cycle)


def test_negative_restarts_are_refused():
    with pytest.raises(ConfigError, match="restarts is at least 0; got -1"):
        share_epochs(QUICK, 40, None, -1)


@both_modes
def test_growing_keeps_the_function_and_the_model(bank, plan):
    model, x = net(), torch.from_numpy(bank.validation)
    fit_statistics(model, bank)
    train_cycle(model, bank, QUICK, 0)
    before, logits = state(model), predict(model, x)
    torch.manual_seed(1)
    rng = torch.get_rng_state()
    grown, scores = grow(model, bank, QUICK, plan, 7)
    assert (predict(grown, x) - logits).abs().max() == 0
    assert same(state(model), before)
    assert not dendritic_layers(model)
    assert torch.equal(torch.get_rng_state(), rng)
    names = ["stem", "blocks.0", "blocks.1", "head"]
    assert list(dendritic_layers(grown)) == names
    assert list(scores) == (names if plan is PERFORATED else [])
    assert all(0 < score <= 1 for score in scores.values())
    again, more = grow(model, bank, QUICK, plan, 7)
    assert same(state(again), state(grown))
    assert more == scores
    assert not same(state(grow(model, bank, QUICK, plan, 8)[0]), state(grown))


def test_training_standardises_first(bank):
    model = net()
    fit_statistics(model, bank)
    assert torch.equal(train(net(), bank, QUICK).model.features.mean, model.features.mean)


@both_modes
def test_growth_that_helps_is_kept(bank, plan):
    seen = []
    result = train(net(), bank, QUICK, growth=replace(plan, dendrites=2), on_growth=seen.append)
    assert [step.accepted for step in result.growth] == [True, True]
    assert seen == result.growth
    assert {len(layer.branches) for layer in dendritic_layers(result.model).values()} == {2}
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)
    phases = [record.phase for record in result.history]
    assert phases == ["cycle 1"] * 2 + ["dendrite 1"] * 2 + ["dendrite 2"] * 2
    assert [record.epoch for record in result.history] == list(range(6))
    for number, step in enumerate(result.growth, 1):
        assert (step.epoch, step.dendrites, step.kind) == (2 * number, number, plan.mode)
        assert step.loss_after < step.loss_before
        assert set(step.scores) == (set(dendritic_layers(result.model)) if plan is PERFORATED else set())
        assert json.loads(json.dumps(step.to_json()))["accepted"] is True
    assert result.growth[1].loss_after == pytest.approx(sum(result.best_loss) / 2)


@both_modes
def test_growth_that_does_not_help_is_rolled_back_to_the_bit(bank, plan):
    plain = train(net(), bank, QUICK)
    result = train(net(), bank, QUICK, growth=replace(plan, dendrites=2, min_improvement=0.99))
    assert same(state(result.model), state(plain.model))
    assert not any(isinstance(module, Dendritic) for module in result.model.modules())
    assert (result.best_loss, result.best_accuracy) == (plain.best_loss, plain.best_accuracy)
    assert figures(result.model, bank) == (plain.best_loss, plain.best_accuracy)
    assert [step.accepted for step in result.growth] == [False]  # and no second attempt
    assert [record.phase for record in result.history] == ["cycle 1"] * 2 + ["dendrite 1"] * 2


@both_modes
def test_second_growth_that_does_not_help_leaves_the_first(bank, plan):
    once = train(net(), bank, QUICK, growth=plan)
    twice = train(net(), bank, QUICK, growth=replace(plan, dendrites=2))
    gains = [1 - step.loss_after / step.loss_before for step in twice.growth]
    assert gains[0] > gains[1], "the case should gain less from the second"
    between = replace(plan, dendrites=2, min_improvement=sum(gains) / 2)
    result = train(net(), bank, QUICK, growth=between)
    assert [step.accepted for step in result.growth] == [True, False]
    assert same(state(result.model), state(once.model))
    assert result.best_loss == once.best_loss
    assert {len(layer.branches) for layer in dendritic_layers(result.model).values()} == {1}


def test_frozen_dendrites_stand_still_while_the_rest_trains(bank):
    for plan, still in ((PERFORATED, True), (GRADIENT, False)):
        grown, _ = grow(net(), bank, QUICK, replace(plan, cascade=True), 0)
        grown, _ = grow(grown, bank, QUICK, replace(plan, cascade=True), 1)
        before = state(grown)
        train_cycle(grown, bank, QUICK, 0)
        moved = {name for name, value in grown.state_dict().items() if not torch.equal(value, before[name])}
        assert any(".branches." in name for name in moved) is not still
        assert any(".cascade." in name for name in moved) is not still
        for name in dendritic_layers(grown):
            assert {f"{name}.t.0", f"{name}.t.1"} <= moved
        assert {"head.base.weight", "stem.base.norm.running_mean", "blocks.1.base.norm.weight"} <= moved
        if not still:
            assert {"head.branches.1.weight", "stem.branches.0.norm.running_var"} <= moved


def test_candidates_of_convolutions_without_batchnorm(bank):
    model = build_model(PaperConfig(T, F, K, channels=(2, 3), hidden=(4,)), 2)
    result = train(model, bank, QUICK, growth=PERFORATED)
    assert all(figure > 0 for figure in result.growth[0].scores.values())


def test_plain_control_restarts_as_often(bank):
    result = train(net(), bank, QUICK, restarts=2)
    assert [record.phase for record in result.history] == ["cycle 1"] * 2 + ["cycle 2"] * 2 + ["cycle 3"] * 2
    assert [record.epoch for record in result.history] == list(range(6))
    assert result.growth == []
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)
    rates = [record.learning_rate for record in result.history]
    assert rates[0] == rates[2] == rates[4] > rates[1]


def test_every_arm_starts_from_the_same_cycle(bank):
    first = train(net(), bank, QUICK).history
    for arm in ({"restarts": 1}, {"growth": GRADIENT}, {"growth": PERFORATED}):
        history = train(net(), bank, QUICK, **arm).history[:2]
        assert [record.validation_loss for record in history] == [record.validation_loss for record in first]


@both_modes
def test_same_seed_same_bytes(bank, plan):
    results = []
    for noise, seed in ((1, 3), (2, 3), (1, 4)):
        torch.manual_seed(noise)
        results.append(state(train(net(), bank, QUICK, growth=plan, seed=seed).model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_ctrl_c_in_the_candidate_phase_leaves_the_net_before_it(bank, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    plain = train(net(), bank, QUICK)
    monkeypatch.setattr(growth_module, "train_candidates", interrupt)
    result = train(net(), bank, QUICK, growth=PERFORATED)
    assert result.interrupted
    assert same(state(result.model), state(plain.model))
    assert result.best_loss == plain.best_loss
    assert result.growth == []


@both_modes
@pytest.mark.parametrize("when", ["cycle 1", "dendrite 1"])
def test_ctrl_c_in_a_cycle_leaves_a_usable_model(bank, plan, when):
    def stop(record, _):
        if record.phase == when:
            raise KeyboardInterrupt

    result = train(net(), bank, QUICK, growth=replace(plan, dendrites=3), progress=stop)
    assert result.interrupted
    assert len(result.history) == (1 if when == "cycle 1" else 3)
    assert len(result.growth) == (0 if when == "cycle 1" else 1)
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)
    kept = bool(result.growth) and result.growth[0].accepted
    assert bool(dendritic_layers(result.model)) is kept


@both_modes
def test_ctrl_c_in_a_growth_that_has_not_helped_yet_rolls_back(bank, plan):
    plain = train(net(), bank, QUICK)

    def stop(record, _):
        if record.phase == "dendrite 1":
            raise KeyboardInterrupt

    result = train(net(), bank, QUICK, growth=replace(plan, min_improvement=0.99), progress=stop)
    assert result.interrupted
    assert len(result.history) == 3
    assert same(state(result.model), state(plain.model))


def test_ctrl_c_between_restarts_stops_them(bank):
    def stop(record, _):
        if record.phase == "cycle 2":
            raise KeyboardInterrupt

    result = train(net(), bank, QUICK, restarts=5, progress=stop)
    assert result.interrupted
    assert len(result.history) == 3
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)


def test_a_grown_net_that_diverges_is_rolled_back(bank, monkeypatch):
    original = growth_module.train_cycle

    def diverge(model, *args, **settings):
        if settings["phase"].startswith("dendrite"):
            raise DataError("the training loss is nan")
        return original(model, *args, **settings)

    monkeypatch.setattr(growth_module, "train_cycle", diverge)
    result = train(net(), bank, QUICK, growth=GRADIENT)
    assert [(step.accepted, step.loss_after) for step in result.growth] == [(False, None)]
    assert not dendritic_layers(result.model)
    assert len(result.history) == QUICK.epochs
