"""How a search went: each arm's trials by state, and the hypervolume of its front, by trials and by hours of work."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from kws_dendrite.evaluation.hypervolume import Dominated, Reference
from kws_dendrite.report.search_chart import arms_of, swatch
from kws_dendrite.report.search_summary import counts, worked
from kws_dendrite.report.search_trials import COUNTED, ENDED, SearchTrial
from kws_dendrite.report.svg import Scale, line, padded, text
from kws_dendrite.report.tables import scrolled
from kws_dendrite.report.wording import UNKNOWN, tick

WIDTH, HEIGHT = 520, 320
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 12, 44
NAMES = {"complete": "complete", "stopped": "stopped", "running": "running", "waiting": "waiting", "failed": "failed"}


@dataclass(frozen=True)
class Growth:
    """The hypervolume of one arm's front, after each of its trials that counts.

    Attributes:
        arm: whose.
        trials: how many of the arm's trials had ended by then, failed ones too.
        hours: of the search's work by then; NaN where no moment is known.
        values: share of the reference's rectangle.
    """

    arm: str
    trials: tuple[int, ...]
    hours: tuple[float, ...]
    values: tuple[float, ...]


def growths(trials: Sequence[SearchTrial], reference: Reference) -> list[Growth]:
    """A `Growth` an arm, in the order of the moments at which trials ended, by number where none is known."""
    hours = worked(trials)
    found = []
    for arm in arms_of(trials):
        own = [trial for trial in trials if trial.arm == arm and trial.state in ENDED]
        own.sort(key=lambda trial: (hours.get(trial.key, math.inf), trial.number))
        area, rows = Dominated(reference), []
        for place, trial in enumerate(own, start=1):
            if trial.state in COUNTED:
                value = area.add((spot.size, spot.accuracy) for spot in trial.spots)
                rows.append((place, hours.get(trial.key, math.nan), value))
        if rows:
            found.append(Growth(arm, *(tuple(column) for column in zip(*rows, strict=True))))
    return found


def hypervolume_charts(trials: Sequence[SearchTrial], reference: Reference) -> str:
    """Two pictures, over trials and over hours, and the last values as a table."""
    arms, found = arms_of(trials), growths(trials, reference)
    if not found:
        return ""
    pictures = [_chart(found, arms, "Over trials of the arm", "Trials that ended", [g.trials for g in found])]
    if all(math.isfinite(value) for growth in found for value in growth.hours):
        heading = "Over time, while any trial ran"
        unit, factor = ("Minutes", 60) if max(growth.hours[-1] for growth in found) < 1 else ("Hours", 1)
        pictures.append(_chart(found, arms, heading, unit, [[factor * h for h in growth.hours] for growth in found]))
    rows = "".join(
        f'<tr><th scope="row">{swatch(arms.index(g.arm))} {escape(g.arm)}</th><td class="n">{g.trials[-1]}</td>'
        f'<td class="n">{g.values[-1]:.3f}</td><td class="n">{_reached(g, 0.99)}</td></tr>'
        for g in found
    )
    table = scrolled(
        '<table><thead><tr><th scope="col">arm</th><th scope="col" class="n">trials</th><th scope="col" class="n">'
        'hypervolume</th><th scope="col" class="n">99 % of it after</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>",
        "Hypervolume by arm",
    )
    return f'<div class="curves">{"".join(pictures)}</div><div class="tight">{table}</div>'


def _reached(growth: Growth, share: float) -> str:
    """After how many trials the front had that share of its hypervolume."""
    wanted = share * growth.values[-1]
    return next(
        (f"trial {n}" for n, value in zip(growth.trials, growth.values, strict=True) if value >= wanted), UNKNOWN
    )


def _chart(
    found: Sequence[Growth], arms: Sequence[str], heading: str, label: str, places: Sequence[Sequence[float]]
) -> str:
    most = max(place for row in places for place in row)
    across = Scale(0, most * 1.02, LEFT, WIDTH - RIGHT)
    values = [value for growth in found for value in growth.values]
    # The first trials' climb says little and would press the rest into a line.
    low = max(min(values), sorted(values)[len(values) // 10] - 0.3 * (max(values) - sorted(values)[len(values) // 10]))
    up = Scale(*padded(low, max(values), least=0.01), HEIGHT - BOTTOM, TOP)
    parts = []
    for value in up.ticks(5):
        parts.append(line(LEFT, up(value), WIDTH - RIGHT, up(value), "grid"))
        parts.append(text(LEFT - 7, up(value) + 4.5, f"{value:.3g}", "tick", "end"))
    for value in across.ticks(6):
        parts.append(text(across(value), up.start + 19, tick(value) if value else "0", "tick", "middle"))
    drawn = ""
    for growth, row in zip(found, places, strict=True):
        index = arms.index(growth.arm)
        way = f"M{across(row[0]):g} {up.start}"
        way += "".join(f"H{across(x):g}V{up(y):g}" for x, y in zip(row, growth.values, strict=True))
        drawn += f'<path class="steps a{index % 6}" data-arm="{index}" d="{way}H{across(most):g}"/>'
    box = f'x="{LEFT}" y="{TOP}" width="{WIDTH - RIGHT - LEFT}" height="{HEIGHT - BOTTOM - TOP}"'
    view = f'viewBox="{LEFT} {TOP} {WIDTH - RIGHT - LEFT} {HEIGHT - BOTTOM - TOP}"'
    parts.append(f'<svg class="cut" {box} {view}>{drawn}</svg>')
    parts.append(line(LEFT, up.start, WIDTH - RIGHT, up.start, "axis"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 7, label, "label", "middle"))
    said = "; ".join(f"{growth.arm} {growth.values[-1]:.3f}" for growth in found)
    return (
        f'<figure class="panel"><figcaption><b>{escape(heading)}</b></figcaption>'
        f'<svg class="chart curve plain" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"Hypervolume, {label.lower()}. At the end: {said}")}">{"".join(parts)}</svg></figure>'
    )


def states_table(trials: Sequence[SearchTrial], planned: Mapping[str, int] | None = None) -> str:
    """A bar an arm, by state, with the counts; a draw that was skipped is no trial and has a column of its own.

    Args:
        planned: trials that each arm is to have, where known; those not begun yet are "waiting".
    """
    rows = []
    for index, arm in enumerate(arms_of(trials)):
        found = counts([trial for trial in trials if trial.arm == arm])
        known = sum(found[state] for state in NAMES)
        found["waiting"] += max(0, (planned or {}).get(arm, 0) - known)
        total = max(1, sum(found[state] for state in NAMES))
        place, bars = 0.0, ""
        for state in NAMES:
            width = 300 * found[state] / total
            if found[state]:
                bars += (
                    f'<rect class="s-{state}" x="{place:.1f}" width="{max(width, 1.5):.1f}" height="14">'
                    f"<title>{found[state]} {state}</title></rect>"
                )
            place += width
        cells = "".join(f'<td class="n">{found[state]:,}</td>' for state in (*NAMES, "skipped"))
        rows.append(
            f'<tr><th scope="row">{swatch(index)} {escape(arm)}</th>'
            f'<td><svg class="statebar" viewBox="0 0 300 14" preserveAspectRatio="none" role="img" '
            f'aria-label="{escape(arm)} by state">{bars}</svg></td>{cells}</tr>'
        )
    heads = "".join(f'<th scope="col" class="n"><i class="dot s-{s}"></i>{escape(NAMES[s])}</th>' for s in NAMES)
    return scrolled(
        f'<table class="states"><thead><tr><th scope="col">arm</th><th scope="col"><span class="unseen">by state</span>'
        f'</th>{heads}<th scope="col" class="n">draws skipped</th></tr></thead><tbody>{"".join(rows)}</tbody></table>',
        "Trials by arm and state",
    )
