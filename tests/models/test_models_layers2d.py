"""Frequency-axis population layers against torch's own, one member at a time."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import BatchNorm, DepthwiseTime, same_padding
from kws_dendrite.models.layers2d import (
    ChannelDropout,
    Depthwise2d,
    DepthwiseFrequency,
    DepthwiseTimeBn,
    FrequencyPool,
    Silu,
    SubSpectralNorm,
)

P, C, B, H, W = 2, 3, 4, 6, 10


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def depthwise(x, weight, stride):
    """(C, B, H, W) by (C, kh, kw), "same"."""
    rows, columns = (same_padding(x.shape[2 + i], weight.shape[1 + i], stride[i]) for i in (0, 1))
    padded = F.pad(x.transpose(0, 1), (*columns, *rows))
    return F.conv2d(padded, weight[:, None], None, stride, groups=len(weight)).transpose(0, 1)


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_frequency(stride):
    layer = DepthwiseFrequency(P, C, 3, torch.Generator(), stride=stride)
    x = randn(P, C, B, H, W)
    for p in range(P):
        expected = depthwise(x[p], layer.taps.weight[p][:, None], (1, stride))
        torch.testing.assert_close(layer(x)[p], expected)


@pytest.mark.parametrize(("kernel", "stride"), [((5, 5), (1, 5)), ((3, 3), (1, 1)), ((5, 3), (2, 2))])
def test_depthwise_2d(kernel, stride):
    layer = Depthwise2d(P, C, kernel, torch.Generator(), stride=stride)
    x = randn(P, C, B, H, W)
    y = layer(x)
    assert y.is_contiguous()
    for p in range(P):
        torch.testing.assert_close(y[p], depthwise(x[p], layer.weight[p, :, 0], stride))


def test_depthwise_time_bn_dilates():
    unit = DepthwiseTimeBn(DepthwiseTime(P, C, 3, torch.Generator()), BatchNorm(P, C), dilation=2).eval()
    x = randn(P, C, B, H, 1)
    expected = unit.depthwise(x, 2) / (1 + unit.norm.eps) ** 0.5
    torch.testing.assert_close(unit(x), expected)


def test_sub_spectral_norm_is_batch_norm_of_channels_times_bands():
    """As the authors write it: (B, C, W, H) seen as (B, C * S, W / S, H)."""
    S = 5
    layer = SubSpectralNorm(P, C, S)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    singles = [nn.BatchNorm2d(C * S) for _ in range(P)]
    for p, single in enumerate(singles):
        single.weight.data, single.bias.data = layer.norm.weight.data[p].clone(), layer.norm.bias.data[p].clone()
    for training in (True, False):
        layer.train(training)
        x = randn(P, C, B, H, W) * 2 + 1
        y = layer(x)
        for p, single in enumerate(singles):
            single.train(training)
            seen = x[p].permute(1, 0, 3, 2).reshape(B, C * S, W // S, H)
            expected = single(seen).view(B, C, W, H).permute(1, 0, 3, 2)
            torch.testing.assert_close(y[p], expected, rtol=1e-5, atol=1e-5)


def test_sub_spectral_norms_affine_is_its_evaluation():
    layer = SubSpectralNorm(P, C, 5).eval()
    for value in (layer.norm.weight, layer.norm.bias, layer.norm.running_mean):
        nn.init.normal_(value)
    scale, shift = layer.affine(W)  # (P, W, C)
    assert scale.shape == (P, W, C)
    x = randn(P, C, B, H, W)
    expected = x * scale.transpose(1, 2)[:, :, None, None] + shift.transpose(1, 2)[:, :, None, None]
    torch.testing.assert_close(layer(x), expected)


def test_sub_spectral_norm_refuses_a_rest():
    with pytest.raises(ConfigError, match="9 frequency bins do not divide into 5"):
        SubSpectralNorm(P, C, 5)(randn(P, C, B, H, 9))


def test_pool_and_silu():
    x = randn(P, C, B, H, W)
    torch.testing.assert_close(FrequencyPool()(x)[..., 0], x.mean(4))
    torch.testing.assert_close(Silu()(x), x * torch.sigmoid(x))


def test_channel_dropout_drops_whole_channels_and_keeps_the_mean():
    layer = ChannelDropout(0.25)
    x = torch.ones(2, 50, 100, 3, 1)
    torch.manual_seed(0)
    y = layer(x)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(y, y[:, :, :, :1].expand_as(y))
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    assert not torch.equal(y[0], y[1])
    assert torch.equal(layer.eval()(x), x)
