"""What a plain graph will cost on a core before anything is exported: instructions, cycles, flash and RAM."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kws_dendrite.errors import ConfigError, GraphError
from kws_dendrite.plain.arena import plan_arena
from kws_dendrite.plain.device.constants import constant_bytes, use_of
from kws_dendrite.plain.device.emitted import Emitted, emit
from kws_dendrite.plain.device.flash import Code, code_bytes
from kws_dendrite.plain.device.kernels import ISAS, count, kernel_of
from kws_dendrite.plain.device.table import core_table
from kws_dendrite.plain.graph import Graph, Shape

MODELLED = "cortex-m4"  # the core with a model of cycles


@dataclass(frozen=True)
class OperatorCost:
    """One operator's share.

    Attributes:
        operator: TFLite's name.
        nodes: the plain nodes that it stands for.
        kernel: which of the C kernels runs it, "" for none.
        shape: of its output.
        macs: multiply-accumulates.
        instructions: predicted.
        cycles: predicted from modelled ones; None on a core without a model.
    """

    operator: str
    nodes: tuple[str, ...]
    kernel: str
    shape: Shape
    macs: int
    instructions: float
    cycles: float | None


@dataclass(frozen=True)
class DeviceCost:
    """What one model costs on one core, built with the table's compiler at its flags (-O2).

    Attributes:
        core: "cortex-m4", ...
        operators: in the order in which they run.
        instructions: of one inference.
        cycles: of one inference, from a model of the core without flash wait states; None without a model.
        flash: bytes of the kernels, the C library, the model's code and its constants, by part.
        arena_bytes: working memory of one inference.
        ram_bytes: arena, input and output; the stack is not in it.
        decisions_per_second: inferences a second.
    """

    core: str
    operators: tuple[OperatorCost, ...]
    instructions: float
    cycles: float | None
    flash: Code
    arena_bytes: int
    ram_bytes: int
    decisions_per_second: float

    @property
    def flash_bytes(self) -> int:
        """Of the model and all it needs."""
        return self.flash.total

    @property
    def instructions_per_second(self) -> float:
        """Of all a second's inferences."""
        return self.instructions * self.decisions_per_second

    def latency_ms(self, mhz: float) -> float:
        """Milliseconds of one inference at a clock.

        Raises:
            ConfigError: the core has no model of cycles, or the clock is not positive.
        """
        if self.cycles is None:
            raise ConfigError(
                f"{self.core} has no model of cycles, so no latency; {MODELLED} has one, and instructions:{self.core} "
                "counts instructions"
            )
        if not 0 < mhz < math.inf:
            raise ConfigError(f"a clock is a positive number of MHz; got {mhz:g}")
        return self.cycles / mhz / 1000

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings and lists."""
        rows = [asdict(row) | {"nodes": list(row.nodes), "shape": list(row.shape)} for row in self.operators]
        return asdict(self) | {
            "operators": rows,
            "flash": asdict(self.flash),
            "flash_bytes": self.flash_bytes,
            "instructions_per_second": self.instructions_per_second,
        }


def predict(
    graph: Graph,
    core: str = MODELLED,
    *,
    decisions_per_second: float = 1.0,
    table: Mapping[str, Any] | None = None,
) -> DeviceCost:
    """Predict the cost of the C that the graph would become.

    Args:
        graph: what `fold` gave.
        core: one of the table's.
        decisions_per_second: inferences a second.
        table: another table of costs than the package's.

    Raises:
        ConfigError: an unknown core, or a rate that is not positive.
        GraphError: the graph is not well formed.
    """
    if not 0 < decisions_per_second < math.inf:
        raise ConfigError(f"decisions a second are a positive number; got {decisions_per_second:g}")
    costs = core_table(core, table)
    operators = emit(graph)
    if not operators:
        raise GraphError("the graph has no operator to run")
    rows = tuple(_cost(operator, core, costs["kernels"]) for operator in operators)
    modelled = rows[0].cycles is not None
    call = costs["call"]
    arena = plan_arena([use_of(operator) for operator in operators], graph.input.name, graph.output.name).size
    isa = ISAS[core]
    held = -(-arena // 8) * 8  # kws_arena is made of 64-bit words
    return DeviceCost(
        core=core,
        operators=rows,
        instructions=call["instructions"] + sum(row.instructions for row in rows),
        cycles=call["cycles"] + sum(row.cycles or 0 for row in rows) if modelled else None,
        flash=code_bytes(operators, isa, costs["code"], constant_bytes(operators, isa)),
        arena_bytes=arena,
        ram_bytes=-(-(held + graph.input.size + math.prod(operators[-1].shape)) // 8) * 8,
        decisions_per_second=decisions_per_second,
    )


def _cost(operator: Emitted, core: str, kernels: Mapping[str, Any]) -> OperatorCost:
    isa = ISAS[core]
    kernel = kernel_of(operator, isa)
    costs = kernels[kernel] if kernel else {"instructions": {}}
    counts = count(operator, isa)

    def total(per_count: Mapping[str, float]) -> float:
        return max(0.0, sum(per_count.get(name, 0.0) * value for name, value in counts.items()))

    return OperatorCost(
        operator=operator.operator,
        nodes=operator.nodes,
        kernel=kernel,
        shape=operator.shape,
        macs=operator.macs,
        instructions=total(costs["instructions"]),
        cycles=total(costs.get("cycles", {})) if core == MODELLED else None,
    )
