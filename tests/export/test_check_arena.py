"""The estimate against arenas that were measured: TFLite Micro with CMSIS-NN on a Cortex-M4 (tests/golden/tflite)."""

from pathlib import Path

import pytest
from faulty_models import Classifier

from kws_dendrite.export.check import read_model
from kws_dendrite.export.check.arena import estimate_arena

GOLDEN = Path(__file__).resolve().parent.parent / "golden/tflite"
MEASURED = {"sep14_s2": 4532, "sep14_s1": 5940, "sep12_mel40_s1": 6900}


@pytest.mark.parametrize("name", MEASURED)
def test_measured_arenas(name):
    arena = estimate_arena(read_model(GOLDEN / f"{name}.tflite").main)
    assert arena.activations < MEASURED[name]
    assert arena.estimate == pytest.approx(MEASURED[name], rel=0.08)


def test_what_is_alive_together():
    """The largest pair: the convolution's input, 12 bytes, and its output, 24; in blocks of 16."""
    arena = estimate_arena(Classifier().model.main)
    assert arena.activations == 16 + 32


def test_no_plan_without_an_order():
    case = Classifier()
    operators = case.builder.subgraph.operators
    operators[0], operators[1] = operators[1], operators[0]
    assert estimate_arena(case.model.main) is None
