"""The loss against mixed labels and a teacher."""

import numpy as np
import torch

from kws_dendrite.training.targets import Targets, cross_entropy, soft_loss

P, B, K = 2, 5, 4
RNG = torch.Generator().manual_seed(0)
LOGITS = torch.randn(P, B, K, generator=RNG)
LABELS = torch.randint(K, (P, B), generator=RNG)
OTHERS = torch.randint(K, (P, B), generator=RNG)
SHARE = torch.rand(P, B, generator=RNG)
TEACHER = torch.softmax(torch.randn(P, B, K, generator=RNG), -1)


def entropy(target, logits):
    z = logits.double().numpy()
    return -(np.asarray(target) * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1)


def smoothed(labels, smoothing):
    return np.eye(K)[labels.numpy()] * (1 - smoothing) + smoothing / K


def test_labels_alone_are_cross_entropy():
    assert torch.equal(soft_loss(LOGITS, Targets(LABELS), label_smoothing=0.1), cross_entropy(LOGITS, LABELS, 0.1))


def test_a_mixture_has_the_loss_of_its_mixed_label():
    share = SHARE.numpy()[..., None]
    target = share * smoothed(LABELS, 0.1) + (1 - share) * smoothed(OTHERS, 0.1)
    loss = soft_loss(LOGITS, Targets(LABELS, OTHERS, SHARE), label_smoothing=0.1)
    np.testing.assert_allclose(loss, entropy(target, LOGITS), rtol=1e-5)


def test_a_teacher_takes_its_share_at_its_temperature():
    targets = Targets(LABELS, teacher=TEACHER)
    loss = soft_loss(LOGITS, targets, label_smoothing=0.1, distillation=0.3, temperature=2.0)
    hard = entropy(smoothed(LABELS, 0.1), LOGITS)
    np.testing.assert_allclose(loss, 0.7 * hard + 0.3 * 4 * entropy(TEACHER, LOGITS / 2), rtol=1e-5)


def test_the_gradient_of_pure_distillation_vanishes_at_the_teacher():
    logits = TEACHER.log().requires_grad_()
    soft_loss(logits, Targets(LABELS, teacher=TEACHER), distillation=1.0).sum().backward()
    np.testing.assert_allclose(logits.grad, 0, atol=1e-6)
