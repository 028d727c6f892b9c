import numpy as np
import pytest
from sample_graphs import SAMPLES, Builder, temporal

from kws_dendrite.export.layers import averages_whole_map, on_int8_grid, per_channel, scaled_weight, weight_uses
from kws_dendrite.plain import AvgPool, Conv2D, Reshape, Scale


def test_uses():
    uses = weight_uses(temporal())
    assert uses["block/pointwise"] == 2 and uses["stem"] == 1 and set(uses) == set(temporal().weights)


@pytest.mark.parametrize("depthwise", [False, True])
def test_the_scale_is_the_output_channels(depthwise):
    b = Builder(12)
    b(Reshape, shape=(6, 1, 2), name="map")
    shape = (3, 1, 2) if depthwise else (3, 1, 2, 4)
    scale = b.positive(shape[-1])
    b(Conv2D, weight=b.weight("w", *shape), scale=scale, depthwise=depthwise, name="conv")
    found = scaled_weight(b.graph(), b.nodes[-1])
    for channel, factor in enumerate(scale):
        np.testing.assert_allclose(found[..., channel], b.weights["w"][..., channel] * factor, rtol=1e-6)


@pytest.mark.parametrize("name", SAMPLES)
def test_only_shared_convolutions_move_and_by_half_a_step(name):
    graph = SAMPLES[name]()
    rounded = on_int8_grid(graph)
    shared = {node.weight for node in graph.nodes if isinstance(node, Conv2D) and weight_uses(graph)[node.weight] > 1}
    for key, weight in graph.weights.items():
        moved = np.abs(rounded.weights[key] - weight)
        step = np.abs(weight).reshape(-1, weight.shape[-1]).max(0) / 127
        assert (moved <= step * 0.5001).all()
        assert moved.any() == (key in shared)


def test_every_use_quantises_to_the_same_integers():
    weight = on_int8_grid(temporal()).weights["block/pointwise"]
    wanted = np.rint(weight / (np.abs(weight).reshape(-1, 12).max(0) / 127))
    for seed in range(200):
        used = weight * np.random.default_rng(seed).uniform(1e-3, 1e3, 12).astype(np.float32)
        step = (np.abs(used).reshape(-1, 12).max(0) / 127).astype(np.float32)
        np.testing.assert_array_equal(np.rint(used / step), wanted)


def test_rounding_twice_is_rounding_once():
    once = on_int8_grid(temporal())
    name = "block/pointwise"
    np.testing.assert_allclose(on_int8_grid(once).weights[name], once.weights[name], rtol=1e-6)


def test_a_channel_of_zeros_stays_zero():
    graph = temporal()
    graph.weights["block/pointwise"][..., 3] = 0
    assert not on_int8_grid(graph).weights["block/pointwise"][..., 3].any()


def test_which_scales_are_per_channel():
    one, many, bands = np.ones(1), np.ones(4), np.ones((1, 3, 4))
    assert per_channel(Scale("s", (), one, many)) and per_channel(Scale("s", (), many, None))
    assert not per_channel(Scale("s", (), bands, None)) and not per_channel(Scale("s", (), many, bands))


@pytest.mark.parametrize(("kernel", "wanted"), [((6, 4), True), ((6, 1), False), ((3, 4), False)])
def test_which_pools_average_the_whole_map(kernel, wanted):
    assert averages_whole_map(AvgPool("p", (), kernel, kernel), (6, 4, 2)) == wanted
