"""The report on an emulated core: whole, exact, equal by either method, held to what the model says on the host."""

import json
from dataclasses import replace

import numpy as np
import pytest
from small_model import needs, on_device, small_outputs, write_small

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.benchmark.device import decide, measure
from kws_dendrite.export.benchmark.footprint import part_of
from kws_dendrite.export.benchmark.host import time_c
from kws_dendrite.export.benchmark.inputs import Inputs, noise
from kws_dendrite.export.benchmark.report import Count, from_json

CLIPS = np.random.default_rng(0).integers(-128, 128, (200, 6)).astype(np.int8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("small") / "c", audio=True)


@pytest.fixture(scope="module")
def report(folder):
    return measure(folder, "cortex-m4", inputs=Inputs(CLIPS, small_outputs(CLIPS)))


@on_device
class TestReport:
    def test_sums(self, report):
        parts = sum(row.count.instructions for row in report.operators)
        assert parts < report.inference.instructions < parts + 10
        frame = sum(row.count.instructions for row in report.stages)
        assert frame < report.frame.instructions < frame + 20
        assert report.decision.instructions == report.inference.instructions + report.features.instructions
        assert report.frames_per_second == 50 and report.decisions_per_second == 10  # every fifth frame
        of_parts = 50 * report.frame.instructions + 10 * report.decision.instructions
        assert report.per_second.instructions == pytest.approx(of_parts, abs=0.2)

    def test_a_second_as_it_ran(self, report):
        """The detector's own calls come on top of its parts, and little else does."""
        assert report.second.inferences == 10
        assert 1.0 < report.second.count.instructions / report.per_second.instructions < 1.05

    def test_names_come_from_the_description(self, report):
        first, second = report.operators
        assert (first.operator, first.kernel, second.shape, second.macs) == ("HALVE", "kws_halve", (1, 2), 6)
        assert [row.stage for row in report.stages] == ["pre-emphasis", "FFT"]
        assert report.model_sha256 == "0badcafe00"

    def test_what_counted(self, report):
        assert "arm-none-eabi-gcc" in report.compiler and "-O2" in report.flags and "-mcpu=cortex-m4" in report.flags
        assert "QEMU" in report.emulator and len(report.elf_sha256) == 64

    def test_size(self, report):
        parts = {part.part: part for part in report.footprint.parts}
        assert parts["model weights"].flash >= 6 and parts["kernels"].flash > 0 and parts["front end"].flash > 0
        assert parts["detector"].flash > 0 and parts["harness"].flash > 0
        assert parts["state"].ram == 56  # front end 36, 4 that align, arena 8, clip and scores 8
        linked = sum(part.flash for part in report.footprint.parts)
        sections = report.footprint.sections
        assert linked <= sections[".vectors"] + sections[".text"] + sections[".data"] <= linked + 64  # what aligns them
        assert report.footprint.flash == linked - parts["harness"].flash

    def test_stack(self, report):
        assert set(report.stack) == {"model", "frame", "features", "detector"}
        assert report.stack["detector"] > report.stack["frame"] > 0
        assert report.ram == report.footprint.ram + report.stack["detector"]

    def test_every_output_is_compared(self, folder, report):
        assert (report.accuracy.clips, report.accuracy.equal, report.accuracy.decisions) == (200, 200, 200)
        wrong = small_outputs(CLIPS)
        wrong[:3, 0] ^= 1
        assert measure(folder, "cortex-m3", inputs=Inputs(CLIPS, wrong)).accuracy.equal == 197

    def test_json_and_back(self, report):
        said = json.loads(json.dumps(report.to_json()))
        assert from_json(said) == report
        assert said["decision"]["instructions"] == report.decision.instructions and said["ram"] == report.ram
        with pytest.raises(ExportError, match="no report"):
            from_json({"target": "cortex-m4"})

    def test_the_same_every_time(self, folder, report):
        again = measure(folder, "cortex-m4", inputs=Inputs(CLIPS, small_outputs(CLIPS)))
        assert again == report

    def test_only_the_m4_has_cycles(self, folder, report):
        assert report.inference.cycles > report.inference.instructions
        other = measure(folder, "cortex-m7", decisions_per_second=20)
        assert other.decisions_per_second == 20
        assert other.inference.cycles is None and other.per_second.cycles is None and other.accuracy is None

    def test_more_decisions(self, report):
        more = replace(report, decisions_per_second=20)
        assert more.per_second.instructions - report.per_second.instructions == pytest.approx(
            10 * report.decision.instructions, abs=0.2
        )


@on_device
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m33", "cortex-m55"])
def test_the_timer_agrees_with_the_trace(folder, target):
    """SysTick, whose ticks are longer than an instruction, and which code must read."""
    traced, timed = measure(folder, target), measure(folder, target, method="timer")
    assert timed.inference.instructions == pytest.approx(traced.inference.instructions, abs=15)
    assert timed.frame.instructions == pytest.approx(traced.frame.instructions, abs=15)
    assert timed.features.instructions == pytest.approx(traced.features.instructions, abs=15)
    for a, b in zip(timed.operators, traced.operators, strict=True):
        assert a.count.instructions == pytest.approx(b.count.instructions, abs=20)


@on_device
@pytest.mark.parametrize("target", ["cortex-m3", "cortex-m33"])
def test_decisions_of_the_core(folder, target):
    assert np.array_equal(decide(folder, target, CLIPS), small_outputs(CLIPS))


@on_device
def test_bad_inputs(folder):
    with pytest.raises(ExportError, match=r"reads int8 features \(N, 6\), got int8 \(2, 5\)"):
        measure(folder, "cortex-m4", inputs=Inputs(np.zeros((2, 5), np.int8)))
    with pytest.raises(ExportError, match=r"got float32"):
        decide(folder, "cortex-m4", np.zeros((2, 6), np.float32))
    with pytest.raises(ExportError, match=r"expected outputs \(1, 2\)"):
        measure(folder, "cortex-m4", inputs=Inputs(CLIPS[:1], np.zeros((2, 2), np.int8)))
    with pytest.raises(ConfigError, match="trace, timer"):
        measure(folder, "cortex-m4", method="guess")


def test_a_folder_without_sources(tmp_path):
    with pytest.raises(ExportError, match="holds no C sources"):
        measure(tmp_path, "cortex-m4")


def test_noise_is_the_same_and_swells():
    samples = noise(32000)
    assert samples.dtype == np.int16 and np.array_equal(samples, noise(32000)) and samples[0] != noise(1, 1)[0]
    assert samples[7000:9000].std() > 3 * samples[:1000].std()


@pytest.mark.parametrize(
    ("file", "section", "part"),
    [
        ("/x/kws_model.3.o", ".rodata.weights", "model weights"), ("/x/kws_model.3.o", ".text.f", "model code"),
        ("/x/kws_conv.0.o", ".text.f", "kernels"), ("/x/kws_frontend_tables.1.o", ".rodata.t", "front end"),
        ("/x/kws_detector.1.o", ".text.f", "detector"), ("/usr/lib/libc.a(lib_a-memset.o)", ".text", "C library"),
        ("/x/app.0.startup.harness.o", ".text.f", "harness"), ("/x/app.2.app.harness.o", ".bss.kws_state", "state"),
    ],
)  # fmt: skip
def test_parts(file, section, part):
    assert part_of(file, section) == part


@needs("cc")
def test_the_c_build_on_the_host(folder):
    row = time_c(folder, runs=20, clip=CLIPS[0])
    assert row.artefact == "c" and row.runs == 20 and 0 <= row.p10_us <= row.median_us <= row.p90_us


def test_no_compiler_on_the_host(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match="apt-get install gcc"):
        time_c(folder)


def test_sums_of_what_is_not_known():
    assert Count(1, None) + Count(2, 3) == Count(3, None)
    assert Count(None, 4).times(2) == Count(None, 8)
