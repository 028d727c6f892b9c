"""`kws-dendrite benchmark`: what each artefact of a bundle costs to run on this machine."""

import json
from pathlib import Path
from typing import Annotated

import typer


def benchmark(
    bundle: Annotated[Path, typer.Argument(help="The folder that `export` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Write the numbers here as JSON.")] = None,
    runs: Annotated[int, typer.Option(min=10, help="Single-clip runs to time for each artefact.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time a bundle's artefacts on this machine.

    One thread, one clip at a time; says nothing about a device.
    """
    from rich.console import Console
    from rich.table import Table

    from kws_dendrite.export.benchmark.host import time_host
    from kws_dendrite.output import write_json

    with Console(stderr=True).status("timing each artefact"):
        rows = time_host(bundle, runs=runs)
    if out is not None:
        write_json(out, [row.to_json() for row in rows])
    if as_json:
        print(json.dumps({"bundle": str(bundle), "host": [row.to_json() for row in rows]}))
        return
    table = Table("artefact", "runtime", "bytes", "median us", "10 %", "90 %", box=None)
    for column in table.columns:
        column.overflow = "fold"
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        times = [f"{value:,.1f}" for value in (row.median_us, row.p10_us, row.p90_us)]
        table.add_row(row.artefact, row.runtime, f"{row.bytes:,}", *times)
    console = Console()
    console.print(table)
    console.print(f"One clip, one thread, {runs:,} runs each, on {rows[0].machine}; says nothing about a device.")
