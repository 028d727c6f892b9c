"""A growth step of any model: function kept, what it takes, what it refuses, and the model as it was then."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_models import MODELS, QUICK, batch, batches, loss, mlp, places, same, state, trained_norms

from kws_dendrite.dendrites import Choice, DendriteConfig, dendritic_layers, merge, structure
from kws_dendrite.dendrites.merging import merged_layer
from kws_dendrite.dendrites.torch_growth import Material, Price, check_budget, count, grow_plain, loss_of
from kws_dendrite.dendrites.torch_places import wrap
from kws_dendrite.dendrites.torch_survey import refuse, survey
from kws_dendrite.errors import ConfigError, DataError

GROWTH = DendriteConfig(mode="growth", **QUICK)


def material(shape, count=5, **settings):
    return Material(batch(shape), loss, batches(shape, count), **{"held_out": batches(shape, 2), **settings})


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["gradient", "perforated", "growth", "random", "sham"])
@pytest.mark.parametrize("kind", ["copy", "lean", "sparse", "temporal", "lowrank"])
def test_a_step_keeps_the_function(name, mode, kind):
    make, shape = MODELS[name]
    model = trained_norms(make(), shape)
    config = DendriteConfig(mode=mode, kind=kind, **QUICK)
    x = batch(shape, seed=9)[0]
    try:
        where = places(model, shape, config)
    except ConfigError:
        assert (name, kind) in {("mlp", "temporal"), ("attention", "temporal")}
        return
    for step in range(2):
        before = model(x)
        report = grow_plain(model, where, material(shape), config, step)
        assert (model(x) - before).abs().max() == 0
        assert report.chosen.keys() <= {place.name for place in where}
        for layer in dendritic_layers(model).values():
            nn.init.constant_(layer.t[-1], 0.0 if mode == "sham" else 0.2)
    assert dendritic_layers(model).keys() <= {place.name for place in where}
    assert dendritic_layers(model)


@pytest.mark.parametrize("join", ["add", "gate"])
@pytest.mark.parametrize("cascade", [False, True])
def test_candidates_are_trained_and_the_model_is_not(join, cascade):
    make, shape = MODELS["residual"]
    model = trained_norms(make(), shape).train()
    config = replace(GROWTH, mode="perforated", join=join, cascade=cascade)
    where = places(model, shape, config)
    before, modes = state(model), {name: m.training for name, m in model.named_modules()}
    stream = torch.random.get_rng_state()
    report = grow_plain(model, where, material(shape), config, 0)
    assert all(score > 0 for score in report.scores.values())
    after = state(model)
    for name in ("head", "stem"):
        assert torch.equal(after[f"{name}.base.weight"], before[f"{name}.weight"])
    for conv, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("down.0", "down.1")):
        assert torch.equal(after[f"block.{conv}.base.0.weight"], before[f"block.{conv}.weight"])
        for value in ("weight", "running_mean", "num_batches_tracked"):
            assert torch.equal(after[f"block.{conv}.base.1.{value}"], before[f"block.{norm}.{value}"])
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert all(m.training == modes.get(name, m.training) for name, m in model.named_modules())
    for layer in dendritic_layers(model).values():
        assert layer.base.training
        assert not any(m.training for m in layer.branches[0].modules())  # frozen: its statistics stay


def test_an_xor_is_found_by_a_candidate_and_noise_is_not():
    """The one feature that helps a linear model here is a product; held-out significance sees it, and only it."""
    generator = torch.Generator().manual_seed(0)

    def corners(noise):
        for _ in range(40):
            x = torch.randint(2, (64, 2), generator=generator) * 2.0 - 1
            yield x, torch.randint(2, (64,), generator=generator) if noise else (x.prod(1) > 0).long()

    config = DendriteConfig(mode="growth", activation="tanh", significance=4.0, candidate_epochs=4)
    for noise in (False, True):
        model = nn.Sequential(nn.Linear(2, 2))
        nn.init.normal_(model[0].weight, std=1e-3, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(model[0].bias)  # the best linear map is 0 either way

        def data(noise=noise):
            return corners(noise)

        example = next(data())
        where = refuse(survey(model, lambda m=model, e=example: loss_of(m, e, loss), config), config)
        chosen = grow_plain(model, where, Material(example, loss, data, data), config, 0).chosen
        if noise:
            assert chosen == {}
            assert type(model[0]) is nn.Linear
        else:
            assert chosen["0"]["significance"] > 4
            assert chosen["0"]["gain"] > 0.05


@pytest.mark.parametrize(
    ("settings", "given", "error", "named"),
    [
        ({}, {"training": batches((6,), 3)}, DataError, "warm up on at least 4 batches; train_batches gave 3"),
        ({}, {"training": batches((6,), 4), "held_out": None}, DataError, "and 1 more to judge them by; .* gave 4"),
        ({}, {"training": None}, ConfigError, "give train_batches and a loss"),
        ({"mode": "perforated"}, {"loss": None}, ConfigError, "give train_batches and a loss"),
        ({}, {"training": iter(batches((6,)))}, ConfigError, "train_batches can be read only once"),
        ({"budget": 3}, {}, ConfigError, "budget of 3 parameters is below one dendrite"),
        ({"price": "cycles"}, {}, ConfigError, "price 'cycles' is for this project's own nets"),
        ({}, {"training": [(torch.zeros(4, 6), torch.zeros(4, 9, 9))] * 5}, RuntimeError, "."),
        ({}, {"training": [batch((6,), 1)] * 5}, DataError, "at least 2 clips"),
    ],
)
def test_what_cannot_be_is_refused_and_the_model_as_it_was(settings, given, error, named):
    model = mlp().train()
    config = replace(GROWTH, **settings)
    where = places(model, (6,), config)
    before, modules = state(model), list(model.named_modules())
    with pytest.raises(error, match=named):
        grow_plain(model, where, replace(material((6,)), **given), config, 0)
    assert same(state(model), before)
    assert list(model.named_modules()) == modules
    assert all(m.training for m in model.modules())


def test_a_budget_is_checked_beforehand_and_kept():
    model, config = mlp(), replace(GROWTH, kind="lowrank", rank=2)
    where = places(model, (6,), config)
    with pytest.raises(ConfigError, match=r"cheapest one here adds 14"):  # a unit of 10 + 1, a matrix of 3
        check_budget(model, where, replace(config, budget=13))
    assert type(model[0]) is nn.Linear
    for budget in (14, 20, 40):
        grown = mlp()
        check_budget(grown, where, replace(config, budget=budget))
        grow_plain(grown, where, material((6,)), replace(config, budget=budget), 0)
        assert 0 < count(merge(grown)) - count(mlp()) <= budget


@pytest.mark.parametrize("kind", ["copy", "sparse", "temporal", "lowrank"])
def test_a_price_is_what_merging_adds(kind):
    make, shape = MODELS["residual"]
    model = trained_norms(make(), shape)
    config = replace(GROWTH, kind=kind)
    where = places(model, shape, config)
    wrap(model, where, config)
    plain = {place.name: count(merged_layer(model.get_submodule(place.name))) for place in where}
    price = Price(model, {place.name: place for place in where}, "parameters")
    macs = Price(model, {place.name: place for place in where}, "macs")
    grown = trained_norms(make(), shape)
    for name in grow_plain(grown, where, material(shape), config, 0).chosen:
        layer = grown.get_submodule(name)
        choice = Choice(name, layer.specs[0], layer.branches[0], layer.cascade[0])
        assert price(choice) == count(merged_layer(layer)) - plain[name] > 0
        assert macs(choice) == price(choice) * next(place.positions for place in where if place.name == name)


def test_the_same_seed_grows_the_same():
    make, shape = MODELS["temporal"]
    grown = []
    for _ in range(2):
        model = trained_norms(make(), shape)
        torch.rand(3)  # the global stream does not matter
        where = places(model, shape, GROWTH)
        grow_plain(model, where, material(shape), GROWTH, 5)
        grown.append((structure(model), state(model)))
    assert grown[0][0] == grown[1][0]
    assert same(grown[0][1], grown[1][1])
    other = trained_norms(make(), shape)
    grow_plain(other, places(other, shape, GROWTH), material(shape), GROWTH, 6)
    assert not same(state(other), grown[0][1])
