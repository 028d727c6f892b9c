"""The growth schedule: equal epochs, what is kept and what is rolled back, to the bit."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_bank import CONFIG, F, K, N, T, make_bank, net, same, state

from kws_dendrite.dendrites import Choice, DendriteConfig, Dendritic, Spec, dendritic_layers
from kws_dendrite.dendrites import growth as step_module
from kws_dendrite.errors import ConfigError, DataError, DivergenceError
from kws_dendrite.fold import fold
from kws_dendrite.models import PaperConfig, build_model
from kws_dendrite.plain import cost, device_cost
from kws_dendrite.training import growth as growth_module
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import (
    Pricing,
    clip_losses,
    cycle_lengths,
    grow,
    is_better,
    paired_standard_error,
    probe_rate,
    share_epochs,
    split_clips,
    train,
)
from kws_dendrite.training.loop import fit_statistics, predict, train_cycle, validate

QUICK = TrainConfig(epochs=2, batch_size=12, learning_rate=0.02)
GRADIENT = DendriteConfig(mode="gradient", activation="tanh")
PERFORATED = replace(GRADIENT, mode="perforated", candidate_epochs=2)
GROWTH = replace(PERFORATED, mode="growth", kind="any", significance=0.0, held_out=0.3)
EARLY = replace(GRADIENT, insertion="early")
START = replace(GRADIENT, insertion="start")
SHAM = DendriteConfig(mode="sham")
NAMES = ["stem", "blocks.0", "blocks.1", "head"]
both_modes = pytest.mark.parametrize("plan", [GRADIENT, PERFORATED], ids=["gradient", "perforated"])
every_mode = pytest.mark.parametrize(
    "plan",
    [GRADIENT, PERFORATED, GROWTH, replace(GRADIENT, mode="random")],
    ids=["gradient", "perforated", "growth", "random"],
)


@pytest.fixture(scope="module")
def bank():
    return make_bank(noise=0.7)


def figures(model, bank):
    loss, accuracy = validate(model, torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels))
    return loss.tolist(), accuracy.tolist()


def phases(result):
    return [record.phase for record in result.history]


# -- the plan of epochs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "plan", "restarts", "cycle"),
    [
        (40, None, 0, 40),  # |----------------------------------------|
        (40, None, 1, 20),  # |--------------------|--------------------|
        (40, GRADIENT, 0, 20),  # |--------------------|+|--------------------|
        (40, replace(PERFORATED, candidate_epochs=8), 0, 16),  # |----------------|pppppppp|+|----------------|
        (40, replace(GROWTH, candidate_epochs=8), 0, 16),
        (40, SHAM, 0, 20),
        (40, replace(GRADIENT, mode="random"), 0, 20),
        (40, EARLY, 0, 20),  # |--------|+|--------------------------------|
        (40, replace(PERFORATED, insertion="early", candidate_epochs=8), 0, 16),
        (40, START, 1, 20),  # +|--------------------|--------------------|
        (40, START, 0, 40),  # +|----------------------------------------|
        (40, replace(START, dendrites=3), 1, 20),
        (40, replace(START, mode="random", candidate_epochs=30), 1, 20),
        (40, replace(START, probe=(1.0, 0.3)), 1, 20),  # there is nothing to probe
        (40, replace(GRADIENT, probe=(1.0, 0.3)), 0, 19),  # |-------------------|+|oo|-------------------|
        (40, replace(PERFORATED, candidate_epochs=6, probe=(1.0, 0.3, 0.1, 0.03)), 0, 15),
        (40, None, 2, 13),
        (40, replace(GRADIENT, dendrites=3), 0, 10),
        (40, replace(PERFORATED, dendrites=2, candidate_epochs=5), 0, 10),
        (3, PERFORATED, 0, None),
        (2, PERFORATED, 0, None),
        (4, PERFORATED, 0, 1),
        (1, GRADIENT, 0, None),
        (2, replace(GRADIENT, probe=(1.0,)), 0, None),
        (0, None, 0, None),
    ],
)
def test_epochs_are_shared_over_cycles_candidate_phases_and_probes(total, plan, restarts, cycle):
    if cycle is None:
        with pytest.raises(ConfigError, match=rf"{total} epochs? leaves? none") as refusal:
            share_epochs(QUICK, total, plan, restarts)
        enough = int(str(refusal.value).partition("take at least ")[2].partition(",")[0])
        assert share_epochs(QUICK, enough, plan, restarts).epochs == 1
        with pytest.raises(ConfigError):
            share_epochs(QUICK, enough - 1, plan, restarts)
        return
    assert share_epochs(QUICK, total, plan, restarts) == replace(QUICK, epochs=cycle)


def test_negative_restarts_are_refused():
    with pytest.raises(ConfigError, match="restarts is at least 0; got -1"):
        share_epochs(QUICK, 40, None, -1)


@pytest.mark.parametrize(
    ("epochs", "steps", "early", "lengths"),
    [
        (20, 0, False, [20]),
        (20, 1, False, [20, 20]),
        (20, 0, True, [20]),
        (20, 1, True, [8, 32]),  # |--------|+|--------------------------------|
        (10, 3, True, [4, 16, 10, 10]),
        (1, 1, True, [1, 1]),
        (2, 1, True, [1, 3]),
    ],
)
def test_cycles_are_alike_but_before_an_early_insertion(epochs, steps, early, lengths):
    assert cycle_lengths(epochs, steps, early=early) == lengths
    assert sum(lengths) == epochs * (steps + 1)


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ({"restarts": 1}, ["cycle 1"] * 10 + ["cycle 2"] * 10),
        ({"growth": GRADIENT}, ["cycle 1"] * 10 + ["dendrite 1"] * 10),
        ({"growth": SHAM}, ["cycle 1"] * 10 + ["dendrite 1"] * 10),
        ({"growth": EARLY}, ["cycle 1"] * 4 + ["dendrite 1"] * 16),
        ({"growth": START, "restarts": 1}, ["cycle 1"] * 10 + ["cycle 2"] * 10),
        ({"growth": replace(PERFORATED, candidate_epochs=4)}, ["cycle 1"] * 8 + ["dendrite 1"] * 8),
        ({"growth": replace(GRADIENT, probe=(1.0, 0.5))}, ["cycle 1"] * 9 + ["dendrite 1"] * 9),
    ],
)
def test_every_arm_spends_the_epochs_that_were_shared(bank, arm, expected):
    config = share_epochs(QUICK, 20, arm.get("growth"), arm.get("restarts", 0))
    assert phases(train(net(1), bank, config, **arm)) == expected


def test_candidate_phases_take_the_epochs_they_are_given(bank, monkeypatch):
    counted = []
    original = step_module.train_pools

    def counting(model, pools, epochs, *rest):
        def each():
            for epoch in epochs:
                counted.append(1)
                yield epoch

        return original(model, pools, each(), *rest)

    monkeypatch.setattr(step_module, "train_pools", counting)
    train(net(1), bank, QUICK, growth=replace(PERFORATED, candidate_epochs=3, dendrites=2, tries=2))
    assert len(counted) == 6


# -- one step ---------------------------------------------------------------------------------------------------------


@every_mode
def test_growing_keeps_the_function_and_the_model(bank, plan):
    model, x = net(), torch.from_numpy(bank.validation)
    fit_statistics(model, bank)
    train_cycle(model, bank, QUICK, 0)
    before, logits = state(model), predict(model, x)
    torch.manual_seed(1)
    rng = torch.get_rng_state()
    grown, report = grow(model, bank, QUICK, plan, 7)
    assert (predict(grown, x) - logits).abs().max() == 0
    assert same(state(model), before)
    assert not dendritic_layers(model)
    assert torch.equal(torch.get_rng_state(), rng)
    assert list(dendritic_layers(grown)) == NAMES
    if plan is PERFORATED:
        assert list(report.scores) == NAMES
    assert bool(report.scores) is (plan in (PERFORATED, GROWTH))
    assert all(0 < score <= 1 for score in report.scores.values())
    again, more = grow(model, bank, QUICK, plan, 7)
    assert same(state(again), state(grown))
    assert more == report
    assert not same(state(grow(model, bank, QUICK, plan, 8)[0]), state(grown))


def test_a_members_growth_does_not_depend_on_the_others(bank):
    """Candidates of members 0 and 1 are the same in a population of two and of three."""
    few, many = net(2), net(3)
    with torch.no_grad():
        for one, other in zip([*many.parameters(), *many.buffers()], [*few.parameters(), *few.buffers()], strict=True):
            if one.dim() > 1:
                one[:2] = other
    for plan in (GRADIENT, PERFORATED):
        grown = [grow(model, bank, QUICK, plan, 3)[0] for model in (few, many)]
        for name, layer in dendritic_layers(grown[0]).items():
            wide = dendritic_layers(grown[1])[name].branches[0].state_dict()
            for key, value in layer.branches[0].state_dict().items():
                torch.testing.assert_close(value, wide[key][:2], rtol=1e-3, atol=1e-4)


def test_growth_judges_on_clips_that_it_does_not_train_on(bank, monkeypatch):
    met = {}

    def seen(name, original):
        def wrapper(model, pools, batches, *rest):
            batches = [list(epoch) for epoch in batches] if name == "train" else list(batches)
            flat = [batch for epoch in batches for batch in epoch] if name == "train" else batches
            met[name] = {tuple(clip.flatten().tolist()) for x, _ in flat for clip in x.flatten(0, 1)}
            return original(model, pools, batches, *rest)

        return wrapper

    for name in ("train", "judge"):
        monkeypatch.setattr(step_module, f"{name}_pools", seen(name, getattr(step_module, f"{name}_pools")))
    still = replace(QUICK, shift_frames=0, clean_share=1.0)
    grow(net(), bank, still, GROWTH, 0)
    assert met["train"] and met["judge"]
    assert not met["train"] & met["judge"]


def test_each_held_out_clip_counts_once_whatever_the_words_balance(bank, monkeypatch):
    judged = []

    def judge(model, pools, batches, *rest):
        batches = list(batches)
        judged.extend(tuple(clip.flatten().tolist()) for x, _ in batches for clip in x[0])
        return original(model, pools, batches, *rest)

    original = step_module.judge_pools
    monkeypatch.setattr(step_module, "judge_pools", judge)
    rare = replace(bank, train_words=np.where(np.arange(N) < 3, 1, 0))
    config = replace(QUICK, word_balance=1.0, shift_frames=0, clean_share=1.0, batch_size=7)
    grow(net(), rare, config, GROWTH, 0)
    assert len(judged) == 14  # two batches of the 14 held out
    assert len(set(judged)) == len(judged)


def test_clips_are_split_by_the_seed_alone(bank):
    kept, held = split_clips(bank, 0.25, 3)
    assert kept.train.shape[1] == N - N // 4 and held.train.shape[1] == N // 4
    both = np.concatenate([kept.train, held.train], 1)
    assert sorted(map(bytes, both[0])) == sorted(map(bytes, bank.train[0]))
    for part in (kept, held):
        clips = [next(n for n in range(N) if np.array_equal(bank.train[0, n], clip)) for clip in part.train[0]]
        assert np.array_equal(part.train_labels, bank.train_labels[clips])
        assert np.array_equal(part.train, bank.train[:, clips])
    assert np.array_equal(split_clips(bank, 0.25, 3)[1].train, held.train)
    assert not np.array_equal(split_clips(bank, 0.25, 4)[1].train, held.train)


def test_words_and_teacher_go_with_their_clips(bank):
    words, teacher = np.arange(N), np.arange(2 * N * K, dtype=np.float32).reshape(2, N, K)
    full = replace(bank, train_words=words, teacher=teacher)
    for part in split_clips(full, 0.25, 3):
        assert np.array_equal(part.train, bank.train[:, part.train_words])
        assert np.array_equal(part.teacher, teacher[:, part.train_words])


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_too_few_clips_to_hold_out_are_one_clear_line(bank, share):
    model = net()
    before = state(model)
    with pytest.raises(DataError, match=f"{N} training clips are too few to hold {share:.0%} of them out") as error:
        grow(model, bank, QUICK, replace(GROWTH, held_out=share), 0)
    assert "\n" not in str(error.value)
    assert same(state(model), before)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (replace(GROWTH, budget=1), "a budget of 1 parameters is below one dendrite"),
        (replace(GRADIENT, kind="temporal", layers="head"), "no layer can take dendrites of kind 'temporal'"),
    ],
)
def test_growth_that_cannot_be_is_one_clear_line_and_the_model_as_it_was(bank, plan, message):
    model = net()
    before = state(model)
    with pytest.raises(ConfigError, match=message) as error:
        grow(model, bank, QUICK, plan, 0)
    assert "\n" not in str(error.value)
    assert same(state(model), before)
    assert not dendritic_layers(model)


@pytest.mark.parametrize("unit", ["parameters", "macs", "cycles"])
def test_a_price_is_counted_in_the_folded_net(bank, unit):
    def measure(model):
        graph = fold(model)
        return device_cost(graph, "cortex-m4").cycles if unit == "cycles" else getattr(cost(graph), unit)

    model = net()
    step_module.attach(model, GRADIENT)
    price = Pricing(model, unit)
    before = measure(model)
    x = torch.from_numpy(bank.validation)
    for choice in step_module.fresh_choices(model, x, GRADIENT, 0):
        said = price(choice)
        grown = step_module.with_choice(model, choice)
        assert said == measure(grown) - before > 0
    assert price.base == before


# -- acceptance -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "error", "settings", "kept"),
    [
        (1.0, 0.999, 0.0, {}, True),
        (1.0, 1.0, 0.0, {}, False),
        (1.0, math.nan, 0.0, {}, False),
        (1.0, math.inf, 0.0, {}, False),
        (1.0, 0.96, 0.0, {"min_improvement": 0.05}, False),
        (1.0, 0.94, 0.0, {"min_improvement": 0.05}, True),
        (2.0, 1.92, 0.0, {"min_improvement": 0.05}, False),  # a share of the loss, not nats
        (1.0, 0.9, 0.2, {}, True),
        (1.0, 0.9, 0.2, {"standard_errors": 1.0}, False),
        (1.0, 0.7, 0.2, {"standard_errors": 1.0}, True),
        (1.0, 0.7, 0.2, {"standard_errors": 2.0}, False),
        (1.0, 0.7, math.nan, {"standard_errors": 1.0}, False),
        (1.0, 0.9, 0.01, {"standard_errors": 1.0, "min_improvement": 0.2}, False),  # both have to hold
    ],
)
def test_a_step_is_kept_for_a_lower_loss_by_both_margins(before, after, error, settings, kept):
    assert is_better(before, after, error, replace(GRADIENT, **settings)) is kept


def test_paired_standard_error_is_that_of_the_clips_differences():
    random = np.random.default_rng(0)
    clip = random.normal(size=30)  # hard clips are hard before and after: pairing takes that away
    before = clip + 0.1 * random.normal(size=(3, 30))
    after = clip - 0.5 + 0.1 * random.normal(size=(3, 30))
    difference = (after - before).mean(0)
    found = paired_standard_error(torch.tensor(before), torch.tensor(after))
    assert found == pytest.approx(difference.std(ddof=1) / np.sqrt(30))
    assert found < 0.1 * after.mean(0).std() / np.sqrt(30) * 3


def test_one_validation_clip_says_nothing_of_the_difference(bank):
    single = replace(bank, validation=bank.validation[:1], validation_labels=bank.validation_labels[:1])
    result = train(net(), single, QUICK, growth=replace(GRADIENT, standard_errors=1.0))
    assert [(step.accepted, step.standard_error) for step in result.growth] == [(False, None)]
    json.dumps(result.growth[0].to_json(), allow_nan=False)


def test_clip_losses_average_to_the_validation_loss(bank):
    model = net()
    losses = clip_losses(model, bank)
    assert losses.shape == (2, len(bank.validation))
    assert losses.mean(1).tolist() == pytest.approx(figures(model, bank)[0])


def test_a_recorded_step_says_how_sure_the_difference_is(bank):
    result = train(net(), bank, QUICK, growth=GRADIENT)
    [step] = result.growth
    assert 0 < step.standard_error < 1
    plain = train(net(), bank, QUICK)
    expected = paired_standard_error(clip_losses(plain.model, bank), clip_losses(result.model, bank))
    assert step.standard_error == pytest.approx(expected, rel=1e-5)
    doubt = (step.loss_before - step.loss_after) / step.standard_error
    assert 0 < doubt < 10
    for margin, kept in ((0.9 * doubt, True), (1.1 * doubt, False)):
        again = train(net(), bank, QUICK, growth=replace(GRADIENT, standard_errors=margin))
        assert again.growth[0].accepted is kept


# -- the restart's learning rate --------------------------------------------------------------------------------------


def test_the_probe_takes_the_rate_of_the_lowest_loss_and_leaves_the_model(bank):
    model = net()
    fit_statistics(model, bank)
    before, factors = state(model), (1.0, 1e-4, 3.0)
    chosen = probe_rate(model, bank, QUICK, factors, 5)
    assert same(state(model), before)
    losses = {}
    for factor in factors:
        trial = net()
        fit_statistics(trial, bank)
        one = replace(QUICK, epochs=1, learning_rate=QUICK.learning_rate * factor)
        losses[factor] = np.mean(train_cycle(trial, bank, one, 5).history[-1].validation_loss)
    assert chosen == QUICK.learning_rate * min(losses, key=losses.get)
    assert len({round(float(loss), 6) for loss in losses.values()}) == 3


def test_a_rate_that_diverges_is_out_and_the_smallest_is_left(bank):
    model = net()
    assert probe_rate(model, bank, QUICK, (1e30, 1.0), 5) == QUICK.learning_rate
    assert probe_rate(model, bank, QUICK, (1e30, 1e29), 5) == 1e29 * QUICK.learning_rate


def test_the_cycle_runs_at_the_rate_that_the_probe_took(bank, monkeypatch):
    monkeypatch.setattr(growth_module, "probe_rate", lambda *_: 0.125)
    plan = replace(GRADIENT, probe=(1.0, 0.1))
    result = train(net(), bank, replace(QUICK, warmup_epochs=0.0), growth=plan)
    assert [step.learning_rate for step in result.growth] == [0.125]
    assert max(record.learning_rate for record in result.history if record.phase == "dendrite 1") < 0.126
    assert max(record.learning_rate for record in result.history if record.phase == "dendrite 1") > 0.04
    assert train(net(), bank, QUICK, growth=GRADIENT).growth[0].learning_rate is None


# -- the whole schedule -----------------------------------------------------------------------------------------------


def test_training_standardises_first(bank):
    model = net()
    fit_statistics(model, bank)
    assert torch.equal(train(net(), bank, QUICK).model.features.mean, model.features.mean)


@every_mode
def test_growth_that_helps_is_kept(bank, plan):
    seen = []
    result = train(net(), bank, QUICK, growth=replace(plan, dendrites=2), on_growth=seen.append)
    assert [step.accepted for step in result.growth] == [True, True]
    assert seen == result.growth
    sets = {name: len(layer.branches) for name, layer in dendritic_layers(result.model).items()}
    if plan is not GROWTH:
        assert sets == dict.fromkeys(NAMES, 2)
    assert sum(sets.values()) == sum(len(step.chosen) for step in result.growth)
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)
    assert phases(result) == ["cycle 1"] * 2 + ["dendrite 1"] * 2 + ["dendrite 2"] * 2
    assert [record.epoch for record in result.history] == list(range(6))
    for number, step in enumerate(result.growth, 1):
        assert (step.epoch, step.dendrites, step.kind) == (2 * number, number, plan.mode)
        assert step.loss_after < step.loss_before
        assert bool(step.scores) is (plan in (PERFORATED, GROWTH))
        assert json.loads(json.dumps(step.to_json(), allow_nan=False))["accepted"] is True
    assert result.growth[1].loss_after == pytest.approx(sum(result.best_loss) / 2)


@every_mode
def test_growth_that_does_not_help_is_rolled_back_to_the_bit(bank, plan):
    plain = train(net(), bank, QUICK)
    result = train(net(), bank, QUICK, growth=replace(plan, dendrites=2, min_improvement=0.99))
    assert same(state(result.model), state(plain.model))
    assert not any(isinstance(module, Dendritic) for module in result.model.modules())
    assert (result.best_loss, result.best_accuracy) == (plain.best_loss, plain.best_accuracy)
    assert figures(result.model, bank) == (plain.best_loss, plain.best_accuracy)
    assert [step.accepted for step in result.growth] == [False]  # and no second attempt
    assert phases(result) == ["cycle 1"] * 2 + ["dendrite 1"] * 2


def test_a_step_may_fail_as_often_as_there_are_tries_each_from_another_draw(bank):
    plain = train(net(), bank, QUICK)
    never = replace(PERFORATED, dendrites=5, min_improvement=0.99, tries=3)
    result = train(net(), bank, QUICK, growth=never)
    assert [step.accepted for step in result.growth] == [False] * 3
    assert len({tuple(step.scores.values()) for step in result.growth}) == 3
    assert same(state(result.model), state(plain.model))


def test_a_step_that_helps_gives_all_tries_back(bank, monkeypatch):
    verdicts = iter([False, True, False, True, False, False])
    monkeypatch.setattr(growth_module, "is_better", lambda *_: next(verdicts))
    result = train(net(1), bank, replace(QUICK, epochs=1), growth=replace(GRADIENT, dendrites=9, tries=2))
    assert [step.accepted for step in result.growth] == [False, True, False, True, False, False]
    assert {len(layer.branches) for layer in dendritic_layers(result.model).values()} == {2}


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


def test_growth_that_finds_nothing_trains_the_cycle_and_leaves_a_plain_net(bank):
    """Nothing significant: the arm is the plain one with a restart, epoch for epoch, and its net is a plain one."""
    nothing = replace(GROWTH, significance=1e6)
    result = train(net(), bank, QUICK, growth=nothing)
    control = train(net(), bank, QUICK, restarts=1)
    assert [(step.accepted, step.chosen) for step in result.growth] == [(True, {})]
    assert phases(result) == ["cycle 1"] * 2 + ["dendrite 1"] * 2
    assert not any(isinstance(module, Dendritic) for module in result.model.modules())
    assert same(state(result.model), state(control.model))


@pytest.mark.parametrize("steps", [1, 2])
def test_a_sham_is_the_plain_net_with_the_same_restarts_to_the_bit(bank, steps):
    result = train(net(), bank, QUICK, growth=replace(SHAM, dendrites=steps))
    control = train(net(), bank, QUICK, restarts=steps)
    assert [step.accepted for step in result.growth] == [True] * steps
    assert same(state(result.model), state(control.model))
    assert (result.best_loss, result.best_accuracy) == (control.best_loss, control.best_accuracy)
    assert [r.validation_loss for r in result.history] == [r.validation_loss for r in control.history]
    assert cost(fold(result.model)) == cost(fold(control.model))


def test_a_sham_from_the_start_is_the_plain_net_as_well(bank):
    result = train(net(), bank, QUICK, growth=replace(SHAM, insertion="start"), restarts=1)
    assert same(state(result.model), state(train(net(), bank, QUICK, restarts=1).model))


def test_dendrites_from_the_start_are_trained_with_the_rest(bank):
    seen = []
    result = train(net(), bank, QUICK, growth=replace(START, dendrites=2), restarts=1, on_growth=seen.append)
    assert phases(result) == ["cycle 1"] * 2 + ["cycle 2"] * 2
    assert {len(layer.branches) for layer in dendritic_layers(result.model).values()} == {2}
    assert [(step.epoch, step.dendrites, step.accepted) for step in result.growth] == [(0, 1, True), (0, 2, True)]
    assert seen == result.growth
    json.dumps([step.to_json() for step in result.growth], allow_nan=False)
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)


def test_frozen_dendrites_stand_still_while_the_rest_trains(bank):
    for plan, still in ((PERFORATED, True), (replace(GRADIENT, mode="random"), True), (GRADIENT, False)):
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
    assert phases(result) == ["cycle 1"] * 2 + ["cycle 2"] * 2 + ["cycle 3"] * 2
    assert [record.epoch for record in result.history] == list(range(6))
    assert result.growth == []
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)
    rates = [record.learning_rate for record in result.history]
    assert rates[0] == rates[2] == rates[4] > rates[1]


def test_every_arm_starts_from_the_same_cycle(bank):
    first = train(net(), bank, QUICK).history
    for arm in ({"restarts": 1}, {"growth": GRADIENT}, {"growth": PERFORATED}, {"growth": GROWTH}, {"growth": SHAM}):
        history = train(net(), bank, QUICK, **arm).history[:2]
        assert [record.validation_loss for record in history] == [record.validation_loss for record in first]


@pytest.mark.parametrize("plan", [GRADIENT, PERFORATED, GROWTH, EARLY, START], ids=lambda p: f"{p.mode} {p.insertion}")
def test_same_seed_same_bytes(bank, plan):
    results = []
    for noise, seed in ((1, 3), (2, 3), (1, 4)):
        torch.manual_seed(noise)
        results.append(state(train(net(), bank, QUICK, growth=plan, seed=seed).model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["train_pools", "judge_pools", "select"])
def test_ctrl_c_in_the_candidate_phase_leaves_the_net_before_it(bank, monkeypatch, phase):
    def interrupt(*_):
        raise KeyboardInterrupt

    plain = train(net(), bank, QUICK)
    monkeypatch.setattr(step_module, phase, interrupt)
    result = train(net(), bank, QUICK, growth=replace(GROWTH, dendrites=3))
    assert result.interrupted
    assert same(state(result.model), state(plain.model))
    assert not any(isinstance(module, Dendritic) for module in result.model.modules())
    assert result.best_loss == plain.best_loss
    assert result.growth == []


def test_ctrl_c_in_the_probe_leaves_the_net_before_the_step(bank, monkeypatch):
    """A probe is a cycle of its own, which swallows Ctrl-C for its best so far; growth has to end all the same."""
    plain, original, probes = train(net(), bank, QUICK), growth_module.train_cycle, []

    def interrupted(model, *args, **settings):
        cycle = original(model, *args, **settings)
        if settings["phase"] == "probe":
            probes.append(cycle)
            cycle.interrupted = True
        return cycle

    monkeypatch.setattr(growth_module, "train_cycle", interrupted)
    result = train(net(), bank, QUICK, growth=replace(GRADIENT, dendrites=3, probe=(1.0, 0.3, 0.1)))
    assert len(probes) == 1
    assert result.interrupted
    assert same(state(result.model), state(plain.model))
    assert result.growth == []


@every_mode
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


# -- numbers that are none --------------------------------------------------------------------------------------------


def test_a_grown_net_that_diverges_is_rolled_back(bank, monkeypatch):
    original = growth_module.train_cycle

    def diverge(model, *args, **settings):
        if settings["phase"].startswith("dendrite"):
            raise DivergenceError("the training loss is nan")
        return original(model, *args, **settings)

    monkeypatch.setattr(growth_module, "train_cycle", diverge)
    result = train(net(), bank, QUICK, growth=GRADIENT)
    assert [(step.accepted, step.loss_after) for step in result.growth] == [(False, None)]
    assert not dendritic_layers(result.model)
    assert len(result.history) == QUICK.epochs


@pytest.mark.parametrize("plan", [PERFORATED, GROWTH], ids=["perforated", "growth"])
def test_candidates_that_diverge_do_no_harm(bank, plan):
    plain = train(net(), bank, QUICK)
    result = train(net(), bank, QUICK, growth=replace(plan, candidate_learning_rate=1e30))
    assert np.isfinite(result.best_loss).all()
    assert np.mean(result.best_loss) <= np.mean(plain.best_loss)
    assert figures(result.model, bank) == (result.best_loss, result.best_accuracy)
    json.dumps([step.to_json() for step in result.growth], allow_nan=False)


def test_features_that_are_no_numbers_are_one_clear_line(bank):
    train_features = bank.train.copy()
    train_features[:, 0] = np.nan
    with pytest.raises(DataError, match="loss is nan") as error:
        train(net(), replace(bank, train=train_features), QUICK, growth=GROWTH)
    assert "\n" not in str(error.value)


def test_a_choice_of_another_model_is_refused_by_name():
    with pytest.raises(KeyError, match=r"blocks\.7"):
        step_module.insert(
            build_model(CONFIG, 2), [Choice("blocks.7", Spec(), torch.nn.Identity(), torch.zeros(2, 3, 0))]
        )
