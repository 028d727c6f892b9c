"""The picture of a search: size against accuracy, as PNG or SVG."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from kws_dendrite.errors import DataError
from kws_dendrite.output import write_bytes
from kws_dendrite.report.svg import arm_order, log_ticks, padded_log
from kws_dendrite.report.trials import TrialPoint, accuracy_range, subtitle
from kws_dendrite.report.wording import tick

# Okabe and Ito (2008), "Color universal design": told apart with every common colour blindness. Its yellow is left
# out, too pale on white. A marker of its own tells each arm in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHAPES = ("o", "s", "^", "D", "v", "P")
STAMP = "synthetic demo data"


def plot_front(
    points: Sequence[TrialPoint],
    paths: Sequence[Path | str],
    *,
    dataset: str,
    clips: int | None = None,
    synthetic: bool = False,
    split: str = "validation",
) -> None:
    """Draw the trials and each arm's front; the same points give the same bytes.

    Args:
        points: trials with `arm_front` marked (`trials.points_from_trials`); accuracies 0..1.
        paths: where to, each .png or .svg.
        dataset: name of the data set, in the title.
        clips: how many clips the accuracy was measured on.
        synthetic: stamps "synthetic demo data" on the plot.
        split: which clips those were.

    Raises:
        DataError: no points, or a path that ends otherwise.
        OutputError: a path that cannot be written.
    """
    if not points:
        raise DataError("no finished trial to draw; run `kws-dendrite search` with at least one trial")
    for path in paths:
        if Path(path).suffix not in (".png", ".svg"):
            raise DataError(f"a plot is written as .png or .svg, got {path}")
    # The salt makes the ids inside an SVG repeat; text stays text, to be searched and read aloud.
    with rc_context({"svg.hashsalt": "kws-dendrite", "svg.fonttype": "none", "font.family": "DejaVu Sans"}):
        figure = _figure(points, dataset, clips, synthetic, split)
        for path in paths:
            kind = Path(path).suffix[1:]
            content = io.BytesIO()
            empty = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(content, format=kind, dpi=160, metadata=empty)
            write_bytes(path, content.getvalue())


def _figure(points: Sequence[TrialPoint], dataset: str, clips: int | None, synthetic: bool, split: str) -> Figure:
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, arm in enumerate(arm_order({point.arm for point in points})):
        _draw_arm(axes, [point for point in points if point.arm == arm], index, arm)
    _frame(axes, points)
    axes.set_xlabel(f"{points[0].axis} (log scale)")
    axes.set_ylabel(f"{split.capitalize()} accuracy (%)")
    title = "\n".join(textwrap.wrap(f"{dataset}: accuracy against size", 70))
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
    axes.set_title(subtitle(points, clips, split), loc="left", fontsize=9, color="#555555")
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none")
    if synthetic:
        axes.text(
            0.015, 0.975, STAMP.upper(), transform=axes.transAxes, ha="left", va="top", fontsize=11,
            fontweight="bold", color="#5c4400", zorder=6,
            bbox={"boxstyle": "round,pad=0.45", "facecolor": "#ffe9a8", "edgecolor": "#c99a00"},
        )  # fmt: skip
    return figure


def _draw_arm(axes: Axes, points: list[TrialPoint], index: int, arm: str) -> None:
    colour, shape = COLOURS[index % len(COLOURS)], SHAPES[index % len(SHAPES)]
    front = sorted((point for point in points if point.arm_front), key=lambda point: point.size)
    rest = [point for point in points if not point.arm_front]
    axes.scatter(
        [p.size for p in rest], [100 * p.accuracy for p in rest],
        s=22, marker=shape, color=colour, alpha=0.35, linewidths=0, zorder=2,
    )  # fmt: skip
    barred = [point for point in front if point.interval]
    for point in barred:
        low, high = point.interval
        axes.plot([point.size] * 2, [100 * low, 100 * high], color=colour, alpha=0.55, lw=1.3, zorder=3)
    # Steps: between two sizes nothing better was found than at the smaller one.
    axes.plot(
        [p.size for p in front], [100 * p.accuracy for p in front],
        drawstyle="steps-post", color=colour, marker=shape, ms=7, mec="white", mew=0.8, lw=1.8, label=arm, zorder=4,
    )  # fmt: skip


def _frame(axes: Axes, points: Sequence[TrialPoint]) -> None:
    sizes = [point.size for point in points]
    left, right = padded_log(min(sizes), max(sizes))
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(left, right, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(*(100 * value for value in accuracy_range(points)))
    axes.grid(color="#dddddd", lw=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
