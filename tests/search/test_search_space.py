import pytest

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.config import MODES
from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import BLOCKS
from kws_dendrite.models import FAMILIES
from kws_dendrite.search import ARMS, Choice, Range, Space
from kws_dendrite.search.space import COMPOSITES, types_of
from kws_dendrite.training.config import TrainConfig

NET = {"separable": {"channels": Range(4, 8)}}


def test_arms_are_plain_and_modes_of_growth():
    assert ARMS[0] == "plain" and set(ARMS) - {"plain"} <= set(MODES)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"families": {}}, "at least one family"),
        ({"families": {"seperable": {}}}, "no family of nets 'seperable'; did you mean separable?"),
        ({"families": {"separable": {"chanels": Choice((4,))}}}, "no dimension 'chanels'; did you mean channels?"),
        ({"families": {"separable": {"xyz": Choice((4,))}}}, "known: "),
        ({"train": {"learning_rat": Choice((0.1,))}}, "did you mean learning_rate?"),
        ({"dendrites": {"kinds": Choice(("copy",))}}, "did you mean kind?"),
        ({"frontends": {"mfc": {}}}, "no front end 'mfc'; did you mean mfcc?"),
        ({"frontends": {"mfcc": {"num_ceptral": Choice((13,))}}}, "did you mean num_cepstral?"),
        ({"augment": {"noise_prob": Choice((0.5,))}}, "did you mean noise_probability?"),
        ({"families": {"separable": {"layout": Choice(("once", "onc"))}}}, "cannot be 'onc'; did you mean once?"),
        ({"train": {"epochs": Choice((10,))}}, "it is the same for every arm: give --epochs"),
        ({"dendrites": {"mode": Choice(("growth",))}}, "it is the arm"),
        ({"families": {"separable": {"classes": Choice((3,))}}}, "follows from the data"),
        ({"frontends": {"mfcc": {"sampling_freq": Choice((8000,))}}}, "it is the data's"),
        ({"train": {"distillation": Choice((0.5,))}}, "needs a teacher"),
        ({"augment": {"seed": Choice((1,))}}, "the search's own"),
        ({"families": {"separable": {"kernel": Choice((5, 6))}}}, "kernel cannot be 6: kernel is an odd number"),
        ({"families": {"separable": {"kernel": Choice((5, "x"))}}}, "kernel is a whole number; got 'x'"),
        ({"families": {"separable": {"kernel": Choice((5, 7.5))}}}, "kernel is a whole number; got 7.5"),
        ({"families": {"separable": {"channels": Range(0, 4)}}}, "channels cannot be 0"),
        ({"families": {"separable": {"channels": Range(1.0, 4.5)}}}, "is a whole number; its range goes from 1 to 4.5"),
        ({"families": {"separable": {"pooling": Range(1, 4)}}}, "is no number, so it has no range"),
        ({"families": {"separable": {"channels": 4}}}, "is a Choice or a Range; got 4"),
        ({"families": {"separable": {"layout": Choice(("once",)), "blocks": Choice(((0, 0),))}}}, "sets blocks; leave"),
        ({"families": {"paper": {"depth": Range(1, 4)}}}, "depth cannot be 4"),
        ({"train": {"learning_rate": Range(0.0, 0.1)}}, "learning_rate cannot be 0.0"),
        ({"train": {"learning_rate": Choice((True,))}}, "learning_rate is a number; got True"),
        ({"dendrites": {"kind": Choice(("copy", "cpy"))}}, "cannot be 'cpy'"),
        ({"dendrites": {"insertion": Choice(("late",))}}, "cannot be 'late'"),
        ({"dendrites": {"cascade": Choice((1,))}}, "cascade is true or false; got 1"),
        ({"dendrites": {"budget_share": Choice((11.0,))}}, "a share of the net's parameters"),
        ({"augment": {"noise_probability": Range(0.1, 0.9)}}, "needs a step or a list of values"),
        ({"frontends": {"mfcc": {"frame_length": Range(0.01, 0.03)}}}, "needs a step or a list of values"),
        (
            {"dendrites": {"price": Choice(("parameters", "macs")), "budget_share": Choice((0.1,))}},
            "a share of the parameters; with another price give budget",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_the_nearest_offered(groups, says):
    with pytest.raises(ConfigError) as caught:
        Space(**{"families": NET, **groups})
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_every_dimension_is_a_field_of_the_configuration_that_it_sets():
    configs = {**FAMILIES, **BLOCKS, "train": TrainConfig, "dendrites": DendriteConfig, "augment": AugmentConfig}
    for group, config in configs.items():
        composites = COMPOSITES.get(group, {})
        fields = set(config.__dataclass_fields__)
        assert set(types_of(group)) - set(composites) <= fields
        assert all(set(sets) <= fields for _, sets in composites.values())


def test_values_have_their_fields_types():
    space = Space(
        NET, train={"learning_rate": Range(1, 2), "weight_decay": Choice((0,)), "batch_size": Choice((32.0,))}
    )
    assert space.dim("train.learning_rate") == Range(1.0, 2.0)
    assert [type(space.dim(f"train.{name}").values[0]) for name in ("weight_decay", "batch_size")] == [float, int]
    assert Space({"paper": {"channels": Choice(([4, 8], [8, 16]))}}).dim("paper.channels").values == ((4, 8), (8, 16))


def test_the_order_in_which_dimensions_are_given_does_not_matter():
    dims = {"stride": Choice((1, 2)), "channels": Range(4, 8), "kernel": Choice((3, 5)), "layout": Choice(("once",))}
    one, other = Space({"separable": dims}), Space({"separable": dict(reversed(dims.items()))})
    assert list(one) == list(other)


def test_a_dimension_by_its_name():
    space = Space(NET, train={"learning_rate": Range(0.01, 0.06, log=True)})
    assert [name for name, _ in space] == ["separable.channels", "train.learning_rate"]
    assert space.dim("separable.channels") == Range(4, 8)
    with pytest.raises(ConfigError, match=r"no dimension 'separable\.chanels'; did you mean separable\.channels\?"):
        space.dim("separable.chanels")


def test_the_same_space_with_other_dimensions():
    space = Space(NET, train={"learning_rate": Range(0.01, 0.06, log=True)})
    other = space.with_dims(separable__channels=Range(4, 6), train__learning_rate=0.02, dendrites__kind="lean")
    assert other.dim("separable.channels") == Range(4, 6)
    assert other.dim("train.learning_rate") == Choice((0.02,))
    assert other.dim("dendrites.kind") == Choice(("lean",))
    assert space.dim("separable.channels") == Range(4, 8)
    with pytest.raises(ConfigError, match=r"no group 'separabel'; did you mean separable\?"):
        space.with_dims(separabel__channels=4)
    with pytest.raises(ConfigError, match="channels cannot be 0"):
        space.with_dims(separable__channels=0)
