"""What a dendrite computes, kind by kind: its formula, its structure, how it is drawn, and which layers can take it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_nets import LAYERS, B, C, F, P, T, calibrated, dense, randn, same, seeded, state

from kws_dendrite.dendrites import Dendritic, Spec
from kws_dendrite.dendrites.branches import (
    PooledBranch,
    PooledDense,
    available,
    calibrate,
    draw,
    empty_branch,
    neurons,
    own_parameters,
    reads_everything,
    rows,
    separate_neurons,
)
from kws_dendrite.dendrites.layer import keeps_channels
from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import (
    BatchNorm,
    Conv2d,
    ConvBn,
    Dense,
    DepthwiseTime,
    GlobalPool,
    Pointwise,
    SeparableBn,
)

every_layer = pytest.mark.parametrize("layer", LAYERS)
SPECS = {
    "copy": Spec("copy"),
    "lean": Spec("lean"),
    "sparse": Spec("sparse", fan_in=2),
    "temporal": Spec("temporal", taps=3, dilation=2),
    "plateau": Spec("plateau", taps=3),
    "echo": Spec("echo", dilation=3),
    "lowrank": Spec("lowrank", units=2),
    "pool": Spec("pool"),
}
TAKES = {
    "dense": {"copy", "lean", "sparse", "lowrank"},
    "conv_bn": {"copy", "lean", "sparse", "temporal", "plateau", "lowrank"},
    "separable_bn": {"copy", "lean", "sparse", "temporal", "plateau", "echo", "lowrank"},
    "conv2d": {"copy", "lean", "temporal", "plateau", "lowrank"},
}
TAKEN = [(layer, kind) for layer in LAYERS for kind in SPECS if kind in TAKES[layer]]
COPY = Spec()


def pooled():
    return PooledDense(GlobalPool("mean_max"), Dense(P, F, C, seeded(1)))


def depthwise():
    return ConvBn(DepthwiseTime(P, C, 3, seeded(1)), BatchNorm(P, C))


def sources(base, x):
    with torch.no_grad():
        return Dendritic(base).sources(x)


# -- which layers take which ------------------------------------------------------------------------------------------


@every_layer
@pytest.mark.parametrize("kind", SPECS)
def test_a_layer_takes_a_kind_or_says_why_not(layer, kind):
    base, spec = LAYERS[layer][0](), SPECS[kind]
    if kind in TAKES[layer]:
        assert available(base, spec) is None
        branch = empty_branch(base, spec)
        x = randn(*LAYERS[layer][1])
        if kind != "plateau":
            draw(branch, base, sources(base, x).of(spec, keeps_channels(base)), [seeded(p) for p in range(P)])
        u = branch(sources(base, x).of(spec, keeps_channels(base)))
        z = base(x)
        assert u.shape == (P, spec.units or C, *z.shape[2:])
        return
    with pytest.raises(ConfigError, match=rf"a dendrite of kind '{kind}' cannot serve this {type(base).__name__}: "):
        empty_branch(base, spec)


def test_before_the_pool_there_is_one_kind_and_it_is_only_there():
    assert available(pooled(), SPECS["pool"]) is None
    for kind in set(SPECS) - {"pool"}:
        assert "not for a pool and its head" in available(pooled(), SPECS[kind])


def test_a_depthwise_layers_neurons_share_no_units():
    for base in (depthwise(), Conv2d(P, C, C, (3, 1), seeded(), groups=C)):
        assert "mixes no channels" in available(base, SPECS["lowrank"])
        assert not reads_everything(empty_branch(base, COPY))
    assert reads_everything(empty_branch(dense(), COPY))


def test_an_echo_needs_weights_whose_uses_share_a_sign():
    separable: SeparableBn = LAYERS["separable_bn"][0]()
    separable.norm.positive = False
    assert "share a sign" in available(separable, SPECS["echo"])


# -- what they compute ------------------------------------------------------------------------------------------------


def test_sparse_reads_the_inputs_that_matter_most_to_each_neuron():
    """Of |weight| times root mean square, the two largest; the weights of all others are 0."""
    base, x = dense(inputs=6), randn(P, 6, 40) * torch.tensor([1.0, 3.0, 0.1, 1.0, 2.0, 1.0]).view(1, 6, 1)
    branch = calibrated(base, SPECS["sparse"], x)
    for p, c in np.ndindex(P, C):
        matter = base.weight[p, c].detach().abs() * x[p].square().mean(1).sqrt()
        strongest = set(matter.topk(2).indices.tolist())
        assert set(branch.weight[p, c].nonzero().flatten().tolist()) == strongest
    branch(x).sum().backward()
    assert branch.values.grad.shape == (P, C, 2)


@pytest.mark.parametrize("layer", ["dense", "conv_bn", "separable_bn"])
def test_sparse_is_its_dense_weight(layer):
    make, shape = LAYERS[layer]
    base, x = make(), randn(*shape, seed=2)
    branch = calibrated(base, SPECS["sparse"], x)
    inner = branch.conv if isinstance(branch, ConvBn) else branch
    dense_weight = Dense(P, inner.weight.shape[2], C, seeded()) if layer == "dense" else Pointwise(P, F, C, seeded())
    dense_weight.weight.data = inner.weight.detach()
    if layer == "dense":
        dense_weight.bias.data = inner.bias.detach()
    drive = sources(base, x).drive
    torch.testing.assert_close(inner(drive), dense_weight(drive))


@pytest.mark.parametrize("width", [1, 4])
def test_temporal_looks_back_and_ahead_on_its_own_channel(width):
    """u_c(t) = sum_k w_ck x_c(t + (k - 1) d) with zeros outside, before BatchNorm; every column of a map by itself."""
    branch = empty_branch(Conv2d(P, 1, C, (3, 3), seeded()), SPECS["temporal"]).eval()
    x = randn(P, C, B, T, width, seed=3)
    w, d = branch.depthwise.weight.detach(), 2
    padded = torch.nn.functional.pad(x, (0, 0, d, d))
    expected = sum(w[:, :, k].view(P, C, 1, 1, 1) * padded[:, :, :, k * d : k * d + T] for k in range(3))
    torch.testing.assert_close(branch(x), expected / np.sqrt(1 + 1e-5))


@pytest.mark.parametrize(("stride", "own"), [(1, True), (2, False)])
def test_temporal_reads_the_layers_input_where_frames_and_channels_are_kept(stride, own):
    base = SeparableBn(
        DepthwiseTime(P, C, 3, seeded(1), stride=stride), Pointwise(P, C, C, seeded(2)), BatchNorm(P, C), dilation=1
    )
    assert keeps_channels(base) is own
    layer, x = Dendritic(base.eval()), randn(P, C, B, T, 1)
    layer.add(calibrated(base, SPECS["temporal"], x), torch.zeros(P, C, 0), SPECS["temporal"])
    assert layer(x).shape == base(x).shape


@pytest.mark.parametrize("taps", [1, 3, 5, 7, 9, 31])
def test_a_plateau_is_the_largest_near_by(taps):
    x = randn(P, C, B, T, 2, seed=3)
    found = empty_branch(LAYERS["conv_bn"][0](), Spec("plateau", taps=taps))(x)
    for t in range(T):
        window = x[:, :, :, max(0, t - taps // 2) : t + taps // 2 + 1]
        assert torch.equal(found[:, :, :, t], window.amax(3))


def test_an_echo_is_the_layer_at_another_dilation():
    base: SeparableBn = LAYERS["separable_bn"][0]()
    echo = empty_branch(base, SPECS["echo"]).eval()
    x = randn(*LAYERS["separable_bn"][1])
    expected = base.pointwise(base.depthwise(x, 3)) / np.sqrt(1 + 1e-5)
    torch.testing.assert_close(echo(x), expected)
    assert echo.depthwise is base.depthwise and echo.pointwise is base.pointwise
    assert {id(p) for p in own_parameters(echo, base)} == {id(p) for p in echo.norm.parameters()}


@pytest.mark.parametrize("pool", ["mean", "max", "mean_max"])
def test_before_the_pool_the_nonlinearity_comes_first(pool):
    base = PooledDense(GlobalPool(pool), Dense(P, F, C, seeded(1)))
    layer = Dendritic(base)
    branch = calibrated(base, SPECS["pool"], randn(P, F, B, T, 1, seed=2))
    assert isinstance(branch, PooledBranch)
    layer.add(branch, torch.zeros(P, C, 0), SPECS["pool"])
    torch.nn.init.constant_(layer.t[0], 0.5)
    x = randn(P, F, B, T, 1, seed=4)
    a = torch.relu(torch.einsum("pcf,pfbt->pcbt", branch.map.weight, x[..., 0]) + branch.map.bias[:, :, None, None])
    mean, top = a.mean(3), a.amax(3)
    summed = {"mean": mean, "max": top, "mean_max": (mean + top) / 2}[pool]
    torch.testing.assert_close(layer(x), base(x) + 0.5 * summed)


def test_low_rank_units_are_rows_of_the_layers_map():
    base = LAYERS["separable_bn"][0]()
    units = empty_branch(base, replace(SPECS["lowrank"], units=7))  # more than there are neurons
    assert neurons(units) == (P, 7)
    drive = sources(base, randn(*LAYERS["separable_bn"][1])).drive
    assert units(drive).shape == (P, 7, B, T, 1)


@pytest.mark.parametrize("layer", ["dense", "conv_bn", "conv2d"])
def test_rows_are_the_same_neurons(layer):
    make, shape = LAYERS[layer]
    base, x = make(), randn(*shape, seed=2)
    branch = calibrated(base, COPY, x)
    index = torch.tensor([[2, 0], [1, 1]])
    few = rows(branch, index)
    whole, part = branch(x), few(x)
    for p, m in np.ndindex(P, 2):
        torch.testing.assert_close(part[p, m], whole[p, index[p, m]])
    with torch.no_grad():
        next(few.parameters()).zero_()
    assert next(branch.parameters()).any()


def test_neurons_of_a_separable_copy_share_its_depthwise_half():
    base = LAYERS["separable_bn"][0]()
    assert not separate_neurons(empty_branch(base, COPY))
    assert separate_neurons(empty_branch(base, SPECS["lean"]))


# -- how they are drawn -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "kind"), [pair for pair in TAKEN if pair[1] not in ("plateau", "echo")])
def test_what_is_drawn_is_calibrated(layer, kind):
    make, shape = LAYERS[layer]
    base, x = make(), 5 * randn(*shape[:2], 40, *shape[3:], seed=8) + 3
    u = calibrated(base, SPECS[kind], x)(sources(base, x).of(SPECS[kind], keeps_channels(base))).detach().flatten(2)
    units = SPECS[kind].units or C
    torch.testing.assert_close(u.mean(-1), torch.zeros(P, units), atol=1e-4, rtol=0)
    torch.testing.assert_close(u.std(-1), torch.ones(P, units), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("layer", "kind"), TAKEN)
def test_drawing_leaves_the_base_alone(layer, kind):
    make, shape = LAYERS[layer]
    base = make().requires_grad_(False).eval()  # as `draw_pools` has it
    before, training = state(base), base.training
    branch = calibrated(base, SPECS[kind], randn(*shape))
    assert same(state(base), before)
    assert base.training is training
    own = own_parameters(branch, base)
    assert all(p.requires_grad for p in own)
    if kind != "echo":
        shared = {p.data_ptr() for p in base.parameters()} & {p.data_ptr() for p in branch.parameters()}
        assert not shared


@every_layer
def test_a_draw_depends_on_its_generator_alone(layer):
    make, shape = LAYERS[layer]
    once, again, other = (state(calibrated(make(), COPY, randn(*shape), seed)) for seed in (1, 1, 2))
    assert same(once, again)
    assert not same(once, other)


def test_calibration_keeps_the_momentum():
    layer: ConvBn = LAYERS["conv_bn"][0]()
    calibrate(layer, randn(*LAYERS["conv_bn"][1]))
    assert layer.norm.momentum == 0.1
    assert not layer.training


def test_calibrating_a_dead_neuron_stays_finite():
    layer = dense()
    calibrate(layer, torch.zeros(P, 4, B))
    assert torch.isfinite(layer.weight).all()
    assert torch.isfinite(layer(randn(P, 4, B))).all()
