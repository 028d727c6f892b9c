"""Files made by TensorFlow's converter: this project's own are right, others' usual mistakes are found."""

import subprocess
import sys
from pathlib import Path

import pytest

from kws_dendrite.export.check import check_file

EI, MICRO, ESPHOME, ESP_DL = "edge-impulse", "tflite-micro", "esphome", "esp-dl"
HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    command = [sys.executable, str(HERE / "faulty_conversions.py"), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return folder


@pytest.mark.parametrize(
    ("name", "on_edge_impulse", "on_micro"),
    [
        ("right", {}, {}),
        ("dense_per_channel", {"dense-per-channel": "wrong"}, {"dense-per-channel": "note"}),
        ("uint8", {"border-type": "fails"}, {"border-type": "note"}),
        ("float_ends", {"border-type": "fails"}, {"border-type": "note"}),
        ("open_batch", {"dynamic-shape": "fails"}, {"dynamic-shape": "note"}),
        ("no_softmax", {"softmax-missing": "wrong"}, {"softmax-missing": "note"}),
        ("dynamic_range", {"hybrid": "fails", "float-model": "slow"}, {"hybrid": "fails"}),
        ("int16", {"border-type": "fails", "int16": "fails"}, {}),
        ("flex", {"operator": "fails", "float-model": "slow"}, {"operator": "fails"}),
    ],
)
def test_what_the_converter_makes(folder, name, on_edge_impulse, on_micro):
    for target, expected in ((EI, on_edge_impulse), (MICRO, on_micro)):
        report = check_file(folder / f"{name}.tflite", target)
        assert {finding.rule: finding.severity for finding in report.findings} == expected
        assert report.ok == (not {"fails", "wrong"} & set(expected.values()))


def test_what_flex_is_called(folder):
    finding = check_file(folder / "flex.tflite", EI).findings[0]
    assert finding.kind == "FlexErf" and "FlexErf (custom)" in finding.what


@pytest.mark.parametrize("name", ["temporal", "planar", "joined"])
@pytest.mark.parametrize("target", [EI, MICRO])
def test_what_this_project_writes_is_right(exported, name, target):
    for file in ("model_quantized_int8_io.tflite", "model.tflite"):
        report = check_file(exported[name].folder / file, target)
        assert report.ok, report.findings
        assert {finding.severity for finding in report.findings} <= {"slow"}


@pytest.mark.slow
@pytest.mark.parametrize("dendrites", [0, 1, 2])
def test_every_family_is_right(dendrites, tmp_path):
    from test_export_c_models import convert_families

    for path, _ in convert_families(tmp_path, dendrites).values():
        for target in (EI, MICRO):
            report = check_file(path, target)
            assert report.ok, report.findings
