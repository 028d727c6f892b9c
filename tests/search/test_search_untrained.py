import numpy as np
import pytest
from test_search_study import bank

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.models import FAMILIES, build_model
from kws_dendrite.plain import cost
from kws_dendrite.plain.device import predict
from kws_dendrite.search.shapes import LAYOUTS
from kws_dendrite.search.untrained import cheapest_dendrite, largest_graph, parameters_of
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train

BLOCKS, DILATIONS = LAYOUTS["twice"]
NETS = {
    "separable": FAMILIES["separable"](12, 4, 3, channels=4, kernel=3, blocks=BLOCKS, dilations=DILATIONS),
    "stem": FAMILIES["separable"](12, 4, 3, channels=3, kernel=3, stem_kernel=3, head_hidden=4, remove_mean=True),
    "spark": FAMILIES["spark"](12, 4, 3, channels=3, kernel=3, blocks=2, gates=4),
    "paper": FAMILIES["paper"](12, 4, 3, channels=(2, 3), hidden=(5,)),
    "edge_impulse_1d": FAMILIES["edge_impulse_1d"](12, 4, 3, channels=(3, 4)),
}
GROWN = [
    ("separable", None),
    ("stem", None),
    ("paper", None),
    ("edge_impulse_1d", None),
    ("separable", DendriteConfig(insertion="start", dendrites=2, cascade=True)),
    ("separable", DendriteConfig(insertion="start", kind="echo", dilation=2, layers="conv")),
    ("separable", DendriteConfig(insertion="start", kind="pool", join="gate")),
    ("stem", DendriteConfig(insertion="start", kind="temporal", taps=3, dilation=2, activation="tanh")),
    ("stem", DendriteConfig(insertion="start", kind="lowrank", rank=2, dendrites=2)),
    ("spark", DendriteConfig(insertion="start", kind="plateau", layers="conv")),
    ("spark", DendriteConfig(insertion="start", kind="sparse", fan_in=2, layers="head")),
    ("paper", DendriteConfig(insertion="start", kind="copy", join="gate")),
    ("edge_impulse_1d", DendriteConfig(insertion="start", kind="lean", layers="conv", activation="sigmoid")),
]


@pytest.mark.parametrize(("name", "growth"), GROWN)
def test_an_untrained_net_costs_what_the_trained_one_does(name, growth):
    """Parameters, MACs, RAM and the bytes of constants to the last one; the kernels differ only in how sums round."""
    data, config = bank(), TrainConfig(epochs=1, batch_size=12)
    trained = fold(train(build_model(NETS[name], 1, 0), data, config, growth=growth).model)
    untrained = largest_graph(NETS[name], growth)
    ours, theirs = cost(untrained), cost(trained)
    assert (ours.parameters, ours.macs) == (theirs.parameters, theirs.macs)
    assert ours.weight_bytes_int8 == theirs.weight_bytes_int8
    mine, device = predict(untrained), predict(trained)
    assert mine.ram_bytes == device.ram_bytes
    assert mine.flash_bytes == pytest.approx(device.flash_bytes, rel=0.02)
    assert mine.cycles == pytest.approx(device.cycles, rel=0.05)


def test_of_growth_that_chooses_the_net_itself_is_what_is_known():
    growth = DendriteConfig(mode="growth", kind="any", budget=40)
    assert cost(largest_graph(NETS["separable"], growth)) == cost(largest_graph(NETS["separable"]))
    sham = DendriteConfig(mode="sham")
    assert cost(largest_graph(NETS["separable"], sham)).parameters == parameters_of(NETS["separable"])


def test_the_same_net_is_counted_once():
    assert largest_graph(NETS["separable"]) is largest_graph(NETS["separable"])


@pytest.mark.parametrize("kind", ["copy", "lean", "temporal", "plateau", "lowrank", "pool", "echo"])
def test_the_cheapest_dendrite_is_no_more_than_a_layers(kind):
    """Of what growth could take at one layer, no set for all its neurons is cheaper in the folded net."""
    net = NETS["separable"]
    least = cheapest_dendrite(net, DendriteConfig(mode="growth", kind=kind))
    grown = cost(largest_graph(net, DendriteConfig(kind=kind, rank=1))).parameters
    assert 0 < least <= grown - parameters_of(net)


def test_dendrites_that_no_layer_takes_are_refused():
    for make in (lambda: largest_graph(NETS["paper"], DendriteConfig(kind="echo")),
                 lambda: cheapest_dendrite(NETS["paper"], DendriteConfig(kind="echo"))):  # fmt: skip
        with pytest.raises(ConfigError, match="no layer of this net takes dendrites of kind 'echo'"):
            make()


def test_a_clip_goes_through_it():
    from kws_dendrite.plain import interpret

    graph = largest_graph(NETS["stem"], DendriteConfig(kind="temporal", taps=3))
    assert np.allclose(interpret(graph, np.zeros((2, 48), np.float32)).sum(axis=1), 1, atol=1e-5)
