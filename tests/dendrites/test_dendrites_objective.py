"""What a candidate maximises, and its gradient, against numpy by hand, from the formulas."""

import numpy as np
import pytest
import torch

from kws_dendrite.dendrites.objective import (
    LEAST_NEW,
    RIDGE,
    SMOOTHING,
    SmoothedMoments,
    moments,
    score,
    standard_score,
)

P, K, C, INPUTS, N, L = 2, 3, 4, 3, 9, 5  # members, candidates, neurons, inputs, clips, samples a clip
OBJECTIVES = ("covariance", "correlation", "partial", "gain")


@pytest.fixture
def case():
    """Weights (P, K, C, INPUTS), inputs (P, INPUTS, N, L), errors (P, C, N, L), others (P, C, 2, N, L); float64."""
    random = np.random.default_rng(0)
    shapes = ((P, K, C, INPUTS), (P, INPUTS, N, L), (P, C, N, L), (P, C, 2, N, L))
    return tuple(random.normal(size=shape) + 0.3 for shape in shapes)


def outputs(w, x):
    """tanh candidates: (P, K, C, N, L)."""
    w, x = torch.as_tensor(w), torch.as_tensor(x)
    return torch.tanh(torch.einsum("pkci,pinl->pkcnl", w, x))


def found(w, x, delta, others, objective):
    return score(moments(outputs(w, x), torch.tensor(delta), torch.tensor(others)), objective)


def by_hand(a, delta, others, objective):
    """One candidate, one neuron, written out: a, delta (N, L), others (R, N, L)."""
    flat_a, flat_delta = a.ravel() - a.mean(), delta.ravel() - delta.mean()
    S = (flat_a * flat_delta).mean()
    if objective == "covariance":
        return abs(S)
    if objective == "correlation":
        return abs(np.corrcoef(a.ravel(), delta.ravel())[0, 1])
    if objective == "gain":
        g = ((a - a.mean()) * delta).sum(1)  # a clip's gradient of the loss by t
        return 0.5 * g.mean() ** 2 / (g**2).mean()
    rest = others.reshape(len(others), -1).T
    design = np.column_stack([np.ones(len(rest)), rest])
    a_left, delta_left = (y.ravel() - design @ np.linalg.lstsq(design, y.ravel(), rcond=None)[0] for y in (a, delta))
    return abs(np.corrcoef(a_left, delta_left)[0, 1])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_scores_are_numpys(case, objective, monkeypatch):
    monkeypatch.setattr("kws_dendrite.dendrites.objective.RIDGE", 0.0)
    w, x, delta, others = case
    a, scores = outputs(w, x).numpy(), found(*case, objective)
    assert scores.shape == (P, K, C)
    for p, k, c in np.ndindex(P, K, C):
        expected = by_hand(a[p, k, c], delta[p, c], others[p, c], objective)
        assert scores[p, k, c].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_unit_that_reaches_every_neuron_is_scored_with_each(case, objective):
    """A = 1: the same scores as the same output given to every neuron (A = C)."""
    w, x, delta, others = case
    one = outputs(w, x)[:, :, :1]
    narrow, wide = (
        score(moments(a, torch.tensor(delta), torch.tensor(others)), objective)
        for a in (one, one.expand(-1, -1, C, -1, -1))
    )
    torch.testing.assert_close(narrow, wide)


def test_vectors_count_each_clip_as_one_sample(case):
    """A dense layer's outputs have no positions: (P, K, C, B) and (P, C, B)."""
    w, x, delta, others = case
    flat = moments(outputs(w, x)[..., 0], torch.tensor(delta[..., 0]), torch.tensor(others[..., 0]))
    mapped = moments(outputs(w, x)[..., :1], torch.tensor(delta[..., :1]), torch.tensor(others[..., :1]))
    assert flat.keys() == mapped.keys()
    for name, value in flat.items():
        torch.testing.assert_close(value, mapped[name])


def test_maps_of_two_axes_are_samples_alike(case):
    w, x, delta, others = case
    a = outputs(w, x)
    for name, value in moments(
        a[..., :4].unflatten(-1, (2, 2)),
        torch.tensor(delta[..., :4]).unflatten(-1, (2, 2)),
        torch.tensor(others[..., :4]).unflatten(-1, (2, 2)),
    ).items():
        flat = moments(a[..., :4], torch.tensor(delta[..., :4]), torch.tensor(others[..., :4]))[name]
        torch.testing.assert_close(value, flat)


def test_covariance_and_its_gradient_are_the_papers(case):
    """dS/dw = sign(S) mean_p (delta_p - mean delta) f'(u_p) x_p."""
    w, x, delta, _ = case
    weight = torch.tensor(w, requires_grad=True)
    score(moments(outputs(weight, x), torch.tensor(delta)), "covariance").sum().backward()
    for p, k, c in np.ndindex(P, K, C):
        u = np.einsum("i,inl->nl", w[p, k, c], x[p])
        away = delta[p, c] - delta[p, c].mean()
        S = ((np.tanh(u) - np.tanh(u).mean()) * away).mean()
        expected = np.sign(S) * (away * (1 - np.tanh(u) ** 2) * x[p]).mean((1, 2))
        np.testing.assert_allclose(weight.grad[p, k, c], expected, atol=1e-13)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradient_is_the_finite_difference(case, objective):
    w, x, delta, others = case
    weight = torch.tensor(w, requires_grad=True)
    found(weight, x, delta, others, objective).sum().backward()
    step = 1e-6
    for place in list(np.ndindex(w.shape))[::5]:
        up, down = w.copy(), w.copy()
        up[place] += step
        down[place] -= step
        high, low = (found(v, x, delta, others, objective).sum().item() for v in (up, down))
        assert weight.grad[place].item() == pytest.approx((high - low) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("objective", ["correlation", "partial", "gain"])
def test_scores_ignore_the_scale_of_candidate_and_error(case, objective):
    w, x, delta, others = case
    a = outputs(w, x)
    once, scaled = (
        score(moments(s * a + 3, torch.tensor(r * delta), torch.tensor(others)), objective)
        for s, r in ((1, 1), (100, 0.01))
    )
    torch.testing.assert_close(once, scaled)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_the_neuron_says_already_has_no_partial_correlation(case, dtype):
    """A linear copy of z, or of an earlier dendrite, or of both: the ridge leaves a thousandth, no score."""
    _, _, delta, others = (torch.tensor(value, dtype=dtype) for value in case)
    delta = delta + others[:, :, 0]  # a net that has not converged: z itself follows the error
    copies = torch.stack([3 * others[:, :, 0] - 1, others[:, :, 1], others[:, :, 0] - 2 * others[:, :, 1]], 1)
    m = moments(copies, delta, others)
    assert (score(m, "correlation")[:, 0] > 0.5).all()
    assert score(m, "partial").max() < 2 * RIDGE / np.sqrt(LEAST_NEW)


def test_partial_correlation_finds_what_is_new_beside_what_is_known(case):
    _, _, delta, others = (torch.tensor(value) for value in case)
    z = others[:, :, :1]
    fresh = delta - delta.mean((-2, -1), keepdim=True)
    loud = (5 * z[:, :, 0] + fresh)[:, None]  # hidden behind a copy of the neuron
    m = moments(loud, delta, z)
    assert (score(m, "correlation") < 0.3).all()
    assert (score(m, "partial") > 0.9).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("constant", ["candidate", "error", "both"])
def test_no_variance_is_no_score_and_no_nan(constant, objective):
    a = torch.linspace(-1, 1, N * L).view(N, L).expand(P, K, C, N, L)
    delta = torch.linspace(2, -1, N * L).square().view(N, L).expand(P, C, N, L)
    others = torch.linspace(0, 9, N * L).cos().view(N, L).expand(P, C, 1, N, L)
    if constant != "error":
        a = torch.full((P, K, C, N, L), 0.25)
    if constant != "candidate":
        delta = torch.zeros(P, C, N, L)
    a = a.clone().requires_grad_(True)
    value = score(moments(a, delta, others), objective)
    value.sum().backward()
    assert value.abs().max() < 1e-6
    assert torch.isfinite(a.grad).all()


def test_standard_score_is_the_mean_gradient_in_its_standard_errors(case):
    w, x, delta, _ = case
    a = outputs(w, x).numpy()
    scores = standard_score(moments(outputs(w, x), torch.tensor(delta)), N)
    for p, k, c in np.ndindex(P, K, C):
        g = ((a[p, k, c] - a[p, k, c].mean()) * delta[p, c]).sum(1)
        assert scores[p, k, c].item() == pytest.approx(abs(g.mean()) / (g.std() / np.sqrt(N)), rel=1e-9)


def test_significance_counts_clips_and_not_their_frames(case):
    """The same clip's samples said ten times over are no new evidence; ten times the clips are."""
    w, x, delta, _ = case
    a = outputs(w, x)
    once = standard_score(moments(a, torch.tensor(delta)), N)
    longer = standard_score(moments(a.repeat(1, 1, 1, 1, 10), torch.tensor(delta).repeat(1, 1, 1, 10)), N)
    torch.testing.assert_close(longer, once)
    more = standard_score(moments(a.repeat(1, 1, 1, 10, 1), torch.tensor(delta).repeat(1, 1, 10, 1)), 10 * N)
    torch.testing.assert_close(more, once * np.sqrt(10))


def test_noise_is_significant_at_the_nominal_rate():
    """Candidates that have nothing to do with the error, their frames alike within a clip: 5 % are beyond 1.96."""
    generator = torch.Generator().manual_seed(0)
    clips, many = 400, 2000
    a = torch.randn(1, many, 1, clips, 1, generator=generator).expand(-1, -1, -1, -1, 6)
    delta = torch.randn(1, 1, clips, 1, generator=generator).expand(-1, -1, -1, 6)
    z = standard_score(moments(a, delta), clips)
    assert (z > 1.96).float().mean().item() == pytest.approx(0.05, abs=0.015)
    assert (z > 3).float().mean().item() < 0.008


def test_gain_is_the_loss_that_a_newton_step_saves():
    """For a loss whose per-clip gradient by t has unit curvature the estimate is what t = -g1 / g2 saves to 10 %."""
    generator = torch.Generator().manual_seed(0)
    clips = 20_000
    u = torch.randn(clips, generator=generator, dtype=torch.float64)
    labels = torch.rand(clips, generator=generator, dtype=torch.float64) < torch.sigmoid(0.2 * u)
    logits = torch.zeros(clips, dtype=torch.float64)

    def mean_loss(z):
        return torch.nn.functional.binary_cross_entropy_with_logits(z, labels.double()).item()

    delta = torch.sigmoid(logits) - labels.double()
    m = moments(u[None, None, None], delta[None, None])
    t = -m["g1"] / m["g2"]
    saved = mean_loss(logits) - mean_loss(logits + t.item() * (u - u.mean()))
    assert score(m, "gain").item() == pytest.approx(saved, rel=0.1)


def test_smoothed_moments_by_hand():
    smoothed = SmoothedMoments()
    for value in (1.0, 5.0, -2.0):
        smoothed.update({"one": torch.full((P, C), value), "two": torch.full((P, K, C), 2 * value)})
    shares = np.array([SMOOTHING**2, SMOOTHING, 1])
    expected = (shares * [1, 5, -2]).sum() / shares.sum()  # bias-corrected: the weights add to 1
    np.testing.assert_allclose(smoothed.read()["one"], np.full((P, C), expected), rtol=1e-6)
    np.testing.assert_allclose(smoothed.read()["two"], np.full((P, K, C), 2 * expected), rtol=1e-6)


def test_moments_that_do_not_decay_are_the_mean():
    held = SmoothedMoments(decay=1.0)
    for value in (1.0, 5.0, -2.0, 6.0):
        held.update({"one": torch.full((P, C), value)})
    np.testing.assert_allclose(held.read()["one"], np.full((P, C), 2.5), rtol=1e-6)


def test_smoothed_moments_have_the_gradient_of_the_batch_at_hand(case):
    """The value comes from all batches, the gradient from one: d score / d w at the smoothed moments."""
    w, x, delta, _ = case
    weight = torch.tensor(w, requires_grad=True)
    here = moments(outputs(weight, x), torch.tensor(delta))
    smoothed = SmoothedMoments()
    smoothed.update(moments(outputs(-w, x), torch.tensor(delta)))  # the opposite sign stands in the average
    mixed = smoothed.with_gradient_of(here)
    for name, value in smoothed.read().items():
        torch.testing.assert_close(mixed[name].detach(), value)
    score(mixed, "covariance").sum().backward()
    own = torch.tensor(w, requires_grad=True)
    score(moments(outputs(own, x), torch.tensor(delta)), "covariance").sum().backward()
    torch.testing.assert_close(weight.grad, -own.grad)


def test_a_minibatchs_own_correlation_is_noise_that_smoothing_takes_away():
    generator = torch.Generator().manual_seed(0)
    smoothed, own = SmoothedMoments(), []
    for _ in range(300):
        a, delta = (torch.randn(1, 50, 1, 64, generator=generator) for _ in range(2))
        m = moments(a, delta[:, :1].view(1, 1, 64))
        own.append(score(m, "correlation").mean())
        smoothed.update(m)
    assert torch.stack(own).mean() > 0.09  # 0.8 / sqrt(64)
    assert score(smoothed.read(), "correlation").mean() < 0.015
