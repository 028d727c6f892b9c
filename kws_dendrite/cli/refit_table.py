"""A refitted front for a terminal: a table, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kws_dendrite.report.wording import count, percent, tick

if TYPE_CHECKING:
    from rich.table import Table


def refit_table(value: Mapping[str, Any]) -> Table:
    """Every refitted point, smallest first; those on the refitted front are bold.

    Args:
        value: of front.json.
    """
    from rich.markup import escape
    from rich.table import Table

    rows = value["points"]
    objective = value["objective"]
    other = objective["name"] != "params"
    tested = any(row["test"] for row in rows)
    title = f"Front with fresh seeds (P = {value['members']}), {value['validation_clips']:,} validation clips"
    table = Table(box=None, title=title, title_justify="left", caption_justify="left")
    table.caption = "* on the front of the refitted means"
    table.add_column("trial", justify="right")
    table.add_column("net")
    names = [*([objective["name"]] if other else []), "parameters", "search said", "accuracy, 95 %"]
    names += ["test, 95 %", "int8 test"] if tested else []
    unequal = len({row["epochs"] for row in rows}) > 1  # growth passed through some of them
    names += ["epochs"] if unequal else []
    for name in names:
        table.add_column(escape(name), justify="right")
    for row in rows:
        steps = f" +{row['dendrites_kept']}" if row["dendrites"] else ""
        if row["dendrites_kept"] != row["dendrites"]:
            steps += f" of {row['dendrites']}"
        cells = [f"{row['trial']}{'*' if row['front'] else ' '}", escape(f"{row['arm']}{steps}")]
        cells += [tick(row["value"])] if other else []
        cells += [count(row["parameters"]), f"{100 * row['said']['accuracy']:.1f}", _with_ends(row)]
        if tested:
            test = row["test"]
            cells += [_with_ends(test), f"{100 * test['int8_accuracy']:.1f}"] if test else ["–", "–"]
        cells += [str(row["epochs"])] if unequal else []
        table.add_row(*cells, style="bold" if row["front"] else None)
    return table


def _with_ends(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{100 * row['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _epochs(row: Mapping[str, Any]) -> str:
    """That a comparison is not of equal epochs: growth passed through one of the nets."""
    own, against = row["epochs"], row["against_epochs"]
    return "" if own == against else f", after {own} epochs against {against}"


def front_lines(value: Mapping[str, Any]) -> list[str]:
    """What the refit says: the optimism of the search, the arms, the test clips."""
    lines = ["accuracies in %, intervals over seeds and clips"]
    if any(row["dendrites"] for row in value["points"]):
        lines[0] += "; +1: one dendrite a neuron, as far as steps of growth were kept"
    optimism = value["optimism"]
    if optimism:
        low, high = optimism["interval"]
        lines.append(
            f"optimism of a maximum: the search had said {percent(optimism['said'])} over these {optimism['points']} "
            f"nets, fresh seeds say {percent(optimism['refitted'])}: {100 * optimism['difference']:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}]"
        )
    elif value["points"]:
        lines.append("trained longer than in the search, so what it had said of these nets is not set against it")
    where = f"{value['arms_on']} clips"
    for row in value["arms"]:
        low, high = row["interval"]
        lines.append(
            f"up to {tick(row['limit'])} {value['objective']['name']}: {row['arm']} less {row['against']} "
            f"{100 * row['difference']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}] on {where}, "
            f"p = {row['p_holm']:.2g} after Holm ({tick(row['size'])} against {tick(row['against_size'])}"
            f"{_epochs(row)})"
        )
    times = value["readings"].get("times") or []
    if times:
        often = "once" if len(times) == 1 else f"{len(times)} times"
        lines.append(f"test clips were read {often}: {', '.join(times)}; nothing was chosen by them")
    if value["finished"] < value["planned"]:
        lines.append(f"{value['finished']} of {value['planned']} nets are finished; the same command goes on")
    return lines
