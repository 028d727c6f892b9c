"""Branches of plain layers: the layer's own map, candidates as one tensor, calibrated draws."""

import pytest
import torch
from torch import nn

from kws_dendrite.dendrites import Spec
from kws_dendrite.dendrites.branches import available, draw, empty_branch, neurons
from kws_dendrite.dendrites.pool import _widened
from kws_dendrite.dendrites.torch_layers import folded, is_plain, layout

BASES = {
    "linear": (lambda: nn.Linear(5, 4), (7, 5)),
    "tokens": (lambda: nn.Linear(5, 4, bias=False), (7, 3, 5)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding="valid", dilation=2, groups=2), (5, 4, 11)),
    "conv2d": (lambda: nn.Conv2d(2, 6, (3, 1), padding=(2, 0), padding_mode="reflect"), (5, 2, 6, 4)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, padding="same"), (3, 2, 4, 3, 3)),
    "pointwise": (lambda: nn.Conv2d(4, 6, 1), (5, 4, 3, 2)),
    "conv_bn": (lambda: nn.Sequential(nn.Conv1d(4, 6, 3, bias=False), nn.BatchNorm1d(6)), (5, 4, 11)),
}
every_base = pytest.mark.parametrize("name", BASES)


def made(name):
    torch.manual_seed(0)
    make, shape = BASES[name]
    base = make()
    x = torch.randn(*shape)
    base.train()
    base(2 * x + 1)
    return base.eval(), x


def fill(branch, base):
    """The base's own weights into a branch."""
    values = {**dict(base.named_parameters()), **dict(base.named_buffers())}
    with torch.no_grad():
        own = {**dict(branch.named_parameters()), **dict(branch.named_buffers())}
        for name, value in own.items():
            if name in values:
                value.copy_(values[name][None])


@every_base
def test_a_copy_with_the_layers_weights_is_the_layer(name):
    base, x = made(name)
    assert is_plain(base)
    branch = empty_branch(base, Spec()).eval()
    fill(branch, base)
    where = layout(base)
    torch.testing.assert_close(where.outside(branch(where.inside(x))), base(x), atol=1e-6, rtol=1e-5)
    assert neurons(base) == (1, where.inside(base(x)).shape[1])


@every_base
def test_a_pool_is_its_candidates_side_by_side(name):
    base, x = made(name)
    K, where = 3, layout(base)
    inside = where.inside(x)
    pool = _widened(empty_branch(base, Spec()), K)
    generators = [torch.Generator().manual_seed(k) for k in range(K)]
    draw(pool, base, inside.expand(K, *inside.shape[1:]), generators)
    together = pool(inside.expand(K, *inside.shape[1:]))
    for k in range(K):
        one = empty_branch(base, Spec())
        draw(one, base, inside, [torch.Generator().manual_seed(k)])
        torch.testing.assert_close(one(inside)[0], together[k], atol=1e-5, rtol=1e-5)
    spread, mean = torch.std_mean(together.flatten(2), -1, correction=1)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(spread, torch.ones_like(spread), atol=2e-2, rtol=0)  # BatchNorm's is the biased one


def test_few_inputs_are_the_ones_that_matter():
    base, x = made("pointwise")
    with torch.no_grad():
        base.weight.copy_(torch.arange(24.0).view(6, 4, 1, 1) % 5)
    branch = empty_branch(base, Spec(kind="sparse", fan_in=2))
    draw(branch, base, layout(base).inside(x), [torch.Generator().manual_seed(0)])
    loud = x.transpose(0, 1).flatten(1).square().mean(1).sqrt()
    expected = (base.weight.flatten(1).abs() * loud).topk(2).indices.sort().values
    assert torch.equal(branch.index[0], expected)
    assert ((branch.weight != 0).sum(2) <= 2).all()
    assert branch.weight.shape == (1, 6, 4, 1, 1)


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv3d"])
def test_a_temporal_dendrite_is_a_depthwise_convolution_of_z(name):
    base, x = made(name)
    z = layout(base).inside(base(x))
    branch = empty_branch(base, Spec(kind="temporal", taps=3, dilation=2))
    draw(branch, base, z, [torch.Generator().manual_seed(0)])
    body, norm = branch
    C, w = z.shape[1], branch[0].weight[0]
    padded = torch.nn.functional.pad(z[0], (*(0, 0) * (z.dim() - 4), 2, 2))
    T = z.shape[3]
    expected = sum(w[:, k].view(C, 1, 1, *(1,) * (z.dim() - 4)) * padded[:, :, 2 * k : 2 * k + T] for k in range(3))
    torch.testing.assert_close(body(z)[0], expected, atol=1e-5, rtol=1e-5)
    assert norm(body(z)).shape == z.shape


def test_what_a_layer_cannot_take():
    assert "no axis of time" in available(nn.Linear(2, 2), Spec(kind="temporal"))
    assert "1 x 1" in available(nn.Conv2d(2, 2, 3), Spec(kind="sparse"))
    assert "share no units" in available(nn.Conv1d(2, 2, 3, groups=2), Spec(kind="lowrank"))
    assert "own nets" in available(nn.Linear(2, 2), Spec(kind="pool"))
    assert available(nn.Conv1d(2, 2, 1), Spec(kind="sparse")) is None


@every_base
def test_folded_weights_are_the_layer(name):
    base, x = made(name)
    weight, bias = folded(base)
    layer = base[0] if isinstance(base, nn.Sequential) else base
    plain = type(layer)(*([layer.in_features, layer.out_features] if isinstance(layer, nn.Linear) else
        [layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
         layer.groups, True, layer.padding_mode]))  # fmt: skip
    plain.weight, plain.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    torch.testing.assert_close(plain(x), base(x), atol=1e-6, rtol=1e-5)
