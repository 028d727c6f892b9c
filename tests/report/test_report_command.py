import json

import typer
from typer.testing import CliRunner

from kws_dendrite.cli.report import report
from kws_dendrite.errors import DataError

app = typer.Typer()
app.command()(report)


def test_writes_the_page_and_says_where(run_folder):
    result = CliRunner().invoke(app, [str(run_folder)])
    assert result.exit_code == 0
    assert "report.html" in result.stdout
    assert (run_folder / "report.html").read_text().startswith("<!doctype html>")


def test_json_is_one_object(run_folder, tmp_path):
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, [str(run_folder), "--out", str(out), "--json"])
    assert json.loads(result.stdout) == {"report": str(out), "bytes": out.stat().st_size}


def test_a_folder_without_results_is_left_alone(tmp_path):
    (tmp_path / "clip.wav").write_bytes(b"x")
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.wav"]
