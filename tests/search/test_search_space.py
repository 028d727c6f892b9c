import optuna
import pytest
from optuna.trial import FixedTrial

from kws_dendrite.dendrites.config import MODES
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import build_model
from kws_dendrite.search.space import ARMS, CANDIDATE_EPOCHS, LAYOUTS, Space, suggest

SHARED = {"layout": "twice", "channels": 6, "kernel": 7, "stride": 2, "learning_rate": 0.02}
GROWN = {"layers": "head", "activation": "tanh", "dendrites": 2}


def test_the_plain_arm_does_not_grow():
    proposal = suggest(FixedTrial(SHARED), Space(), "plain", 49, 24, 12, remove_mean=False)
    assert proposal.growth is None and proposal.learning_rate == 0.02
    assert (proposal.model.channels, proposal.model.kernel, proposal.model.stride) == (6, 7, 2)
    assert (proposal.model.blocks, proposal.model.dilations) == LAYOUTS["twice"]
    assert (proposal.model.frames, proposal.model.coefficients, proposal.model.classes) == (49, 24, 12)


@pytest.mark.parametrize("arm", ["gradient", "perforated", "growth"])
def test_a_dendritic_arm_grows_in_its_mode(arm):
    proposal = suggest(FixedTrial(SHARED | GROWN), Space(), arm, 49, 24, 12, remove_mean=True)
    growth = proposal.growth
    assert (growth.mode, growth.layers, growth.activation, growth.dendrites) == (arm, "head", "tanh", 2)
    assert growth.candidate_epochs == CANDIDATE_EPOCHS
    assert growth.kind == ("any" if arm == "growth" else "copy")
    assert proposal.model.remove_mean


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_builds(layout):
    proposal = suggest(FixedTrial(SHARED | {"layout": layout}), Space(), "plain", 20, 8, 3, remove_mean=False)
    build_model(proposal.model)


def test_the_same_seed_draws_the_same_shared_choices_for_every_arm():
    drawn = []
    for arm in ARMS:
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=5), directions=["maximize", "minimize"])
        trial = study.ask()
        suggest(trial, Space(), arm, 49, 24, 12, remove_mean=False)
        drawn.append({name: trial.params[name] for name in SHARED})
    assert all(each == drawn[0] for each in drawn)


def test_arms_are_plain_and_modes_of_growth():
    assert set(ARMS) - {"plain"} <= set(MODES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layouts": ("once", "onc")}, "unknown layout 'onc'"),
        ({"channels": (8, 4)}, "channels goes from 8 to 4"),
        ({"channels": (0, 4)}, "a least above 0"),
        ({"learning_rate": (0.0, 0.1)}, "learning_rate"),
        ({"dendrites": (2, 1)}, "dendrites"),
    ],
)
def test_ranges_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Space(**settings)
