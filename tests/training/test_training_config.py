"""Settings of training."""

import dataclasses
import math

import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.training.config import TrainConfig


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("patience", -1),
        ("learning_rate", 0.0),
        ("learning_rate", -0.1),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("weight_decay", -1e-3),
        ("weight_decay", math.nan),
        ("warmup_epochs", -1),
        ("warmup_epochs", math.nan),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("label_smoothing", math.nan),
        ("clean_share", 1.1),
        ("clean_share", -0.1),
        ("shift_frames", -1),
        ("time_mask", -1),
        ("frequency_mask", -2),
        ("stretch", 1.0),
        ("stretch", -0.1),
        ("colouring", -0.5),
        ("colouring", math.inf),
        ("word_balance", 1.5),
        ("word_balance", math.nan),
        ("mixup", -0.2),
        ("mixup", math.nan),
        ("distillation", 1.1),
        ("distillation", -0.1),
        ("temperature", 0.0),
        ("temperature", math.inf),
        ("average", 1.0),
        ("average", math.nan),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(name, wrong):
    with pytest.raises(ConfigError, match=name) as error:
        TrainConfig(**{name: wrong})
    assert str(wrong) in str(error.value)
    assert "\n" not in str(error.value)


def test_edges_are_allowed():
    TrainConfig(epochs=1, batch_size=2, weight_decay=0, warmup_epochs=0, label_smoothing=0, clean_share=1)
    TrainConfig(clean_share=0, shift_frames=0)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 3
