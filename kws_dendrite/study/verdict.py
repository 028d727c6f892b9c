"""What a study's numbers say, in words: one line a size, and one for the whole."""

from collections.abc import Sequence

from kws_dendrite.study.comparison import BASE, BEST_PLAIN, PLAIN, Comparison

LEVEL = 0.05


def verdicts(comparisons: Sequence[Comparison], grown: Sequence[str]) -> dict[int, str]:
    """A line for every size at which arms that grow stand beside a plain net.

    Args:
        comparisons: of the study.
        grown: names of the arms that a study is about, not its controls.
    """
    lines = {}
    for size in sorted({one.size for one in comparisons}):
        against = strictest([one for one in comparisons if one.size == size and one.arm in grown])
        if against:
            lines[size] = _line(size, against, len(comparisons))
    return lines


def strictest(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Of each arm at a size the comparison with the best plain net; with the plain one where that is the best."""
    chosen: dict[tuple[str, int], Comparison] = {}
    for one in comparisons:
        if one.reference == BASE:
            continue
        key = one.arm, one.size
        if key not in chosen or one.reference == BEST_PLAIN:
            chosen[key] = one
    return list(chosen.values())


def ahead_over_seeds(comparison: Comparison) -> bool:
    """Whether the lower end of the paired interval over seeds is above zero."""
    return comparison.seeds is not None and comparison.seeds.interval[0] > 0


def shown(comparison: Comparison) -> bool:
    """Whether it is ahead over seeds, and over seeds and clips after Holm's correction."""
    corrected = comparison.corrected_both
    return ahead_over_seeds(comparison) and corrected is not None and corrected < LEVEL


def conclusion(comparisons: Sequence[Comparison], grown: Sequence[str]) -> str:
    """One sentence over all sizes: what the best of the arms reaches, and how certain that is."""
    found = [one for one in strictest(comparisons) if one.arm in grown]
    if not found:
        return "No arm of this study grows beside a plain net of its size, so nothing is concluded about growth."
    if any(one.seeds is None for one in found):
        return "One seed an arm: no interval over seeds, so nothing can be concluded."
    sizes = sorted({one.size for one in found})
    reached = {arm: [one for one in found if one.arm == arm and ahead_over_seeds(one)] for arm in grown}
    best = max(reached, key=lambda arm: len(reached[arm]))
    proven = [one for one in found if shown(one)]
    if not reached[best]:
        where = "At its one size no" if len(sizes) == 1 else f"At none of the {len(sizes)} sizes an"
        return f"{where} arm that grows is ahead of the best plain net of its size."
    where = ", ".join(f"{one.size:,}" for one in reached[best])
    title = reached[best][0].title
    text = (
        f"{_upper(title)}: paired interval over seeds above zero against the best plain net at {len(reached[best])} of "
        f"{len(sizes)} sizes ({where})."
    )
    if found[0].both is None:
        return text + " On validation clips, which chose the epochs: nothing is concluded before the test is read."
    if not proven:
        return text + " None of it stands once clips and the number of comparisons are counted too."
    stands = ", ".join(f"{one.title} at {one.size:,}" for one in proven)
    return text + f" Over seeds and clips, after Holm's correction: {stands}."


def _line(size: int, against: list[Comparison], family: int) -> str:
    start = f"{size:,} parameters: "
    best = max(against, key=lambda one: one.mean)
    if best.seeds is None:
        return (
            f"{start}one seed an arm, so no interval over seeds; {best.title} differs from "
            f"{best.against_title} by {_points(best.mean)}, and that may be the seed."
        )
    proven = [one for one in against if shown(one)]
    if proven:
        top = max(proven, key=lambda one: one.mean)
        others = f" ({len(proven)} arms are)" if len(proven) > 1 else ""
        return (
            f"{start}{top.title} is ahead of {_reference(top)} by {_points(top.mean)} {_interval(top.both.interval)} "
            f"over seeds and clips, p = {top.corrected_both:.2g} after correction for {family} comparisons{others}."
        )
    if ahead_over_seeds(best):
        tail = "not once clips and the number of comparisons are counted" if best.both else "on validation clips"
        return (
            f"{start}{best.title} is ahead of {_reference(best)} by {_points(best.mean)} "
            f"{_interval(best.seeds.interval)} over seeds, {tail}."
        )
    if best.seeds.interval[1] < 0:
        return (
            f"{start}every arm that grows is behind {_reference(best)}; the nearest, {best.title}, by "
            f"{_points(best.mean)} {_interval(best.seeds.interval)} over seeds."
        )
    return (
        f"{start}no arm that grows is ahead of {_reference(best)}; the nearest, {best.title}, differs by "
        f"{_points(best.mean)} {_interval(best.seeds.interval)} over seeds."
    )


def _reference(one: Comparison) -> str:
    kind = "the plain net" if one.reference == PLAIN else "the best plain net"
    return f"{kind} ({one.against_title})"


def _points(value: float) -> str:
    return f"{100 * value:+.2f} points"


def _interval(interval: tuple[float, float]) -> str:
    return f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
