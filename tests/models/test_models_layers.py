"""Population layers against torch's own, one member at a time."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kws_dendrite.models.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    DepthwiseTime,
    Features,
    Flatten,
    GlobalPool,
    MaxPool,
    Pointwise,
    same_padding,
)
from kws_dendrite.plain.shapes import same_padding as plain_same_padding

P, C, B, T = 3, 4, 2, 11
quick = settings(max_examples=40, deadline=None, derandomize=True)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def generator():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "before", "after"),
    [  # read off tf.nn.conv1d(..., padding="SAME") of TensorFlow 2.21 with one-tap kernels
        (5, 3, 2, 1, 1, 1),
        (6, 3, 2, 1, 0, 1),
        (28, 5, 1, 1, 2, 2),
        (49, 9, 1, 3, 12, 12),
        (49, 11, 2, 1, 5, 5),
        (7, 2, 1, 1, 0, 1),
        (10, 2, 2, 1, 0, 0),
        (224, 7, 2, 1, 2, 3),
        (4, 1, 2, 1, 0, 0),
        (98, 3, 1, 8, 8, 8),
        (40, 5, 2, 1, 1, 2),
        (3, 9, 1, 1, 4, 4),
        (13, 4, 3, 1, 1, 2),
    ],
)
def test_same_padding_is_tensorflows(size, kernel, stride, dilation, before, after):
    assert same_padding(size, kernel, stride, dilation) == (before, after)


sizes = {
    "size": st.integers(1, 60),
    "kernel": st.integers(1, 13),
    "stride": st.integers(1, 4),
    "dilation": st.integers(1, 4),
}


@quick
@given(**sizes)
def test_same_padding_gives_the_ceiling_and_is_even_or_one_more_after(size, kernel, stride, dilation):
    before, after = same_padding(size, kernel, stride, dilation)
    spread = (kernel - 1) * dilation + 1
    assert 0 <= before <= after <= before + 1
    if before + after:  # TensorFlow never pads more than it takes
        assert (size + before + after - spread) // stride + 1 == -(-size // stride)
        assert (size + before + after - spread) % stride == 0
    assert (before, after) == plain_same_padding(size, kernel, stride, dilation)


@quick
@given(**sizes)
def test_depthwise_time_is_conv1d(size, kernel, stride, dilation):
    layer = DepthwiseTime(P, C, kernel, generator(), stride=stride)
    x = randn(P, C, B, size, 1).requires_grad_(True)
    y = layer(x, dilation)
    padding = same_padding(size, kernel, stride, dilation)
    rows = F.pad(x[..., 0].permute(2, 0, 1, 3).reshape(B, P * C, size), padding)
    expected = F.conv1d(rows, layer.weight.view(P * C, 1, kernel), stride=stride, dilation=dilation, groups=P * C)
    expected = expected.view(B, P, C, -1).permute(1, 2, 0, 3)[..., None]
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    weights = randn(*y.shape, seed=2)
    for ours, theirs in zip(
        torch.autograd.grad((y * weights).sum(), (x, layer.weight)),
        torch.autograd.grad((expected * weights).sum(), (x, layer.weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_pointwise_is_a_strided_1x1_convolution(stride, bias):
    layer = Pointwise(P, C, 5, generator(), stride=stride, bias=bias)
    if bias:
        nn.init.normal_(layer.bias)
    x = randn(P, C, B, T, 2)
    for p in range(P):
        expected = F.conv2d(
            x[p].transpose(0, 1), layer.weight[p, :, :, None, None], layer.bias[p] if bias else None, (stride, 1)
        )
        torch.testing.assert_close(layer(x)[p], expected.transpose(0, 1))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("groups", [1, C])
@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 2), (2, 1))])
def test_conv2d_is_each_members_own_convolution(padding, groups, stride, dilation):
    kernel = (3, 2)
    layer = Conv2d(
        P, C, C, kernel, generator(), stride=stride, dilation=dilation, padding=padding, groups=groups, bias=True
    )
    nn.init.normal_(layer.bias)
    x = randn(P, C, B, T, 6)
    y = layer(x)
    assert y.is_contiguous()
    for p in range(P):
        one = x[p].transpose(0, 1)
        if padding == "same":
            rows, columns = (same_padding(one.shape[2 + i], kernel[i], stride[i], dilation[i]) for i in (0, 1))
            one = F.pad(one, (*columns, *rows))
        expected = F.conv2d(one, layer.weight[p], layer.bias[p], stride, dilation=dilation, groups=groups)
        torch.testing.assert_close(y[p], expected.transpose(0, 1))


def test_batch_norm_is_each_members_own():
    """Outputs, gradients and running statistics, in training and then in evaluation."""
    layer = BatchNorm(P, C)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    singles = [nn.BatchNorm1d(C) for _ in range(P)]
    for p, single in enumerate(singles):
        single.weight.data, single.bias.data = layer.weight.data[p].clone(), layer.bias.data[p].clone()
    for step in range(3):
        x = (randn(P, C, B, T, 1, seed=step) * 2 + 1).requires_grad_(True)
        y = layer(x)
        z = torch.stack([single(x[p, ..., 0].transpose(0, 1)).transpose(0, 1) for p, single in enumerate(singles)])
        torch.testing.assert_close(y, z[..., None], rtol=1e-5, atol=1e-5)
        weights = randn(*y.shape, seed=9)
        (ours,) = torch.autograd.grad((y * weights).sum(), x)
        (theirs,) = torch.autograd.grad((z[..., None] * weights).sum(), x)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for p, single in enumerate(singles):
        torch.testing.assert_close(layer.running_mean[p], single.running_mean)
        torch.testing.assert_close(layer.running_var[p], single.running_var)
    layer.eval()
    x = randn(P, C, B, T, 1, seed=7)
    for p, single in enumerate(singles):
        expected = single.eval()(x[p, ..., 0].transpose(0, 1)).transpose(0, 1)[..., None]
        torch.testing.assert_close(layer(x)[p], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("positive", [False, True])
def test_batch_norms_affine_is_its_evaluation(positive):
    layer = BatchNorm(P, C, positive=positive).eval()
    for value in (layer.weight, layer.bias, layer.running_mean):
        nn.init.normal_(value)
    nn.init.uniform_(layer.running_var, 0.5, 2)
    scale, shift = layer.affine()
    x = randn(P, C, B, T, 1)
    torch.testing.assert_close(layer(x), x * scale[..., None, None, None] + shift[..., None, None, None])
    assert (layer.weight < 0).any()
    assert (scale >= 0).all() == positive


@pytest.mark.parametrize("bias", [False, True])
def test_dense_is_linear(bias):
    layer = Dense(P, C, 5, generator(), bias=bias)
    if bias:
        nn.init.normal_(layer.bias)
    x = randn(P, C, B)
    for p in range(P):
        expected = F.linear(x[p].T, layer.weight[p], layer.bias[p] if bias else None)
        torch.testing.assert_close(layer(x)[p], expected.T)


@pytest.mark.parametrize("remove_mean", [False, True])
def test_features_layout_and_standardisation(remove_mean):
    x = randn(P, B, 5, 3) + 2
    mean, std = randn(3, seed=4), randn(3, seed=5).abs() + 0.5
    level = x.mean((2, 3), keepdim=True) if remove_mean else 0
    expected = (x - level - mean) / std
    for as_channels in (False, True):
        door = Features(P, 5, 3, as_channels=as_channels, remove_mean=remove_mean)
        door.mean.copy_(mean)
        door.std.copy_(std)
        y = door(x)
        if as_channels:
            torch.testing.assert_close(y[..., 0], expected.permute(0, 3, 1, 2))
        else:
            torch.testing.assert_close(y[:, 0], expected)


@pytest.mark.parametrize(("padding", "shape"), [("valid", (3, 2)), ("same", (4, 3))])
def test_max_pool_keeps_or_drops_the_rest(padding, shape):
    x = randn(P, C, B, 7, 5)
    y = MaxPool((2, 2), padding=padding)(x)
    assert y.shape[3:] == shape
    assert torch.equal(y[..., 0, 0], x[..., :2, :2].amax((3, 4)))
    if padding == "same":
        assert torch.equal(y[..., -1, -1], x[..., -1, -1])


@pytest.mark.parametrize("kind", ["mean", "max", "mean_max"])
def test_global_pool(kind):
    x = randn(P, C, B, 7, 5)
    mean, top = x.mean((3, 4)), x.amax((3, 4))
    expected = {"mean": mean, "max": top, "mean_max": (mean + top) / 2}[kind]
    torch.testing.assert_close(GlobalPool(kind)(x), expected)


def test_flatten_runs_over_time_then_frequency_then_channels():
    x = randn(P, C, B, 3, 2)
    y = Flatten()(x)  # (P, H*W*C, B)
    assert y.shape == (P, 3 * 2 * C, B)
    assert torch.equal(y[1, (2 * 2 + 1) * C + 3, 1], x[1, 3, 1, 2, 1])
