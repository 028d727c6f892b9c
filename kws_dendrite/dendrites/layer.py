"""A layer and the dendrites of its neurons: z' = z + sum_j t_j * a_j, a_j = f(G_j(x) + sum_{e<j} c_je * a_e).

G_j has weights of its own, t_j and c_je are one scalar a neuron; a set of m units that reach every neuron has a matrix
T (C, m) in place of t. Joined as a gate, z' = z * (1 + t * a). The layer stands behind its BatchNorm and before its
nonlinearity. Inside, outputs are (P, C, ...): members, neurons, samples; `Layout` brings other layers' there.
"""

import functools
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kws_dendrite.dendrites.config import DendriteActivation, Join
from kws_dendrite.models.kernels.functions import plateau as plateau_relu
from kws_dendrite.models.kernels.join import add_weighted
from kws_dendrite.models.layers import SeparableBn

NEURON_AXES = 2  # (P, C, ...)


@dataclass(frozen=True)
class Spec:
    """What one set of dendrites is, beside its weights.

    Attributes:
        kind: a name of `config.KINDS`.
        join: "add" or "gate".
        activation: f.
        units: m of a set that reaches every neuron through a matrix; 0 is one dendrite a neuron.
        fan_in, taps, dilation: of the kinds that have them, else 0.
        frozen: weights stay as they are, evaluated outside autograd: no gradient reaches them, nor passes through them
            to the layers before; t still learns, as a weight of the neuron.
        silent: t is held at 0 (a sham).
    """

    kind: str = "copy"
    join: Join = "add"
    activation: DendriteActivation = "relu"
    units: int = 0
    fan_in: int = 0
    taps: int = 0
    dilation: int = 0
    frozen: bool = False
    silent: bool = False

    def to_json(self) -> dict[str, Any]:
        """As stored in a checkpoint."""
        return asdict(self)


@dataclass(frozen=True)
class Layout:
    """Where a layer's input and output have their channels: the first two axes of a population (`axis` None), or `axis`
    of a plain torch layer's, which then counts as a population of one. `norm` is the place at which a plain layer's
    BatchNorm stood before it became a part of the layer."""

    axis: int | None = None
    norm: str = ""

    def inside(self, value: Tensor) -> Tensor:
        """-> (P, C, ...)."""
        return value if self.axis is None else value.movedim(self.axis, 0)[None]

    def outside(self, value: Tensor) -> Tensor:
        """The inverse."""
        return value if self.axis is None else value[0].movedim(0, self.axis)


def activate(u: Tensor, kind: DendriteActivation) -> Tensor:
    """The dendrite's nonlinearity, elementwise."""
    if kind == "relu":
        return F.relu(u)
    if kind == "tanh":
        return torch.tanh(u)
    if kind == "sigmoid":
        return torch.sigmoid(u)
    return F.hardtanh(u)


@dataclass
class Sources:
    """What a dendrite may read: the layer's input `x`, what its last linear map reads, `drive`, and its output `z`,
    (P, C, ...) inside the layer."""

    x: Tensor
    drive: Tensor
    z: Tensor

    def of(self, spec: Spec, channels_kept: bool) -> Tensor:
        """What `spec`'s branch reads; a temporal one its own channel of the input where there is one, else z."""
        if spec.kind == "plateau":
            return self.z
        if spec.kind == "temporal":
            return self.x if channels_kept else self.z
        return self.x if spec.kind in ("copy", "echo", "pool") else self.drive


class LateSources(Sources):
    """The same, worked out when asked for, without a gradient; `z` may be known already."""

    def __init__(self, layer: "Dendritic", x: Tensor, z: Tensor | None = None) -> None:
        self.layer, self.given, self.known = layer, x, z

    @functools.cached_property
    def all(self) -> Sources:
        """The layer's own."""
        with torch.no_grad():
            return self.layer.sources(self.given)

    @functools.cached_property
    def x(self) -> Tensor:  # type: ignore[override]
        """The layer's input."""
        return self.layer.layout.inside(self.given)

    @functools.cached_property
    def drive(self) -> Tensor:  # type: ignore[override]
        """What its last linear map reads."""
        base = self.layer.base
        if not isinstance(base, SeparableBn):
            return self.x
        with torch.no_grad():
            return base.depthwise(self.given, base.dilation)

    @functools.cached_property
    def z(self) -> Tensor:  # type: ignore[override]
        """Its output without dendrites."""
        return self.all.z if self.known is None else self.known


class Dendritic(nn.Module):
    """`base` with D sets of dendrites, none at first: whatever `base` maps."""

    def __init__(self, base: nn.Module, *, cascade: bool = False, layout: Layout | None = None) -> None:
        super().__init__()
        self.base = base
        self.with_cascade = cascade
        self.layout = layout or Layout()
        self.branches = nn.ModuleList()
        self.t = nn.ParameterList()  # D of (P, C), or (P, C, m)
        self.cascade = nn.ParameterList()  # D of (P, C, j): from the earlier dendrites to the j-th
        self.specs: list[Spec] = []

    @property
    def frozen(self) -> list[bool]:
        """Of every set."""
        return [spec.frozen for spec in self.specs]

    def forward(self, x: Tensor) -> Tensor:
        if not len(self.branches):
            return self.base(x)
        sources = self.sources(x)
        z = self.joined(sources.z, self.dendrites(sources))
        return self.layout.outside(z.to(sources.z.dtype))  # under autocast t is of a wider type than z

    def rectified(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """residual + relu(self(x)); one plateau dendrite a neuron goes with its ReLU in a single pass over memory."""
        if not len(self.branches) and hasattr(self.base, "rectified"):
            return self.base.rectified(x, residual)
        if len(self.specs) == 1 and self.specs[0] == Spec("plateau", taps=self.specs[0].taps):  # relu, added, learning
            z = self.sources(x).z
            if z.dim() == 5 and z.shape[4] == 1:  # over time alone
                return plateau_relu(z, self.t[0], self.specs[0].taps, residual)
        y = F.relu(self(x))
        return y if residual is None else residual + y

    def joined(self, z: Tensor, dendrites: list[Tensor]) -> Tensor:
        """z' from z and a_1 .. a_D, in the order in which they were inserted."""
        for t, a, spec in zip(self.t, dendrites, self.specs, strict=True):
            z = join(z, t, a, spec)
        return z

    def sources(self, x: Tensor) -> Sources:
        """The layer's input, the last linear map's input, and z without dendrites."""
        if isinstance(self.base, SeparableBn):
            drive = self.base.depthwise(x, self.base.dilation)
            return Sources(x, drive, self.base.norm(self.base.pointwise(drive)))
        z = self.layout.inside(self.base(x))
        x = self.layout.inside(x)
        return Sources(x, x, z)

    def dendrites(self, sources: Sources) -> list[Tensor]:
        """a_1 .. a_D, each (P, C, ...) or (P, m, ...)."""
        earlier: list[Tensor] = []
        for j, spec in enumerate(self.specs):
            if spec.frozen:
                with torch.no_grad():
                    a = self.activate_branch(self.branches[j], spec, self.cascade[j], sources, earlier)
            else:
                a = self.activate_branch(self.branches[j], spec, self.cascade[j], sources, earlier)
            earlier.append(a)
        return earlier

    def activate_branch(
        self, branch: nn.Module, spec: Spec, cascade: Tensor, sources: Sources, earlier: list[Tensor]
    ) -> Tensor:
        """f(G(x) + sum_e c_e * a_e) for a branch that need not be a part of this layer yet."""
        u = self.cascaded(branch(sources.of(spec, keeps_channels(self.base))), cascade, earlier)
        a = activate(u, spec.activation)
        return branch.pool(a) if spec.kind == "pool" else a

    def cascaded(self, u: Tensor, cascade: Tensor, earlier: list[Tensor]) -> Tensor:
        """u + sum_e c_e * a_e where there is a cascade."""
        if self.with_cascade:
            for e, a in enumerate(earlier):
                u = u + per_neuron(cascade[:, :, e], a) * a
        return u

    def add(self, branch: nn.Module, cascade: Tensor, spec: Spec) -> None:
        """Take `branch` as the next set of dendrites, with t = 0: the layer's function stays the same.

        `cascade` is (P, C, D) for the D sets that are there already.
        """
        # Beside the base's weights it has to follow their device and type.
        like = next(self.base.parameters())
        P, C = cascade.shape[:2]
        shape = (P, C, spec.units) if spec.units else (P, C)
        self.branches.append(branch)
        t = torch.zeros(shape, device=like.device, dtype=like.dtype)
        self.t.append(nn.Parameter(t, requires_grad=not spec.silent))
        self.cascade.append(nn.Parameter(cascade.detach().clone().to(t), requires_grad=not spec.frozen))
        self.specs.append(spec)
        if spec.frozen:
            shared = {id(parameter) for parameter in self.base.parameters()}
            for parameter in branch.parameters():
                if id(parameter) not in shared:
                    parameter.requires_grad_(False)
            branch.eval()

    def train(self, mode: bool = True) -> "Dendritic":
        """A frozen dendrite keeps its BatchNorm's statistics, whatever the mode."""
        super().train(mode)
        for branch, spec in zip(self.branches, self.specs, strict=True):
            if spec.frozen:
                branch.eval()
        return self


def keeps_channels(base: nn.Module) -> bool:
    """Whether neuron c of a temporal layer has a channel c of the input to look at, frame by frame."""
    if not isinstance(base, SeparableBn) or base.depthwise.stride > 1:
        return False
    return base.pointwise.weight.shape[1] == base.pointwise.weight.shape[2]


def join(z: Tensor, t: Tensor, a: Tensor, spec: Spec) -> Tensor:
    """z' from z (P, C, ...), t (P, C) and a (P, C, ...), or t (P, C, m) and a (P, m, ...)."""
    if spec.join == "add" and not spec.units and a.dim() == z.dim():
        return add_weighted(z, t, a)
    y = weighted(t, a, spec)
    return z * (1 + y) if spec.join == "gate" else z + y


def weighted(t: Tensor, a: Tensor, spec: Spec) -> Tensor:
    """t * a, or the matrix t times a: what reaches each neuron, (P, C, ...)."""
    if not spec.units:
        return per_neuron(t, a) * a
    P, m = a.shape[:2]
    return torch.bmm(t, a.reshape(P, m, -1)).view(P, t.shape[1], *a.shape[2:])


def per_neuron(value: Tensor, like: Tensor) -> Tensor:
    """(P, C) -> (P, C, 1, ...), to scale `like` neuron by neuron."""
    return value.reshape(*value.shape, *(1,) * (like.dim() - NEURON_AXES))
