"""Cross-entropy of a population, each member with its own smoothing: compiled kernel and PyTorch twin."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kws_dendrite.models.kernels.functions import _compiled
from kws_dendrite.models.kernels.library import load


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """Loss of every clip: (P, B, K), int64 (P, B) and (P,) -> (P, B).

    Raises:
        IndexError: a label that is none of the K classes.
    """
    if not _compiled(logits):
        return cross_entropy_twin(logits, labels, smoothing)
    return _CrossEntropy.apply(logits, labels, smoothing)


def cross_entropy_twin(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """The same in PyTorch."""
    surprise = -torch.log_softmax(logits, -1)  # (P, B, K)
    hit = surprise.gather(2, labels[..., None])[..., 0]
    return hit.lerp(surprise.mean(-1), smoothing.to(logits)[:, None])


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
        logits, labels, smoothing = logits.contiguous(), labels.contiguous(), smoothing.float().contiguous()
        losses, softmax = logits.new_empty(logits.shape[:2]), torch.empty_like(logits)
        pointers = (losses, softmax, logits, labels, smoothing)
        if load().loss_forward(*(tensor.data_ptr() for tensor in pointers), *logits.shape, 1):
            raise IndexError(f"labels should lie in 0..{logits.shape[2] - 1}; got {labels.min()}..{labels.max()}")
        ctx.save_for_backward(softmax, labels, smoothing)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        softmax, labels, smoothing = ctx.saved_tensors
        gradient, out = gradient.contiguous(), torch.empty_like(softmax)
        pointers = (out, softmax, labels, smoothing, gradient)
        load().loss_backward(*(tensor.data_ptr() for tensor in pointers), *softmax.shape, 1)
        return out, None, None
