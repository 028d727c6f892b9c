"""One cycle over a population: what is learnt, kept, restored and reproduced."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_bank import F, K, M, N, T, make_bank, net, same, state

from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.models import PaperConfig, SeparableConfig, build_model
from kws_dendrite.training import loop
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import BestMembers, cross_entropy, fit_statistics, predict, train_cycle, validate
from kws_dendrite.training.rates import MemberAdamW, Rates

QUICK = TrainConfig(epochs=2, batch_size=12, learning_rate=0.02)


@pytest.fixture(scope="module")
def bank():
    return make_bank(noise=0.7)


def interrupt(*_):
    raise KeyboardInterrupt


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_by_hand(smoothing):
    logits = torch.randn(2, 5, K, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, 2, 1, 0], [2, 2, 0, 1, 1]])
    target = np.eye(K)[labels] * (1 - smoothing) + smoothing / K
    expected = -(target * np.log(softmax(logits.numpy()))).sum(-1)
    np.testing.assert_allclose(cross_entropy(logits, labels, smoothing), expected, rtol=1e-5)


def test_predict_is_in_evaluation_mode_and_puts_the_mode_back(bank):
    model, x = net(), torch.from_numpy(bank.validation)
    before = state(model)
    for training in (True, False):
        model.train(training)
        logits = predict(model, x)
        assert logits.shape == (2, M, K)
        assert model.training is training
        assert not logits.requires_grad
        torch.testing.assert_close(predict(model, x, chunk=7), logits)
    assert same(state(model), before)


def test_validate_by_hand(bank):
    model, x, labels = net(), torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels)
    probabilities = softmax(predict(model, x).double().numpy())
    loss, accuracy = validate(model, x, labels)
    np.testing.assert_allclose(loss, -np.log(probabilities[:, np.arange(M), labels]).mean(1), rtol=1e-5)
    np.testing.assert_allclose(accuracy, (probabilities.argmax(-1) == labels.numpy()).mean(1))


@pytest.mark.parametrize("remove_mean", [False, True])
def test_fit_statistics_are_the_clean_training_clips(bank, remove_mean):
    model = build_model(SeparableConfig(T, F, K, channels=3, kernel=3, remove_mean=remove_mean))
    fit_statistics(model, bank)
    x = bank.train[0].astype(np.float64)
    if remove_mean:
        x = x - x.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(model.features.mean, x.mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(model.features.std, x.reshape(-1, F).std(0, ddof=1), rtol=1e-5)


def test_fit_statistics_leaves_other_families_alone(bank):
    model = build_model(PaperConfig(T, F, K, channels=(2,)))
    fit_statistics(model, bank)
    assert not model.features.mean.any()
    assert (model.features.std == 1).all()


def test_a_coefficient_that_never_changes_does_not_divide_by_zero(bank):
    constant = np.array(bank.train)
    constant[..., 1] = 4
    model = net()
    fit_statistics(model, replace(bank, train=constant))
    assert torch.isfinite(predict(model, torch.from_numpy(bank.validation))).all()


def test_recorded_training_figures_by_hand(bank):
    """One batch of all clips: what is recorded is the net before its first step, in training mode."""
    model = net(3)
    config = TrainConfig(epochs=1, batch_size=N, clean_share=1, shift_frames=0, label_smoothing=0.1)
    x, labels = torch.from_numpy(bank.train[0]).float(), torch.from_numpy(bank.train_labels).expand(3, N)
    with torch.no_grad():
        logits = net(3).train()(x)
    [record] = train_cycle(model, bank, config, 0).history
    assert record.train_loss == pytest.approx(cross_entropy(logits, labels, 0.1).mean().item(), rel=1e-5)
    assert record.train_accuracy == pytest.approx((logits.argmax(-1) == labels).float().mean().item())


def test_training_learns_and_keeps_every_members_best(bank):
    model = net(3)
    fit_statistics(model, bank)
    result = train_cycle(model, bank, replace(QUICK, epochs=16), 0)
    losses = np.array([record.validation_loss for record in result.history])  # (epochs, P)
    accuracies = np.array([record.validation_accuracy for record in result.history])
    assert result.history[-1].train_loss < 0.7 * result.history[0].train_loss
    assert min(result.best_accuracy) > 0.6
    best = losses.argmin(0)
    assert len(set(best)) > 1, "the case should tell members apart"
    assert result.best_loss == losses.min(0).tolist()
    assert result.best_accuracy == accuracies[best, np.arange(3)].tolist()
    again, accuracy = validate(model, torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels))
    assert again.tolist() == result.best_loss
    assert accuracy.tolist() == result.best_accuracy
    assert not result.interrupted


def test_best_members_are_kept_one_by_one():
    model = net(3)
    first = state(model)
    keeper = BestMembers(model)
    offers = [  # validation losses of three members, and which epoch's state each then holds
        ([3.0, 2.0, 1.0], [1, 1, 1]),
        ([2.0, 2.5, 1.0], [2, 1, 1]),
        ([9.0, 1.5, math.nan], [2, 3, 1]),
    ]
    for epoch, (losses, holds) in enumerate(offers, 1):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(epoch)
            model.stem.norm.running_mean.fill_(epoch)
        keeper.offer(torch.tensor(losses), torch.full((3,), epoch / 10))
        assert keeper.state["head.bias"][:, 0].tolist() == holds
        assert keeper.state["stem.norm.running_mean"][:, 0].tolist() == holds
    assert keeper.loss.tolist() == [2.0, 1.5, 1.0]
    torch.testing.assert_close(keeper.accuracy, torch.tensor([0.2, 0.3, 0.1]))
    keeper.restore()
    assert model.head.weight[:, 0, 0].tolist() == [2, 3, 1]
    assert torch.equal(model.features.mean, first["features.mean"])
    assert model.blocks[0].pointwise.weight is model.blocks[1].pointwise.weight  # still shared


def test_patience_counts_from_the_cycles_own_lowest(bank, monkeypatch):
    """A restart begins far above the loss that it came with; it is given up only once it no longer falls."""
    losses = iter([[0.1, 0.1], [5.0, 5.0], [4.0, 4.0], [3.0, 3.0], [3.0, 3.0], [3.0, 3.0], [0.0, 0.0]])
    monkeypatch.setattr(loop, "validate", lambda *_: (torch.tensor(next(losses)), torch.zeros(2)))
    result = train_cycle(net(), bank, replace(QUICK, epochs=20, patience=2), 0, first_epoch=7)
    assert [record.epoch for record in result.history] == list(range(7, 12))
    assert result.best_loss == pytest.approx([0.1, 0.1])


def test_early_stopping(bank, monkeypatch):
    r"""Loss of either member; neither improves in the last two of six epochs:

        member 0   \ _ _ _ _ _
        member 1     \ \ \ / /
        epoch      0 1 2 3 4 5 | stops, of 20
    """  # fmt: skip
    losses = iter([[3.0, 9.0], [2.0, 8.0], [2.0, 7.0], [2.0, 6.0], [2.0, 6.5], [2.0, 7.0], [0.0, 0.0]])
    monkeypatch.setattr(loop, "validate", lambda *_: (torch.tensor(next(losses)), torch.zeros(2)))
    result = train_cycle(net(), bank, replace(QUICK, epochs=20, patience=2), 0)
    assert [record.epoch for record in result.history] == list(range(6))
    assert result.best_loss == [2.0, 6.0]


def test_learning_rate_rises_then_follows_the_cosine(bank):
    config = replace(QUICK, epochs=6, warmup_epochs=2, learning_rate=0.01)
    steps = N // config.batch_size
    result = train_cycle(net(), bank, config, 0)
    for epoch, record in enumerate(result.history):
        step = (epoch + 1) * steps - 1  # the rate of an epoch's last step is the one recorded
        rise = min(1, (step + 1) / (2 * steps))
        assert record.learning_rate == pytest.approx(0.01 * rise * (1 + math.cos(math.pi * step / (6 * steps))) / 2)


def test_records_say_which_epoch_of_which_phase(bank):
    seen = []
    result = train_cycle(
        net(), bank, QUICK, 0, phase="cycle 3", first_epoch=40, progress=lambda record, n: seen.append((record, n))
    )
    assert [(record.epoch, record.phase) for record in result.history] == [(40, "cycle 3"), (41, "cycle 3")]
    assert seen == [(record, 2) for record in result.history]
    assert set(result.history[0].to_json()) == {
        "epoch", "phase", "learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
        "seconds",
    }  # fmt: skip


def test_same_seed_same_bytes_whatever_the_global_stream(bank):
    architecture = PaperConfig(T, F, K, channels=(2,), dropout=0.3)
    states = []
    for seed, noise in ((5, 1), (5, 2), (6, 1)):
        torch.manual_seed(noise)
        model = build_model(architecture, 2)
        train_cycle(model, bank, QUICK, seed)
        states.append(state(model))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_global_random_state_is_left_alone(bank):
    torch.manual_seed(3)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    train_cycle(build_model(PaperConfig(T, F, K, channels=(2,), dropout=0.3), 2), bank, QUICK, 0)
    train_cycle(net(), bank, QUICK, 0, progress=interrupt)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpys)


def test_a_member_does_not_know_how_many_others_there_are(bank):
    states = {}
    for members in (1, 3):
        model = net(members)
        fit_statistics(model, bank)
        train_cycle(model, bank, replace(QUICK, time_mask=2), 4)
        states[members] = state(model)
    for name, alone in states[1].items():
        if alone.dim() > 1:
            torch.testing.assert_close(states[3][name][:1], alone, atol=1e-5, rtol=1e-5, msg=name)


def test_a_later_cycle_never_makes_a_member_worse(bank):
    model = net()
    fit_statistics(model, bank)
    before = train_cycle(model, bank, replace(QUICK, epochs=8), 0)
    kept = state(model)
    wild = train_cycle(model, bank, replace(QUICK, learning_rate=3.0, epochs=1, warmup_epochs=0), 1, first_epoch=8)
    assert min(wild.history[0].validation_loss) > max(before.best_loss), "the case should do harm"
    assert wild.best_loss == before.best_loss
    assert same(state(model), kept)


@pytest.mark.parametrize("epochs", [1, 2])
def test_ctrl_c_keeps_the_best_epoch(bank, epochs):
    def stop(record, _):
        if record.epoch == epochs - 1:
            raise KeyboardInterrupt

    model, whole = net(), net()
    result = train_cycle(model, bank, replace(QUICK, epochs=9), 0, progress=stop)
    assert result.interrupted
    assert len(result.history) == epochs
    again, _ = validate(model, torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels))
    assert again.tolist() == result.best_loss
    uninterrupted = train_cycle(whole, bank, replace(QUICK, epochs=9), 0)
    assert [r.train_loss for r in result.history] == [r.train_loss for r in uninterrupted.history[:epochs]]


def test_ctrl_c_in_the_first_epoch_leaves_the_model_as_it_came_with_its_figures(bank, monkeypatch):
    model = net()
    before = state(model)
    real = PopulationBatches.epoch

    def one_batch(self):
        yield next(real(self))
        raise KeyboardInterrupt

    monkeypatch.setattr(PopulationBatches, "epoch", one_batch)
    result = train_cycle(model, bank, QUICK, 0)
    assert result.interrupted
    assert result.history == []
    assert same(state(model), before)
    loss, accuracy = validate(model, torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels))
    assert result.best_loss == loss.tolist()
    assert result.best_accuracy == accuracy.tolist()


def test_nan_in_training_is_an_error_and_the_model_is_as_it_came(bank):
    spoilt = np.array(bank.train)
    spoilt[:, 7, 2] = np.nan
    model = net()
    before = state(model)
    with pytest.raises(DataError, match=r"the training loss is nan in epoch 0; lower the learning rate \(now 0.02\)"):
        train_cycle(model, replace(bank, train=spoilt), QUICK, 0)
    assert same(state(model), before)


def test_divergence_after_a_good_epoch_keeps_that_epoch(bank, monkeypatch):
    model, once = net(), net()
    fit_statistics(model, bank)
    fit_statistics(once, bank)
    config = replace(QUICK, warmup_epochs=0)

    def spoil(record, _):
        with torch.no_grad():
            model.head.weight[1] = math.nan

    with pytest.raises(DataError, match="in epoch 1"):
        train_cycle(model, bank, config, 0, progress=spoil)
    stop = train_cycle(once, bank, config, 0, progress=interrupt)
    assert len(stop.history) == 1
    assert same(state(model), state(once))


def test_nan_in_validation_is_an_error_too(bank):
    spoilt = np.array(bank.validation)
    spoilt[3] = np.nan
    with pytest.raises(DataError, match=r"the validation loss is .*nan.* after epoch 0"):
        train_cycle(net(), replace(bank, validation=spoilt), QUICK, 0)


def test_masks_of_the_whole_clip_are_refused_before_training(bank):
    model = net()
    before = state(model)
    with pytest.raises(ConfigError, match=f"time_mask {T} "):
        train_cycle(model, bank, replace(QUICK, time_mask=T), 0)
    assert same(state(model), before)


def test_features_of_another_size_are_refused(bank):
    with pytest.raises(DataError, match=f"features of {T} frames by {F + 1} coefficients; got {T} by {F}"):
        train_cycle(build_model(SeparableConfig(T, F + 1, K, channels=3, kernel=3)), bank, QUICK, 0)


def test_weight_decay_is_for_weights_alone(bank):
    from kws_dendrite.dendrites import DendriteConfig
    from kws_dendrite.training.growth import grow

    for mode in ("gradient", "perforated"):
        plan = DendriteConfig(mode=mode, cascade=True, candidate_epochs=1)
        model, _ = grow(net(), bank, QUICK, plan, 0)
        model, _ = grow(model, bank, QUICK, plan, 1)
        optimizer = MemberAdamW(model, replace(QUICK, weight_decay=0.5), Rates())
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        each = list(zip(optimizer.parameters, optimizer.update.decayed, strict=True))
        decayed = {names[id(p)] for p, decays in each if decays}
        free = {names[id(p)] for p, decays in each if not decays}
        trained = {id(p) for p in optimizer.parameters}
        assert optimizer.decays == [0.5, 0.5]
        assert {name.rpartition(".")[2] for name in decayed} == {"weight"}
        assert not any("norm" in name for name in decayed)
        assert {"head.t.0", "head.t.1", "head.base.bias", "stem.base.norm.weight"} <= free
        assert ("head.cascade.1" in free) is (mode == "gradient")
        assert any(".branches." in names[i] for i in trained) is (mode == "gradient")
        assert len(trained) == len(optimizer.parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_dendrite_decays_and_all_else_does_as_before(bank, kind):
    """Its t starts at 0, its weights small: decay would hold them there. An echo's weights are the layer's."""
    from kws_dendrite.dendrites import DendriteConfig
    from kws_dendrite.training.growth import grow

    def decayed(model):
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        optimizer = MemberAdamW(model, QUICK, Rates())
        return [names[id(p)] for p, d in zip(optimizer.parameters, optimizer.update.decayed, strict=True) if d]

    model, _ = grow(net(), bank, QUICK, DendriteConfig(kind=kind, fan_in=2, rank=2), 0)
    whole = [name.replace(".base", "").replace("head.dense", "head") for name in decayed(model)]
    assert sorted(whole) == sorted(decayed(net()))
