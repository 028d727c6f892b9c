"""Which layers of a model that is not this project's can take dendrites, and why the others cannot: one pass tells."""

import fnmatch
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kws_dendrite.dendrites import torch_layers as plain
from kws_dendrite.dendrites.branches import available
from kws_dendrite.dendrites.config import ANY_KIND, DendriteConfig
from kws_dendrite.dendrites.layer import Dendritic
from kws_dendrite.dendrites.places import errors
from kws_dendrite.dendrites.pool import CHOICE, make_spec
from kws_dendrite.dendrites.torch_places import Place, standing_still, tensors, total, unwrap_stale, wrap
from kws_dendrite.errors import ConfigError, DataError

InPlace = Literal["refuse", "copy"]
Wanted = str | type[nn.Module] | Sequence[str | type[nn.Module]] | None
Run = Callable[[], Any]  # one forward pass; what the model, or the loss, gives
SHOWN = 4  # layers named in one line
ROUNDING = 1e-5  # torch's fused path of encoder layers rounds in another way than the plain one
_PASSED_BY = (
    "cannot be wrapped without changing what the model gives: nn.TransformerEncoder passes padded places by in "
    "evaluation (give it enable_nested_tensor=False), or the forward code goes by the layer's type or weights"
)
_MULTIHEAD = "nn.MultiheadAttention reads its weights itself and never runs it"


@dataclass
class _Seen:
    """What a pass showed of one layer."""

    calls: int = 0
    positions: int = 1
    output: Tensor | None = None
    version: int = 0
    reads: Tensor | None = None
    kept: Tensor | None = None  # a BatchNorm's output before anything overwrote it
    writes: list[Tensor] = field(default_factory=list)


def survey(
    model: nn.Module,
    run: Run,
    config: DendriteConfig,
    layers: Wanted = None,
    skip: Sequence[str] = (),
    in_place: InPlace = "refuse",
) -> list[Place]:
    """Every layer that was asked for, with what it lacks. The model is as it was afterwards.

    Args:
        run: one pass through `model` of a batch, its loss if there is one.
        layers: names (or patterns such as "blocks.*.conv1", or what holds them) and types; None goes by
            `config.layers`.
        skip: names or patterns of layers to leave alone.

    Raises:
        ConfigError: nothing to take them: no such name, no layer of such a type, none at all.
        DataError: the batch's loss is not finite.
    """
    check_model(model)
    candidates = _candidates(model)
    if not candidates:
        raise ConfigError(f"the model has no layer that can take dendrites: those are {plain.NAMES}")

    def run_again() -> Any:
        torch.manual_seed(0)  # of a stream that is put back: passes are compared
        return run()

    with standing_still(model):
        seen, writers, order = _trace(model, candidates, run_again)
        pairs = _only_readers(model, run_again, _pairs(model, candidates, seen), seen)
        names = _wanted(model, candidates, config, layers, order)
        names = [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in skip)]
        if not names:
            raise ConfigError("every layer that could take dendrites is skipped; name fewer in `skip`")
        by_name = layers is not None and not isinstance(layers, type)
        places = [
            _judge(model, candidates, name, seen, pairs, writers, config, in_place, named=by_name) for name in names
        ]
        return _without_gradient(model, run_again, _checked(model, run_again, places, config), config)


def check_model(model: nn.Module) -> None:
    """See that it is a model whose layers can be replaced at all.

    Raises:
        ConfigError: it is not; says what to grow instead.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"the model is a torch.nn.Module; got a {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise ConfigError("a scripted model's layers cannot be replaced; grow the model it was made from")
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        raise ConfigError("a compiled model keeps its first layers; grow the model first, then compile")
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        raise ConfigError("the model has lazy layers that have no weights yet; run a batch through it first")
    if plain.is_plain(model):
        raise ConfigError(f"the model itself is a single {type(model).__name__}: put it into an nn.Sequential first")


def refuse(places: Sequence[Place], config: DendriteConfig) -> list[Place]:
    """The places that can take dendrites.

    Raises:
        ConfigError: a mistake in one of them, or none is left.
    """
    wrong = [place for place in places if place.fatal]
    if wrong:
        more = f" (and {len(wrong) - SHOWN} more)" if len(wrong) > SHOWN else ""
        raise ConfigError(
            "; ".join(f"layer {place.name!r} {place.why_not}" for place in wrong[:SHOWN])
            + f"{more}. Or leave such layers out with skip=[...]"
        )
    good = [place for place in places if not place.why_not]
    if not good:
        raise ConfigError(
            f"no layer can take dendrites of kind {config.kind!r}: "
            + "; ".join(f"{place.name}: {place.why_not}" for place in places[:SHOWN])
        )
    return good


def _candidates(model: nn.Module) -> dict[str, nn.Module]:
    """Layers that are served, by their first name; those wrapped before, as `Dendritic`."""
    found: dict[str, nn.Module] = {}
    wrapped: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if name.startswith(wrapped):
            continue
        if isinstance(module, Dendritic):
            wrapped += (f"{name}.",)
            if plain.is_plain(module.base):
                found[name] = module
        elif isinstance(module, plain.SERVED):
            found[name] = module
    return found


def _wanted(
    model: nn.Module, candidates: dict[str, nn.Module], config: DendriteConfig, layers: Wanted, order: list[str]
) -> list[str]:
    inner = {name: module.base if isinstance(module, Dendritic) else module for name, module in candidates.items()}
    inner = {name: plain.split(module)[0] for name, module in inner.items()}
    if layers is None:
        if config.layers == "all":
            return list(candidates)
        kept = [name for name, module in inner.items() if isinstance(module, plain.CONVOLUTIONS)]
        if config.layers == "head":
            kept = [name for name in order if isinstance(inner[name], nn.Linear)][-1:]
        if not kept:
            raise ConfigError(f"the model has no layer for dendrites={config.layers!r}; take another setting of layers")
        return kept
    asked = [layers] if isinstance(layers, (str, type)) else list(layers)
    chosen: set[str] = set()
    for one in asked:
        if isinstance(one, type):
            hits = {name for name, module in inner.items() if isinstance(module, one)}
            if not hits:
                raise ConfigError(
                    f"the model has no {one.__name__} that can take dendrites: those are {plain.NAMES}; it has "
                    f"{_some(list(candidates))}"
                )
        else:
            hits = {name for name in inner if fnmatch.fnmatchcase(name, one) or name.startswith(f"{one}.")}
            if not hits:
                raise ConfigError(_no_such(model, one, list(candidates)))
        chosen |= hits
    return [name for name in candidates if name in chosen]


def _no_such(model: nn.Module, name: str, candidates: list[str]) -> str:
    modules = dict(model.named_modules(remove_duplicate=False))
    if name in modules:
        first = next((other for other in candidates if modules[other] is modules[name]), None)
        if first is not None:
            return f"layer {name!r} is {first!r} under another name; a layer shared by two names takes no dendrites"
        return f"layer {name!r} is of type {type(modules[name]).__name__}, which takes no dendrites: {plain.NAMES} do"
    return f"the model has no layer named {name!r}; it has {_some(candidates)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _trace(
    model: nn.Module, candidates: dict[str, nn.Module], run: Run
) -> tuple[dict[str, _Seen], dict[str, _Seen], list[str]]:
    """What one pass showed of the layers and of every BatchNorm; modules that overwrite; the order of the layers."""
    seen: dict[str, _Seen] = {}
    writers: dict[str, _Seen] = {}
    order: list[str] = []
    hooks = []

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            one = seen.setdefault(name, _Seen())
            one.calls += 1
            if not isinstance(output, Tensor) or not inputs:
                return
            one.output, one.version, one.reads = output, output._version, inputs[0]
            if name not in candidates:
                one.kept = output.clone()
            elif name not in order:
                order.append(name)

        return hook

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            writers.setdefault(name, _Seen()).writes += [one for one in inputs[:1] if isinstance(one, Tensor)]

        return hook

    try:
        for name, module in model.named_modules():
            if name in candidates or isinstance(module, plain.NORMS):
                hooks.append(module.register_forward_hook(keep(name)))
            if getattr(module, "inplace", False) is True:
                hooks.append(module.register_forward_pre_hook(note(name)))
        with torch.no_grad():
            value = run()
    finally:
        for hook in hooks:
            hook.remove()
    if not all(one.isfinite().all() for one in tensors(value)):
        raise DataError("what the model gives on this batch, or its loss, is not finite: nothing can be grown on that")
    return seen, writers, order


def _pairs(model: nn.Module, candidates: dict[str, nn.Module], seen: dict[str, _Seen]) -> dict[str, str]:
    """Layer -> the BatchNorm that reads its output, where each of the two runs once."""
    norms = {name: module for name, module in model.named_modules() if isinstance(module, plain.NORMS)}
    pairs = {}
    for name, layer in candidates.items():
        found = seen.get(name)
        if isinstance(layer, Dendritic) or found is None or found.calls != 1:
            continue
        for other, norm in norms.items():
            read = seen.get(other)
            if read is None or read.calls != 1 or read.reads is not found.output or norm.running_mean is None:
                continue
            if len(norm.running_mean) == plain.outputs(layer):
                pairs[name] = other
    return pairs


def _judge(
    model: nn.Module,
    candidates: dict[str, nn.Module],
    name: str,
    seen: dict[str, _Seen],
    pairs: dict[str, str],
    writers: dict[str, _Seen],
    config: DendriteConfig,
    in_place: InPlace,
    *,
    named: bool,
) -> Place:
    """A place, with the first thing that speaks against it."""
    module = candidates[name]
    grown = isinstance(module, Dendritic)
    norm = pairs.get(name, "")
    title = type(plain.split(module.base)[0] if grown else module).__name__
    title += f" and {type(model.get_submodule(norm)).__name__}" if norm else ""
    place = Place(name, title, norm)
    others = [other for other, same in model.named_modules(remove_duplicate=False) if same is module and other != name]
    if others:
        return replace(
            place, fatal=True, why_not=f"is {others[0]!r} too: one layer shared by two names takes no dendrites; give "
            "each name a layer of its own",
        )  # fmt: skip
    parent = model.get_submodule(name.rpartition(".")[0])
    if isinstance(parent, nn.MultiheadAttention):
        return replace(place, why_not=_MULTIHEAD, fatal=named)
    found = seen.get(name)
    if found is None or found.output is None:
        return replace(place, why_not="does not run in a pass of this batch, so it gets no gradient", fatal=True)
    base = module.base if grown else module
    axes = plain.spatial(base)
    if found.output.dim() < 2 + axes:
        return replace(place, why_not="got an input without an axis of clips; give a batch", fatal=True)
    place = replace(place, positions=found.output[0].numel() // plain.outputs(base))
    if found.calls > 1 and config.mode in ("perforated", "growth"):
        return replace(
            place, fatal=True, why_not=f"runs {found.calls} times in a pass, so its neurons have no one error to learn "
            "from; take mode 'gradient'",
        )  # fmt: skip
    end = seen[norm] if norm else found
    if in_place == "refuse" and end.output is not None and end.output._version > end.version:
        who = next(
            (f"{other!r}" for other, w in writers.items() if any(one is end.output for one in w.writes)),
            "an operation behind it",
        )
        return replace(
            place, fatal=True, why_not=f"has its output overwritten in place by {who}; give that inplace=False, or set "
            "in_place='copy', which reads the errors from a copy",
        )  # fmt: skip
    kinds = CHOICE if config.kind == ANY_KIND else (config.kind,)
    reasons = [available(base, make_spec(kind, config)) for kind in kinds]
    if all(reasons):
        return replace(place, why_not=reasons[0] or "", fatal=named)
    return place


def _only_readers(model: nn.Module, run: Run, pairs: dict[str, str], seen: dict[str, _Seen]) -> dict[str, str]:
    """Those of the pairs where the BatchNorm alone reads its layer's output; elsewhere wrapping both as one would
    change the function, so the dendrites stand before the BatchNorm."""
    if not pairs or _unread(model, run, pairs, seen):
        return pairs
    return {name: norm for name, norm in pairs.items() if _unread(model, run, {name: norm}, seen)}


def _unread(model: nn.Module, run: Run, pairs: dict[str, str], seen: dict[str, _Seen]) -> bool:
    """Whether a pass comes out the same where these layers give NaN, and their BatchNorms what they gave before."""

    def instead(value: Tensor) -> Callable[..., Tensor]:
        return lambda module, inputs, output: value.clone()

    hooks = []
    with torch.no_grad():
        before = [one.clone() for one in tensors(run())]
        try:
            for name, norm in pairs.items():
                layer, behind = seen[name].output, seen[norm].kept
                assert layer is not None and behind is not None
                hooks.append(model.get_submodule(name).register_forward_hook(instead(torch.full_like(layer, math.nan))))
                hooks.append(model.get_submodule(norm).register_forward_hook(instead(behind)))
            after = tensors(run())
        finally:
            for hook in hooks:
                hook.remove()
    return len(before) == len(after) and all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def _checked(model: nn.Module, run: Run, places: list[Place], config: DendriteConfig) -> list[Place]:
    """The places, less those that cannot be wrapped without a change."""
    good = [place for place in places if not place.why_not]
    if not good or _keeps(model, run, good, config):
        return places
    wrong = {place.name for place in good if not _keeps(model, run, [place], config)}
    return [replace(place, why_not=_PASSED_BY, fatal=True) if place.name in wrong else place for place in places]


def _keeps(model: nn.Module, run: Run, places: list[Place], config: DendriteConfig) -> bool:
    with torch.no_grad():
        before = [one.clone() for one in tensors(run())]
        wrap(model, places, config)
        try:
            after = tensors(run())
        finally:
            unwrap_stale(model)
    return len(before) == len(after) and all(
        torch.allclose(one, other, rtol=ROUNDING, atol=ROUNDING * float(one.abs().max()) if one.numel() else 0.0)
        for one, other in zip(before, after, strict=True)
    )


def _without_gradient(model: nn.Module, run: Run, places: list[Place], config: DendriteConfig) -> list[Place]:
    good = [place for place in places if not place.why_not]
    if not good:
        return places
    wrap(model, good, config)
    try:
        with torch.enable_grad():
            reached = _reached(model, run)
    finally:
        unwrap_stale(model)
    why = "gets no gradient from the loss: something behind it is detached or unused, so nothing could be learned there"
    return [
        replace(place, why_not=why, fatal=True) if not place.why_not and place.name not in reached else place
        for place in places
    ]


def _reached(model: nn.Module, run: Run) -> set[str]:
    def scalar() -> Tensor:
        value = total(run())
        if not value.requires_grad:
            raise _NoGradient
        return value

    try:
        return set(errors(model, scalar))
    except _NoGradient:
        return set()


class _NoGradient(Exception):
    """The loss depends on nothing that could learn."""
