"""A teacher's logits: right, kept, and refused where they belong to something else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_bank import CONFIG, LABELS, A, K, N, make_bank, net

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.training import teacher
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.checkpoint import save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import fit_statistics, predict, train_cycle
from kws_dendrite.training.teacher import with_teacher

CONFIG_D = TrainConfig(epochs=2, batch_size=12, distillation=0.5, temperature=2.0)


@pytest.fixture
def bank():
    return make_bank()


@pytest.fixture
def stored(tmp_path, bank):
    model = net()
    fit_statistics(model, bank)
    save_checkpoint(tmp_path / "t", model, CONFIG, labels=LABELS, frontend=bank.frontend, record={})
    return tmp_path / "t", model.eval()


def test_logits_are_the_mean_probability_of_every_copy(bank, stored, tmp_path):
    folder, model = stored
    taught = with_teacher(bank, folder, tmp_path / "store")
    assert taught.teacher.shape == (A, N, K)
    for copy in range(A):
        each = torch.softmax(predict(model, torch.from_numpy(bank.train[copy]).float()), -1)
        np.testing.assert_allclose(np.exp(taught.teacher[copy]), each.mean(0), rtol=1e-4)
    assert bank.teacher is None


def test_they_are_computed_once_for_a_bank_and_a_teacher(bank, stored, tmp_path, monkeypatch):
    folder, _ = stored
    first = with_teacher(bank, folder, tmp_path / "store").teacher
    calls = []
    real = teacher.ensemble_logits
    monkeypatch.setattr(teacher, "ensemble_logits", lambda *given: calls.append(1) or real(*given))
    np.testing.assert_array_equal(with_teacher(bank, folder, tmp_path / "store").teacher, first)
    assert not calls
    other = replace(bank, train=bank.train + np.float16(0.5))
    assert not np.array_equal(with_teacher(other, folder, tmp_path / "store").teacher, first)
    assert len(calls) == A


@pytest.mark.parametrize("change", [{"labels": ("yes", "no", "up")}, {"frontend": {"block": "mfe"}}])
def test_a_teacher_of_something_else_is_refused(bank, stored, tmp_path, change):
    with pytest.raises(ConfigError, match="train both alike"):
        with_teacher(replace(bank, **change), stored[0], tmp_path / "store")


def test_batches_bring_the_teachers_probabilities_of_each_row(bank):
    numbers = np.arange(A * N * K, dtype=np.float32).reshape(A, N, K) % 7
    taught = replace(bank, teacher=numbers)
    batches = PopulationBatches(taught, replace(CONFIG_D, shift_frames=0), 2, 0)
    rows = torch.from_numpy(bank.train).float().view(A * N, -1)
    expected = torch.softmax(torch.from_numpy(numbers).view(A * N, K) / 2, -1)
    for x, targets in batches.soft_epoch():
        for clip, probabilities in zip(x.flatten(2).flatten(0, 1), targets.teacher.flatten(0, 1), strict=True):
            row = int((rows == clip).all(1).nonzero()[0])
            torch.testing.assert_close(probabilities, expected[row])


def test_distillation_needs_logits_of_this_bank(bank):
    with pytest.raises(ConfigError, match="needs a bank with a teacher"):
        PopulationBatches(bank, CONFIG_D, 2, 0)
    with pytest.raises(DataError, match="on this very bank"):
        PopulationBatches(replace(bank, teacher=np.zeros((A, N + 1, K))), CONFIG_D, 2, 0)


def test_a_student_of_a_good_teacher_learns(bank):
    logits = 8 * np.eye(K, dtype=np.float32)[np.broadcast_to(bank.train_labels, (A, N))]
    model = net()
    fit_statistics(model, bank)
    config = replace(CONFIG_D, epochs=20, learning_rate=0.02, distillation=1.0, temperature=1.0)
    result = train_cycle(model, replace(bank, teacher=logits), config, 0)
    assert result.history[-1].train_loss < 0.5 * result.history[0].train_loss
