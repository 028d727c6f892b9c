"""A search on one self-contained page, at any moment of it: no script, style, font or picture comes from elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from kws_dendrite import __version__
from kws_dendrite.evaluation.hypervolume import Reference, reference_of
from kws_dendrite.output import write_text
from kws_dendrite.report import search_tables
from kws_dendrite.report.fields import mapping
from kws_dendrite.report.page import asset, content_policy, embedded
from kws_dendrite.report.search_chart import arms_of, front_chart, legend, lower_edge, shapes
from kws_dendrite.report.search_facts import page_facts
from kws_dendrite.report.search_progress import hypervolume_charts, states_table
from kws_dendrite.report.search_refit import refit_section
from kws_dendrite.report.search_results import SearchResults
from kws_dendrite.report.search_summary import best_by_size, counts, saving, sizes, time_left
from kws_dendrite.report.search_trials import ENDED, STATES, all_spots, the_front
from kws_dendrite.report.tables import tree
from kws_dendrite.report.wording import count, duration, percent, percent_range, tick, title

LIMITED = {
    "max_params": "parameters",
    "max_macs": "MACs",
    "max_flash": "B of flash",
    "max_ram": "B of RAM",
    "max_latency": "ms an inference",
}
NOT_YET = '<p class="missing">Nothing to show yet: no trial has ended. The same command again shows what there is.</p>'


@dataclass(frozen=True)
class Moment:
    """When a page is made, and what besides the folder it is made of.

    Attributes:
        now: Unix time.
        importance: of parameters, by `search.importance`; None where there are too few trials.
        note: why the trials are not fresh from the search's storage; "" where they are.
    """

    now: float
    importance: Mapping[str, Any] | None = None
    note: str = ""


def write_search_page(results: SearchResults, moment: Moment, out: Path | str) -> Path:
    """Write the page.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(out, render(results, moment))
    return Path(out)


Part = Callable[[SearchResults, Moment], str]


def render(results: SearchResults, moment: Moment) -> str:
    """The page as text: the same results at the same moment give the same bytes."""
    style, script = asset("page.css") + asset("page_search.css"), asset("page_search.js")
    body, links = [], []
    for anchor, short, heading, fill in SECTIONS:
        content = fill(results, moment)
        links.append(f'<a href="#{anchor}"{"" if content else " class=empty"}>{escape(short)}</a>')
        body.append(
            f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{escape(heading)}</h2>'
            f"{content or NOT_YET}</section>"
        )
    sheet = '<dialog id="sheet"><button type="button" class="close">Close</button><div></div></dialog>'
    heading, under = _headings(results)
    return Template(asset("page.html")).substitute(
        title=escape(heading),
        heading=escape(heading),
        under=escape(under),
        banner=_banner(results, moment),
        policy=escape(content_policy(style, script)),
        style=style,
        script=script,
        links="".join(links),
        tiles=_tiles(results),
        body=shapes() + "\n".join(body) + sheet,
        facts=embedded(page_facts(results, moment.importance)),
        version=escape(__version__),
    )


def clock(moment: float) -> str:
    """Unix time as words, in UTC: the machines of a search may stand anywhere."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _headings(results: SearchResults) -> tuple[str, str]:
    plan = results.plan
    front = the_front(results.trials)
    heading = f"{plan.name}: a search" if plan.name else "A search"
    if front:
        best = front[-1]
        heading += f", up to {percent(best.accuracy)} in {count(best.parameters)} parameters"
    arms = ", ".join(plan.arms or arms_of(results.trials))
    each = " each" if "," in arms else ""
    parts = [f"{plan.trials:,} trials{each} of {arms}" if plan.trials else arms]
    parts.append(f"{plan.epochs} epochs a trial" if plan.epochs else "")
    parts.append(f"P = {plan.members} seed{'s' * (plan.members > 1)}" if plan.members else "")
    limits = mapping(results.settings, "limits", "search.json")
    parts += [
        f"at most {tick(value)} {LIMITED.get(str(name), title(str(name)[4:]))}".replace(" ", "\u00a0")
        for name, value in limits.items()
        if str(name).startswith("max_") and isinstance(value, int | float)
    ]
    return heading, " · ".join(filter(None, parts))


def _banner(results: SearchResults, moment: Moment) -> str:
    notes = []
    found = counts(results.trials)
    ended = sum(found[state] for state in ENDED)
    unfinished = found["running"] or found["waiting"] or (results.plan.total or 0) > ended
    age = moment.now - results.written
    old = f", {duration(age)} before this page was written" if age >= 60 else ""
    if unfinished:
        total = f" of {results.plan.total:,}" if results.plan.total else ""
        left = time_left(results.trials, results.plan)
        rest = f", about {duration(left)} left at the speed so far" if left else ""
        running = f"{found['running']} {'was' if found['running'] == 1 else 'were'} running{rest}"
        notes.append(
            f"<b>Not finished.</b> As of {clock(results.written)}{old}, {ended:,}{total} trials had ended and "
            f"{running}. <code>kws-dendrite report</code> again shows more."
        )
    elif old:
        notes.append(f"The trials are as of {clock(results.written)}{old}.")
    if moment.note:
        notes.append(f"<b>Not fresh from the search's storage.</b> {escape(moment.note)}")
    if results.data.get("synthetic") is True:
        notes.append("<b>Synthetic demo data.</b> The figures say nothing about real speech.")
    return "".join(f'<div class="banner" role="note">{note}</div>' for note in notes)


def _tiles(results: SearchResults) -> str:
    found, plan = counts(results.trials), results.plan
    ended = sum(found[state] for state in ENDED)
    total = plan.total or sum(found[state] for state in STATES if state != "skipped")
    tiles = [("Trials that ended", f"{ended:,} of {total:,}", ", ".join(f"{n:,} {s}" for s, n in found.items() if n))]
    front = the_front(results.trials)
    if front:
        best = front[-1]
        interval = f"95 %: {percent_range(best.interval)}, " if best.interval else ""
        where = f"{count(best.parameters)} parameters, {best.arm}, trial {best.trial}"
        tiles.append(("Most accurate", percent(best.accuracy), interval + where))
        arms = [(arm, sum(spot.arm == arm for spot in front)) for arm in arms_of(results.trials)]
        tiles.append(("Nets on the front", f"{len(front)}", ", ".join(f"{arm} {n}" for arm, n in arms if n)))
    seconds = sum(trial.seconds or 0.0 for trial in results.trials)
    if seconds:
        workers = len({trial.worker for trial in results.trials if trial.worker})
        note = f"of all workers together, {workers} of them" if workers > 1 else "of one worker"
        hours = duration(60 * round(seconds / 60)).removesuffix(" 0 s") if seconds >= 600 else duration(seconds)
        tiles.append(("Time at work", hours, note))
    saved = saving(results.trials)
    if saved.trials:
        tiles.append(("Saved by stopping", percent(saved.share, 0), f"of the epochs; {saved.trials} trials stopped"))
    return "".join(
        f'<div class="tile"><span class="name">{escape(name)}</span><span class="value">{escape(value)}</span>'
        f'<span class="note">{escape(note)}</span></div>'
        for name, value, note in tiles
    )


def _front(results: SearchResults, moment: Moment) -> str:
    trials, label = results.trials, results.plan.label
    spots = all_spots(trials)
    if not spots:
        return ""
    below = sum(spot.accuracy < lower_edge(trials) for spot in spots)
    edge = f" {below} nets below the picture stand on its lower edge." if below else ""
    clips = results.settings.get("validation_clips") or mapping(results.data, "clips", "search.json").get("validation")
    on = f"{clips:,} validation clips. " if isinstance(clips, int) else ""
    by_loss = "The search made the validation loss small, and the front is by that. " if _by_loss(results) else ""
    front = the_front(trials)
    return (
        f'<p class="lead">{on}Every number of dendrites that a trial passed through is a net of its own; thin lines '
        "join a trial's nets. Thick lines are the best that each arm found at or below a size, with 95 % t intervals "
        f"over the seeds; hollow marks are of trials that were stopped. {by_loss}The search chose by these clips, so "
        f"they flatter what it chose.{edge} Click a net, or walk with the arrow keys, to read its trial.</p>"
        f"{legend(trials)}"
        f'<div class="split"><div class="charts">{front_chart(trials, 860, 680, "wide", label)}'
        f'{front_chart(trials, 400, 400, "narrow", label)}</div><aside class="trial" id="trial" aria-live="polite">'
        '<p class="place">With script, the trial of the net that you click stands here.</p></aside></div>'
        f"<details><summary>The front as a table ({len(front)} nets)</summary>"
        f"{search_tables.front_table(front, trials, label)}</details>"
    )


def _by_loss(results: SearchResults) -> bool:
    return results.plan.maximise == "loss" or any(s.merit != s.accuracy for s in all_spots(results.trials))


def _refit(results: SearchResults, moment: Moment) -> str:
    found = refit_section(results.refit, results.trials, results.plan.label) if results.refit else ""
    return found or (
        '<p class="missing">Not done yet. A maximum over many trials is luck in part: <code>kws-dendrite refit</code> '
        "with this folder trains the nets of the front again with fresh seeds; with <code>--read-test</code> it then "
        "scores them on the test clips, once.</p>"
    )


def _sizes(results: SearchResults, moment: Moment) -> str:
    bins = best_by_size(results.trials)
    if not bins:
        return ""
    return (
        '<p class="lead">The most accurate net of each arm between two sizes; the best of all in bold. A maximum over '
        "many trials is luck in part: the front retrained with fresh seeds is what to believe.</p>"
        + search_tables.sizes_table(bins, results.trials, results.plan.label)
    )


def _progress(results: SearchResults, moment: Moment) -> str:
    if not results.trials:
        return ""
    plan = results.plan
    planned = dict.fromkeys(plan.arms, plan.trials) if plan.trials else None
    return states_table(results.trials, planned) + _hypervolume(results)


def reference(results: SearchResults) -> Reference | None:
    """The rectangle of this search's hypervolumes: from the smallest size that every arm has come to, to the limit on
    the size, else past the largest net; from the accuracy of a guess, where the number of classes is known, to 1."""
    known = sizes(results.trials)
    if known is None:
        return None
    labels = results.settings.get("labels") or results.data.get("labels")
    guess = 1 / len(labels) if isinstance(labels, list) and len(labels) > 1 else 0.0
    objective = results.settings.get("objective")
    name = str(objective.get("name") if isinstance(objective, Mapping) else objective or "params").partition(":")[0]
    limit = mapping(results.settings, "limits", "search.json").get(f"max_{name}")
    return reference_of(known, guess, float(limit) if isinstance(limit, int | float) else None)


def _hypervolume(results: SearchResults) -> str:
    box = reference(results)
    drawn = hypervolume_charts(results.trials, box) if box else ""
    if not drawn:
        return ""
    label = results.plan.label[:1].lower() + results.plan.label[1:]
    return (
        f"<h3>Hypervolume of each arm's front</h3><p class=lead>The share that the front dominates of the rectangle "
        f"from {tick(box.smallest)} to {tick(box.largest)} ({escape(label)}, log scale) and from "
        f"{percent(box.accuracy)} to 100 % validation accuracy; the reference point is {tick(box.largest)} at "
        f"{percent(box.accuracy)}. It begins at the smallest size that every arm has come to; a smaller net counts "
        f"as of that size. Stopped trials count with the nets that they had.</p>{drawn}"
    )


def _importance(results: SearchResults, moment: Moment) -> str:
    if not moment.importance:
        return (
            '<p class="missing">Too few trials to tell what matters: it takes 20 with a net that was trained, and '
            "Optuna 5.</p>"
            if results.trials
            else ""
        )
    return (
        '<p class="lead">What tells the trials nearest the front from all trials, by PED-ANOVA: bars are shares of all '
        "that is told. The tick is what as many trials give by chance, with the best dealt out at random; a pale bar "
        "is not beyond that. Each column says how many trials were the best, of how many.</p>"
        + search_tables.importance_table(moment.importance, arms_of(results.trials))
    )


def _parallel(results: SearchResults, moment: Moment) -> str:
    if not all_spots(results.trials):
        return ""
    return (
        '<p class="lead">A line a trial; strong lines have a net on the front of their arm. Drag along an axis to keep '
        "the trials that pass there, click it to take all again; click a line to read its trial. The arms' switches "
        "above the front work here, too.</p>"
        '<div class="controls"><button type="button" id="clear">Take all</button><span id="passing" role="status">'
        '</span></div><div class="graph"><div id="parallel"><p class="missing">This picture needs script.</p></div>'
        '</div><details><summary>Which axes</summary><div id="axes"></div></details>'
    )


def _ends(results: SearchResults, moment: Moment) -> str:
    found = search_tables.ends_tables(results.trials, saving(results.trials))
    return found or '<p class="lead">No draw was skipped, no trial was stopped, none failed.</p>'


def _all(results: SearchResults, moment: Moment) -> str:
    if not results.trials:
        return ""
    choices = "".join(f'<option value="{state}">{state}</option>' for state in STATES)
    return (
        '<p class="lead">A head sorts; a number opens the trial with its curve.</p><div class="controls"><label>Show '
        f'<select id="state"><option value="">every state</option>{choices}</select></label></div>'
        f"{search_tables.trials_table(results.trials, results.plan.label)}"
    )


def _settings(results: SearchResults, moment: Moment) -> str:
    if not results.settings:
        return '<p class="lead">This search wrote no search.json.</p>'
    plain = {name: value for name, value in results.settings.items() if not isinstance(value, Mapping)}
    groups = {name: value for name, value in results.settings.items() if isinstance(value, Mapping) and value}
    return tree(plain) + "".join(
        f"<details><summary>{escape(title(str(name)).capitalize())}</summary>{tree(value, 4)}</details>"
        for name, value in groups.items()
    )


SECTIONS: tuple[tuple[str, str, str, Part], ...] = (
    ("front", "Front", "Accuracy against size", _front),
    ("refit", "Fresh seeds", "The front with fresh seeds", _refit),
    ("sizes", "Best at each size", "Best at each size", _sizes),
    ("progress", "Progress", "Trials and hypervolume", _progress),
    ("importance", "Importance", "Importance of parameters", _importance),
    ("parallel-section", "Parallel coordinates", "Parallel coordinates", _parallel),
    ("ends", "Skipped and stopped", "Skipped, stopped, failed", _ends),
    ("trials", "Every trial", "Every trial", _all),
    ("settings", "Settings", "Settings", _settings),
)
