"""z + t * a: the kernel against its twin in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_dendrite.models.kernels import library
from kws_dendrite.models.kernels.join import add_weighted, add_weighted_twin


@pytest.mark.skipif(library.load() is None, reason="no compiled kernels here")
@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.tuples(*(st.integers(1, high) for high in (3, 4, 9, 20))), st.booleans())
def test_values_and_gradients(shape, frozen):
    generator = torch.Generator().manual_seed(sum(shape))
    values = [torch.randn(size, generator=generator) for size in (shape, shape[:2], shape)]
    g = torch.randn(shape, generator=generator)
    found = []
    for function, kind in ((add_weighted, torch.float32), (add_weighted_twin, torch.float64)):
        leaves = [
            value.to(kind).requires_grad_(i < 2 or not frozen) for i, value in enumerate(v.clone() for v in values)
        ]
        y = function(*leaves)
        y.backward(g.to(kind))
        found.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for ours, truth in zip(*found, strict=True):
        assert (ours is None) == (truth is None)
        if truth is not None:
            torch.testing.assert_close(ours.double(), truth, rtol=1e-5, atol=1e-5)
