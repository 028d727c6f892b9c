"""Growing from one's own loop: phases, best weights, rollback, bad scores, and what stands around a training loop."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch_models import MODELS, QUICK, batch, batches, loss, mlp, residual, same, state, temporal

from kws_dendrite.dendrites import (
    DendriteConfig,
    Grower,
    GrowerConfig,
    Report,
    dendritic_layers,
    grow,
    merge,
    parameter_groups,
    quick_check,
    restore,
    structure,
)
from kws_dendrite.errors import ConfigError, DataError

SHAPE = (6,)


def grower(model, better="higher", *, shape=SHAPE, material=True, **settings):
    own = {name: settings.pop(name) for name in ("patience", "epochs", "min_epochs", "seed") if name in settings}
    growth = DendriteConfig(**{**QUICK, **settings})
    config = GrowerConfig(better, growth, **{"patience": 2, **own})
    given = {"loss": loss, "train_batches": batches(shape)} if material else {}
    return Grower(model, batch(shape), config, **given)


def nudge(model, value):
    """What an epoch of training stands for here: every learning weight moves."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(value)


def play(model, grower, scores):
    """Reports of these scores, the weights moving before each."""
    reports = []
    for number, score in enumerate(scores):
        nudge(model, 0.01 * (number + 1))
        reports.append(grower.report(score))
        if reports[-1].complete:
            break
    return reports


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_phases_as_drawn(better):
    r"""
    score   1  3  2  2 | 4  5  4  4 | 5  5 |
    phase   0  0  0  0 | 1  1  1  1 | 2  2 |     patience 2; the last phase is no better, and its dendrites go
    """
    sign = 1 if better == "higher" else -1
    model = mlp()
    one = grower(model, better, material=False, dendrites=3)
    reports = play(model, one, [sign * s for s in (1, 3, 2, 2, 4, 5, 4, 4, 5, 5, 5)])
    assert [r.restructured for r in reports] == [False] * 3 + [True] + [False] * 3 + [True] + [False] * 2 + [True]
    assert [r.complete for r in reports] == [False] * 10 + [True]
    assert [r.improved for r in reports] == [True, True, False, False, True, True] + [False] * 5
    assert [r.phase for r in reports] == [0] * 4 + [1 - 1] * 4 + [1] * 3
    assert [r.accepted for r in reports] == [None] * 7 + [True] + [None] * 2 + [False]
    assert one.best_score == sign * 5
    assert one.sizes == {"0": 1, "2": 1}
    assert [(s.epoch, s.accepted, s.before, s.after) for s in one.steps] == [
        (4, True, sign * 3, sign * 5), (8, False, sign * 5, sign * 5),
    ]  # fmt: skip
    assert one.report(sign * 9.0) == Report(False, True, False, 1)  # complete stays complete


def test_the_best_weights_come_back_and_so_does_the_structure():
    model = mlp()
    one = grower(model, material=False, dendrites=2, tries=2)
    plain = None
    for number, score in enumerate((1.0, 2.0, 1.0, 1.0)):
        nudge(model, 0.01 * (number + 1))
        if score == 2.0:
            plain = state(model)
        one.report(score)
    assert one.sizes
    assert all(torch.equal(value, state(model)[name.replace("0.", "0.base.").replace("2.", "2.base.")])
               for name, value in plain.items())  # fmt: skip
    first = state(model)
    play(model, one, [1.5, 1.5, 1.5])  # no better than 2: off again, and another draw
    assert one.sizes
    assert not same(state(model), first)
    play(model, one, [1.5, 1.5, 1.5])
    assert one.complete
    assert same(state(model), plain)
    assert [type(m) for m in model] == [nn.Linear, nn.ReLU, nn.Linear]
    assert [step.accepted for step in one.steps] == [False, False]


def test_phases_of_fixed_length_and_an_early_one():
    model = mlp()
    one = grower(model, material=False, epochs=3, dendrites=1)
    reports = play(model, one, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert [r.restructured for r in reports] == [False, False, True, False, False, False]
    assert reports[-1].complete
    model = mlp()
    one = grower(model, material=False, epochs=5, dendrites=1, insertion="early")
    reports = play(model, one, range(1, 20))
    assert [number for number, r in enumerate(reports, 1) if r.restructured or r.complete] == [2, 10]


def test_from_the_start():
    model = mlp()
    one = grower(model, material=False, insertion="start", dendrites=2)
    assert one.sizes == {"0": 2, "2": 2}
    reports = play(model, one, [1.0, 2.0, 1.0, 1.0])
    assert reports[-1].complete
    assert not any(report.restructured for report in reports)
    assert one.sizes == {"0": 2, "2": 2}


def test_a_sham_ends_plain():
    model = mlp()
    one = grower(model, material=False, mode="sham", dendrites=2)
    play(model, one, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0])
    assert one.complete
    assert not dendritic_layers(model)
    assert [step.accepted for step in one.steps] == [True, True]


@pytest.mark.parametrize("score", [math.nan, math.inf, torch.tensor(math.nan), torch.zeros(2), "high", None])
def test_a_score_that_is_none_changes_nothing(score):
    model = mlp()
    one = grower(model, material=False)
    one.report(1.0)
    before, best = state(model), one.best_score
    with pytest.raises(DataError, match=r"validation score is") as caught:
        one.report(score)
    assert "\n" not in str(caught.value)
    assert same(state(model), before)
    assert one.scores == [1.0]
    assert one.best_score == best
    one.report(torch.tensor(2.0))
    assert one.best_score == 2.0


def test_training_that_diverged_is_given_up():
    model = mlp()
    one = grower(model, material=False, tries=2)
    with pytest.raises(DataError, match="no reported score"):
        one.abandon()
    play(model, one, [1.0, 1.0, 1.0])
    assert one.sizes
    nudge(model, math.nan)
    report = one.abandon()
    assert report.restructured
    assert report.accepted is False
    assert all(value.isfinite().all() for value in state(model).values())
    nudge(model, math.nan)
    assert one.abandon().complete
    assert not dendritic_layers(model)
    assert one.best_score == 1.0


def test_ending_by_ones_own_clock():
    model = mlp()
    one = grower(model, material=False)
    play(model, one, [1.0, 2.0, 1.0, 1.0, 1.5])
    assert one.finish() is model
    assert not dendritic_layers(model)  # 1.5 is no better than 2
    assert one.complete
    untouched = mlp()
    before = state(untouched)
    assert same(state(grower(untouched, material=False).finish()), before)


def test_acceptance_asks_for_more_where_it_is_told_to():
    for least, stays in ((0.0, True), (0.2, False)):
        model = mlp()
        one = grower(model, material=False, min_improvement=least)
        play(model, one, [1.0, 1.0, 1.0, 1.1, 1.1, 1.1])
        assert bool(one.sizes) == stays
    for noise, stays in ((0.01, True), (3.0, False)):
        model, generator = mlp(), torch.Generator().manual_seed(0)
        one = grower(model, "lower", material=False, standard_errors=2.0)
        with pytest.raises(ConfigError, match="standard_errors needs"):
            one.report(1.0)
        clips = torch.rand(50, generator=generator)
        for score in (1.0, 1.0, 1.0, 0.9, 0.9, 0.9):
            one.report(score, clips + (score - 1.0) + noise * torch.randn(50, generator=generator))
        assert bool(one.sizes) == stays


def test_a_step_that_fails_ends_growth_with_the_best_model():
    model = mlp()
    data = batches(SHAPE)
    config = GrowerConfig("higher", DendriteConfig(mode="perforated", **QUICK), patience=1)
    one = Grower(model, batch(SHAPE), config, loss=loss, train_batches=lambda: data[:2])
    one.report(1.0)
    best = state(model)
    nudge(model, 1.0)
    with pytest.raises(DataError, match="warm up on at least 4 batches; train_batches gave 2"):
        one.report(0.5)
    assert one.complete
    assert same(state(model), best)


def train(model, one, make, epochs=40, shape=SHAPE, autocast=False):
    optimizer, rebuilt = make(model), 0
    while not one.complete and len(one.scores) < epochs:
        model.train()
        for x, y in batches(shape):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                value = loss(model(x), y)
            value.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            score = sum(loss(model(x), y).item() for x, y in batches(shape, 2))
        if one.report(score).restructured:
            optimizer, rebuilt = make(model), rebuilt + 1
    return rebuilt


def adam(model):
    return torch.optim.Adam(parameter_groups(model, 1e-2), lr=0.02)


@pytest.mark.parametrize("mode", ["gradient", "perforated", "growth"])
@pytest.mark.parametrize("name", MODELS)
def test_the_loop_of_the_readme(name, mode):
    make, shape = MODELS[name]
    model = make()
    one = grower(model, "lower", shape=shape, mode=mode, epochs=3, dendrites=2, tries=2)
    first = one
    rebuilt = train(model, one, adam, shape=shape)
    assert one is first and one.complete
    assert rebuilt >= 1
    with torch.no_grad():
        score = sum(loss(model.eval()(x), y).item() for x, y in batches(shape, 2))
    assert score == pytest.approx(one.best_score, rel=1e-5)
    assert one.best_score == pytest.approx(min(one.scores), rel=1e-6)


def test_frozen_dendrites_stay_and_t_learns():
    model = mlp()
    one = grower(model, "lower", mode="perforated", epochs=2, dendrites=1)
    optimizer = adam(model)
    for _ in range(2):
        report = one.report(1.0)
    assert report.restructured
    optimizer = adam(model)
    before = copy.deepcopy(model)
    for x, y in batches(SHAPE):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    for name, layer in dendritic_layers(model).items():
        old = before.get_submodule(name)
        assert same(state(layer.branches), state(old.branches))
        assert not torch.equal(layer.t[0], old.t[0])
        assert not torch.equal(layer.base.weight, old.base.weight)


def test_autocast_gives_the_layers_own_type():
    model = residual()
    one = grower(model, "lower", shape=(2, 7, 6), mode="growth", epochs=2, dendrites=1)
    train(model, one, adam, shape=(2, 7, 6), autocast=True)
    model = residual()
    one = grower(model, "lower", shape=(2, 7, 6), mode="gradient", epochs=1, dendrites=1)
    x = batch((2, 7, 6))[0]
    with torch.autocast("cpu", torch.bfloat16):
        before = model.eval()(x)
        one.report(1.0)
        after = model.eval()(x)
    assert one.sizes
    assert after.dtype == before.dtype == torch.bfloat16
    assert torch.equal(after, before)


def test_averages_and_copies_of_a_grown_model():
    model = temporal()
    one = grower(model, "lower", shape=(5, 16), mode="gradient", kind="sparse", layers="all", epochs=1)
    one.report(1.0)
    assert one.sizes
    average = AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5), use_buffers=True)
    copied = copy.deepcopy(model)
    x = batch((5, 16))[0]
    average.update_parameters(model)
    torch.testing.assert_close(average.eval()(x), model.eval()(x))
    nudge(model, 0.1)
    average.update_parameters(model)
    assert not torch.equal(average(x), model(x))
    assert torch.isfinite(average(x)).all()
    assert torch.equal(merge(copied)(x), merge(copied)(x))
    assert same(state(restore(temporal(3), structure(copied), copied.state_dict())), state(copied))


def test_two_models_in_one_process_do_not_meet():
    alone = mlp()
    train(alone, grower(alone, "lower", mode="growth", epochs=2), adam)
    one, other = mlp(), temporal()
    first = grower(one, "lower", mode="growth", epochs=2)
    second = grower(other, "lower", shape=(5, 16), mode="perforated", epochs=1, dendrites=3)
    second.report(2.0)
    train(one, first, adam)
    second.report(1.0)
    assert same(state(one), state(alone))


def test_no_terminal_no_files_no_output(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", None)
    model = mlp()
    train(model, grower(model, "lower", mode="growth", epochs=2), adam)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_weight_decay_leaves_dendrites_alone():
    model = residual()
    one = grower(model, "lower", shape=(2, 7, 6), mode="gradient", epochs=1)
    one.report(1.0)
    decayed, free = parameter_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.1
    assert free["weight_decay"] == 0.0
    assert {names[id(p)] for p in decayed["params"]} == {
        "stem.base.weight", "head.base.weight", "block.conv1.base.0.weight", "block.conv2.base.0.weight",
        "block.down.0.base.0.weight",
    }  # fmt: skip
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_a_restored_model_grows_on():
    model = mlp()
    train(model, grower(model, "lower", mode="gradient", epochs=2, dendrites=1), adam)
    assert dendritic_layers(model)
    fresh = restore(mlp(5), structure(model), model.state_dict())
    one = grower(fresh, "lower", mode="growth", epochs=1, dendrites=1)
    before = fresh.eval()(batch(SHAPE)[0])
    one.report(1.0)
    assert any(count > 1 for count in one.sizes.values())
    assert torch.equal(fresh.eval()(batch(SHAPE)[0]), before)
    one.report(2.0)  # worse: only the new ones go
    assert set(one.sizes.values()) == {1}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"better": "more"}, "better is one of higher, lower"),
        ({"patience": 0}, "patience is a whole number, 1 or more; got 0"),
        ({"epochs": -1}, "epochs is a whole number"),
        ({"warm_up": 1.5}, "warm_up is a whole number"),
        ({"in_place": "allow"}, "in_place is one of refuse, copy"),
        ({"dendrite": DendriteConfig(insertion="early")}, "insertion 'early' counts in epochs"),
    ],
)
def test_settings_that_cannot_be(settings, named):
    with pytest.raises(ConfigError, match=named):
        GrowerConfig(**{"better": "higher", **settings})


def test_what_is_no_model_and_what_is_no_config():
    for build in (Grower, lambda m, b, c: grow(m, [b], None, loss, None, c)):
        with pytest.raises(ConfigError, match="config is a GrowerConfig"):
            build(mlp(), batch(SHAPE), DendriteConfig())
        with pytest.raises(ConfigError, match=r"a torch.nn.Module; got a str"):
            build("model", batch(SHAPE), GrowerConfig("higher"))
    with pytest.raises(ConfigError, match="needs a loss"):
        quick_check(mlp(), batch(SHAPE), None)


def test_a_probe_needs_the_optimiser():
    with pytest.raises(ConfigError, match="probe tries learning rates, which are yours here"):
        grower(mlp(), probe=(1.0, 0.3))
