"""A growth step: insertion keeps the function, whatever the kind; what each mode inserts; what a step says."""

import copy

import pytest
import torch
from tiny_nets import F, P, T, batch, grow, loss, randn, same, separable, state
from torch import nn

from kws_dendrite.dendrites import DendriteConfig, attach, dendritic_layers, fresh_choices, grow_step, insert
from kws_dendrite.dendrites.config import KINDS, DendriteActivation
from kws_dendrite.dendrites.growth import START_T, with_choice
from kws_dendrite.fold import fold
from kws_dendrite.models import BcResNetConfig, EdgeImpulse1dConfig, PaperConfig, SparkConfig, build_model
from kws_dendrite.plain import interpret
from kws_dendrite.training.growth import Pricing

SMALL = {"fan_in": 2, "rank": 2, "taps": 3, "candidates": 2, "candidate_epochs": 1}
FAMILIES = {
    "separable": lambda: separable(),
    "edge_impulse_1d": lambda: build_model(EdgeImpulse1dConfig(T + 4, F, 3), P),
    "paper": lambda: build_model(PaperConfig(T + 4, F + 4, 3, channels=(2, 3)), P),
    "bc_resnet": lambda: build_model(BcResNetConfig(9, 40, 3, tau=0.5), P),
    "spark": lambda: build_model(SparkConfig(T + 4, F, 3, channels=3, kernel=5, blocks=2, gates=4), P),
}
# Kinds that every layer of a family is without.
HAS_NOT = {
    "edge_impulse_1d": {"sparse", "echo", "pool"},
    "paper": {"echo", "pool"},
    "bc_resnet": {"echo"},
    "spark": {"echo", "pool"},
}


def step(model, config, seed=7):
    """One growth step on three batches of chance; what it reports."""
    price = Pricing(model, config.price)
    data = [batch(12, seed=3 * k) for k in range(3)]
    return grow_step(model, batch(20)[0], lambda: [data], lambda: data, config, seed, loss, price)


def features(model):
    return randn(P, 11, model.features.frames, model.features.coefficients, seed=3)


@pytest.mark.parametrize("join", ["add", "gate"])
@pytest.mark.parametrize(
    ("family", "kind"), [(name, kind) for name in FAMILIES for kind in KINDS if kind not in HAS_NOT.get(name, ())]
)
def test_insertion_keeps_the_whole_nets_function_exactly(family, kind, join):
    """Three sets one upon the other, each on a net whose dendrites work; the fold says the same."""
    config = DendriteConfig(kind=kind, join=join, activation="tanh", **SMALL)
    model = FAMILIES[family]().eval()
    x = features(model)
    for number in range(2):
        attach(model, config)
        before = model(x)
        choices = fresh_choices(model, x, config, number)
        insert(model, choices)
        model.eval()
        assert choices
        assert (model(x) - before).abs().max() == 0
        for choice in choices:
            nn.init.constant_(dendritic_layers(model)[choice.layer].t[-1], 0.2)
        assert (model(x) - before).abs().max() > 1e-5
    graph = fold(model, 1)
    expected = torch.softmax(model(x)[1], -1).detach().numpy()
    assert abs(interpret(graph, x[1].flatten(1).numpy()) - expected).max() < 1e-5


@pytest.mark.parametrize("mode", ["perforated", "gradient", "growth", "random", "sham"])
@pytest.mark.parametrize("cascade", [False, True])
def test_a_step_of_every_mode_keeps_the_function_exactly(mode, cascade):
    config = DendriteConfig(mode=mode, cascade=cascade, significance=0.0, activation="tanh", **SMALL)
    model, x = separable(), randn(P, 11, T, F, seed=3)
    for number in range(2):
        before = model.eval()(x)
        report = step(model, config, number)
        assert report.chosen
        assert (model.eval()(x) - before).abs().max() == 0
        if mode != "sham":
            for name in report.chosen:
                nn.init.constant_(dendritic_layers(model)[name].t[-1], 0.3)
    parameters = [p for layer in dendritic_layers(model).values() for p in layer.branches.parameters()]
    assert {p.requires_grad for p in parameters} == {mode in ("gradient", "growth")}
    learns = {t.requires_grad for layer in dendritic_layers(model).values() for t in layer.t}
    assert learns == {mode != "sham"}


@pytest.mark.parametrize("mode", ["perforated", "gradient", "growth", "random", "sham"])
def test_a_step_is_a_function_of_its_arguments(mode):
    config = DendriteConfig(mode=mode, significance=0.0, **SMALL)
    grown = []
    for seed, noise in ((1, 0), (1, 1), (2, 0)):
        torch.manual_seed(noise)
        model = separable()
        report = step(model, config, seed)
        grown.append((state(model), report))
    assert same(grown[0][0], grown[1][0]) and grown[0][1] == grown[1][1]
    assert not same(grown[0][0], grown[2][0])


def test_candidates_are_drawn_and_trained_in_the_modes_that_say_so():
    for mode in ("perforated", "growth"):
        model = separable()
        report = step(model, DendriteConfig(mode=mode, significance=0.0, **SMALL))
        assert set(report.scores) == set(dendritic_layers(model))
        assert all(0 < value <= 1 for value in report.scores.values())
    for mode in ("gradient", "random", "sham"):
        assert step(separable(), DendriteConfig(mode=mode, **SMALL)).scores == {}


def test_scores_of_several_kinds_are_told_apart():
    report = step(separable(), DendriteConfig(mode="growth", kind="any", significance=0.0, **SMALL))
    assert {"head.lean", "head.lowrank", "stem.temporal"} <= set(report.scores)


def test_growth_that_finds_nothing_inserts_nothing_and_says_so():
    model = separable()
    x = batch()[0]
    before, expected = state(model), model.eval()(x)
    report = step(model, DendriteConfig(mode="growth", significance=1e6, **SMALL))
    assert report.chosen == {} and report.scores
    assert not any(layer.branches for layer in dendritic_layers(model).values())
    assert torch.equal(model(x), expected)
    assert set(before) == {name.replace("base.", "") for name in state(model)}


def test_the_report_says_what_was_chosen():
    model = separable()
    report = step(model, DendriteConfig(mode="growth", significance=0.0, **SMALL))
    for name, said in report.chosen.items():
        spec = dendritic_layers(model)[name].specs[-1]
        assert (said["kind"], said["units"]) == (spec.kind, spec.units)
        assert said["gain"] > 0 and said["significance"] > 0
    assert set(report.chosen) == {name for name, layer in dendritic_layers(model).items() if layer.branches}


@pytest.mark.parametrize("kind", KINDS)
def test_from_the_start_every_dendrite_takes_part_at_once(kind):
    config = DendriteConfig(kind=kind, insertion="start", **SMALL)
    model, x = separable().eval(), batch()[0]
    before = model(x)
    report = step(model, config)
    assert report.chosen
    for name in report.chosen:
        t = dendritic_layers(model)[name].t[0]
        if kind != "lowrank":
            assert (t == START_T).all()
            continue
        reach = (t != 0).float()  # (P, C, m): one unit a neuron, and every unit has a neuron
        assert (reach.sum(2) == 1).all()
        assert (reach.sum(1) >= 1).all()
    assert (model.eval()(x) - before).abs().max() > 1e-3


def test_a_sham_from_the_start_is_held_at_0_as_well():
    model, x = separable().eval(), batch()[0]
    before = model(x)
    step(model, DendriteConfig(mode="sham", insertion="start", **SMALL))
    assert torch.equal(model.eval()(x), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_to_count_leaves_the_model_alone(kind):
    model = separable().eval()
    config = DendriteConfig(kind=kind, **SMALL)
    attach(model, config)
    x = batch()[0]
    before, expected = state(model), model(x)
    for choice in fresh_choices(model, x, config, 0):
        twin = with_choice(model, choice)
        assert len(dendritic_layers(twin)[choice.layer].branches) == 1
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.add_(1)
    assert same(state(model), before)
    assert torch.equal(model(x), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deep_copy_is_a_net_of_its_own(kind):
    model = grow(separable(), DendriteConfig(kind=kind, **SMALL)).eval()
    before = state(model)
    twin = copy.deepcopy(model)
    x = batch()[0]
    assert torch.equal(twin(x), model(x))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert same(state(model), before)


def test_activations_are_all_tried():
    """The exhaustive list in the tests of layers and folds is the configuration's."""
    assert set(DendriteActivation.__args__) == {"relu", "tanh", "hard_tanh", "sigmoid"}
