"""A pick for a terminal: the net, the runners-up and what speaks against each, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kws_dendrite.report.wording import count, percent, tick

if TYPE_CHECKING:
    from rich.table import Table

COSTS = {  # by name among costs -> heading, and what a limit calls it
    "parameters": "parameters",
    "macs": "MACs",
    "flash": "flash, B",
    "ram": "RAM, B",
    "instructions": "instructions",
    "latency_ms": "ms",
}


def pick_table(report: Mapping[str, Any]) -> Table:
    """The picked net first, bold; beside the parameters the costs that were asked about.

    Args:
        report: as `kws-dendrite pick --json` prints it.
    """
    from rich.markup import escape
    from rich.table import Table

    picked, others = report["picked"], report["others"]
    rows = [picked, *others]
    asked = {"parameters", report["price_of"], *report["limited"]}
    costs = [name for name in COSTS if name in asked and all(name in row["costs"] for row in rows)]
    paired, tested = any(row.get("difference") for row in others), any(row["test"] for row in rows)
    table = Table(box=None, title=_title(picked), title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("net")
    for heading in [*(COSTS[name] for name in costs), "accuracy"]:
        table.add_column(heading, justify="right")
    if paired:
        table.add_column("less picked", justify="right")
    if tested:
        table.add_column("test", justify="right")
    for row in rows:
        cells = [str(row["trial"]), escape(net(row))]
        cells += [tick(row["costs"][name]) if name == "latency_ms" else count(row["costs"][name]) for name in costs]
        cells.append(f"{100 * row['accuracy']:.1f} {_ends(row['interval'])}")
        if paired:
            cells.append(_points(row.get("difference")))
        if tested:
            cells.append(percent((row["test"] or {}).get("accuracy")))
        table.add_row(*cells, style="bold" if row is picked else None)
    return table


def _title(picked: Mapping[str, Any]) -> str:
    return "Pick by fresh seeds" if picked["refitted"] else "Pick by the search's own figures"


def net(row: Mapping[str, Any]) -> str:
    """Arm and, after a plus, dendrites a neuron."""
    return f"{row['arm']} +{row['dendrites']}" if row["dendrites"] else row["arm"]


def _ends(interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    low, high = interval
    return "(seeds alike)" if low == high else f"[{100 * low:.1f}, {100 * high:.1f}]"


def _points(difference: Mapping[str, Any] | None) -> str:
    if difference is None:
        return "–"
    low, high = (100 * end for end in difference["interval"])
    return f"{100 * difference['mean']:+.1f} [{low:+.1f}, {high:+.1f}]"


def pick_lines(report: Mapping[str, Any]) -> list[str]:
    """Why, on what, and what to know."""
    picked = report["picked"]
    where, clips = report["costs_on"], report["validation_clips"]
    counted = "as the search counted them"
    if where is not None:
        whose = "net and front end" if "frontend_flash" in picked["costs"] else "the net, without a front end,"
        counted = f"of {whose} on {where['core']} at {where['mhz']:g} MHz"
    seeds = f"mean of {picked['members']} seed{'s' * (picked['members'] > 1)}"
    lines = [
        f"trial {picked['trial']} ({net(picked)}): {report['why']}",
        f"accuracy in % on {f'{clips:,} ' if clips else ''}validation clips, {seeds}, intervals over "
        f"{picked['interval_over']}; costs {counted}",
    ]
    if picked["test"]:
        lines.append(
            f"test accuracy {percent(picked['test']['accuracy'])} {_ends(picked['test']['interval'])}, "
            f"int8 {percent(picked['test'].get('int8_accuracy'))}; nothing was chosen by it"
        )
    lines += [
        f"not trial {row['trial']} ({net(row)}): {row['against']}" for row in report["others"] if not _is_plain(row)
    ]
    running = report["trials"]["running"]
    if running:
        lines.append(f"the search still runs: {report['trials']['complete']} trials are complete, {running} under way")
    lines += report["notes"]
    if "checkpoint" in picked:
        lines.append(f"net in {picked['checkpoint']}")
    if "bundle" in report:
        lines.append(f"bundle in {report['bundle']['folder']}")
    return lines


def _is_plain(row: Mapping[str, Any]) -> bool:
    """Whether the table shows already what speaks against a net."""
    return row["against"] == "less accurate" or row["against"].startswith("more ")
