"""report.html: one self-contained file. No script, style, font or picture comes from anywhere else.

The page works without script; script adds the panel, the cursor and the switches. A content security policy allows
just this script and this style, by their hashes, and no connection at all.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from kws_dendrite import __version__
from kws_dendrite.output import write_text
from kws_dendrite.report import curves, front_chart, sections
from kws_dendrite.report.results import RunResults, read_run
from kws_dendrite.report.wording import count

EVALUATE = "evaluate --model RUN/export --data DATA --out RUN/evaluation.json"
# Anchor, heading, what fills it, and the arguments of the command that makes what it shows.
SECTIONS: tuple[tuple[str, str, Callable[[RunResults], str], str], ...] = (
    ("front", "Accuracy against size", sections.front, "search DATA --out RUN/search"),
    ("learning", "Learning curves", sections.learning, "train DATA --out RUN/model"),
    ("confusion", "Confusion matrix", sections.confusion, EVALUATE),
    ("parity", "Parity: nothing changes on the way", sections.parity, "export RUN/model --data DATA --out RUN/export"),
    ("artefacts", "Artefacts", sections.artefacts, "benchmark RUN/export --out RUN/benchmark.json"),
    ("data", "Data", sections.data, "train DATA --out RUN/model"),
    ("settings", "Settings and versions", sections.settings, "run --data DATA --out RUN"),
)


def write_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Read a run folder and write its report.

    Args:
        folder: of the run; any part may be missing.
        out: where to; report.html in the folder by default.

    Raises:
        DataError: nothing to read, or something that cannot be read.
        OutputError: `out` cannot be written.
    """
    results = read_run(folder)
    out = Path(out) if out is not None else Path(folder) / "report.html"
    write_text(out, render(results))
    return out


def render(results: RunResults) -> str:
    """The page as text: the same results give the same bytes."""
    style, script = asset("page.css"), asset("page.js")
    body, links = [], []
    for anchor, heading, fill, command in SECTIONS:
        content = fill(results)
        links.append(f'<a href="#{anchor}"{"" if content else " class=empty"}>{escape(SHORT[anchor])}</a>')
        body.append(
            f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{escape(heading)}</h2>'
            f"{content or _missing(command)}</section>"
        )
    heading, under = _headings(results)
    return Template(asset("page.html")).substitute(
        title=escape(heading),
        heading=escape(heading),
        under=escape(under),
        banner=_banner(results),
        policy=escape(content_policy(style, script)),
        style=style,
        script=script,
        links="".join(links),
        tiles=sections.tiles(results),
        body="\n".join(body),
        facts=embedded(_facts(results)),
        version=escape(__version__),
    )


SHORT = {
    "front": "Size",
    "learning": "Learning",
    "confusion": "Confusion",
    "parity": "Parity",
    "artefacts": "Artefacts",
    "data": "Data",
    "settings": "Settings",
}


def _headings(results: RunResults) -> tuple[str, str]:
    labels = (results.model or {}).get("labels") or (results.evaluation or {}).get("labels") or []
    labels = [str(label) for label in labels] if isinstance(labels, list) else []
    parameters, _ = sections.shipped_cost(results)
    heading = f"A keyword spotter for {count(len(labels))} classes" if labels else "A keyword spotter"
    heading += f" in {count(parameters)} parameters" if parameters is not None else ""
    name = (results.data or {}).get("name") or (results.evaluation or {}).get("data")
    words = [label.strip("_") for label in labels]
    listed = ", ".join(words[:14]) + (", ..." if len(words) > 14 else "")
    return heading, ": ".join(filter(None, [str(name) if name else "", listed])) or results.folder.name


def _banner(results: RunResults) -> str:
    if not results.synthetic:
        return ""
    return (
        '<div class="banner" role="note"><b>Synthetic demo data.</b> These clips were spoken by a speech synthesiser. '
        "The numbers show that the way works, not how well it works on people.</div>"
    )


def _missing(command: str) -> str:
    return (
        f'<p class="missing">Not in this run folder. <code>kws-dendrite {command}</code> makes it, RUN being this '
        "folder; then <code>kws-dendrite report RUN</code> again.</p>"
    )


def _facts(results: RunResults) -> dict[str, Any]:
    return {
        "trials": {p.key: front_chart.trial_facts(p, p is results.chosen) for p in results.trials},
        "curves": curves.curve_facts(results.history) if results.history else None,
    }


def embedded(value: Any) -> str:
    """JSON that can stand inside a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def content_policy(style: str, script: str) -> str:
    """The Content-Security-Policy that allows this style and this script alone, and no connection."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    allowed = f"style-src {digest(style)}; script-src {digest(script)}"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def asset(name: str) -> str:
    """A file of this package as text."""
    return resources.files("kws_dendrite.report").joinpath(name).read_text(encoding="utf-8")
