"""Every family as a population: shapes, published counts, pairing over P, independence, settings as JSON."""

import copy
import dataclasses
import json

import pytest
import torch

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.models import FAMILIES, build_model, config_from_json, config_to_json, parameter_count
from kws_dendrite.models.bc_resnet import BcResNetConfig
from kws_dendrite.models.edge_impulse import EdgeImpulse1dConfig, EdgeImpulse2dConfig
from kws_dendrite.models.paper import PaperConfig
from kws_dendrite.models.separable import SeparableConfig
from kws_dendrite.models.spark import SparkConfig, published

SMALL = [
    SeparableConfig(13, 6, 3, channels=5, kernel=3),
    SeparableConfig(13, 6, 3, channels=4, kernel=3, blocks=(0, 1, 0), dilations=(1, 2, 4), stride=2, remove_mean=True),
    EdgeImpulse1dConfig(11, 5, 3, channels=(3, 4)),
    EdgeImpulse2dConfig(11, 7, 3, channels=(3, 4)),
    PaperConfig(12, 9, 3, channels=(2, 3), hidden=(5,)),
    BcResNetConfig(9, 40, 3, tau=0.5),
    SparkConfig(13, 6, 3, channels=3, kernel=5, blocks=2, gates=4),
    SeparableConfig(13, 6, 3, channels=5, kernel=3, head_hidden=4),
]
names = [config.family for config in SMALL]


@pytest.fixture(params=SMALL, ids=names)
def config(request):
    return request.param


def features(config, *leading, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*leading, config.frames, config.coefficients, generator=generator)


def test_every_family_is_tried():
    assert set(names) == set(FAMILIES)


def test_shapes_with_one_input_for_all_and_one_each(config):
    model = build_model(config, members=3)
    assert model(features(config, 4)).shape == (3, 4, config.classes)
    assert model(features(config, 3, 4)).shape == (3, 4, config.classes)


def test_shared_features_are_every_members_own(config):
    model = build_model(config, members=2).eval()
    x = features(config, 4)
    torch.testing.assert_close(model(x), model(torch.stack([x, x])))


def test_features_of_another_shape_are_refused(config):
    with pytest.raises(DataError, match=f"{config.frames} frames by {config.coefficients}"):
        build_model(config)(torch.zeros(2, config.frames + 1, config.coefficients))


def test_every_parameter_takes_part(config):
    model = build_model(config, members=2)
    model(features(config, 2, 16)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.shape[0] == 2, name
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_member_is_the_same_whatever_the_population(config):
    few, many = build_model(config, members=2, seed=5), build_model(config, members=4, seed=5)
    for name, parameter in few.named_parameters():
        assert torch.equal(parameter, many.get_parameter(name)[:2]), name
    x = features(config, 3)
    torch.testing.assert_close(few.eval()(x), many.eval()(x)[:2])


def test_members_and_seeds_differ(config):
    a, b = build_model(config, members=2, seed=0), build_model(config, members=2, seed=1)
    weights = [p for p in a.parameters() if p.dim() > 2]
    assert all(not torch.equal(p[0], p[1]) for p in weights)
    assert not torch.equal(weights[0], next(p for p in b.parameters() if p.dim() > 2))


def test_members_are_independent(config):
    """The loss of member 0 leaves no gradient in member 1, nor do member 1's features change member 0's logits."""
    model = build_model(config, members=2)
    model(features(config, 2, 8))[0].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert not parameter.grad[1].any(), name
    model.eval()
    x = features(config, 2, 8)
    other = torch.stack([x[0], -x[1]])
    torch.testing.assert_close(model(x)[0], model(other)[0])
    assert not torch.allclose(model(x)[1], model(other)[1])


def test_a_copy_after_a_forward_pass_is_the_same_model(config):
    model = build_model(config, members=2)
    model(features(config, 8)).sum().backward()
    twin = copy.deepcopy(model).eval()
    torch.testing.assert_close(twin(features(config, 3)), model.eval()(features(config, 3)))


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (EdgeImpulse1dConfig(50, 13, 12), 3228),  # Studio's own summary of its generated networks
        (EdgeImpulse2dConfig(50, 13, 12), 11244),
        (PaperConfig(48, 13, 3), 1067),  # arXiv 2605.15647's "1.5k" model before dendrites
        (BcResNetConfig(98, 40, 12), 9232),  # arXiv 2106.04140
        (BcResNetConfig(98, 40, 12, tau=0.625), 4585),
        (published(4), 1416),  # SparkNet's three sizes
        (published(8), 2292),
        (published(16), 4636),
        (SparkConfig(101, 40, 12), 2292),
    ],
    ids=lambda value: getattr(value, "family", value),
)
def test_published_counts(config, count):
    assert parameter_count(build_model(config)) == count
    assert parameter_count(build_model(config, members=2)) == count


@pytest.mark.parametrize("members", [0, -1])
def test_a_population_is_not_empty(members):
    with pytest.raises(ConfigError, match="at least one member"):
        build_model(SMALL[0], members)


def test_json_round_trip(config):
    again = config_from_json(json.loads(json.dumps(config_to_json(config))))
    assert again == config and type(again) is type(config)


def test_unknown_family_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown model family 'seperable'.*separable"):
        config_from_json({"family": "seperable"})


def test_unknown_setting_names_the_nearest(config):
    settings = config_to_json(config) | {"clases": 4}
    with pytest.raises(ConfigError, match="no setting 'clases'; did you mean classes"):
        config_from_json(settings)


def test_a_setting_like_none_lists_them_all(config):
    with pytest.raises(ConfigError, match="known: frames, coefficients, classes"):
        config_from_json(config_to_json(config) | {"zzz": 4})


def test_missing_settings_are_named(config):
    settings = config_to_json(config)
    del settings["frames"]
    with pytest.raises(ConfigError, match="frames"):
        config_from_json(settings)


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (SMALL[0], {"channels": 0}),
        (SMALL[0], {"kernel": 4}),
        (SMALL[0], {"classes": 1}),
        (SMALL[0], {"dilations": (1,)}),
        (SMALL[0], {"pooling": "median"}),
        (SMALL[2], {"frames": 0}),
        (SMALL[3], {"dropout": 1.0}),
        (SMALL[4], {"channels": ()}),
        (SMALL[4], {"channels": (4, 4, 4, 4)}),
        (SMALL[4], {"dropout": -0.1}),
    ],
)
def test_impossible_settings_are_refused(config, change):
    with pytest.raises(ConfigError):
        dataclasses.replace(config, **change)


def test_more_poolings_than_frames_are_refused():
    with pytest.raises(ConfigError, match="leave nothing"):
        build_model(PaperConfig(7, 13, 3, channels=(2, 2, 2)))
