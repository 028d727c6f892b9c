"""The temporal depthwise convolution on Arm's DSP extension: one assembly function for each shape.

A channel's whole time series is first laid out as int16 lanes (2^8 times the input, padding included), so that two
neighbouring taps are one operand of SMLAD. Outputs at even lanes use the pairs (w0, w1), (w2, w3), ..., those at odd
lanes (0, w0), (w1, w2), ...: the same inputs, another set of weights, hence two passes. In a pass the weights stay in
registers and an output costs one load for its first pair, one for as many others as there are registers, a SMLAD a
pair, two to six instructions to int8 and a store.
"""

from dataclasses import dataclass

import numpy as np

MAX_PAIRS = 8  # weights, the sum and at least one input in registers r0 to r9
IN_REGISTERS = 3  # so few pairs leave room for the output's constants; more fetch them from the stack each time
FIRST_STAYS = 7  # so many pairs leave r12 to `first`; with more it is an input's
FIRST = 16  # where `first` lies on the stack then
POST_INDEX = 255  # bytes that a post-indexed access steps over
MAX_STEP = 4095  # bytes that an addition steps over


@dataclass(frozen=True)
class Shape:
    """A layer of one column.

    A dilated one is as many undilated ones as its dilation, each with every so-manieth input and output; that needs its
    padding to be a multiple of the dilation, as "same" padding of an odd kernel is.
    """

    kernel: int
    stride: int
    dilation: int
    channels: int
    in_h: int
    out_h: int
    pad: int

    @property
    def is_served(self) -> bool:
        """Whether a function can be made for it."""
        apart = self.dilation == 1 or (self.stride == 1 and self.pad % self.dilation == 0)
        return self.pairs <= MAX_PAIRS and self.stride in (1, 2) and apart and 2 * self.step <= MAX_STEP

    @property
    def pairs(self) -> int:
        """Registers of weights; the odd pass of an even kernel needs one more."""
        return self.kernel // 2 + 1

    @property
    def step(self) -> int:
        """Bytes from an input of a channel to its next one."""
        return self.channels * self.dilation

    @property
    def lanes(self) -> int:
        """int16 lanes of a channel's row: its padding, its inputs, and what the last output's last pair touches."""
        inputs, outputs = (-(-size // self.dilation) for size in (self.in_h, self.out_h))
        return max(self.pad // self.dilation + inputs, (outputs - 1) * self.stride + 2 * self.pairs) + 1


def function_name(shape: Shape, *, line: bool) -> str:
    """Of the assembly function; shapes that differ in length or padding alone share it."""
    return f"kws_temporal_{shape.kernel}_{shape.stride}_{shape.step}_{'line' if line else 'rising'}"


def pair_stream(weights: np.ndarray) -> np.ndarray:
    """int32: by channel the pairs of `weights` (C, K) for even lanes."""
    channels, kernel = weights.shape
    padded = np.zeros((channels, 2 * (kernel // 2 + 1)), np.int64)
    padded[:, :kernel] = weights
    even = (padded[:, 0::2] & 0xFFFF) | ((padded[:, 1::2] & 0xFFFF) << 16)
    return even.astype(np.uint32).view(np.int32)


def constant_stream(first: np.ndarray, multiplier: np.ndarray, third: np.ndarray | None) -> np.ndarray:
    """int32: by channel third where there is one, multiplier, first."""
    columns = [*([] if third is None else [third]), multiplier, first]
    return (np.stack(columns, 1).astype(np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def function_text(shape: Shape, *, line: bool) -> str:
    """The C definition, under KWS_DSP."""
    body = "\n".join(f'        "{text}\\n\\t"' for text in _instructions(shape, line))
    return f"""\
#if KWS_DSP
/* {shape.kernel} taps, stride {shape.stride}, {shape.step} bytes from a channel's input to its next. */
static __attribute__((naked, noinline)) void {function_name(shape, line=line)}(
    kws_temporal *temporal __attribute__((unused))) {{
    __asm__ volatile(
{body}
    );
}}
#endif"""


def _instructions(shape: Shape, line: bool) -> list[str]:
    n = shape.pairs
    constants = ["r7", "r8", "r9"] if line else ["r8", "r9"]  # third, multiplier, center
    copy = [*_stepping("ldrb r0, [r1]", "r1", shape.step), "strb r0, [r2], #2"]
    frame = 16 if n <= FIRST_STAYS else FIRST + 4
    text = [
        "push {r0, r4-r11, lr}",
        # third, multiplier, center (without third: multiplier, center); [sp, #12]: first output
        f"sub sp, sp, #{frame}",
        "ldr r1, [r0, #40]",
        f"str r1, [sp, #{8 if line else 4}]",
        "mov lr, r0",
        "1: ldr r1, [lr, #4]",  # this channel's inputs to lanes, by fives, then the rest
        "add r2, r1, #1",
        "str r2, [lr, #4]",
        "ldr r2, [lr, #16]",
        "ldrd r3, r4, [lr, #44]",
        "cbz r3, 6f",
        "2: " + copy[0],
        *copy[1:],
        *(4 * copy),
        "subs r3, r3, #1",
        "bne 2b",
        "6: cbz r4, 8f",
        "7: " + copy[0],
        *copy[1:],
        "subs r4, r4, #1",
        "bne 7b",
        "8:",
        "ldr r11, [lr, #20]",
        f"ldmia r11!, {{{', '.join(constants[:-1])}, r12}}",
        "str r11, [lr, #20]",
        "strd r7, r8, [sp]" if line else "str r8, [sp]",
        *([f"str r12, [sp, #{FIRST}]"] if n > FIRST_STAYS else []),
        "ldr r11, [lr, #8]",
        "str r11, [sp, #12]",
        "add r6, r11, #1",
        "str r6, [lr, #8]",
        "ldr r10, [lr]",
        "ldmia r10!, {%s}" % ("r0" if n == 1 else f"r0-r{n - 1}"),
        "str r10, [lr]",
        "ldr r10, [lr, #12]",
        "ldr lr, [lr, #24]",
    ]
    if n <= IN_REGISTERS:
        text.append(f"ldr r9, [sp, #{8 if line else 4}]")
    step = shape.step * (2 if shape.stride == 1 else 1)
    text += _pass("3", n, step, line)
    if shape.stride == 1:
        spare = f"r{max(n, 6)}"
        for i in range(n - 1, 0, -1):  # (w0, w1), (w2, w3) ... -> (0, w0), (w1, w2), ...
            text += [f"lsr {spare}, r{i - 1}, #16", f"orr r{i}, {spare}, r{i}, lsl #16"]
        text += [
            "lsl r0, r0, #16",
            f"ldr lr, [sp, #{frame}]",
            "ldr r10, [lr, #12]",
            "ldr r11, [sp, #12]",
            f"add r11, r11, #{shape.step}",
            "ldr lr, [lr, #28]",
            "cmp r10, lr",
            "beq 5f",
            *_pass("4", n, step, line),
        ]
    text += [
        f"5: ldr lr, [sp, #{frame}]",
        "ldr r0, [lr, #36]",
        "subs r0, r0, #1",
        "str r0, [lr, #36]",
        "bne 1b",
        f"add sp, sp, #{frame + 4}",
        "pop {r4-r11, pc}",
    ]
    return text


def _pass(label: str, n: int, step: int, line: bool) -> list[str]:
    """Outputs until r10 reaches lr. Weights r0.., the sum behind them, inputs behind that up to r9, first in r12."""
    acc = f"r{n}"
    free = [f"r{i}" for i in range(n + 1, 10)] + (["r12"] if n > FIRST_STAYS else [])
    text = [f"{label}: ldr {acc}, [r10], #4"]
    if n > FIRST_STAYS:
        text.append(f"ldr r12, [sp, #{FIRST}]")
    text.append(f"smlad {acc}, {acc}, r0, r12")
    for start in range(1, n, len(free)):  # as many inputs at once as there are registers
        inputs = free[: min(n - start, len(free))]
        text.append(_load(inputs, "r10", 4 * (start - 1)))
        text += [f"smlad {acc}, {name}, r{start + i}, {acc}" for i, name in enumerate(inputs)]
    return [*text, *_to_int8(acc, n, line), "cmp r10, lr", *_stepping(f"strb {acc}, [r11]", "r11", step),
            f"bne {label}b"]  # fmt: skip


def _load(registers: list[str], base: str, offset: int) -> str:
    """One load of up to two registers at an offset, of any number at none."""
    if offset == 0 and len(registers) != 1:
        return f"ldmia {base}, {{{', '.join(registers)}}}"
    if len(registers) > 2:
        raise AssertionError("three registers load from the base alone")
    return f"{'ldrd' if len(registers) == 2 else 'ldr'} {', '.join(registers)}, [{base}, #{offset}]"


def _to_int8(acc: str, n: int, line: bool) -> list[str]:
    """The sum in `acc` to its int8: constants that are in registers, or fetched into those that the inputs leave."""
    multiplier, center = "r8", "r9"
    text = []
    if n > IN_REGISTERS + 3:  # two registers free
        multiplier, center = ("r8", "r9") if n <= FIRST_STAYS else ("r9", "r12")
        if line:
            third = multiplier
            text = [f"ldr {third}, [sp]", f"and {third}, {third}, {acc}, asr #31", f"sub {acc}, {acc}, {third}"]
        text.append(f"ldrd {multiplier}, {center}, [sp, #{4 if line else 0}]")
    else:
        scratch = "r6" if n <= IN_REGISTERS else "r7"
        if n > IN_REGISTERS:
            text.append(f"ldmia sp, {{{'r7, ' if line else ''}r8, r9}}")
        if line:
            text += [f"and {scratch}, r7, {acc}, asr #31", f"sub {acc}, {acc}, {scratch}"]
    return [*text, f"smmla {acc}, {acc}, {multiplier}, {center}", f"ssat {acc}, #8, {acc}, asr #12"]


def _stepping(access: str, base: str, step: int) -> list[str]:
    """An access through `base`, which is moved on by `step` bytes without touching the flags."""
    if step <= POST_INDEX:
        return [f"{access}, #{step}"]
    return [access, f"add {base}, {base}, #{step}"]
