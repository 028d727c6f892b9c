"""What a candidate maximises, and its gradient, against numpy by hand."""

import numpy as np
import pytest
import torch

from kws_dendrite.dendrites.objective import SMOOTHING, SmoothedMoments, candidate_loss, correlation, moments

P, C, INPUTS, N = 2, 3, 4, 11  # members, neurons, inputs, samples


@pytest.fixture
def case():
    """Weights (P, C, INPUTS), biases (P, C), inputs (P, INPUTS, N), errors (P, C, N), all float64."""
    random = np.random.default_rng(0)
    return tuple(random.normal(size=shape) for shape in ((P, C, INPUTS), (P, C), (P, INPUTS, N), (P, C, N)))


def by_hand(w, b, x, delta):
    """a = tanh(u), the covariance S and dS/dw, written out neuron by neuron, sample by sample."""
    a, S, dS = np.zeros((P, C, N)), np.zeros((P, C)), np.zeros((P, C, INPUTS))
    for p in range(P):
        for c in range(C):
            u = np.array([w[p, c] @ x[p, :, n] + b[p, c] for n in range(N)])
            a[p, c] = np.tanh(u)
            for n in range(N):
                away = delta[p, c, n] - delta[p, c].mean()
                S[p, c] += (a[p, c, n] - a[p, c].mean()) * away / N
                dS[p, c] += away * (1 - np.tanh(u[n]) ** 2) * x[p, :, n] / N
    return a, S, dS


def loss_of(w, b, x, delta, sign, objective):
    """The package's value for a dense tanh candidate."""
    a = torch.tanh(torch.einsum("pci,pin->pcn", w, torch.tensor(x)) + torch.tensor(b)[..., None])
    return candidate_loss(a, torch.tensor(delta), torch.tensor(sign), objective)


def test_moments_are_numpys(case):
    a, delta = case[3] ** 2, case[3]
    covariance, variance_a, variance_delta = moments(torch.tensor(a), torch.tensor(delta))
    for p in range(P):
        for c in range(C):
            expected = np.cov(a[p, c], delta[p, c], bias=True)
            found = [[variance_a[p, c], covariance[p, c]], [covariance[p, c], variance_delta[p, c]]]
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_clips_and_positions_are_samples_alike(case):
    a, delta = torch.tensor(case[3]), torch.tensor(case[3]).sin()
    flat = moments(a[..., :10], delta[..., :10])
    mapped = moments(a[..., :10].view(P, C, 5, 2, 1), delta[..., :10].view(P, C, 5, 2, 1))
    assert all(torch.equal(one, other) for one, other in zip(flat, mapped, strict=True))


def test_covariance_and_its_gradient_are_the_papers(case):
    w, b, x, delta = case
    _, S, dS = by_hand(*case)
    weight = torch.tensor(w, requires_grad=True)
    value, found = loss_of(weight, b, x, delta, np.sign(S), "covariance")
    value.backward()
    np.testing.assert_allclose(value.item(), -np.abs(S).sum(), rtol=1e-12)
    np.testing.assert_allclose(found[0].detach(), S, rtol=1e-10)
    np.testing.assert_allclose(-weight.grad, np.sign(S)[..., None] * dS, atol=1e-13)


def test_correlation_is_numpys(case):
    a, S, _ = by_hand(*case)
    expected = [[np.corrcoef(a[p, c], case[3][p, c])[0, 1] for c in range(C)] for p in range(P)]
    found = correlation(*moments(torch.tensor(a), torch.tensor(case[3])))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    value, _ = candidate_loss(torch.tensor(a), torch.tensor(case[3]), torch.tensor(np.sign(S)), "correlation")
    np.testing.assert_allclose(value, -np.abs(expected).sum(), rtol=1e-10)


@pytest.mark.parametrize("objective", ["covariance", "correlation"])
def test_gradient_is_the_finite_difference(case, objective):
    w, b, x, delta = case
    sign = np.sign(by_hand(*case)[1])
    weight = torch.tensor(w, requires_grad=True)
    loss_of(weight, b, x, delta, sign, objective)[0].backward()
    step = 1e-6
    for place in np.ndindex(w.shape):
        up, down = w.copy(), w.copy()
        up[place] += step
        down[place] -= step
        high, low = (loss_of(torch.tensor(v), b, x, delta, sign, objective)[0].item() for v in (up, down))
        assert weight.grad[place].item() == pytest.approx((high - low) / (2 * step), abs=1e-8)


def test_sign_turns_the_gradient(case):
    w, b, x, delta = case
    grads = []
    for sign in (1.0, -1.0, 0.0):
        weight = torch.tensor(w, requires_grad=True)
        loss_of(weight, b, x, delta, np.full((P, C), sign), "correlation")[0].backward()
        grads.append(weight.grad)
    assert torch.equal(grads[0], -grads[1])
    assert not grads[2].any()


def test_correlation_ignores_the_scale_of_both(case):
    a, delta = torch.tensor(case[3]).tanh(), torch.tensor(case[3]).cos()
    once, scaled = (correlation(*moments(s * a + 3, r * delta - 1)) for s, r in ((1, 1), (100, 0.01)))
    torch.testing.assert_close(once, scaled)


@pytest.mark.parametrize("objective", ["covariance", "correlation"])
@pytest.mark.parametrize("constant", ["candidate", "error", "both"])
def test_no_variance_is_no_score_and_no_nan(constant, objective):
    given = {"candidate": torch.linspace(-1, 1, N), "error": torch.linspace(2, -1, N).square()}
    for name in given:
        if constant in (name, "both"):
            given[name] = torch.full((N,), 0.25)
    a = given["candidate"].expand(P, C, N).clone().requires_grad_(True)
    value, values = candidate_loss(a, given["error"].expand(P, C, N), torch.ones(P, C), objective)
    value.backward()
    smoothed = SmoothedMoments()
    smoothed.update(values)
    assert value.item() == 0
    assert torch.isfinite(a.grad).all()
    assert torch.equal(smoothed.scores(objective), torch.zeros(P, C))


def test_smoothed_moments_by_hand():
    batches = [tuple(torch.full((P, C), float(value * scale)) for scale in (1, 2, 3)) for value in (1, 5, -2)]
    smoothed = SmoothedMoments()
    for values in batches:
        smoothed.update(values)
    shares = np.array([SMOOTHING**2, SMOOTHING, 1])
    expected = (shares * [1, 5, -2]).sum() / shares.sum()  # bias-corrected: the weights add to 1
    for found, scale in zip(smoothed.read(), (1, 2, 3), strict=True):
        np.testing.assert_allclose(found, np.full((P, C), scale * expected), rtol=1e-6)


def test_smoothed_moments_of_one_batch_are_the_batchs(case):
    values = moments(torch.tensor(case[3]).tanh(), torch.tensor(case[3]))
    smoothed = SmoothedMoments()
    smoothed.update(values)
    for found, expected in zip(smoothed.read(), values, strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(smoothed.scores("covariance"), values[0].abs())
    torch.testing.assert_close(smoothed.scores("correlation"), correlation(*values).abs())
