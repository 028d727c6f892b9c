"""What the default family can be made of beside its defaults: each folds to the function it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kws_dendrite.errors import ConfigError
from kws_dendrite.export.c.sources import write_c
from kws_dendrite.export.predictor import TFLitePredictor
from kws_dendrite.export.tflite import write_tflite_int8
from kws_dendrite.fold import fold
from kws_dendrite.models import SeparableConfig, build_model, config_from_json, config_to_json
from kws_dendrite.models.filters import FilterBank, FrequencySum
from kws_dendrite.models.layers import Conv2d
from kws_dendrite.plain import cost
from kws_dendrite.plain.interpreter import interpret

BASE = SeparableConfig(12, 6, 3, channels=5, kernel=3)
VARIANTS = [
    {"pool_window": 4},
    {"pool_window": 12, "pooling": "mean"},
    {"stem_kernel": 5},
    {"residual": "joined"},
    {"filters": 4},
    {"filters": 3, "filter_size": (2, 4), "filter_stride": 3, "stem_kernel": 3, "stride": 2},
    {"pool_window": 3, "stem_kernel": 3, "residual": "joined", "stride": 2, "blocks": (0, 1)},
    {"head_hidden": 4},
    {"head_hidden": 7, "head_activation": "hard_tanh", "pooling": "mean"},
]
names = ["-".join(variant) for variant in VARIANTS]


def random_model(config):
    """A population with nothing at its starting value, in evaluation mode."""
    model = build_model(config, 2).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith(("running_var", "std")):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.dim() <= 2:
                value.normal_(generator=generator)
    return model


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_folded_it_is_the_same_function(variant):
    model = random_model(replace(BASE, **variant))
    x = torch.randn(4, 12, 6, generator=torch.Generator().manual_seed(2))
    for member in range(2):
        expected = torch.softmax(model(x)[member], -1).detach().numpy()
        np.testing.assert_allclose(interpret(fold(model, member), x.view(4, -1).numpy()), expected, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_as_json_and_back(variant):
    config = replace(BASE, **variant)
    assert config_from_json(config_to_json(config)) == config


def test_what_was_stored_without_them_is_the_default():
    stored = config_to_json(BASE)
    for name in ("filters", "filter_size", "filter_stride", "pool_window", "stem_kernel", "residual", "head_hidden"):
        del stored[name]
    assert config_from_json(stored) == BASE


def test_windows_take_maxima_before_the_mean():
    config = replace(BASE, pool_window=4, pooling="mean")
    model = random_model(config)
    x = torch.relu(torch.randn(2, 5, 4, 12, 1))  # (P, C, B, T, 1)
    parts = [x[:, :, :, start : start + 4].amax(3) for start in (0, 4, 8)]
    torch.testing.assert_close(model.pool(model.windows(x)), torch.stack(parts, 3).mean(3)[..., 0])


def test_a_stem_of_more_taps_costs_a_weight_a_tap_and_channel():
    plain, longer = (cost(fold(random_model(replace(BASE, stem_kernel=k)))).parameters for k in (1, 5))
    assert longer - plain == 5 * 5 + 5  # the taps, and the bias that the standardisation leaves before them


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pool_window", 0),
        ("pool_window", 5),
        ("stem_kernel", 4),
        ("residual", "none"),
        ("head_hidden", -1),
        ("head_activation", "tanh"),
    ],
)
def test_what_cannot_be_is_refused(name, wrong):
    with pytest.raises(ConfigError, match=name) as error:
        replace(BASE, **{name: wrong})
    assert str(wrong) in str(error.value)


@pytest.mark.parametrize("size", [(3, 5), (4, 2), (1, 1)])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_filters_are_the_convolution_that_they_fold_as(size, stride):
    generator = torch.Generator().manual_seed(0)
    bank = FilterBank(2, 3, size, generator, stride=stride)
    x = torch.randn(2, 1, 4, 7, 11, generator=generator)
    torch.testing.assert_close(bank(x), Conv2d.forward(bank, x))


def test_sums_over_frequency_are_the_convolution_that_they_fold_as():
    generator = torch.Generator().manual_seed(0)
    total = FrequencySum(2, 3, 6, generator)
    found = []
    for forward in (total, lambda x: Conv2d.forward(total, x)):
        x = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)
        y = forward(x)
        found.append((y, *torch.autograd.grad(y.square().sum(), (x, total.weight))))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(here, there)


def test_features_of_filters_keep_their_scale():
    assert build_model(BASE).standardised
    assert not build_model(replace(BASE, filters=2)).standardised


def test_a_hidden_layer_costs_its_weights_and_biases():
    linear, hidden = (cost(fold(random_model(replace(BASE, head_hidden=h)))).parameters for h in (0, 4))
    assert hidden - linear == (5 * 4 + 4) + (4 * 3 + 3) - (5 * 3 + 3)


def test_a_hidden_layer_leaves_the_layers_before_it_as_they_were_drawn():
    linear, hidden = (dict(build_model(replace(BASE, head_hidden=h), 2, 3).named_parameters()) for h in (0, 4))
    before = [name for name in linear if not name.startswith("head")]
    assert before and all(torch.equal(linear[name], hidden[name]) for name in before)


@pytest.mark.parametrize("activation", ["relu", "hard_tanh"])
def test_a_hidden_layer_bends(activation):
    model = random_model(replace(BASE, head_hidden=4, head_activation=activation))
    x = 3 * torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))  # (P, C, B)
    inner = torch.baddbmm(model.hidden.bias[:, :, None], model.hidden.weight, x)
    inner = inner.clamp_min(0) if activation == "relu" else inner.clamp(-1, 1)
    torch.testing.assert_close(model.bend(model.hidden(x)), inner)


@pytest.mark.parametrize("activation", ["relu", "hard_tanh"])
def test_a_hidden_layer_in_int8(activation, tmp_path):
    model = build_model(replace(BASE, head_hidden=8, head_activation=activation), 2, 0)
    graph = fold(model, 1, ("a", "b", "c"))
    x = torch.randn(64, 72, generator=torch.Generator().manual_seed(2)).numpy()
    path = tmp_path / "model.tflite"
    write_tflite_int8(graph, path, x)
    write_c(path, tmp_path / "c", labels=graph.labels)  # refuses what its kernels lack
    expected = interpret(graph, x)
    assert expected.std(0).max() > 0.05
    np.testing.assert_allclose(TFLitePredictor(path).predict(x), expected, atol=0.03)
