"""Pools of candidates: who draws what, what training leaves alone, what it finds, and whom each neuron takes."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_nets import B, C, F, K, Linear, P, T, batch, grow, loss, randn, same, seeded, separable, state

from kws_dendrite.dendrites import DendriteConfig, attach, dendritic_layers, draw_pools, insert, take_all, train_pools
from kws_dendrite.dendrites.branches import separate_neurons
from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.dendrites.objective import SmoothedMoments, moments, score
from kws_dendrite.dendrites.places import neuron_errors
from kws_dendrite.dendrites.pool import judge_pools, pick
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import EdgeImpulse2dConfig, PaperConfig, build_model

PERFORATED = DendriteConfig(mode="perforated", activation="tanh", candidate_epochs=2, fan_in=2, rank=2, taps=3)
OWN_WEIGHTS = [kind for kind in KINDS if kind not in ("plateau", "echo")]  # the others have nothing of a neuron's own


def drawn(model, config, seed=7, size=3):
    """The model with its pools, untrained."""
    attach(model, config)
    return draw_pools(model, batch(20)[0][: len(next(model.parameters()))], config, seed, size)


def weights(pool):
    """The branch's state with the members apart: (P, K, ...)."""
    return {name: value.unflatten(0, (-1, pool.size)) for name, value in state(pool.branch).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_members_candidates_depend_on_seed_and_member_alone(kind):
    config = replace(PERFORATED, kind=kind)
    few, many = separable(2), separable(3)
    with torch.no_grad():  # the members that both have are the same nets
        for one, other in zip([*many.parameters(), *many.buffers()], [*few.parameters(), *few.buffers()], strict=True):
            if one.dim() > 1:
                one[:2] = other
    x = randn(3, 20, T, F, seed=2)
    attach(few, config)
    attach(many, config)
    pools = [draw_pools(model, x[:p], config, 7, 3) for model, p in ((few, 2), (many, 3))]
    assert len(pools[0]) == len(pools[1]) > 0
    for one, other in zip(*pools, strict=True):
        for name, value in weights(one).items():
            torch.testing.assert_close(value, weights(other)[name][:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", OWN_WEIGHTS)
def test_candidates_differ_and_a_seed_gives_the_same(kind):
    config = replace(PERFORATED, kind=kind)
    one, again, other = (drawn(separable(), config, seed)[0] for seed in (7, 7, 8))
    assert same(state(one.branch), state(again.branch))
    assert not same(state(one.branch), state(other.branch))
    drawn_weights = next(value for value in one.branch.parameters() if value.std() > 0)
    flat = drawn_weights.flatten(1) if one.size > 1 else drawn_weights.flatten(0, 1).flatten(1)
    assert len({tuple(row.tolist()) for row in flat}) == len(flat)


@pytest.mark.parametrize("kind", KINDS)
def test_drawing_leaves_the_model_and_the_global_stream_alone(kind):
    model = separable().train()
    attach(model, replace(PERFORATED, kind=kind))
    before, rng = state(model), torch.get_rng_state()
    draw_pools(model, batch(20)[0], replace(PERFORATED, kind=kind), 7, 3)
    assert same(state(model), before)
    assert model.training
    assert torch.equal(torch.get_rng_state(), rng)


def test_a_kind_that_no_layer_can_take_is_refused_with_every_layers_reason():
    model = build_model(EdgeImpulse2dConfig(12, 8, K, channels=(2, 3)), P)
    attach(model, DendriteConfig(kind="sparse", layers="conv"))
    with pytest.raises(ConfigError, match=r"no layer can take dendrites of kind 'sparse': .*dense and 1 x 1") as error:
        draw_pools(model, randn(P, 8, 12, 8), DendriteConfig(kind="sparse", layers="conv"), 0, 1)
    assert "\n" not in str(error.value)
    for name in dendritic_layers(model):
        assert f"{name}: " in str(error.value)


@pytest.mark.parametrize("layers", ["head"])
@pytest.mark.parametrize("kind", ["temporal", "plateau"])
def test_a_head_has_no_time_to_look_back_on(kind, layers):
    model = separable()
    config = DendriteConfig(kind=kind, layers=layers)
    attach(model, config)
    with pytest.raises(ConfigError, match="head: it has no axis of time"):
        draw_pools(model, batch(20)[0], config, 0, 1)


def test_growth_may_choose_among_the_kinds_that_a_layer_can_take():
    pools = drawn(separable(), replace(PERFORATED, mode="growth", kind="any"))
    kinds = {name: {pool.spec.kind for pool in pools if pool.layer == name} for name in ("stem", "blocks.0", "head")}
    assert kinds["head"] == {"lean", "lowrank"}
    assert {"lean", "temporal", "lowrank"} <= kinds["blocks.0"] == kinds["stem"]


@pytest.mark.parametrize("objective", ["covariance", "correlation", "partial", "gain"])
@pytest.mark.parametrize("cascade", [False, True])
def test_candidate_phase_leaves_the_model_bit_identical(objective, cascade):
    config = replace(PERFORATED, objective=objective, cascade=cascade)
    model = grow(separable(), config)
    before = state(model)
    pools = drawn(model, config)
    fresh = [state(pool.branch) for pool in pools]
    train_pools(model, pools, [[batch(), batch(seed=9)]], config, loss)
    assert same(state(model), before)
    assert all(p.grad is None for p in model.parameters())
    for pool, start in zip(pools, fresh, strict=True):
        assert not same(state(pool.branch), start), pool.layer
        assert pool.cascade.any() == cascade
        assert pool.cascade.shape == (P * 3, dendritic_layers(model)[pool.layer].t[0].shape[1], 1)
        assert score(pool.smoothed.read(), objective).shape == (P, 3, pool.cascade.shape[1])
        assert not pool.branch.training and not any(
            p.grad is not None and p.grad.any() for p in pool.branch.parameters()
        )


@pytest.mark.parametrize("join", ["add", "gate"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_and_leaves_the_model_bit_identical(kind, join):
    config = replace(PERFORATED, kind=kind, join=join)
    model = separable()
    attach(model, config)
    before = state(model)
    pools = draw_pools(model, batch(20)[0], config, 7, 2)
    fresh = [state(pool.branch) for pool in pools]
    train_pools(model, pools, [[batch(), batch(seed=9)]], config, loss)
    assert same(state(model), before)
    assert all(p.grad is None for p in model.parameters())
    for pool, start in zip(pools, fresh, strict=True):
        assert same(state(pool.branch), start) is (kind == "plateau")
        assert torch.isfinite(score(pool.smoothed.read(), config.objective)).all()


def test_a_gates_candidates_follow_the_error_of_its_t():
    """d z' / d t = z a: the moments of a gate are those of a with z delta."""
    config = replace(PERFORATED, join="gate", kind="lean")
    model = separable()
    pools = drawn(model, config)
    data = batch()
    judge_pools(model, pools, [data], config, loss)
    for pool in pools:
        x, delta = neuron_errors(model.eval(), data, loss)[pool.layer]
        layer = dendritic_layers(model)[pool.layer]
        sources = layer.sources(x)
        expected = moments(pool.outputs(layer, sources, []), delta * sources.z)
        torch.testing.assert_close(pool.judged.read()["g1"], expected["g1"].detach())


def test_a_gate_behind_other_dendrites_gates_what_they_made_of_the_neuron():
    """z' = (z + t_1 a_1) (1 + t a): d z' / d t at t = 0 is (z + t_1 a_1) a, and no longer z a."""
    config = replace(PERFORATED, join="gate", kind="lean")
    model = grow(separable(), DendriteConfig(kind="lean"))
    pools = drawn(model, config)
    data = batch()
    judge_pools(model, pools, [data], config, loss)
    for pool in pools:
        x, delta = neuron_errors(model.eval(), data, loss)[pool.layer]
        layer = dendritic_layers(model)[pool.layer]
        sources = layer.sources(x)
        outputs = pool.outputs(layer, sources, layer.dendrites(sources))
        expected = moments(outputs, delta * layer(x))["g1"].detach()
        torch.testing.assert_close(pool.judged.read()["g1"], expected)
        assert not torch.allclose(expected, moments(outputs, delta * sources.z)["g1"])


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

    config = replace(PERFORATED, candidates=1)
    attach(model, config)
    pools = draw_pools(model, next(batches())[0], config, 0, 1)
    rounds = []
    train_pools(model, pools, (batches() for _ in range(8)), config, loss, lambda _, s: rounds.append(s["head"]))
    assert len(rounds) == 8
    assert (rounds[-1] > rounds[0]).all()
    assert (rounds[-1] > 0.45).all()  # smoothed, so behind
    insert(model, take_all(pools, config))
    x = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]).view(4, 1, 2).expand(P, 4, 1, 2)
    labels = torch.tensor([1, 0, 0, 1]).expand(P, 4)
    [a] = model.head.dendrites(model.head.sources(x.flatten(2).transpose(1, 2)))
    [delta] = [delta for _, delta in neuron_errors(model, (x, labels), loss).values()]
    follows = [[abs(np.corrcoef(a[p, c], delta[p, c])[0, 1]) for c in range(2)] for p in range(P)]
    np.testing.assert_allclose(follows, 1 / np.sqrt(3), atol=0.05)  # the tanh is not quite a step


def test_candidate_phase_is_a_function_of_its_arguments():
    model = grow(separable(), PERFORATED)
    results = []
    for _ in range(2):
        here = copy.deepcopy(model)
        pools = drawn(here, PERFORATED)
        torch.rand(3)  # the global stream does not matter
        train_pools(here, pools, [[batch()]], PERFORATED, loss)
        results.append(pools)
    for one, other in zip(*results, strict=True):
        assert same(state(one.branch), state(other.branch))
        assert same(one.smoothed.read(), other.smoothed.read())


def test_a_members_candidates_learn_from_its_own_error_alone():
    """Another labelling of member 1's clips changes nothing for member 0."""
    model = grow(separable(), PERFORATED)
    (x, labels), trained = batch(), []
    for other in (labels, torch.stack([labels[0], (labels[1] + 1) % K])):
        pools = drawn(model, PERFORATED)
        train_pools(model, pools, [[(x, other)] * 3], PERFORATED, loss)
        trained.append(weights(pools[-1])["weight"])
    assert torch.equal(trained[0][0], trained[1][0])
    assert not torch.equal(trained[0][1], trained[1][1])


def test_candidates_of_convolutions_without_batchnorm_learn():
    model = build_model(PaperConfig(T, F, K, channels=(2, 3), hidden=(4,)), P)
    pools = drawn(model, PERFORATED)
    train_pools(model, pools, [[batch()] * 4], PERFORATED, loss)
    assert all((score(pool.smoothed.read(), "correlation") > 0).any() for pool in pools)


def test_judging_is_the_mean_over_batches_and_trains_nothing():
    model = separable()
    pools = drawn(model, PERFORATED)
    before = [state(pool.branch) for pool in pools]
    data = [batch(seed=k) for k in range(3)]
    judge_pools(model, pools, data, PERFORATED, loss)
    alone = [copy.copy(pool) for pool in pools]
    for number, pool in enumerate(pools):
        assert same(state(pool.branch), before[number])
        assert pool.judged_clips == 3 * B
        parts = []
        for one in data:
            fresh = replace(alone[number], judged=SmoothedMoments(decay=1.0), judged_clips=0)
            judge_pools(model, [fresh], [one], PERFORATED, loss)
            parts.append(fresh.judged.read()["g2"])
        torch.testing.assert_close(pool.judged.read()["g2"], sum(parts) / 3)


@pytest.mark.parametrize("kind", ["copy", "lean", "sparse", "temporal"])
def test_every_neuron_takes_its_own_candidate(kind):
    """What the picked branch puts out for a neuron is what that candidate put out for it."""
    config = replace(PERFORATED, kind=kind, layers="conv", cascade=True)
    model = grow(separable(), config)
    for pool in drawn(model, config):
        with torch.no_grad():
            pool.cascade = randn(*pool.cascade.shape, seed=3)
        layer = dendritic_layers(model)[pool.layer]
        x = randn(P, F if pool.layer == "stem" else C, B, T, 1, seed=4)
        sources = layer.sources(x)
        earlier = layer.dendrites(sources)
        every = pool.outputs(layer, sources, earlier)  # (P, K, C, ...)
        best = torch.randint(pool.size, (P, C), generator=seeded(5))
        if not separate_neurons(pool.branch):  # one depthwise half: one candidate for all of a member's neurons
            best = best[:, :1].expand(-1, C)
        branch, cascade = pick(pool, best)
        found = layer.activate_branch(branch, pool.spec, cascade, sources, earlier)
        for p, c in np.ndindex(P, C):
            torch.testing.assert_close(found[p, c], every[p, best[p, c], c])


def test_picking_leaves_the_pool_as_it_was():
    model = separable()
    for pool in drawn(model, PERFORATED):
        before = state(pool.branch)
        branch, _ = pick(pool, torch.zeros(P, pool.cascade.shape[1], dtype=torch.long))
        with torch.no_grad():
            for parameter in branch.parameters():
                parameter.add_(1)
        assert same(state(pool.branch), before)
