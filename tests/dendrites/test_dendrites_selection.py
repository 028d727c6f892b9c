"""Which candidates are worth their price: by held-out gain, in standard errors, under a budget."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_nets import B, C, F, K, Linear, P, T, batch, loss, randn, seeded, separable
from torch import nn

from kws_dendrite.dendrites import Choice, DendriteConfig, Spec, attach, dendritic_layers, draw_pools, insert, select
from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.dendrites.objective import score, standard_score
from kws_dendrite.dendrites.pool import judge_pools, train_pools
from kws_dendrite.dendrites.selection import best_of_each, forward_selection, greedy, take_all
from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.models import BcResNetConfig, EdgeImpulse1dConfig, PaperConfig, SeparableConfig, build_model
from kws_dendrite.plain import cost
from kws_dendrite.training.growth import Pricing

GROWTH = DendriteConfig(
    mode="growth", kind="lean", activation="tanh", objective="gain", significance=3.0, rank=2, candidates=2
)
CLIPS = 100


def drawn(model, config, size=3):
    attach(model, config)
    return draw_pools(model, batch(20)[0], config, 7, size)


def told(pool, trained, held_out):
    """Give a pool the gains (P, K, C), in nats, that training and held-out clips are to show: g1^2 / 2 for g2 = 1."""
    for smoothed, gain in ((pool.smoothed, trained), (pool.judged, held_out)):
        g1 = torch.sqrt(2 * gain)
        smoothed.update({"g1": g1, "g2": torch.ones_like(g1)})
    pool.judged_clips = CLIPS
    return pool


def gains(*shape, low=0.0, high=0.3, seed=0):
    return low + (high - low) * torch.rand(*shape, generator=seeded(seed))


def option(layer, gain, cost):
    return Choice(layer, Spec(), nn.Identity(), torch.zeros(1, 1, 0), gain), cost


def held_out_layer(layer="head", kind="lean", size=3, config=GROWTH, model=None):
    """(model, the pool of one layer, untrained)."""
    model = model or separable()
    config = replace(config, kind=kind, layers="head" if layer == "head" else "conv")
    return model, next(pool for pool in drawn(model, config, size) if pool.layer == layer)


# -- one neuron's candidate -------------------------------------------------------------------------------------------


def test_each_neuron_takes_the_candidate_that_did_best_in_training():
    _, pool = held_out_layer()
    trained = gains(P, 3, K, seed=1)
    told(pool, trained, gains(P, 3, K, seed=2))
    best = best_of_each(pool, "gain")
    for p, c in np.ndindex(P, K):
        assert best[p, c] == int(trained[p, :, c].argmax())


def test_neurons_that_share_a_depthwise_half_take_one_candidate():
    _, pool = held_out_layer("blocks.0", "copy")
    trained = gains(P, 3, C, seed=1)
    told(pool, trained, gains(P, 3, C))
    best = best_of_each(pool, "gain")
    for p in range(P):
        assert best[p].tolist() == [int(trained[p].sum(1).argmax())] * C


@pytest.mark.parametrize("kind", ["lean", "copy"])
def test_the_gain_of_a_choice_is_that_of_the_candidates_taken(kind):
    """Held-out gains of the very candidates that are inserted, where significant; the mean over the members."""
    layer = "blocks.0"
    model, pool = held_out_layer(layer, kind)
    held = gains(P, 3, C, high=0.1, seed=2)
    told(pool, gains(P, 3, C, seed=1), held)
    [choice] = select([pool], replace(GROWTH, kind=kind), Pricing(model, "parameters"))
    best = best_of_each(pool, "gain")
    z = standard_score(pool.judged.read(), CLIPS)
    taken = held.gather(1, best[:, None])[:, 0]
    passed = torch.where(z.gather(1, best[:, None])[:, 0] >= GROWTH.significance, taken, 0.0)
    assert 0 < (passed > 0).sum() < passed.numel()  # some pass, some do not
    assert choice.spec.units == 0
    assert choice.gain == pytest.approx(passed.sum(1).mean().item(), rel=1e-5)


def test_nothing_significant_is_nothing_chosen():
    for kind in KINDS:
        model = separable()
        pools = drawn(model, replace(GROWTH, kind=kind))
        for pool in pools:
            shape = (P, pool.spec.units or pool.size, neuron_count(model, pool))
            told(pool, gains(*shape), torch.full(shape, 0.04))  # 2.9 standard errors
        assert select(pools, replace(GROWTH, kind=kind), Pricing(model, "parameters")) == [], kind
        assert len(select(pools, replace(GROWTH, kind=kind, significance=2.8), Pricing(model, "parameters"))) > 0, kind


def neuron_count(model, pool):
    return dendritic_layers(model)[pool.layer].base(sample(model, pool)).shape[1]


def sample(model, pool):
    if pool.spec.kind == "pool":
        return randn(P, C, B, T, 1)
    if pool.layer == "head":
        return randn(P, C, B)
    return randn(P, F if pool.layer == "stem" else C, B, T, 1)


def test_significance_off_takes_what_gains_at_all():
    model, pool = held_out_layer()
    told(pool, gains(P, 3, K), torch.full((P, 3, K), 1e-4))
    assert len(select([pool], replace(GROWTH, significance=0.0), Pricing(model, "parameters"))) == 1


# -- sets of units ----------------------------------------------------------------------------------------------------


def test_the_same_unit_is_never_taken_twice():
    _, pool = held_out_layer("blocks.0", "lowrank", size=2)
    for trained in (gains(P, 4, C), torch.zeros(P, 4, C), torch.full((P, 4, C), 0.2)):
        pool.smoothed.sums = {}
        told(pool, trained, trained)
        order = forward_selection(pool, 4)
        assert [sorted(row.tolist()) for row in order] == [[0, 1, 2, 3]] * P


def test_a_unit_that_says_the_same_is_left_for_one_that_serves_others():
    """Unit 1 is nearly as good as unit 0 for the same neurons; unit 2 is weak, and alone with its neuron."""
    _, pool = held_out_layer("blocks.0", "lowrank", size=2)
    trained = torch.tensor([[0.3, 0.3, 0.0], [0.29, 0.29, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, 0.0]]).expand(P, 4, C)
    told(pool, trained, trained)
    assert forward_selection(pool, 3).tolist() == [[0, 2, 1]] * P


def test_forward_selection_is_the_best_first_step_and_never_worse_than_half_way_to_the_best_set():
    """Coverage is submodular: greedy reaches 1 - 1/e of the best set of its size (Nemhauser et al. 1978)."""
    for seed in range(5):
        _, pool = held_out_layer("blocks.0", "lowrank", size=3)
        trained = gains(P, 6, C, seed=seed)
        told(pool, trained, trained)
        order = forward_selection(pool, 3)
        for p in range(P):
            assert order[p, 0] == int(trained[p].sum(1).argmax())
            reached = trained[p, order[p]].amax(0).sum()
            best = max(trained[p, list(units)].amax(0).sum() for units in itertools.combinations(range(6), 3))
            assert reached >= (1 - np.exp(-1)) * best - 1e-6


def test_a_set_of_units_is_judged_by_the_unit_that_each_neuron_preferred_in_training():
    model, pool = held_out_layer("blocks.0", "lowrank", size=1)
    trained = torch.tensor([[0.3, 0.1, 0.1], [0.1, 0.3, 0.3]]).expand(P, 2, C)
    held = torch.tensor([[0.1, 0.4, 0.01], [0.02, 0.2, 0.3]]).expand(P, 2, C)
    told(pool, trained, held)
    [choice] = select([pool], replace(GROWTH, kind="lowrank", rank=2), Pricing(model, "parameters"))
    assert choice.spec.units == 2
    assert choice.gain == pytest.approx(0.1 + 0.2 + 0.3, rel=1e-5)


def test_the_few_neurons_with_the_most_to_gain_are_taken_where_the_rest_has_none():
    model = build_model(SeparableConfig(T, F, K, channels=8, kernel=3), P)
    _, pool = held_out_layer("blocks.0", size=1, model=model)
    held = torch.full((P, 1, 8), 1e-4)
    held[0, 0, 2] = held[1, 0, 5] = 0.3  # each member its own neuron
    told(pool, held, held)
    [choice] = select([pool], GROWTH, Pricing(model, "parameters"))
    assert choice.spec.units == 1
    assert choice.gain == pytest.approx(0.3, rel=1e-5)
    for p, c in ((0, 2), (1, 5)):
        assert torch.equal(choice.branch.conv.weight[p, 0], pool.branch.conv.weight[p, c])
    before = model.eval()(batch()[0])
    insert(model, [choice])
    assert torch.equal(model(batch()[0]), before)


def test_papers_take_every_neurons_best_without_a_test():
    _, pool = held_out_layer()
    told(pool, gains(P, 3, K, seed=1), torch.zeros(P, 3, K))
    [choice] = take_all([pool], replace(GROWTH, mode="perforated"))
    assert choice.spec.units == 0
    _, units = held_out_layer("blocks.0", "lowrank", size=2, model=separable())
    told(units, gains(P, 4, C, seed=1), torch.zeros(P, 4, C))
    [choice] = take_all([units], replace(GROWTH, mode="perforated", kind="lowrank"))
    assert choice.spec.units == GROWTH.rank


# -- price and budget -------------------------------------------------------------------------------------------------


def test_greedy_keeps_to_the_budget_and_takes_one_a_layer():
    options = [option("a", 1.0, 10), option("a", 1.5, 30), option("b", 0.9, 20), option("c", 0.1, 5)]
    taken = {budget: [(c.layer, c.gain) for c in greedy(options, budget)] for budget in (4, 5, 10, 30, 35, 55, np.inf)}
    assert taken == {
        4: [],
        5: [("c", 0.1)],
        10: [("a", 1.0)],
        30: [("a", 1.0), ("b", 0.9)],
        35: [("a", 1.0), ("b", 0.9), ("c", 0.1)],
        55: [("a", 1.5), ("b", 0.9), ("c", 0.1)],
        np.inf: [("a", 1.5), ("b", 0.9), ("c", 0.1)],
    }


def test_greedy_is_within_a_choice_of_the_best_there_is():
    """Against every combination: short by at most the largest single gain (the fractional bound of the knapsack)."""
    random = np.random.default_rng(0)
    for _ in range(40):
        options = [
            option(layer, float(random.random()), float(random.integers(1, 20))) for layer in "abc" for _ in range(3)
        ]
        budget = int(random.integers(5, 40))
        found = greedy(options, budget)
        costs = {id(choice): price for choice, price in options}
        assert sum(costs[id(choice)] for choice in found) <= budget
        assert len({choice.layer for choice in found}) == len(found)
        best = 0.0
        for picks in itertools.product(*([None, *[o for o in options if o[0].layer == layer]] for layer in "abc")):
            chosen = [pick for pick in picks if pick]
            if sum(price for _, price in chosen) <= budget:
                best = max(best, sum(choice.gain for choice, _ in chosen))
        assert sum(choice.gain for choice in found) >= best - max(choice.gain for choice, _ in options)


@pytest.mark.parametrize("unit", ["parameters", "macs", "cycles"])
def test_a_step_stays_within_its_budget_in_the_unit_asked_for(unit):
    model = separable()
    pools = drawn(model, replace(GROWTH, kind="any"))
    for number, pool in enumerate(pools):
        shape = (P, pool.spec.units or pool.size, neuron_count(model, pool))
        told(pool, gains(*shape, seed=number), gains(*shape, low=0.1, seed=number))
    price = Pricing(model, unit)
    everything = sum(max(price(c) for c in [choice]) for choice in select(pools, GROWTH, price))
    spent = []
    for share in (0.3, 0.6, 1.0):
        budget = int(share * everything)
        config = replace(GROWTH, kind="any", price=unit, budget=budget)
        choices = select(pools, config, price)
        spent.append(sum(price(choice) for choice in choices))
        assert 0 < spent[-1] <= budget
    assert spent[0] < spent[-1]


def test_a_budget_below_one_dendrite_is_one_clear_line():
    model, pool = held_out_layer("blocks.0")
    told(pool, gains(P, 3, C), gains(P, 3, C))
    with pytest.raises(
        ConfigError, match=r"a budget of 3 parameters is below one dendrite: .* adds \d+; raise"
    ) as error:
        select([pool], replace(GROWTH, budget=3), Pricing(model, "parameters"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_price_is_what_the_folded_net_costs_more(kind):
    model = separable()
    before = cost(fold(model))
    config = replace(GROWTH, kind=kind, significance=0.0)
    pools = drawn(model, config)
    for pool in pools:
        shape = (P, pool.spec.units or pool.size, neuron_count(model, pool))
        told(pool, gains(*shape), gains(*shape))
    parameters, macs = Pricing(model, "parameters"), Pricing(model, "macs")
    choices = select(pools, config, parameters)
    one = choices[0]
    said = parameters(one), macs(one)
    insert(model, [one])
    for layer in dendritic_layers(model).values():
        for t in layer.t:
            nn.init.ones_(t)
    after = cost(fold(model.eval()))
    assert said == (after.parameters - before.parameters, after.macs - before.macs)
    assert said[0] > 0


# -- from clips -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        SeparableConfig(12, 6, K, channels=6, kernel=3, stem_kernel=3),
        SeparableConfig(12, 6, K, channels=6, kernel=3, filters=2),
        EdgeImpulse1dConfig(12, 6, K),
        PaperConfig(12, 8, K, channels=(6, 6)),
        BcResNetConfig(10, 40, K, tau=0.5),
    ],
    ids=lambda config: config.family,
)
def test_growth_serves_every_family(config):
    """Whatever is chosen can be inserted, keeps the function, and folds."""
    model = build_model(config, P)
    plan = replace(GROWTH, kind="any", significance=0.0, candidates=1, rank=2)
    attach(model, plan)
    x = randn(P, 12, config.frames, config.coefficients)
    data = x, torch.randint(K, (P, 12), generator=seeded(1))
    pools = draw_pools(model, x, plan, 0, 1)
    train_pools(model, pools, [[data]], plan, loss)
    judge_pools(model, pools, [data], plan, loss)
    before = model.eval()(x)
    choices = select(pools, plan, Pricing(model, "parameters"))
    assert choices
    insert(model, choices)
    torch.testing.assert_close(model(x), before, rtol=0, atol=0)
    fold(model, 1)


def test_a_dendrite_that_was_taken_out_is_found_again_with_its_gain():
    """Classes by 4 relu(u) - 2 u - b, u = w x: without the dendrite the best linear map is 0, as |u| is no line of x.
    A candidate finds it, and earns about what was said once t and the bias have learned."""
    w = nn.functional.normalize(torch.randn(4, generator=seeded(3)), dim=0)

    def clips(count, seed):
        x = torch.randn(1, count, 1, 4, generator=seeded(seed))
        u = x[0, :, 0] @ w
        chance = torch.sigmoid(4 * u.clamp_min(0) - 2 * u - 1.5)
        return x, (torch.rand(count, generator=seeded(seed + 1)) < chance).long()[None]

    model = Linear(4, 2, members=1)
    with torch.no_grad():
        model.head.weight.zero_()
    plan = replace(GROWTH, layers="head", candidates=4, objective="correlation", activation="relu")
    attach(model, plan)
    pools = draw_pools(model, clips(200, 0)[0], plan, 0, 4)
    epochs = [[clips(64, 100 * e + k) for k in range(20)] for e in range(10)]
    train_pools(model, pools, epochs, plan, loss)
    judge_pools(model, pools, [clips(500, 9001), clips(500, 9002)], plan, loss)
    [choice] = select(pools, plan, lambda choice: 1.0)
    assert choice.significance > 6
    # What it is worth once t has learned, on clips of another draw: about what was said.
    x, labels = clips(4000, 777)
    before = loss(model(x), labels).mean().item()
    insert(model, [choice])
    layer = model.head
    optimizer = torch.optim.LBFGS([layer.t[0], layer.base.bias], max_iter=30)

    def closure():
        optimizer.zero_grad()
        value = loss(model(x), labels).mean()
        value.backward()
        return value

    optimizer.step(closure)
    saved = before - loss(model(x), labels).mean().item()
    assert saved > 0.02
    assert 0.4 * saved < choice.gain < 2.5 * saved


@pytest.mark.parametrize("kind", ["lean", "lowrank"])
def test_pure_noise_passes_at_about_the_nominal_rate(kind):
    """Labels of chance: of all neurons' candidates about 5 % are beyond 1.96 standard errors, few beyond 3."""
    passed, strong, count = 0, 0, 0
    for seed in range(12):
        model = Linear(4, 8, members=2)
        with torch.no_grad():
            model.head.weight.zero_()
        plan = replace(GROWTH, kind=kind, layers="head", candidates=4, rank=4)
        attach(model, plan)

        def clips(n, at, seed=seed):
            x = torch.randn(2, n, 1, 4, generator=seeded(1000 * seed + at))
            return x, torch.randint(8, (2, n), generator=seeded(1000 * seed + at + 500))

        pools = draw_pools(model, clips(100, 0)[0], plan, seed, 4)
        train_pools(model, pools, [[clips(64, k) for k in range(1, 10)]], plan, loss)
        judge_pools(model, pools, [clips(400, 50)], plan, loss)
        [pool] = pools
        best = score(pool.smoothed.read(), "gain").argmax(1)  # each neuron's choice
        z = standard_score(pool.judged.read(), pool.judged_clips).gather(1, best[:, None])
        passed += int((z > 1.96).sum())
        strong += int((z > 3.0).sum())
        count += z.numel()
    assert count == 12 * 2 * 8
    assert 0.01 < passed / count < 0.11
    assert strong / count < 0.03
