import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.host import time_host

ARTEFACTS = ["graph.npz", "model.onnx", "model_int8.onnx", "model.tflite", "model_quantized_int8_io.tflite"]


def test_every_artefact_is_timed(temporal_export):
    rows = time_host(temporal_export.folder, runs=10)
    assert [row.artefact for row in rows] == ARTEFACTS
    for row in rows:
        assert 0 < row.p10_us <= row.median_us <= row.p90_us
        assert row.bytes == (temporal_export.folder / row.artefact).stat().st_size and row.runs == 10
        assert json.loads(json.dumps(row.to_json()))["machine"]


def test_a_folder_without_artefacts(tmp_path):
    with pytest.raises(ExportError, match="holds no artefact"):
        time_host(tmp_path)


def test_a_test_vector_that_is_broken(temporal_export, tmp_path):
    (tmp_path / "model.onnx").write_bytes((temporal_export.folder / "model.onnx").read_bytes())
    (tmp_path / "test_vector.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ExportError, match=r"test_vector.npz cannot be read"):
        time_host(tmp_path, runs=10)


@pytest.fixture
def command():
    from kws_dendrite.cli.benchmark import benchmark

    app = Typer()
    app.command()(benchmark)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_for_a_program(command, temporal_export, tmp_path):
    result = command(temporal_export.folder, "--runs", 10, "--json", "--out", tmp_path / "benchmark.json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert [row["artefact"] for row in printed["host"]] == ARTEFACTS
    assert json.loads((tmp_path / "benchmark.json").read_text()) == printed["host"]


def test_the_command_for_a_person(command, temporal_export):
    result = command(temporal_export.folder, "--runs", 10)
    assert result.exit_code == 0 and "says nothing about a device" in " ".join(result.stdout.split())
    assert "model_quantized_int8_io.tflite" in result.stdout
