"""A dendritic layer: its formula against numpy, what inserting keeps, what freezing stops, calibration."""

import copy

import numpy as np
import pytest
import torch
from tiny_nets import LAYERS, B, C, P, dense, randn, seeded
from torch import nn

from kws_dendrite.dendrites import Dendritic
from kws_dendrite.dendrites.layer import activate, calibrate, fresh_branch
from kws_dendrite.models.layers import ConvBn

ACTIVATIONS = {
    "relu": lambda u: np.maximum(u, 0),
    "tanh": np.tanh,
    "sigmoid": lambda u: 1 / (1 + np.exp(-u)),
    "hard_tanh": lambda u: np.clip(u, -1, 1),
}
every_layer = pytest.mark.parametrize("kind", LAYERS)


def grown(kind, dendrites=1, *, frozen, activation="tanh", t=0.7):
    """A layer with calibrated dendrites, every t set to `t`; and an input for it."""
    make, shape = LAYERS[kind]
    layer, x = Dendritic(make(), activation), randn(*shape, seed=4)
    for j in range(dendrites):
        layer.add(fresh_branch(layer.base, x, seeded(10 + j)), torch.zeros(P, C, j), frozen=frozen)
        nn.init.constant_(layer.t[j], t)
    return layer, x


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_are_numpys(kind):
    u = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(activate(torch.tensor(u), kind), ACTIVATIONS[kind](u), atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("cascade", [False, True])
def test_formula_is_numpys(activation, cascade):
    D = 3
    layer = Dendritic(dense(), activation, cascade=cascade).double()
    x = randn(P, 4, B, dtype=torch.float64)
    for j in range(D):
        layer.add(dense(seed=20 + j).double(), randn(P, C, j, seed=30 + j, dtype=torch.float64), frozen=j % 2 == 0)
        with torch.no_grad():
            layer.t[j].copy_(randn(P, C, seed=40 + j))
    found = layer(x).detach().numpy()

    def affine(linear, p, c, n):
        return (linear.weight[p, c] @ x[p, :, n] + linear.bias[p, c]).item()

    for p, c, n in np.ndindex(P, C, B):
        a = []
        for j in range(D):
            u = affine(layer.branches[j], p, c, n)
            if cascade:
                u += sum(layer.cascade[j][p, c, e].item() * a[e] for e in range(j))
            a.append(ACTIVATIONS[activation](u))
        expected = affine(layer.base, p, c, n) + sum(layer.t[j][p, c].item() * a[j] for j in range(D))
        assert found[p, c, n] == pytest.approx(expected, abs=1e-12)
    z = layer.base(x) + sum(t[..., None] * a for t, a in zip(layer.t, layer.dendrites(x), strict=True))
    np.testing.assert_allclose(z.detach(), found, atol=1e-12)


@every_layer
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_inserting_keeps_the_function_exactly(kind, frozen, training):
    layer, x = grown(kind, 2, frozen=frozen)
    layer.train(training)
    before = layer(x)
    layer.add(fresh_branch(layer.base, x, seeded(99)), randn(P, C, 2), frozen=frozen)
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
            for t, a in zip(layer.t, layer.dendrites(x), strict=True):
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
        layer = Dendritic(dense(), "tanh", cascade=True)
        for j in range(2):
            layer.add(dense(seed=5 + j), torch.full((P, C, j), 0.5), frozen=frozen)
        nn.init.ones_(layer.t[1])  # t[0] stays 0: the first dendrite acts through the second alone
        layer(randn(P, 4, B)).square().sum().backward()
        reached = layer.branches[0].weight.grad is not None and bool(layer.branches[0].weight.grad.any())
        assert reached is not frozen
        assert (layer.cascade[1].grad is not None) is not frozen


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
    layer.add(branch, torch.zeros(P, C, 0), frozen=frozen)
    assert branch.training is branch.norm.training is not frozen


def test_a_copy_stays_frozen():
    layer, x = grown("conv_bn", frozen=True)
    twin = copy.deepcopy(layer).train()
    assert twin.frozen == [True]
    assert not twin.branches[0].training
    assert not any(p.requires_grad for p in twin.branches.parameters())
    assert torch.equal(twin(x), layer.train()(x))


@every_layer
def test_fresh_branch_is_calibrated(kind):
    make, shape = LAYERS[kind]
    x = 5 * randn(*shape[:2], 40, *shape[3:], seed=8) + 3
    u = fresh_branch(make(), x, seeded())(x).flatten(2)
    torch.testing.assert_close(u.mean(-1), torch.zeros(P, C), atol=1e-4, rtol=0)
    torch.testing.assert_close(u.std(-1), torch.ones(P, C), atol=1e-3, rtol=0)


@every_layer
def test_fresh_branch_leaves_the_base_alone(kind):
    make, shape = LAYERS[kind]
    base = make().requires_grad_(False)
    before, training = state(base), base.training
    branch = fresh_branch(base, randn(*shape), seeded())
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    assert base.training is training
    assert all(p.requires_grad for p in branch.parameters())
    shared = {p.data_ptr() for p in base.parameters()} & {p.data_ptr() for p in branch.parameters()}
    assert not shared


@every_layer
def test_fresh_branch_depends_on_its_generator_alone(kind):
    make, shape = LAYERS[kind]
    same, again, other = (state(fresh_branch(make(), randn(*shape), seeded(seed))) for seed in (1, 1, 2))
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert not all(torch.equal(same[name], other[name]) for name in same)


def test_calibration_keeps_the_momentum():
    layer: ConvBn = LAYERS["conv_bn"][0]()
    calibrate(layer, randn(*LAYERS["conv_bn"][1]))
    assert layer.norm.momentum == 0.1
    assert not layer.training


def test_calibrating_a_dead_neuron_stays_finite():
    layer = dense()
    calibrate(layer, torch.zeros(P, 4, B))
    assert torch.isfinite(layer.weight).all()
    assert torch.isfinite(layer(randn(P, 4, B))).all()
