"""Accumulator -> int8: TFLite's arithmetic, and a cheaper one that is proven equal before it is used.

TFLite's reference kernels compute clamp(MultiplyByQuantizedMultiplier(acc + bias, m, shift) + zero_point). For
convolutions that is two roundings: a doubling high multiplication that rounds halves up, then a power-of-two division
that rounds halves away from zero (gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT). LiteRT's
FULLY_CONNECTED with one weight scale multiplies the accumulator in double and rounds once, halves away from zero
(reference/fully_connected.h, the form that takes the scales; `tests/export/test_export_c_exact.py` holds it to that).
Either way, as a function of the accumulator this is a staircase of at most 255 steps. `prove` looks for a line with the
same steps,

    u = acc * 2^SHIFT_IN + offset            (- negative, where u < 0)
    q = saturate_int8((floor(u * multiplier / 2^32) + center) / 2^SHIFT_OUT),   rounding down

which costs a core with a 32 x 32 -> high 32 multiplication three to five instructions. Each step bounds `offset` from
both sides, so the search is an intersection of intervals, and the answer is checked at both sides of every step. Where
no line fits, the C computes TFLite's own form.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SHIFT_IN = 10  # an accumulator's unit is 2^SHIFT_IN in u: how finely the steps can be placed
SHIFT_OUT = 12
MAX_CHANNELS = 2048  # more are left to TFLite's own form: looking for lines takes a millisecond each
SEARCHED = 64  # multipliers tried on either side of the nominal one


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A positive real as (m, shift), real ~ m * 2^(shift - 31), m in [2^30, 2^31). TFLite's QuantizeMultiplier."""
    if real == 0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    m = math.floor(mantissa * (1 << 31) + 0.5)
    if m == 1 << 31:
        m, shift = m // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return (1 << 31) - 1, 30
    return m, shift


def wrap_int32(x: np.ndarray) -> np.ndarray:
    """The low 32 bits of int64 values, as int64 again."""
    return ((np.asarray(x, np.int64) + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def multiply_by_quantized_multiplier(x: np.ndarray, m: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """TFLite's MultiplyByQuantizedMultiplier with two roundings, on int64 arrays that hold int32 values."""
    x, m, shift = (np.asarray(value, np.int64) for value in (x, m, shift))
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    high = (wrap_int32(x << left) * m + (1 << 30)) >> 31  # halves up; m >= 0, so the saturating case cannot arise
    remainder = high & ((1 << right) - 1)
    threshold = (((1 << right) - 1) >> 1) + (high < 0)
    return (high >> right) + (remainder > threshold)


Rounding = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def rounding_in_double(real: np.ndarray) -> Rounding:
    """round(x * real) of C in double, halves away from zero, for `real` (C,) and x (C, ...): FULLY_CONNECTED's.

    It takes the place of the fixed-point forms and ignores their m and shift. Where the answer leaves int32, C leaves
    LiteRT's own undefined; this gives the true one.
    """

    def multiply(x: np.ndarray, _m: np.ndarray, _shift: np.ndarray) -> np.ndarray:
        x = np.asarray(x, np.int64)
        magnitude = np.abs(x) * real.reshape(-1, *(1,) * (x.ndim - 1))
        whole = np.floor(magnitude)
        return np.sign(x) * (whole + (magnitude - whole >= 0.5)).astype(np.int64)

    return multiply


FINE = 15  # bits of a multiplier below its 31


def quantize_finely(real: float) -> tuple[int, int, int]:
    """(m, fine, shift): real ~ (m + fine / 2^FINE) * 2^(shift - 31), rounded up, so that exact halves stay halves.

    Raises:
        ValueError: a real that is not within 2^-31 and 2^30.
    """
    mantissa, shift = math.frexp(real)
    if not -31 <= shift <= 30:
        raise ValueError(f"a multiplier of {real:g} is outside 2^-31 and 2^30")
    wide = math.ceil(mantissa * (1 << (31 + FINE)))
    if wide == 1 << (31 + FINE):
        wide, shift = wide // 2, shift + 1
    return wide >> FINE, wide & ((1 << FINE) - 1), shift


def multiply_finely(x: int, m: int, fine: int, shift: int) -> int:
    """The integer form of `rounding_in_double`, in 64 bits; equal to it wherever `finely_equal` says so.

    sign(x) * floor((|x| * m + floor(|x| * fine / 2^FINE) + 2^(s - 1)) / 2^s), s = 31 - shift.
    """
    s = 31 - shift
    product = abs(x) * m + ((abs(x) * fine) >> FINE)
    rounded = (product + (1 << (s - 1))) >> s
    return -rounded if x < 0 else rounded


def finely_equal(low: int, high: int, bias: int, real: float, zero_point: int) -> bool:
    """Whether `multiply_finely` takes each of int8's 255 steps where `rounding_in_double` does, in [low, high]."""
    if not 2.0**-31 <= real < 2.0**30 or max(abs(low + bias), abs(high + bias)) >= 1 << 31:
        return False
    form = quantize_finely(real)
    q = np.arange(-127, 128, dtype=np.int64)
    one = np.ones(1, np.int64)
    ends = np.array([low], np.int64), np.array([high], np.int64), np.array([bias], np.int64)
    steps = _steps(*ends, one, one, zero_point, q, rounding_in_double(np.array([real])))[0]
    for step, value in zip(steps.tolist(), q.tolist(), strict=True):
        if step <= high and multiply_finely(step + bias, *form) + zero_point < value:
            return False
        if step > low and multiply_finely(step - 1 + bias, *form) + zero_point >= value:
            return False
    return True


@dataclass(frozen=True)
class Line:
    """Per channel, int64 (C,): the constants of the cheaper form. `negative` is all 0 where no step lies below zero."""

    offset: np.ndarray
    multiplier: np.ndarray
    negative: np.ndarray
    center: int


def center_of(zero_point: int) -> int:
    """What places the zero point and half a step: zero_point * 2^SHIFT_OUT + 2^(SHIFT_OUT - 1)."""
    return (zero_point << SHIFT_OUT) + (1 << (SHIFT_OUT - 1))


def prove(
    low: np.ndarray, high: np.ndarray, bias: np.ndarray, m: np.ndarray, shift: np.ndarray, zero_point: int,
    q_min: int, q_max: int, multiply: Rounding = multiply_by_quantized_multiplier,
) -> Line | None:  # fmt: skip
    """Find a `Line` equal to TFLite's form for every accumulator in [low, high], or None.

    Args:
        low, high: (C,) bounds of the accumulator before the bias.
        bias: (C,), zero-point corrections folded in.
        m, shift: (C,) from `quantize_multiplier`.
        zero_point: of the output.
        q_min, q_max: the output's range; only the whole of int8 has a line, since its clamp is the saturation.
        multiply: which of the two roundings.
    """
    if (q_min, q_max) != (-128, 127) or len(m) > MAX_CHANNELS:
        return None
    low, high, bias, m, shift = (np.asarray(value, np.int64) for value in (low, high, bias, m, shift))
    if (np.maximum(np.abs(low), np.abs(high)) + np.abs(bias) >= 1 << (30 - SHIFT_IN)).any() or (shift > -3).any():
        return None
    if (m == 0).any():
        return None
    q = np.arange(-127, 128, dtype=np.int64)  # (K,): the step onto q
    steps = _steps(low, high, bias, m, shift, zero_point, q, multiply)  # (C, K)
    rise = ((q << SHIFT_OUT) - center_of(zero_point)).astype(object) << 32  # u * multiplier must reach this
    nominal = np.round(m * np.exp2(shift + (32 - 31 + SHIFT_OUT - SHIFT_IN))).astype(np.int64)
    channels = len(m)
    offset, multiplier, negative = (np.zeros(channels, np.int64) for _ in range(3))
    reached = (steps > low[:, None]) & (steps <= high[:, None])  # the other steps bind at one side only, see _interval
    for channel in range(channels):
        found = _fit(steps[channel], reached[channel], low[channel], high[channel], rise, q > zero_point,
                     int(nominal[channel]))  # fmt: skip
        if found is None:
            return None
        offset[channel], multiplier[channel], negative[channel] = found
    line = Line(offset, multiplier, negative, center_of(zero_point))
    return line if _holds(line, steps, low, high, q) else None


def apply_line(line: Line, acc: np.ndarray) -> np.ndarray:
    """The cheaper form on accumulators (C, ...), int64: what the C computes."""
    extra = (1,) * (acc.ndim - 1)
    offset, multiplier, negative = (
        value.reshape(-1, *extra) for value in (line.offset, line.multiplier, line.negative)
    )  # fmt: skip
    u = (acc << SHIFT_IN) + offset
    u = u - np.where(u < 0, negative, 0)
    return np.clip((((u * multiplier) >> 32) + line.center) >> SHIFT_OUT, -128, 127)


def _steps(
    low: np.ndarray, high: np.ndarray, bias: np.ndarray, m: np.ndarray, shift: np.ndarray, zero_point: int,
    q: np.ndarray, multiply: Rounding,
) -> np.ndarray:  # fmt: skip
    """(C, K): the least accumulator in [low, high] whose output is at least q; high + 1 where there is none."""
    first = np.repeat(low[:, None], len(q), 1)
    last = np.repeat(high[:, None] + 1, len(q), 1)
    while (first < last).any():
        middle = (first + last) >> 1
        value = multiply(middle + bias[:, None], m[:, None], shift[:, None]) + zero_point
        reaches = value >= q
        last = np.where((first < last) & reaches, middle, last)
        first = np.where((first < last) & ~reaches, middle + 1, first)
    return first


def _fit(
    steps: np.ndarray, reached: np.ndarray, low: int, high: int, rise: np.ndarray, above: np.ndarray, nominal: int
) -> tuple[int, int, int] | None:
    """One channel's (offset, multiplier, negative), trying multipliers outwards from the nominal one."""
    for distance in range(2 * SEARCHED + 1):
        multiplier = nominal + (distance + 1) // 2 * (1 if distance % 2 else -1)
        if not 0 < multiplier < 1 << 31:
            continue
        least = np.array([-(-int(value) // multiplier) for value in rise], np.int64)  # u from which the step is taken
        positive = _interval(steps, reached, low, high, least, above)
        below = _interval(steps, reached, low, high, least, ~above)
        if positive is None or below is None:
            continue
        both = max(positive[0], below[0]), min(positive[1], below[1])
        if both[0] <= both[1]:
            return (both[0] + both[1]) // 2, multiplier, 0
        offset = (positive[0] + positive[1]) // 2
        negative = offset - (below[0] + below[1]) // 2
        return offset, multiplier, negative
    return None


_WIDE = 1 << 40


def _interval(
    steps: np.ndarray, reached: np.ndarray, low: int, high: int, least: np.ndarray, chosen: np.ndarray
) -> tuple[int, int] | None:
    """The offsets with which all chosen steps fall where they should.

    A step at accumulator s needs (s << SHIFT_IN) + offset >= least and ((s - 1) << SHIFT_IN) + offset < least. A step
    already taken at `low` needs the first alone, one never taken up to `high` the second alone.
    """
    lower, upper = -_WIDE, _WIDE
    taken = chosen & (reached | (steps <= low))
    if taken.any():
        lower = int((least - (steps << SHIFT_IN))[taken].max())
    open_ = chosen & (reached | (steps > high))
    if open_.any():
        upper = int((least - ((steps - 1) << SHIFT_IN))[open_].min()) - 1
    limit = 1 << 30
    lower, upper = max(lower, -limit), min(upper, limit)
    return (lower, upper) if lower <= upper else None


def _holds(line: Line, steps: np.ndarray, low: np.ndarray, high: np.ndarray, q: np.ndarray) -> bool:
    """Compare both sides of every step, the two ends, and the 32-bit range of u."""
    ends = np.stack([low, high], 1)
    u = (ends << SHIFT_IN) + line.offset[:, None]
    if (np.abs(u) + np.abs(line.negative[:, None]) >= 1 << 31).any():
        return False
    at = np.clip(steps, low[:, None], high[:, None])
    before = np.clip(steps - 1, low[:, None], high[:, None])
    taken, open_ = steps <= high[:, None], steps > low[:, None]
    reaches = (apply_line(line, at) >= q) | ~taken
    waits = (apply_line(line, before) < q) | ~open_
    return bool(reaches.all() and waits.all())
