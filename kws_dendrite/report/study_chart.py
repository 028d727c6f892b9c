"""A study in two pictures: accuracy against parameters and multiplications, and differences at equal size."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from kws_dendrite.output import write_bytes
from kws_dendrite.report.svg import log_ticks, padded_log
from kws_dendrite.report.wording import tick

# Okabe and Ito (2008), as in the front's picture; controls are grey, so that colour is what a study is about.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B4513", "#4B0082")
GREYS = ("#111111", "#555555", "#7a7a7a", "#999999", "#b0b0b0")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
SHAPES = ("o", "s", "^", "D", "v", "P", "X")  # one fewer than colours, so that no pair comes again soon
LEGEND = 170  # characters on a line of the legend
Values = Mapping[str, Any]


def draw_accuracy(results: Values, kind: str = "png") -> bytes:
    """Accuracy against folded parameters and against MACs, a line an arm with its 95 % band over seeds."""
    with rc_context({"svg.hashsalt": "kws-dendrite", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(12, 5.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, key, label in (
            (left, "parameters", "folded parameters (log scale)"),
            (right, "macs", "thousand multiply-accumulates a clip (log scale)"),
        ):
            _panel(axes, results, key)
            axes.set_xlabel(label)
        left.set_ylabel(f"{results['measured_on']} accuracy (%)")
        low, high = left.get_ylim()  # a t interval of few seeds may leave what an accuracy can be
        left.set_ylim(max(0, low), min(100, high))
        handles, labels = left.get_legend_handles_labels()
        columns = max(1, min(4, LEGEND // (max(map(len, labels)) + 8)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
        return _rendered(figure, kind)


def draw_differences(results: Values, kind: str = "png") -> bytes:
    """Each arm minus the best plain net of its size: a thick interval over seeds, a thin one over seeds and clips."""
    chosen = strict(results)
    with rc_context({"svg.hashsalt": "kws-dendrite", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(10, max(2.4, 0.32 * len(chosen) + 0.45 * len(_sizes(chosen)) + 1.2)))
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        colours = styles(results)
        place, places, names, heads = 0.0, [], [], []  # a line an arm, going down
        for size in _sizes(chosen):
            here = [one for one in chosen if one["size"] == size]
            heads.append((place - 0.75, f"{size:,} parameters, against {here[0]['against_title']}"))
            for one in here:
                _bar(axes, one, place, colours[one["arm"]]["color"])
                places.append(place)
                names.append(one["title"])
                place += 1
            place += 1.1
        axes.axvline(0, color="#333333", lw=1)
        axes.set_yticks(places, names, fontsize=9)
        axes.set_ylim(place - 1.5, -1.4)
        for at, text in heads:
            axes.text(0.005, at, text, transform=axes.get_yaxis_transform(), fontsize=9, color="#444444", va="center")
        axes.set_xlabel(f"points of {results['measured_on']} accuracy over the best plain net of the size")
        axes.grid(axis="x", color="#dddddd", lw=0.7)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return _rendered(figure, kind)


def write_pictures(results: Values, folder: Path | str) -> list[Path]:
    """study.png and, where there is something to compare, study_differences.png."""
    folder = Path(folder)
    paths = [folder / "study.png"]
    write_bytes(paths[0], draw_accuracy(results))
    if strict(results):
        paths.append(folder / "study_differences.png")
        write_bytes(paths[1], draw_differences(results))
    return paths


def strict(results: Values) -> list[Values]:
    """Of each arm that a study is about and each size the comparison with the best plain net."""
    controls = {row["arm"] for row in results["rows"] if row["control"]}
    chosen: dict[tuple[str, int], Values] = {}
    for one in results["comparisons"]:
        if one["reference"] == "base" or one["arm"] in controls:
            continue
        key = one["arm"], one["size"]
        if key not in chosen or one["reference"] == "best plain":
            chosen[key] = one
    best = results["best_plain"]
    return [one for one in chosen.values() if best.get(str(one["size"])) == one["against"]]


def styles(results: Values) -> dict[str, dict[str, Any]]:
    """Colour, dash and marker of every arm, by the order in which the study has them: the same in every picture."""
    found: dict[str, dict[str, Any]] = {}
    grown = controls = 0
    for row in results["rows"]:
        if row["arm"] in found or row["base_of"]:
            continue
        if row["control"]:
            look = {"color": GREYS[controls % len(GREYS)], "ls": DASHES[controls % len(DASHES)]}
            controls += 1
        else:
            look = {"color": COLOURS[grown % len(COLOURS)], "ls": "none" if row["published"] else "-"}
            grown += 1
        found[row["arm"]] = look | {"marker": SHAPES[len(found) % len(SHAPES)]}
    return found


def _panel(axes: Axes, results: Values, key: str) -> None:
    unit = 1000 if key == "macs" else 1
    values = [row[key] / unit for row in results["rows"] if not row["base_of"]]
    for arm, look in styles(results).items():
        rows = sorted((row for row in results["rows"] if row["arm"] == arm), key=lambda row: row[key])
        x = [row[key] / unit for row in rows]
        y = [100 * row["accuracy"] for row in rows]
        axes.plot(x, y, label=rows[0]["title"], lw=1.6, ms=5.5, mec="white", mew=0.6, zorder=3, **look)
        banded = [row for row in rows if row["interval"]]
        if len(banded) > 1 and look["ls"] != "none":
            low, high = ([100 * row["interval"][end] for row in banded] for end in (0, 1))
            axes.fill_between(
                [row[key] / unit for row in banded], low, high, color=look["color"], alpha=0.1, lw=0, zorder=1
            )
        for row in banded:
            low, high = row["interval"]
            axes.plot([row[key] / unit] * 2, [100 * low, 100 * high], color=look["color"], lw=1, alpha=0.6, zorder=2)
    low, high = padded_log(min(values), max(values))
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low, high, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="#dddddd", lw=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _bar(axes: Axes, one: Values, place: float, colour: str) -> None:
    for found, width in ((one["both"], 1.2), (one["seeds"], 4.0)):
        if found:
            low, high = found["interval"]
            axes.plot([100 * low, 100 * high], [place, place], color=colour, lw=width, solid_capstyle="butt", zorder=2)
    axes.plot([100 * one["mean"]], [place], marker="o", ms=7, color=colour, mec="white", mew=1, zorder=3)


def _sizes(comparisons: Sequence[Values]) -> list[int]:
    return sorted({one["size"] for one in comparisons})


def _rendered(figure: Figure, kind: str) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return content.getvalue()
