"""The model of a Cortex-M4, on sequences whose cycles Arm's manual gives."""

import numpy as np
import pytest

from kws_dendrite.export.benchmark.cycles import REFILL, Instruction, cost, model_cycles, read_disassembly
from kws_dendrite.export.benchmark.trace import Trace


def cycles(text: str) -> int:
    """Of a straight run of instructions, with `; ` between."""
    total, previous = 0, None
    for line in text.split("; "):
        mnemonic, _, operands = line.partition(" ")
        instruction = Instruction(2, mnemonic, operands)
        total += cost(instruction, previous)
        previous = instruction
    return total


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # DDI 0439D, section 3.3.2's own examples
        ("ldr r0, [r1]; ldr r1, [r2]", 3),
        ("ldr r0, [r1, r2]; str r0, [r3, #20]", 3),
        ("ldr r0, [r1, r2]; str r1, [r3, r2]", 3),
        ("ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),
        ("ldrd r0, r1, [r2]", 3),
        ("stmia r0!, {r1, r2, r3, r4, r5, r6, r7, r8}", 9),
        ("str r0, [r1, #4]", 1),
        # nothing follows a store in the pipeline, nor a load whose address waits for the one before
        ("str r0, [r1, r2]; ldr r3, [r4]", 4),
        ("ldr r0, [r1]; ldr r2, [r0]", 4),
        # tables 3-1 and 3-2
        ("smlad r0, r1, r2, r0; mla r0, r1, r2, r0; smull r0, r1, r2, r3; umlal r0, r1, r2, r3", 4),
        ("sxtb16 r0, r1, ror #8; ssat r0, #8, r1; usat r2, #8, r3; pkhbt r0, r1, r2, lsl #16", 4),
        ("push {r4, r5, lr}; pop {r4, r5, pc}", 8),
        ("tbb [pc, r0]", 2),
        # floating point: section 7.2.3
        ("vdiv.f32 s0, s1, s2; vsqrt.f32 s3, s4", 28),
        ("vfma.f32 s0, s1, s2; vldr s3, [r0]; vpush {d8-d9}; vldr d0, [r0]", 3 + 2 + 5 + 3),
        ("vadd.f32 s0, s1, s2; vmul.f32 s3, s4, s5", 2),
        ("vadd.f32 s0, s1, s2; vmul.f32 s3, s0, s5", 3),
        ("vmul.f32 s0, s1, s2; vfma.f32 s0, s3, s4", 1 + 3 + 1),
        ("vmov r0, r1, d0; vmov s0, r0", 3),
    ],
)
def test_sequences(text, expected):
    assert cycles(text) == expected


OBJDUMP = """
00000040 <f>:
  40:\t2003      \tmovs\tr0, #3
  42:\tf8d1 0008 \tldr.w\tr0, [r1, #8]
  46:\td1f9      \tbne.n\t40 <f>
  48:\t4904      \tldr\tr1, [pc, #16]\t@ (60 <f+0x20>)
  4a:\t4770      \tbx\tlr
  4c:\t00020026 \t.word\t0x00020026
"""


def test_disassembly():
    lines = read_disassembly(OBJDUMP)
    assert lines[0x42] == Instruction(4, "ldr", "r0, [r1, #8]")
    assert lines[0x46] == Instruction(2, "bne", "40") and lines[0x48].operands == "r1, [pc, #16]"


def test_a_branch_that_is_taken_pays_the_refill():
    run = Trace(((0x40, 0x42, 0x46), (0x48, 0x4A)), np.array([0, 0, 1, 0]))
    model = model_cycles(run, read_disassembly(OBJDUMP))
    first, last = 1 + 2 + 1, 2 + 1  # movs, ldr, bne; ldr, bx
    assert list(model.starts) == [
        0, first + REFILL, 2 * first + REFILL, 2 * (first + REFILL) + last, 3 * first + 2 * REFILL + last,
    ]  # fmt: skip
    assert model.at(run, 1, 2) == first + REFILL + 3
    assert list(run.starts) == [0, 3, 6, 8, 11]
