"""Every captured layer has its node in the folded graph, and the same values."""

import numpy as np
import pytest
import torch

from kws_dendrite.dendrites import DendriteConfig, attach, dendritic_layers, fresh_choices, insert
from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.fold import fold
from kws_dendrite.layer_outputs import layer_outputs
from kws_dendrite.models import BcResNetConfig, EdgeImpulse1dConfig, PaperConfig, SeparableConfig, build_model
from kws_dendrite.plain import node_outputs

SEPARABLE = SeparableConfig(20, 8, 4, channels=6, kernel=5)
FAMILIES = [SEPARABLE, EdgeImpulse1dConfig(20, 8, 4), PaperConfig(24, 8, 4)]


def settled(config):
    """A population with statistics for BatchNorm to fold, and features for it."""
    model = build_model(config, 2, seed=1)
    x = torch.randn(5, config.frames, config.coefficients, generator=torch.Generator().manual_seed(0))
    model.train()
    model(x)
    return model.eval(), x


def grow(model, x, plan, dendrites=1):
    attach(model, plan)
    for number in range(dendrites):
        insert(model, fresh_choices(model, x, plan, seed=number))
    for layer in dendritic_layers(model).values():
        for t in layer.t:
            torch.nn.init.constant_(t, 0.1)


def check(model, x):
    """The names that were captured; all are nodes, with the nodes' values."""
    nodes = node_outputs(fold(model, 1), x.reshape(5, -1).numpy())
    found = layer_outputs(model, x, 1)
    assert set(found) <= set(nodes)
    for name, value in found.items():  # a sum's rounding goes with its largest terms
        np.testing.assert_allclose(value, nodes[name], rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)
    return list(found)


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.family)
@pytest.mark.parametrize("grown", [False, True])
def test_layers_are_the_graphs_nodes(config, grown):
    model, x = settled(config)
    if grown:
        grow(model, x, DendriteConfig())
    layers = 3 if config.family == "edge_impulse_1d" else 4
    assert len(check(model, x)) == (3 if grown else 1) * layers  # itself, its dendrite, their sum


@pytest.mark.parametrize("join", ["add", "gate"])
@pytest.mark.parametrize("kind", KINDS)
def test_dendrites_of_every_kind_have_their_nodes_in_the_order_that_they_run(kind, join):
    model, x = settled(SEPARABLE)
    grow(model, x, DendriteConfig(kind=kind, join=join, fan_in=2, rank=2), 2)
    names, joined = check(model, x), "gated" if join == "gate" else "sum"
    for name, layer in dendritic_layers(model).items():
        here = [found for found in names if found.startswith(name.replace(".", "_"))]
        if not layer.branches:
            assert len(here) == 1
            continue
        start = name.replace(".", "_")
        tail = "_pointwise" if name.startswith("blocks") else ""
        own = f"{start}{tail}"
        dendrites = [f"{start}_dendrite{j}{tail if kind in ('copy', 'echo') else ''}" for j in (1, 2)]
        assert here == [own, *dendrites, f"{start}_dendrite2_{joined}"]
    assert any(layer.branches for layer in dendritic_layers(model).values())


def test_a_look_back_on_a_map_of_frequencies_has_its_node():
    model, x = settled(PaperConfig(24, 8, 4))
    grow(model, x, DendriteConfig(kind="temporal", layers="conv"))
    assert "convs_0_dendrite1" in check(model, x)


def test_layers_with_a_frequency_axis():
    model, x = settled(BcResNetConfig(20, 40, 4, tau=0.5))
    grow(model, x, DendriteConfig(kind="lean"))
    assert {"stem", "stem_dendrite1", "stem_dendrite1_sum"} <= set(check(model, x))


def test_a_wrapper_without_a_dendrite_adds_no_node():
    model, x = settled(SEPARABLE)
    before = check(model, x)
    attach(model, DendriteConfig())
    assert check(model, x) == before


def test_training_mode_is_put_back():
    model = build_model(SEPARABLE, 1).train()
    layer_outputs(model, torch.randn(2, 20, 8), 0)
    assert model.training
