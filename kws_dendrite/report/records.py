"""What a report is drawn from, besides the trials: small frozen records, each read from one entry of a run's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kws_dendrite.report.fields import mapping, number, numbers, whole


@dataclass(frozen=True)
class Epoch:
    """One epoch of training; a tuple holds one value per seed, or one for all, or nothing."""

    epoch: int
    phase: str
    train_loss: tuple[float, ...]
    train_accuracy: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    learning_rate: float | None


@dataclass(frozen=True)
class GrowthStep:
    """One attempt to grow, just before `epoch`. `details` is everything else that the growth history says of it."""

    epoch: int
    kind: str
    accepted: bool
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Hop:
    """One float step of the parity chain.

    Attributes:
        source, target: what was compared.
        worst: largest absolute difference of a probability over all clips.
        bound: what it may be at most.
        worst_logits: the same before the softmax, if compared.
        agreement: share of clips with equal decisions.
        passed: worst is within the bound; None where either is unknown.
    """

    source: str
    target: str
    worst: float | None
    bound: float | None
    worst_logits: float | None
    agreement: float | None
    passed: bool | None


@dataclass(frozen=True)
class Quantised:
    """An int8 artefact beside the float graph, on the same clips.

    Attributes:
        name: of the artefact.
        accuracy, float_accuracy: its own and the float graph's.
        agreement: share of clips with the float graph's decision.
        worst: largest absolute difference of a probability; nothing bounds it.
        noise: layer -> signal to noise in dB.
    """

    name: str
    accuracy: float | None
    float_accuracy: float | None
    agreement: float | None
    worst: float | None
    noise: Mapping[str, float]


@dataclass(frozen=True)
class Artefact:
    """One exported file: its size, its latency on a host (what ran it, and where), its accuracy; any may be unknown."""

    name: str
    runtime: str = ""
    machine: str = ""
    bytes: int | None = None
    median_us: float | None = None
    p10_us: float | None = None
    p90_us: float | None = None
    runs: int | None = None
    accuracy: float | None = None


def epoch_from(record: Mapping[str, Any], where: str) -> Epoch:
    """One entry of model.json's "history"."""
    return Epoch(
        epoch=int(number(record, "epoch", where) or 0),
        phase=str(record.get("phase") or ""),
        train_loss=numbers(record, "train_loss", where),
        train_accuracy=numbers(record, "train_accuracy", where),
        validation_loss=numbers(record, "validation_loss", where),
        validation_accuracy=numbers(record, "validation_accuracy", where),
        learning_rate=number(record, "learning_rate", where),
    )


def growth_from(record: Mapping[str, Any], where: str) -> GrowthStep:
    """One entry of model.json's "growth"."""
    known = ("epoch", "kind", "accepted")
    return GrowthStep(
        epoch=int(number(record, "epoch", where) or 0),
        kind=str(record.get("kind") or "growth"),
        accepted=bool(record.get("accepted")),
        details={key: value for key, value in record.items() if key not in known},
    )


# How parity.json calls things, and how they are called here.
STAGES = {
    "torch": "PyTorch",
    "plain": "plain graph",
    "onnx": "ONNX",
    "tflite": "TFLite",
    "onnx_int8": "ONNX int8",
    "tflite_int8": "TFLite int8",
}


def hop_from(record: Mapping[str, Any], where: str) -> Hop:
    """One entry of parity.json's "hops"; its name reads "plain -> onnx"."""
    worst, bound = number(record, "worst", where), number(record, "bound", where)
    source, _, target = (part.strip() for part in str(record.get("name") or "?").partition("->"))
    return Hop(
        source=STAGES.get(source, source),
        target=STAGES.get(target, target),
        worst=worst,
        bound=bound,
        worst_logits=number(record, "worst_logits", where),
        agreement=number(record, "equal_decisions", where),
        passed=None if worst is None or bound is None else worst <= bound,
    )


def quantised_from(record: Mapping[str, Any], where: str) -> Quantised:
    """One entry of parity.json's "int8"."""
    name = str(record.get("name") or "?")
    layers = mapping(record, "signal_to_noise_db", where)
    noise = {str(layer): number(layers, layer, where) for layer in layers}
    return Quantised(
        name=STAGES.get(name, name),
        accuracy=number(record, "accuracy", where),
        float_accuracy=number(record, "float_accuracy", where),
        agreement=number(record, "equal_decisions", where),
        worst=number(record, "worst", where),
        noise={layer: value for layer, value in noise.items() if value is not None},
    )


def artefact_from(record: Mapping[str, Any], where: str, accuracy: float | None = None) -> Artefact:
    """One row of benchmark.json, with the accuracy that evaluation.json gives for it."""
    return Artefact(
        name=str(record.get("artefact") or record.get("name") or "?"),
        runtime=str(record.get("runtime") or ""),
        machine=str(record.get("machine") or ""),
        bytes=whole(number(record, "bytes", where)),
        median_us=number(record, "median_us", where),
        p10_us=number(record, "p10_us", where),
        p90_us=number(record, "p90_us", where),
        runs=whole(number(record, "runs", where)),
        accuracy=accuracy,
    )
