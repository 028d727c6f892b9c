"""Counts on the emulated core: known by hand, the same every time, the same by every method."""

import os
import re

import pytest
from small_model import on_device, write_small

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.benchmark import trace as tracing
from kws_dendrite.export.benchmark.c_folder import header_number
from kws_dendrite.export.benchmark.count import OPERATOR, REST, count_folder, count_source
from kws_dendrite.export.benchmark.emulator import run
from kws_dendrite.export.benchmark.firmware import BASE, compile_sources, link
from kws_dendrite.export.benchmark.targets import TARGETS, find_target
from kws_dendrite.export.benchmark.toolchain import INSTALL, QEMU, missing, version

# 1 + 10 (subs, bne) + cmp, it, the instruction under it, bx; one that is skipped counts too
LOOP = """
    .syntax unified
    .thumb
    .text
    .global loop, nested
    .type loop, %function
    .thumb_func
loop:
    movs r1, #10
1:  subs r1, #1
    bne 1b
    cmp r0, #3
    it eq
    addeq r1, #1
    bx lr
    .size loop, . - loop
    .type nested, %function
    .thumb_func
nested:
    push {r4, lr}
    mov r4, r0
2:  bl loop
    subs r4, #1
    bne 2b
    pop {r4, pc}
    .size nested, . - nested
"""
IN_LOOP = 1 + 10 * 2 + 4
MAIN = """
#include "bench.h"
void loop(void);
void nested(void);
int main(void) {
    kws_bench_call(loop, (void *)3, 0, 0);
    kws_bench_call(loop, (void *)4, 0, 0);
    kws_bench_call(nested, (void *)100, 0, 0);
    return 0;
}
"""


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    path = tmp_path_factory.mktemp("loop") / "loop.S"
    path.write_text(LOOP)
    return path


@on_device
@pytest.mark.parametrize("target", TARGETS)
def test_a_count_known_by_hand(loop, target):
    nested = 2 + 100 * (1 + IN_LOOP + 2) + 1
    assert count_source([loop], MAIN, target) == {"loop": [IN_LOOP, IN_LOOP], "nested": [nested]}


@on_device
def test_a_low_overhead_loop_known_by_hand(tmp_path):
    """Armv8.1-M: the loop's end counts once a turn, as QEMU runs it; a core that keeps the loop's ends skips it."""
    source = tmp_path / "low.S"
    source.write_text("""
    .syntax unified
    .thumb
    .text
    .global low
    .type low, %function
    .thumb_func
low:
    push {r4, lr}
    dls lr, r0
1:  adds r1, #1
    le lr, 1b
    vdup.8 q0, r1
    pop {r4, pc}
    .size low, . - low
""")
    main = '#include "bench.h"\nvoid low(void);\nint main(void) { kws_bench_call(low, (void *)9, 0, 0); return 0; }\n'
    assert count_source([source], main, "cortex-m55") == {"low": [2 + 9 * 2 + 2]}


@on_device
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
def test_counts_repeat_and_agree_with_single_steps(loop, tmp_path, target, monkeypatch):
    folder = write_small(tmp_path / "c")
    counted = [count_folder(folder, target) for _ in range(3)]
    assert counted[0] == counted[1] == counted[2]
    major = int(re.search(r"version (\d+)", version(QEMU))[1])
    single = ("-singlestep",) if major < 8 else ("-accel", "tcg,one-insn-per-tb=on")
    monkeypatch.setattr(tracing, "OPTIONS", (*single, *tracing.OPTIONS))
    stepped = count_folder(folder, target)
    assert [call.instructions for call in stepped] == [call.instructions for call in counted[0]]
    assert [call.segments[0].instructions for call in stepped] == [call.segments[0].instructions for call in counted[0]]


@on_device
def test_the_parts_sum_to_the_whole(tmp_path):
    (call,) = count_folder(write_small(tmp_path / "c"), "cortex-m4")
    assert call.function == "kws_model_invoke"
    assert [(segment.kind, segment.index) for segment in call.segments] == [(OPERATOR, 0), (OPERATOR, 1), (REST, 0)]
    assert sum(segment.instructions for segment in call.segments) == call.instructions
    assert sum(segment.cycles for segment in call.segments) == call.cycles > call.instructions
    assert sum(call.functions.values()) == call.instructions
    assert call.functions["kws_halve"] >= 6 * 5 and call.entries == {"kws_model_invoke": 1, "kws_halve": 1}


@on_device
def test_files_go_in_and_come_out(tmp_path):
    """What a firmware reads it can write back, byte for byte: 100,000 of them in pieces of 777."""
    main = tmp_path / "main.c"
    main.write_text("""
#include "semihosting.h"
static char piece[777];
int main(void) {
    const int from = semihosting_open("in", SEMIHOSTING_READ_BINARY);
    const int to = semihosting_open("out", SEMIHOSTING_WRITE_BINARY);
    size_t got;
    if (semihosting_open("none", SEMIHOSTING_READ_BINARY) != -1) {
        return 1;
    }
    while ((got = semihosting_read(from, piece, sizeof piece)) > 0) {
        if (semihosting_write(to, piece, got) != got) {
            return 2;
        }
    }
    semihosting_close(to);
    return 0;
}
""")
    target = find_target("cortex-m33")
    objects = compile_sources([], target, tmp_path / "objects", include=tmp_path)
    content = os.urandom(100_000)
    firmware = link(objects, tmp_path, "copy", harness=(*BASE, main))
    run(firmware, tmp_path / "run", {"in": content})
    assert (tmp_path / "run" / "out").read_bytes() == content


@on_device
def test_a_run_without_end_is_stopped(tmp_path):
    main = tmp_path / "main.c"
    main.write_text("int main(void) { for (;;) { } }\n")
    objects = compile_sources([], find_target("cortex-m4"), tmp_path / "objects", include=tmp_path)
    firmware = link(objects, tmp_path, "endless", harness=(*BASE, main))
    for start in (run, tracing.trace):
        with pytest.raises(ExportError, match=r"did not end within 0\.5 s"):
            start(firmware, tmp_path / "run", timeout=0.5)


@on_device
def test_a_fault_is_told(tmp_path):
    source = tmp_path / "fault.c"
    source.write_text('void fault(void);\nvoid fault(void) { __asm__ volatile("udf #0"); }\n')
    main = '#include "bench.h"\nvoid fault(void);\nint main(void) { kws_bench_call(fault, 0, 0, 0); return 0; }\n'
    with pytest.raises(ExportError, match="cortex-m4 ended with status 99"):
        count_source([source], main, "cortex-m4")


@on_device
def test_sources_that_do_not_compile(tmp_path):
    folder = write_small(tmp_path / "c")
    (folder / "kws_halve.c").write_text("int kws_halve(void) { return nothing; }\n")
    with pytest.raises(ExportError, match=r"arm-none-eabi-gcc failed: .*error: .*nothing"):
        count_folder(folder, "cortex-m4")


def test_missing_tools_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing() == ("arm-none-eabi-gcc", "arm-none-eabi-size", "arm-none-eabi-objdump", "qemu-system-arm")
    with pytest.raises(ExportError, match=r"^arm-none-eabi-gcc is not installed; .*apt-get install gcc-arm") as raised:
        count_folder(write_small(tmp_path / "c"), "cortex-m4")
    assert INSTALL in str(raised.value) and "\n" not in str(raised.value)


def test_an_unknown_core(tmp_path):
    with pytest.raises(ConfigError, match=r"cortex-m4, .*got 'cortex-a7'"):
        count_folder(write_small(tmp_path / "c"), "cortex-a7")


def test_numbers_of_headers(tmp_path):
    folder = write_small(tmp_path / "c")
    assert header_number(folder, "kws_model.h", "KWS_MODEL_OUTPUT_ZERO_POINT") == -128
    assert header_number(folder, "kws_frontend.h", "KWS_FRONTEND_FRAMES") == 0
    with pytest.raises(ExportError, match="does not define KWS_ARENA"):
        header_number(folder, "kws_model.h", "KWS_ARENA")


class TestReader:
    """QEMU's log, line by line."""

    LOG = (
        b"IN: main\n0x00000040:  2003       movs     r0, #3\n0x00000042:  f000 f801  bl       #0x48\n\n"
        b"Trace 0: 0x7f17cc000100 [00800408/00000040/00000110/ff000200] \n"
        b"Stopped execution of TB chain before 0x7f17cc000100 [00000040] \n"
        b"Trace 0: 0x7f17cc000100 [00800408/00000040/00000110/ff000200] \n"
        b"IN: \n0x00000048:  4770       bx       lr\n\n"
        b"Trace 0: 0x7f17cc000280 [00800408/00000048/00000110/ff000200] \n"
    )

    def read(self, log: bytes):
        reader = tracing._Reader()
        reader.read(log.splitlines(keepends=True))
        return reader

    def test_a_stopped_block_counts_once(self):
        reader = self.read(self.LOG)
        assert list(reader.blocks) == [(0x40, 0x42), (0x48,)] and list(reader.sequence) == [0, 1]

    def test_an_instruction_that_the_disassembler_does_not_know(self):
        """le lr, of Armv8.1-M: one instruction in two lines."""
        unknown = b"0x00000040:  f00f       .byte    0x0f, 0xf0\n0x00000042:  c809       ldm      r0, {r0, r3}\n"
        known = self.LOG[self.LOG.index(b"0x00000040") : self.LOG.index(b"\n\n") + 1]
        assert next(iter(self.read(self.LOG.replace(known, unknown)).blocks)) == (0x40,)

    def test_another_block_than_translated(self):
        with pytest.raises(ExportError, match="another block"):
            self.read(self.LOG.replace(b"/00000048/", b"/00000050/"))
