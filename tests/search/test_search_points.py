"""A point says what it takes to make the same net again."""

import json

import pytest

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.search.points import Point, latest, point_of
from kws_dendrite.training.stages import Stage

GROWTH = DendriteConfig("gradient", 3)


def stage(dendrites=0, steps=0, cycles=1, epochs=4, loss=(0.5, 0.7), accuracy=(0.8, 0.9)):
    return Stage(None, dendrites, steps, cycles, epochs, list(loss), list(accuracy))


def made(stage, growth=None):
    return point_of(stage, {"parameters": 120, "macs": 900, "ram": 640}, 640, growth)


def test_figures():
    point = made(stage())
    assert point.validation_accuracy == pytest.approx(0.85) and point.validation_accuracy_members == (0.8, 0.9)
    assert point.loss == pytest.approx(0.6) and point.merit("loss") == -point.loss
    assert point.merit("accuracy") == point.validation_accuracy
    assert (point.parameters, point.macs, point.value, point.costs["ram"]) == (120, 900, 640, 640)


@pytest.mark.parametrize(
    ("stage", "growth", "dendrites", "restarts"),
    [
        (stage(cycles=1), None, None, 0),
        (stage(cycles=2), None, None, 1),
        (stage(cycles=1), GROWTH, None, 0),  # the net before it grows is a plain one
        (stage(1, steps=1, cycles=2), GROWTH, 1, 0),
        (stage(1, steps=2, cycles=3), GROWTH, 2, 0),  # the first step was rejected, and is tried again to make it
        (stage(0, steps=1, cycles=2), GROWTH, None, 1),  # growth found nothing: another plain cycle
        (stage(3, steps=0, cycles=2), DendriteConfig("gradient", 3, insertion="start"), 3, 1),
    ],
)
def test_what_makes_it_again(stage, growth, dendrites, restarts):
    point = made(stage, growth)
    assert (point.growth and point.growth["dendrites"]) == dendrites
    assert point.restarts == restarts
    if point.growth:
        settings = {name: tuple(value) if isinstance(value, list) else value for name, value in point.growth.items()}
        assert DendriteConfig(**settings).mode == growth.mode


def test_json_there_and_back():
    point = made(stage(1, 1, 2), GROWTH)
    value = json.loads(json.dumps(point.to_json(), allow_nan=False))
    again = Point.from_json(value | {"of a later version": 1})
    assert again.to_json() == value
    assert again.validation_loss_members == point.validation_loss_members


def test_of_several_with_as_many_dendrites_the_last_stays():
    first, grown, second = (made(each) for each in (stage(epochs=4), stage(1, 1, 2, 8), stage(cycles=2, epochs=12)))
    assert latest([first, grown, second]) == (second, grown)
