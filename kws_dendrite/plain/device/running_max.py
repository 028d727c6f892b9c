"""How often each part of the loops of the max pool of stride 1 runs."""

from collections import Counter

from kws_dendrite.plain.device.emitted import Emitted

ROUND = 16  # bytes


def is_served(operator: Emitted) -> bool:
    """Whether a max pool looks about each position along one axis, "same" padded."""
    along = operator.window[0] > 1, operator.window[1] > 1
    return operator.stride == (1, 1) and sum(along) == 1 and operator.plane == operator.out_plane


def count(operator: Emitted, isa: str) -> dict[str, float]:
    """The kernel's passes: windows that grow behind their step, then before it."""
    height, width, channels = operator.plane
    axis = 0 if operator.window[0] > 1 else 1
    sequences, steps, step = ((1, height, width * channels), (height, width, channels))[axis]
    window = operator.window[axis]
    before = (window - 1) // 2
    counts: Counter[str] = Counter({"calls": 1, "sequences": sequences})
    size, length, goal = steps * step, 1, window - before
    while length < min(goal, steps):
        more = min(goal - length, length)
        counts["ups"] += sequences
        for name, value in _up(size - more * step, isa).items():
            counts[name] += sequences * value
        if length == 1:
            counts["copied words"] += sequences * (more * step / 4)
        length += more
    if length == 1:
        counts["copied words"] += sequences * (size / 4)
    before = min(before, steps)
    parts = [(before * step, size - before * step), (0, step if before else 0)]
    done = 1
    while done < before:
        more = min(before - done, done)
        parts.append((done * step, more * step))
        done += more
    for begin, bytes_ in parts:
        counts["downs"] += sequences
        for name, value in _down(begin, bytes_, isa, floored=operator.form != "").items():
            counts[name] += sequences * value
    counts["limited values"] += sequences * size * (operator.form == "round")
    return dict(counts)


def _up(size: int, isa: str) -> dict[str, float]:
    if isa == "portable":
        return {"up words": size // 4, "up bytes": size % 4}
    whole = size // ROUND
    return {"up rounds": whole} if isa == "helium" else {"up rounds": whole, "up bytes": size % ROUND}


def _down(begin: int, size: int, isa: str, *, floored: bool) -> dict[str, float]:
    if isa == "portable":
        return {"down words": size // 4, "floored words": size // 4 * floored, "down bytes": size % 4}
    if isa == "helium":
        return {"down rounds": size // ROUND}
    odd = (begin + size) % 4  # single bytes until the end is aligned
    rounds = (size - odd) // ROUND if size - odd >= ROUND else 0
    return {"down calls": rounds > 0, "down rounds": rounds, "down bytes": size - rounds * ROUND}
