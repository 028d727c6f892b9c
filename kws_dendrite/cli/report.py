"""`kws-dendrite report`: a run folder, a search's, or a study's, as one HTML page."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer


def report(
    run_folder: Annotated[
        Path,
        typer.Argument(
            help="Folder that `kws-dendrite run` wrote, parts may be missing; or a search's, also while it runs; or a "
            "study's."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Where to write; report.html in the run folder by default.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="KWS_DENDRITE_STORAGE", help="Of a search in a database: where, so that the page is up to date."
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Write a run's, a search's or a study's report.

    report.html: one self-contained page that opens offline.
    """
    from kws_dendrite.report.search_results import is_search

    note = ""
    if (run_folder / "study.json").exists():
        from kws_dendrite.report.study_page import write_study_page
        from kws_dendrite.study.results import gather

        path = write_study_page(gather(run_folder), out or run_folder / "study.html")
    elif is_search(run_folder):
        path, note = write_search(run_folder, out or run_folder / "report.html", storage)
    else:
        from kws_dendrite.report.page import write_report

        path = write_report(run_folder, out)
    if json_output:
        print(json.dumps({"report": str(path), "bytes": path.stat().st_size} | ({"note": note} if note else {})))
    else:
        print(f"report: {path} ({path.stat().st_size / 1000:,.0f} kB, opens offline)")
        if note:
            print(f"not fresh from the search's storage: {note}")


def write_search(folder: Path, out: Path, storage: str | None = None) -> tuple[Path, str]:
    """The page of a search, from its storage where that can be reached, else from what was last written.

    Args:
        storage: URL of a database, if it is in one.

    Returns:
        the page; why the trials are not fresh, "" where they are.
    """
    from kws_dendrite.report.search_page import Moment, write_search_page
    from kws_dendrite.report.search_results import TRIALS, read_search
    from kws_dendrite.search.front import TrialResult
    from kws_dendrite.search.importance import importances

    note = fresh(folder, storage)
    results = read_search(folder)
    records = json.loads((folder / TRIALS).read_text(encoding="utf-8"))
    found = importances([TrialResult.from_json(record) for record in records])
    return write_search_page(results, Moment(time.time(), found, note), out), note


def fresh(folder: Path, storage: str | None = None) -> str:
    """Write trials.json anew from the search's storage; why that could not be, "" where it could.

    Raises:
        KwsDendriteError: it could not be, and there is no older trials.json to show.
    """
    from kws_dendrite.errors import KwsDendriteError
    from kws_dendrite.report.search_results import SETTINGS, TRIALS
    from kws_dendrite.search.records import read_settings, read_trials, save_trials
    from kws_dendrite.search.storage import JOURNAL

    older = (folder / TRIALS).is_file()
    if older and not (folder / SETTINGS).is_file():
        return "this search wrote no search.json that says where it is"
    try:
        elsewhere = read_settings(folder).get("storage")
        if elsewhere and not storage and older:
            return f"its trials are in {elsewhere}; --storage with the password reads them there"
        if not elsewhere and not (folder / JOURNAL).is_file():
            return f"its {JOURNAL} is gone"
        save_trials(folder, read_trials(folder, storage if elsewhere else None))
    except KwsDendriteError as error:
        if not older:
            raise
        return str(error)
    return ""
