import json

import numpy as np
import pytest
import soundfile
import typer
from golden_vectors import noise
from typer.testing import CliRunner

from kws_dendrite.cli.features import features
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import LogMelConfig, from_json, logmel

app = typer.Typer()
app.command("features")(features)


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(16000), 16000, subtype="PCM_16")
    return path


def test_prints_for_a_person(clip):
    text = call(clip)
    assert "50 frames x 13 coefficients = 650 features" in text


def test_json_and_npz(clip, tmp_path):
    out = tmp_path / "features.npz"
    summary = json.loads(call(clip, "--frontend", "logmel", "--set", "num_filters=30", "--out", out, "--json"))
    assert (summary["frames"], summary["coefficients"]) == (49, 30)
    assert summary["written"] == [str(out)]
    with np.load(out, allow_pickle=False) as file:
        config = from_json(json.loads(str(file["frontend"])))
        assert config == LogMelConfig(num_filters=30) == from_json(summary["frontend"])
        np.testing.assert_array_equal(file["features"], logmel(noise(16000), config))
        assert summary["maximum"] == pytest.approx(file["features"].max())


def test_draws(clip, tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    call(clip, "--plot", one, "--out", two)
    assert one.read_bytes().startswith(b"\x89PNG")
    assert one.read_bytes() == two.read_bytes()


def test_says_silence(tmp_path):
    path = tmp_path / "silent.flac"
    soundfile.write(path, np.zeros(16000, np.int16), 16000)
    assert "digital silence" in call(path)


def test_resamples(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(44100), 44100, subtype="PCM_16")
    assert "50 frames" in call(path)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--set", "num_filter=3"], ConfigError, "did you mean num_filters"),
        (["--set", "num_filters"], ConfigError, "NAME=VALUE"),
        (["--frontend", "plp"], ConfigError, "use one of"),
        (["--out", "features.txt"], ConfigError, "npz or .png"),
        (["--plot", "features.jpg"], ConfigError, r"\.png"),
    ],
)
def test_refuses_options(clip, arguments, error, message):
    with pytest.raises(error, match=message):
        call(clip, *arguments)


def test_refuses_what_is_no_clip(tmp_path):
    (tmp_path / "text.wav").write_text("this is not audio\n")
    for path, message in (
        (tmp_path / "none.wav", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.wav", "text"),
    ):
        with pytest.raises(DataError, match=message):
            call(path)
