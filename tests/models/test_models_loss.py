"""Cross-entropy of a population: the kernel against torch's own in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from kws_dendrite.models.kernels import library
from kws_dendrite.models.kernels.loss import cross_entropy, cross_entropy_twin

compiled = pytest.mark.skipif(library.load() is None, reason="no compiled kernels here")
SMOOTHING = torch.tensor([0.0, 0.1, 0.9])


@pytest.mark.parametrize("function", [cross_entropy, cross_entropy_twin])
@pytest.mark.parametrize("K", [2, 3, 12])
def test_values_and_gradients_are_torchs(function, K):
    generator = torch.Generator().manual_seed(K)
    logits = (5 * torch.randn(3, 7, K, generator=generator)).requires_grad_()
    labels = torch.randint(K, (3, 7), generator=generator)
    weight = torch.randn(3, 7, generator=generator)
    losses = function(logits, labels, SMOOTHING)
    (losses * weight).sum().backward()
    truth = logits.detach().double().requires_grad_()
    each = [
        F.cross_entropy(truth[p], labels[p], reduction="none", label_smoothing=float(SMOOTHING[p])) for p in range(3)
    ]
    (torch.stack(each) * weight).sum().backward()
    torch.testing.assert_close(losses.detach().double(), torch.stack(each).detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits.grad.double(), truth.grad, rtol=1e-5, atol=1e-6)


@compiled
def test_large_and_transposed_logits():
    logits = torch.tensor([[[1e4, -1e4, 0.0]]]).transpose(1, 2)  # (1, 3, 1), then (1, 1, 3) as a view
    losses = cross_entropy(logits.transpose(1, 2), torch.tensor([[0]]), torch.zeros(1))
    assert losses.item() == 0.0


@compiled
def test_nan_and_infinity_come_through():
    labels = torch.zeros(1, 2, dtype=torch.int64)
    logits = torch.tensor([[[math.nan, 0.0], [0.0, math.inf]]])
    assert not cross_entropy(logits, labels, torch.zeros(1)).isfinite().any()


@compiled
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class(label):
    with pytest.raises(IndexError, match=r"0\.\.2"):
        cross_entropy(torch.zeros(1, 1, 3), torch.tensor([[label]]), torch.zeros(1))
