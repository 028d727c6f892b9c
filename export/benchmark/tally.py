"""Sums of what was counted, by call, operator and stage: from a trace, or from a report that firmware printed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.count import OPERATOR, REST, STAGE, Call
from kws_dendrite.export.benchmark.report import Count, OperatorCount, StageCount

STAGES = ("pre-emphasis", "FFT", "power", "mel", "log", "DCT", "CMVN")  # enum kws_frontend_stage
CMVN = STAGES.index("CMVN")
NAMES = {
    "kws_model_invoke": "model",
    "kws_frontend_push": "frame",
    "kws_bench_features": "features",
    "kws_bench_push": "detector",
}


@dataclass
class Sum:
    """Totals over `times` runs of something."""

    instructions: float | None = 0
    cycles: float | None = 0
    times: int = 0

    def add(self, instructions: float | None, cycles: float | None) -> None:
        """One more run."""
        self.instructions = (
            None if instructions is None or self.instructions is None else self.instructions + instructions
        )
        self.cycles = None if cycles is None or self.cycles is None else self.cycles + cycles
        self.times += 1

    def mean(self, times: int | None = None) -> Count:
        """For one of `times` runs, of all that were added if None."""
        times = times or self.times
        return Count(*(None if total is None else _tenths(total / times) for total in (self.instructions, self.cycles)))


@dataclass
class Tally:
    """Sums by the name of the call, the operator's index and the stage's index."""

    calls: dict[str, Sum] = field(default_factory=dict)
    operators: dict[int, Sum] = field(default_factory=dict)
    stages: dict[int, Sum] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Frames that the front end completed; its calls where it has no marks."""
        marked = [sum_.times for index, sum_ in self.stages.items() if index != CMVN]
        return max(marked, default=self.calls["frame"].times if "frame" in self.calls else 0)

    def operator_counts(self, rows: dict[int, dict]) -> tuple[OperatorCount, ...]:
        """In order, with what kws_model.json says of them."""
        return tuple(
            OperatorCount(
                index=index,
                operator=str(rows.get(index, {}).get("operator", "")),
                name=str(rows.get(index, {}).get("name", "")),
                kernel=str(rows.get(index, {}).get("kernel", "")),
                shape=tuple(rows.get(index, {}).get("shape", ())),
                macs=int(rows.get(index, {}).get("macs", 0)),
                count=self.operators[index].mean(),
            )
            for index in sorted(self.operators)
        )

    def stage_counts(self) -> tuple[StageCount, ...]:
        """In order, for one frame; CMVN for one decision."""
        return tuple(
            StageCount(STAGES[index] if index < len(STAGES) else f"stage {index}", self.stages[index].mean())
            for index in sorted(self.stages)
        )

    def count_of(self, name: str) -> Count | None:
        """The mean cost of one call; of one frame for "frame"."""
        if name not in self.calls or not self.calls[name].times:
            return None
        return self.calls[name].mean(self.frames if name == "frame" else None)


def tally_calls(plain: Sequence[Call], marked: Sequence[Call]) -> Tally:
    """Sum what traces counted: calls of the build as it ships, operators and stages of the build with marks.

    The marks add no instruction, but the compiler may order those around them in another way.
    """
    tally = Tally()
    for call in plain:
        tally.calls.setdefault(NAMES.get(call.function, call.function), Sum()).add(call.instructions, call.cycles)
    for call in marked:
        for segment in call.segments:
            if segment.kind != REST:
                rows = {OPERATOR: tally.operators, STAGE: tally.stages}[segment.kind]
                rows.setdefault(segment.index, Sum()).add(segment.instructions, segment.cycles)
    return tally


def tally_printed(said: dict[str, Any], per_tick: float | None) -> Tally:
    """Sum what a firmware printed. per_tick: instructions a tick of its clock; None where a tick is a cycle.

    Raises:
        ExportError: something is missing.
    """

    def read(row: Sequence[int]) -> Sum:
        ticks, times = int(row[0]), int(row[1])
        if times < 1:
            raise ValueError("a sum of nothing")
        return Sum(None, ticks, times) if per_tick is None else Sum(ticks * per_tick, None, times)

    try:
        return Tally(
            {str(name): read(row) for name, row in said["calls"].items()},
            {int(index): read(row) for index, row in said["operators"].items()},
            {int(index): read(row) for index, row in said["stages"].items()},
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ExportError(f"the firmware's report is not whole ({type(error).__name__}: {error})") from error


def _tenths(value: float) -> float:
    """To a tenth; whole numbers as such."""
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
