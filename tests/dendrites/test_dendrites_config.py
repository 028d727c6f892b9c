"""Settings of growth."""

import dataclasses
import math

import pytest

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.config import KINDS, MODES
from kws_dendrite.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "pb"}, "mode is one of gradient, perforated, growth, random, sham; got 'pb'"),
        ({"layers": "dense"}, "layers is one of all, conv, head; got 'dense'"),
        ({"kind": "dense"}, f"kind is one of {', '.join(KINDS)}, any; got 'dense'"),
        ({"join": "mul"}, "join is one of add, gate; got 'mul'"),
        ({"activation": "gelu"}, "activation"),
        ({"objective": "mse"}, "objective is one of covariance, correlation, partial, gain; got 'mse'"),
        ({"insertion": "late"}, "insertion is one of converged, early, start; got 'late'"),
        ({"price": "bytes"}, "price is one of parameters, macs, cycles; got 'bytes'"),
        ({"dendrites": 0}, "got 0 and 8"),
        ({"candidate_epochs": 0}, "got 1 and 0"),
        ({"candidate_learning_rate": 0.0}, "candidate_learning_rate"),
        ({"candidate_learning_rate": math.inf}, "candidate_learning_rate"),
        ({"candidate_learning_rate": math.nan}, "candidate_learning_rate"),
        ({"min_improvement": 1.0}, "min_improvement"),
        ({"min_improvement": -0.1}, "min_improvement"),
        ({"min_improvement": math.nan}, "min_improvement"),
        ({"candidates": 0}, "candidates, rank, fan_in, taps, dilation, tries are at least 1; got 0, 4, 6, 5, 3, 1"),
        ({"rank": 0}, "at least 1"),
        ({"fan_in": 0}, "at least 1"),
        ({"dilation": 0}, "at least 1"),
        ({"tries": 0}, "at least 1"),
        ({"taps": 4}, "taps is an odd number of frames; got 4"),
        ({"held_out": 0.0}, "held_out is between 0 and 1"),
        ({"held_out": 1.0}, "held_out"),
        ({"held_out": math.nan}, "held_out"),
        ({"significance": -1.0}, "significance"),
        ({"significance": math.inf}, "significance"),
        ({"standard_errors": -1.0}, "standard_errors"),
        ({"standard_errors": math.nan}, "standard_errors"),
        ({"budget": -1}, "budget is at least 0"),
        ({"probe": (0.0,)}, "probe has factors above 0"),
        ({"probe": (1.0, math.nan)}, "probe"),
        ({"kind": "any"}, "kind 'any' needs mode 'growth'"),
        ({"kind": "any", "mode": "perforated"}, "kind 'any' needs mode 'growth'"),
        ({"mode": "growth", "insertion": "start"}, "needs a trained net"),
        ({"mode": "perforated", "insertion": "start"}, "needs a trained net"),
        ({"mode": "growth", "kind": "any", "cascade": True}, "cascade needs one dendrite a neuron"),
        ({"kind": "lowrank", "cascade": True}, "cascade needs one dendrite a neuron"),
        ({"kind": "pool", "cascade": True}, "on the layer's own map, which kind 'pool' does not have"),
    ],
)
def test_what_cannot_be_is_refused(settings, named):
    with pytest.raises(ConfigError, match=named) as error:
        DendriteConfig(**settings)
    assert "\n" not in str(error.value)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DendriteConfig().dendrites = 3


def test_every_field_is_described():
    for field in dataclasses.fields(DendriteConfig):
        assert field.name in DendriteConfig.__doc__, field.name
    for name in (*MODES, *KINDS):
        assert f'"{name}"' in DendriteConfig.__doc__, name


@pytest.mark.parametrize(
    ("mode", "trains", "frozen"),
    [
        ("gradient", False, False),
        ("perforated", True, True),
        ("growth", True, False),
        ("random", False, True),
        ("sham", False, True),
    ],
)
def test_what_a_mode_does(mode, trains, frozen):
    config = DendriteConfig(mode=mode)
    assert (config.trains_candidates, config.frozen) == (trains, frozen)
