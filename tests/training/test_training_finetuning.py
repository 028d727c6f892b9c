"""Fine-tuning for int8 repairs what rounding breaks, and never hands back anything worse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_bank import CONFIG, make_bank

from kws_dendrite import plain
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model
from kws_dendrite.plain import interpret
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.finetuning import CALIBRATION_CLIPS, finetune_int8
from kws_dendrite.training.growth import train
from kws_dendrite.training.quantised import QuantisedGraph
from kws_dendrite.training.targets import cross_entropy

TRAIN = TrainConfig(epochs=12, batch_size=12, learning_rate=0.03)
UNEVEN = 300.0


@pytest.fixture(scope="module")
def bank():
    return make_bank()


@pytest.fixture(scope="module")
def hard(bank):
    """A trained net that one scale a tensor does not suit: a hidden neuron of small weights in, large weights out."""
    config = replace(CONFIG, head_hidden=4)
    graph = fold(train(build_model(config, 1), bank, TRAIN).model, labels=bank.labels)
    neuron = int(np.abs(graph.weights["head"]).sum(1).argmax())
    weights = {name: weight.copy() for name, weight in graph.weights.items()}
    weights["hidden"][:, neuron] /= UNEVEN
    weights["head"][neuron] *= UNEVEN
    bias = next(node for node in graph.nodes if node.name == "hidden").bias.copy()
    bias[neuron] /= UNEVEN
    nodes = tuple(replace(node, bias=bias) if node.name == "hidden" else node for node in graph.nodes)
    uneven = replace(graph, nodes=nodes, weights=weights)
    x = bank.validation.reshape(len(bank.validation), -1)
    np.testing.assert_allclose(interpret(uneven, x), interpret(graph, x), atol=1e-5)
    return uneven


@pytest.fixture(scope="module")
def tuned(hard, bank):
    return finetune_int8(hard, bank, replace(TRAIN, epochs=8), learning_rate=0.01)


def simulated_loss(graph, bank):
    net = QuantisedGraph(graph)
    net.calibrate(torch.from_numpy(bank.train[0].astype(np.float32)).flatten(1))
    logits = net(torch.from_numpy(bank.validation).flatten(1))
    return cross_entropy(logits[None], torch.from_numpy(bank.validation_labels)[None]).mean().item()


def test_it_repairs_what_rounding_broke(hard, tuned, bank):
    x = bank.validation.reshape(len(bank.validation), -1)
    exact = -np.log(interpret(hard, x)[np.arange(len(x)), bank.validation_labels]).mean()
    assert tuned.loss_before > exact + 0.05  # rounding did break something
    assert tuned.loss_after - exact < 0.5 * (tuned.loss_before - exact)
    assert tuned.best_epoch > 0


def test_what_it_says_is_so(hard, tuned, bank):
    assert simulated_loss(hard, bank) == pytest.approx(tuned.loss_before, rel=1e-5)
    assert simulated_loss(tuned.graph, bank) == pytest.approx(tuned.loss_after, rel=1e-5)
    assert len(tuned.history) == 8 and [record.epoch for record in tuned.history] == list(range(8))
    assert min(record.validation_loss[0] for record in tuned.history) == tuned.loss_after
    rates = [record.learning_rate for record in tuned.history]
    assert rates == sorted(rates, reverse=True) and rates[0] < 0.01
    assert tuned.to_json() == {
        "epochs": 8, "best_epoch": tuned.best_epoch, "validation_loss_before": tuned.loss_before,
        "validation_loss_after": tuned.loss_after,
    }  # fmt: skip


def test_the_graph_is_the_same_but_for_its_numbers(hard, tuned):
    assert plain.cost(tuned.graph) == plain.cost(hard) and tuned.graph.labels == hard.labels
    assert tuned.graph.weights.keys() == hard.weights.keys()
    assert any(not np.array_equal(tuned.graph.weights[name], hard.weights[name]) for name in hard.weights)


def test_it_is_a_function_of_its_arguments(hard, bank):
    before = {name: weight.copy() for name, weight in hard.weights.items()}
    config = replace(TRAIN, epochs=1)
    one, two, other = (finetune_int8(hard, bank, config, seed=seed, learning_rate=0.01) for seed in (0, 0, 1))
    assert all(np.array_equal(before[name], hard.weights[name]) for name in before)
    assert all(np.array_equal(one.graph.weights[name], two.graph.weights[name]) for name in before)
    assert one.history[0].validation_loss != other.history[0].validation_loss


def test_no_better_epoch_leaves_the_graph_as_it_came(hard, bank):
    result = finetune_int8(hard, bank, replace(TRAIN, epochs=2), learning_rate=1e-12)
    assert result.graph is hard and result.best_epoch == 0 and result.loss_after == result.loss_before


def test_given_calibration_clips_are_those_of_the_grids(hard, bank):
    calm = finetune_int8(hard, bank, replace(TRAIN, epochs=1), learning_rate=1e-12)
    quiet = 0.02 * bank.train[0, :CALIBRATION_CLIPS].astype(np.float32).reshape(48, -1)
    result = finetune_int8(hard, bank, replace(TRAIN, epochs=1), learning_rate=1e-12, calibration=quiet)
    assert result.loss_before > calm.loss_before + 0.1  # most of what comes is clipped


def test_progress_is_told(hard, bank):
    told = []
    config = replace(TRAIN, epochs=2)
    finetune_int8(hard, bank, config, progress=lambda record, epochs: told.append((record.epoch, epochs)))
    assert told == [(0, 2), (1, 2)]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(hard, bank, rate):
    with pytest.raises(ConfigError, match="learning rate of fine-tuning"):
        finetune_int8(hard, bank, TRAIN, learning_rate=rate)


def test_other_data_are_refused(hard, bank):
    with pytest.raises(DataError, match="32 values and tells 3 classes apart, the bank has 7 x 4 and 3"):
        finetune_int8(hard, replace(bank, validation=bank.validation[:, :7]), TRAIN)
    with pytest.raises(DataError, match="32 values and tells 3 classes apart, the bank has 8 x 4 and 2"):
        finetune_int8(hard, replace(bank, labels=("a", "b")), TRAIN)


def test_a_loss_that_is_not_finite_is_said(hard, bank):
    with pytest.raises(DataError, match="diverged in epoch 0; lower its learning rate"):
        finetune_int8(hard, bank, replace(TRAIN, epochs=1), learning_rate=1e30)
