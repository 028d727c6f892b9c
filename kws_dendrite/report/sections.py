"""The report's sections. Each takes the whole run and returns HTML, or "" when its part is missing."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation.statistics import wilson_interval
from kws_dendrite.report import curves, fields, front_chart, tables
from kws_dendrite.report.data_section import data_section, partition_clips
from kws_dendrite.report.results import RunResults
from kws_dendrite.report.trials import subtitle
from kws_dendrite.report.wording import (
    count,
    duration,
    microseconds,
    percent,
    percent_range,
    size,
    small,
    tick,
    title,
)


def tiles(results: RunResults) -> str:
    """The few numbers that matter, each with what it stands on."""
    found = [_accuracy_tile(results), _cost_tile(results), *_artefact_tiles(results), _parity_tile(results)]
    return "".join(
        f'<div class="tile"><span class="name">{escape(name)}</span><span class="value">{escape(value)}</span>'
        f'<span class="note">{escape(note).replace("_", "_<wbr>")}</span></div>'
        for name, value, note in filter(None, found)
    )


def _accuracy_tile(results: RunResults) -> tuple[str, str, str] | None:
    where = str(results.folder / "evaluation.json")
    evaluation = results.evaluation or {}
    accuracy = fields.number(evaluation, "accuracy", where)
    if accuracy is None:
        return None
    split = str(evaluation.get("split") or "evaluation")
    interval = _interval(evaluation, where)
    notes = [f"95 %: {percent_range(interval)}"] if interval else []
    clips, members = fields.number(evaluation, "clips", where), fields.number(evaluation, "members", where)
    notes.append(f"{count(clips)} clips" if clips else "")
    notes.append("one model" if members in (None, 1) else f"P = {count(members)}")
    return f"Accuracy, {split} clips", percent(accuracy), ", ".join(filter(None, notes))


def shipped_cost(results: RunResults) -> tuple[float | None, float | None]:
    """Folded parameters and MACs of the model, else of the chosen trial."""
    where = str(results.folder / "model/model.json")
    metrics = fields.mapping(results.model or {}, "metrics", where)
    parameters, macs = fields.number(metrics, "parameters", where), fields.number(metrics, "macs", where)
    if parameters is None and results.chosen:
        parameters, macs = results.chosen.parameters, results.chosen.macs
    return parameters, macs


def _cost_tile(results: RunResults) -> tuple[str, str, str] | None:
    parameters, macs = shipped_cost(results)
    if parameters is None:
        return None
    note = f"{count(macs)} multiply-accumulates a clip" if macs else "as shipped"
    return "Folded parameters", count(parameters), note


def _artefact_tiles(results: RunResults) -> list[tuple[str, str, str]]:
    sized = [a for a in results.artefacts if a.bytes is not None]
    timed = [a for a in results.artefacts if a.median_us is not None]
    found = []
    if sized:
        least = min(sized, key=lambda a: a.bytes)
        found.append(("Smallest artefact", size(least.bytes), least.name))
    if timed:
        best = min(timed, key=lambda a: a.median_us)
        found.append(("Latency on this host", microseconds(best.median_us), f"median, {best.name}; not a device's"))
    return found


def _parity_tile(results: RunResults) -> tuple[str, str, str] | None:
    bounded = [hop for hop in results.hops if hop.bound is not None]
    if not bounded:
        return None
    inside = sum(hop.passed is True for hop in bounded)
    worst = max((hop.worst for hop in bounded if hop.worst is not None), default=None)
    return "Parity", f"{inside} of {len(bounded)}", f"hops inside their bounds, worst difference {small(worst)}"


def front(results: RunResults) -> str:
    """The trade-off, with a panel that tells the trial under the pointer."""
    points = results.trials
    if not points:
        return ""
    chosen = results.chosen.key if results.chosen else None
    left_out = f"; {results.unfinished} without a result are left out" if results.unfinished else ""
    stated = [
        {
            "trial": p.number,
            "arm": p.arm,
            **({} if p.dendrites is None else {"dendrites": p.dendrites}),
            **({} if p.held is None else {p.axis: tick(p.held)}),
            "parameters": p.parameters,
            "MACs": p.macs,
            "accuracy": percent(p.accuracy),
            "95 % over seeds": percent_range(p.interval),
            "P": max(1, len(p.members)),
        }
        for p in sorted((p for p in points if p.front), key=lambda p: p.size)
    ]
    return (
        f'<p class="lead">{escape(subtitle(points, validation_clips(results), "validation"))}{left_out}. '
        "The search chose by validation accuracy, so it flatters the chosen nets; the test figure does not. "
        "Lines: the best that each arm found at or below a size. The ring marks the trial that was chosen. Point, tap, "
        "or use the arrow keys to read a trial.</p>"
        f'{front_chart.legend(points)}<div class="split"><div class="charts">'
        f"{front_chart.front_chart(points, 780, 540, 'wide', chosen)}"
        f"{front_chart.front_chart(points, 400, 380, 'narrow', chosen)}</div>"
        f'<aside class="trial" id="trial" aria-live="polite">{_panel(results)}</aside></div>'
        f"<details><summary>The front as a table ({len(stated)} nets)</summary>"
        f"{tables.records_table(stated)}</details>"
    )


def _panel(results: RunResults) -> str:
    """What the panel says before any point is touched, and for ever without script."""
    if not results.chosen:
        return ""
    facts = front_chart.trial_facts(results.chosen, chosen=True)
    settings = tables.definition_list(facts["settings"]) if facts["settings"] else ""
    return (
        f'<h3>Trial {facts["number"]}</h3><p class="place">{escape(facts["arm"])} · {escape(facts["place"])}</p>'
        f"{tables.definition_list(facts['rows'])}{'<h4>Settings</h4>' if settings else ''}{settings}"
    )


def validation_clips(results: RunResults) -> int | None:
    """How many clips the trials were compared on, where the data summary says so."""
    return partition_clips(results.data or {}).get("validation")


def learning(results: RunResults) -> str:
    """Learning curves, the growth steps marked and listed."""
    if not results.history:
        return ""
    seeds = max(len(entry.validation_accuracy) for entry in results.history)
    band = f" (line: mean of {seeds} seeds; band: their range)" if seeds > 1 else ""
    keys = (
        '<span><span class="swatchline train"></span>train</span> '
        f'<span><span class="swatchline validation"></span>validation{band}</span>'
    )
    unnamed = curves.unnamed_phases(results.history)
    phases = " ".join(
        f'<span class="phasekey p{k % 4}">{escape(name)}</span>'
        for k, name in enumerate(curves.phase_names(results.history))
        if name in unnamed
    )
    marks = ""
    if any(step.accepted for step in results.growth):
        marks += '<span class="up">▲ growth accepted</span> '
    if not all(step.accepted for step in results.growth):
        marks += '<span class="cross">✕ growth rejected, weights restored</span>'
    steps = [
        {"epoch": s.epoch, "kind": s.kind, "outcome": "accepted" if s.accepted else "rejected", **s.details}
        for s in results.growth
    ]
    listed = ""
    if steps:
        listed = f"<details><summary>Growth steps ({len(steps)})</summary>{tables.records_table(steps)}</details>"
    return f'<p class="keys">{keys} {phases} {marks}</p>{curves.curves(results.history, results.growth)}{listed}'


def confusion(results: RunResults) -> str:
    """The confusion matrix, and the largest mix-ups in words."""
    evaluation, where = results.evaluation or {}, str(results.folder / "evaluation.json")
    rows, labels = evaluation.get("confusion"), evaluation.get("labels")
    if not rows or not labels:
        return ""
    _check_square(rows, labels, where)
    labels = [str(label) for label in labels]
    wrong = sorted(
        ((rows[a][b], labels[a], labels[b]) for a in range(len(rows)) for b in range(len(rows)) if a != b), reverse=True
    )[:3]
    told = "; ".join(f"{a} heard as {b} ({count(n)})" for n, a, b in wrong if n)
    members = fields.number(evaluation, "members", where) or 1
    summed = f" Counts are summed over {count(members)} seeds." if members > 1 else ""
    mixed = f" Most frequent mix-ups: {escape(told)}." if told else ""
    lead = f"Rows are what was said, columns what was heard; a shade is a share of its row.{summed}{mixed}"
    return f'<p class="lead">{lead}</p>{tables.confusion_table(labels, rows)}'


def _check_square(rows: Any, labels: Any, where: str) -> None:
    fits = isinstance(labels, list) and isinstance(rows, list) and len(rows) == len(labels)
    fits = fits and all(isinstance(row, list) and len(row) == len(labels) for row in rows)
    if not fits or not all(isinstance(value, (int, float)) and value >= 0 for row in rows for value in row):
        raise DataError(f'{where}: "confusion" should be a square of counts, one row a label; evaluate again')


def parity(results: RunResults) -> str:
    """The chain from the trained model to each file."""
    if not results.hops and not results.quantised:
        return ""
    clips = fields.number(results.parity or {}, "clips", str(results.folder / "export/parity.json"))
    on = f" over {count(clips)} clips" if clips else ""
    parts = []
    if results.hops:
        parts.append(
            f'<p class="lead">Each hop compares probabilities{on}: the worst absolute difference of any one, and the '
            f"bound that it must stay under, or the export fails.</p>{tables.parity_table(results.hops)}"
        )
    if results.quantised:
        parts.append(
            "<h3>Eight bits</h3><p class=lead>Quantisation changes the numbers on purpose; what counts is the decisions"
            f"{on}.</p>{tables.quantised_table(results.quantised)}"
        )
    parts.append(_exact(results))
    for row in results.quantised:
        if row.noise:
            layers = [{"layer": layer, "signal to noise (dB)": value} for layer, value in row.noise.items()]
            parts.append(
                f"<details><summary>{escape(row.name)}: signal to noise by layer</summary>"
                f"{tables.records_table(layers)}</details>"
            )
    return "".join(parts)


def _exact(results: RunResults) -> str:
    """The generated C beside the int8 TFLite file."""
    where = str(results.folder / "export/parity.json")
    exact = fields.mapping(results.parity or {}, "c", where)
    clips, equal = fields.number(exact, "clips", where), fields.number(exact, "equal", where)
    if not clips:
        return ""
    return (
        f"<h3>C</h3><p class=lead>The generated C gave the bytes of the int8 TFLite file on {count(equal)} of "
        f"{count(clips)} clips.</p>"
    )


def artefacts(results: RunResults) -> str:
    """What was exported: size, latency here, accuracy."""
    if not results.artefacts:
        return ""
    evaluation = results.evaluation or {}
    where = str(results.folder / "evaluation.json")
    clips = fields.number(evaluation, "clips", where)
    split = escape(str(evaluation.get("split") or ""))
    on = f" Accuracy on {count(clips)} {split} clips." if clips else ""
    if clips and any(a.accuracy is not None for a in results.artefacts):
        best = max(a.accuracy for a in results.artefacts if a.accuracy is not None)
        low, high = wilson_interval(min(1.0, max(0.0, best)) * clips, int(clips))
        on += f" With so many clips, a 95 % interval is about ±{50 * (high - low):.1f} points wide."
    machines = " and ".join(dict.fromkeys(a.machine for a in results.artefacts if a.machine))
    where = f" on {escape(machines)}" if machines else " on the machine that ran this"
    return (
        f'<p class="lead">Latency is of one clip{where}, for comparing files with each other; '
        f"it is not a microcontroller's.{on}</p>{tables.artefact_rows(results.artefacts)}"
    )


def data(results: RunResults) -> str:
    """The data set's summary."""
    return data_section(results.data, str(results.folder / "run.json")) if results.data else ""


def settings(results: RunResults) -> str:
    """What was asked for, what was built, and by which versions."""
    run, model = results.run or {}, results.model or {}
    parts = []
    if run.get("command"):
        parts.append(f'<p>Made by <code class="command">{escape(str(run["command"]))}</code></p>')
    seconds = run.get("seconds")
    if isinstance(seconds, Mapping) and seconds:
        pairs = [(title(str(k)), duration(fields.number(seconds, k, "run.json"))) for k in seconds]
        parts.append("<h3>Time taken</h3>" + tables.definition_list(pairs))
    for name, value in (
        ("Run", run.get("settings")),
        ("Training", model.get("settings")),
        ("Architecture", model.get("architecture")),
        ("Front end", model.get("frontend")),
        ("Versions", versions(run, model)),
    ):
        if isinstance(value, Mapping) and value:
            opened = " open" if name == "Versions" else ""
            parts.append(f"<details{opened}><summary>{name}</summary>{tables.tree(value, 4)}</details>")
    return "".join(parts)


def versions(run: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """Of this package and of what it ran on, as the run wrote them down."""
    found: dict[str, Any] = {"kws-dendrite": run["version"]} if run.get("version") else {}
    for source in (model.get("versions"), run.get("versions")):
        if isinstance(source, Mapping):
            found.update(source)
    return found


def _interval(record: Mapping[str, Any], where: str) -> Sequence[float] | None:
    found = fields.numbers(record, "interval", where)
    return found if len(found) == 2 else None
