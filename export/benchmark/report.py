"""What the device benchmark reports: one core, one model, in numbers that know their JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.footprint import Footprint, PartSize


@dataclass(frozen=True)
class Count:
    """A cost: instructions (None on a board, which counts cycles) and cycles (None: no model of the core).

    Means where something ran several times, to a tenth.
    """

    instructions: float | None
    cycles: float | None = None

    def __add__(self, other: "Count") -> "Count":
        return Count(_sum(self.instructions, other.instructions), _sum(self.cycles, other.cycles))

    def times(self, factor: float) -> "Count":
        """So many of it."""
        return Count(_scaled(self.instructions, factor), _scaled(self.cycles, factor))


@dataclass(frozen=True)
class OperatorCount:
    """One operator of the model in one inference; an operator fused into another has no count of its own.

    Attributes:
        index, operator, name, kernel, shape, macs: as kws_model.json has them.
        count: its cost.
    """

    index: int
    operator: str
    name: str
    kernel: str
    shape: tuple[int, ...]
    macs: int
    count: Count


@dataclass(frozen=True)
class StageCount:
    """One stage of the front end, for one frame; CMVN and quantisation for one decision."""

    stage: str
    count: Count


@dataclass(frozen=True)
class Accuracy:
    """The core's outputs against LiteRT's: clips, how many have all output bytes equal, how many decide alike."""

    clips: int
    equal: int
    decisions: int


@dataclass(frozen=True)
class Second:
    """One second of audio through the detector as it ran: its whole cost, and the inferences among it."""

    count: Count
    inferences: int


@dataclass(frozen=True)
class DeviceReport:
    """A model on a core.

    Attributes:
        target: the core, or "board".
        method: "trace" (instructions, exact), "timer" (SysTick in the emulator, to some instructions a call) or
            "board" (cycles, measured).
        model_sha256: of the .tflite that the sources were generated from.
        compiler, flags, elf_sha256, emulator: what counted what; counts belong to a binary.
        inference: one run of the model.
        operators: the model's, in order; `rest` of the inference is what they leave.
        frame: one frame of the front end; None without one, as what follows.
        stages: of a frame, in order.
        features: CMVN and quantisation of the window, for one decision.
        frames_per_second, decisions_per_second: of audio.
        second: a second of audio through the detector, measured as a whole.
        footprint: flash and RAM; None for a board.
        stack: bytes below the caller, by call (model, frame, features, detector); empty where none was painted.
        accuracy: None where nothing was compared.
    """

    target: str
    method: str
    model_sha256: str
    compiler: str
    flags: tuple[str, ...]
    elf_sha256: str
    emulator: str
    inference: Count
    operators: tuple[OperatorCount, ...]
    frame: Count | None
    stages: tuple[StageCount, ...]
    features: Count | None
    frames_per_second: float
    decisions_per_second: float
    second: Second | None = None
    footprint: Footprint | None = None
    stack: dict[str, int] | None = None
    accuracy: Accuracy | None = None

    @property
    def decision(self) -> Count:
        """One decision: CMVN, quantisation, inference."""
        return self.inference + self.features if self.features else self.inference

    @property
    def per_second(self) -> Count | None:
        """A second of audio: its frames and its decisions; None without a front end."""
        if self.frame is None:
            return None
        return self.frame.times(self.frames_per_second) + self.decision.times(self.decisions_per_second)

    @property
    def ram(self) -> int | None:
        """State and stack, in bytes."""
        return self.footprint.ram + max((self.stack or {}).values(), default=0) if self.footprint else None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings, lists; the sums among them."""
        value = asdict(self)
        value["flags"] = list(self.flags)
        value["operators"] = [{**row, "shape": list(row["shape"])} for row in value["operators"]]
        value["stages"] = list(value["stages"])
        value["footprint"] = self.footprint.to_json() if self.footprint else None
        value["decision"] = asdict(self.decision)
        value["per_second"] = asdict(self.per_second) if self.per_second else None
        value["ram"] = self.ram
        return value


def from_json(value: dict[str, Any]) -> DeviceReport:
    """What `to_json` gave.

    Raises:
        ExportError: something else.
    """
    try:
        fields = {name: value[name] for name in DeviceReport.__dataclass_fields__}
        fields["flags"] = tuple(fields["flags"])
        for name in ("inference", "frame", "features"):
            fields[name] = _count(fields[name])
        fields["operators"] = tuple(
            OperatorCount(**{**row, "shape": tuple(row["shape"]), "count": _count(row["count"])})
            for row in fields["operators"]
        )
        fields["stages"] = tuple(StageCount(row["stage"], _count(row["count"])) for row in fields["stages"])
        if fields["second"]:
            fields["second"] = Second(_count(fields["second"]["count"]), fields["second"]["inferences"])
        if fields["footprint"]:
            parts = tuple(PartSize(**row) for row in fields["footprint"]["parts"])
            fields["footprint"] = Footprint(parts, dict(fields["footprint"]["sections"]))
        if fields["accuracy"]:
            fields["accuracy"] = Accuracy(**fields["accuracy"])
        return DeviceReport(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"this is no report of the device benchmark ({type(error).__name__}: {error})") from error


def _count(value: dict[str, float | None] | None) -> Count | None:
    return None if value is None else Count(**value)


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else round(a + b, 1)


def _scaled(a: float | None, factor: float) -> float | None:
    return None if a is None else round(a * factor, 1)
