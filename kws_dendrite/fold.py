"""The grown torch model -> the plain graph: BatchNorm, dropout and every trace of growth go, the function stays.

The model's own forward pass is traced (torch.fx, layers as leaves) and each layer translated, so what is exported is
what ran. Arithmetic is float64, results float32. Equations: W' = s W, b' = s (b - mu) + beta with
s = gamma / sqrt(var + eps) for a convolution and its BatchNorm; z' = z + sum_j t_j * a_j for dendrites, m units that
reach all neurons being a 1 x 1 convolution more.
"""

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, fx, nn

from kws_dendrite import fold_frequency, plain
from kws_dendrite.dendrites.branches import Plateau, PooledBranch, PooledDense, TemporalBn
from kws_dendrite.dendrites.layer import Dendritic, Sources, Spec, keeps_channels
from kws_dendrite.errors import GraphError
from kws_dendrite.models import layers
from kws_dendrite.plain import Graph, infer_shapes

SMALLEST_SHARED_SCALE = 1e-6  # relative; below it a shared weight keeps every use's scale rather than divide by one


def fold(model: nn.Module, member: int = 0, labels: tuple[str, ...] = ()) -> Graph:
    """Member `member` of a trained population as a plain graph: (N, T*F) features -> (N, K) probabilities.

    Raises:
        GraphError: a layer or an operation without a translation, or a member that is not there.
    """
    members = next(iter(model.parameters())).shape[0]
    if not 0 <= member < members:
        raise GraphError(f"the population has members 0 to {members - 1}; got {member}")
    traced = _Tracer().trace(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    folder = _Folder(member, _conv_uses(traced, modules))
    values: dict[fx.Node, _Value] = {}
    for node in traced.nodes:
        if node.op == "placeholder":
            continue
        if node.op == "output":
            folder.softmax(values[node.args[0]])
        elif node.op == "call_module":
            source = values.get(node.args[0])  # none for the features' door
            values[node] = folder.module(str(node.target).replace(".", "_"), modules[str(node.target)], source)
        elif node.op == "call_function" and node.target is operator.add:
            left, right = (values[argument] for argument in node.args)
            values[node] = folder.add(node.name, left, right)
        else:
            raise GraphError(f"no translation for {node.op} {node.target} in the model's forward pass")
    return folder.graph(labels)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, (Dendritic, *_TRANSLATIONS)) or super().is_leaf_module(module, qualified_name)


@dataclass(frozen=True)
class _Value:
    """A node's output, still to be multiplied by `scale` and shifted by `shift` ((C,) float64) by whoever reads it."""

    name: str
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None


def _conv_uses(traced: fx.Graph, modules: dict[str, nn.Module]) -> Counter[int]:
    """How many layers each convolution serves, by id."""
    uses: Counter[int] = Counter()
    for node in traced.nodes:
        if node.op != "call_module":
            continue
        for _, part in modules[str(node.target)].named_modules(remove_duplicate=False):
            if isinstance(part, (layers.Pointwise, layers.DepthwiseTime, layers.Conv2d)):
                uses[id(part)] += 1
    return uses


class _Folder:
    def __init__(self, member: int, uses: Counter[int]) -> None:
        self.member, self.uses = member, uses
        self.nodes: list[plain.Node] = []
        self.weights: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}  # of shared convolutions, by id

    # -- the graph so far ---------------------------------------------------------------------------------------------

    def emit(self, node: plain.Node) -> _Value:
        self.nodes.append(node)
        return _Value(node.name)

    def shape(self, name: str) -> plain.Shape:
        return infer_shapes(Graph(tuple(self.nodes), self.weights))[name]

    def take(self, tensor: Tensor) -> np.ndarray:
        """A parameter or buffer of this member, float64."""
        return tensor.detach()[self.member].double().cpu().numpy()

    def settled(self, value: _Value) -> str:
        """The node that holds `value` with nothing left to apply."""
        if value.scale is None:
            return value.name
        shift = None if value.shift is None or not value.shift.any() else value.shift.astype(np.float32)
        name = f"{value.name}_scaled"
        if all(node.name != name for node in self.nodes):
            self.emit(plain.Scale(name, (value.name,), value.scale.astype(np.float32), shift))
        return name

    def graph(self, labels: tuple[str, ...]) -> Graph:
        """All of it, one use of each shared weight freed of its scale."""
        nodes = list(self.nodes)
        for weight in set(self.names.values()):
            users = [i for i, node in enumerate(nodes) if getattr(node, "weight", None) == weight]
            first = nodes[users[0]].scale
            if first is None or np.abs(first).min() <= SMALLEST_SHARED_SCALE * np.abs(first).max():
                continue
            self.weights[weight] = self.weights[weight] * first
            nodes[users[0]] = replace(nodes[users[0]], scale=None)
            for i in users[1:]:
                nodes[i] = replace(nodes[i], scale=nodes[i].scale / first)
        weights = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in self.weights.items()}
        return Graph(tuple(_as_float32(node) for node in nodes), weights, labels)

    # -- translations -------------------------------------------------------------------------------------------------

    def module(self, name: str, module: nn.Module, x: _Value | None) -> _Value:
        """The nodes of one layer."""
        for kind, translate in _TRANSLATIONS.items():
            if isinstance(module, kind):
                return translate(self, name, module, x)
        raise GraphError(f"no translation for layer {name!r} of type {type(module).__name__}")

    def add(self, name: str, left: _Value, right: _Value) -> _Value:
        return self.emit(plain.Add(name, (self.settled(left), self.settled(right))))

    def softmax(self, x: _Value) -> None:
        self.emit(plain.Softmax("probabilities", (self.settled(x),)))

    def features(self, name: str, door: layers.Features, _: _Value | None) -> _Value:
        T, F = door.frames, door.coefficients
        x = self.emit(plain.Input(name, (), T * F))
        if door.remove_mean:
            x = self.emit(plain.Reshape(f"{name}_map", (x.name,), (T, F, 1)))
            level = self.emit(plain.AvgPool(f"{name}_level", (x.name,), (T, F), (T, F)))
            x = self.emit(plain.Sub(f"{name}_centred", (x.name, level.name)))
        x = self.emit(plain.Reshape(f"{name}_frames", (x.name,), (T, 1, F) if door.as_channels else (T, F, 1)))
        mean, std = door.mean.double().numpy(), door.std.double().numpy()
        if not mean.any() and (std == 1).all():
            return x
        if door.as_channels:
            return _Value(x.name, 1 / std, -mean / std)
        scale, shift = (value.reshape(1, F, 1).astype(np.float32) for value in (1 / std, -mean / std))
        return self.emit(plain.Scale(f"{name}_standard", (x.name,), scale, shift))

    def conv_bn(self, name: str, unit: layers.ConvBn, x: _Value) -> _Value:
        scale, shift = (self.take(value) for value in unit.norm.affine())
        return self.convolution(name, unit.conv, x, scale, shift)

    def separable_bn(self, name: str, unit: layers.SeparableBn, x: _Value) -> _Value:
        scale, shift = (self.take(value) for value in unit.norm.affine())
        y = self.convolution(f"{name}_depthwise", unit.depthwise, x, None, None, unit.dilation)
        return self.convolution(f"{name}_pointwise", unit.pointwise, y, scale, shift)

    def bare_conv(self, name: str, conv: nn.Module, x: _Value) -> _Value:
        return self.convolution(name, conv, x, None, None)

    def convolution(
        self,
        name: str,
        conv: nn.Module,
        x: _Value,
        scale: np.ndarray | None,
        shift: np.ndarray | None,
        dilation: int = 1,
    ) -> _Value:
        """y = scale * conv(x) + shift, as one node; what x still owes goes into a pointwise weight of one use."""
        weight = self.take(conv.weight)
        own_bias = getattr(conv, "bias", None)
        bias = np.zeros(len(weight)) if own_bias is None else self.take(own_bias)
        shared = self.uses[id(conv)] > 1
        source = x.name
        if x.scale is not None:
            if isinstance(conv, layers.Pointwise) and not shared:
                bias = bias + (0 if x.shift is None else weight @ x.shift)
                weight = weight * x.scale
            else:
                source = self.settled(x)
        options: dict = {"stride": (1, 1), "dilation": (1, 1), "padding": "same"}
        if isinstance(conv, layers.Pointwise):
            kernel = weight.T[None, None]  # (1, 1, Cin, Cout)
            options["stride"] = (conv.stride, 1)
        elif isinstance(conv, layers.DepthwiseTime):
            kernel = weight.T[:, None]  # (k, 1, C)
            options |= {"stride": (conv.stride, 1), "dilation": (dilation, 1), "depthwise": True}
        else:
            kernel = weight.transpose(2, 3, 1, 0)  # (kh, kw, Cin / groups, Cout)
            options |= {"stride": conv.stride, "dilation": conv.dilation, "padding": conv.padding}
            if conv.groups > 1:
                kernel, options["depthwise"] = kernel[:, :, 0], True
        if scale is not None:
            bias = scale * bias + shift
            if not shared:
                kernel = kernel * scale
        key = name
        if shared:
            key = self.names.setdefault(id(conv), name)
        self.weights.setdefault(key, kernel)
        if scale is None and own_bias is None and not bias.any():
            bias = None
        return self.emit(plain.Conv2D(name, (source,), key, scale=scale if shared else None, bias=bias, **options))

    def dense(self, name: str, dense: layers.Dense, x: _Value) -> _Value:
        weight = self.take(dense.weight)  # (Cout, Cin)
        bias = np.zeros(len(weight)) if dense.bias is None else self.take(dense.bias)
        if x.scale is not None:
            bias = bias + (0 if x.shift is None else weight @ x.shift)
            weight = weight * x.scale
        self.weights[name] = weight.T
        return self.emit(plain.Dense(name, (x.name,), name, bias=bias))

    def dendritic(self, name: str, layer: Dendritic, x: _Value) -> _Value:
        z = self.module(name, layer.base, x)
        drive = x
        if isinstance(layer.base, layers.SeparableBn):
            drive = _Value(f"{name}_depthwise")
        sources = Sources(x, drive, _Value(self.settled(z)))  # one name each, however many dendrites read it
        earlier: list[_Value] = []
        for j, (branch, spec) in enumerate(zip(layer.branches, layer.specs, strict=True)):
            here = f"{name}_dendrite{j + 1}"
            u = self.module(here, branch, sources.of(spec, keeps_channels(layer.base)))
            for e, a in enumerate(earlier if layer.with_cascade else []):
                weight = self.take(layer.cascade[j])[:, e]
                u = self.add(f"{here}_in{e + 1}", u, self.scale(f"{here}_c{e + 1}", a, weight))
            a = self.emit(plain.Activation(f"{here}_{spec.activation}", (self.settled(u),), spec.activation))
            if spec.kind == "pool":
                a = self.global_pool(f"{here}_pool", branch.pool, a)
            earlier.append(a)
            z = self.joined(here, z, a, self.take(layer.t[j]), spec)
        return z

    def joined(self, name: str, z: _Value, a: _Value, t: np.ndarray, spec: Spec) -> _Value:
        """z + t * a, or z * (1 + t * a); t (C,), or (C, m) from m units to C neurons."""
        gate = spec.join == "gate"
        t = t if a.scale is None else t * a.scale
        one = np.ones(len(t)) if gate else None
        if spec.units:
            self.weights[f"{name}_t"] = t.T if len(self.shape(a.name)) == 1 else t.T[None, None]
            node = plain.Dense if len(self.shape(a.name)) == 1 else plain.Conv2D
            y = self.emit(node(f"{name}_t", (a.name,), f"{name}_t", bias=one))
        else:
            y = self.emit(plain.Scale(f"{name}_t", (a.name,), t, one))
        if gate:
            return self.emit(plain.Mul(f"{name}_gated", (self.settled(z), y.name)))
        return self.add(f"{name}_sum", z, y)

    def pooled_dense(self, name: str, unit: PooledDense, x: _Value) -> _Value:
        return self.dense(name, unit.dense, self.global_pool(f"{name}_pool", unit.pool, x))

    def pooled_branch(self, name: str, branch: PooledBranch, x: _Value) -> _Value:
        return self.convolution(name, branch.map, x, None, None)

    def plateau(self, name: str, branch: Plateau, x: _Value) -> _Value:
        return self.emit(plain.MaxPool(name, (self.settled(x),), (branch.taps, 1), (1, 1), "same"))

    def temporal_bn(self, name: str, branch: TemporalBn, x: _Value) -> _Value:
        scale, shift = (self.take(value) for value in branch.norm.affine())
        return self.convolution(name, branch.depthwise, x, scale, shift, branch.dilation)

    def scale(self, name: str, x: _Value, scale: np.ndarray) -> _Value:
        return self.emit(plain.Scale(name, (x.name,), scale))

    def relu(self, name: str, _: layers.Relu, x: _Value) -> _Value:
        return self.emit(plain.Activation(self.fresh(name), (self.settled(x),), "relu"))

    def hard_tanh(self, name: str, _: layers.HardTanh, x: _Value) -> _Value:
        return self.emit(plain.Activation(self.fresh(name), (self.settled(x),), "hard_tanh"))

    def max_pool(self, name: str, pool: layers.MaxPool, x: _Value) -> _Value:
        source = self.settled(x)
        return self.emit(plain.MaxPool(self.fresh(name), (source,), pool.kernel, pool.kernel, pool.padding))

    def global_pool(self, name: str, pool: layers.GlobalPool, x: _Value) -> _Value:
        source = self.settled(x)
        H, W, C = self.shape(source)
        window = (H, W)
        if pool.kind == "mean":
            y = self.emit(plain.AvgPool(name, (source,), window, window))
        elif pool.kind == "max":
            y = self.emit(plain.MaxPool(name, (source,), window, window))
        else:
            mean = self.emit(plain.AvgPool(f"{name}_mean", (source,), window, window))
            top = self.emit(plain.MaxPool(f"{name}_max", (source,), window, window))
            y = self.add(name, mean, top)
        flat = self.emit(plain.Reshape(f"{name}_flat", (y.name,), (C,)))
        return replace(flat, scale=np.full(C, 0.5)) if pool.kind == "mean_max" else flat

    def flatten(self, name: str, _: layers.Flatten, x: _Value) -> _Value:
        source = self.settled(x)
        return self.emit(plain.Reshape(name, (source,), (int(np.prod(self.shape(source))),)))

    def identity(self, name: str, _: nn.Module, x: _Value) -> _Value:
        return x

    def fresh(self, name: str) -> str:
        """`name`, numbered from its second use on: one ReLU module serves many places."""
        count = sum(node.name == name or node.name.rpartition("__")[0] == name for node in self.nodes)
        return f"{name}__{count + 1}" if count else name


def _as_float32(node: plain.Node) -> plain.Node:
    arrays = {
        key: getattr(node, key).astype(np.float32)
        for key in ("scale", "bias")
        if isinstance(getattr(node, key, None), np.ndarray)
    }
    return replace(node, **arrays) if arrays else node


_TRANSLATIONS: dict[type, Callable[..., _Value]] = {
    Dendritic: _Folder.dendritic,
    PooledDense: _Folder.pooled_dense,
    PooledBranch: _Folder.pooled_branch,
    TemporalBn: _Folder.temporal_bn,
    Plateau: _Folder.plateau,
    layers.Features: _Folder.features,
    layers.ConvBn: _Folder.conv_bn,
    layers.SeparableBn: _Folder.separable_bn,
    layers.Pointwise: _Folder.bare_conv,
    layers.Conv2d: _Folder.bare_conv,
    layers.Dense: _Folder.dense,
    layers.Relu: _Folder.relu,
    layers.HardTanh: _Folder.hard_tanh,
    layers.MaxPool: _Folder.max_pool,
    layers.GlobalPool: _Folder.global_pool,
    layers.Flatten: _Folder.flatten,
    layers.Logits: _Folder.identity,
    layers.Dropout: _Folder.identity,
    nn.Dropout: _Folder.identity,
    nn.Identity: _Folder.identity,
    **fold_frequency.TRANSLATIONS,
}
