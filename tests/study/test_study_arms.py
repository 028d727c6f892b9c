import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import feature_shape
from kws_dendrite.models import SeparableConfig
from kws_dendrite.study.arms import ARMS, deeper, hidden_head, parse_arms
from kws_dendrite.study.sizes import measure

LAYOUT = SeparableConfig(49, 24, 12, channels=10)


def test_all_that_a_study_is_asked_to_compare_is_there():
    named = {
        "plain", "plain_restart", "wider_grown", "deeper", "hidden_head", "sham", "random", "start", "gradient",
        "perforated", "growth", "bc_resnet", "spark",
    }  # fmt: skip
    assert named <= set(ARMS)


def test_controls_are_the_nets_without_working_dendrites():
    controls = {name for name, arm in ARMS.items() if arm.control}
    assert controls == {"plain", "plain_restart", "wider_grown", "deeper", "hidden_head", "sham"}


def test_deeper_has_one_block_more_of_its_own():
    changed = deeper(LAYOUT)
    assert (changed.blocks, changed.dilations) == ((0, 0, 1), (1, 3, 3))
    assert measure(changed).parameters > measure(LAYOUT).parameters


def test_hidden_head_has_a_unit_less_than_classes():
    assert (hidden_head(LAYOUT).head_hidden, hidden_head(LAYOUT).head_activation) == (11, "hard_tanh")
    assert hidden_head(SeparableConfig(49, 24, 3)).head_hidden == 4


@pytest.mark.parametrize("arm", ["bc_resnet", "spark"])
def test_published_nets_have_about_their_published_size(arm):
    """Published counts are trainable parameters; folding drops BatchNorm's and writes sub-bands out."""
    for net in ARMS[arm].published:
        architecture = net.make(*feature_shape(net.frontend, 16000), 12)
        assert abs(measure(architecture).parameters - net.size) < 0.07 * net.size


def test_settings_of_growth():
    (arm,) = parse_arms("gradient:layers=head+activation=tanh")
    assert (arm.growth.layers, arm.growth.activation, arm.growth.mode) == ("head", "tanh", "gradient")
    assert arm.title == "gradient dendrites, layers head, activation tanh"
    assert arm.name == "gradient:layers=head+activation=tanh"


def test_share_of_growth():
    (arm,) = parse_arms("growth:share=0.9+kind=temporal")
    assert (arm.share, arm.growth.kind) == (0.9, "temporal")
    assert ARMS["growth"].share != 0.9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plain,gradiant", "no arm 'gradiant'; did you mean gradient"),
        ("zzz", "known: plain"),
        ("", "at least one arm"),
        ("plain,plain", "named twice"),
        ("plain:layers=head", "does not grow"),
        ("gradient:layer=head", "no setting 'layer'; did you mean layers"),
        ("gradient:layers=tail", "layers is one of"),
        ("gradient:share=0.5", "share is a number between 0 and 1, for an arm that grows by gain"),
        ("growth:share=2", "share is a number between 0 and 1"),
        ("growth:budget=100", "give share, not budget"),
    ],
)
def test_refusals(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_arms(text)


def test_a_list_of_numbers_is_one_setting():
    first, second, last = parse_arms("plain, growth:probe=1,0.3+candidate_epochs=4,sham")
    assert (first.name, last.name) == ("plain", "sham")
    assert second.name == "growth:probe=1,0.3+candidate_epochs=4"
    assert (second.growth.probe, second.growth.candidate_epochs) == ((1.0, 0.3), 4)
