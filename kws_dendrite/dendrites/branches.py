"""What a dendrite computes before its nonlinearity, G: one module a kind, built after the layer that it serves.

Every branch of a population maps the members' inputs to (P, C, ...), or (P, m, ...) for a set of m units. Parameters
carry the member on their first axis and, but for the depthwise half of a separable copy, the neuron on their second.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites import torch_branches, torch_layers
from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.dendrites.layer import NEURON_AXES, Spec, per_neuron
from kws_dendrite.errors import ConfigError
from kws_dendrite.models.kernels.functions import window_max
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

CONVOLUTIONS = (ConvBn, SeparableBn, Conv2d)
_NO_DRAWS = torch.Generator()  # for weights that are set anew before their first use


class PooledDense(nn.Module):
    """A pool over time and the head behind it as one layer, so that a dendrite may stand before the pool."""

    def __init__(self, pool: GlobalPool, dense: Dense) -> None:
        super().__init__()
        self.pool, self.dense = pool, dense

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.pool(x))


class PooledBranch(nn.Module):
    """(P, Cin, B, H, W) -> (P, C, B, H, W); its dendrite is pooled behind the nonlinearity."""

    def __init__(self, members: int, inputs: int, outputs: int, pool: GlobalPool) -> None:
        super().__init__()
        self.map = Pointwise(members, inputs, outputs, _NO_DRAWS, bias=True)
        self.pool = GlobalPool(pool.kind)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x)


class TemporalBn(nn.Module):
    """A dilated look back and ahead on one's own channel: (P, C, B, T, W) -> the same."""

    def __init__(self, members: int, channels: int, taps: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseTime(members, channels, taps, _NO_DRAWS)
        self.norm = BatchNorm(members, channels)
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        return _over_time(x, lambda rows: self.norm(self.depthwise(rows, self.dilation)))


class Plateau(nn.Module):
    """The largest of `taps` frames about each one, "same": (P, C, B, T, W) -> the same. No weights of its own."""

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.taps = taps

    def forward(self, x: Tensor) -> Tensor:
        return _over_time(x, lambda rows: window_max(rows, self.taps))


def _over_time(x: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """An operation of the temporal nets, (P, C, B, T, 1) -> the same, on each frequency of (P, C, B, T, W)."""
    P, C, B, T, W = x.shape
    if W == 1:
        return operation(x)
    rows = x.transpose(3, 4).reshape(P, C, B * W, T, 1)
    return operation(rows).view(P, C, B, W, T).transpose(3, 4)


class FewInputs(nn.Module):
    """Weights (P, C, n) of the n inputs (P, C, n) that each neuron keeps; the others are 0 and stay it."""

    def keep(self, members: int, outputs: int, inputs: int, fan_in: int) -> None:
        self.inputs = inputs
        self.values = nn.Parameter(torch.zeros(members, outputs, fan_in))
        self.register_buffer("index", torch.arange(fan_in).expand(members, outputs, fan_in).clone())

    @property
    def weight(self) -> Tensor:
        """(P, C, Cin), dense."""
        P, C, _ = self.values.shape
        empty = torch.zeros(P, C, self.inputs, dtype=self.values.dtype, device=self.values.device)
        return empty.scatter(2, self.index, self.values)


class SparsePointwise(FewInputs, Pointwise):
    """A pointwise convolution of few inputs a neuron. Folds dense: TFLite Micro has no kernel that skips zeros."""

    def __init__(self, members: int, inputs: int, outputs: int, fan_in: int, stride: int) -> None:
        nn.Module.__init__(self)
        self.stride, self.bias = stride, None
        self.keep(members, outputs, inputs, fan_in)


class SparseDense(FewInputs, Dense):
    """A dense layer of few inputs a neuron; folds dense as well."""

    def __init__(self, members: int, inputs: int, outputs: int, fan_in: int) -> None:
        nn.Module.__init__(self)
        self.bias = nn.Parameter(torch.zeros(members, outputs))
        self.keep(members, outputs, inputs, fan_in)


def neurons(base: nn.Module) -> tuple[int, int]:
    """(P, C) of a population's layer: the leading axes of its last parameter, a bias or a weight (P, C, ...)."""
    if torch_layers.is_plain(base):
        return 1, torch_layers.outputs(base)
    P, C = list(base.parameters())[-1].shape[:2]
    return P, C


def available(base: nn.Module, spec: Spec) -> str | None:
    """Why `base` cannot take a dendrite of this kind; None where it can."""
    if torch_layers.is_plain(base):
        return torch_layers.available(base, spec)
    conv = base.conv if isinstance(base, ConvBn) else base
    if spec.kind == "pool":
        return None if isinstance(base, PooledDense) else "it is not a head behind a pool over time"
    if isinstance(base, PooledDense):
        return f"kind {spec.kind!r} is not for a pool and its head as one layer"
    if spec.kind in ("temporal", "plateau") and not isinstance(base, CONVOLUTIONS):
        return "it has no axis of time"
    if spec.kind == "echo" and not (isinstance(base, SeparableBn) and base.norm.positive):
        return "its weights do not serve several uses, whose scales share a sign"
    if spec.kind == "sparse" and not isinstance(conv, (Pointwise, Dense, SeparableBn)):
        return "sparse fan-in is for dense and 1 x 1 layers"
    if spec.kind == "lowrank" and (isinstance(conv, DepthwiseTime) or getattr(conv, "groups", 1) > 1):
        return "a depthwise layer mixes no channels, so its neurons share no units"
    return None


def empty_branch(base: nn.Module, spec: Spec) -> nn.Module:
    """A branch of the right structure; `draw` gives it weights.

    Raises:
        ConfigError: the layer cannot take this kind; says why.
    """
    why = available(base, spec)
    if why is not None:
        raise ConfigError(f"a dendrite of kind {spec.kind!r} cannot serve this {type(base).__name__}: {why}")
    assert spec.kind in KINDS
    if torch_layers.is_plain(base):
        return torch_branches.branch(base, spec).requires_grad_(True)
    branch = _BUILDERS[spec.kind](base, spec)
    if spec.units and spec.kind != "lowrank":  # of some of the neurons
        P, _ = neurons(base)
        branch = rows(branch, torch.arange(spec.units).expand(P, -1))
    return branch.requires_grad_(True)


def _last_map(base: nn.Module) -> nn.Module:
    """The layer's last linear map."""
    if isinstance(base, SeparableBn):
        return base.pointwise
    return base.conv if isinstance(base, ConvBn) else base


def _copy(base: nn.Module, _: Spec) -> nn.Module:
    return copy.deepcopy(base)


def _lean(base: nn.Module, _: Spec) -> nn.Module:
    if isinstance(base, SeparableBn):
        P, C = neurons(base)
        return ConvBn(copy.deepcopy(base.pointwise), BatchNorm(P, C))
    return copy.deepcopy(base)


def _sparse(base: nn.Module, spec: Spec) -> nn.Module:
    P, C = neurons(base)
    if isinstance(base, Dense):
        inputs = base.weight.shape[2]
        branch: nn.Module = SparseDense(P, inputs, C, min(spec.fan_in, inputs))
    else:
        whole = _last_map(base)
        inputs = whole.weight.shape[2]
        branch = SparsePointwise(P, inputs, C, min(spec.fan_in, inputs), whole.stride)
        branch = ConvBn(branch, BatchNorm(P, C))
    return branch


def _temporal(base: nn.Module, spec: Spec) -> nn.Module:
    P, C = neurons(base)
    return TemporalBn(P, C, spec.taps, spec.dilation)


def _plateau(_: nn.Module, spec: Spec) -> nn.Module:
    return Plateau(spec.taps)


def _echo(base: nn.Module, spec: Spec) -> nn.Module:
    norm = BatchNorm(*neurons(base), positive=True)
    return SeparableBn(base.depthwise, base.pointwise, norm, dilation=spec.dilation)


def _low_rank(base: nn.Module, spec: Spec) -> nn.Module:
    P, C = neurons(base)
    every = torch.arange(max(C, spec.units)) % C
    return rows(_lean(base, spec), every[: spec.units].expand(P, -1))


def _pooled(base: nn.Module, _: Spec) -> nn.Module:
    P, C, inputs = base.dense.weight.shape
    return PooledBranch(P, inputs, C, base.pool)


_BUILDERS: dict[str, Callable[[nn.Module, Spec], nn.Module]] = {
    "copy": _copy,
    "lean": _lean,
    "sparse": _sparse,
    "temporal": _temporal,
    "plateau": _plateau,
    "echo": _echo,
    "lowrank": _low_rank,
    "pool": _pooled,
}


@torch.no_grad()
def rows(branch: nn.Module, index: Tensor) -> nn.Module:
    """A copy of `branch` with the neurons `index` (P, m) alone, each member its own; a depthwise half stays whole."""
    branch = copy.deepcopy(branch)
    whole = branch.depthwise if isinstance(branch, SeparableBn) else None

    def part(value: Tensor) -> Tensor:
        if value.dim() < NEURON_AXES:
            return value
        wide = index.reshape(*index.shape, *(1,) * (value.dim() - NEURON_AXES))
        return torch.gather(value, 1, wide.expand(-1, -1, *value.shape[NEURON_AXES:]))

    change_tensors(branch, part, but=whole)
    return branch


@torch.no_grad()
def change_tensors(branch: nn.Module, change: Callable[[Tensor], Tensor], but: nn.Module | None = None) -> None:
    """Put `change(value)` in place of every parameter and buffer, those of the module `but` left as they are."""
    for module in branch.modules():
        if module is but:
            continue
        for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            changed = change(value)
            setattr(module, name, nn.Parameter(changed) if isinstance(value, nn.Parameter) else changed)


def own_parameters(branch: nn.Module, base: nn.Module) -> list[nn.Parameter]:
    """The weights that are not the layer's too."""
    shared = {id(parameter) for parameter in base.parameters()}
    return [parameter for parameter in branch.parameters() if id(parameter) not in shared]


def separate_neurons(branch: nn.Module) -> bool:
    """Whether each neuron's weights are its own, so that the best of several candidates is chosen neuron by neuron."""
    return not isinstance(branch, SeparableBn)


def reads_everything(branch: nn.Module) -> bool:
    """Whether its neurons read the same channels, so that some of them can do without the others."""
    depthwise = (DepthwiseTime, Plateau)
    return all(getattr(module, "groups", 1) == 1 and not isinstance(module, depthwise) for module in branch.modules())


@torch.no_grad()
def draw(branch: nn.Module, base: nn.Module, x: Tensor, generators: list[torch.Generator]) -> None:
    """Weights anew, each member from its own generator; outputs of mean 0 and deviation 1 on `x`, what it reads.

    The calibration is data-dependent initialisation (Mishkin & Matas 2016): a dendrite that starts saturated or
    constant has no gradient to learn from. Scales do not matter: the calibration sets them.
    """
    shared = set(base.modules())
    for module in (module for module in branch.modules() if module not in shared):
        is_norm = hasattr(module, "running_mean")
        for name, parameter in module.named_parameters(recurse=False):
            if is_norm:
                parameter.fill_(1.0 if name == "weight" else 0.0)
            elif name == "bias":
                parameter.zero_()
            else:
                shape = parameter.shape[1:]
                noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
                parameter.copy_(noise)
        if isinstance(module, (FewInputs, torch_branches.FewInputs)):
            module.index.copy_(_strongest(base, x, module))
    calibrate(branch, x)


def _strongest(base: nn.Module, x: Tensor, few: FewInputs | torch_branches.FewInputs) -> Tensor:
    """The inputs (P, C, n) with the most to say to each neuron: |weight| times the input's root mean square."""
    weight = torch_layers.input_weight(base) if torch_layers.is_plain(base) else _last_map(base).weight
    loud = x.flatten(NEURON_AXES).square().mean(-1).sqrt()  # (P, Cin)
    P, _, n = few.index.shape
    times = P // weight.shape[0]  # a pool of candidates has several branches a member
    matter = weight.abs().repeat_interleave(times, 0) * loud[:, None]
    return matter.topk(n, dim=2).indices.sort(dim=2).values


@torch.no_grad()
def calibrate(branch: nn.Module, x: Tensor) -> None:
    """Set BatchNorm's statistics from `x`, or scale weight and bias, so that each neuron has mean 0, deviation 1."""
    norms = [module for module in branch.modules() if hasattr(module, "running_mean")]
    if norms:
        momenta = [norm.momentum for norm in norms]
        branch.train()
        for norm in norms:
            norm.momentum = 1.0
        branch(x)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        branch.eval()
        return
    if not list(branch.parameters()):
        return
    u = branch(x).flatten(NEURON_AXES)  # (P, C, samples)
    std, mean = torch.std_mean(u, dim=-1)
    std = std.clamp_min(1e-6)
    for module in branch.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias":
                parameter.sub_(mean).div_(std)
            else:
                parameter.div_(per_neuron(std, parameter))
