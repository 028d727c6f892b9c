"""`kws-dendrite report`: a run folder, or a study's, as one HTML page."""

import json
from pathlib import Path
from typing import Annotated

import typer


def report(
    run_folder: Annotated[
        Path, typer.Argument(help="Folder that `kws-dendrite run` wrote, parts may be missing; or a study's.")
    ],
    out: Annotated[Path | None, typer.Option(help="Where to write; report.html in the run folder by default.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Write a run's report.

    report.html: one self-contained page that opens offline.
    """
    if (run_folder / "study.json").exists():
        from kws_dendrite.report.study_page import write_study_page
        from kws_dendrite.study.results import gather

        path = write_study_page(gather(run_folder), out or run_folder / "study.html")
    else:
        from kws_dendrite.report.page import write_report

        path = write_report(run_folder, out)
    if json_output:
        print(json.dumps({"report": str(path), "bytes": path.stat().st_size}))
    else:
        print(f"report: {path} ({path.stat().st_size / 1000:,.0f} kB, opens offline)")
