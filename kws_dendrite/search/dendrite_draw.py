"""How a trial's dendrites grow: what its arm, its net and what was drawn before leave."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from optuna.trial import BaseTrial

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.config import ANY_KIND
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import ModelConfig
from kws_dendrite.search.dims import Choice, NoneFits, Value, draw
from kws_dendrite.search.shapes import dendrite_layers, frames_left, spans
from kws_dendrite.search.space import Arm, Dims
from kws_dendrite.search.untrained import cheapest_dendrite, parameters_of

# Setting -> the kinds that it says something about.
KINDS_WITH = {
    "taps": ("temporal", "plateau", ANY_KIND),
    "dilation": ("temporal", "echo", ANY_KIND),
    "fan_in": ("sparse",),
    "rank": ("lowrank", ANY_KIND),
}
OF_CANDIDATES = ("candidates", "objective", "candidate_epochs", "candidate_learning_rate")
OF_GROWTH = ("held_out", "significance", "budget", "budget_share", "price")
OF_STEPS = ("probe", "tries", "min_improvement", "standard_errors")
NO_CASCADE = ("lowrank", "pool", ANY_KIND)
FIRST = ("kind", "layers", "insertion", "taps")  # which others depend on


def draw_growth(trial: BaseTrial, dims: Dims, arm: Arm, model: ModelConfig) -> DendriteConfig:
    """The arm's growth, on a net that can take such dendrites.

    Raises:
        NoneFits: the space has nothing for this arm and net.
    """
    usual = {"kind": Choice((ANY_KIND if arm == "growth" else "copy",)), "layers": Choice(("all",))}
    dims = {**usual, "insertion": Choice(("converged",)), **dims}
    values: dict[str, Any] = {"mode": arm}
    for name in sorted(dims, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        if not _matters(name, values):
            continue
        dim = dims[name]
        if name in ("kind", "insertion"):  # of what the arm can have at all
            legal = dim.within(lambda value, name=name: can_have(arm, name, value))
            if not legal:
                raise NoneFits(f"no value of dendrites.{name} is for the arm {arm}; give it one")
            dim = Choice(legal)
        values[name] = draw(trial, f"dendrites.{name}", dim, _rule(name, values, model))
    share = values.pop("budget_share", 0.0)
    growth = DendriteConfig(**values)
    return with_budget(growth, model, share) if arm == "growth" else growth


def with_budget(growth: DendriteConfig, model: ModelConfig, share: float) -> DendriteConfig:
    """`growth` whose steps may each add a share of the net's parameters; 0 leaves the budget as it is. No budget is
    below what the cheapest set of dendrites costs."""
    budget = round(share * parameters_of(model)) if share else growth.budget
    if not budget or growth.price != "parameters":
        return growth
    return replace(growth, budget=max(budget, cheapest_dendrite(model, replace(growth, budget=0))))


def can_have(arm: Arm, name: str, value: Value) -> bool:
    """Whether a mode of growth can have this value at all."""
    try:
        DendriteConfig(**{"mode": arm, name: value})
    except ConfigError:
        return False
    return True


def _matters(name: str, drawn: Mapping[str, Any]) -> bool:
    """Whether a setting says anything beside what was drawn."""
    mode, kind = drawn["mode"], drawn.get("kind")
    if name == "layers":
        return kind != "pool"
    if name in KINDS_WITH:
        return kind in KINDS_WITH[name]
    if name in OF_GROWTH:
        return mode == "growth"
    if name in OF_CANDIDATES:
        return mode in ("perforated", "growth")
    if name in OF_STEPS:
        return drawn["insertion"] != "start"
    return name != "cascade" or kind not in NO_CASCADE


def _rule(name: str, drawn: Mapping[str, Any], model: ModelConfig) -> Callable[[Value], bool]:
    """Which values go with the net and with what was drawn."""
    left = frames_left(model)
    if name == "kind":
        return lambda value: bool(dendrite_layers(value, model))
    if name == "layers":
        places = dendrite_layers(drawn["kind"], model)
        return lambda value: value in places
    if name == "taps":
        return lambda value: spans(value, 1, left)
    if name == "dilation":
        taps = model.kernel if drawn["kind"] == "echo" else drawn.get("taps", DendriteConfig.taps)
        return lambda value: spans(taps, value, left)
    return lambda value: True
