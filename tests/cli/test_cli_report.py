import json
import os
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kws_dendrite.cli.report import report
from kws_dendrite.errors import DataError
from kws_dendrite.search import records
from kws_dendrite.search.front import TrialResult

app = typer.Typer()
app.command()(report)
SETTINGS = {"format": records.FORMAT, "study": "search", "arms": ["plain"], "trials": 3, "storage": None,
            "objective": {"name": "params", "label": "Folded parameters", "maximise": "accuracy"}}  # fmt: skip


def result(number, accuracy=0.8):
    return TrialResult(
        number=number, arm="plain", validation_accuracy=accuracy, validation_accuracy_members=(accuracy,),
        parameters=500 + number, macs=1, params={"train.learning_rate": 0.01 * number}, architecture={}, growth=None,
        state="complete", seconds=2.0,
    )  # fmt: skip


def make(folder: Path, trials, settings=SETTINGS):
    folder.mkdir(exist_ok=True)
    records.save_trials(folder, trials)
    if settings:
        (folder / "search.json").write_text(json.dumps(settings))
    return folder


def page_of(folder, *arguments):
    run = CliRunner().invoke(app, [str(folder), "--json", *arguments])
    if run.exception:
        raise run.exception
    told = json.loads(run.stdout)
    return told, Path(told["report"]).read_text()


@pytest.fixture
def journal(monkeypatch):
    """The search's storage, as a list that a test may add to while "others search"."""
    trials = [result(0)]
    monkeypatch.setattr(records, "read_trials", lambda folder, url=None: list(trials))
    return trials


def test_a_search_is_read_from_its_journal_at_any_moment(tmp_path, journal):
    folder = make(tmp_path, [])
    (folder / "journal.log").touch()
    told, page = page_of(folder)
    assert "note" not in told and "1 of 3" in page and "Not finished" in page
    journal += [result(1), result(2)]
    told, page = page_of(folder)
    assert "3 of 3" in page and "Not finished" not in page
    assert len(json.loads((folder / "trials.json").read_text())) == 3


def test_a_database_is_asked_where_its_password_is_given(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(records, "read_trials", lambda folder, url=None: asked.append(url) or [result(0), result(1)])
    folder = make(tmp_path, [result(0)], SETTINGS | {"storage": "postgresql://office@db/search"})
    told, page = page_of(folder)
    assert asked == [] and "its trials are in postgresql://office@db/search" in told["note"] and "1 of 3" in page
    told, page = page_of(folder, "--storage", "postgresql://office:secret@db/search")
    assert asked == ["postgresql://office:secret@db/search"] and "note" not in told and "2 of 3" in page
    assert "secret" not in page
    monkeypatch.setenv("KWS_DENDRITE_STORAGE", "postgresql://office:other@db/search")
    page_of(folder)
    assert asked[1:] == ["postgresql://office:other@db/search"]


def test_a_storage_that_cannot_be_read_leaves_the_older_page_and_says_so(tmp_path, monkeypatch):
    def broken(folder, url=None):
        raise DataError("the journal is damaged in line 7")

    monkeypatch.setattr(records, "read_trials", broken)
    folder = make(tmp_path, [result(0)])
    (folder / "journal.log").touch()
    os.utime(folder / "trials.json", (time.time() - 7200,) * 2)
    told, page = page_of(folder)
    assert told["note"] == "the journal is damaged in line 7"
    assert "the journal is damaged in line 7" in page and "2 h 0 min before this page was written" in page
    said = CliRunner().invoke(app, [str(folder)]).stdout
    assert "not fresh from the search's storage: the journal is damaged in line 7" in said
    (folder / "trials.json").unlink()
    with pytest.raises(DataError, match="line 7"):
        page_of(folder)


def test_a_search_without_settings_or_journal_is_shown_as_it_is(tmp_path):
    told, page = page_of(make(tmp_path / "old", [result(0)], None))
    assert "wrote no search.json" in told["note"] and "Trial 0" in page
    told, _ = page_of(make(tmp_path / "moved", [result(0)]))
    assert told["note"] == "its journal.log is gone"


def test_a_folder_with_nothing_is_named(tmp_path):
    (tmp_path / "search.json").write_text(json.dumps(SETTINGS))
    with pytest.raises(DataError, match=r"holds no trials\.json yet"):
        page_of(tmp_path)


def test_out_names_another_place(tmp_path, journal):
    folder = make(tmp_path / "search", [])
    (folder / "journal.log").touch()
    told, _ = page_of(folder, "--out", str(tmp_path / "page.html"))
    assert told["report"] == str(tmp_path / "page.html") and not (folder / "report.html").exists()
