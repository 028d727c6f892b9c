import pytest
import torch

from kws_dendrite.errors import ConfigError
from kws_dendrite.models import build_model
from kws_dendrite.models.bc_resnet import BcResNetConfig


def shapes_of(config):
    """Channels and frequency bins behind the stem, every block, the window and the last convolution."""
    model = build_model(config)
    seen = []
    for module in (model.stem, *model.blocks, model.window, model.last):
        module.register_forward_hook(lambda _, inputs, y: seen.append((y.shape[1], y.shape[4])))
    model(torch.zeros(2, config.frames, config.coefficients))
    return seen


def test_stages_at_tau_1():
    expected = [(16, 20)] + 2 * [(8, 20)] + 2 * [(12, 10)] + 4 * [(16, 5)] + 4 * [(20, 5)] + [(20, 1), (32, 1)]
    assert shapes_of(BcResNetConfig(11, 40, 12)) == expected


def test_parameters_by_stage():
    """Counted by hand from the paper's table: stem, four stages, classifier."""
    model = build_model(BcResNetConfig(98, 40, 12))

    def count(*modules):
        return sum(p.numel() for module in modules for p in module.parameters())

    blocks = model.blocks
    stages = [count(*blocks[:2]), count(*blocks[2:4]), count(*blocks[4:8]), count(*blocks[8:])]
    assert stages == [560, 840, 2400, 3400]
    assert (count(model.stem), count(model.window, model.last, model.head)) == (432, 1600)


def test_only_the_first_block_of_a_stage_is_a_transition():
    model = build_model(BcResNetConfig(8, 40, 3, tau=0.25))
    transitions = [number for number, block in enumerate(model.blocks) if block.transition is not None]
    assert transitions == [0, 2, 4, 8]
    assert [block.time.dilation for block in model.blocks] == [1, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8]


def test_80_bands_fit_too():
    assert shapes_of(BcResNetConfig(5, 80, 3, tau=0.25))[-1] == (8, 2)


@pytest.mark.parametrize("coefficients", [0, 13, 24, 32, 39, 41, 60])
def test_bands_that_do_not_divide_are_refused(coefficients):
    with pytest.raises(ConfigError, match=f"multiple of 40; got {coefficients}"):
        BcResNetConfig(98, coefficients, 12)


@pytest.mark.parametrize("change", [{"tau": 0.1}, {"tau": float("nan")}, {"dropout": 1.0}, {"classes": 1}])
def test_impossible_settings(change):
    with pytest.raises(ConfigError):
        BcResNetConfig(**{"frames": 98, "coefficients": 40, "classes": 12} | change)
