"""Convolution, ReLU, pool and dropout: kernels against their twins in float64, and the twins against torch's own."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_dendrite.models import EdgeImpulse1dConfig, PaperConfig, build_model
from kws_dendrite.models.kernels import functions, library
from kws_dendrite.models.kernels.convolution import (
    Windows,
    conv2d,
    conv2d_twin,
    conv_relu_pool,
    draw_codes,
    dropout,
    dropout_twin,
    max_pool,
    relu_pool,
    relu_pool_twin,
    stays,
)
from kws_dendrite.models.layers import Conv2d, Dropout, MaxPool, Relu, pooled

compiled = pytest.mark.skipif(library.load() is None, reason="no compiled kernels here")
maps = st.tuples(*(st.integers(1, high) for high in (3, 5, 6, 9, 14, 30)))  # P, Cin, Cout, B, H, W
kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
windows = st.builds(Windows, st.sampled_from([(2, 2), (2, 1), (1, 2), (3, 2), (1, 1)]), st.booleans())
seeds = st.integers(0, 2**31)
quick = settings(deadline=None, derandomize=True, max_examples=60)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator)


def assert_same(function, twin, inputs, seed):
    """Values and gradients, to 1e-5 of the largest element or of 1, against the twin in float64."""
    ours = [i.clone().requires_grad_() for i in inputs]
    theirs = [i.double().requires_grad_() for i in inputs]
    y, z = function(*ours), twin(*theirs)
    assert y.shape == z.shape and y.is_contiguous()
    g = normal(torch.Generator().manual_seed(seed), *y.shape)
    y.backward(g)
    z.backward(g.double())
    for got, want in zip([y, *(i.grad for i in ours)], [z, *(i.grad for i in theirs)], strict=True):
        if want.numel():
            assert (got - want).abs().max() <= 1e-5 * max(1.0, float(want.detach().abs().max()))


def some_codes(P, rate, seed):
    if not rate:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return draw_codes(torch.arange(P), rate)


def inputs_of(shape, kernel, seed):
    P, inputs, outputs, B, H, W = shape
    generator = torch.Generator().manual_seed(seed)
    return (
        normal(generator, P, inputs, B, H, W),
        normal(generator, P, outputs, inputs, *kernel),
        normal(generator, P, outputs),
    )


@compiled
@quick
@given(maps, kernels, seeds)
def test_conv(shape, kernel, seed):
    assert_same(conv2d, conv2d_twin, inputs_of(shape, kernel, seed), seed)


@compiled
@quick
@given(maps, kernels, windows, st.sampled_from([0.0, 0.3]), seeds)
def test_conv_relu_pool(shape, kernel, windows, rate, seed):
    if 0 in windows.count(*shape[4:]):
        return
    codes = some_codes(shape[0], rate, seed)
    assert_same(
        lambda *i: conv_relu_pool(*i, windows, codes),
        lambda *i: relu_pool_twin(conv2d_twin(*i), windows, codes),
        inputs_of(shape, kernel, seed),
        seed,
    )


@compiled
@quick
@given(maps, windows, st.sampled_from([0.0, 0.3]), seeds)
def test_relu_pool(shape, windows, rate, seed):
    if 0 in windows.count(*shape[4:]):
        return
    codes = some_codes(shape[0], rate, seed)
    x = inputs_of(shape, (1, 1), seed)[0]
    assert_same(lambda x: relu_pool(x, windows, codes), lambda x: relu_pool_twin(x, windows, codes), [x], seed)


@compiled
def test_many_clips_in_several_chunks():
    """The paper's three stages at full size: clips fall into chunks, the last one shorter than the others."""
    for inputs, outputs, H, W in ((1, 4, 48, 13), (4, 8, 24, 6), (8, 8, 12, 3)):
        values = inputs_of((2, inputs, outputs, 125, H, W), (3, 3), H)
        codes = some_codes(2, 0.1, 1)
        assert_same(
            lambda *i, codes=codes: conv_relu_pool(*i, Windows((2, 2)), codes),
            lambda *i, codes=codes: relu_pool_twin(conv2d_twin(*i), Windows((2, 2)), codes),
            values,
            3,
        )


def test_conv_is_torchs_own():
    x, weight, bias = inputs_of((2, 3, 4, 5, 8, 6), (3, 3), 0)
    for p in range(2):
        expected = F.conv2d(x[p].transpose(0, 1), weight[p], bias[p], padding=1).transpose(0, 1)
        assert torch.allclose(conv2d(x, weight, bias)[p], expected, atol=1e-5)


@pytest.mark.parametrize("partial", [False, True])
def test_pool_is_torchs_own(partial):
    x = torch.randn(2, 3, 4, 7, 5)
    expected = F.max_pool2d(F.relu(x).flatten(0, 2), 2, ceil_mode=partial).view(2, 3, 4, 3 + partial, 2 + partial)
    assert torch.equal(relu_pool(x, Windows((2, 2), partial)), expected)
    assert torch.equal(max_pool(F.relu(x), Windows((2, 2), partial)), expected)


@compiled
def test_equal_maxima_and_zeros():
    """Of equal maxima the first takes the gradient; where ReLU cuts, none does."""
    x = torch.tensor([[1.0, 1.0, -1.0, 0.0], [1.0, 1.0, -2.0, 0.0]]).view(1, 1, 1, 2, 4).requires_grad_()
    relu_pool(x, Windows((2, 2))).sum().backward()
    assert x.grad.flatten().tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


@compiled
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_nan_comes_through(place):
    x = torch.ones(1, 1, 1, 4, 4)
    x[0, 0, 0, place[0], place[1]] = math.nan
    one = torch.ones(1, 1, 1, 1, 1)
    for y in (relu_pool(x, Windows((2, 2))), conv_relu_pool(x, one, None, Windows((2, 2)))):
        assert y.isnan().flatten().tolist() == [True, False, False, False]


@compiled
def test_a_member_that_diverged_leaves_the_others_alone():
    x, weight, bias = inputs_of((3, 2, 5, 40, 9, 7), (3, 3), 5)
    alone = [v[2:].clone().requires_grad_() for v in (x, weight, bias)]
    x[:2] = math.inf
    together = [v.clone().requires_grad_() for v in (x, weight, bias)]
    for values in (together, alone):
        conv_relu_pool(*values, Windows((2, 2))).square().sum().backward()
    for both, one in zip(together, alone, strict=True):
        assert torch.equal(both.grad[2:], one.grad)


@compiled
def test_several_threads_give_the_same_bytes(monkeypatch):
    values, threads = inputs_of((2, 3, 5, 150, 12, 7), (3, 3), 0), torch.get_num_threads()
    monkeypatch.setattr(functions, "FLOATS_A_THREAD", 100)

    def run():
        leaves = [v.clone().requires_grad_() for v in values]
        conv_relu_pool(*leaves, Windows((2, 2)), some_codes(2, 0.2, 4)).square().sum().backward()
        return [leaf.grad for leaf in leaves]

    before = run()
    try:
        torch.set_num_threads(4)
        after = run()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_dropout_takes_its_share_and_scales_the_rest():
    x = torch.ones(3, 10_000)
    y = dropout(x, some_codes(3, 0.3, 1))
    left = (y > 0).float().mean(1)
    assert ((left - 0.7).abs() < 4 * math.sqrt(0.3 * 0.7 / 10_000)).all()
    assert torch.allclose(y[y > 0], torch.tensor(1 / 0.7))
    same = ((y[0] > 0) == (y[1] > 0)).float().mean()  # members are independent: 0.7^2 + 0.3^2
    assert abs(same - 0.58) < 4 * math.sqrt(0.58 * 0.42 / 10_000)


def test_dropout_of_neighbours_is_independent():
    kept = stays(some_codes(1, 0.5, 2), 40_000)[0]
    for distance in (1, 2, 8, 13, 64):
        same = (kept[distance:] == kept[:-distance]).float().mean()
        assert abs(same - 0.5) < 4 * 0.5 / math.sqrt(40_000)


@compiled
def test_kernel_and_twin_drop_the_same():
    x, codes = torch.randn(3, 2, 5, 7, 3), some_codes(3, 0.4, 9)
    assert torch.equal(dropout(x, codes), dropout_twin(x, codes))


def test_a_member_loses_the_same_whatever_the_population():
    x = torch.ones(5, 2, 3, 4, 4)
    layer = Dropout(0.4)
    taken = []
    for members in (3, 5):
        torch.manual_seed(3)
        taken.append([layer(x[:members]) for _ in range(2)])
    for three, five in zip(*taken, strict=True):
        assert torch.equal(three, five[:3])
    assert not torch.equal(taken[0][0], taken[0][1])
    layer.draws = torch.tensor([0, 2, 0])
    torch.manual_seed(3)
    assert torch.equal(layer(x[:3]), taken[1][0][[0, 2, 0]])
    layer.rates = torch.tensor([0.0, 0.4, 0.9])
    y = layer(torch.ones(3, 5000))
    assert ((y > 0).float().mean(1) - torch.tensor([1.0, 0.6, 0.1])).abs().max() < 0.03
    layer.eval()
    assert torch.equal(layer(x), x)


def test_pooled_is_layer_after_layer():
    x = torch.randn(2, 1, 4, 8, 6)
    conv = Conv2d(2, 1, 3, (3, 3), torch.Generator().manual_seed(0), bias=True)
    relu, pool, drop = Relu(), MaxPool((2, 2)), Dropout(0.5)
    expected = pool(relu(conv(x)))
    seen = []
    handle = relu.register_forward_hook(lambda *a: seen.append(1))
    drop.eval()
    assert torch.allclose(pooled(conv, x, relu, pool, drop), expected)
    assert seen  # somebody looks: layer after layer
    handle.remove()
    assert torch.allclose(pooled(conv, x, relu, pool, drop), expected, atol=1e-6)
    assert len(seen) == 1


@pytest.mark.parametrize("config", [PaperConfig(24, 13, 3, hidden=(7,)), EdgeImpulse1dConfig(24, 13, 3)])
def test_a_net_with_kernels_and_without(config, monkeypatch):
    x = torch.randn(2, 6, 24, 13)
    grads = []
    for switched in (False, True):
        if switched:
            monkeypatch.setattr(functions, "load", lambda: None)
        model = build_model(config, 2)
        torch.manual_seed(0)
        y = model(x)
        y.square().sum().backward()
        grads.append([y.detach(), *(p.grad for p in model.parameters())])
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-4)
