"""Nets and layers of a few neurons for the tests of dendrites."""

import torch
import torch.nn.functional as F_
from torch import nn

from kws_dendrite.dendrites import Dendritic, attach, dendritic_layers, fresh_choices, insert
from kws_dendrite.dendrites.branches import draw, empty_branch
from kws_dendrite.dendrites.layer import keeps_channels
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


def calibrated(base, spec, x, seed=0):
    """A branch of `spec` for `base`, drawn and calibrated on what it reads when `base` reads `x`."""
    branch = empty_branch(base, spec)
    with torch.no_grad():
        read = Dendritic(base).sources(x).of(spec, keeps_channels(base))
    draw(branch, base, read, [seeded(seed + 1000 * p) for p in range(P)])
    return branch


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


def loss(logits, labels):
    """Cross-entropy (P, B)."""
    return F_.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)


def grow(model, config, seed=0, *, t=0.4):
    """`model` with one set of untrained dendrites more, every t of it set to `t` unless that is None."""
    attach(model, config)
    choices = fresh_choices(model, batch(20)[0], config, seed)
    insert(model, choices)
    for choice in choices:
        if t is not None:
            nn.init.constant_(dendritic_layers(model)[choice.layer].t[-1], t)
    return model


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
