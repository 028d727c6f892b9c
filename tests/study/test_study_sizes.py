from dataclasses import replace

import pytest

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.models import SeparableConfig, build_model
from kws_dendrite.plain import cost
from kws_dendrite.study.arms import ARMS
from kws_dendrite.study.sizes import LAYOUTS, SLACK, TAPS, fit, layout, measure, narrower


def maker(size, arm="plain"):
    return lambda channels: ARMS[arm].shape(SeparableConfig(49, 24, 12, channels=channels, **layout(size)))


@pytest.mark.parametrize("size", LAYOUTS)
@pytest.mark.parametrize("arm", ["plain", "deeper", "hidden_head"])
def test_every_plain_arm_comes_within_a_percent_of_every_size_of_the_table(size, arm):
    fitted = fit(size, maker(size, arm))
    assert abs(fitted.parameters - size) <= SLACK * size
    assert fitted.parameters == cost(fold(build_model(fitted.architecture))).parameters
    assert fitted.architecture.kernel - layout(size)["kernel"] in TAPS


@pytest.mark.parametrize(("size", "channels", "parameters"), [(700, 11, 694), (1400, 20, 1392), (2300, 22, 2278)])
def test_the_plain_arm_is_the_pilots_net(size, channels, parameters):
    fitted = fit(size, maker(size))
    assert (fitted.architecture.channels, fitted.parameters) == (channels, parameters)
    assert fitted.architecture.kernel == layout(size)["kernel"]


def test_a_grown_arm_starts_from_a_narrower_net_and_ends_at_the_size():
    growth = DendriteConfig()
    fitted = fit(1400, maker(1400), growth)
    assert fitted.architecture.channels < 20
    assert measure(fitted.architecture).parameters < 1000
    assert 0.95 * 1400 < fitted.parameters <= 1.01 * 1400
    assert fitted.parameters == measure(fitted.architecture, growth).parameters


def test_nothing_nearer_is_left_out():
    """Among all nets of the family that may be taken, none within the limit is nearer by more than the slack."""
    size, growth = 1400, DendriteConfig()
    chosen = fit(size, maker(size), growth).parameters
    usual = layout(size)["kernel"]
    others = [
        measure(SeparableConfig(49, 24, 12, channels=c, **{**layout(size), "kernel": usual + taps}), growth).parameters
        for c in range(6, 13)
        for taps in TAPS
    ]
    best = min((abs(size - count) for count in others if count <= size * (1 + SLACK)), default=size)
    assert abs(size - chosen) <= max(best, SLACK * size)


def test_a_sham_costs_nothing():
    config = maker(700)(11)
    assert measure(config, DendriteConfig(mode="sham")) == measure(config)


@pytest.mark.parametrize("mode", ["perforated", "random"])
def test_frozen_dendrites_cost_what_trained_ones_do(mode):
    config = maker(700)(5)
    assert measure(config, DendriteConfig(mode=mode)) == measure(config, DendriteConfig())
    twice = measure(config, DendriteConfig(dendrites=2)).parameters
    once, none = measure(config, DendriteConfig()).parameters, measure(config).parameters
    assert twice - once == once - none


@pytest.mark.parametrize("kind", ["copy", "temporal"])
def test_what_later_dendrites_read_of_earlier_ones_is_counted(kind):
    """A cascade's second dendrite has a weight a neuron more, for the first one's output."""
    config = maker(700)(5)
    growth = DendriteConfig(dendrites=2, kind=kind, cascade=True)
    loose = replace(growth, cascade=False)
    neurons = 3 * 5 + (12 if kind == "copy" else 0)  # stem, two blocks, and the head where it takes the kind
    assert measure(config, growth).parameters == measure(config, loose).parameters + neurons


def test_a_size_below_the_smallest_net_is_refused():
    with pytest.raises(ConfigError, match="arm x cannot stand at 60 parameters: its smallest net has 1"):
        fit(60, maker(700), whose="the arm x")


def test_dendrites_that_no_layer_can_take_are_refused_in_the_arms_name():
    with pytest.raises(ConfigError, match="the arm x: no layer can take dendrites of kind 'temporal': head: "):
        fit(700, maker(700), DendriteConfig(kind="temporal", layers="head"), whose="the arm x")


def test_a_size_beyond_the_widest_net_is_refused():
    with pytest.raises(ConfigError, match="take a smaller size"):
        fit(10**7, maker(4600))


@pytest.mark.parametrize(("size", "nearest"), [(1, 700), (840, 1000), (1180, 1000), (1190, 1400), (99999, 4600)])
def test_the_layout_is_that_of_the_nearest_size_by_ratio(size, nearest):
    assert layout(size) == LAYOUTS[nearest]


def test_narrower_is_the_same_net_with_fewer_channels():
    wide = maker(1400)(20)
    narrow = narrower(wide, 700)
    assert measure(narrow).parameters <= 700 < measure(maker(1400)(narrow.channels + 1)).parameters
    assert narrower(maker(1400)(2), 5).channels == 2
