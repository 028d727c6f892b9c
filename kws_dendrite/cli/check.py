"""`kws-dendrite check`: what in a TFLite file would fail, go silently wrong or be slow where it is to run."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kws_dendrite.cli import inputs

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.export.check import Finding, Report

HEADINGS = {"fails": "FAILS", "wrong": "SILENTLY WRONG", "slow": "slow", "note": "note"}
STYLES = {"fails": "bold red", "wrong": "bold magenta", "slow": "yellow", "note": "dim"}


def check(
    model: Annotated[Path, typer.Argument(help="A .tflite file, this project's or another's.", show_default=False)],
    target: Annotated[str, typer.Option(help="edge-impulse, tflite-micro, esphome or esp-dl.")] = "edge-impulse",
    labels: Annotated[
        Path | None, typer.Option(help="A file of the labels, one a line, to hold against the number of scores.")
    ] = None,
    as_json: inputs.JsonOption = False,
) -> None:
    """Check a TFLite file before it is uploaded or flashed.

    Says what would fail on the target, go silently wrong there, or be slow; why, and what to do. Exit status 0 where
    it will run right, 1 where it will not, 2 where it cannot be read.
    """
    from rich.console import Console

    from kws_dendrite.export.check import check_file

    report = check_file(model, target, labels=labels)
    if as_json:
        print(json.dumps(report.to_json(), allow_nan=False))
    else:
        show(report, Console())
    if not report.ok:
        raise typer.Exit(1)


def show(report: Report, console: Console) -> None:
    """The page: the verdict, then each finding with its reason and its remedy."""
    from rich.text import Text

    style = "bold green" if report.ok else "bold red"
    console.print(Text(f"{report.file} on {report.title}: {verdict(report)}", style), soft_wrap=True)
    console.print(Text(f"{report.size:,} bytes; {report.form}"), soft_wrap=True)
    if report.arena is not None:
        console.print(
            Text(
                f"memory for activations: about {report.arena.estimate:,} bytes in TFLite Micro's arena (estimated), "
                f"{report.arena.activations:,} of them tensors"
            ),
            soft_wrap=True,
        )
    for finding in report.findings:
        console.print()
        console.print(_heading(finding), soft_wrap=True)
        for name, text in (("why", finding.why), ("do", finding.fix), ("see", finding.source)):
            if text:
                console.print(Text.assemble((f"  {name:<4}", "dim"), _wrapped(text, console)), soft_wrap=True)


def _wrapped(text: str, console: Console) -> str:
    """Lines under one another on a terminal; one line, which is easier to search, where the page goes into a file."""
    if not console.is_terminal:
        return text
    return textwrap.fill(text, max(40, console.width - 6), break_long_words=False, break_on_hyphens=False).replace(
        "\n", "\n      "
    )


def verdict(report: Report) -> str:
    """`will run right`, or what will not."""
    counts = [
        f"{report.counts[severity]} {word}"
        for severity, word in (("fails", "failing"), ("wrong", "silently wrong"), ("slow", "slow"), ("note", "to note"))
        if report.counts[severity]
    ]
    said = "will run right" if report.ok else "will not run right"
    return f"{said} ({', '.join(counts)})" if counts else said


def _heading(finding: Finding) -> object:
    from rich.text import Text

    return Text.assemble((f"{HEADINGS[finding.severity]}  ", STYLES[finding.severity]), (finding.what, "bold"))
