"""Folding changes nothing: the plain graph of every grown member is that member in evaluation mode."""

import copy
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from kws_dendrite.dendrites import DendriteConfig, attach, dendritic_layers, fresh_choices, insert
from kws_dendrite.dendrites.branches import PooledDense
from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.dendrites.layer import Dendritic
from kws_dendrite.errors import ConfigError, GraphError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model, layers
from kws_dendrite.models.bc_resnet import BcResNetConfig
from kws_dendrite.models.edge_impulse import EdgeImpulse1dConfig, EdgeImpulse2dConfig
from kws_dendrite.models.paper import PaperConfig
from kws_dendrite.models.separable import SeparableConfig
from kws_dendrite.models.spark import SparkConfig
from kws_dendrite.plain import cost, interpret
from kws_dendrite.plain import graph as plain

SHARED = SeparableConfig(13, 6, 3, channels=5, kernel=3, blocks=(0, 1, 0), dilations=(1, 2, 4), remove_mean=True)
CONFIGS = [
    SeparableConfig(13, 6, 3, channels=5, kernel=3, blocks=(0, 1), dilations=(1, 1), pooling="mean"),
    SHARED,
    SeparableConfig(12, 5, 3, channels=4, kernel=5, stride=2, pooling="max"),
    EdgeImpulse1dConfig(11, 5, 3, channels=(3, 4)),
    EdgeImpulse2dConfig(11, 7, 3, channels=(3, 4)),
    PaperConfig(12, 9, 3, channels=(2, 3), hidden=(5,)),
    BcResNetConfig(9, 40, 3, tau=0.5, remove_mean=True),
    SparkConfig(13, 6, 3, channels=3, kernel=5, blocks=2, gates=4),
]
ACTIVATIONS = ("relu", "tanh", "sigmoid", "hard_tanh")
LAYERS = ("all", "conv", "head")
JOINS = ("add", "gate")
SMALL = {"fan_in": 2, "rank": 2, "taps": 3, "dilation": 2}  # of the kinds that have them
CLIPS = 6


def ids(value):
    return getattr(value, "family", value)


def features(config, generator):
    """(N, T, F), far enough from zero mean and unit deviation that a lost shift shows."""
    return torch.randn(CLIPS, config.frames, config.coefficients, generator=generator) * 1.5 + 0.5


def grown(config, members=2, dendrites=0, seed=0, *, frozen=True, **settings):
    """A population as after training, in evaluation mode: statistics, scales, shifts, t and cascade all at random.

    `settings` are `DendriteConfig`'s.
    """
    generator = torch.Generator().manual_seed(seed)
    model = build_model(config, members, seed)
    x = features(config, generator)
    if getattr(model, "standardised", False):
        model.features.mean.copy_(x.mean((0, 1)))
        model.features.std.copy_(x.std((0, 1)))
    settle_norms(model, x)
    if dendrites:
        growth = DendriteConfig(mode="random" if frozen else "gradient", **settings)
        attach(model, growth)
        for number in range(dendrites):
            choices = fresh_choices(model, x, growth, seed + number)
            if growth.cascade:
                choices = [
                    replace(choice, cascade=torch.randn(choice.cascade.shape, generator=generator))
                    for choice in choices
                ]
            insert(model, choices)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # (P, C): BatchNorm's scale and shift, biases, t; (P, C, m): the matrix of a set of units.
            if parameter.dim() == 2 or ".t." in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
                if name.endswith("norm.weight"):
                    flip = torch.rand(parameter.shape, generator=generator) < 0.2
                    parameter.copy_(torch.where(flip, -parameter, parameter))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(torch.randn(buffer.shape, generator=generator) * 0.1)
            elif name.endswith("running_var"):
                buffer.mul_(torch.rand(buffer.shape, generator=generator) + 0.5)
        for layer in dendritic_layers(model).values():
            for t, spec in zip(layer.t, layer.specs, strict=True):
                if spec.join == "gate":
                    t.mul_(0.3)  # gates upon gates multiply: the net would magnify every rounding
    spread_logits(model.eval(), x)
    return model


def settle_norms(model, x):
    """BatchNorm's statistics from `x`, so that activations are of the size that they have after training."""
    norms = [module for module in model.modules() if isinstance(module, layers.BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(x)


@torch.no_grad()
def spread_logits(model, x):
    """Scale the head so that logits have mean 0 and deviation 1: saturated probabilities would hide differences."""
    std, mean = torch.std_mean(model(x), dim=1)  # (P, K)
    std = std.clamp_min(1e-6)
    grown_head = isinstance(model.head, Dendritic)
    dense = model.head.base if grown_head else model.head
    dense = dense.dense if isinstance(dense, PooledDense) else dense
    dense.bias.sub_(mean).div_(std)
    dense.weight.div_(std[:, :, None])
    for t, spec in zip(model.head.t, model.head.specs, strict=True) if grown_head else ():
        if spec.join == "add":
            t.div_(std[:, :, None] if spec.units else std)


def assert_folds(config, model, member, seed=0, *, dtype=np.float32):
    """Probabilities of graph and model agree to 1e-5; returns how much they vary over clips.

    In float64 only the weights' rounding is left, whatever a random net makes of it.
    """
    x = features(config, torch.Generator().manual_seed(seed + 1))
    graph = fold(model, member)
    if dtype is np.float64:
        model, x = copy.deepcopy(model).double(), x.double()
    with torch.no_grad():
        expected = torch.softmax(model(x)[member], -1).numpy()
    np.testing.assert_allclose(interpret(graph, x.flatten(1).numpy(), dtype=dtype), expected, rtol=0, atol=1e-5)
    return expected.std(0).max()


@pytest.mark.parametrize("dendrites", [0, 1, 2])
@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_fold_is_the_model(config, dendrites):
    """Every family, layer choice and activation, with and without cascade, at one and two dendrites."""
    choices = itertools.product(LAYERS, (False, True)) if dendrites else [("all", False)]
    for number, (chosen, cascade) in enumerate(choices):
        activation = ACTIVATIONS[(number + dendrites) % 4]
        model = grown(config, 2, dendrites, number, layers=chosen, cascade=cascade, activation=activation)
        assert assert_folds(config, model, number % 2, number, dtype=np.float64) > 1e-2


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_every_kind_folds(config, kind, join):
    """Every family with each kind that it can take, added and gating, in every activation over the cases."""
    number = CONFIGS.index(config) + 2 * KINDS.index(kind) + JOINS.index(join)
    if lacks(config, kind):
        with pytest.raises(ConfigError, match=kind):
            grown(config, 2, 2, number, kind=kind, join=join, **SMALL)
        return
    model = grown(config, 2, 2, number, kind=kind, join=join, activation=ACTIVATIONS[number % 4], **SMALL)
    assert_folds(config, model, number % 2, number, dtype=np.float64)


def lacks(config, kind):
    """Whether no layer of a family can take this kind."""
    if kind == "echo":  # weights that serve twice
        return config.family != "separable" or len(set(config.blocks)) == len(config.blocks)
    return kind == "pool" and config.family in ("edge_impulse_1d", "edge_impulse_2d", "paper", "spark")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    config=st.sampled_from(CONFIGS),
    dendrites=st.integers(0, 3),
    members=st.integers(1, 3),
    kind=st.sampled_from(KINDS),
    join=st.sampled_from(JOINS),
    activation=st.sampled_from(ACTIVATIONS),
    chosen=st.sampled_from(LAYERS),
    cascade=st.booleans(),
    frozen=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_growth_folds(config, dendrites, members, kind, join, activation, chosen, cascade, frozen, seed):
    cascade = cascade and kind not in ("lowrank", "pool")
    options = {"kind": kind, "join": join, "activation": activation, "layers": chosen, "cascade": cascade}
    try:
        model = grown(config, members, dendrites, seed, frozen=frozen, **options, **SMALL)
    except ConfigError:  # no layer for this kind here
        assume(False)
    for member in range(members):
        assert_folds(config, model, member, seed, dtype=np.float64)


def test_sets_of_different_kinds_stand_side_by_side():
    model = grown(SHARED)
    x = features(SHARED, torch.Generator().manual_seed(3))
    for number, (kind, join) in enumerate(itertools.product([k for k in KINDS if k != "pool"], JOINS)):
        plan = DendriteConfig(kind=kind, join=join, activation=ACTIVATIONS[number % 4], **SMALL)
        attach(model, plan)
        choices = fresh_choices(model, x, plan, number)
        insert(model, choices)
        for choice in choices:
            nn.init.constant_(dendritic_layers(model)[choice.layer].t[-1], 0.05)
    spread_logits(model.eval(), x)
    assert_folds(SHARED, model, 1, dtype=np.float64)


def test_members_fold_to_themselves():
    model = grown(SHARED, members=2, dendrites=1)
    x = features(SHARED, torch.Generator().manual_seed(3)).flatten(1).numpy()
    assert np.abs(interpret(fold(model, 0), x) - interpret(fold(model, 1), x)).max() > 1e-2


def test_fold_leaves_the_model_alone():
    model = grown(SHARED, dendrites=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = fold(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again = fold(model)
    assert [node.name for node in first.nodes] == [node.name for node in again.nodes]
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)


def test_training_mode_folds_to_evaluation():
    model = grown(CONFIGS[5])
    expected = fold(model)
    folded = fold(model.train())
    x = features(CONFIGS[5], torch.Generator().manual_seed(3)).flatten(1).numpy()
    assert np.array_equal(interpret(folded, x), interpret(expected, x))


# -- what the graph holds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (SeparableConfig(49, 24, 12, channels=11, kernel=11), 694),
        (SeparableConfig(49, 24, 12), 1392),
        (SeparableConfig(49, 24, 12, channels=13, blocks=(0, 1, 2), dilations=(1, 1, 1)), 1390),
        (SeparableConfig(49, 24, 12, channels=22, blocks=(0, 0, 1), dilations=(1, 2, 3)), 2278),
    ],
    ids=lambda value: getattr(value, "family", value),
)
def test_folded_parameters(config, count):
    """Folded sizes of the separable family, whose BatchNorms and standardisation leave a bias a channel."""
    assert cost(fold(build_model(config))).parameters == count
    assert cost(fold(grown(config))).parameters == count


def folded_parameters(layer):
    """Parameters of one member's copy of a layer: BatchNorm's scale goes into the weights."""
    norms = [module for module in layer.modules() if isinstance(module, layers.BatchNorm)]
    count = sum(parameter[0].numel() for parameter in layer.parameters())
    return count - sum(norm.weight[0].numel() for norm in norms)


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize("chosen", LAYERS)
@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_parameters_of_dendrites(config, chosen, cascade):
    """P = P_F + sum_j (P_Gj + C) + C * D * (D - 1) / 2 with cascade, over the dendritic layers."""
    D = 3
    base = cost(fold(grown(config))).parameters
    model = grown(config, dendrites=D, layers=chosen, cascade=cascade)
    expected = base
    for layer in dendritic_layers(model).values():
        C = layer.t[0].shape[1]
        expected += sum(folded_parameters(branch) + C for branch in layer.branches)
        expected += C * D * (D - 1) // 2 if cascade else 0
    assert cost(fold(model)).parameters == expected


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize(
    ("kind", "places"),
    [  # what each layer of the net below adds: stem of 6 inputs and 5 neurons, two blocks of 5, head of 5 and 3
        (
            "copy",
            {"stem": 5 * (6 + 2), "blocks.0": 5 * 3 + 5 * (5 + 2), "blocks.1": 5 * 3 + 5 * (5 + 2), "head": 3 * 7},
        ),
        ("lean", {"stem": 5 * (6 + 2), "blocks.0": 5 * (5 + 2), "blocks.1": 5 * (5 + 2), "head": 3 * (5 + 2)}),
        # Sparse weights are stored with their zeros: no kernel skips them.
        ("sparse", {"stem": 5 * (6 + 2), "blocks.0": 5 * (5 + 2), "blocks.1": 5 * (5 + 2), "head": 3 * (5 + 2)}),
        ("temporal", {"stem": 5 * (3 + 2), "blocks.0": 5 * (3 + 2), "blocks.1": 5 * (3 + 2)}),
        ("plateau", {"stem": 5, "blocks.0": 5, "blocks.1": 5}),
        (
            "lowrank",
            {"stem": 2 * 7 + 2 * 5, "blocks.0": 2 * 6 + 2 * 5, "blocks.1": 2 * 6 + 2 * 5, "head": 2 * 6 + 2 * 3},
        ),
        ("pool", {"head": 3 * (5 + 2)}),
    ],
)
def test_parameters_of_each_kind_by_hand(kind, places, join):
    """C (fan_in + 2), C (k + 2), r (fan_in + 1) + r C, ...; a gate costs a bias more, the 1 of 1 + t a."""
    config = CONFIGS[0]
    base = cost(fold(grown(config))).parameters
    model = grown(config, dendrites=1, kind=kind, join=join, **SMALL)
    has = {name: layer for name, layer in dendritic_layers(model).items() if layer.branches}
    assert set(has) == set(places)
    ones = sum(layer.t[0].shape[1] for layer in has.values()) if join == "gate" else 0
    assert cost(fold(model)).parameters - base == sum(places.values()) + ones


def test_an_echo_costs_a_scale_a_bias_and_t():
    """The weights are stored once, for the blocks and for their echoes: 3 C more a block."""
    before = cost(fold(grown(SHARED))).parameters
    model = grown(SHARED, dendrites=1, kind="echo", **SMALL)
    echoes = [layer for layer in dendritic_layers(model).values() if layer.branches]
    assert len(echoes) == 2  # of the block that is used twice
    assert cost(fold(model)).parameters - before == 2 * 3 * 5


@pytest.mark.parametrize("chosen", LAYERS)
@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_an_only_dendrite_is_not_dropped(config, chosen):
    model = grown(config, dendrites=1, layers=chosen)
    x = features(config, torch.Generator().manual_seed(3)).flatten(1).numpy()
    alive = interpret(fold(model), x)
    with torch.no_grad():
        for layer in dendritic_layers(model).values():
            layer.t[0].zero_()
    assert np.abs(alive - interpret(fold(model), x)).max() > 1e-4
    assert_folds(config, model, 0, dtype=np.float64)


def test_a_dendrite_at_t_0_changes_nothing():
    """Growth inserts at t = 0: the folded functions before and after are one."""
    model = grown(SHARED)
    x = features(SHARED, torch.Generator().manual_seed(3))
    before = interpret(fold(model), x.flatten(1).numpy())
    attach(model, DendriteConfig())
    insert(model, fresh_choices(model, x, DendriteConfig(), seed=0))
    np.testing.assert_allclose(interpret(fold(model.eval()), x.flatten(1).numpy()), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dendrites", [0, 2])
def test_shared_weights_are_stored_once(dendrites):
    model = grown(SHARED, dendrites=dendrites)
    graph = fold(model)
    uses = Counter(node.weight for node in graph.nodes if isinstance(node, plain.Conv2D))
    assert sorted(uses.values())[-2:] == [2, 2]  # block 0's depthwise and pointwise weights
    assert set(uses.values()) == {1, 2}
    shared = {weight for weight, count in uses.items() if count == 2}
    for weight in shared:
        users = [node for node in graph.nodes if getattr(node, "weight", None) == weight]
        assert users[0].scale is None  # one use is freed of its scale
    assert len(graph.weights) == len(uses) + sum(isinstance(node, plain.Dense) for node in graph.nodes)


def test_a_shared_weight_whose_first_scale_vanishes_still_folds():
    model = grown(SHARED)
    with torch.no_grad():
        model.blocks[0].norm.weight[:, 2] = 0
    assert_folds(SHARED, model, 0, dtype=np.float64)
    assert_folds(SHARED, model, 1, dtype=np.float64)


def test_shared_scales_are_positive():
    """What lets a shared int8 weight serve every use: no channel's scale changes sign between them."""
    model = grown(SHARED)
    assert (model.blocks[0].norm.weight < 0).any()
    pointwise = [node for node in fold(model).nodes if "blocks" in node.name and "pointwise" in node.name]
    assert all(node.scale is None or (node.scale > 0).all() for node in pointwise)


def test_nothing_is_left_of_training():
    graph = fold(grown(CONFIGS[6], dendrites=1))
    kinds = {type(node) for node in graph.nodes}
    assert kinds <= {
        plain.Input,
        plain.Reshape,
        plain.Conv2D,
        plain.Dense,
        plain.Activation,
        plain.Scale,
        plain.Add,
        plain.Sub,
        plain.Mul,
        plain.AvgPool,
        plain.Softmax,
    }
    assert all(weight.dtype == np.float32 and weight.flags.c_contiguous for weight in graph.weights.values())


def test_gates_cost_no_parameters():
    """The gates' halves and the standardisation go into the weights beside them."""
    graph = fold(grown(CONFIGS[7]))
    assert not any(isinstance(node, plain.Scale) for node in graph.nodes)


def test_labels_are_kept():
    assert fold(grown(CONFIGS[0]), labels=("go", "no", "stop")).labels == ("go", "no", "stop")


# -- what cannot be folded --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [-1, 2, 99])
def test_a_member_that_is_not_there(member):
    with pytest.raises(GraphError, match=f"members 0 to 1; got {member}"):
        fold(grown(CONFIGS[0]), member)


def test_a_layer_without_a_translation():
    model = grown(CONFIGS[0])
    model.relu = nn.GELU()
    with pytest.raises(GraphError, match="no translation for layer 'relu' of type GELU"):
        fold(model)


class Doubled(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x) * 2


class Reversed(Doubled):
    def forward(self, x):
        return self.model(x).flip(-1)


@pytest.mark.parametrize(("wrapper", "named"), [(Doubled, "call_function"), (Reversed, "call_method flip")])
def test_an_operation_without_a_translation(wrapper, named):
    with pytest.raises(GraphError, match=f"no translation for {named}"):
        fold(wrapper(grown(CONFIGS[0])))


def test_labels_that_do_not_fit_are_refused_when_shapes_are_checked():
    graph = fold(grown(CONFIGS[0]), labels=("go", "no"))
    with pytest.raises(GraphError, match="names 2 labels"):
        cost(graph)
