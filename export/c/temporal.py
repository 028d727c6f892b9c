"""The temporal depthwise convolution on Arm's DSP extension: one assembly function for each shape.

A channel's whole time series is first laid out as int16 lanes (2^8 times the input, padding included), so that two
neighbouring taps are one operand of SMLAD. Outputs at even lanes use the pairs (w0, w1), (w2, w3), ..., those at odd
lanes (0, w0), (w1, w2), ...: the same inputs, another set of weights, hence two passes. In a pass the weights stay in
registers and an output costs one load for its first pair, one for the others, a SMLAD a pair, one to five instructions to
int8 and a store.
"""

import math

import numpy as np

MAX_PAIRS = 5  # weights and inputs in registers r0 to r9
IN_REGISTERS = 3  # so few pairs leave room for the output's constants; more fetch them from the stack each time
MAX_STEP = 255  # bytes: a post-indexed access's reach


def fits(kernel: int, stride: int, channels: int) -> bool:
    """Whether a kernel of this many taps is served; one column, no dilation."""
    return pairs(kernel) <= MAX_PAIRS and stride in (1, 2) and channels * (2 if stride == 1 else 1) <= MAX_STEP


def pairs(kernel: int) -> int:
    """Registers of weights; the odd pass of an even kernel needs one more."""
    return kernel // 2 + 1


def lanes(in_h: int, out_h: int, kernel: int, stride: int, pad: int) -> int:
    """int16 lanes of a channel's row: its padding, its inputs, and what the last output's last pair touches."""
    return max(pad + in_h, (out_h - 1) * stride + 2 * pairs(kernel)) + 1


def function_name(kernel: int, stride: int, channels: int, in_h: int, *, line: bool) -> str:
    """Of the assembly function."""
    return f"kws_temporal_{kernel}_{stride}_{channels}_{in_h}_{'line' if line else 'rising'}"


def stream(weights: np.ndarray, first: np.ndarray, multiplier: np.ndarray, third: np.ndarray | None) -> np.ndarray:
    """int32: by channel the pairs of `weights` (C, K) for even lanes, third where there is one, multiplier, first."""
    channels, kernel = weights.shape
    padded = np.zeros((channels, 2 * pairs(kernel)), np.int64)
    padded[:, :kernel] = weights
    even = (padded[:, 0::2] & 0xFFFF) | ((padded[:, 1::2] & 0xFFFF) << 16)
    columns = [even, *([] if third is None else [third[:, None]]), multiplier[:, None], first[:, None]]
    return (np.concatenate(columns, 1).astype(np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def function_text(kernel: int, stride: int, channels: int, in_h: int, *, line: bool) -> str:
    """The C definition, under KWS_DSP."""
    body = "\n".join(f'        "{text}\\n\\t"' for text in _instructions(kernel, stride, channels, in_h, line))
    name = function_name(kernel, stride, channels, in_h, line=line)
    return f"""\
#if KWS_DSP
/* {kernel} taps, stride {stride}, {channels} channels, {in_h} inputs each. */
static __attribute__((naked, noinline)) void {name}(kws_temporal *temporal __attribute__((unused))) {{
    __asm__ volatile(
{body}
    );
}}
#endif"""


def _instructions(kernel: int, stride: int, channels: int, in_h: int, line: bool) -> list[str]:
    n = pairs(kernel)
    constants = ["r7", "r8", "r9"] if line else ["r8", "r9"]  # third, multiplier, center
    held = ", ".join(constants)
    text = [
        "push {r0, r4-r11, lr}",  # [sp, #16] once the block below is there
        "sub sp, sp, #16",  # third, multiplier, center (without third: multiplier, center); [sp, #12]: first output
        "ldr r1, [r0, #40]",
        f"str r1, [sp, #{8 if line else 4}]",
        "mov lr, r0",
        "1: ldr r1, [lr, #4]",  # this channel's inputs to lanes
        "add r2, r1, #1",
        "str r2, [lr, #4]",
        "ldr r2, [lr, #16]",
    ]
    copy = [f"ldrb r0, [r1], #{channels}", "strb r0, [r2], #2"]
    blocks, rest = divmod(in_h, 5)
    if blocks > 1:
        text += [f"mov r3, #{blocks}", "2: " + copy[0], copy[1], *(4 * copy), "subs r3, r3, #1", "bne 2b"]
    else:
        text += 5 * blocks * copy
    text += rest * copy
    weights = "r0" if n == 1 else f"r0-r{n - 1}"
    text += [
        "ldr r10, [lr]",
        f"ldmia r10!, {{{weights}}}",
        f"ldmia r10!, {{{', '.join(constants[:-1])}, r12}}",
        "str r10, [lr]",
        "strd r7, r8, [sp]" if line else "str r8, [sp]",
        "ldr r10, [lr, #12]",
        "ldr r11, [lr, #8]",
        "str r11, [sp, #12]",
        "add r6, r11, #1",
        "str r6, [lr, #8]",
        "ldr lr, [lr, #24]",
    ]
    if n <= IN_REGISTERS:
        text.append(f"ldr r9, [sp, #{8 if line else 4}]")
    step = channels * (2 if stride == 1 else 1)
    text += _pass("3", n, step, line, held)
    if stride == 1:
        for i in range(n - 1, 0, -1):  # (w0, w1), (w2, w3) ... -> (0, w0), (w1, w2), ...
            text += [f"lsr r6, r{i - 1}, #16", f"orr r{i}, r6, r{i}, lsl #16"]
        text += [
            "lsl r0, r0, #16",
            "ldr lr, [sp, #16]",
            "ldr r10, [lr, #12]",
            "ldr r11, [sp, #12]",
            f"add r11, r11, #{channels}",
            "ldr lr, [lr, #28]",
            "cmp r10, lr",
            "beq 5f",
            *_pass("4", n, step, line, held),
        ]
    text += [
        "5: ldr lr, [sp, #16]",
        "ldr r0, [lr, #36]",
        "subs r0, r0, #1",
        "str r0, [lr, #36]",
        "bne 1b",
        "add sp, sp, #20",
        "pop {r4-r11, pc}",
    ]
    return text


def _pass(label: str, n: int, step: int, line: bool, held: str) -> list[str]:
    """Outputs until r10 reaches lr. Weights r0.., inputs behind them, first in r12."""
    inputs = [f"r{n + i}" for i in range(n)]
    acc = inputs[0]
    text = [f"{label}: ldr {acc}, [r10], #4"]
    if n > 1:
        text.append(f"ldmia r10, {{{', '.join(inputs[1:])}}}")
    text.append(f"smlad {acc}, {acc}, r0, r12")
    text += [f"smlad {acc}, {inputs[i]}, r{i}, {acc}" for i in range(1, n)]
    if n > IN_REGISTERS:
        text.append(f"ldmia sp, {{{held}}}")
    if line:
        scratch = "r6" if n <= IN_REGISTERS else "r7"
        text += [f"and {scratch}, r7, {acc}, asr #31", f"sub {acc}, {acc}, {scratch}"]
    return [
        *text,
        f"smmla {acc}, {acc}, r8, r9",
        f"ssat {acc}, #8, {acc}, asr #12",
        "cmp r10, lr",
        f"strb {acc}, [r11], #{step}",
        f"bne {label}b",
    ]


def plan_passes(out_h: int, stride: int) -> tuple[int, int]:
    """Outputs of the even and of the odd pass."""
    return (math.ceil(out_h / 2), out_h // 2) if stride == 1 else (out_h, 0)
