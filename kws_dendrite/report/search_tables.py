"""The tables of a search's page: the front, the best at each size, importance, reasons, every trial."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kws_dendrite.report.search_axes import best_spot
from kws_dendrite.report.search_chart import arms_of, swatch
from kws_dendrite.report.search_summary import Bin, Saving, reasons
from kws_dendrite.report.search_trials import SearchTrial, Spot
from kws_dendrite.report.tables import scrolled
from kws_dendrite.report.trials import PARAMETERS
from kws_dendrite.report.wording import UNKNOWN, count, duration, percent, percent_range, tick

ROWS = 12  # parameters that stand open


def link(trial: str, place: int) -> str:
    """A trial's name that opens it; plain text without script."""
    return f'<button type="button" class="open" data-open="{place}">{escape(trial)}</button>'


def _table(label: str, heads: Sequence[tuple[str, bool]], rows: Sequence[str], classes: str = "") -> str:
    top = "".join(f'<th scope="col"{side(right)}>{escape(head)}</th>' for head, right in heads)
    named = f' class="{classes}"' if classes else ""
    return scrolled(f"<table{named}><thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>", label)


def side(right: bool) -> str:
    """The class of a cell of numbers."""
    return ' class="n"' if right else ""


def front_table(spots: Sequence[Spot], trials: Sequence[SearchTrial], label: str) -> str:
    """The nets that nothing beats, smallest first."""
    arms, place = arms_of(trials), {trial.number: k for k, trial in enumerate(trials) if trial.spots}
    held = label != PARAMETERS
    rows = []
    for spot in spots:
        size = f'<td class="n">{tick(spot.size)}</td>' if held else ""
        rows.append(
            f'<tr><th scope="row" class="n">{count(spot.parameters)}</th>{size}'
            f'<td class="n">{percent(spot.accuracy)}</td><td class="n">{percent_range(spot.interval)}</td>'
            f"<td>{swatch(arms.index(spot.arm))} {escape(spot.arm)}</td>"
            f'<td class="n">{UNKNOWN if spot.dendrites is None else spot.dendrites}</td>'
            f'<td class="n">{count(spot.macs)}</td><td class="n">{link(str(spot.trial), place[spot.trial])}</td></tr>'
        )
    heads = [("parameters", True), *([(label, True)] if held else []), ("accuracy", True), ("95 % over seeds", True)]
    heads += [("arm", False), ("dendrites", True), ("MACs", True), ("trial", True)]
    return _table("The front", heads, rows)


def sizes_table(bins: Sequence[Bin], trials: Sequence[SearchTrial], label: str) -> str:
    """The best of each arm at each size, the best of all marked."""
    arms, place = arms_of(trials), {trial.number: k for k, trial in enumerate(trials) if trial.spots}
    rows = []
    for found in bins:
        cells = ""
        for arm in arms:
            spot = found.best.get(arm)
            if spot is None:
                cells += f'<td class="n">{UNKNOWN}</td>'
                continue
            first = ' class="n best"' if spot is found.leader else ' class="n"'
            cells += (
                f"<td{first}>{percent(spot.accuracy)} <small>{percent_range(spot.interval)}</small> "
                f"{link(f'{spot.trial}', place[spot.trial])}</td>"
            )
        rows.append(f'<tr><th scope="row">{found.words}</th>{cells}</tr>')
    return _table("Best at each size", [(label, False), *((arm, True) for arm in arms)], rows)


def importance_table(found: Mapping[str, Any], arms: Sequence[str]) -> str:
    """Shares as bars, by parameter and group; the tick is what chance gives, bars within it are pale."""
    groups = [name for name in ("all", *arms) if name in found]
    names = [name for name in groups for name in found[name]["parameters"]]
    names = list(dict.fromkeys(names))
    heads = [("parameter", False)]
    heads += [(f"{'all arms' if g == 'all' else g}: {found[g]['best']} of {found[g]['trials']}", False) for g in groups]

    def row(name: str) -> str:
        cells = "".join(f"<td>{_share(found[group]['parameters'].get(name))}</td>" for group in groups)
        return f'<tr><th scope="row"><code>{escape(name)}</code></th>{cells}</tr>'

    open_rows, rest = names[:ROWS], names[ROWS:]
    table = _table("Importance of parameters", heads, [row(name) for name in open_rows], "importance")
    if rest:
        more = _table("Importance of the other parameters", heads, [row(name) for name in rest], "importance")
        table += f"<details><summary>The other {len(rest)} parameters</summary>{more}</details>"
    return table


def _share(entry: Mapping[str, float] | None) -> str:
    if entry is None:
        return UNKNOWN
    value, chance = entry["share"], entry["chance"]
    kind = "within" if value <= 1.5 * chance else "beyond"
    return (
        f'<span class="barred"><svg class="impbar {kind}" viewBox="0 0 120 12" preserveAspectRatio="none" role="img" '
        f'aria-label="{percent(value, 0)}, by chance {percent(chance, 0)}">'
        '<rect class="track" width="120" height="12"/>'
        f'<rect class="fill" width="{120 * min(1.0, value):.1f}" height="12"/>'
        f'<path class="limit" d="M{min(119.0, 120 * chance):.1f} 0V12"/></svg>'
        f"<span>{percent(value, 0)}</span></span>"
    )


def ends_tables(trials: Sequence[SearchTrial], saved: Saving) -> str:
    """Why draws were skipped and trials stopped or failed, and what stopping saved."""
    parts = []
    for state, heading, lead in (
        ("skipped", "Draws skipped", "Over a limit before a step of training; each was drawn anew."),
        ("stopped", "Trials stopped", _saved(saved)),
        ("failed", "Trials failed", "Their results are on no front."),
    ):
        found = reasons(trials, state)
        if not found:
            continue
        total = sum(n for _, n in found)
        rows = [f'<tr><th scope="row" class="n">{n:,}</th><td class="wrap">{escape(why)}</td></tr>' for why, n in found]
        listed = _table(f"{heading}, by reason", [("how many", True), ("why", False)], rows, "reasons")
        parts.append(f"<h3>{heading}: {total:,}</h3><p class=lead>{escape(lead)}</p>{listed}")
        if state != "skipped":
            parts.append(_ended(trials, state))
    return "".join(parts)


def _saved(saved: Saving) -> str:
    time = f", about {duration(saved.seconds)} of training" if saved.seconds else ""
    return (
        f"Their nets count for the front as they were. Not trained: {saved.epochs:,} epochs, {saved.share:.0%} of what "
        f"these and all that ended would have had{time}."
    )


def _ended(trials: Sequence[SearchTrial], state: str) -> str:
    arms = arms_of(trials)
    rows = []
    for place, trial in enumerate(trials):
        if trial.state != state:
            continue
        epochs = f"{count(trial.epoch)} of {count(trial.epochs)}" if trial.epochs else count(trial.epoch)
        size = count(trial.spots[0].parameters) if trial.spots else UNKNOWN
        rows.append(
            f'<tr><th scope="row" class="n">{link(trial.key, place)}</th><td>{swatch(arms.index(trial.arm))} '
            f'{escape(trial.arm)}</td><td class="n">{epochs}</td><td class="n">{percent(trial.accuracy_so_far)}</td>'
            f'<td class="n">{size}</td><td class="wrap">{escape(trial.why) or UNKNOWN}</td></tr>'
        )
    heads = [
        ("trial", True),
        ("arm", False),
        ("epochs", True),
        ("accuracy", True),
        ("parameters", True),
        ("why", False),
    ]
    listed = _table(f"Trials {state}", heads, rows, "reasons")
    return f"<details><summary>Each of them ({len(rows)})</summary>{listed}</details>"


def trials_table(trials: Sequence[SearchTrial], label: str) -> str:
    """Every trial in every state; a head sorts, a trial's number opens it."""
    arms, held = arms_of(trials), label != PARAMETERS
    rows = []
    for place, trial in enumerate(trials):
        spot = best_spot(trial) if trial.spots else None
        cells: list[tuple[str, float | None, bool]] = [
            (link(trial.key, place), trial.number + trial.attempt / 1000, True),
            (f"{swatch(arms.index(trial.arm))} {escape(trial.arm)}", arms.index(trial.arm), False),
            (f'<i class="dot s-{trial.state}"></i>{trial.state}', None, False),
            (count(spot.parameters) if spot else UNKNOWN, spot.parameters if spot else None, True),
            *([(tick(spot.size) if spot else UNKNOWN, spot.size if spot else None, True)] if held else []),
            (percent(spot.accuracy) if spot else UNKNOWN, spot.accuracy if spot else None, True),
            (percent_range(spot.interval) if spot else UNKNOWN, None, True),
            (UNKNOWN if not spot or spot.dendrites is None else str(spot.dendrites), None, True),
            (count(trial.epoch), trial.epoch, True),
            (duration(trial.seconds) if trial.seconds else UNKNOWN, trial.seconds, True),
        ]
        body = "".join(_cell(*cell) for cell in cells)
        rows.append(f'<tr data-state="{trial.state}">{body}</tr>')
    names = ["trial", "arm", "state", "parameters", *([label] if held else []), "accuracy", "95 % over seeds"]
    names += ["dendrites", "epochs", "time"]
    heads = "".join(
        f'<th scope="col"{side(name not in ("arm", "state"))}>'
        f'<button type="button" class="sort">{escape(name)}</button></th>'
        for name in names
    )
    return (
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Every trial"><table id="all"><thead>'
        f"<tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(content: str, value: float | None, right: bool) -> str:
    sorted_by = "" if value is None else f' data-v="{value:.10g}"'
    return f"<td{side(right)}{sorted_by}>{content}</td>"
