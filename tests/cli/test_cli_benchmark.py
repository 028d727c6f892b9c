import json
import shutil
from pathlib import Path

import pytest
from command_line import refuse, succeed

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tflite"
INSTALLED = all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm")))
on_device = pytest.mark.skipif(
    not INSTALLED, reason="apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
)


@pytest.fixture(scope="module")
def bundle(finished, tmp_path_factory):
    """The run's bundle with C of its int8 file."""
    from kws_dendrite.export.c import write_c

    folder = tmp_path_factory.mktemp("bundle") / "export"
    shutil.copytree(finished[0] / "export", folder)
    if not (folder / "c").exists():
        labels = tuple((folder / "labels.txt").read_text().split())
        write_c(folder / "model_quantized_int8_io.tflite", folder / "c", labels=labels)
    return folder


def test_json_is_one_object(finished, tmp_path):
    folder, _ = finished
    outcome = succeed("benchmark", folder / "export", "--runs", 10, "--out", tmp_path / "times.json", "--json")
    assert outcome.out.count("\n") == 1
    report = json.loads(outcome.out)
    artefacts = ["graph.npz", "model.onnx", "model_int8.onnx", "model.tflite", "model_quantized_int8_io.tflite"]
    c = ["c"] if (folder / "export" / "c").is_dir() and shutil.which("cc") else []
    assert [row["artefact"] for row in report["host"]] == artefacts + c
    assert json.loads((tmp_path / "times.json").read_text()) == report["host"]


def test_for_a_person(finished):
    folder, _ = finished
    outcome = succeed("benchmark", folder / "export", "--runs", 10)
    assert "says nothing about a device" in " ".join(outcome.out.split())
    assert outcome.out.split()[:2] == ["artefact", "runtime"] and "graph.npz" in outcome.out


@pytest.mark.skipif(not shutil.which("cc"), reason="apt-get install gcc")
def test_the_c_build_stands_among_the_artefacts(bundle):
    rows = json.loads(succeed("benchmark", bundle, "--runs", 20, "--json").out)["host"]
    assert rows[-1]["artefact"] == "c" and rows[-1]["runtime"].startswith("C, cc") and rows[-1]["median_us"] > 0


def test_no_compiler_is_a_note(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = succeed("benchmark", bundle, "--runs", 10, "--json")
    assert "c" not in [row["artefact"] for row in json.loads(outcome.out)["host"]]
    assert "apt-get install gcc" in outcome.err


def test_refuses_a_folder_without_artefacts(speech, tmp_path):
    refuse("benchmark", speech, says="holds no artefact")
    refuse("benchmark", tmp_path / "none", says="holds no artefact")
    refuse("benchmark", speech, "--runs", 1, says="Invalid value for '--runs'")
    refuse("benchmark", speech, "--target", "cortex-m4", says="holds nothing for a device")


@on_device
class TestCores:
    def test_a_bundle_without_sources_gets_them(self, bundle, tmp_path):
        """Written for the occasion, front end and detector too; the bundle stays as it is."""
        folder = tmp_path / "export"
        shutil.copytree(bundle, folder)
        shutil.rmtree(folder / "c")
        (device,) = json.loads(succeed("benchmark", folder, "--target", "cortex-m4", "--json").out)["devices"]
        assert device["frame"]["instructions"] > 1000 and device["second"]["inferences"] >= 1
        assert {row["stage"] for row in device["stages"]} >= {"FFT", "power", "mel", "log"}
        assert device["per_second"]["instructions"] > device["decision"]["instructions"]
        assert not (folder / "c").exists()

    def test_a_file_on_two_cores(self, tmp_path):
        out = tmp_path / "cores.json"
        outcome = succeed(
            "benchmark", GOLDEN / "sep14_s2.tflite", "--target", "cortex-m4,cortex-m55", "--out", out, "--json"
        )
        said = json.loads(outcome.out)
        assert said == json.loads(out.read_text()) and "host" not in said
        m4, m55 = said["devices"]
        assert (m4["target"], m55["target"]) == ("cortex-m4", "cortex-m55")
        assert len(m4["operators"]) >= 10 and len(m4["model_sha256"]) == 64
        assert m4["inference"]["cycles"] > m4["inference"]["instructions"] > m4["footprint"]["flash"]
        assert m55["inference"]["cycles"] is None

    def test_the_bundles_clips_are_decided_beside_the_host(self, bundle):
        arguments = ("--target", "host", "--target", "cortex-m3", "--runs", 10, "--json")
        said = json.loads(succeed("benchmark", bundle, *arguments).out)
        accuracy = said["devices"][0]["accuracy"]
        assert accuracy["equal"] == accuracy["decisions"] == accuracy["clips"] > 0
        assert said["devices"][0]["target"] == "cortex-m3" and said["host"]

    def test_clips_of_a_data_folder_are_decided(self, bundle, speech):
        outcome = succeed(
            "benchmark", bundle, "--target", "cortex-m4", "--data", speech, "--split", "test", "--limit", 3, "--json"
        )
        accuracy = json.loads(outcome.out)["devices"][0]["accuracy"]
        assert accuracy == {"clips": 3, "equal": 3, "decisions": 3}

    def test_for_a_person(self, bundle):
        text = succeed("benchmark", bundle, "--target", "cortex-m4", "--clock", 120).out
        words = " ".join(text.split())
        for phrase in (
            "CONV_2D",
            "inference",
            "ms at 120 MHz",
            "a decision",
            "flash ",
            "RAM ",
            "stack ",
            "LiteRT",
            "+-15 %",
        ):
            assert phrase in words, phrase
        assert "arm-none-eabi-gcc" in words and "QEMU" in words and max(map(len, text.splitlines()[:20])) <= 80


def test_a_board_and_back(bundle, tmp_path):
    folder = tmp_path / "firmware"
    succeed("benchmark", bundle, "--target", "board", "--firmware", folder)
    assert (folder / "board.c").is_file()
    identity = int(json.loads((bundle / "c" / "kws_model.json").read_text())["sha256"][:8], 16)
    log = tmp_path / "serial.log"
    log.write_text(
        '{"kws_benchmark":1,"unit":"cycles","clock_hz":64000000,"own":9,"cpuid":1091551809,'
        f'"model":{identity},"runs":1,"equal":1,"calls":{{"model":[640000,1,0]}},"operators":{{"0":[640000,1]}},"stages":{{}}}}'
    )
    said = json.loads(succeed("benchmark", bundle, "--from-serial", log, "--json").out)
    assert said["clock_mhz"] == 64 and said["devices"][0]["inference"] == {"instructions": None, "cycles": 640000}
    text = " ".join(succeed("benchmark", bundle, "--from-serial", log).out.split())
    assert "board, Cortex-M4" in text and "10.00" in text and "measured on the board" in text
    refuse("benchmark", bundle, "--target", "board", "--firmware", folder, says="--overwrite")
    refuse("benchmark", bundle, "--from-serial", folder / "board.c", says="holds no report")


def test_options_that_do_not_go_together(bundle, tmp_path):
    refuse("benchmark", bundle, "--target", "board", says="name their folder with --firmware")
    refuse("benchmark", bundle, "--target", "cortex-m4", "--firmware", tmp_path / "x", says="--target board")
    refuse("benchmark", bundle, "--target", "cortex-m0", says="cortex-m4, ")
    refuse("benchmark", bundle, "--target", "cortex-m4", "--limit", 3, says="name that too")
    refuse("benchmark", bundle, "--target", "cortex-m4", "--method", "guess", says="trace, timer")
    refuse("benchmark", bundle, "--ethos-u", "ethos-u99", says="ethos-u55-128")
    assert not (tmp_path / "x").exists()


def test_missing_tools_are_named(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    says = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
    refuse("benchmark", bundle, "--target", "cortex-m4", "--out", tmp_path / "x.json", says=says)
    assert not (tmp_path / "x.json").exists()
