"""All rules over one file: what would fail on a target, go silently wrong there, or be slow."""

from collections.abc import Callable, Iterator
from pathlib import Path

from kws_dendrite.errors import ExportError
from kws_dendrite.export.check import borders, kinds, scales, values
from kws_dendrite.export.check.arena import estimate_arena
from kws_dendrite.export.check.case import Case
from kws_dendrite.export.check.findings import SEVERITIES, Finding, Report
from kws_dendrite.export.check.model import Model, Tensor, read_model
from kws_dendrite.export.check.targets import find_target

MOST_FINDINGS = 200  # a person reads ten
RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    kinds.check_format,
    borders.check_counts,
    borders.check_shapes,
    borders.check_types,
    borders.check_form,
    borders.check_labels,
    kinds.check_operators,
    kinds.check_types,
    kinds.check_int16,
    kinds.check_variables,
    values.check_hybrid,
    values.check_last,
    values.check_zero,
    values.check_computed,
    scales.check_sanity,
    scales.check_missing,
    scales.check_dense,
    scales.check_weights,
    scales.check_joins,
    scales.check_copies,
    scales.check_bounded,
    values.check_islands,
    kinds.check_versions,
    kinds.check_speed,
)


def check_file(path: Path | str, target: str, *, labels: Path | str | None = None) -> Report:
    """Check a TFLite file, this project's or another's.

    Args:
        path: of the file.
        target: "edge-impulse", "tflite-micro", "esphome" or "esp-dl".
        labels: a file with a label a line, in the order of the outputs.

    Raises:
        ExportError: no such file or target, not a TFLite file, damaged, or no labels in the labels' file.
    """
    find_target(target)
    return check_model(read_model(path), target, labels=None if labels is None else count_labels(labels))


def check_model(model: Model, target: str, *, labels: int | None = None) -> Report:
    """Check what has been read. `labels` is how many there are."""
    case = Case(model, find_target(target), labels)
    found: list[Finding] = []
    for rule in RULES:
        for finding in rule(case):
            found.append(finding)
            if len(found) >= MOST_FINDINGS:
                break
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    found.sort(key=lambda finding: (order[finding.severity], finding.operators[:1] or (-1,)))
    return Report(
        file=model.name,
        target=target,
        title=case.target.title,
        size=model.size,
        form=describe(model),
        findings=tuple(found),
        arena=estimate_arena(model.main),
    )


def describe(model: Model) -> str:
    """One line on what the file is."""
    graph = model.main
    inputs, outputs = ([_form(graph.tensors[i]) for i in indices[:3]] for indices in (graph.inputs, graph.outputs))
    return (
        f"{len(graph.operators):,} operators, {', '.join(inputs) or 'no input'} to {', '.join(outputs) or 'no output'}"
    )


def count_labels(path: Path | str) -> int:
    """How many labels a text file names, one a line; empty lines are none.

    Raises:
        ExportError: it cannot be read, or names none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is not a text file; expected a label a line") from error
    count = sum(bool(line.strip()) for line in lines)
    if not count:
        raise ExportError(f"{path} names no labels; expected one a line, in the order of the model's outputs")
    return count


def _form(tensor: Tensor) -> str:
    shape = ", ".join(str(extent) for extent in tensor.signature or tensor.shape)
    return f"({shape}) {tensor.dtype}"
