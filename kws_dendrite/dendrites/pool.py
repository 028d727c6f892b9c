"""Pools of candidates: several for every neuron of every layer, one tensor a layer, trained while the net stands still.

    draw_pools -> train_pools -> judge_pools -> (selection) -> Choice -> insert

A pool of K candidates a neuron is a branch of P * K members; units that reach every neuron are a branch of more rows.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.branches import available, change_tensors, draw, empty_branch, neurons, own_parameters
from kws_dendrite.dendrites.config import ANY_KIND, DendriteConfig
from kws_dendrite.dendrites.layer import Dendritic, LateSources, Sources, Spec, activate, keeps_channels, weighted
from kws_dendrite.dendrites.objective import Moments, SmoothedMoments, moments, score
from kws_dendrite.dendrites.places import Batch, captured, dendritic_layers, neuron_errors_and_outputs
from kws_dendrite.errors import ConfigError
from kws_dendrite.models.kernels.convolution import conv2d
from kws_dendrite.models.kernels.moments import Inner
from kws_dendrite.models.layers import Conv2d, ConvBn, Dense, Pointwise

CHOICE = ("lean", "temporal", "plateau", "lowrank")  # of kind "any": those that fold to fewer parameters than a copy
Loss = Callable[[Tensor, Tensor], Tensor]  # logits (P, B, K), labels (P, B) -> (P, B)


@dataclass
class Pool:
    """The candidates of one kind at one layer.

    Attributes:
        layer: its name.
        spec: of the dendrites to be; `units` above 0 is how many candidates of that kind there are.
        branch: all candidates' weights.
        size: K, branches a member; 1 where `spec.units` counts the candidates.
        cascade: (P * K, C, D) from the neuron's earlier dendrites.
        smoothed: running moments of the candidate phase.
        judged: moments over held-out clips, and how many those were.
    """

    layer: str
    spec: Spec
    branch: nn.Module
    size: int
    cascade: Tensor
    smoothed: SmoothedMoments = field(default_factory=SmoothedMoments)
    judged: SmoothedMoments = field(default_factory=lambda: SmoothedMoments(decay=1.0))
    judged_clips: int = 0

    def outputs(self, layer: Dendritic, sources: Sources, earlier: list[Tensor]) -> Tensor:
        """(P, K, C, B, ...), or (P, m, 1, B, ...) for units that reach every neuron."""
        u, inner = self.inner_outputs(layer, sources, earlier)
        return activate(u, inner) if inner else u

    def inner_outputs(self, layer: Dendritic, sources: Sources, earlier: list[Tensor]) -> tuple[Tensor, Inner]:
        """The same before a nonlinearity that is still to come, and which that is; "" where it is behind them."""
        u = self._mapped(layer, sources.of(self.spec, keeps_channels(layer.base)))
        if layer.with_cascade:
            u = layer.cascaded(u, self.cascade, [_shown(layer, value, self.size) for value in earlier])
        kind = self.spec.activation
        inner: Inner = kind if kind in ("relu", "hard_tanh") and self.spec.kind != "pool" else ""
        if not inner:
            u = activate(u, kind)
            u = self.branch.pool(u) if self.spec.kind == "pool" else u
        return u[:, :, None] if self.spec.units else u.unflatten(0, (-1, self.size)), inner

    def _mapped(self, layer: Dendritic, read: Tensor) -> Tensor:
        """G: (P * K, C, B, ...). A map of all its inputs has the candidates as further outputs, and reads once."""
        branch = self.branch
        if self.size > 1 and layer.layout.axis is None:
            conv = branch.conv if isinstance(branch, ConvBn) else branch
            u = _of_one_map(conv, read, self.size)
            if u is not None:
                return branch.norm(u) if isinstance(branch, ConvBn) else u
        return branch(_shown(layer, read, self.size))


def _of_one_map(conv: nn.Module, x: Tensor, times: int) -> Tensor | None:
    """`times` candidates' maps of x (P, Cin, B, ...) as one, (P * times, C, B, ...); None of what is no dense map."""
    if not (type(conv) in (Pointwise, Dense) or (type(conv) is Conv2d and conv.is_plain)):
        return None
    P, C = len(x), conv.weight.shape[1]
    weight = conv.weight.reshape(P, times * C, *conv.weight.shape[2:])
    bias = None if conv.bias is None else conv.bias.reshape(P, times * C)
    if isinstance(conv, Conv2d):
        y = conv2d(x, weight, bias)
    else:
        x = x[:, :, :, :: conv.stride] if isinstance(conv, Pointwise) and conv.stride > 1 else x
        flat = x.reshape(P, x.shape[1], -1)
        y = torch.bmm(weight, flat) if bias is None else torch.baddbmm(bias[:, :, None], weight, flat)
    return y.view(P * times, C, *x.shape[2:])


def _repeated(value: Tensor, times: int) -> Tensor:
    return value if times == 1 else value.repeat_interleave(times, 0)


def _shown(layer: Dendritic, value: Tensor, times: int) -> Tensor:
    """`value` to all candidates; a plain layer's is read once for all of them, so it is not copied."""
    return _repeated(value, times) if layer.layout.axis is None else value.expand(times, *value.shape[1:])


def kinds_for(layer: Dendritic, config: DendriteConfig) -> list[Spec]:
    """What `config` asks for and the layer can take: one spec, or for kind "any" all that there are.

    For "lowrank" the spec has the pool's units, `candidates` times `rank`.
    """
    kinds = CHOICE if config.kind == ANY_KIND else (config.kind,)
    specs = [make_spec(kind, config) for kind in kinds]
    return [spec for spec in specs if available(layer.base, spec) is None]


def make_spec(kind: str, config: DendriteConfig) -> Spec:
    """The spec of one kind."""
    return Spec(
        kind=kind,
        join=config.join,
        activation=config.activation,
        units=config.rank * config.candidates if kind == "lowrank" else 0,
        fan_in=config.fan_in if kind == "sparse" else 0,
        taps=config.taps if kind in ("temporal", "plateau") else 0,
        dilation=config.dilation if kind in ("temporal", "echo") else 0,
        frozen=config.frozen,
        silent=config.mode == "sham",
    )


def draw_pools(model: nn.Module, features: Tensor, config: DendriteConfig, seed: int, size: int) -> list[Pool]:
    """Fresh candidates for every dendritic layer, calibrated on `features` (P, B, T, F), `size` of them a neuron.

    Member p's candidates depend on (seed, p) alone, whatever P is.

    Raises:
        ConfigError: no layer can take this kind; says why, layer by layer.
    """
    training = model.training
    model.eval()
    pools = []
    layers = dendritic_layers(model)
    with torch.no_grad(), captured(model) as seen:
        model(features)
        for number, (name, layer) in enumerate(layers.items()):
            sources = layer.sources(seen[name][0])
            P, C = neurons(layer.base)
            for spec in kinds_for(layer, config):
                # Kinds without weights of their own have nothing to draw: one candidate says it all.
                times = 1 if spec.units or spec.kind in ("plateau", "echo") else size
                if spec.units:
                    spec = replace(spec, units=config.rank * size)
                branch = _widened(empty_branch(layer.base, spec), times)
                generators = [
                    torch.Generator().manual_seed(_stream(seed, p, number, k)) for p in range(P) for k in range(times)
                ]
                read = _shown(layer, sources.of(spec, keeps_channels(layer.base)), times)
                draw(branch, layer.base, read, generators)
                earlier = len(layer.branches)
                learns = layer.with_cascade and earlier > 0
                cascade = torch.zeros(P * times, C, earlier, device=sources.z.device, requires_grad=learns)
                pools.append(Pool(name, spec, branch, times, cascade))
    model.train(training)
    if not pools:
        reasons = {name: available(layer.base, make_spec(config.kind, config)) for name, layer in layers.items()}
        raise ConfigError(
            f"no layer can take dendrites of kind {config.kind!r}: "
            + "; ".join(f"{name}: {why}" for name, why in reasons.items())
        )
    return pools


def _stream(seed: int, member: int, layer: int, candidate: int) -> int:
    return ((seed * 1009 + member) * 131 + layer) * 257 + candidate


@torch.no_grad()
def _widened(branch: nn.Module, times: int) -> nn.Module:
    """Every member `times` times."""
    if times == 1:
        return branch
    change_tensors(branch, lambda value: _repeated(value, times))
    return branch


def train_pools(
    model: nn.Module,
    pools: list[Pool],
    epochs: Iterable[Iterable[Batch]],
    config: DendriteConfig,
    loss: Loss,
    on_epoch: Callable[[int, dict[str, Tensor]], None] = lambda epoch, scores: None,
) -> None:
    """Train all candidates to follow their neurons' errors, the model itself in evaluation mode and not touched."""
    layers = dendritic_layers(model)
    training = model.training
    model.eval()
    parameters: list[Tensor] = []
    for pool in pools:
        pool.branch.train()
        parameters += own_parameters(pool.branch, layers[pool.layer].base)
        if pool.cascade.requires_grad:
            parameters.append(pool.cascade)
    device = pools[0].cascade.device
    nothing = torch.zeros(1, device=device, requires_grad=True)  # where no kind has weights of its own
    parameters.append(nothing)
    optimizer = torch.optim.Adam(parameters, lr=config.candidate_learning_rate, fused=True)
    for number, batches in enumerate(epochs):
        for batch in batches:
            total = nothing.sum()
            for pool, batch_moments in _each(model, layers, pools, batch, loss, config.objective):
                pool.smoothed.update(batch_moments)
                smoothed = pool.smoothed.with_gradient_of(batch_moments)
                total = total - score(smoothed, config.objective).sum()
            optimizer.zero_grad()
            total.backward(inputs=parameters)  # an echo's others are the model's own
            optimizer.step()
        on_epoch(number, {pool.layer: score(pool.smoothed.read(), config.objective) for pool in pools})
    optimizer.zero_grad()  # a frozen dendrite has no use for its last gradient, nor have copies of the model
    for pool in pools:
        pool.branch.eval()
        pool.cascade = pool.cascade.detach()
    model.train(training)


@torch.no_grad()
def judge_pools(
    model: nn.Module, pools: list[Pool], batches: Iterable[Batch], config: DendriteConfig, loss: Loss
) -> None:
    """Moments of every candidate over clips that it was not trained on."""
    layers = dendritic_layers(model)
    training = model.training
    model.eval()
    for batch in batches:
        with torch.enable_grad():
            found = [
                (pool, {name: value.detach() for name, value in m.items()})
                for pool, m in _each(model, layers, pools, batch, loss, config.objective)
            ]
        for pool, batch_moments in found:
            pool.judged.update(batch_moments)
            pool.judged_clips += batch[1].shape[1]
    model.train(training)


def _each(
    model: nn.Module, layers: dict[str, Dendritic], pools: list[Pool], batch: Batch, loss: Loss, objective: str
) -> Iterator[tuple[Pool, Moments]]:
    """Every pool's moments of one batch. The error of a gate's t is the neuron's own times what it gates: z with the
    dendrites that are there."""
    errors, outputs = neuron_errors_and_outputs(model, batch, loss)
    shared: dict[str, tuple[Sources, list[Tensor]]] = {}
    for pool in pools:
        layer = layers[pool.layer]
        x, delta = errors[pool.layer]
        if pool.layer not in shared:
            sources = LateSources(layer, x, None if len(layer.branches) else outputs[pool.layer])
            with torch.no_grad():
                shared[pool.layer] = sources, layer.dendrites(sources)
        sources, earlier = shared[pool.layer]
        if pool.spec.join == "gate":
            delta = delta * layer.joined(sources.z, earlier)
        others = None
        if objective == "partial":
            said = zip(layer.t, earlier, layer.specs, strict=True)  # of a set of units, what reaches the neuron
            own = [weighted(t, a, spec) if spec.units else a for t, a, spec in said]
            others = torch.stack([sources.z, *own], 2).detach()
        u, inner = pool.inner_outputs(layer, sources, earlier)
        yield pool, moments(u, delta, others, inner)


@torch.no_grad()
def pick(pool: Pool, best: Tensor) -> tuple[nn.Module, Tensor]:
    """The branch of the candidates `best` (P, C) of every neuron, and its cascade weights (P, C, D).

    Where neurons share weights (the depthwise half of a separable copy) `best` is one candidate a member.
    """
    if pool.size == 1:
        return pool.branch, pool.cascade
    branch = copy.deepcopy(pool.branch)
    change_tensors(branch, lambda value: _pick(value.unflatten(0, (-1, pool.size)), best))
    return branch, _pick(pool.cascade.unflatten(0, (-1, pool.size)), best)


def _pick(value: Tensor, best: Tensor) -> Tensor:
    """(P, K, C, ...) -> (P, C, ...)."""
    if value.dim() < 3 or value.shape[2] != best.shape[1]:  # no neuron axis: shared by a member's neurons
        return value[torch.arange(len(value)), best[:, 0]]
    index = best.reshape(best.shape[0], 1, best.shape[1], *(1,) * (value.dim() - 3))
    return torch.gather(value, 1, index.expand(-1, -1, -1, *value.shape[3:]))[:, 0]
