"""Vela's summary, as its version 5.2.0 writes it; and Vela itself where it is installed."""

from pathlib import Path

import pytest

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.benchmark import vela

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tflite"
SUMMARY = (
    "experiment,network,accelerator_configuration,core_clock,inference_time,sram_memory_used,nn_macs,cycles_total\n"
    "default,sep14_s2,Ethos_U55_128,500000000.0,1.7152e-05,1.359375,29242,8576\n"
)


def test_a_summary():
    estimate = vela.read_summary(SUMMARY, "ethos-u55-128", "5.2.0")
    assert (estimate.cycles, estimate.milliseconds, estimate.clock_hz) == (8576, 0.0172, 500e6)
    assert estimate.to_json()["version"] == "5.2.0" and estimate.sram_kib == pytest.approx(1.359375)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", SUMMARY.replace("8576", "many"), SUMMARY.splitlines()[0]])
def test_another_summary(text):
    with pytest.raises(ExportError, match="other columns"):
        vela.read_summary(text, "ethos-u55-128", "5.2.0")


def test_absent(monkeypatch):
    monkeypatch.setattr(vela, "is_installed", lambda: False)
    with pytest.raises(ExportError, match="pip install ethos-u-vela"):
        vela.check("ethos-u55-128")


def test_an_unknown_accelerator():
    with pytest.raises(ConfigError, match=r"ethos-u55-128, .*got 'ethos-u99'"):
        vela.check("ethos-u99")


@pytest.mark.skipif(not vela.is_installed(), reason="pip install ethos-u-vela")
def test_vela_itself():
    estimate = vela.estimate(GOLDEN / "sep14_s2.tflite")
    assert 1000 < estimate.cycles < 100_000
