"""The kernels and their PyTorch twins give the same values and gradients; without a library the twins do the work."""

import os
import stat
import subprocess
import sys

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kws_dendrite.models.kernels import functions, library
from kws_dendrite.models.kernels.functions import (
    depthwise_time,
    depthwise_time_twin,
    gather_batch,
    gather_batch_twin,
    mean_max_pool,
    mean_max_pool_twin,
    norm_act,
    norm_act_twin,
    plateau,
    plateau_twin,
    window_max,
    window_max_twin,
)

compiled = pytest.mark.skipif(library.load() is None, reason="no compiled kernels here")
shapes = st.tuples(*(st.integers(1, high) for high in (3, 4, 9, 70)))  # P, C, B, T
seeds = st.integers(0, 2**31)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator)


def assert_near(got, expected):
    """Within 1e-5 of the largest element, or of 1, the size of what went in: sums cancel, rounding does not."""
    assert (got is None) == (expected is None)
    if expected is not None:
        assert got.shape == expected.shape
        assert (got - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def gradients(function, inputs, generator_seed):
    """The output, and the gradient of a random linear function of it with respect to each input that is not None."""
    leaves = [None if i is None else i.clone().requires_grad_() for i in inputs]
    y = function(*leaves)
    y.backward(normal(torch.Generator().manual_seed(generator_seed), *y.shape))
    return y.detach(), [None if leaf is None else leaf.grad for leaf in leaves]


def assert_same(function, twin, inputs):
    """Compare with the twin in float64, which is the truth both round."""
    y, found = gradients(function, inputs, 1)
    leaves = [None if i is None else i.double() for i in inputs]
    expected_y, expected = gradients(twin, leaves, 1)
    assert_near(y.double(), expected_y)
    for got, want in zip(found, expected, strict=True):
        assert_near(None if got is None else got.double(), want)


@compiled
@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(1, 12), seeds)
def test_window_max(shape, taps, seed):
    generator = torch.Generator().manual_seed(seed)
    x, gy = normal(generator, *shape, 1), normal(generator, *shape, 1)
    found = []
    for function in (window_max, window_max_twin):
        one = x.clone().requires_grad_()
        y = function(one, taps)
        y.backward(gy)
        found.append((y.detach(), one.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert_near(found[0][1], found[1][1])


@compiled
@pytest.mark.parametrize("with_residual", [False, True])
@settings(max_examples=60, deadline=None)
@given(shape=shapes, taps=st.integers(1, 75), seed=seeds)
def test_plateau(with_residual, shape, taps, seed):
    generator = torch.Generator().manual_seed(seed)
    P, C, B, T = shape
    inputs = [normal(generator, P, C, B, T, 1), normal(generator, P, C)]
    inputs.append(normal(generator, P, C, B, T, 1) if with_residual else None)
    assert_same(
        lambda z, t, residual: plateau(z, t, taps, residual),
        lambda z, t, residual: plateau_twin(z, t, taps, residual),
        inputs,
    )


@compiled
def test_plateau_of_equals_gives_the_first_the_gradient():
    z = torch.ones(1, 1, 1, 5, 1).requires_grad_()
    plateau(z, torch.ones(1, 1), 3).sum().backward()
    assert z.grad.flatten().tolist() == [3.0, 2.0, 2.0, 2.0, 1.0]


@compiled
def test_window_max_of_equals_gives_the_first_the_gradient():
    x = torch.zeros(1, 1, 1, 5, 1).requires_grad_()
    window_max(x, 3).sum().backward()
    assert x.grad.flatten().tolist() == [2.0, 1.0, 1.0, 1.0, 0.0]


@compiled
@settings(deadline=None, derandomize=True, max_examples=60)
@given(shapes, st.integers(1, 21), st.integers(1, 3), st.integers(1, 4), seeds)
def test_depthwise(shape, kernel, stride, dilation, seed):
    generator = torch.Generator().manual_seed(seed)
    P, C, B, T = shape
    assert_same(
        lambda x, w: depthwise_time(x, w, stride=stride, dilation=dilation),
        lambda x, w: depthwise_time_twin(x, w, stride=stride, dilation=dilation),
        [normal(generator, P, C, B, T, 1), normal(generator, P, C, kernel)],
    )


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize(("time", "kernel"), [(49, 9), (16, 3), (7, 11), (50, 4)])
def test_depthwise_is_the_grouped_convolution(time, kernel, stride, dilation):
    """Both paths against torch's own convolution with the padding of layers.same_padding."""
    from kws_dendrite.models.layers import same_padding

    generator = torch.Generator().manual_seed(time)
    x, weight = normal(generator, 2, 3, 4, time, 1), normal(generator, 2, 3, kernel)
    rows = x.permute(2, 0, 1, 3, 4).reshape(4, 6, time)
    rows = torch.nn.functional.pad(rows, same_padding(time, kernel, stride, dilation))
    y = torch.nn.functional.conv1d(rows, weight.view(6, 1, kernel), None, stride, 0, dilation, 6)
    expected = y.view(4, 2, 3, -1, 1).permute(1, 2, 0, 3, 4)
    assert_near(depthwise_time(x, weight, stride=stride, dilation=dilation), expected)
    assert_near(depthwise_time_twin(x, weight, stride=stride, dilation=dilation), expected)


@compiled
@settings(deadline=None, derandomize=True, max_examples=80)
@given(shapes, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0.0, 10.0]), seeds)
def test_norm(shape, training, relu, with_residual, offset, seed):
    P, C, B, T = shape
    generator = torch.Generator().manual_seed(seed)
    x = normal(generator, P, C, B + 3, T + 1, 1) + offset  # at least 8 values: fewer magnify rounding in any path
    weight, bias = normal(generator, P, C), normal(generator, P, C)
    residual = normal(generator, *x.shape) if with_residual else None
    start = normal(generator, P, C) + offset, torch.rand(P, C, generator=generator) + 0.5
    if relu:  # push outputs away from the ReLU's edge, where a rounding error would flip a whole gradient element
        plain = norm_act_twin(x, weight, bias, *(s.clone() for s in start), training=training, relu=False)
        x = torch.where(plain.abs() < 1e-2, x + 0.1, x)
        plain = norm_act_twin(x, weight, bias, *(s.clone() for s in start), training=training, relu=False)
        assume(plain.abs().min() > 1e-4)
    kept = []

    def run(function):
        def call(x, weight, bias, residual):
            kept.append([s.to(x.dtype, copy=True) for s in start])
            return function(x, weight, bias, *kept[-1], residual, training=training, relu=relu)

        return call

    assert_same(run(norm_act), run(norm_act_twin), [x, weight, bias, residual])
    for got, expected in zip(*kept, strict=True):
        assert_near(got.double(), expected)


@compiled
def test_norm_at_full_size_and_far_from_zero():
    """Rows of 6,272 values with a mean thousands of times their spread lose nothing to cancellation."""
    generator = torch.Generator().manual_seed(3)
    x = normal(generator, 2, 3, 128, 49, 1)
    x[0] += 3000.0
    statistics = torch.zeros(2, 3), torch.ones(2, 3)
    y = norm_act(x, torch.ones(2, 3), torch.zeros(2, 3), *statistics, training=True, relu=False)
    exact = x.double()
    exact = (exact - exact.mean((2, 3, 4), keepdim=True)) / (exact.var((2, 3, 4), False, keepdim=True) + 1e-5).sqrt()
    assert (y.double() - exact).abs().max() < 2e-4  # the float32 mean itself is good to 1.2e-4
    assert_near(y[1].double(), exact[1])


def test_norm_of_one_value_is_torchs_error():
    x, row = torch.ones(2, 3, 1, 1, 1), torch.ones(2, 3)
    with pytest.raises(ValueError, match="more than 1 value"):
        norm_act(x, row, row, row.clone(), row.clone(), training=True, relu=True)


@compiled
@settings(deadline=None, derandomize=True, max_examples=40)
@given(shapes, seeds)
def test_pool(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    assert_same(mean_max_pool, mean_max_pool_twin, [normal(generator, *shape, 1)])


@compiled
def test_pool_gives_a_tie_to_the_first():
    x = torch.tensor([0.0, 2.0, 1.0, 2.0]).view(1, 1, 1, 4, 1).requires_grad_()
    mean_max_pool(x).sum().backward()
    assert x.grad.flatten().tolist() == [0.125, 0.625, 0.125, 0.125]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.tuples(*(st.integers(1, 9) for _ in range(6))), st.booleans(), seeds)
def test_gather(shape, half, seed):
    A, N, T, F, P, B = shape
    generator = torch.Generator().manual_seed(seed)
    bank = normal(generator, A, N, T, F)
    bank = bank.half() if half else bank
    copy = torch.randint(A, (P, B), generator=generator)
    clip = torch.randint(N, (P, B), generator=generator)
    shift = torch.randint(-12, 13, (P, B), generator=generator)
    got, twin = gather_batch(bank, copy, clip, shift), gather_batch_twin(bank, copy, clip, shift)
    assert torch.equal(got, twin)
    assert got.shape == (P, F, B, T, 1) and got.is_contiguous() and got.dtype == torch.float32
    t, b = T - 1, B - 1
    frame = min(max(t - int(shift[0, b]), 0), T - 1)
    assert got[0, 0, b, t, 0] == bank[copy[0, b], clip[0, b], frame, 0].float()


def test_gather_takes_every_half():
    bank = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.float16).view(1, 1, 256, 256)
    zero = torch.zeros(1, 1, dtype=torch.int64)
    got, twin = gather_batch(bank, zero, zero, zero), gather_batch_twin(bank, zero, zero, zero)
    assert torch.equal(got.isnan(), twin.isnan())
    assert torch.equal(got[~got.isnan()], twin[~twin.isnan()])


def test_gather_refuses_a_clip_outside_the_bank():
    zero = torch.zeros(1, 1, dtype=torch.int64)
    with pytest.raises(IndexError):
        gather_batch(torch.zeros(2, 3, 4, 5), zero, zero + 3, zero)


def test_nan_and_infinity_come_through():
    """A net that diverges must look it: no kernel may turn a NaN into a number."""
    nan, row = float("nan"), torch.ones(1, 1)
    x = torch.ones(1, 1, 2, 40, 1)
    x[0, 0, 0, 20] = nan
    running = torch.zeros(1, 1), torch.ones(1, 1)
    assert norm_act(x, row, row, *running, training=False, relu=True)[0, 0, 0, 20].isnan()
    assert norm_act(x, row, row, *running, training=True, relu=True).isnan().all()
    assert running[0].isnan().all()
    assert mean_max_pool(x).isnan().tolist() == [[[True, False]]]
    assert depthwise_time(x, torch.ones(1, 1, 3))[0, 0, 0, 19:22].isnan().all()
    x[0, 0, 0, 20] = float("inf")
    assert mean_max_pool(x)[0, 0, 0] == float("inf")


@compiled
def test_several_threads_give_the_same_bytes(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x, weight, row = normal(generator, 2, 3, 8, 49, 1), normal(generator, 2, 3, 9), torch.ones(2, 3)

    def run():
        leaf = x.clone().requires_grad_()
        y = norm_act(depthwise_time(leaf, weight), row, row, row.clone(), row.clone(), leaf, training=True, relu=True)
        mean_max_pool(y).square().sum().backward()
        return leaf.grad

    before, threads = run(), torch.get_num_threads()
    monkeypatch.setattr(functions, "FLOATS_A_THREAD", 100)
    try:
        torch.set_num_threads(4)
        after = run()
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(before, after)


@compiled
def test_only_the_gradients_asked_for():
    x, weight = torch.randn(1, 2, 3, 20, 1), torch.randn(1, 2, 3)
    leaf = weight.clone().requires_grad_()
    depthwise_time(x, leaf).sum().backward()
    frozen = x.clone().requires_grad_()
    depthwise_time(frozen, weight).sum().backward()
    expected = x.clone().requires_grad_(), weight.clone().requires_grad_()
    depthwise_time_twin(*expected).sum().backward()
    assert_near(frozen.grad, expected[0].grad)
    assert_near(leaf.grad, expected[1].grad)


def test_transposed_inputs_and_other_types_work():
    x = torch.randn(1, 2, 40, 5, 1).transpose(2, 3)  # (1, 2, 5, 40, 1), not contiguous
    weight = torch.randn(1, 3, 2).transpose(1, 2)
    assert_near(depthwise_time(x, weight), depthwise_time_twin(x, weight))
    assert_near(mean_max_pool(x), mean_max_pool_twin(x))
    assert mean_max_pool(x.double()).dtype == torch.float64
    assert depthwise_time(x.double(), weight.double()).dtype == torch.float64


RUN = """
import torch
from kws_dendrite.models.kernels import functions, library
assert library.load() is None
x = torch.randn(1, 2, 3, 20, 1, requires_grad=True)
row = torch.ones(1, 2)
y = functions.depthwise_time(x, torch.randn(1, 2, 3), dilation=2)
y = functions.norm_act(y, row, row, row.clone(), row.clone(), x, training=True, relu=True)
functions.mean_max_pool(y).sum().backward()
assert x.grad.isfinite().all()
"""


@pytest.mark.parametrize("case", ["switched off", "no compiler", "compiler fails", "folder unwritable"])
def test_without_a_library(tmp_path, case):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    if case == "switched off":
        environment[library.SWITCH] = "0"
    elif case == "no compiler":
        environment["PATH"] = str(tmp_path / "nothing")
        environment.pop("CC", None)
    elif case == "compiler fails":
        fake = tmp_path / "fake-cc"
        fake.write_text('#!/bin/sh\n[ "$1" = --version ]\n')
        fake.chmod(0o755)
        environment["CC"] = str(fake)
    else:
        (tmp_path / "kws_dendrite").write_text("a file where the folder should be")
    done = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.rglob("*.so"))


@compiled
def test_build_is_kept_and_found_again(tmp_path):
    path = library.build(tmp_path / "cache")
    made = path.stat().st_mtime_ns
    assert library.build(tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == made
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_that_others_can_write_is_refused(tmp_path):
    if not hasattr(os, "getuid"):
        pytest.skip("no owners here")
    tmp_path.chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
    with pytest.raises(RuntimeError):
        library.build(tmp_path)


def test_a_library_that_will_not_load_is_no_library(tmp_path, monkeypatch):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(library, "build", lambda folder: broken)
    library.load.cache_clear()
    try:
        assert library.load() is None
        assert functions.mean_max_pool(torch.ones(1, 1, 1, 3, 1)).item() == 1.0
    finally:
        library.load.cache_clear()
