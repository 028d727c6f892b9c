"""Nets and layers of a few neurons for the tests of dendrites."""

import torch
from torch import nn

from kws_dendrite.models import SeparableConfig, build_model
from kws_dendrite.models.layers import (
    BatchNorm,
    Conv2d,
    ConvBn,
    Dense,
    DepthwiseTime,
    Logits,
    Pointwise,
    SeparableBn,
)

P, C, B, T, F, K = 2, 3, 5, 7, 4, 3  # members, channels, clips, frames, coefficients, classes


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def dense(inputs=4, members=P, seed=1):
    return Dense(members, inputs, C, seeded(seed))


def conv_bn():
    return ConvBn(Pointwise(P, F, C, seeded(1)), BatchNorm(P, C))


def separable_bn():
    return SeparableBn(
        DepthwiseTime(P, F, 3, seeded(1)), Pointwise(P, F, C, seeded(2)), BatchNorm(P, C, positive=True), dilation=2
    )


def conv2d():
    return Conv2d(P, 1, C, (3, 3), seeded(1), bias=True)


LAYERS = {  # a layer and the shape of what it takes
    "dense": (dense, (P, 4, B)),
    "conv_bn": (conv_bn, (P, F, B, T, 1)),
    "separable_bn": (separable_bn, (P, F, B, T, 1)),
    "conv2d": (conv2d, (P, 1, B, T, F)),
}


class Linear(nn.Module):
    """One dense layer over all of a clip's features: (B, T, F) or (P, B, T, F) -> (P, B, K)."""

    def __init__(self, inputs, classes, members=P):
        super().__init__()
        self.members = members
        self.head = Dense(members, inputs, classes, seeded(3))
        self.logits = Logits()

    def forward(self, x):
        x = x if x.dim() == 4 else x.expand(self.members, *x.shape)
        return self.logits(self.head(x.flatten(2).transpose(1, 2)))


def separable(members=P, seed=0):
    """Two blocks that share their weights, three channels."""
    return build_model(SeparableConfig(T, F, K, channels=C, kernel=3), members, seed)


def batch(clips=B, seed=5):
    return randn(P, clips, T, F, seed=seed), torch.randint(K, (P, clips), generator=seeded(seed + 1))
