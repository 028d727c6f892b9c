"""A board's firmware: it builds, its report is read back, and a broken log is told."""

import json
import subprocess

import numpy as np
import pytest
from small_model import on_device, small_outputs, write_small

from kws_dendrite.errors import ExportError, OutputError
from kws_dendrite.export.benchmark.board import HARNESS, model_id, read_serial, write_board
from kws_dendrite.export.benchmark.firmware import STACK_BYTES, harness_file
from kws_dendrite.export.benchmark.report import from_json
from kws_dendrite.export.benchmark.targets import find_target

CLIP = np.arange(6, dtype=np.int8) * 4
EXPECTED = small_outputs(CLIP[None])[0]
SAID = {
    "kws_benchmark": 1, "unit": "cycles", "clock_hz": 120_000_000, "own": 12, "cpuid": 0x410FC241, "model": 0x0BADCAFE,
    "detector_stride": 5, "runs": 10, "equal": 10,
    "calls": {"model": [1500, 10, 96], "frame": [81600, 51, 300], "features": [1000, 1, 80]},
    "operators": {"0": [900, 10], "1": [500, 10]}, "stages": {"0": [51000, 51], "6": [700, 1]},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return write_small(tmp_path / "c", audio=True)


def log(tmp_path, text):
    path = tmp_path / "serial.log"
    path.write_text(text)
    return path


def test_the_folder_is_whole(folder, tmp_path):
    out = write_board(folder, tmp_path / "board", clip=CLIP, expected=EXPECTED)
    names = {path.name for path in out.iterdir()}
    assert {*HARNESS, "kws_model.c", "kws_model.h", "kws_bench_input.h", "FLAGS.txt"} <= names
    assert (out / "FLAGS.txt").read_text().split() == [
        "-include", "hooks_timer.h", "-DKWS_BENCH_MODEL", "-DKWS_BENCH_FRONTEND", "-DKWS_BENCH_DETECTOR",
    ]  # fmt: skip
    assert "0, 4, 8, 12, 16, 20," in (out / "kws_bench_input.h").read_text()
    with pytest.raises(OutputError, match="--overwrite"):
        write_board(folder, out)
    write_board(folder, out, overwrite=True)


def test_a_clip_that_does_not_fit_leaves_nothing(folder, tmp_path):
    with pytest.raises(ExportError, match="clip has 6 values"):
        write_board(folder, tmp_path / "board", clip=np.zeros(7, np.int8))
    assert not (tmp_path / "board").exists()


@on_device
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m33"])
def test_it_builds_and_reports(folder, tmp_path, target):
    """In the emulator, which has no cycle counter: all counts are 0, all else is as on a board."""
    out = write_board(folder, tmp_path / "board", clip=CLIP, expected=EXPECTED)
    (out / "main.c").write_text("""
#include "board.h"
#include "semihosting.h"
static char text[4096];
static unsigned long used;
void kws_board_putc(char c) {
    text[used++] = c;
}
int main(void) {
    const int to = semihosting_open("serial.log", SEMIHOSTING_WRITE_BINARY);
    kws_bench_run(80000000);
    (void)semihosting_write(to, "boot\\n", 5);
    (void)semihosting_write(to, text, used);
    semihosting_close(to);
    return 0;
}
""")
    core = find_target(target)
    script = harness_file("link.ld.in").read_text()
    for name, (origin, length) in (("FLASH", core.flash), ("RAM", core.ram)):
        script = script.replace(f"@{name}_ORIGIN@", hex(origin)).replace(f"@{name}_LENGTH@", hex(length))
    (out / "link.ld").write_text(script)
    extra = [str(harness_file(name)) for name in ("startup.c", "semihosting.c")]
    command = [
        "arm-none-eabi-gcc", *core.flags, "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-I", ".",
        "-I", str(harness_file("bench.h").parent), f"-DKWS_BENCH_STACK_BYTES={STACK_BYTES}",
        *(out / "FLAGS.txt").read_text().split(), *[path.name for path in out.glob("*.[cS]")], *extra,
        "-nostartfiles", "-T", "link.ld", "-o", "board.elf",
    ]  # fmt: skip
    subprocess.run(command, cwd=out, check=True)
    subprocess.run(
        ["qemu-system-arm", "-M", core.machine, "-nographic", "-monitor", "none", "-serial", "null",
         "-semihosting-config", "enable=on,target=native", "-kernel", "board.elf"],
        cwd=out, check=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    report, hertz = read_serial(out / "serial.log", folder)
    assert hertz == 80_000_000 and report.target == f"board, {target.title()}"
    assert report.accuracy.equal == report.accuracy.clips == 10
    assert [row.kernel for row in report.operators] == ["kws_halve", ""] and report.inference.cycles == 0


def test_a_report_is_read(folder, tmp_path):
    path = log(tmp_path, f"*** Booting ***\r\n{json.dumps(SAID, separators=(',', ':'))}\r\nidle\r\n")
    report, hertz = read_serial(path, folder)
    assert hertz == 120_000_000 and report.target == "board, Cortex-M4" and report.method == "board"
    assert report.inference.cycles == 150 and report.inference.instructions is None
    assert [row.count.cycles for row in report.operators] == [90, 50]
    assert report.frame.cycles == 1600 and report.features.cycles == 1000
    assert [(row.stage, row.count.cycles) for row in report.stages] == [("pre-emphasis", 1000), ("CMVN", 700)]
    assert report.per_second.cycles == 50 * 1600 + 10 * (150 + 1000)
    assert report.stack == {"model": 96, "frame": 300, "features": 80}
    assert from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_last_report_counts(folder, tmp_path):
    newer = SAID | {"clock_hz": 64_000_000}
    text = "\n".join(json.dumps(said, separators=(",", ":")) for said in (SAID, newer))
    assert read_serial(log(tmp_path, text), folder)[1] == 64_000_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing here", "holds no report"),
        (json.dumps(SAID, separators=(",", ":"))[:150], "cut off or garbled"),
        (json.dumps(SAID | {"model": 1}, separators=(",", ":")), "of another model"),
        (json.dumps({k: v for k, v in SAID.items() if k != "calls"}, separators=(",", ":")), "not whole .*calls"),
        (json.dumps(SAID | {"operators": {"x": [1]}}, separators=(",", ":")), "not whole"),
        (json.dumps(SAID | {"calls": []}, separators=(",", ":")), "not whole"),
        (json.dumps(SAID | {"calls": {"model": [1, 0, 0]}}, separators=(",", ":")), "not whole"),
        (json.dumps(SAID | {"runs": "x"}, separators=(",", ":")), "not whole"),
    ],
)
def test_a_broken_log(folder, tmp_path, text, says):
    with pytest.raises(ExportError, match=says):
        read_serial(log(tmp_path, text), folder)


def test_no_log(folder, tmp_path):
    with pytest.raises(ExportError, match="cannot be read"):
        read_serial(tmp_path / "none", folder)


def test_the_model_is_known_by_its_hash(folder):
    assert model_id(folder) == 0x0BADCAFE
