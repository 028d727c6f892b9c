"""The constant for `_unknown_` is the best there is, and goes into the head and nowhere else."""

import numpy as np
import pytest
import torch
from tiny_bank import LABELS, make_bank, net, state

from kws_dendrite.data import TaskConfig, load_dataset
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.fold import fold
from kws_dendrite.frontend import LogMelConfig
from kws_dendrite.plain import cost
from kws_dendrite.training.calibration import LARGEST, calibrate_unknown, choose_unknown_bias, unseen_features
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import predict

UNKNOWN = LABELS.index("_unknown_")


def drawn(seed, clips=60, unseen=25):
    random = np.random.default_rng(seed)
    labels = np.arange(clips) % 3
    logits = random.normal(size=(clips, 3))
    logits[np.arange(clips), labels] += 1.5
    return logits, labels, random.normal(size=(unseen, 3))


def score(logits, labels, unseen, bias, weight):
    """By definition."""
    shift = bias * np.eye(3)[UNKNOWN]
    decisions = (logits + shift).argmax(1)
    recalls = [(decisions[labels == k] == k).mean() for k in range(3)]
    found = ((unseen + shift).argmax(1) == UNKNOWN).mean()
    return (sum(recalls) + weight * found) / (3 + weight)


@pytest.mark.parametrize("weight", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_constant_scores_higher(seed, weight):
    case = drawn(seed)
    chosen = choose_unknown_bias(*case, UNKNOWN, weight)
    assert chosen.score_after == pytest.approx(score(*case, chosen.bias, weight))
    assert chosen.score_before == pytest.approx(score(*case, 0.0, weight))
    for bias in np.linspace(-LARGEST, LARGEST, 601):
        assert score(*case, bias, weight) <= chosen.score_after + 1e-9


def test_the_figures_beside_it_are_of_the_clips():
    logits, labels, unseen = drawn(1)
    chosen = choose_unknown_bias(logits, labels, unseen, UNKNOWN, 2.0)
    assert chosen.balanced_before == pytest.approx(score(logits, labels, unseen, 0.0, 0.0))
    assert chosen.balanced_after == pytest.approx(score(logits, labels, unseen, chosen.bias, 0.0))
    assert chosen.unseen_before == (unseen.argmax(1) == UNKNOWN).mean()
    assert chosen.to_json()["bias"] == chosen.bias


def test_more_weight_calls_more_unseen_words_unknown():
    found = [choose_unknown_bias(*drawn(2), UNKNOWN, weight).unseen_after for weight in (0.0, 1.0, 10.0, 1000.0)]
    assert found == sorted(found) and found[-1] > found[0] + 0.2


def test_of_equal_constants_it_is_the_nearest_to_none():
    sure = 10 * np.eye(3)[np.arange(9) % 3]
    chosen = choose_unknown_bias(sure, np.arange(9) % 3, sure[UNKNOWN::3], UNKNOWN)
    assert chosen.bias == 0 and chosen.score_after == chosen.score_before == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b, c: (a[:5], b, c), r"expected logits \(N, K\)"),
        (lambda a, b, c: (a, b, c[:, :2]), r"expected logits \(N, K\)"),
        (lambda a, b, c: (a + np.inf, b, c), "not finite"),
        (lambda a, b, c: (a, b, c * np.nan), "not finite"),
        (lambda a, b, c: (a, np.minimum(b, 1), c), "every class"),
        (lambda a, b, c: (a, b + 1, c), "every class"),
        (lambda a, b, c: (a, b, c[:0]), "some of unseen words"),
    ],
)
def test_arrays_that_do_not_do_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        choose_unknown_bias(*change(*drawn(0)), UNKNOWN)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ConfigError, match="at least 0, in classes"):
        choose_unknown_bias(*drawn(0), UNKNOWN, weight)


def grown(dendrites):
    bank, config = make_bank(), TrainConfig(epochs=6, batch_size=12, learning_rate=0.03)
    return train(net(), bank, config, growth=dendrites).model


@pytest.mark.parametrize("dendrites", [None, DendriteConfig(layers="head", activation="tanh")])
def test_it_goes_into_every_members_head(dendrites):
    bank, model = make_bank(), grown(dendrites)
    x, unseen = bank.validation, np.random.default_rng(0).normal(size=(40, *bank.validation.shape[1:]))
    before, held, counted = predict(model, torch.from_numpy(x)), state(model), cost(fold(model))
    chosen = calibrate_unknown(model, bank.labels, x, bank.validation_labels, unseen, 5.0)
    assert len(chosen) == 2 and chosen[0].bias != chosen[1].bias
    expected = before.clone()
    expected[:, :, UNKNOWN] += torch.tensor([one.bias for one in chosen])[:, None]
    torch.testing.assert_close(predict(model, torch.from_numpy(x)), expected, rtol=1e-5, atol=1e-5)
    moved = [name for name, value in state(model).items() if not torch.equal(value, held[name])]
    assert len(moved) == 1 and moved[0].startswith("head.") and moved[0].endswith("bias")
    assert cost(fold(model)) == counted


def test_a_model_without_the_class_is_refused():
    bank = make_bank()
    with pytest.raises(ConfigError, match="_unknown_ needs that class; the model has yes, no, up"):
        calibrate_unknown(net(), ("yes", "no", "up"), bank.validation, bank.validation_labels, bank.validation)


def test_a_head_that_does_not_add_up_is_refused_and_left_as_it_was():
    bank, model = make_bank(), net()
    model.head.register_forward_hook(lambda module, inputs, output: 0.5 * output)
    before = state(model)
    with pytest.raises(ConfigError, match="does not reach the logit"):
        calibrate_unknown(model, bank.labels, bank.validation, bank.validation_labels, bank.validation[:9], 50.0)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])
    model = net()
    del model.head.bias
    model.head.bias = None
    with pytest.raises(ConfigError, match="no head with a bias"):
        calibrate_unknown(model, bank.labels, bank.validation, bank.validation_labels, bank.validation[:9])


def test_clips_of_no_word():
    dataset = load_dataset("demo", TaskConfig())
    features = unseen_features(dataset, LogMelConfig(), count=6, seed=1)
    assert features.shape[0] == 6 and features.ndim == 3 and np.isfinite(features).all()
    assert np.array_equal(features, unseen_features(dataset, LogMelConfig(), count=6, seed=1))
    assert not np.array_equal(features, unseen_features(dataset, LogMelConfig(), count=6, seed=2))
