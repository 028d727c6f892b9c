"""Members with rates of their own: each comes out as it does alone, with torch's own AdamW."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_bank import F, K, T, make_bank, net

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError, DivergenceError
from kws_dendrite.models import PaperConfig, SeparableConfig, build_model
from kws_dendrite.models.kernels import adamw, library
from kws_dendrite.models.kernels.adamw import AdamWStep, Settings
from kws_dendrite.training import rates as rates_module
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import train_cycle
from kws_dendrite.training.rates import MemberAdamW, Rates, repeated

QUICK = TrainConfig(epochs=3, batch_size=12, learning_rate=0.02)
compiled = pytest.param(True, marks=pytest.mark.skipif(library.load() is None, reason="no compiled kernels here"))


@pytest.fixture(scope="module")
def bank():
    return make_bank(noise=0.7)


def member_of(model, p):
    return {name: value[p] for name, value in model.state_dict().items() if value.dim() > 1}


def assert_near(one, other, tolerance=1e-5):
    for name, value in one.items():
        assert (value - other[name]).abs().max() <= tolerance * max(1.0, float(value.abs().max())), name


@pytest.mark.parametrize("kernel", [compiled, False])
def test_every_member_is_torchs_adamw_at_its_rates(kernel, monkeypatch):
    if not kernel:
        monkeypatch.setattr(adamw, "load", lambda: None)
    generator = torch.Generator().manual_seed(0)
    rates, decays, shapes = [0.1, 0.003, 0.5], [0.0, 0.1, 0.02], [(4, 5), (7,), (1,), (33, 3)]
    values = [torch.randn(3, *shape, generator=generator) for shape in shapes]
    decayed = [True, False, False, True]
    ours = [value.clone() for value in values]
    step = AdamWStep(ours, decayed, Settings(0.9, 0.99))
    assert step.compiled is bool(kernel)
    theirs = [[torch.nn.Parameter(value[p].clone()) for value in values] for p in range(3)]
    peers = []
    for p in range(3):
        groups = [
            {"params": [theirs[p][i] for i in range(4) if decayed[i] is which], "weight_decay": decays[p] * which}
            for which in (True, False)
        ]
        peers.append(torch.optim.AdamW(groups, lr=rates[p], betas=(0.9, 0.99), fused=False))
    for turn in range(20):
        factor = 1 / (1 + turn)
        gradients = [torch.randn(value.shape, generator=generator) * 10.0**-turn for value in values]
        for value, gradient in zip(ours, gradients, strict=True):
            value.grad = gradient
        step.step([rate * factor for rate in rates], decays)
        for p, peer in enumerate(peers):
            for parameter, gradient in zip(theirs[p], gradients, strict=True):
                parameter.grad = gradient[p].clone()
            for group in peer.param_groups:
                group["lr"] = rates[p] * factor
            peer.step()
    for i, value in enumerate(ours):
        expected = torch.stack([theirs[p][i].detach() for p in range(3)])
        torch.testing.assert_close(value, expected, rtol=2e-5, atol=2e-6)


def test_a_tensor_without_gradient_stays():
    values = [torch.ones(2, 3), torch.ones(2, 4)]
    values[1].grad = torch.ones(2, 4)
    AdamWStep(values, [True, True], Settings()).step([0.1, 0.2], [0.1, 0.1])
    assert torch.equal(values[0], torch.ones(2, 3))
    assert (values[1] < 1).all()


def test_a_gradient_of_another_layout():
    values = [torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)]
    gradient = torch.arange(24.0).view(2, 4, 3).transpose(1, 2)
    values[0].grad, values[1].grad = gradient, gradient.contiguous()
    AdamWStep(values, [True, True], Settings()).step([0.1, 0.2], [0.0, 0.0])
    assert torch.equal(values[0], values[1])


def test_decay_is_of_weights_alone(bank):
    model = net()
    optimizer = MemberAdamW(model, QUICK, Rates())
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed = {named[id(p)] for p, d in zip(optimizer.parameters, optimizer.update.decayed, strict=True) if d}
    assert decayed == {name for name, parameter in model.named_parameters() if parameter.dim() > 2}


MODELS = {
    "separable": SeparableConfig(T, F, K, channels=3, kernel=3),
    "paper": PaperConfig(T, F, K, channels=(3, 4), hidden=(5,), dropout=0.3),
}


@pytest.mark.parametrize("family", MODELS)
def test_a_member_comes_out_as_alone(family, bank):
    """Two trials of two seeds in one population, and each in a population of its own."""
    trials = [
        {"learning_rate": 0.03, "weight_decay": 0.0, "label_smoothing": 0.1},
        {"learning_rate": 0.004, "weight_decay": 0.3, "label_smoothing": 0.0},
    ]
    dropout = (0.3, 0.1)
    each = [Rates(**{name: (value,) for name, value in trial.items()}) for trial in trials]
    own = repeated(each, 2)
    assert own.learning_rate == (0.03, 0.03, 0.004, 0.004) and own.draws == (0, 1, 0, 1)
    if family == "paper":
        own = replace(own, dropout=(0.3, 0.3, 0.1, 0.1))
    together = build_model(MODELS[family], 4)
    seeds = build_model(MODELS[family], 2)
    together.load_state_dict(
        {name: torch.cat([value, value]) if value.dim() > 1 else value for name, value in seeds.state_dict().items()}
    )
    recipe = replace(QUICK, time_mask=2, stretch=0.1)
    result = train(together, bank, recipe, restarts=1, rates=own)
    for k, trial in enumerate(trials):
        config = MODELS[family] if family != "paper" else replace(MODELS[family], dropout=dropout[k])
        alone = train(build_model(config, 2), bank, replace(recipe, **trial), restarts=1)
        for p in range(2):
            assert_near(member_of(alone.model, p), member_of(result.model, 2 * k + p), 1e-4)
            assert math.isclose(alone.best_loss[p], result.best_loss[2 * k + p], rel_tol=1e-4)
        assert alone.best_accuracy == result.best_accuracy[2 * k : 2 * k + 2]


def test_rates_of_one_are_the_recipe(bank):
    recipe = replace(QUICK, learning_rate=0.01, weight_decay=0.2, label_smoothing=0.2)
    plain = train_cycle(net(), bank, recipe, 3)
    rates = Rates((0.01, 0.01), (0.2, 0.2), (0.2, 0.2))
    own = train_cycle(net(), bank, QUICK, 3, rates=rates)
    assert own.best_loss == pytest.approx(plain.best_loss, rel=1e-4)


def test_a_member_that_diverges_leaves_the_others_be(bank):
    rates = Rates(learning_rate=(0.02, 1e30, 0.02), draws=(0, 0, 1))
    model = net(3)
    result = train_cycle(model, bank, QUICK, 0, rates=rates)
    assert result.best_loss[1] == math.inf
    assert all(value.isfinite().all() for value in model.state_dict().values())
    alone = train_cycle(net(3), bank, QUICK, 0, rates=replace(rates, learning_rate=(0.02, 0.02, 0.02)))
    assert [result.best_loss[p] for p in (0, 2)] == pytest.approx([alone.best_loss[p] for p in (0, 2)], rel=1e-5)
    assert all(math.isfinite(record.train_loss) for record in result.history)
    with pytest.raises(DivergenceError):
        train_cycle(net(2), bank, QUICK, 0, rates=Rates(learning_rate=(1e30, 1e30)))


def test_dropouts_are_put_back(bank):
    model = build_model(MODELS["paper"], 2)
    with rates_module.dropping(model, Rates(dropout=(0.1, 0.2), draws=(1, 1))):
        assert model.dropout.rates.tolist() == [0.1, 0.2]
        assert model.dropout.draws.tolist() == [1, 1]
    assert model.dropout.rates is None and model.dropout.draws is None


@pytest.mark.parametrize(
    ("rates", "word"),
    [
        ({"learning_rate": (0.1,), "weight_decay": (0.1, 0.2)}, "as many of each"),
        ({"learning_rate": ()}, "one value a member"),
        ({"learning_rate": (0.0,)}, "above 0"),
        ({"learning_rate": (math.inf,)}, "finite"),
        ({"weight_decay": (-0.1,)}, "weight_decay"),
        ({"label_smoothing": (1.0,)}, "below 1"),
        ({"dropout": (1.0,)}, "below 1"),
        ({"draws": (-1,)}, "0 or more"),
    ],
)
def test_wrong_rates_are_refused(rates, word):
    with pytest.raises(ConfigError, match=word):
        Rates(**rates)


def test_what_does_not_fit_is_refused(bank):
    two = Rates(learning_rate=(0.1, 0.2))
    with pytest.raises(ConfigError, match="population has 3"):
        train_cycle(net(3), bank, QUICK, 0, rates=two)
    with pytest.raises(ConfigError, match="patience"):
        train_cycle(net(2), bank, replace(QUICK, patience=1), 0, rates=two)
    with pytest.raises(ConfigError, match="mixup"):
        train_cycle(net(2), bank, replace(QUICK, mixup=0.2), 0, rates=Rates(label_smoothing=(0.1, 0.2)))
    with pytest.raises(ConfigError, match="growth"):
        train(net(2), bank, QUICK, growth=DendriteConfig(), rates=two)
    with pytest.raises(ConfigError, match="one value"):
        repeated([two, two], 2)
