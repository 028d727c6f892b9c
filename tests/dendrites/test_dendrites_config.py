"""Settings of growth."""

import dataclasses
import math

import pytest

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "pb"}, "mode is one of perforated, gradient; got 'pb'"),
        ({"layers": "dense"}, "layers"),
        ({"activation": "gelu"}, "activation"),
        ({"objective": "mse"}, "objective"),
        ({"dendrites": 0}, "got 0 and 8"),
        ({"candidate_epochs": 0}, "got 1 and 0"),
        ({"candidate_learning_rate": 0.0}, "candidate_learning_rate"),
        ({"candidate_learning_rate": math.inf}, "candidate_learning_rate"),
        ({"candidate_learning_rate": math.nan}, "candidate_learning_rate"),
        ({"min_improvement": 1.0}, "min_improvement"),
        ({"min_improvement": -0.1}, "min_improvement"),
    ],
)
def test_what_cannot_be_is_refused(settings, named):
    with pytest.raises(ConfigError, match=named):
        DendriteConfig(**settings)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DendriteConfig().dendrites = 3
