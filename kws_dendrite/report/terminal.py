"""Small tables for a terminal, shared by the commands."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from kws_dendrite.report.records import artefact_from
from kws_dendrite.report.trials import points_from_trials
from kws_dendrite.report.wording import count, microseconds, percent, percent_range, size, tick


def front_table(trials: Sequence[Mapping[str, Any]]) -> Table:
    """The front over all arms, smallest net first.

    Args:
        trials: the records of a search/trials.json.
    """
    points = [point for point in points_from_trials(trials) if point.front]
    seeds = max((len(point.members) for point in points), default=0)
    table = Table(title=f"Front, validation accuracy (P = {max(1, seeds)})", title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("arm")
    grown = any(point.dendrites is not None for point in points)
    if grown:
        table.add_column("dendrites", justify="right")
    held = next((point.axis for point in points if point.held is not None), None)
    if held:
        table.add_column(escape(held), justify="right")
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    table.add_column("accuracy", justify="right")
    table.add_column("95 % over seeds", justify="right")
    for point in sorted(points, key=lambda point: point.size):
        table.add_row(
            str(point.number),
            escape(point.arm),
            *(["" if point.dendrites is None else str(point.dendrites)] if grown else []),
            *([tick(point.held)] if held else []),
            count(point.parameters),
            count(point.macs),
            percent(point.accuracy),
            percent_range(point.interval),
        )
    return table


def artefact_table(rows: Sequence[Mapping[str, Any]], accuracies: Mapping[str, float] | None = None) -> Table:
    """Size, host latency and accuracy of each exported file.

    Args:
        rows: the records of a benchmark.json.
        accuracies: by artefact name, 0..1; evaluation.json's "artefacts".
    """
    accuracies = accuracies or {}
    table = Table(title="Artefacts, latency on this host", title_justify="left")
    table.add_column("artefact")
    for heading in ("size", "median", "10 to 90 %", "accuracy"):
        table.add_column(heading, justify="right")
    for row in rows:
        artefact = artefact_from(row, "benchmark")
        spread = (artefact.p10_us, artefact.p90_us)
        table.add_row(
            escape(artefact.name),
            size(artefact.bytes),
            microseconds(artefact.median_us),
            "–" if None in spread else " to ".join(microseconds(value) for value in spread),
            percent(accuracies.get(artefact.name)),
        )
    return table
