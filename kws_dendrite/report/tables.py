"""The report's tables as HTML: confusion, parity, artefacts, and any settings. All text is escaped here."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kws_dendrite.report.records import Artefact, Hop, Quantised
from kws_dendrite.report.wording import UNKNOWN, count, microseconds, percent, plain, size, small, title


def scrolled(table: str, label: str) -> str:
    """A table that scrolls by itself on a narrow screen, by keyboard too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">{table}</div>'


def confusion_table(labels: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    """Rows are true classes; a cell's shade is its share of the row, in ten steps; the last column is recall."""
    heads = "".join(f'<th scope="col"><span>{escape(label)}</span></th>' for label in labels)
    body = []
    for k, (label, row) in enumerate(zip(labels, rows, strict=True)):
        total = sum(row)
        cells = "".join(_cell(value, total, k == j, label, labels[j]) for j, value in enumerate(row))
        recall = percent(row[k] / total) if total else UNKNOWN
        body.append(f'<tr><th scope="row">{escape(label)}</th>{cells}<td class="recall">{recall}</td></tr>')
    return scrolled(
        f'<table class="confusion"><thead><tr><th class="corner" scope="col">heard as →<br>true ↓</th>{heads}'
        f'<th scope="col"><span>recall</span></th></tr></thead><tbody>{"".join(body)}</tbody></table>',
        "Confusion matrix",
    )


def _cell(value: float, total: float, right: bool, true: str, heard: str) -> str:
    share = value / total if total else 0.0
    # Mistakes are rare: their shade grows with the root of the share, or none but the worst would show.
    step = round(9 * share) if right else min(9, math.ceil(9 * math.sqrt(share / 0.25)))
    kind = "right" if right else "wrong"
    hint = escape(f"{true} heard as {heard}: {count(value)} of {count(total)} ({percent(share)})")
    return f'<td class="{kind} h{step}" title="{hint}">{count(value) if value else "·"}</td>'


def parity_table(hops: Sequence[Hop]) -> str:
    """The float hops, each with its worst difference on a logarithmic bar from 1e-9 to 10 x its bound."""
    verdicts = {True: '<span class="ok">✓ inside</span>', False: '<span class="bad">✗ over</span>', None: UNKNOWN}
    body = "".join(
        f'<tr><th scope="row">{escape(hop.source)} <span class="arrow">→</span> {escape(hop.target)}</th>'
        f'<td class="n">{small(hop.worst)}</td><td class="n">{small(hop.bound)}</td><td>{verdicts[hop.passed]}</td>'
        f'<td>{_bar(hop)}</td><td class="n">{small(hop.worst_logits)}</td>'
        f'<td class="n">{percent(hop.agreement)}</td></tr>'
        for hop in hops
    )
    return scrolled(
        '<table class="parity"><thead><tr><th scope="col">hop</th><th scope="col" class="n">worst</th>'
        '<th scope="col" class="n">bound</th><th scope="col">verdict</th>'
        '<th scope="col">log scale, the tick is the bound</th><th scope="col" class="n">before softmax</th>'
        f'<th scope="col" class="n">equal decisions</th></tr></thead><tbody>{body}</tbody></table>',
        "Parity, hop by hop",
    )


def quantised_table(rows: Sequence[Quantised]) -> str:
    """int8 artefacts: accuracy beside the float graph's, and equal decisions."""
    body = []
    for row in rows:
        both = row.accuracy is not None and row.float_accuracy is not None
        change = f"{100 * (row.accuracy - row.float_accuracy):+.2f} points" if both else UNKNOWN
        body.append(
            f'<tr><th scope="row">{escape(row.name)}</th><td class="n">{percent(row.accuracy, 2)}</td>'
            f'<td class="n">{percent(row.float_accuracy, 2)}</td><td class="n">{change}</td>'
            f'<td class="n">{percent(row.agreement)}</td><td class="n">{small(row.worst)}</td></tr>'
        )
    return scrolled(
        '<table><thead><tr><th scope="col">artefact</th><th scope="col" class="n">accuracy</th>'
        '<th scope="col" class="n">float accuracy</th><th scope="col" class="n">change</th>'
        '<th scope="col" class="n">equal decisions</th><th scope="col" class="n">worst difference</th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>",
        "Quantised artefacts",
    )


def _bar(hop: Hop) -> str:
    """A bar from 1e-9 to the worst difference, the bound as a tick. 200 x 16 units."""
    if hop.worst is None or not hop.bound:
        return ""
    low, high = math.log10(1e-9), math.log10(max(hop.bound * 10, 1e-8))

    def place(value: float) -> float:
        return round(min(1.0, max(0.0, (math.log10(max(value, 1e-12)) - low) / (high - low))) * 200, 1)

    kind = "over" if hop.passed is False else "inside"
    limit = place(hop.bound)
    return (
        f'<svg class="minibar {kind}" viewBox="0 0 200 16" role="img" '
        f'aria-label="{small(hop.worst)} of {small(hop.bound)}">'
        f'<rect class="track" y="5" width="200" height="6" rx="3"/>'
        f'<rect class="fill" y="5" width="{max(3.0, place(hop.worst))}" height="6" rx="3"/>'
        f'<line class="limit" x1="{limit}" x2="{limit}" y1="1" y2="15"/></svg>'
    )


def artefact_rows(artefacts: Sequence[Artefact]) -> str:
    """Size, host latency and accuracy of each exported file, sizes and latencies with bars on a common scale."""
    largest = max((a.bytes or 0 for a in artefacts), default=0)
    slowest = max((a.median_us or 0 for a in artefacts), default=0)
    body = []
    for artefact in artefacts:
        spread = UNKNOWN
        if artefact.p10_us is not None and artefact.p90_us is not None:
            spread = f"{microseconds(artefact.p10_us)} to {microseconds(artefact.p90_us)}"
        body.append(
            f'<tr><th scope="row"><code>{escape(artefact.name)}</code></th>'
            f"<td>{escape(artefact.runtime) or UNKNOWN}</td>"
            f'<td class="n">{size(artefact.bytes)}{_share(artefact.bytes, largest)}</td>'
            f'<td class="n">{microseconds(artefact.median_us)}{_share(artefact.median_us, slowest)}</td>'
            f'<td class="n">{spread}</td><td class="n">{count(artefact.runs)}</td>'
            f'<td class="n">{percent(artefact.accuracy, 2)}</td></tr>'
        )
    return scrolled(
        '<table><thead><tr><th scope="col">artefact</th><th scope="col">runtime</th>'
        '<th scope="col" class="n">size</th>'
        '<th scope="col" class="n">host latency, median</th><th scope="col" class="n">10 to 90 %</th>'
        '<th scope="col" class="n">runs</th><th scope="col" class="n">accuracy</th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>",
        "Artefacts",
    )


def _share(value: float | None, largest: float) -> str:
    if not value or not largest:
        return ""
    width = round(100 * value / largest, 1)
    return (
        '<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width}" height="4"/></svg>'
    )


def tree(value: Mapping[str, Any], depth: int = 3) -> str:
    """Any JSON object: scalars as a list of pairs, an object of like objects as a table, others under a heading."""
    pairs, rest = [], []
    for key, item in value.items():
        nested = isinstance(item, Mapping) and item
        records = isinstance(item, list) and item and all(isinstance(entry, Mapping) for entry in item)
        (rest if nested or records else pairs).append((str(key), item))
    parts = [definition_list([(title(key), plain(item)) for key, item in pairs])] if pairs else []
    for key, item in rest:
        parts.append(f'<h{min(depth, 6)} class="sub">{escape(title(key))}</h{min(depth, 6)}>')
        parts.append(_branch(item, depth))
    return "".join(parts)


def _branch(item: Any, depth: int) -> str:
    rows = item.items() if isinstance(item, Mapping) else enumerate(item, start=1)
    rows = [(str(key), row) for key, row in rows]
    flat = all(isinstance(row, Mapping) and not any(isinstance(v, Mapping) for v in row.values()) for _, row in rows)
    if flat:
        columns = list(dict.fromkeys(key for _, row in rows for key in row))
        if len(columns) <= 8:
            return _grid(rows, columns)
    if isinstance(item, Mapping):
        return tree(item, depth + 1)
    return "".join(tree(row, depth + 1) for _, row in rows)


def _grid(rows: list[tuple[str, Mapping[str, Any]]], columns: list[str]) -> str:
    heads = "".join(f'<th scope="col" class="n">{escape(title(str(column)))}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(key)}</th>'
        + "".join(f'<td class="n">{escape(plain(row.get(column)))}</td>' for column in columns)
        + "</tr>"
        for key, row in rows
    )
    return scrolled(f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>", "Values")


def definition_list(pairs: Sequence[tuple[str, str]]) -> str:
    """Name and value, side by side."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="pairs">{items}</dl>'


def records_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A list of like objects, one a row, their keys as columns; the first column heads its row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    side = {key: "" if any(isinstance(row.get(key), str) for row in rows) else ' class="n"' for key in columns}
    heads = "".join(f'<th scope="col"{side[key]}>{escape(title(str(key)))}</th>' for key in columns)
    body = ""
    for row in rows:
        cells = [escape(plain(row.get(key))) for key in columns]
        rest = "".join(f"<td{side[key]}>{cell}</td>" for key, cell in zip(columns[1:], cells[1:], strict=True))
        body += f'<tr><th scope="row"{side[columns[0]]}>{cells[0]}</th>{rest}</tr>'
    return scrolled(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>", "Values")
