"""The pointwise convolution of a small net on Arm's DSP extension: one assembly function for each number of taps.

With at most 14 taps a position's inputs fit seven registers as int16 pairs and stay there while the channels stream by:
per output three multi-word loads, a SMLAD a pair, two or four instructions to int8, a store. That is about an
instruction a product where the general kernel, written for many taps, needs two to three. The stream holds, by channel,
first, the weights in pairs, multiplier and, for a line with a correction below zero, third.

Lanes hold 2^8 times the input: AND with 0xff00ff00 takes bytes 1 and 3 of a word, AND of the word shifted left by a
byte takes bytes 0 and 2. So the pairs are (0, 2), (1, 3), (4, 6), ... and the weights lie in that order.
"""

import numpy as np

MAX_TAPS = 14
_INPUTS = ["r4", "r5", "r6", "r7", "r8", "r9", "r10"]
_LOADED = ["r1", "r2", "r3"]


def fits(taps: int) -> bool:
    """Whether a position of this many taps is served. Three taps beyond a word would read past the input's end."""
    return taps <= MAX_TAPS and taps % 4 != 3


def function_name(taps: int, *, line: bool) -> str:
    """Of the assembly function; `line`: with the correction below zero."""
    return f"kws_narrow_{taps}_{'line' if line else 'rising'}"


def pair_order(taps: int) -> list[tuple[int, int | None]]:
    """Which taps share a register, low half first; None is an empty half."""
    pairs: list[tuple[int, int | None]] = []
    for start in range(0, taps - 3, 4):
        pairs += [(start, start + 2), (start + 1, start + 3)]
    rest = taps % 4
    if rest:
        pairs.append((taps - rest, taps - 1 if rest == 2 else None))
    return pairs


def stream(weights: np.ndarray, first: np.ndarray, multiplier: np.ndarray, third: np.ndarray | None) -> np.ndarray:
    """int32: by channel first, the pairs of `weights` (C, K), multiplier, third where there is one."""
    rows = []
    for channel, row in enumerate(weights.astype(np.int64)):
        words = [int(first[channel])]
        for low, high in pair_order(len(row)):
            words.append((int(row[low]) & 0xFFFF) | ((int(row[high]) & 0xFFFF) << 16 if high is not None else 0))
        words.append(int(multiplier[channel]))
        if third is not None:
            words.append(int(third[channel]))
        rows.append(words)
    return (np.array(rows, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def function_text(taps: int, *, line: bool) -> str:
    """The C definition, under KWS_DSP."""
    body = "\n".join(f'        "{text}\\n\\t"' for text in _instructions(taps, line))
    return f"""\
#if KWS_DSP
/* {taps} taps a position. */
static __attribute__((naked, noinline)) void {function_name(taps, line=line)}(
    kws_narrow *narrow __attribute__((unused))) {{
    __asm__ volatile(
{body}
    );
}}
#endif"""


def _instructions(taps: int, line: bool) -> list[str]:
    inputs = _INPUTS[: len(pair_order(taps))]
    text = [
        "push {r0, r1, r4-r11, lr}",  # [sp]: narrow, [sp, #4]: where this position's outputs end
        "ldr lr, [r0, #8]",
        "1: ldr r3, [sp]",
        "ldrd r0, r1, [r3]",  # stream, input
        "ldrd r2, r11, [r3, #12]",  # step, center
        "add r2, r1, r2",
        "str r2, [r3, #4]",
        "ldr r2, [r3, #20]",  # channels
        "add r2, lr, r2",
        "str r2, [sp, #4]",
        "mov r12, #0xff00ff00",
    ]
    for index in range(taps // 4):
        low, high = inputs[2 * index], inputs[2 * index + 1]
        text += ["ldr r2, [r1], #4", f"and {low}, r12, r2, lsl #8", f"and {high}, r12, r2"]
    if taps % 4 == 1:
        text += ["ldrb r2, [r1]", f"lsl {inputs[-1]}, r2, #8"]
    if taps % 4 == 2:
        text += ["ldrh r2, [r1]", f"and {inputs[-1]}, r12, r2, lsl #8", "lsr r2, r2, #8"]
        text += [f"orr {inputs[-1]}, {inputs[-1]}, r2, lsl #24"]
    words = ["first", *inputs, "multiplier", *(["third"] if line else [])]
    accumulated, label = "r12", "2: "
    held: dict[str, str] = {}
    for start in range(0, len(words), 3):
        chunk = words[start : start + 3]
        registers = _LOADED[-len(chunk) :] if start else _LOADED[: len(chunk)]
        if "multiplier" in held:  # a third chunk after it must leave it alone
            registers = [name for name in _LOADED if name != held["multiplier"]][: len(chunk)]
        text.append(f"{label}ldmia r0!, {{{', '.join(registers)}}}")
        label = ""
        for word, register in zip(chunk, registers, strict=True):
            if word in inputs:
                base = held.pop("first", accumulated)
                text.append(f"smlad {accumulated}, {word}, {register}, {base}")
            else:
                held[word] = register
    if line:
        text += [f"and {held['third']}, {held['third']}, r12, asr #31", f"sub r12, r12, {held['third']}"]
    text += [
        f"smmla r12, r12, {held['multiplier']}, r11",
        "ssat r12, #8, r12, asr #12",
        "ldr r1, [sp, #4]",
        "strb r12, [lr], #1",
        "cmp lr, r1",
        "bne 2b",
        "ldr r3, [sp]",
        "ldr r2, [r3, #24]",
        "subs r2, r2, #1",
        "str r2, [r3, #24]",
        "bne 1b",
        "pop {r0, r1, r4-r11, pc}",
    ]
    return text
