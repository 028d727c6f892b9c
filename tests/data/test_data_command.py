import json

import numpy as np
import pytest
import typer
from clip_folders import class_folder
from typer.testing import CliRunner

from kws_dendrite.cli.data import data, split_words
from kws_dendrite.errors import DataError, KwsDendriteError

app = typer.Typer()
app.command()(data)


def _run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if isinstance(result.exception, KwsDendriteError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_is_one_object(tmp_path):
    class_folder(tmp_path, {"on": 9, "off": 6, "cat": 6})
    values = json.loads(_run(tmp_path, "--json", "--keywords", "on, off"))
    assert values["labels"] == ["on", "off", "_unknown_"]
    assert sum(values["classes"][0]["clips"].values()) == 9
    assert values["synthetic"] is False


def test_table_names_classes_and_skipped_clips(tmp_path):
    class_folder(tmp_path, {"on": 9, "off": 6})
    (tmp_path / "on" / "bad.wav").write_text("x" * 100)
    with pytest.raises(DataError, match=r"bad\.wav is text"):
        _run(tmp_path)
    shown = _run(tmp_path, "--skip-bad", "--speaker-pattern", r"/(?P<speaker>s\d)-")
    assert "skipped: 1 clips" in shown and "bad.wav" in shown
    assert "class_folder" in shown and "off" in shown and "validation" in shown


def test_the_demo_says_that_it_is_synthetic():
    shown = _run("demo")
    assert "synthetic speech" in shown and "licence: Apache-2.0" in shown


def test_block_arrays(tmp_path):
    for split in ("train", "test"):
        np.save(tmp_path / f"X_split_{split}.npy", np.arange(4 * 26, dtype=np.float32).reshape(4, 26))
        np.save(tmp_path / f"Y_split_{split}.npy", np.array([0, 1, 0, 1]))
    assert "2 frames x 13 coefficients" in _run(tmp_path)
    assert json.loads(_run(tmp_path, "--json"))["clips"] == {"train": 4, "validation": 4, "test": 0}


def test_download_needs_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="name the set to download: speech_commands"):
        _run("download")
    with pytest.raises(DataError, match="no data set named 'nothing'"):
        _run("download", "nothing", "--to", tmp_path)
    with pytest.raises(DataError, match="one folder at a time"):
        _run("a", "b")


def test_split_words():
    assert split_words("yes, no") == ("yes", "no")
    assert split_words(None) is None
