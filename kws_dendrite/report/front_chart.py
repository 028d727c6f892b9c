"""The interactive front of the HTML report: drawn whole without script, told point by point with it."""

from collections.abc import Sequence
from html import escape
from typing import Any

from kws_dendrite.report.svg import Scale, arm_order, line, marker, padded_log, text
from kws_dendrite.report.trials import TrialPoint, accuracy_range
from kws_dendrite.report.wording import count, duration, percent, percent_range, plain, tick, title


def front_chart(points: Sequence[TrialPoint], width: int, height: int, classes: str, chosen: str | None) -> str:
    """One SVG of all trials. Text is 13 units high, so draw it near the width at which it will be shown.

    Args:
        points: with the fronts marked; at least one.
        width, height: of the drawing.
        classes: CSS classes of the svg element.
        chosen: key of the net to ring.
    """
    sizes = [point.size for point in points]
    across = Scale(*padded_log(min(sizes), max(sizes)), start=52, end=width - 14, log=True)
    up = Scale(*accuracy_range(points), start=height - 48, end=14)
    arms = arm_order({point.arm for point in points})
    parts = [_frame(across, up, width, height, points[0].axis)]
    parts += [_arm(points, arm, index, across, up) for index, arm in enumerate(arms)]
    # Front points last, on top; the keyboard walks them all by size.
    ordered = sorted(points, key=lambda p: (p.arm_front, p.size, p.number))
    parts += [_point(point, arms.index(point.arm), across, up, point.key == chosen) for point in ordered]
    axis = points[0].axis
    held = axis[0].lower() + axis[1:]
    label = f"{len(points)} trials: {held} against validation accuracy. Arrow keys move between trials."
    return (
        f'<svg class="chart front {classes}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _frame(across: Scale, up: Scale, width: int, height: int, axis: str) -> str:
    parts = []
    for value in up.ticks(6 if height > 380 else 5):
        y = up(value)
        parts.append(line(across.start, y, across.end, y, "grid"))
        parts.append(text(across.start - 8, y + 4.5, f"{100 * value:g}", "tick", "end"))
    for value in across.ticks(7 if width > 600 else 5):
        x = across(value)
        parts.append(line(x, up.end, x, up.start, "grid"))
        parts.append(text(x, up.start + 19, tick(value), "tick", "middle"))
    parts.append(line(across.start, up.start, across.end, up.start, "axis"))
    middle = (across.start + across.end) / 2
    parts.append(text(middle, height - 8, f"{axis} (log scale)", "label", "middle"))
    parts.append(text(13, (up.start + up.end) / 2, "Validation accuracy (%)", "label", "middle", turn=-90))
    return "".join(parts)


def _arm(points: Sequence[TrialPoint], arm: str, index: int, across: Scale, up: Scale) -> str:
    front = sorted((p for p in points if p.arm == arm and p.arm_front), key=lambda p: p.size)
    steps = ""
    for place, point in enumerate(front):
        x, y = across(point.size), up(point.accuracy)
        steps += f"M{x} {y}" if place == 0 else f"H{x}V{y}"
    bars = "".join(
        line(x, min(up(p.interval[0]), up.start), x, max(up(p.interval[1]), up.end), "bar")
        for p in front
        if p.interval
        for x in [across(p.size)]
    )
    return f'<g class="arm a{index % 6}" data-arm="{index}"><path class="steps" d="{steps}"/>{bars}</g>'


def _point(point: TrialPoint, index: int, across: Scale, up: Scale, chosen: bool) -> str:
    x, y = across(point.size), up(point.accuracy)
    kind = "onfront" if point.arm_front else "behind"
    ring = '<circle class="ring" r="10.5"/>' if chosen else ""
    return (
        f'<g class="point a{index % 6} {kind}" data-arm="{index}" data-trial="{point.key}" tabindex="-1" role="img" '
        f'aria-label="{escape(spoken(point))}" transform="translate({x} {y})">'
        f'<circle class="hit" r="12"/>{ring}<path class="mark" d="{marker(index)}"/></g>'
    )


def spoken(point: TrialPoint) -> str:
    """A point in one sentence, for those who hear the chart."""
    held = "" if point.held is None else f"{point.axis} {tick(point.held)}, "
    size = f"{held}{point.parameters:,} parameters"
    grown = "" if not point.dendrites else f" with {point.dendrites} dendrite{'s' * (point.dendrites > 1)} a neuron"
    words = f"Trial {point.number}, {point.arm}{grown}: {size}, accuracy {percent(point.accuracy)}"
    return words + (f" ({percent_range(point.interval)})" if point.interval else "")


def legend(points: Sequence[TrialPoint]) -> str:
    """One switch an arm; without script they are a plain legend."""
    items = []
    for index, arm in enumerate(arm_order({point.arm for point in points})):
        own = [point for point in points if point.arm == arm]
        items.append(
            f'<button type="button" class="key a{index % 6}" data-arm="{index}" aria-pressed="true">'
            f'<svg class="swatch" viewBox="-8 -8 16 16" aria-hidden="true">'
            f'<path class="mark" d="{marker(index)}"/></svg>'
            f"{escape(arm)} <small>{len({point.number for point in own})} trials</small></button>"
        )
    return f'<div class="legend" role="group" aria-label="Arms shown">{"".join(items)}</div>'


def trial_facts(point: TrialPoint, chosen: bool = False) -> dict[str, Any]:
    """What the panel beside the chart shows of a trial: words only, ready to be set as text."""
    seeds = len(point.members)
    rows = [
        ["Parameters", count(point.parameters)],
        ["Accuracy", percent(point.accuracy, 2)],
        ["95 % interval", percent_range(point.interval) if point.interval else "one seed: none"],
        ["Seeds (P)", str(max(1, seeds))],
    ]
    if point.held is not None:
        rows.insert(0, [point.axis, tick(point.held)])
    if point.dendrites is not None:
        rows.insert(0, ["Dendrites a neuron", str(point.dendrites)])
    if seeds > 1:
        rows.append(["Each seed", ", ".join(f"{100 * value:.1f}" for value in point.members)])
    if point.macs is not None:
        rows.append(["MACs", count(point.macs)])
    if point.seconds is not None:
        rows.append(["Time", duration(point.seconds)])
    place = "front" if point.front else f"front of {point.arm}" if point.arm_front else "behind the front"
    return {
        "number": point.number,
        "arm": point.arm,
        "place": f"chosen, {place}" if chosen else place,
        "rows": rows,
        "settings": [[title(str(key)), plain(value)] for key, value in point.settings.items()],
    }
