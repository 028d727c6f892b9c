"""A grown model as one of plain torch modules: BatchNorms of grown layers folded, dendrites a part of one wide layer.

    x -> wide layer, C + m outputs -> the first C are z; the others -> nonlinearity -> times t -> added to z

Each grown layer becomes a torch.fx.GraphModule of torch's own layers, so that nothing of this package is left in the
model: it can be exported, compiled, copied, and moved like any other. Its outputs are those of evaluation mode.
"""

import copy
import operator
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from kws_dendrite.dendrites import torch_layers as plain
from kws_dendrite.dendrites.layer import Dendritic, Spec
from kws_dendrite.dendrites.places import dendritic_layers
from kws_dendrite.dendrites.torch_branches import MemberTemporal
from kws_dendrite.dendrites.torch_places import put, unwrap_stale

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "hard_tanh": nn.Hardtanh, "sigmoid": nn.Sigmoid}
_CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
Part = tuple[nn.Module, Tensor, Spec]  # a branch, its cascade, its spec


@torch.no_grad()
def merge(model: nn.Module) -> nn.Module:
    """A copy of `model`, in evaluation mode, without a trace of this package; the same function as in evaluation."""
    merged = copy.deepcopy(model)
    unwrap_stale(merged)
    for name, layer in dendritic_layers(merged).items():
        put(merged, name, merged_layer(layer))
    return merged.eval()


@torch.no_grad()
def merged_layer(layer: Dendritic, also: Part | None = None, sets: int | None = None) -> nn.Module:
    """One grown layer, with one more set of dendrites, its t 1, where there is `also`; or its first `sets` alone."""
    all_sets = [
        _Set(branch, cascade, spec, t)
        for branch, cascade, spec, t in zip(layer.branches, layer.cascade, layer.specs, layer.t, strict=True)
    ][:sets]
    if also is not None:
        branch, cascade, spec = also
        C = plain.outputs(layer.base)
        all_sets.append(_Set(branch, cascade, spec, torch.ones(1, C, spec.units) if spec.units else torch.ones(1, C)))
    return _Builder(layer.base, all_sets, cascaded=layer.with_cascade).build()


@dataclass
class _Set:
    branch: nn.Module
    cascade: Tensor
    spec: Spec
    t: Tensor


class _Builder:
    """Puts one layer together."""

    def __init__(self, base: nn.Module, sets: list[_Set], *, cascaded: bool) -> None:
        self.base, self.sets, self.cascaded = base, sets, cascaded
        self.axes = plain.spatial(base)
        self.axis = -1 - self.axes
        self.like = plain.split(base)[0].weight
        self.root = nn.Module()
        self.graph = fx.Graph()

    def build(self) -> nn.Module:
        parts = [plain.folded(self.base)] + [_folded(one) for one in self.sets if one.spec.kind != "temporal"]
        if not self.sets:
            return self._linear_map(*parts[0])
        x = self.graph.placeholder("x")
        outputs = self._wide(x, parts)
        z = first = next(outputs)
        earlier: list[fx.Node] = []
        for j, one in enumerate(self.sets):
            u = self._temporal(j, one, first) if one.spec.kind == "temporal" else next(outputs)
            if self.cascaded:
                for e, a in enumerate(earlier):
                    c = self._parameter(f"cascade_{j}_{e}", one.cascade[0, :, e])
                    u = self._call(operator.add, u, self._call(operator.mul, a, c))
            self.root.add_module(f"activation_{j}", ACTIVATIONS[one.spec.activation]())
            a = self.graph.call_module(f"activation_{j}", (u,))
            earlier.append(a)
            y = self._reach(j, one, a)
            if one.spec.join == "gate":
                y = self._call(operator.mul, z, y)
            z = self._call(operator.add, z, y)
        self.graph.output(z)
        return fx.GraphModule(self.root, self.graph).eval()

    def _call(self, function: object, *arguments: object) -> fx.Node:
        return self.graph.call_function(function, arguments)  # type: ignore[arg-type]

    def _parameter(self, name: str, value: Tensor) -> fx.Node:
        """A value a neuron, shaped to scale the layer's output."""
        value = value.to(self.like).clone().view(-1, *(1,) * self.axes)
        self.root.register_parameter(name, nn.Parameter(value))
        return self.graph.get_attr(name)

    def _wide(self, x: fx.Node, parts: list[tuple[Tensor, Tensor]]) -> Iterator[fx.Node]:
        """z, then every u that reads the layer's input: slices of one layer's output, but for grouped convolutions."""
        if plain.groups(self.base) > 1:
            for number, (weight, bias) in enumerate(parts):
                self.root.add_module(f"layer_{number}", self._linear_map(weight, bias))
                yield self.graph.call_module(f"layer_{number}", (x,))
            return
        self.root.add_module("wide", self._linear_map(*(torch.cat(one) for one in zip(*parts, strict=True))))
        y = self.graph.call_module("wide", (x,))
        start = 0
        for weight, _ in parts:
            yield self._call(torch.narrow, y, self.axis, start, len(weight))
            start += len(weight)

    def _linear_map(self, weight: Tensor, bias: Tensor) -> nn.Module:
        """A torch layer of this weight (C, ...), with the base's geometry."""
        layer = plain.split(self.base)[0]
        settings = {"device": "meta", "dtype": self.like.dtype}
        if isinstance(layer, nn.Linear):
            made: nn.Module = nn.Linear(weight.shape[1], len(weight), **settings)
        else:
            geometry = {**plain.geometry(layer), "groups": layer.groups, **settings}
            made = _CONVOLUTION[self.axes](layer.in_channels, len(weight), **geometry)
        made.weight = nn.Parameter(weight.to(self.like))
        made.bias = nn.Parameter(bias.to(self.like))
        return made

    def _temporal(self, number: int, one: _Set, z: fx.Node) -> fx.Node:
        weight, bias = _folded(one)
        C, taps = weight.shape[0], one.spec.taps
        weight = weight.view(C, 1, taps, *(1,) * (self.axes - 1))
        rest = (1,) * (self.axes - 1)
        made = _CONVOLUTION[self.axes](
            C,
            C,
            (taps, *rest),
            padding=((taps - 1) * one.spec.dilation // 2, *(0,) * (self.axes - 1)),
            dilation=(one.spec.dilation, *rest),
            groups=C,
            device="meta",
            dtype=self.like.dtype,
        )
        made.weight, made.bias = nn.Parameter(weight.to(self.like)), nn.Parameter(bias.to(self.like))
        self.root.add_module(f"temporal_{number}", made)
        return self.graph.call_module(f"temporal_{number}", (z,))

    def _reach(self, number: int, one: _Set, a: fx.Node) -> fx.Node:
        """What the dendrites bring to the neurons: t a neuron, or a matrix from the units to the neurons."""
        t = one.t[0].detach()
        if not one.spec.units:
            return self._call(operator.mul, a, self._parameter(f"t_{number}", t))
        C, m = t.shape
        if self.axes:
            made: nn.Module = _CONVOLUTION[self.axes](m, C, 1, bias=False, device="meta", dtype=self.like.dtype)
        else:
            made = nn.Linear(m, C, bias=False, device="meta", dtype=self.like.dtype)
        made.weight = nn.Parameter(t.to(self.like).view(C, m, *(1,) * self.axes).clone())
        self.root.add_module(f"t_{number}", made)
        return self.graph.call_module(f"t_{number}", (a,))


def _folded(one: _Set) -> tuple[Tensor, Tensor]:
    """Weight (C, ...) and bias (C,) of a chosen branch, P = 1, its BatchNorm folded, in double precision."""
    branch, norm = one.branch, None
    if isinstance(branch, nn.Sequential):
        branch, norm = branch[0], branch[1]
    weight = branch.weight[0].double()
    if isinstance(branch, MemberTemporal):
        weight, bias = weight[:, None], weight.new_zeros(len(weight))  # (C, 1, taps), (C,)
    else:
        bias = weight.new_zeros(len(weight)) if branch.bias is None else branch.bias[0].double()
    if norm is not None:
        scale = norm.weight[0].double() * (norm.running_var[0].double() + norm.eps).rsqrt()
        weight = weight * scale.view(-1, *(1,) * (weight.dim() - 1))
        bias = (bias - norm.running_mean[0].double()) * scale + norm.bias[0].double()
    return weight, bias
