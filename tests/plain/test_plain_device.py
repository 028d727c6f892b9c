"""Predicted costs on a device against counted ones, of whole models that the table was not made from."""

import json
import math
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from device_cost_models import golden_models, project_models
from sample_graphs import NAMES, named

from kws_dendrite.errors import ConfigError
from kws_dendrite.export.c.lower import lower
from kws_dendrite.export.c.memory import plan_memory
from kws_dendrite.export.c.reader import read_program
from kws_dendrite.plain import Activation, Conv2D, Dense, Graph, Input, Reshape, Scale, Softmax
from kws_dendrite.plain.device import CORES, LATENCY_CORES, predict
from kws_dendrite.plain.device.emitted import Emitted, emit
from kws_dendrite.plain.device.kernels import ISAS, count, kernel_of
from kws_dendrite.plain.device.table import load_table

COUNTED = json.loads((Path(__file__).parent / "device_counts.json").read_text(encoding="utf-8"))["models"]
WITHIN = 0.05
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-objdump", "qemu-system-arm")


@cache
def unseen():
    """Name -> model."""
    return {model.name: model for model in (*golden_models(), *project_models())}


def test_the_counted_models_are_all_there():
    assert set(COUNTED) == set(unseen())
    assert all(set(row) == set(CORES) for row in COUNTED.values())


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", COUNTED)
def test_an_unseen_model_is_predicted(name, core):
    counted, cost = COUNTED[name][core], predict(unseen()[name].graph, core)
    assert cost.instructions == pytest.approx(counted["instructions"], rel=WITHIN)
    assert cost.flash_bytes == pytest.approx(counted["flash"], rel=WITHIN)
    assert (cost.arena_bytes, cost.ram_bytes) == (counted["arena"], counted["ram"])
    if counted["cycles"] is None:
        assert cost.cycles is None
    else:
        assert cost.cycles == pytest.approx(counted["cycles"], rel=WITHIN)


@pytest.mark.parametrize("model", golden_models(), ids=lambda model: model.name)
def test_the_operators_are_those_of_the_file(model):
    program = read_program(model.tflite)
    steps, _ = lower(program)
    real = [(step.operator.kind, program.tensors[step.writes].shape[1:], step.macs) for step in steps if step.kernel]
    assert [(row.operator, row.shape, row.macs) for row in predict(model.graph).operators if row.kernel] == real
    assert predict(model.graph).arena_bytes == plan_memory(program, steps).size


@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason="needs gcc-arm-none-eabi, qemu-system-arm"
)
@pytest.mark.parametrize(("name", "core"), [("sep14_s2", "cortex-m4"), ("sep12_mel40_s1", "cortex-m3")])
def test_what_is_predicted_is_what_the_emulator_counts_now(name, core, tmp_path):
    from count_device_models import count_model

    from kws_dendrite.export.c import write_c

    model = unseen()[name]
    write_c(model.tflite, tmp_path / "c")
    counted, cost = count_model(tmp_path / "c", core), predict(model.graph, core)
    assert cost.instructions == pytest.approx(counted["instructions"], rel=WITHIN)
    assert cost.flash_bytes == pytest.approx(counted["flash"], rel=WITHIN)
    assert cost.ram_bytes == counted["ram"]


def test_the_parts_add_up():
    cost = predict(unseen()["sep14_s2"].graph, "cortex-m4", decisions_per_second=5)
    call = load_table()["cores"]["cortex-m4"]["call"]
    assert cost.instructions == pytest.approx(sum(row.instructions for row in cost.operators) + call["instructions"])
    assert cost.cycles == pytest.approx(sum(row.cycles for row in cost.operators) + call["cycles"])
    assert cost.latency_ms(80) == pytest.approx(cost.cycles / 80_000)
    assert cost.instructions_per_second == pytest.approx(5 * cost.instructions)
    assert cost.flash_bytes == cost.flash.constants + cost.flash.kernels + cost.flash.library + cost.flash.model
    value = json.loads(json.dumps(cost.to_json()))
    assert value["flash_bytes"] == cost.flash_bytes and value["core"] == "cortex-m4"
    assert [row["operator"] for row in value["operators"]] == [row.operator for row in cost.operators]


@pytest.mark.parametrize("core", [core for core in CORES if core not in LATENCY_CORES])
def test_a_core_without_a_model_of_cycles_has_no_latency(core):
    cost = predict(unseen()["sep14_s2"].graph, core)
    assert cost.cycles is None and all(row.cycles is None for row in cost.operators)
    with pytest.raises(ConfigError, match=f"{core} has no model of cycles.*instructions:{core}"):
        cost.latency_ms(80)


def test_wrong_settings_are_refused():
    graph = unseen()["sep14_s2"].graph
    with pytest.raises(ConfigError, match=r"costs are known for cortex-m3.*got 'cortex-m5'"):
        predict(graph, "cortex-m5")
    with pytest.raises(ConfigError, match="decisions a second"):
        predict(graph, decisions_per_second=0)
    for mhz in (0, -1, math.inf, math.nan):
        with pytest.raises(ConfigError, match="positive number of MHz"):
            predict(graph).latency_ms(mhz)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("core", CORES)
def test_every_sample_graph_has_a_cost(name, core):
    graph = named(name)
    cost = predict(graph, core)
    assert cost.instructions > 0 and cost.flash_bytes > 0 and cost.ram_bytes >= graph.input.size
    assert all(row.instructions > 0 for row in cost.operators if row.kernel)
    read = {name for row in cost.operators for name in row.nodes}
    assert read <= {node.name for node in graph.nodes}


sizes = st.integers(1, 40)
operators = st.builds(
    lambda kind, height, width, channels, outs, kernel, stride, form: _operator(
        kind, (height, width, channels), outs, kernel, stride, form
    ),
    st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "AVERAGE_POOL_2D"]),
    sizes, st.sampled_from([1, 1, 5, 13]), sizes, sizes, st.tuples(st.integers(1, 11), st.integers(1, 3)),
    st.sampled_from([1, 2]), st.sampled_from(["rising", "line", "round"]),
)  # fmt: skip


def _operator(kind, source, outs, kernel, stride, form):
    from device_cost_grid import conv

    if kind == "FULLY_CONNECTED":
        return Emitted(kind, (), (), "", ((math.prod(source),),), (outs,), contiguous=True, form=form)
    kernel = (kernel[0], 1 if source[1] == 1 else kernel[1])
    made = conv(source, outs, kernel, form, (stride, stride), depthwise=kind != "CONV_2D")
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return made
    return Emitted(kind, (), (), "", made.inputs, made.shape, kernel, made.stride, pads=made.pads)


@given(operators, st.sampled_from(CORES))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_all_that_is_counted_has_a_measured_cost(operator, core):
    isa = ISAS[core]
    known = load_table()["cores"][core]["kernels"][kernel_of(operator, isa)]["instructions"]
    assert set(count(operator, isa)) <= set(known)


def small(*nodes, weights):
    return Graph((Input("x", (), 12), Reshape("map", ("x",), (4, 1, 3)), *nodes), weights)


def pointwise(name, source, outs, channels=3):
    return Conv2D(name, (source,), name), {name: np.ones((1, 1, channels, outs), np.float32) * np.arange(1, outs + 1)}


def test_what_is_fused_is_one_operator():
    conv, weights = pointwise("conv", "map", 5)
    graph = small(conv, Activation("relu", ("conv",), "relu"), Scale("scaled", ("relu",), np.ones(5)), weights=weights)
    made = emit(graph)
    assert [row.operator for row in made] == ["RESHAPE", "CONV_2D", "DEPTHWISE_CONV_2D"]
    assert made[1].nodes == ("conv", "relu") and made[1].form == "rising"
    assert made[2].form == "rising"  # one tap of what is never negative


def test_a_relu_beside_another_reader_is_an_operator_of_its_own():
    conv, weights = pointwise("conv", "map", 3)
    graph = small(
        conv, Activation("relu", ("conv",), "relu"), Scale("scaled", ("conv",), np.ones(3)),
        weights=weights,
    )  # fmt: skip
    assert [row.operator for row in emit(graph)] == ["RESHAPE", "CONV_2D", "DEPTHWISE_CONV_2D"]  # nobody reads the ReLU
    both = Graph((*graph.nodes, _add("sum", "relu", "scaled")), graph.weights)
    assert "RELU" in [row.operator for row in emit(both)]


def _add(name, *sources):
    from kws_dendrite.plain import Add

    return Add(name, sources)


def test_a_wide_sum_rounds_as_tflite_does():
    weights = {"wide": np.ones((1000, 4), np.float32), "narrow": np.ones((4, 2), np.float32)}
    nodes = (
        Input("x", (), 1000),
        Dense("wide", ("x",), "wide"),
        Dense("narrow", ("wide",), "narrow"),
        Softmax("y", ("narrow",)),
    )
    assert [row.form for row in emit(Graph(nodes, weights))] == ["round", "rising", ""]


def test_more_of_anything_costs_more():
    """Positions, channels and taps, on every core."""
    for core in CORES:
        costs = []
        for frames, channels in ((20, 8), (40, 8), (40, 16)):
            weight = np.random.default_rng(0).normal(size=(3, 1, 10, channels)).astype(np.float32)
            nodes = Input("x", (), 10 * frames), Reshape("m", ("x",), (frames, 1, 10)), Conv2D("c", ("m",), "w")
            costs.append(predict(Graph(nodes, {"w": weight}), core).instructions)
        assert costs == sorted(costs) and costs[0] < costs[-1]
