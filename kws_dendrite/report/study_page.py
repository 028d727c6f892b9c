"""study.html: a study on one self-contained page, pictures included; it opens without a network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from kws_dendrite import __version__
from kws_dendrite.output import write_json, write_text
from kws_dendrite.report.study_chart import draw_accuracy, draw_differences, strict, write_pictures
from kws_dendrite.report.study_table import PAPER, heading, markdown, reading_note, sections, under
from kws_dendrite.report.tables import scrolled, tree
from kws_dendrite.report.wording import duration

Values = Mapping[str, Any]


def write_study_report(results: Values, folder: Path | str) -> list[Path]:
    """results.json, study.md, study.html and the pictures, into the study's folder.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = Path(folder)
    write_json(folder / "results.json", results)
    write_text(folder / "study.md", markdown(results))
    pictures = write_pictures(results, folder)
    page = write_study_page(results, folder / "study.html")
    return [folder / "results.json", folder / "study.md", page, *pictures]


def write_study_page(results: Values, path: Path | str) -> Path:
    """The page alone.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, render(results))
    return Path(path)


def render(results: Values) -> str:
    """The page as text: the same results give the same bytes."""
    style = _asset("page.css") + _asset("page_study.css")
    body, links = [], []
    for anchor, title, content in _parts(results):
        if content:
            links.append(f'<a href="#{anchor}">{escape(title)}</a>')
            body.append(
                f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{escape(title)}</h2>'
                f"{content}</section>"
            )
    return Template(_asset("page.html")).substitute(
        title=escape(heading(results)),
        heading=escape(heading(results)),
        under=escape(under(results)),
        banner=_banner(results),
        policy=escape(_policy(style)),
        style=style,
        script="",
        links="".join(links),
        tiles=_tiles(results),
        body="\n".join(body),
        facts="{}",
        version=escape(__version__),
    )


def _parts(results: Values) -> list[tuple[str, str, str]]:
    tables = {title: (text, heads, rows) for title, text, (heads, rows) in sections(results)}
    made = {key: value for key, value in results["made_of"].items() if value is not None}
    parts = [("front", "Verdict", _verdict(results)), ("curves", "Accuracy against size", _curves(results))]
    parts.append(("differences", "Differences at equal size", _differences(results, tables)))
    for anchor, title in (
        ("accuracy", "Accuracy"),
        ("compression", "Parameters at equal accuracy"),
        ("int8", "int8 beside float"),
        ("paper", PAPER),
        ("time", "Time spent"),
    ):
        if title in tables:
            parts.append((anchor, title, _table(*tables[title])))
    parts.append(("settings", "Settings", tree(made)))
    return parts


def _verdict(results: Values) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in results["verdicts"].values())
    listed = f'<ul class="verdicts">{lines}</ul>' if lines else ""
    return f'<p class="conclusion">{escape(results["conclusion"])}</p>{listed}'


def _curves(results: Values) -> str:
    text = "A line an arm, its band the 95 % t interval over seeds. Controls, all plain nets, are grey."
    return f'<p class="lead">{text}</p>{_picture(draw_accuracy(results, "svg"), "Accuracy against size, by arm")}'


def _differences(results: Values, tables: Mapping[str, tuple[str, list[str], list[list[str]]]]) -> str:
    title = "Differences at equal size"
    if not tables[title][2]:
        return ""
    picture = ""
    if strict(results):
        picture = _picture(draw_differences(results, "svg"), title) + (
            '<p class="lead">Thick: over seeds. Thin: over seeds and clips. Right of the line the arm is ahead.</p>'
        )
    return picture + _table(*tables[title])


def _table(text: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    top = "".join(f'<th scope="col"{_side(number)}>{escape(head)}</th>' for number, head in enumerate(heads))
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f'<td class="n">{escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    grid = scrolled(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>", heads[0])
    return f'<p class="lead">{escape(text)}</p>{grid}'


def _side(number: int) -> str:
    return ' class="n"' if number else ""


def _tiles(results: Values) -> str:
    rows = results["rows"]
    readings = results["readings"]["times"]
    measured = f"{results['clips']:,} {results['measured_on']} clips"
    tiles = [
        ("rows", str(len(rows)), f"{len({row['arm'] for row in rows})} arms"),
        ("seeds a row", str(results["members"]), "paired over the arms"),
        ("measured on", measured, f"read {len(readings)} time(s)" if readings else "test not read yet"),
        ("training", duration(sum(row["seconds"] for row in rows)), "all rows together"),
    ]
    return "".join(
        f'<div class="tile"><span class="name">{escape(name)}</span><span class="value small">{escape(value)}</span>'
        f'<span class="note">{escape(note)}</span></div>'
        for name, value, note in tiles
    )


def _banner(results: Values) -> str:
    notes = []
    if results["made_of"].get("synthetic"):
        notes.append(
            "<b>Synthetic demo data.</b> The numbers show that the way works, not how well it works on people."
        )
    if results["measured_on"] != "test" or len(results["readings"]["times"]) > 1:
        notes.append(escape(reading_note(results)))
    return "".join(f'<div class="banner" role="note">{note}</div>' for note in notes)


def _picture(svg: bytes, label: str) -> str:
    data = base64.b64encode(svg).decode()
    return f'<img class="chart" alt="{escape(label)}" src="data:image/svg+xml;base64,{data}">'


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _asset(name: str) -> str:
    return resources.files("kws_dendrite.report").joinpath(name).read_text(encoding="utf-8")
