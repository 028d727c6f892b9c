"""A dendritic layer: its formula against numpy, what inserting keeps, what freezing stops."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_nets import LAYERS, B, C, P, calibrated, dense, randn
from torch import nn

from kws_dendrite.dendrites import Dendritic, Spec
from kws_dendrite.dendrites.branches import empty_branch
from kws_dendrite.dendrites.layer import Layout, activate
from kws_dendrite.models.layers import Dense

ACTIVATIONS = {
    "relu": lambda u: np.maximum(u, 0),
    "tanh": np.tanh,
    "sigmoid": lambda u: 1 / (1 + np.exp(-u)),
    "hard_tanh": lambda u: np.clip(u, -1, 1),
}
every_layer = pytest.mark.parametrize("kind", LAYERS)
COPY = Spec(activation="tanh")


def grown(kind, dendrites=1, *, frozen, t=0.7):
    """A layer with calibrated copies, every t set to `t`; and an input for it."""
    make, shape = LAYERS[kind]
    layer, x = Dendritic(make()), randn(*shape, seed=4)
    for j in range(dendrites):
        layer.add(calibrated(layer.base, COPY, x, 10 + j), torch.zeros(P, C, j), replace(COPY, frozen=frozen))
        nn.init.constant_(layer.t[j], t)
    return layer, x


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_are_numpys(kind):
    u = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(activate(torch.tensor(u), kind), ACTIVATIONS[kind](u), atol=1e-12)


@pytest.mark.parametrize("join", ["add", "gate"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("cascade", [False, True])
def test_formula_is_numpys(activation, cascade, join):
    """z' = z + sum_j t_j a_j, or z' = z prod_j (1 + t_j a_j); a_j = f(u_j + sum_{e<j} c_je a_e)."""
    D = 3
    layer = Dendritic(dense(), cascade=cascade).double()
    x = randn(P, 4, B, dtype=torch.float64)
    for j in range(D):
        spec = Spec(activation=activation, join=join, frozen=j % 2 == 0)
        layer.add(dense(seed=20 + j).double(), randn(P, C, j, seed=30 + j, dtype=torch.float64), spec)
        with torch.no_grad():
            layer.t[j].copy_(randn(P, C, seed=40 + j))
    found = layer(x).detach().numpy()

    def affine(linear, p, c, n):
        return (linear.weight[p, c] @ x[p, :, n] + linear.bias[p, c]).item()

    for p, c, n in np.ndindex(P, C, B):
        a, expected = [], affine(layer.base, p, c, n)
        for j in range(D):
            u = affine(layer.branches[j], p, c, n)
            if cascade:
                u += sum(layer.cascade[j][p, c, e].item() * a[e] for e in range(j))
            a.append(ACTIVATIONS[activation](u))
            y = layer.t[j][p, c].item() * a[j]
            expected = expected + y if join == "add" else expected * (1 + y)
        assert found[p, c, n] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("join", ["add", "gate"])
def test_units_reach_every_neuron_through_a_matrix(join):
    """z'_c = z_c + sum_m T_cm f(u_m), or z_c (1 + sum ...)."""
    m = 2
    layer, x = Dendritic(dense()).double(), randn(P, 4, B, dtype=torch.float64)
    units = Dense(P, 4, m, torch.Generator().manual_seed(7)).double()
    layer.add(units, torch.zeros(P, C, 0), Spec(kind="lowrank", activation="tanh", join=join, units=m))
    assert layer.t[0].shape == (P, C, m)
    with torch.no_grad():
        layer.t[0].copy_(randn(P, C, m, seed=8))
    y = np.einsum("pcm,pmn->pcn", layer.t[0].detach(), np.tanh(units(x).detach()))
    z = layer.base(x).detach().numpy()
    np.testing.assert_allclose(layer(x).detach(), z + y if join == "add" else z * (1 + y), atol=1e-12)


@every_layer
@pytest.mark.parametrize("join", ["add", "gate"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_inserting_keeps_the_function_exactly(kind, join, frozen, training):
    layer, x = grown(kind, 2, frozen=frozen)
    layer.train(training)
    before = layer(x)
    spec = replace(COPY, frozen=frozen, join=join)
    layer.add(calibrated(layer.base, COPY, x, 99), randn(P, C, 2), spec)
    layer.train(training)
    assert (layer(x) - before).abs().max() == 0


@every_layer
def test_no_dendrite_is_the_base(kind):
    make, shape = LAYERS[kind]
    base, x = make(), randn(*shape)
    assert torch.equal(Dendritic(base)(x), base(x))


@every_layer
def test_frozen_dendrite_passes_no_gradient(kind):
    layer, x = grown(kind, 2, frozen=True)
    layer.eval()
    pull = randn(*layer(x).shape, seed=6)
    grads = {}
    for name, module in (("with", layer), ("without", layer.base)):
        layer.zero_grad(set_to_none=True)
        here = x.clone().requires_grad_(True)
        (module(here) * pull).sum().backward()
        grads[name] = [here.grad, *(p.grad for p in layer.base.parameters())]
        if name == "with":
            assert all(p.grad is None for p in layer.branches.parameters())
            assert all(c.grad is None for c in layer.cascade)
            for t, a in zip(layer.t, layer.dendrites(layer.sources(x)), strict=True):
                torch.testing.assert_close(t.grad, (pull * a).flatten(2).sum(-1))
    assert all(torch.equal(one, other) for one, other in zip(grads["with"], grads["without"], strict=True))


@every_layer
def test_gradient_mode_passes_all_gradient(kind):
    layer, x = grown(kind, 1, frozen=False)
    layer.eval()
    pull = randn(*layer(x).shape, seed=6)
    here, there = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    (layer(here) * pull).sum().backward()
    branch = copy.deepcopy(layer.branches[0])
    branch.zero_grad(set_to_none=True)
    ((layer.base(there) + 0.7 * torch.tanh(branch(there))) * pull).sum().backward()
    torch.testing.assert_close(here.grad, there.grad)
    for (name, one), other in zip(layer.branches[0].named_parameters(), branch.parameters(), strict=True):
        assert one.grad.any(), name
        torch.testing.assert_close(one.grad, other.grad)


def test_gradient_of_a_cascade_reaches_earlier_dendrites_only_unfrozen():
    for frozen in (False, True):
        layer = Dendritic(dense(), cascade=True)
        for j in range(2):
            layer.add(dense(seed=5 + j), torch.full((P, C, j), 0.5), replace(COPY, frozen=frozen))
        nn.init.ones_(layer.t[1])  # t[0] stays 0: the first dendrite acts through the second alone
        layer(randn(P, 4, B)).square().sum().backward()
        reached = layer.branches[0].weight.grad is not None and bool(layer.branches[0].weight.grad.any())
        assert reached is not frozen
        assert (layer.cascade[1].grad is not None) is not frozen


def test_a_sham_has_nothing_to_learn():
    layer = Dendritic(dense())
    layer.add(dense(seed=5), torch.zeros(P, C, 0), replace(COPY, frozen=True, silent=True))
    added = {id(p) for p in layer.parameters()} - {id(p) for p in layer.base.parameters()}
    assert added
    assert not any(p.requires_grad for p in layer.parameters() if id(p) in added)
    assert all(p.requires_grad for p in layer.base.parameters())


@pytest.mark.parametrize("kind", ["conv_bn", "separable_bn"])
@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_dendrite_keeps_its_statistics_in_training(kind, frozen):
    layer, x = grown(kind, frozen=frozen)
    holder = nn.Sequential(layer)
    before_branch, before_base = state(layer.branches[0]), state(layer.base)
    holder.train()
    holder(3 * x + 1)
    kept = all(torch.equal(value, before_branch[name]) for name, value in layer.branches[0].state_dict().items())
    assert kept is frozen
    assert not torch.equal(layer.base.norm.running_mean, before_base["norm.running_mean"])
    holder.eval()
    assert not any(module.training for module in holder.modules())


@pytest.mark.parametrize("frozen", [False, True])
def test_a_branch_in_training_mode_is_stilled_when_it_comes_frozen(frozen):
    layer, branch = Dendritic(LAYERS["conv_bn"][0]()), LAYERS["conv_bn"][0]().train()
    layer.add(branch, torch.zeros(P, C, 0), replace(COPY, frozen=frozen))
    assert branch.training is branch.norm.training is not frozen


def test_a_copy_stays_frozen():
    layer, x = grown("conv_bn", frozen=True)
    twin = copy.deepcopy(layer).train()
    assert twin.frozen == [True]
    assert not twin.branches[0].training
    assert not any(p.requires_grad for p in twin.branches.parameters())
    assert torch.equal(twin(x), layer.train()(x))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_a_layout_brings_neurons_to_their_place_and_back(axis):
    value = randn(4, 5, 6)
    layout = Layout(axis)
    assert layout.inside(value).shape[:2] == (1, value.shape[axis])
    assert torch.equal(layout.outside(layout.inside(value)), value)
    assert Layout().inside(value) is value and Layout().outside(value) is value


FUSED = Spec("plateau", taps=3)


@pytest.mark.parametrize("spec", [FUSED, replace(FUSED, join="gate"), replace(FUSED, activation="tanh"), COPY])
@pytest.mark.parametrize("kind", ["conv_bn", "separable_bn"])
@pytest.mark.parametrize("with_residual", [False, True])
def test_rectified_is_relu_behind_the_layer(kind, spec, with_residual):
    """In one pass where the dendrites are plateaus, in parts elsewhere: the same values and gradients."""
    make, shape = LAYERS[kind]
    layer, x = Dendritic(make()), randn(*shape, seed=4)
    branch = empty_branch(layer.base, spec) if spec.kind == "plateau" else calibrated(layer.base, spec, x, 10)
    layer.add(branch, torch.zeros(P, C, 0), spec)
    nn.init.constant_(layer.t[0], -0.4)
    found = []
    for function in (layer.rectified, lambda x, residual: parts(layer, x, residual)):
        layer.zero_grad()
        one = x.clone().requires_grad_()
        y = function(one, torch.ones_like(layer.base(x)) if with_residual else None)
        y.backward(randn(*y.shape, seed=5))
        gradients = [parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None]
        found.append([y.detach(), one.grad, *gradients])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def parts(layer, x, residual):
    y = torch.relu(layer(x))
    return y if residual is None else residual + y
