"""Modelled Cortex-M4 cycles of a trace: each instruction's cost from Arm's table, zero wait states.

Costs: Cortex-M4 Technical Reference Manual r0p1 (Arm DDI 0439D), tables 3-1 and 3-2 and sections 3.3.2 and 7.2.3. A
pipeline refill (1 to 3 cycles there) counts 2, a division (2 to 12) counts 7, an IT that could fold counts 1. Such a
table gave 9.57 M cycles for a keyword-spotting network that three submissions of MLPerf Tiny ran on boards with a
Cortex-M4 in 9.24, 9.84 and 11.24 M: hence the stated error of 15 %. Flash wait states come on top.
"""

import re
from dataclasses import dataclass

import numpy as np

from kws_dendrite.export.benchmark.trace import Trace

ERROR = 0.15
REFILL = 2
DIVISION = 7

_LINE = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(\S+)\s*(.*)$")
_REGISTER = re.compile(r"\b(?:r\d+|[sd]\d+|sp|lr|pc|ip|fp|sl|sb)\b")
_MULTIPLE = ("ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop")
_FP_ARITHMETIC = ("vadd", "vsub", "vmul", "vnmul", "vdiv", "vsqrt", "vfma", "vfms", "vfnm", "vmla", "vmls", "vnml")
_FP_ACCUMULATE = ("vfma", "vfms", "vfnm", "vmla", "vmls", "vnml")


@dataclass(frozen=True)
class Instruction:
    """One line of the disassembly. size: bytes."""

    size: int
    mnemonic: str
    operands: str

    @property
    def registers(self) -> tuple[str, ...]:
        """In the order of the operands."""
        return tuple(_REGISTER.findall(self.operands))


def read_disassembly(text: str) -> dict[int, Instruction]:
    """Address -> instruction, from `objdump -d`."""
    instructions = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            size = len(match[2].replace(" ", "")) // 2
            operands = re.split(r"\s*[@;<]", match[4], maxsplit=1)[0]
            instructions[int(match[1], 16)] = Instruction(
                size, match[3].removesuffix(".w").removesuffix(".n"), operands
            )
    return instructions


def cost(instruction: Instruction, previous: Instruction | None = None) -> int:
    """Cycles of an instruction after `previous`, a pipeline refill not counted."""
    return _base(instruction, previous) + _stall(instruction, previous)


def _base(instruction: Instruction, previous: Instruction | None) -> int:
    name = instruction.mnemonic
    if name.startswith(_MULTIPLE):
        return 1 + _listed(instruction.operands)
    if name.startswith(("ldrd", "strd")):
        return 3
    if name.startswith("ldr"):
        return 1 if _pipelines(previous, instruction) else 2
    if name.startswith("str"):
        by_register = len(re.findall(_REGISTER, instruction.operands.partition("[")[2])) > 1
        return 2 if by_register and not _pipelines(previous, instruction) else 1
    if name.startswith(("vldr", "vstr")):
        return 3 if instruction.operands.startswith("d") else 2
    if name.startswith(("vdiv", "vsqrt")):
        return 14
    if name.startswith(_FP_ACCUMULATE):
        return 3
    if name.startswith(("sdiv", "udiv")):
        return DIVISION
    if name.startswith(("tbb", "tbh")):
        return 2
    if name.startswith("vmov") and len(instruction.registers) > 2:
        return 2
    return 1


def _pipelines(previous: Instruction | None, instruction: Instruction) -> bool:
    """A single load or store after a single load whose result its address does not need."""
    if previous is None or not previous.mnemonic.startswith("ldr") or previous.mnemonic.startswith("ldrd"):
        return False
    loaded = previous.registers[:1]
    address = _REGISTER.findall(instruction.operands.partition("[")[2])
    return bool(loaded) and loaded[0] not in address


def _stall(instruction: Instruction, previous: Instruction | None) -> int:
    """Floating-point arithmetic whose result the next instruction reads takes a cycle more."""
    if previous is None or not previous.mnemonic.startswith(_FP_ARITHMETIC) or not previous.registers:
        return 0
    reads_first = instruction.mnemonic.startswith((*_FP_ACCUMULATE, "vcmp", "vstr", "vpush", "vstm"))
    read = instruction.registers if reads_first else instruction.registers[1:]
    return int(previous.registers[0] in read)


def _listed(operands: str) -> int:
    """Words of a register list: {r4, r5, lr} or {d8-d9}."""
    words = 0
    for item in operands.partition("{")[2].rstrip("}").split(","):
        first, _, last = item.strip().partition("-")
        count = int(last[1:]) - int(first[1:]) + 1 if last else 1
        words += count * (2 if first.startswith("d") else 1)
    return words


@dataclass(frozen=True)
class CycleModel:
    """Cycles of a trace. inside: by block, cycles before each of its instructions, and its total; starts: (N + 1,)."""

    inside: tuple[tuple[int, ...], ...]
    starts: np.ndarray

    def at(self, run: Trace, position: int, offset: int) -> int:
        """Cycles before the instruction `offset` of the block at `position` of the sequence."""
        return int(self.starts[position]) + self.inside[int(run.sequence[position])][offset]


def model_cycles(run: Trace, instructions: dict[int, Instruction]) -> CycleModel:
    """Cost every instruction of the trace. A block that the next one does not follow in memory pays a refill."""
    inside, ends = [], []
    for block in run.blocks:
        sums, previous = [0], None
        for address in block:
            instruction = instructions.get(address)
            sums.append(sums[-1] + (cost(instruction, previous) if instruction else 1))
            previous = instruction
        inside.append(tuple(sums))
        ends.append(block[-1] + (previous.size if previous else 2))
    first = np.array([block[0] for block in run.blocks], np.int64)[run.sequence]
    after = np.array(ends, np.int64)[run.sequence]
    jumps = np.zeros(len(run.sequence), np.int64)
    jumps[:-1] = first[1:] != after[:-1]
    totals = np.array([sums[-1] for sums in inside], np.int64)[run.sequence] + REFILL * jumps
    return CycleModel(tuple(inside), np.concatenate([[0], np.cumsum(totals)]))
