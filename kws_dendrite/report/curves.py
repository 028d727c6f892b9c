"""Learning curves as SVG: train and validation, phases as a strip on top, growth steps as lines."""

import itertools
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from kws_dendrite.report.records import Epoch, GrowthStep
from kws_dendrite.report.svg import Scale, line, padded, padded_log, text
from kws_dendrite.report.wording import percent

WIDTH, HEIGHT = 520, 320
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 34, 44


def places(history: Sequence[Epoch]) -> list[int]:
    """Where each epoch lies: its own number if these only rise, else its place in the list."""
    numbers = [entry.epoch for entry in history]
    rising = all(a < b for a, b in itertools.pairwise(numbers))
    return numbers if rising else list(range(1, len(numbers) + 1))


def curves(history: Sequence[Epoch], growth: Sequence[GrowthStep]) -> str:
    """Two panels, loss and accuracy; at least one epoch."""
    panels = []
    for name, unit, train, validation in (
        ("Loss", "", lambda e: e.train_loss, lambda e: e.validation_loss),
        ("Accuracy", "%", lambda e: e.train_accuracy, lambda e: e.validation_accuracy),
    ):
        if any(train(entry) or validation(entry) for entry in history):
            panels.append(_panel(history, growth, name, unit, train, validation))
    return f'<div class="curves">{"".join(panels)}</div>'


def _panel(
    history: Sequence[Epoch],
    growth: Sequence[GrowthStep],
    name: str,
    unit: str,
    train: Callable[[Epoch], tuple[float, ...]],
    validation: Callable[[Epoch], tuple[float, ...]],
) -> str:
    factor = 100 if unit == "%" else 1
    epochs = places(history)
    values = [factor * value for entry in history for value in (*train(entry), *validation(entry))]
    across = Scale(epochs[0] - 0.5, epochs[-1] + 0.5, LEFT, WIDTH - RIGHT)
    up = _upwards(values, unit)
    parts = []
    for value in up.ticks(5):
        parts.append(line(LEFT, up(value), WIDTH - RIGHT, up(value), "grid"))
        parts.append(text(LEFT - 7, up(value) + 4.5, f"{value:g}", "tick", "end"))
    for value in across.ticks(6):
        if value == int(value):
            parts.append(text(across(value), up.start + 19, f"{value:.0f}", "tick", "middle"))
    parts.append(_phases(history, epochs, across))
    parts += [_growth(step, across, up) for step in growth if across.low <= step.epoch - 0.5 <= across.high]
    drawn = ""
    for kind, of in (("train", train), ("validation", validation)):
        rows = [(across(x), [up(factor * v) for v in of(entry)]) for x, entry in zip(epochs, history, strict=True)]
        drawn += _series([row for row in rows if row[1]], kind)
    # A nested svg cuts off what lies below the axis, without the page-wide names that a clipPath needs.
    box = f'x="{LEFT}" y="{TOP}" width="{WIDTH - RIGHT - LEFT}" height="{HEIGHT - BOTTOM - TOP}"'
    view = f'viewBox="{LEFT} {TOP} {WIDTH - RIGHT - LEFT} {HEIGHT - BOTTOM - TOP}"'
    parts.append(f'<svg class="cut" {box} {view}>{drawn}</svg>')
    parts.append(line(LEFT, up.start, WIDTH - RIGHT, up.start, "axis"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 7, "Epoch", "label", "middle"))
    heading = f"{name} ({unit})" if unit else f"{name} (log scale)" if up.log else name
    parts.append(f'<line class="cursor" x1="0" x2="0" y1="{TOP}" y2="{up.start}" visibility="hidden"/>')
    label = f"{heading} over {len(history)} epochs, train and validation. Arrow keys read out each epoch."
    return (
        f'<figure class="panel" data-metric="{name.lower()}"><figcaption><b>{heading}</b>'
        '<span class="readout" aria-live="polite"></span></figcaption>'
        f'<svg class="chart curve" viewBox="0 0 {WIDTH} {HEIGHT}" tabindex="0" role="img" aria-label="{escape(label)}" '
        f'data-left="{LEFT}" data-right="{WIDTH - RIGHT}">{"".join(parts)}</svg></figure>'
    )


def _upwards(values: list[float], unit: str) -> Scale:
    """Loss on a logarithmic scale. Accuracy from near its first decile up: the first epochs' climb says little, and
    would press the end, where the growth steps are, into a line."""
    if unit != "%" and min(values) > 0:
        low, high = padded_log(min(values), max(values), 0.05)
        return Scale(low, high, HEIGHT - BOTTOM, TOP, log=True)
    low, high = min(values), max(values)
    if unit == "%":
        early = sorted(values)[len(values) // 10]
        low = max(low, early - 0.25 * (high - early))
    low, high = padded(low, high, least=2.0 if unit == "%" else 0.02)
    return Scale(max(0.0, low) if unit == "%" else low, high, HEIGHT - BOTTOM, TOP)


def _series(rows: list[tuple[float, list[float]]], kind: str) -> str:
    """The mean over seeds as a line, the range of the seeds as a band."""
    if not rows:
        return ""
    band = ""
    if any(len(ys) > 1 for _, ys in rows):
        outline = [(x, min(ys)) for x, ys in rows] + [(x, max(ys)) for x, ys in reversed(rows)]
        band = f'<path class="band {kind}" d="M{"L".join(f"{x:g} {y:g}" for x, y in outline)}Z"/>'
    if len(rows) == 1:
        x, ys = rows[0]
        return f'{band}<circle class="dot {kind}" cx="{x:g}" cy="{sum(ys) / len(ys):.1f}" r="3.5"/>'
    mean = "L".join(f"{x:g} {sum(ys) / len(ys):.1f}" for x, ys in rows)
    return f'{band}<path class="series {kind}" d="M{mean}"/>'


def _phases(history: Sequence[Epoch], epochs: Sequence[int], across: Scale) -> str:
    """A strip above the plot; a phase too short for its name keeps it as a tooltip and in the legend."""
    names = phase_names(history)
    parts = []
    for phase, first, last in _stretches(history, epochs):
        start, end = across(first - 0.5), across(last + 0.5)
        hint = escape(f"{phase}: epochs {first} to {last}")
        parts.append(
            f'<rect class="phase p{names.index(phase) % 4}" x="{start}" y="6" width="{round(end - start, 1)}" '
            f'height="18"><title>{hint}</title></rect>'
        )
        if _fits(phase, end - start):
            parts.append(text(round((start + end) / 2, 1), 19, phase, "phasename", "middle"))
    return "".join(parts)


def _stretches(history: Sequence[Epoch], epochs: Sequence[int]) -> list[tuple[str, int, int]]:
    """Runs of epochs of one phase: its name, first and last epoch."""
    found = []
    for phase, group in itertools.groupby(zip(epochs, history, strict=True), key=lambda pair: pair[1].phase):
        members = [epoch for epoch, _ in group]
        if phase:
            found.append((phase, members[0], members[-1]))
    return found


def _fits(phase: str, width: float) -> bool:
    return width > 7.2 * len(phase) + 8  # of the 12 unit letters on the strip


def unnamed_phases(history: Sequence[Epoch]) -> list[str]:
    """The phases that are too short to be named on the strip, so that a legend has to."""
    epochs = places(history)
    unit = (WIDTH - RIGHT - LEFT) / (epochs[-1] - epochs[0] + 1)
    short = [phase for phase, first, last in _stretches(history, epochs) if not _fits(phase, unit * (last - first + 1))]
    return list(dict.fromkeys(short))


def phase_names(history: Sequence[Epoch]) -> list[str]:
    """The phases in order of their first appearance."""
    return list(dict.fromkeys(entry.phase for entry in history if entry.phase))


def _growth(step: GrowthStep, across: Scale, up: Scale) -> str:
    x = across(step.epoch - 0.5)  # it came before that epoch
    verdict = "accepted" if step.accepted else "rejected"
    sign = "M-5.5 4L0 -5L5.5 4Z" if step.accepted else "M-4.5 -4.5L4.5 4.5M4.5 -4.5L-4.5 4.5"
    return (
        f'<g class="growth {verdict}"><title>{escape(f"Before epoch {step.epoch}: {step.kind}, {verdict}")}</title>'
        f"{line(x, up.end, x, up.start, 'growthline')}"
        f'<path class="growthmark" transform="translate({x} {up.end + 2})" d="{sign}"/></g>'
    )


def curve_facts(history: Sequence[Epoch]) -> dict[str, Any]:
    """What the cursor reads out, in words."""
    epochs = places(history)

    def words(values: tuple[float, ...], share: bool) -> str:
        if not values:
            return ""
        mean = sum(values) / len(values)
        return percent(mean) if share else f"{mean:.3f}"

    return {
        "first": epochs[0] - 0.5,
        "last": epochs[-1] + 0.5,
        "epochs": epochs,
        "phases": [entry.phase for entry in history],
        "loss": [[words(e.train_loss, False), words(e.validation_loss, False)] for e in history],
        "accuracy": [[words(e.train_accuracy, True), words(e.validation_accuracy, True)] for e in history],
    }
