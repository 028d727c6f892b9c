"""A search as it is seen while it runs: a screen drawn from the trials' records, lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kws_dendrite.report.search_summary import (
    Plan,
    best_by_size,
    counts,
    done,
    plan_from,
    reasons,
    saving,
    time_left,
)
from kws_dendrite.report.search_trials import ENDED, SearchTrial, Spot, read_trials, the_front
from kws_dendrite.report.trials import PARAMETERS
from kws_dendrite.report.wording import count, percent, percent_range, tick

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

COLOURS = {"plain": "cyan", "growth": "green", "gradient": "magenta", "perforated": "yellow"}
STATE_COLOURS = {
    "complete": "green",
    "stopped": "yellow",
    "running": "cyan",
    "skipped": "bright_black",
    "failed": "red",
}
SIDE_BY_SIDE = 132  # columns from which on the front and the best at each size stand side by side


class SearchScreen:
    """Open it around a search and give `show` the records whenever they changed.

        with SearchScreen(console, settings) as screen:
            while searching:
                screen.show(records)

    On a terminal it is drawn in place; anywhere else each trial that ends is a line.

    Args:
        console: to draw on.
        settings: search.json; "workers" (how many train) may be with it.
        clock: seconds that never step.
    """

    def __init__(
        self, console: Console, settings: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console, self.clock = console, clock
        self.plan = plan_from(settings)
        self.workers = settings.get("workers") if isinstance(settings.get("workers"), int) else None
        self.live: Live | None = None
        self.opened: tuple[float, float] | None = None  # clock and work done at the first look
        self.told: set[str] | None = None  # trials whose end was said, None before the first look

    def __enter__(self) -> SearchScreen:
        from rich.live import Live

        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def show(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Draw the trials as they are now."""
        # A curve is looked at while its trial runs; those of hundreds that ended would be most of the work.
        trials = read_trials([r if r.get("state") == "running" else {**r, "curve": []} for r in records])
        left = self._left(trials)
        if self.live:
            width, height = self.console.size
            self.live.update(screen(trials, self.plan, left, width, height), refresh=True)
        else:
            for text in self._news(trials, left):
                self.console.print(text, markup=False, highlight=False, soft_wrap=True)
            self.told = {trial.key for trial in trials if trial.state in ENDED}

    def _news(self, trials: Sequence[SearchTrial], left: float | None) -> list[str]:
        if self.told is not None:
            return lines(trials, self.told, self.plan, left)
        ended = sum(trial.state in ENDED for trial in trials)
        total = f" of {self.plan.total}" if self.plan.total else ""
        return [f"{ended}{total} trials ended before"] if ended else []

    def _left(self, trials: Sequence[SearchTrial]) -> float | None:
        now, work = self.clock(), done(trials, self.plan.epochs)
        if self.opened is None:
            self.opened = (now, work)
        start, before = self.opened
        return time_left(trials, self.plan, work - before, now - start, self.workers)


def lines(trials: Sequence[SearchTrial], before: set[str], plan: Plan, left: float | None) -> list[str]:
    """A line for each trial that ended and is not in `before`, and the time left after the last."""
    ended = [trial for trial in trials if trial.state in ENDED]
    new = [trial for trial in ended if trial.key not in before]
    if not new:
        return []
    total = f" of {plan.total}" if plan.total else ""
    told = [f"trial {trial.key} ({trial.arm}): {outcome(trial, plan)}" for trial in new]
    remaining = f", about {about(left)} left" if left else ""
    return [*told[:-1], f"{told[-1]}; {len(ended)}{total} ended{remaining}"]


def outcome(trial: SearchTrial, plan: Plan) -> str:
    """What came of a trial, in a clause."""
    if trial.state == "failed":
        return f"failed, {trial.why or 'no reason was written'}"
    if trial.state == "stopped":
        return f"stopped after epoch {count(trial.epoch)}, {trial.why or 'no reason was written'}"
    if not trial.spots:
        return "complete"
    spot = max(trial.spots, key=lambda s: (s.merit, -s.size))
    size = f"{spot.parameters:,} parameters"
    if plan.label != PARAMETERS:
        size += f", {plan.label[0].lower()}{plan.label[1:]} {tick(spot.size)}"
    grown = f", {spot.dendrites} dendrite{'s' * (spot.dendrites > 1)}" if spot.dendrites else ""
    return f"{size}{grown}, validation accuracy {spot.accuracy:.1%}"


def screen(
    trials: Sequence[SearchTrial], plan: Plan, left: float | None = None, width: int = 100, height: int = 50
) -> RenderableType:
    """The whole picture, from the records alone.

    Args:
        left: seconds, None where nobody knows yet.
        width, height: columns and lines that there are; what does not fit is left out with a word, the front last.
    """
    from rich.console import Group
    from rich.padding import Padding

    tables = _fitting(trials, plan, width, height - 6)
    parts: list[RenderableType] = [_heading(trials, plan, left, width), _counts(trials)]
    return Group(*parts, *(Padding(table, (1, 0, 0, 0)) for table in tables))


def _fitting(trials: Sequence[SearchTrial], plan: Plan, width: int, room: int) -> list[Table]:
    """The tables, as far as `room` lines hold them: what runs first, then the front, the best, the reasons."""
    from rich.table import Table

    frame = 4  # a table's title, head, rule, and the empty line before it
    running = _running(trials, plan, 8 if room > 40 else 3) if room > 14 else None
    room -= running.row_count + frame if running else 0
    why = _reasons(trials, max(2, min(6, room // 6))) if room > 20 else None
    room -= why.row_count + frame - 2 if why else 0
    wanted = len(best_by_size(trials))
    if width >= SIDE_BY_SIDE + (0 if plan.label == PARAMETERS else len(plan.label)):
        results = Table.grid(padding=(0, 4))
        results.add_row(_front(trials, plan, max(2, room - frame)), _best(trials, plan, max(2, room - frame)))
        return [table for table in (running, results, why) if table]
    best = _best(trials, plan, wanted) if room >= wanted + 2 * frame + 4 else None
    room -= best.row_count + frame if best else 0
    front = _front(trials, plan, max(2, room - frame), intervals=width >= 76)
    return [table for table in (running, front, best, why) if table]


def _heading(trials: Sequence[SearchTrial], plan: Plan, left: float | None, width: int) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    ended = sum(trial.state in ENDED for trial in trials)
    grid = Table.grid(padding=(0, 2))
    total = plan.total or max(1, len(trials))
    words = Text.assemble(("search", "bold"), f" {plan.name}" if plan.name else "")
    arms = ", ".join(plan.arms)
    each = "trials each of" if len(plan.arms) > 1 else "trials,"
    made = [f"{plan.trials} {each} {arms}" if plan.trials and arms else arms]
    made.append(f"{plan.epochs} epochs" if plan.epochs else "")
    made.append(f"P = {plan.members}" if plan.members else "")
    words.append(f"  {' · '.join(filter(None, made))}", "bright_black")
    rest = "all trials have ended" if left == 0 else f"about {about(left)} left" if left else "time left: not known yet"
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(
            total, min(total, done(trials, plan.epochs)), width=max(10, min(50, width - 45)), complete_style="cyan"
        ),
        Text(f"{ended:,} of {total:,}", "bold"),
        Text(rest),
    )
    grid.add_row(words)
    grid.add_row(bar)
    return grid


def _counts(trials: Sequence[SearchTrial]) -> RenderableType:
    from rich.text import Text

    text = Text()
    saved = saving(trials)
    for state, n in counts(trials).items():
        if not n and state in ("skipped", "failed", "stopped"):
            continue
        name = {"complete": "done", "skipped": f"draw{'s' * (n != 1)}\u00a0skipped"}.get(state, state)
        text.append(f"{n:,}\u00a0{name}", STATE_COLOURS.get(state, ""))
        if state == "stopped":
            text.append(f" (saved {saved.share:.0%} of the epochs)", "bright_black")
        text.append("   ")
    return text


def _table(title: str, *columns: tuple[str, str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.show_edge = False
    for name, side in columns:
        table.add_column(name, justify=side, no_wrap=True, header_style="bright_black")
    return table


def _running(trials: Sequence[SearchTrial], plan: Plan, most: int) -> Table | None:
    now = [trial for trial in trials if trial.state == "running"]
    if not now:
        return None
    table = _table(
        "Running", ("trial", "right"), ("arm", "left"), ("epoch", "right"), ("accuracy", "right"), ("worker", "left")
    )
    for trial in now[:most]:
        epochs = trial.epochs or plan.epochs
        table.add_row(
            trial.key,
            _arm(trial.arm),
            f"{count(trial.epoch or 0)} of {count(epochs)}" if epochs else count(trial.epoch or 0),
            percent(trial.accuracy_so_far),
            _plain(trial.worker),
        )
    if len(now) > most:
        table.add_row("", f"and {len(now) - most} more")
    return table


def _front(trials: Sequence[SearchTrial], plan: Plan, most: int, intervals: bool = True) -> Table:
    spots, shown = the_front(trials), most
    heads = [("parameters", "right"), ("accuracy", "right")]
    heads += [("95 % over seeds", "right")] if intervals else []
    heads += [("arm", "left"), ("dendrites", "right"), ("trial", "right")]
    if plan.label != PARAMETERS:
        heads.insert(0, (plan.label.split(",")[0], "right"))
    title = "Front so far, validation accuracy" + (f" (P = {plan.members})" if plan.members else "")
    table = _table(title, *heads)
    if len(spots) > most:
        shown = most - 1
        table.add_row(f"{len(spots) - shown} smaller")
    for spot in spots[len(spots) - min(shown, len(spots)) :]:
        cells = [count(spot.parameters), percent(spot.accuracy)]
        cells += [percent_range(spot.interval)] if intervals else []
        cells += [_arm(spot.arm), "" if spot.dendrites is None else str(spot.dendrites), str(spot.trial)]
        if plan.label != PARAMETERS:
            cells.insert(0, tick(spot.size))
        table.add_row(*cells)
    if not spots:
        table.add_row("none yet")
    return table


def _best(trials: Sequence[SearchTrial], plan: Plan, most: int) -> Table:
    table = _table(
        f"Best at each size, {plan.label[0].lower()}{plan.label[1:]}",
        ("size", "right"), ("accuracy", "right"), ("arm", "left"), ("dendrites", "right"), ("trial", "right"),
    )  # fmt: skip
    for found in best_by_size(trials)[-most:]:
        spot: Spot = found.leader
        grown = "" if spot.dendrites is None else str(spot.dendrites)
        table.add_row(found.words, percent(spot.accuracy), _arm(spot.arm), grown, str(spot.trial))
    return table


def _reasons(trials: Sequence[SearchTrial], most: int) -> Table | None:
    from rich.text import Text

    found = [(state, why, n) for state in ("failed", "skipped", "stopped") for why, n in reasons(trials, state)]
    if not found:
        return None
    table = _table("Failed, skipped, stopped, and why", ("", "left"), ("", "left"))
    table.show_header = False
    table.columns[0].min_width = 13
    for state, why, n in found[:most]:
        table.add_row(Text(f"{n:>5,} {state}", STATE_COLOURS[state]), Text(why))
    if len(found) > most:
        table.add_row(f"{sum(n for _, _, n in found[most:]):>5,}", "for other reasons")
    return table


def _arm(arm: str) -> RenderableType:
    from rich.text import Text

    return Text(arm, COLOURS.get(arm, ""))


def _plain(words: str) -> RenderableType:
    """Words as they are: nothing in them is markup."""
    from rich.text import Text

    return Text(words)


def about(seconds: float) -> str:
    """A time that is not known to the second: "40 s", "12 min", "3 h 20 min", "2 days 4 h"."""
    if seconds < 60:
        return f"{max(10, 10 * round(seconds / 10))} s" if seconds < 55 else "1 min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {5 * (minutes // 5)} min" if minutes >= 5 else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} day{'s' * (days > 1)} {hours} h" if hours else f"{days} day{'s' * (days > 1)}"
