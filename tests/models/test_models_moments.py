"""Sums of candidates with their neurons' errors: the kernel beside its twin, values and gradients."""

import pytest
import torch

from kws_dendrite.models.kernels import moments
from kws_dendrite.models.kernels.library import load

INNER = ("", "relu", "hard_tanh")


def case(B, L, R, seed=0):
    """u (P, K, C, B, L), delta (P, C, B, L), others (P, C, R, B, L) of mean 0, gradients of all three sums; float64."""
    generator = torch.Generator().manual_seed(seed)
    P, K, C = 2, 3, 4

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    others = normal(P, C, R, B, L) if R else None
    if R:
        others = others - others.mean((-2, -1), keepdim=True)
    gradients = normal(P, K, C), normal(P, K, C, B), normal(P, K, C, R)
    return normal(P, K, C, B, L) + 0.4, normal(P, C, B, L) + 0.3, others, gradients


def run(function, u, delta, others, gradients, inner, dtype):
    u = u.to(dtype).detach().clone().requires_grad_(True)
    others = None if others is None else others.to(dtype)
    found = function(u, delta.to(dtype), others, inner)
    sum((value * gradient.to(dtype)).sum() for value, gradient in zip(found, gradients, strict=True)).backward()
    return [value.detach().double() for value in (*found, u.grad)]


@pytest.mark.skipif(load() is None, reason="no compiled kernels here")
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize(("B", "L", "R"), [(5, 1, 0), (5, 1, 2), (3, 7, 1), (4, 49, 0), (6, 637, 3)])
def test_the_kernel_gives_what_the_twin_gives_in_double(inner, B, L, R):
    u, delta, others, gradients = case(B, L, R)
    u = u.float().double()  # what lies on a bend lies there in both
    exact = run(moments.centred_sums_twin, u, delta, others, gradients, inner, torch.float64)
    for value, expected in zip(run(moments.centred_sums, u, delta, others, gradients, inner, torch.float32), exact,
                               strict=True):  # fmt: skip
        scale = expected.abs().max() if expected.numel() else 1.0
        assert value.shape == expected.shape
        assert torch.allclose(value / scale, expected / scale, atol=3e-6, rtol=0)


@pytest.mark.parametrize("inner", INNER)
def test_the_twins_gradient_is_the_finite_difference(inner):
    u, delta, others, _ = case(3, 2, 2)
    u = u[:1, :1, :2].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v: moments.centred_sums_twin(v, delta[:1, :2], others[:1, :2], inner), (u,))


@pytest.mark.parametrize("inner", INNER)
def test_what_is_far_from_zero_keeps_its_digits(inner):
    u, delta, _, _ = case(4, 49, 0)
    far = (u + 1000).float()
    exact = moments.centred_sums_twin(far.double(), delta, None, inner)
    for value, expected in zip(moments.centred_sums(far, delta.float(), None, inner), exact, strict=True):
        assert torch.allclose(value.double(), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("inner", INNER)
def test_not_a_number_comes_out_as_one(inner):
    u, delta, _, _ = case(4, 9, 0)
    u = u.float()
    u[1, 2, 3, 1, 4] = float("nan")
    square, cross, _ = moments.centred_sums(u, delta.float(), None, inner)
    assert square.isnan().nonzero().tolist() == [[1, 2, 3]]
    assert cross.isnan().any(-1).nonzero().tolist() == [[1, 2, 3]]


@pytest.mark.skipif(load() is None, reason="no compiled kernels here")
def test_the_number_of_threads_does_not_matter():
    u, delta, others, gradients = case(600, 49, 1)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(run(moments.centred_sums, u, delta, others, gradients, "relu", torch.float32))
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
