"""The picture of a search: every net that a trial passed through, the front of each arm, a trial's nets joined."""

from collections.abc import Sequence
from html import escape

from kws_dendrite.report.search_trials import COUNTED, SearchTrial, Spot, all_spots
from kws_dendrite.report.svg import MARKERS, Scale, arm_order, line, padded, padded_log, text
from kws_dendrite.report.wording import percent, percent_range, tick

LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 48
FLOOR = 0.1  # share of the points, least accurate first, that need not be inside the picture


def shapes() -> str:
    """The markers, once a page; `<use>` draws them."""
    paths = "".join(f'<path id="m{k}" d="{shape}"/>' for k, shape in enumerate(MARKERS.values()))
    return f'<svg class="shapes" aria-hidden="true"><defs>{paths}</defs></svg>'


def arms_of(trials: Sequence[SearchTrial]) -> list[str]:
    """Arms in the order that fixes their colour and marker."""
    return arm_order({trial.arm for trial in trials})


def swatch(index: int) -> str:
    """An arm's marker, beside its name."""
    return (
        f'<svg class="swatch a{index % 6}" viewBox="-8 -8 16 16" aria-hidden="true"><use class="mark" '
        f'href="#m{index % len(MARKERS)}"/></svg>'
    )


def lower_edge(trials: Sequence[SearchTrial]) -> float:
    """Of the accuracy axis: all fronts are inside it, hopeless trials need not be."""
    spots = all_spots(trials)
    values = sorted(spot.accuracy for spot in spots)
    low = min([values[int(FLOOR * len(values))], *(spot.accuracy for spot in spots if spot.arm_front)])
    low, _ = padded(low, values[-1], least=0.02)
    return max(0.0, low)


def front_chart(trials: Sequence[SearchTrial], width: int, height: int, classes: str, label: str) -> str:
    """One SVG of all nets. Text is 13 units high, so draw it near the width at which it will be shown.

    A point carries "data-spot", its place in `all_spots(trials)`, for the script that tells of it.

    Args:
        trials: with the fronts marked; at least one spot among them.
        width, height: of the drawing.
        classes: CSS classes of the svg element.
        label: of the axis of sizes.
    """
    spots = all_spots(trials)
    state = {trial.number: trial.state for trial in trials if trial.spots}
    edge = lower_edge(trials)
    across = Scale(
        *padded_log(min(s.size for s in spots), max(s.size for s in spots)), start=LEFT, end=width - RIGHT, log=True
    )
    best = max(spot.accuracy for spot in spots)
    room = 0.3 * (best - edge)  # for the bars, which of few seeds are long
    top = max([best, *(min(s.interval[1], best + room) for s in spots if s.arm_front and s.interval)])
    up = Scale(edge, min(1.002, padded(edge, top, least=0.02)[1]), start=height - BOTTOM, end=TOP)
    arms = arms_of(trials)
    parts = [_frame(across, up, width, height, label)]
    for index, arm in enumerate(arms):
        own = [trial for trial in trials if trial.arm == arm]
        parts.append(
            f'<g class="arm a{index % 6}" data-arm="{index}">{_ways(own, across, up)}'
            f"{_front([s for s in all_spots(own) if s.arm_front], across, up)}</g>"
        )
    order = sorted(range(len(spots)), key=lambda k: (spots[k].arm_front, spots[k].front))
    parts += [_point(spots[k], k, arms.index(spots[k].arm), state[spots[k].trial], across, up) for k in order]
    said = f"{len(spots)} nets of {sum(bool(t.spots) for t in trials)} trials: {label} against validation accuracy"
    return (
        f'<svg class="chart front {classes}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="{escape(said)}. Arrow keys move between nets, Enter opens the trial.">'
        f'{"".join(parts)}<g class="picked"></g></svg>'
    )


def _frame(across: Scale, up: Scale, width: int, height: int, label: str) -> str:
    parts = []
    for value in up.ticks(7 if height > 380 else 5):
        parts.append(line(across.start, up(value), across.end, up(value), "grid"))
        parts.append(text(across.start - 8, up(value) + 4.5, f"{100 * value:g}", "tick", "end"))
    for value in across.ticks(7 if width > 600 else 5):
        parts.append(line(across(value), up.end, across(value), up.start, "grid"))
        parts.append(text(across(value), up.start + 19, tick(value), "tick", "middle"))
    parts.append(line(across.start, up.start, across.end, up.start, "axis"))
    parts.append(text((across.start + across.end) / 2, height - 8, f"{label} (log scale)", "label", "middle"))
    parts.append(text(13, (up.start + up.end) / 2, "Validation accuracy (%)", "label", "middle", turn=-90))
    return "".join(parts)


def _ways(trials: Sequence[SearchTrial], across: Scale, up: Scale) -> str:
    """The nets of each trial, joined by their number of dendrites."""
    way = ""
    for trial in trials:
        if len(trial.spots) > 1:
            way += "M" + "L".join(f"{across(s.size):g} {up(max(s.accuracy, up.low)):g}" for s in trial.spots)
    return f'<path class="ways" d="{way}"/>' if way else ""


def _front(spots: Sequence[Spot], across: Scale, up: Scale) -> str:
    steps, bars = "", ""
    for place, spot in enumerate(sorted(spots, key=lambda s: s.size)):
        x, y = across(spot.size), up(spot.accuracy)
        steps += f"M{x:g} {y:g}" if place == 0 else f"H{x:g}V{y:g}"
        if spot.interval:
            bars += f"M{x:g} {min(up(spot.interval[0]), up.start):g}V{max(up(spot.interval[1]), up.end):g}"
    return f'<path class="steps" d="{steps}"/><path class="bar" d="{bars}"/>'


def _point(spot: Spot, place: int, index: int, state: str, across: Scale, up: Scale) -> str:
    kind = "onfront" if spot.arm_front else "behind"
    kind += "" if state == "complete" else " hollow" if state in COUNTED else " faint"
    kind += " below" if spot.accuracy < up.low else ""
    return (
        f'<use class="p a{index % 6} {kind}" href="#m{index % len(MARKERS)}" data-arm="{index}" data-spot="{place}" '
        f'x="{across(spot.size):g}" y="{up(max(spot.accuracy, up.low)):g}"/>'
    )


def spoken(spot: Spot, label: str) -> str:
    """A net in one sentence, for those who hear the chart."""
    grown = "" if not spot.dendrites else f" with {spot.dendrites} dendrite{'s' * (spot.dendrites > 1)} a neuron"
    held = "" if spot.size == max(1, spot.parameters) else f"{label} {tick(spot.size)}, "
    words = f"Trial {spot.trial}, {spot.arm}{grown}: {held}{spot.parameters:,} parameters, {percent(spot.accuracy)}"
    return words + (f" ({percent_range(spot.interval)})" if spot.interval else "")


def legend_of(arms: Sequence[str]) -> str:
    """A plain legend, beside a picture without switches."""
    keys = "".join(f"<span>{swatch(index)} {escape(arm)}</span>" for index, arm in enumerate(arms))
    return f'<p class="keys">{keys}</p>'


def legend(trials: Sequence[SearchTrial]) -> str:
    """One switch an arm; without script they are a plain legend."""
    items = []
    for index, arm in enumerate(arms_of(trials)):
        own = sum(trial.arm == arm and bool(trial.spots) for trial in trials)
        items.append(
            f'<button type="button" class="key a{index % 6}" data-arm="{index}" aria-pressed="true">'
            f"{swatch(index)}{escape(arm)} <small>{own} trials</small></button>"
        )
    return f'<div class="legend" role="group" aria-label="Arms shown">{"".join(items)}</div>'
