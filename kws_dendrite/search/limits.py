"""Hard limits of a search, and what a net costs: checked before it is trained, on the untrained net with its dendrites.

What a net costs follows from its shape, not from its weights, so an untrained one tells. Dendrites are put in as many
as a trial could grow; where growth itself chooses (mode "growth"), its budget says how many parameters that may be, and
the rest is checked again on the net that came out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import FrontEndConfig, coefficients
from kws_dendrite.plain import Graph, cost
from kws_dendrite.plain.device import CORES, LATENCY_CORES, predict
from kws_dendrite.search.objective import DEFAULT_CORE, Objective
from kws_dendrite.search.proposal import Proposal
from kws_dendrite.search.quantity import parse_latency, parse_size
from kws_dendrite.search.untrained import cheapest_dendrite, largest_graph, parameters_of

# Limit -> (the cost that it is about, its name in a message, its unit).
ABOUT = {
    "max_params": ("parameters", "parameter count", ""),
    "max_macs": ("macs", "MAC count", ""),
    "max_flash": ("flash", "flash", " B"),
    "max_ram": ("ram", "RAM", " B"),
    "max_latency": ("latency_ms", "latency", " ms"),
}


@dataclass(frozen=True)
class Limits:
    """What a net may cost at most; None is no limit.

    Attributes:
        max_params: folded parameters.
        max_macs: of a clip.
        max_flash, max_ram: bytes on `core`, int8.
        max_latency: milliseconds on `core` at `mhz`.
        core: that flash and latency are of.
        mhz: its clock; 0 where no latency is asked for.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_flash: int | None = None
    max_ram: int | None = None
    max_latency: float | None = None
    core: str = DEFAULT_CORE
    mhz: float = 0.0

    def __post_init__(self) -> None:
        for name in ABOUT:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{flag(name)} is above 0; got {value}")
        if self.core not in CORES:
            raise ConfigError(f"costs are known for {', '.join(CORES)}; got {self.core!r}")
        if self.max_latency is not None:
            check_latency(self.core)
            if not self.mhz > 0:
                raise ConfigError(f"--max-latency needs a clock, as in 20ms@{self.core}@80")

    @classmethod
    def parse(
        cls,
        max_params: str | int | None = None,
        max_macs: str | int | None = None,
        max_flash: str | int | None = None,
        max_ram: str | int | None = None,
        max_latency: str | None = None,
        objective: Objective | None = None,
    ) -> "Limits":
        """Limits from a command line: 2000, 8k, 64K, 0.5M, and 20ms@cortex-m4@80, or 20ms where the objective has a
        core and a clock. A k is 1,024 bytes, and 1,000 parameters or MACs.

        Raises:
            ConfigError: text that is none of these, a core without a model, or another core or clock than the
                objective's.
        """
        about = objective or Objective()
        core, mhz, latency = about.core or DEFAULT_CORE, about.mhz, None
        if max_latency is not None:
            latency, named, clock = parse_latency(max_latency)
            core, mhz = named or core, clock or mhz
            if about.core and core != about.core:
                raise ConfigError(
                    f"--objective {about.name} is on {about.core}, --max-latency on {core}: one search has one core"
                )
            if about.mhz and mhz != about.mhz:
                raise ConfigError(
                    f"--objective {about.name} is at {about.mhz:g} MHz, --max-latency at {mhz:g}: one search has one "
                    "clock"
                )
        return cls(
            max_params=parse_size(max_params, "--max-params", 1000),
            max_macs=parse_size(max_macs, "--max-macs", 1000),
            max_flash=parse_size(max_flash, "--max-flash", 1024),
            max_ram=parse_size(max_ram, "--max-ram", 1024),
            max_latency=latency,
            core=core,
            mhz=mhz,
        )

    def __bool__(self) -> bool:
        """Whether there is a limit at all."""
        return any(getattr(self, name) is not None for name in ABOUT)

    def broken_by(self, costs: Mapping[str, float]) -> str | None:
        """The first limit that `costs_of`'s costs are over, as a clause; None where they are within all."""
        for name, (key, noun, unit) in ABOUT.items():
            limit = getattr(self, name)
            if limit is None:
                continue
            if key not in costs:
                raise ConfigError(f"{flag(name)} is about {noun}, which was not counted; got {', '.join(costs)}")
            if costs[key] > limit:
                return f"{noun} {_shown(costs[key])}{unit} is over {flag(name)} {_shown(limit)}{unit}"
        return None

    def to_json(self) -> dict[str, Any]:
        """The limits that there are, and what they are of."""
        value = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: limit for name, limit in value.items() if limit is not None} if self else {}


def flag(name: str) -> str:
    """A limit as the command line has it."""
    return "--" + name.replace("_", "-")


def _shown(value: float) -> str:
    """1,024 and 0.13: whole numbers whole, others to a hundredth."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def check_latency(core: str) -> None:
    """Refuse a latency on a core without a model of cycles."""
    if core not in LATENCY_CORES:
        raise ConfigError(
            f"there is a model of cycles for {', '.join(LATENCY_CORES)} alone, so no --max-latency on {core}; limit "
            "--max-macs, or take another core"
        )


def costs_of(
    graph: Graph,
    frontend: FrontEndConfig | None = None,
    objective: Objective | None = None,
    limits: Limits | None = None,
) -> dict[str, float]:
    """What a folded net costs: parameters, macs; flash (bytes, int8), ram (bytes), instructions on the core that the
    objective or the limits name; latency_ms there, where there is a clock and a model of cycles.

    Where the objective counts the front end too, and there is one, what a device needs for the features of one clip is
    in flash, ram, instructions and latency_ms, and also stands alone: frontend_flash, frontend_ram, ...

    Raises:
        GraphError: the graph is not well formed.
        ConfigError: no costs are known of the front end on that core.
    """
    objective, limits = objective or Objective(), limits or Limits()
    core, mhz = objective.core or limits.core, objective.mhz or limits.mhz
    counted, device = cost(graph), predict(graph, core)
    costs: dict[str, float] = {
        "parameters": counted.parameters,
        "macs": counted.macs,
        "flash": device.flash_bytes,
        "ram": device.ram_bytes,
        "instructions": round(device.instructions),
    }
    if mhz and device.cycles is not None:
        costs["latency_ms"] = round(device.latency_ms(mhz), 6)
    if frontend is None or not objective.frontend:
        return costs
    from kws_dendrite.search.frontend_cost import frontend_costs

    features = frontend_costs(frontend, graph.input.size // coefficients(frontend), core)
    own: dict[str, float] = {
        "flash": features.flash_bytes,
        "ram": features.ram_bytes,
        "instructions": round(features.instructions),
    }
    if "latency_ms" in costs and features.cycles is not None:
        own["latency_ms"] = round(features.cycles / mhz / 1000, 6)
    return {name: value + own.get(name, 0) for name, value in costs.items()} | {
        f"frontend_{name}": value for name, value in own.items()
    }


def proposal_graph(proposal: Proposal) -> Graph:
    """The folded, untrained net of a proposal, with all the dendrites that it is known to grow."""
    return largest_graph(proposal.model, proposal.growth)


def why_over(proposal: Proposal, limits: Limits, objective: Objective | None = None) -> str | None:
    """Why a proposal cannot be within the limits; None where it can. Nothing is trained."""
    if not limits:
        return None
    costs = costs_of(proposal_graph(proposal), proposal.frontend, objective, limits)
    growth = proposal.growth
    if growth is not None and growth.mode == "growth" and growth.budget and growth.price == "parameters":
        costs["parameters"] += growth.budget * growth.dendrites
    return limits.broken_by(costs)


def fitted(proposal: Proposal, limits: Limits) -> Proposal:
    """The proposal with growth that cannot outgrow `max_params`: its steps share what the limit leaves."""
    growth = proposal.growth
    if limits.max_params is None or growth is None or growth.mode != "growth" or growth.price != "parameters":
        return proposal
    least = cheapest_dendrite(proposal.model, growth)
    room = limits.max_params - parameters_of(proposal.model)
    steps = growth.dendrites
    while steps > 1 and room // steps < least:
        steps -= 1
    share = room // steps
    if share < least:  # not even one dendrite: the proposal is over, and `why_over` says so
        return replace(proposal, growth=replace(growth, budget=least))
    budget = min(growth.budget or share, share)
    return replace(proposal, growth=replace(growth, dendrites=steps, budget=max(budget, least)))
