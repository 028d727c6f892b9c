"""What a search makes large, accuracy or negative loss, and what it holds against it: parameters, or device costs."""

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from kws_dendrite.errors import ConfigError
from kws_dendrite.plain import Graph, cost
from kws_dendrite.plain.device import CORES, LATENCY_CORES, predict
from kws_dendrite.plain.device.table import core_table

PARAMS = "params"
DEFAULT_CORE = "cortex-m4"  # of flash, where none is named
LABELS = {
    "params": "Folded parameters",
    "macs": "Multiply-accumulates of a clip",
    "flash": "Flash on {core}, bytes",
    "ram": "RAM of an inference, bytes",
    "latency": "Latency on {core} at {mhz:g} MHz, ms",
    "instructions": "Instructions of an inference on {core}",
}
FORMS = "params, macs, flash[:CORE], ram, latency:CORE@MHZ, instructions:CORE"
COSTS = {"params": "parameters", "latency": "latency_ms"}  # kind -> its name among costs, where that is another
Maximise = Literal["accuracy", "loss"]
FRONTEND = "+frontend"


@dataclass(frozen=True)
class Objective:
    """What is to be small, and what is to be large.

    Attributes:
        kind: a key of `LABELS`.
        core: of flash, latency and instructions; "" for the others.
        mhz: the clock of a latency.
        frontend: whether flash, RAM, latency and instructions are those of the front end and the net together.
        maximise: the mean validation "accuracy", or the negative mean validation "loss".
    """

    kind: str = PARAMS
    core: str = ""
    mhz: float = 0.0
    frontend: bool = False
    maximise: Maximise = "accuracy"

    def __post_init__(self) -> None:
        if self.maximise not in get_args(Maximise):
            raise ConfigError(_not_maximised(self.maximise))

    @property
    def name(self) -> str:
        """As `--objective` takes it."""
        clock = f"@{self.mhz:g}" if self.mhz else ""
        alone = f"{self.kind}:{self.core}{clock}" if self.core else self.kind
        return alone + FRONTEND if self.frontend else alone

    @property
    def label(self) -> str:
        """Of an axis."""
        text = LABELS[self.kind].format(core=self.core, mhz=self.mhz)
        return f"{text}, front end included" if self.frontend and self.kind not in ("params", "macs") else text

    def counting(self, frontend: bool) -> "Objective":
        """The same, with the front end counted where `frontend` says so: a search over front ends has to."""
        return replace(self, frontend=self.frontend or frontend)

    def merit(self, accuracy: float, loss: float) -> float:
        """What is to be large, of a mean validation accuracy and loss."""
        return accuracy if self.maximise == "accuracy" else -loss

    def value(self, costs: Mapping[str, float]) -> float:
        """What is to be small, of what `limits.costs_of` counted for this objective."""
        return costs[COSTS.get(self.kind, self.kind)]

    def measure(self, graph: Graph) -> float:
        """The folded net's value, the net alone.

        Raises:
            GraphError: the graph is not well formed, or has no form on a device.
        """
        if self.kind in ("params", "macs"):
            counted = cost(graph)
            return counted.parameters if self.kind == "params" else counted.macs
        device = predict(graph, self.core or DEFAULT_CORE)
        match self.kind:
            case "flash":
                return device.flash_bytes
            case "ram":
                return device.ram_bytes
            case "latency":
                return round(device.latency_ms(self.mhz), 6)
        return round(device.instructions)

    def made_of(self) -> dict[str, Any]:
        """What a study must agree on to be resumed; nothing for parameters and accuracy, as studies always had it."""
        known: dict[str, Any] = {} if self.maximise == "accuracy" else {"maximise": self.maximise}
        if self.kind == PARAMS and not self.frontend:
            return known
        known["objective"] = self.name
        if self.core:  # RAM follows from the plan, not from what was measured
            costs = json.dumps(core_table(self.core), sort_keys=True).encode()
            known["device costs"] = hashlib.sha256(costs).hexdigest()[:12]
        return known


PARAMETERS = Objective()


def parse_objective(text: str, maximise: str = "accuracy") -> Objective:
    """The objective that `text` names: params, macs, flash[:CORE], ram, latency:CORE@MHZ or instructions:CORE; with
    +frontend behind it, the front end's share is counted too.

    Args:
        maximise: against it: accuracy or loss.

    Raises:
        ConfigError: none of these; the message has the nearest one.
    """
    alone, plus, behind = text.strip().partition("+")
    if plus and f"+{behind}" != FRONTEND:
        raise ConfigError(f"what stands behind an objective is {FRONTEND}, to count the front end too; got {text!r}")
    if maximise not in get_args(Maximise):
        raise ConfigError(_not_maximised(maximise))
    return replace(_parse_alone(alone), frontend=bool(plus), maximise=maximise)


def _not_maximised(name: str) -> str:
    if name.startswith(("miss", "false")):
        return (
            f"--maximise {name}: there is no evaluation on continuous audio yet, so no miss rate at a false-accept "
            "rate; take accuracy or loss"
        )
    known = get_args(Maximise)
    return f"--maximise is {' or '.join(known)}; got {name!r}{_nearest(name, known)}"


def _parse_alone(text: str) -> Objective:
    kind, colon, rest = text.strip().partition(":")
    if kind not in LABELS:
        raise ConfigError(f"--objective is one of {FORMS}; got {text!r}{_nearest(kind, LABELS)}")
    if kind in ("params", "macs", "ram"):
        if colon:
            raise ConfigError(f"--objective {kind} is the same on every core and takes none; got {text!r}")
        return Objective(kind)
    core, at, clock = rest.partition("@")
    if kind == "flash" and not colon:
        core = DEFAULT_CORE
    if core not in CORES:
        raise ConfigError(
            f"--objective {kind} needs a core, one of {', '.join(CORES)}; got {text!r}{_nearest(core, CORES)}"
        )
    if kind != "latency":
        if at:
            raise ConfigError(f"--objective {kind}:{core} has no clock; got {text!r}, did you mean latency:{rest}?")
        return Objective(kind, core)
    if core not in LATENCY_CORES:
        raise ConfigError(
            f"there is a model of cycles for {', '.join(LATENCY_CORES)} alone, so no latency on {core}; "
            f"take instructions:{core}"
        )
    return Objective(kind, core, _clock(clock, text))


def _clock(clock: str, text: str) -> float:
    try:
        mhz = float(clock)
    except ValueError:
        mhz = 0.0
    if not 0 < mhz < math.inf:
        raise ConfigError(f"a latency needs a clock in MHz, as in latency:{DEFAULT_CORE}@80; got {text!r}")
    return mhz


def _nearest(given: str, known: Any) -> str:
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.3)
    return f", did you mean {close[0]}?" if close else ""
