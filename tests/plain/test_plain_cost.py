import json

import numpy as np
import pytest
from sample_graphs import SAMPLES, Builder, random_graph, temporal

from kws_dendrite.plain import Activation, Add, Conv2D, Dense, Reshape, Scale, cost


def small(shared):
    """6 frames of 2 -> pointwise 2x3, then a 3x3 pointwise used once or twice -> Dense."""
    b = Builder(12)
    b(Reshape, shape=(6, 1, 2), name="map")
    b(Conv2D, weight=b.weight("stem", 1, 1, 2, 3), scale=b.positive(3), bias=b.vector(3), name="stem")
    b.weight("pw", 1, 1, 3, 3)
    for use in range(2 if shared else 1):
        b(Conv2D, weight="pw", scale=b.positive(3), bias=b.vector(3), name=f"pw{use}")
    b(Reshape, shape=(18,), name="flat")
    b(Dense, weight=b.weight("head", 18, 4), bias=b.vector(4), name="head")
    return cost(b.graph())


def test_by_hand():
    counted = small(shared=False)
    assert counted.parameters == (6 + 3) + (9 + 3) + (72 + 4)  # scales fold into weights used once
    assert counted.macs == 6 * 6 + 6 * 9 + 72
    assert counted.weight_bytes_int8 == 6 + 9 + 72 + 4 * (3 + 3 + 4)


def test_a_shared_weight_counts_once_and_each_use_its_scale():
    once, twice = small(shared=False), small(shared=True)
    assert twice.parameters - once.parameters == 3 + 3 + 3  # first use's scale, second use's scale and bias
    assert twice.macs - once.macs == 6 * 9
    assert twice.weight_bytes_int8 - once.weight_bytes_int8 == 4 * 3


def test_a_dendrite_counts_its_weights_bias_and_strength():
    b = Builder(12)
    b(Reshape, shape=(6, 1, 2), name="map")
    b(Conv2D, "map", weight=b.weight("w", 1, 1, 2, 3), bias=b.vector(3), name="soma")
    b(Conv2D, "map", weight=b.weight("g", 1, 1, 2, 3), bias=b.vector(3), name="dendrite")
    b(Activation, kind="tanh", name="tanh")
    b(Scale, scale=b.vector(3), bias=b.vector(3), name="strength")
    b(Add, "soma", "strength", name="sum")
    rows = {row.name: row for row in cost(b.graph()).nodes}
    assert rows["dendrite"].parameters == 9 and rows["strength"].parameters == 6
    assert rows["strength"].macs == 18 and rows["strength"].weight_bytes_int8 == 3 + 4 * 3
    # while the sum runs: soma, strength and sum, 18 bytes each; the map is long dead
    assert rows["sum"].live_bytes == 54
    # while the dendrite runs: map 12, soma 18, dendrite 18
    assert rows["dendrite"].live_bytes == 48


def test_reshape_and_relu_run_in_place():
    b = Builder(12)
    b(Reshape, shape=(6, 1, 2), name="map")
    b(Activation, kind="relu", name="relu")
    assert cost(b.graph()).peak_activation_bytes == 12


def test_an_input_that_is_read_again_stays_alive():
    b = Builder(12)
    b(Reshape, shape=(6, 1, 2), name="map")
    b(Activation, kind="relu", name="relu")
    b(Add, "relu", "map", name="sum")
    assert cost(b.graph()).peak_activation_bytes == 36


@pytest.mark.parametrize("graph", [*(make() for make in SAMPLES.values()), *map(random_graph, range(5))])
def test_rows_add_up(graph):
    counted = cost(graph)
    for name in ("parameters", "macs", "weight_bytes_int8"):
        assert getattr(counted, name) == sum(getattr(row, name) for row in counted.nodes)
    assert counted.peak_activation_bytes == max(row.live_bytes for row in counted.nodes)
    assert [row.name for row in counted.nodes] == [node.name for node in graph.nodes]
    assert counted.parameters >= sum(weight.size for weight in graph.weights.values())


def test_json_survives_a_round_trip():
    value = cost(temporal()).to_json()
    assert json.loads(json.dumps(value)) == value


def test_one_number_for_all_channels_is_one_parameter():
    b = Builder(6)
    b(Scale, scale=np.float32([0.5]), name="half")
    assert cost(b.graph()).parameters == 1
