import json

import pytest

from kws_dendrite.data.task import TaskConfig
from kws_dendrite.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"keywords": ()}, "keywords is empty"),
        ({"keywords": ("yes", "")}, "keywords is empty"),
        ({"keywords": ("yes", "yes")}, "names yes twice"),
        ({"sampling_freq": 10}, "sampling_freq is 10"),
        ({"window_seconds": 0}, "window_seconds is 0"),
        ({"unknown_ratio": 0}, "unknown_ratio is 0"),
        ({"dither": -1}, "dither is -1"),
        ({"all_as": "testing"}, "all_as is 'testing'"),
        ({"speaker_pattern": "("}, "cannot be compiled"),
        ({"speaker_pattern": "(x)"}, "no group named speaker"),
    ],
)
def test_settings_that_cannot_be(settings, says):
    with pytest.raises(ConfigError, match=says):
        TaskConfig(**settings)


def test_window_in_samples_and_json():
    task = TaskConfig(keywords=["yes", "no"], window_seconds=0.5, sampling_freq=8000)
    assert task.window == 4000
    assert task.keywords == ("yes", "no")
    assert task.to_json()["keywords"] == ["yes", "no"]


def test_json_and_back():
    task = TaskConfig(keywords=("yes", "no"), skip_bad=True, silence=False)
    assert TaskConfig.from_json(json.loads(json.dumps(task.to_json()))) == task
    with pytest.raises(ConfigError, match="no setting named colour"):
        TaskConfig.from_json({"colour": "red"})
    with pytest.raises(ConfigError):
        TaskConfig.from_json({"sampling_freq": "fast"})


def test_a_models_labels_make_its_task():
    task = TaskConfig().for_labels(("go", "yes", "_unknown_"))
    assert (task.keywords, task.unknown, task.silence) == (("go", "yes"), True, False)
