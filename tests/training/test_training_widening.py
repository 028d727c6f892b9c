"""A wider net begins as the same function, and its training is paired with that of every other arm."""

import copy
from dataclasses import replace

import pytest
import torch
from tiny_bank import CONFIG, A, N, make_bank, same, state

from kws_dendrite.dendrites import DendriteConfig, attach
from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model
from kws_dendrite.plain import cost
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import cross_entropy, fit_statistics, predict, train_cycle, validate
from kws_dendrite.training.widening import train_widened, widen

VARIANTS = {
    "shared": {},
    "blocks-of-their-own": {"blocks": (0, 1), "stride": 2},
    "mean": {"pooling": "mean", "pool_window": 4},
    "joined": {"residual": "joined", "stem_kernel": 3},
    "filters": {"filters": 2, "filter_size": (3, 2)},
    "hidden": {"head_hidden": 4},
}
WIDER = {"filters": {"channels": 5, "filters": 3}, "hidden": {"channels": 4, "head_hidden": 6}}
TRAIN = TrainConfig(epochs=2, batch_size=12, learning_rate=0.02)


@pytest.fixture(params=VARIANTS)
def pair(request):
    narrow = replace(CONFIG, **VARIANTS[request.param])
    return narrow, replace(narrow, **WIDER.get(request.param, {"channels": 5}))


def trained(config, members=2):
    """Briefly, so that nothing stands at its starting value."""
    bank, model = make_bank(), build_model(config, members, 0)
    fit_statistics(model, bank)
    train_cycle(model, bank, TRAIN, 0)
    return model, torch.from_numpy(bank.train[:, :24]).float()  # (P, B, T, F): each member a copy


def test_the_function_stays(pair):
    model, features = trained(pair[0])
    before = state(model)
    grown = widen(model, *pair, features, 1)
    assert same(state(model), before)
    x = torch.randn(9, CONFIG.frames, CONFIG.coefficients, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(predict(grown, x), predict(model, x), rtol=1e-6, atol=1e-6)
    fresh = build_model(pair[1])
    fit_statistics(fresh, make_bank())
    assert cost(fold(grown)).parameters == cost(fold(fresh)).parameters > cost(fold(model)).parameters


def test_the_function_stays_in_training_too(pair):
    """There BatchNorm takes the batch's statistics, which for an old channel are what they were."""
    model, features = trained(pair[0])
    grown = widen(model, *pair, features, 1)
    torch.testing.assert_close(grown.train()(features), model.train()(features), rtol=1e-4, atol=1e-5)


def test_every_parameter_learns_from_the_second_step_on(pair):
    """New channels have weight zero in what follows: the first step moves those, the second what leads to them."""
    model, features = trained(pair[0])
    labels = torch.arange(features.shape[1]).expand(A, -1) % CONFIG.classes
    grown = widen(model, *pair, features, 1).train()
    optimizer = torch.optim.SGD(grown.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        cross_entropy(grown(features), labels).sum().backward()
        optimizer.step()
    for name, parameter in grown.named_parameters():
        assert parameter.grad.flatten(2).abs().sum(-1).gt(0).any(1).all() if parameter.dim() > 2 else True, name
        assert parameter.grad[:, -1].abs().max() > 0, name  # of the newest channel


def test_new_channels_are_drawn_and_stand_on_their_own_statistics(pair):
    model, features = trained(pair[0])
    grown = widen(model, *pair, features, 1)
    C = pair[0].channels
    norm = grown.stem.norm
    assert torch.equal(norm.running_mean[:, :C], model.stem.norm.running_mean)
    assert torch.equal(norm.running_var[:, :C], model.stem.norm.running_var)
    kept = {}
    twin = copy.deepcopy(grown).train()
    twin.stem.conv.register_forward_hook(lambda module, inputs, output: kept.update(z=output))
    twin(features)
    z = kept["z"][:, C:].flatten(2)
    torch.testing.assert_close(norm.running_mean[:, C:], z.mean(-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var[:, C:], z.var(-1), rtol=1e-4, atol=1e-5)
    block = grown.blocks[0].pointwise.weight  # (P, C', C')
    assert not block[:, :C, C:].any() and block[:, C:].abs().min() > 0


def test_a_member_is_the_same_whatever_the_population():
    narrow, wide = CONFIG, replace(CONFIG, channels=5)
    few, features = trained(narrow, 1)
    many, _ = trained(narrow, 2)
    assert same({n: v[:1] for n, v in few.named_parameters()}, {n: v[:1] for n, v in many.named_parameters()})
    grown = [widen(few, narrow, wide, features[:1], 3), widen(many, narrow, wide, features, 3)]
    for name, value in grown[0].named_parameters():
        assert torch.equal(value[0], grown[1].get_parameter(name)[0]), name


def test_training_is_paired_with_a_restart():
    bank, wide = make_bank(), replace(CONFIG, channels=5)
    widened = train_widened(CONFIG, wide, 2, bank, TRAIN, seed=4)
    control = train(build_model(CONFIG, 2, 4), bank, TRAIN, restarts=1, seed=4)
    assert len(widened.history) == len(control.history) == 4
    assert [record.epoch for record in widened.history] == [0, 1, 2, 3]
    for one, other in zip(widened.history[:2], control.history[:2], strict=True):
        assert one.validation_loss == other.validation_loss and one.train_loss == other.train_loss
    assert [record.learning_rate for record in widened.history] == [record.learning_rate for record in control.history]
    assert widened.model.head.weight.shape[2] == 5 and widened.growth == []
    x, y = torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels)
    assert validate(widened.model, x, y)[0].tolist() == pytest.approx(widened.best_loss)
    first = [min(values) for values in zip(*(r.validation_loss for r in widened.history[:2]), strict=True)]
    assert all(after <= before + 1e-6 for after, before in zip(widened.best_loss, first, strict=True))


def test_the_same_seed_gives_the_same_weights():
    bank, wide = make_bank(), replace(CONFIG, channels=4)
    one, two, other = (train_widened(CONFIG, wide, 1, bank, TRAIN, seed=seed).model for seed in (0, 0, 1))
    assert same(state(one), state(two)) and not same(state(one), state(other))


def test_interrupted_in_the_first_cycle_it_is_the_best_so_far():
    def stop(record, epochs):
        raise KeyboardInterrupt

    result = train_widened(CONFIG, replace(CONFIG, channels=4), 1, make_bank(), TRAIN, progress=stop)
    assert result.interrupted and len(result.history) == 1 and result.model.head.weight.shape[2] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 2}, "channels.*got 3 and 2"),
        ({}, "the wide net is the narrow one"),
        ({"channels": 4, "kernel": 5}, "kernel is 3 in the narrow net and 5"),
        ({"head_hidden": 4}, "head_hidden.*got 0 and 4"),
        ({"filters": 2}, "filters.*got 0 and 2"),
    ],
)
def test_what_is_not_wider_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        train_widened(CONFIG, replace(CONFIG, **change), 1, make_bank(), TRAIN)


def test_a_net_with_dendrites_is_refused():
    model = build_model(CONFIG, 1)
    attach(model, DendriteConfig(layers="head"))
    with pytest.raises(ConfigError, match="dendrites"):
        widen(model, CONFIG, replace(CONFIG, channels=4), torch.zeros(1, N, CONFIG.frames, CONFIG.coefficients), 0)
