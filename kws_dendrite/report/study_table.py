"""A study's results as Markdown tables, ready for a documentation page."""

from collections.abc import Mapping, Sequence
from typing import Any

from kws_dendrite.report.wording import UNKNOWN, duration

Values = Mapping[str, Any]
PAPER = "The paper's protocol beside this one"


def markdown(results: Values) -> str:
    """The whole account: what was measured on what, verdicts, and every table."""
    parts = [f"# {heading(results)}", "", under(results), "", f"**{results['conclusion']}**", ""]
    parts += [f"* {line}" for line in results["verdicts"].values()]
    for title, text, (heads, rows) in sections(results):
        if rows:
            parts += ["", f"## {title}", "", text, "", table(heads, rows)]
    return "\n".join(parts).rstrip() + "\n"


def heading(results: Values) -> str:
    """One line."""
    sizes = sorted({row["size"] for row in results["rows"] if not row["published"]})
    arms = len({row["arm"] for row in results["rows"] if not row["base_of"]})
    listed = ", ".join(f"{size:,}" for size in sizes)
    return f"{arms} arms at {listed} parameters" if sizes else f"{arms} published nets"


def under(results: Values) -> str:
    """What it was measured on, in sentences."""
    made = results["made_of"]
    members, clips = results["members"], results["clips"]
    seeds = f"P = {members} seeds an arm, paired" if members > 1 else "one seed an arm, so no interval over seeds"
    text = (
        f"{made.get('name')}, {len(made.get('labels', []))} classes. Accuracy on {clips:,} {results['measured_on']} "
        f"clips, {seeds}; {made['recipe']['epochs']} epochs each, over all cycles and candidate phases, the best "
        "validation epoch kept."
    )
    return f"{text} {reading_note(results)}"


def reading_note(results: Values) -> str:
    """When the test partition was read, and whether more than once."""
    times, later = results["readings"]["times"], results["readings"]["later"]
    if results["measured_on"] != "test":
        return "The test partition has not been read for these rows; validation chose the epochs, so this is no result."
    if len(times) == 1:
        return f"The test partition was read once, on {times[0]}."
    listed = ", ".join(later)
    return f"The test partition was read {len(times)} times, last on {times[-1]}; rows that came later: {listed}."


def sections(results: Values) -> list[tuple[str, str, tuple[list[str], list[list[str]]]]]:
    """(heading, explanation, (column heads, rows)) of every table; without rows where there is nothing to say."""
    measured = results["measured_on"]
    return [
        (
            "Accuracy",
            f"Mean {measured} accuracy with its 95 % t interval over seeds, and over seeds and clips; parameters and "
            "multiplications of the folded nets, mean over members; growth steps kept of those tried.",
            accuracy_rows(results),
        ),
        (
            "Differences at equal size",
            "An arm with dendrites starts from a narrower net; the plain net of its size is the same budget spent on "
            "width. Points of accuracy, arm minus reference, paired by seed. Three 95 % intervals: over seeds (t), "
            "over clips (bootstrap), over both (crossed random effects); where speakers are known, their clips stay "
            f"together. p values are two-sided and corrected by Holm's method for all {len(results['comparisons'])} "
            "comparisons. The best plain net of a size is the control with the best validation accuracy.",
            comparison_rows(results),
        ),
        (
            "Parameters at equal accuracy",
            "How many folded parameters a plain net needs for the arm's accuracy, read off the plain nets' curve (made "
            "non-decreasing, linear in the logarithm of the parameters). The factor is theirs over the arm's: above 1 "
            "the arm saves parameters. The gain is the arm's accuracy minus the curve's at the arm's own parameters. "
            "Intervals are bootstrapped over seeds and clips.",
            compression_rows(results),
        ),
        (
            "int8 beside float",
            "Accuracy of the int8 TFLite files of the same members on the same clips, and the change with its interval "
            "over seeds and clips.",
            int8_rows(results),
        ),
        (
            PAPER,
            paper_text(results),
            paper_rows(results),
        ),
        (
            "Time spent",
            "Of training, all members together.",
            time_rows(results),
        ),
    ]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; all columns but the first are to the right."""
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    return "\n".join(lines + [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows])


def accuracy_rows(results: Values) -> tuple[list[str], list[list[str]]]:
    """A line a row of the study."""
    heads = ["arm", "size", "folded parameters", "MACs / 1,000", "accuracy %", "95 % over seeds", "over both", "kept"]
    rows = []
    for row in results["rows"]:
        kept = f"{row['growth_kept']} of {row['growth_tried']}" if row["growth_tried"] else ""
        rows.append(
            [
                row["title"],
                f"{row['size']:,}",
                f"{row['parameters']:,.0f}",
                f"{row['macs'] / 1000:,.0f}",
                f"{100 * row['accuracy']:.2f}",
                span(row["interval"]),
                span(row.get("both_interval")),
                kept,
            ]
        )
    return heads, rows


def comparison_rows(results: Values) -> tuple[list[str], list[list[str]]]:
    """A line a comparison."""
    heads = ["arm", "size", "against", "difference", "over seeds", "over clips", "over both", "p seeds", "p both"]
    rows = []
    for one in results["comparisons"]:
        name = {"plain": "", "best plain": "best plain: ", "base": ""}[one["reference"]] + one["against_title"]
        rows.append(
            [
                one["title"],
                f"{one['size']:,}",
                name,
                f"{100 * one['mean']:+.2f}",
                difference(one["seeds"]),
                difference(one["clips"]),
                difference(one["both"]),
                p_value(one["corrected_seeds"]),
                p_value(one["corrected_both"]),
            ]
        )
    return heads, rows


def compression_rows(results: Values) -> tuple[list[str], list[list[str]]]:
    """A line an arm, a size and a curve."""
    heads = ["arm", "size", "curve of", "parameters", "plain needs", "factor", "95 %", "gain at own size", "95 %"]
    rows = []
    for one in results["compression"]:
        gain = UNKNOWN if one["gain"] is None else f"{100 * one['gain']:+.2f}"
        rows.append(
            [
                one["title"],
                f"{one['size']:,}",
                one["reference"],
                f"{one['parameters']:,.0f}",
                beyond(one["plain_parameters"], "{:,.0f}"),
                beyond(one["factor"], "{:.2f}"),
                UNKNOWN
                if one["interval"] is None
                else f"[{beyond(one['interval'][0], '{:.2f}')}, {beyond(one['interval'][1], '{:.2f}')}]",
                gain,
                difference({"interval": one["gain_interval"]} if one["gain_interval"] else None),
            ]
        )
    return heads, rows


def int8_rows(results: Values) -> tuple[list[str], list[list[str]]]:
    """A line a row that was read on test."""
    heads = ["arm", "size", "float %", "int8 %", "change", "95 %"]
    rows = []
    for row in results["rows"]:
        if "int8_accuracy" not in row:
            continue
        rows.append(
            [
                row["title"],
                f"{row['size']:,}",
                f"{100 * row['accuracy']:.2f}",
                f"{100 * row['int8_accuracy']:.2f}",
                f"{100 * row['int8_change']:+.2f}",
                difference({"interval": row["int8_interval"]} if row.get("int8_interval") else None),
            ]
        )
    return heads, rows


def paper_text(results: Values) -> str:
    """What the paper's protocol is, and how many trials were run of it."""
    if not results["paper"]:
        return ""
    one = results["paper"][0]
    return (
        f"One seed; of {one['trials']} trials an arm the best on {one['clips']} validation clips, read on "
        f"{one['clips']} test clips; dendrites add parameters to the net and cycles to its training. Its difference is "
        "what would have been published. Beside it the same two nets on other draws of as many test clips: the range "
        "of 95 % of them and how often the dendrites would have come out ahead. Then this study's own arms: their "
        "difference over all seeds and clips, and what one seed and that few clips would have shown of it."
    )


def paper_rows(results: Values) -> tuple[list[str], list[list[str]]]:
    """A line an arm and a size."""
    heads = [
        "arm", "size", "parameters, plain", "epochs, plain", "test %, plain", "difference", "in clips",
        "other clips, 95 %", "ahead", "this study", "one seed, few clips, 95 %", "ahead",
    ]  # fmt: skip
    rows = []
    for one in results["paper"]:
        honest = one["honest"]
        rows.append(
            [
                f"{one['arm']} dendrites",
                f"{one['size']:,}",
                f"{one['parameters'][0]:,.0f}, {one['parameters'][1]:,.0f}",
                f"{one['epochs'][0]}, {one['epochs'][1]}",
                f"{100 * one['test'][0]:.1f}, {100 * one['test'][1]:.1f}",
                f"{100 * one['difference']:+.1f}",
                f"{one['difference_clips']:+d}",
                difference(one["other_clips"]),
                f"{one['other_clips']['better']:.0%}",
                UNKNOWN if honest is None else f"{100 * honest['difference']:+.2f}",
                UNKNOWN if honest is None else difference(honest["one_seed"]),
                UNKNOWN if honest is None else f"{honest['one_seed']['better']:.0%}",
            ]
        )
    return heads, rows


def time_rows(results: Values) -> tuple[list[str], list[list[str]]]:
    """A line a row."""
    heads = ["arm", "size", "epochs of training", "of candidates, probes", "time", "CPU time"]
    rows = [
        [
            row["title"],
            f"{row['size']:,}",
            str(row["epochs"]),
            str(row.get("candidate_epochs") or ""),
            duration(row["seconds"]),
            duration(row["cpu_seconds"]),
        ]
        for row in results["rows"]
    ]
    return heads, rows


def span(interval: Sequence[float] | None) -> str:
    """An interval in percent."""
    return UNKNOWN if interval is None else f"[{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"


def difference(found: Values | None) -> str:
    """The interval of a difference in points."""
    if found is None or found["interval"] is None:
        return UNKNOWN
    low, high = found["interval"]
    return f"[{100 * low:+.2f}, {100 * high:+.2f}]"


def p_value(value: float | None) -> str:
    """Three decimals, or below the last."""
    if value is None:
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def beyond(value: float | str, pattern: str) -> str:
    """A number, or that it lies beyond the plain curve."""
    if isinstance(value, str):
        return {"below": "below all", "above": "above all"}[value]
    return pattern.format(value)
