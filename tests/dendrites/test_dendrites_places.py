"""Where dendrites stand: which layers they attach to, what a neuron's error is, and how a model is left."""

import numpy as np
import pytest
import torch
from tiny_nets import B, C, F, K, P, T, batch, grow, loss, same, seeded, separable, state
from torch import nn

from kws_dendrite.dendrites import DendriteConfig, Dendritic, Spec, attach, dendritic_layers
from kws_dendrite.dendrites.branches import PooledDense, neurons
from kws_dendrite.dendrites.places import (
    captured,
    join_pool,
    neuron_errors,
    remove_silent,
    remove_stale_wrappers,
)
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import BcResNetConfig, PaperConfig, SeparableConfig, build_model
from kws_dendrite.models.layers import Conv2d, Dense, Relu

FROZEN = DendriteConfig(mode="random", activation="tanh")


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("all", ["stem", "blocks.0", "blocks.1", "head"]),
        ("conv", ["stem", "blocks.0", "blocks.1"]),
        ("head", ["head"]),
    ],
)
def test_attach_wraps_whole_layers(layers, names):
    model, x = separable().eval(), batch()[0]
    before = model(x)
    assert attach(model, DendriteConfig(layers=layers)) == names
    assert torch.equal(model(x), before)
    assert attach(model, DendriteConfig(layers=layers)) == names  # and once only
    assert not any(isinstance(layer.base, Dendritic) for layer in dendritic_layers(model).values())


def test_attach_reaches_convolutions_without_batchnorm():
    model = build_model(PaperConfig(T, F, K, channels=(2, 3), hidden=(4,)), P)
    assert attach(model, DendriteConfig()) == ["convs.0", "convs.1", "hidden.0", "head"]


def test_attach_takes_a_convolution_with_its_batchnorm_as_one():
    model = build_model(BcResNetConfig(20, 40, K), P)
    names = attach(model, DendriteConfig())
    assert {"stem", "last", "head"} <= set(names)
    assert not any(name.startswith(f"{other}.") for name in names for other in names)


def test_attach_without_a_place_is_an_error():
    with pytest.raises(ConfigError, match="no layer for dendrites='head'"):
        attach(nn.Sequential(Relu()), DendriteConfig(layers="head"))


def test_before_the_pool_the_pool_and_the_head_are_one_layer():
    model, x = separable().eval(), batch()[0]
    before = model(x)
    for _ in range(2):  # once only
        assert attach(model, DendriteConfig(kind="pool")) == ["head"]
        assert isinstance(model.head.base, PooledDense)
        assert torch.equal(model(x), before)


@pytest.mark.parametrize(
    "config", [SeparableConfig(T, F, K, channels=C, head_hidden=2), PaperConfig(T, F, K, channels=(2,))]
)
def test_without_a_pool_right_before_the_head_there_is_no_place_before_it(config):
    model = build_model(config, P)
    before = [name for name, _ in model.named_modules()]
    with pytest.raises(ConfigError, match="between a pool over time and the head"):
        join_pool(model)
    assert [name for name, _ in model.named_modules()] == before


def test_neurons_of_layers_with_and_without_a_bias():
    for bias in (False, True):
        assert neurons(Dense(P, 5, C, seeded(), bias=bias)) == (P, C)
        assert neurons(Conv2d(P, 2, C, (3, 3), seeded(), bias=bias)) == (P, C)


@pytest.mark.parametrize("kind", ["copy", "pool"])
def test_stale_wrappers_go_and_grown_ones_stay(kind):
    model = separable()
    before, names = state(model), [name for name, _ in model.named_modules()]
    attach(model, DendriteConfig(kind=kind))
    remove_stale_wrappers(model)
    assert not dendritic_layers(model)
    assert same(state(model), before)
    assert [name for name, _ in model.named_modules()] == names
    grow(model, DendriteConfig(kind=kind, layers="head"))
    remove_stale_wrappers(model)
    assert list(dendritic_layers(model)) == ["head"]


def test_shams_go_and_the_function_stays():
    model, x = separable(), batch()[0]
    grow(model, DendriteConfig(layers="conv"))
    grow(model, DendriteConfig(mode="sham", layers="conv"), t=None)
    grow(model, FROZEN)
    before = model.eval()(x)
    remove_silent(model)
    assert torch.equal(model(x), before)
    for name, layer in dendritic_layers(model).items():
        assert not any(spec.silent for spec in layer.specs)
        sets = 1 if name == "head" else 2
        assert len(layer.branches) == len(layer.t) == len(layer.cascade) == len(layer.specs) == sets


def test_captured_leaves_no_hook():
    model = grow(separable(), FROZEN)
    with captured(model) as seen:
        model(batch()[0])
    assert list(seen) == list(dendritic_layers(model))
    assert not any(module._forward_hooks for module in model.modules())


def test_errors_at_the_head_are_softmax_less_target():
    model = grow(separable(), FROZEN).eval()
    x, labels = batch()
    logits = model(x).detach().numpy()
    found, delta = neuron_errors(model, (x, labels), loss)["head"]
    assert found.shape == (P, C, B)
    for p, b in np.ndindex(P, B):
        e = np.exp(logits[p, b] - logits[p, b].max())
        expected = e / e.sum() - np.eye(K)[labels[p, b]]  # summed over the batch: no 1 / B
        np.testing.assert_allclose(delta[p, :, b], expected, atol=1e-6)


def test_errors_are_the_derivative_by_the_neurons_output():
    """A shift of one neuron of one member moves the loss by its error summed over clips and frames."""
    model = grow(separable(), DendriteConfig(activation="tanh")).double().eval()
    x, labels = batch()
    data = x.double(), labels
    delta = neuron_errors(model, data, loss)["blocks.0"][1]
    step, bias = 1e-6, model.blocks[0].base.norm.bias
    for p, c in np.ndindex(P, C):
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                bias[p, c] += sign * step
                losses.append(loss(model(data[0]), labels).sum().item())
                bias[p, c] -= sign * step
        assert delta[p, c].sum().item() == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-6)


def test_errors_of_a_clip_do_not_depend_on_its_batch():
    model = grow(separable(), FROZEN).eval()
    x, labels = batch()
    together = neuron_errors(model, (x, labels), loss)
    for b in range(B):
        alone = neuron_errors(model, (x[:, b : b + 1], labels[:, b : b + 1]), loss)
        for name, (inputs, delta) in alone.items():
            torch.testing.assert_close(inputs, together[name][0][:, :, b : b + 1], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(delta, together[name][1][:, :, b : b + 1], atol=1e-6, rtol=1e-5)


def test_errors_leave_the_model_alone():
    model = grow(separable(), FROZEN).eval()
    before = state(model)
    neuron_errors(model, batch(), loss)
    assert same(state(model), before)
    assert all(p.grad is None for p in model.parameters())


def test_errors_do_not_flow_through_frozen_dendrites():
    """Moving a hidden neuron moves the loss through frozen dendrites behind it too; its error leaves that part out."""
    model = grow(separable(), FROZEN).eval()
    data = batch()
    with_dendrite = neuron_errors(model, data, loss)["blocks.0"][1]
    head = model.head
    with captured(model) as seen:
        model(data[0])
    extra = (head(seen["head"][0]) - head.base(seen["head"][0])).detach()
    model.head = nn.Module()
    model.head.forward = lambda x: head.base(x) + extra  # the dendrite as a constant
    constant = neuron_errors(model, data, loss)["blocks.0"][1]
    torch.testing.assert_close(with_dendrite, constant)


def test_a_layer_that_the_loss_does_not_reach_has_no_error():
    model = separable()
    attach(model, DendriteConfig())
    model.idle = Dendritic(Dense(P, 4, C, seeded()))
    assert "idle" not in neuron_errors(model.eval(), batch(), loss)


def test_a_spec_is_stored_as_it_is():
    spec = Spec("temporal", "gate", "sigmoid", taps=5, dilation=2, frozen=True)
    assert Spec(**spec.to_json()) == spec
