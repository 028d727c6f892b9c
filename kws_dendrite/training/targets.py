"""What a batch is trained towards, and the loss: labels, labels of mixed clips, a teacher's logits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kws_dendrite.models.kernels import loss as kernel


@dataclass(frozen=True)
class Targets:
    """Attributes:
    labels: int64 (P, B).
    others: int64 (P, B), the labels of the clips mixed in; None where none are.
    share: float (P, B), how much of the first clip is in the mixture.
    teacher: float (P, B, K), the teacher's probabilities, mixed alike; None without one.
    """

    labels: Tensor
    others: Tensor | None = None
    share: Tensor | None = None
    teacher: Tensor | None = None


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float | Tensor = 0.0) -> Tensor:
    """Loss of every clip of every member: (P, B, K), (P, B) -> (P, B). Smoothing is one number, or (P,)."""
    if not isinstance(label_smoothing, Tensor):
        label_smoothing = torch.full(logits.shape[:1], label_smoothing, device=logits.device)
    return kernel.cross_entropy(logits, labels, label_smoothing)


def soft_loss(
    logits: Tensor,
    targets: Targets,
    *,
    label_smoothing: float = 0.0,
    distillation: float = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """Loss of every clip: (P, B, K) -> (P, B).

    (1 - d) H(labels, net) + d T^2 H(teacher, net at temperature T), Hinton, Vinyals and Dean 2015, section 2; H of a
    mixture is the mixture of H (mixup: Zhang et al. 2018, equation 2).
    """
    losses = cross_entropy(logits, targets.labels, label_smoothing)
    if targets.others is not None:
        other = cross_entropy(logits, targets.others, label_smoothing)
        losses = targets.share * losses + (1 - targets.share) * other
    if not distillation:
        return losses
    taught = -(targets.teacher * torch.log_softmax(logits / temperature, -1)).sum(-1)
    return (1 - distillation) * losses + distillation * temperature**2 * taught
