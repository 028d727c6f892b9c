"""What the nets were trained and tested on, as the report shows it."""

from collections.abc import Mapping
from html import escape
from typing import Any

from kws_dendrite.report import fields, tables
from kws_dendrite.report.wording import count, plain, title

PARTITIONS = ("train", "validation", "test")
PLACED = ("name", "labels", "clips", "classes", "notes", "skipped", "synthetic")  # shown by hand, or elsewhere


def data_section(data: Mapping[str, Any], where: str) -> str:
    """Clips by partition, facts, classes and notes of a data set's summary; keys it does not know follow as they are.

    Args:
        data: the summary; any key may be missing.
        where: the file it came from, for errors.
    """
    rest = {key: value for key, value in data.items() if key not in PLACED and value not in (None, [], {})}
    facts = {key: value for key, value in rest.items() if not isinstance(value, Mapping)}
    if isinstance(facts.get("digest"), str):
        facts["digest"] = facts["digest"][:16]  # enough to tell two data sets apart at a glance
    nested = {key: value for key, value in rest.items() if isinstance(value, Mapping)}
    listed = [str(note) for key in ("notes", "skipped") for note in _list(data.get(key))]
    parts = [
        _partitions(data, where),
        tables.definition_list([(title(str(key)), plain(value)) for key, value in facts.items()]) if facts else "",
        _classes(data, where),
    ]
    if listed:
        shown = "".join(f"<li>{escape(note)}</li>" for note in listed[:20])
        more = f"<li>and {count(len(listed) - 20)} more</li>" if len(listed) > 20 else ""
        parts.append(f"<h3>Notes</h3><ul>{shown}{more}</ul>")
    for key, value in nested.items():
        heading = escape(title(str(key)).capitalize())
        parts.append(f"<details><summary>{heading}</summary>{tables.tree(value, 4)}</details>")
    return "".join(parts)


def partition_clips(data: Mapping[str, Any]) -> dict[str, int]:
    """Clips of each partition, where the summary tells."""
    clips = data.get("clips")
    if not isinstance(clips, Mapping):
        return {}
    return {name: clips[name] for name in PARTITIONS if type(clips.get(name)) is int}


def _partitions(data: Mapping[str, Any], where: str) -> str:
    clips = partition_clips(data)
    total = sum(clips.values())
    if not total:
        return ""
    name = f"<span><b>{escape(str(data['name']))}</b>, {count(total)} clips</span> " if data.get("name") else ""
    x, bars, keys = 0.0, "", ""
    for index, (partition, value) in enumerate(clips.items()):
        width = round(1000 * value / total, 1)
        bars += f'<rect class="phase p{index}" x="{round(x, 1)}" width="{width}" height="20"/>'
        keys += f'<span class="phasekey p{index}">{escape(partition)} {count(value)}</span> '
        x += width
    return (
        f'<p class="keys">{name}{keys}</p>'
        f'<svg class="partitions" viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
    )


def _classes(data: Mapping[str, Any], where: str) -> str:
    rows = []
    for record in fields.mappings(data, "classes", where):
        clips = fields.mapping(record, "clips", where)
        counts = {name: clips.get(name) for name in PARTITIONS if name in clips}
        others = {key: value for key, value in record.items() if key not in ("label", "clips")}
        rows.append({"class": record.get("label"), **counts, **others})
    if rows:
        return f"<h3>Classes</h3>{tables.records_table(rows)}"
    labels = _list(data.get("labels"))
    chips = "".join(f'<span class="chip">{escape(str(label))}</span>' for label in labels)
    return f'<h3>Classes ({len(labels)})</h3><p class="chips">{chips}</p>' if labels else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
