"""A growth step's parts: where dendrites attach, the neurons' errors, candidates and their training, insertion."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F_
from tiny_nets import B, C, F, K, Linear, P, T, batch, randn, seeded, separable
from torch import nn

from kws_dendrite.dendrites import DendriteConfig, attach, dendritic_layers, draw_candidates, insert, train_candidates
from kws_dendrite.dendrites.growth import captured, neuron_errors, neurons, remove_stale_wrappers
from kws_dendrite.dendrites.layer import Dendritic
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import BcResNetConfig, PaperConfig, build_model
from kws_dendrite.models.layers import Conv2d, Dense, Relu

PERFORATED = DendriteConfig(mode="perforated", activation="tanh", candidate_epochs=2)


def cross_entropy(logits, labels):
    return F_.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)


def grow(model, config, dendrites=1, seed=0):
    """`model` with `dendrites` inserted, candidates trained on three batches if the mode asks for it."""
    attach(model, config)
    for j in range(dendrites):
        branches = draw_candidates(model, batch(20)[0], seeded(seed + j))
        cascades = None
        if config.mode == "perforated":
            epochs = [[batch(seed=100 * j + k) for k in range(3)]]
            cascades, _ = train_candidates(model, branches, epochs, config, cross_entropy)
        insert(model, branches, cascades, frozen=config.mode == "perforated")
        for layer in dendritic_layers(model).values():
            nn.init.constant_(layer.t[-1], 0.4)
    return model


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


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


def test_neurons_of_layers_with_and_without_a_bias():
    for bias in (False, True):
        assert neurons(Dense(P, 5, C, seeded(), bias=bias)) == (P, C)
        assert neurons(Conv2d(P, 2, C, (3, 3), seeded(), bias=bias)) == (P, C)


def test_stale_wrappers_go_and_grown_ones_stay():
    model = separable()
    before = state(model)
    attach(model, DendriteConfig())
    remove_stale_wrappers(model)
    assert not dendritic_layers(model)
    assert same(state(model), before)
    grow(model, DendriteConfig(layers="head"))
    remove_stale_wrappers(model)
    assert list(dendritic_layers(model)) == ["head"]


def test_captured_leaves_no_hook():
    model = grow(separable(), PERFORATED)
    with captured(model) as seen:
        model(batch()[0])
    assert list(seen) == list(dendritic_layers(model))
    assert not any(module._forward_hooks for module in model.modules())


def test_errors_at_the_head_are_softmax_less_target():
    model = grow(separable(), PERFORATED).eval()
    x, labels = batch()
    logits = model(x).detach().numpy()
    found, delta = neuron_errors(model, (x, labels), cross_entropy)["head"]
    assert found.shape == (P, C, B)
    for p, b in np.ndindex(P, B):
        e = np.exp(logits[p, b] - logits[p, b].max())
        expected = e / e.sum() - np.eye(K)[labels[p, b]]  # summed over the batch: no 1 / B
        np.testing.assert_allclose(delta[p, :, b], expected, atol=1e-6)


def test_errors_of_a_clip_do_not_depend_on_its_batch():
    model = grow(separable(), PERFORATED).eval()
    x, labels = batch()
    together = neuron_errors(model, (x, labels), cross_entropy)
    for b in range(B):
        alone = neuron_errors(model, (x[:, b : b + 1], labels[:, b : b + 1]), cross_entropy)
        for name, (inputs, delta) in alone.items():
            torch.testing.assert_close(inputs, together[name][0][:, :, b : b + 1], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(delta, together[name][1][:, :, b : b + 1], atol=1e-6, rtol=1e-5)


def test_errors_leave_the_model_alone():
    model = grow(separable(), PERFORATED).eval()
    before = state(model)
    neuron_errors(model, batch(), cross_entropy)
    assert same(state(model), before)
    assert all(p.grad is None for p in model.parameters())


def test_errors_do_not_flow_through_frozen_dendrites():
    """Moving a hidden neuron moves the loss through frozen dendrites behind it too; its error leaves that part out."""
    model = grow(separable(), PERFORATED).eval()
    data = batch()
    with_dendrite = neuron_errors(model, data, cross_entropy)["blocks.0"][1]
    head = model.head
    extra = (head(head_input := captured_input(model, data[0])) - head.base(head_input)).detach()
    model.head = nn.Module()
    model.head.forward = lambda x: head.base(x) + extra  # the dendrite as a constant
    constant = neuron_errors(model, data, cross_entropy)["blocks.0"][1]
    torch.testing.assert_close(with_dendrite, constant)


def captured_input(model, x):
    with captured(model) as seen:
        model(x)
    return seen["head"][0]


@pytest.mark.parametrize("objective", ["covariance", "correlation"])
@pytest.mark.parametrize("cascade", [False, True])
def test_candidate_phase_leaves_the_model_bit_identical(objective, cascade):
    config = replace(PERFORATED, objective=objective, cascade=cascade)
    model = grow(separable(), config)
    before = state(model)
    branches = draw_candidates(model, batch(20)[0], seeded(7))
    drawn = {name: state(branch) for name, branch in branches.items()}
    cascades, scores = train_candidates(model, branches, [[batch(), batch(seed=9)]], config, cross_entropy)
    assert same(state(model), before)
    assert all(p.grad is None for p in model.parameters())
    for name, branch in branches.items():
        assert not same(state(branch), drawn[name]), name
        assert cascades[name].any() == cascade
        assert cascades[name].shape == (P, C, 1)
        assert scores[name].shape == (P, C)


def test_candidates_rise_where_a_nonlinear_feature_explains_the_error():
    """Exclusive or: a linear head at its best errs by half everywhere; one tanh that tells a corner from the others
    correlates with that by sqrt(1/3)."""
    generator = seeded(0)
    model = Linear(2, 2)
    with torch.no_grad():
        model.head.weight.mul_(1e-3)  # the best linear map is 0

    def batches():
        for _ in range(40):
            corners = torch.randint(2, (P, 32, 1, 2), generator=generator) * 2.0 - 1
            yield corners, (corners.prod(-1).squeeze(-1) > 0).long()

    config = DendriteConfig(mode="perforated", activation="tanh")
    attach(model, config)
    branches = draw_candidates(model, next(batches())[0], generator)
    rounds = []
    train_candidates(
        model, branches, (batches() for _ in range(8)), config, cross_entropy, lambda _, s: rounds.append(s["head"])
    )
    assert len(rounds) == 8
    assert (rounds[-1] > rounds[0]).all()
    assert (rounds[-1] > 0.45).all()  # smoothed, so behind
    insert(model, branches, None, frozen=True)
    x = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]).view(4, 1, 2).expand(P, 4, 1, 2)
    labels = torch.tensor([1, 0, 0, 1]).expand(P, 4)
    [a] = model.head.dendrites(x.flatten(2).transpose(1, 2))
    [delta] = [delta for _, delta in neuron_errors(model, (x, labels), cross_entropy).values()]
    follows = [[abs(np.corrcoef(a[p, c], delta[p, c])[0, 1]) for c in range(2)] for p in range(P)]
    np.testing.assert_allclose(follows, 1 / np.sqrt(3), atol=0.05)  # the tanh is not quite a step


def test_candidate_phase_is_a_function_of_its_arguments():
    model = grow(separable(), PERFORATED)
    results = []
    for _ in range(2):
        here = copy.deepcopy(model)
        branches = draw_candidates(here, batch(20)[0], seeded(7))
        torch.rand(3)  # the global stream does not matter
        _, scores = train_candidates(here, branches, [[batch()]], PERFORATED, cross_entropy)
        results.append(({name: state(branch) for name, branch in branches.items()}, scores))
    assert all(same(results[0][0][name], results[1][0][name]) for name in results[0][0])
    assert same(results[0][1], results[1][1])


def test_a_members_candidates_learn_from_its_own_error_alone():
    """Another labelling of member 1's clips changes nothing for member 0."""
    model = grow(separable(), PERFORATED)
    (x, labels), trained = batch(), []
    for other in (labels, torch.stack([labels[0], (labels[1] + 1) % K])):
        branches = draw_candidates(model, batch(20)[0], seeded(7))
        train_candidates(model, branches, [[(x, other)] * 3], PERFORATED, cross_entropy)
        trained.append(branches["head"].weight.detach())
    assert torch.equal(trained[0][0], trained[1][0])
    assert not torch.equal(trained[0][1], trained[1][1])


@pytest.mark.parametrize("mode", ["perforated", "gradient"])
@pytest.mark.parametrize("cascade", [False, True])
def test_insertion_keeps_the_whole_nets_function_exactly(mode, cascade):
    config = replace(PERFORATED, mode=mode, cascade=cascade)
    model, x = separable(), randn(P, 11, T, F, seed=3)
    for j in range(3):
        model = grow(model, config, 1, seed=j).eval()
        before = model(x)
        branches = draw_candidates(model, x, seeded(50 + j))
        insert(model, branches, None, frozen=mode == "perforated")
        assert (model(x) - before).abs().max() == 0
        assert {len(layer.branches) for layer in dendritic_layers(model).values()} == {2 * j + 2}
    frozen = {p.requires_grad for layer in dendritic_layers(model).values() for p in layer.branches.parameters()}
    assert frozen == {mode == "gradient"}
