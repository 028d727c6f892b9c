"""The front trained again with fresh seeds: what front.json says of it, as a picture, a table and in words."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kws_dendrite.report.fields import mapping, mappings, number, numbers
from kws_dendrite.report.search_chart import arms_of, legend_of, swatch
from kws_dendrite.report.search_tables import link
from kws_dendrite.report.search_trials import SearchTrial
from kws_dendrite.report.svg import MARKERS, Scale, line, padded, padded_log, text
from kws_dendrite.report.tables import scrolled
from kws_dendrite.report.trials import LEAST, PARAMETERS
from kws_dendrite.report.wording import UNKNOWN, count, percent, percent_range, tick

WHERE = "front.json"
WIDTH, HEIGHT = 860, 420
Row = Mapping[str, Any]


def refit_section(value: Mapping[str, Any], trials: Sequence[SearchTrial], label: str) -> str:
    """The picture, the table and the findings; "" where no net is finished.

    Args:
        value: of front.json.
        trials: of the search, for their arms' colours and to open them.
        label: of the axis of sizes.
    """
    rows = sorted(mappings(value, "points", WHERE), key=_size)
    rows = [row for row in rows if number(row, "accuracy", WHERE) is not None]
    if not rows:
        return ""
    arms = arms_of(trials)
    arms += [arm for arm in dict.fromkeys(str(row.get("arm")) for row in rows) if arm not in arms]
    clips, members = number(value, "validation_clips", WHERE), number(value, "members", WHERE)
    lead = (
        f"Each net was trained again with P = {count(members)} fresh seeds: filled marks, with 95 % intervals over "
        f"seeds and the {count(clips)} validation clips. Hollow marks are what the search had said, the luck of a "
        "maximum in it; the line is the front of the fresh means."
    )
    findings = "".join(f"<li>{escape(words)}</li>" for words in _findings(value))
    return (
        f'<p class="lead">{lead}</p>{legend_of(arms)}<div class="refit">{_chart(rows, arms, label)}</div>'
        f'<ul class="findings">{findings}</ul>{_table(rows, arms, trials, label)}'
    )


def _size(row: Row) -> float:
    return max(number(row, "value", WHERE) or number(row, "parameters", WHERE) or LEAST, LEAST)


def _chart(rows: Sequence[Row], arms: Sequence[str], label: str) -> str:
    said = [number(mapping(row, "said", WHERE), "accuracy", WHERE) for row in rows]
    ends = [end for row in rows for end in numbers(row, "interval", WHERE)]
    heights = [float(row["accuracy"]) for row in rows] + [value for value in said if value is not None]
    room = 0.6 * max(max(heights) - min(heights), 0.02)  # for the bars, which of few clips are long
    heights += [min(max(end, min(heights) - room), max(heights) + room) for end in ends]
    across = Scale(*padded_log(_size(rows[0]), _size(rows[-1])), start=52, end=WIDTH - 14, log=True)
    low, high = padded(min(heights), max(heights), least=0.02)
    up = Scale(max(0.0, low), min(1.002, high), start=HEIGHT - 48, end=14)
    parts = [line(across.start, up(value), across.end, up(value), "grid") for value in up.ticks(6)]
    parts += [text(44, up(value) + 4.5, f"{100 * value:g}", "tick", "end") for value in up.ticks(6)]
    parts += [text(across(value), up.start + 19, tick(value), "tick", "middle") for value in across.ticks(7)]
    parts.append(line(across.start, up.start, across.end, up.start, "axis"))
    parts.append(text((across.start + across.end) / 2, HEIGHT - 8, f"{label} (log scale)", "label", "middle"))
    parts.append(text(13, (up.start + up.end) / 2, "Validation accuracy (%)", "label", "middle", turn=-90))
    steps = ""
    for row in (row for row in rows if row.get("front") is True):
        x, y = across(_size(row)), up(row["accuracy"])
        steps += f"H{x:g}V{y:g}" if steps else f"M{x:g} {y:g}"
    parts.append(f'<path class="freshfront" d="{steps}"/>' if steps else "")
    for row, before in zip(rows, said, strict=True):
        index = arms.index(str(row.get("arm")))
        x, y = across(_size(row)), up(row["accuracy"])
        interval = numbers(row, "interval", WHERE)
        ends = [min(max(up(end), up.end), up.start) for end in interval]
        inside = f'<path class="bar" d="M{x:g} {ends[0]:g}V{ends[1]:g}"/>' if len(ends) == 2 else ""
        shape = f"#m{index % len(MARKERS)}"
        if before is not None:
            inside += f'<path class="fell" d="M{x:g} {up(before):g}V{y:g}"/>'
            inside += f'<use class="p hollow" href="{shape}" x="{x:g}" y="{up(before):g}"/>'
        inside += f'<use class="p onfront" href="{shape}" x="{x:g}" y="{y:g}"/>'
        told = f"{row.get('name')}: {percent(row['accuracy'])}, the search had said {percent(before)}"
        parts.append(f'<g class="a{index % 6}" data-arm="{index}"><title>{escape(told)}</title>{inside}</g>')
    words = f"{len(rows)} nets trained again: {label} against validation accuracy, beside what the search had said"
    return (
        f'<svg class="chart again" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}">'
        f"{''.join(parts)}</svg>"
    )


def _table(rows: Sequence[Row], arms: Sequence[str], trials: Sequence[SearchTrial], label: str) -> str:
    place = {trial.number: k for k, trial in enumerate(trials) if trial.spots}
    held, tested = label != PARAMETERS, any(mapping(row, "test", WHERE) for row in rows)
    heads = [("net", False), *([(label, True)] if held else []), ("parameters", True), ("search said", True)]
    heads += [("fresh seeds", True), ("95 % over both", True)]
    heads += [("test", True), ("95 % over both", True), ("int8, test", True)] if tested else []
    unequal = len({number(row, "epochs", WHERE) for row in rows}) > 1  # growth passed through some of them
    heads += [("epochs", True)] if unequal else []
    body = ""
    for row in rows:
        trial, arm = int(number(row, "trial", WHERE) or 0), str(row.get("arm"))
        name = str(row.get("name") or trial)
        opened = link(name, place[trial]) if trial in place else escape(name)
        test = mapping(row, "test", WHERE)
        cells = [tick(_size(row))] if held else []
        cells += [count(number(row, "parameters", WHERE))]
        cells += [percent(number(mapping(row, "said", WHERE), "accuracy", WHERE)), percent(row["accuracy"])]
        cells += [percent_range(numbers(row, "interval", WHERE) or None)]
        if tested:
            cells += [percent(number(test, "accuracy", WHERE)), percent_range(numbers(test, "interval", WHERE) or None)]
            cells += [percent(number(test, "int8_accuracy", WHERE))]
        cells += [count(number(row, "epochs", WHERE))] if unequal else []
        star = '<span class="star">★</span> ' if row.get("front") is True else ""
        body += f'<tr><th scope="row">{star}{swatch(arms.index(arm))} {opened}</th>'
        body += "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr>"
    top = "".join(f'<th scope="col"{" class=n" if right else ""}>{escape(name)}</th>' for name, right in heads)
    table = scrolled(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>", "Nets with fresh seeds")
    named = "★ on the front of the fresh means; a net is named by its arm, its trial there, and its dendrites"
    return f'{table}<p class="stars">{named}</p>'


def _findings(value: Mapping[str, Any]) -> list[str]:
    """What follows from it, in sentences."""
    found = []
    optimism = mapping(value, "optimism", WHERE)
    if optimism:
        low, high = numbers(optimism, "interval", WHERE) or (None, None)
        found.append(
            f"The search had said {percent(number(optimism, 'said', WHERE))} over these nets, fresh seeds say "
            f"{percent(number(optimism, 'refitted', WHERE))}: a difference of "
            f"{_points(number(optimism, 'difference', WHERE))} points ({_points(low)} to {_points(high)})."
        )
    on = f"{value.get('arms_on') or 'validation'} clips"
    name = mapping(value, "objective", WHERE).get("name")
    held = f" {name}" if name else ""
    for row in mappings(value, "arms", WHERE):
        low, high = numbers(row, "interval", WHERE) or (None, None)
        p = number(row, "p_holm", WHERE)
        found.append(
            f"Up to {tick(number(row, 'limit', WHERE))}{held}: {row.get('arm')} less {row.get('against')} is "
            f"{_points(number(row, 'difference', WHERE))} points ({_points(low)} to {_points(high)}) on {on}"
            + (f", p = {p:.2g} after Holm" if p is not None else "")
            + _epochs(row)
        )
    times = mapping(value, "readings", WHERE).get("times") or []
    if times:
        often = "once" if len(times) == 1 else f"{len(times)} times"
        found.append(f"The test clips were read {often}, and nothing was chosen by them.")
    planned, finished = number(value, "planned", WHERE), number(value, "finished", WHERE)
    if planned and finished is not None and finished < planned:
        found.append(f"{count(finished)} of {count(planned)} nets are finished.")
    return found


def _epochs(row: Row) -> str:
    """The end of the sentence: that a comparison is not of equal epochs, where it is not."""
    own, against = (number(row, name, WHERE) for name in ("epochs", "against_epochs"))
    if own is None or against is None or own == against:
        return "."
    return f", after {count(own)} epochs against {count(against)}."


def _points(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:+.1f}"
