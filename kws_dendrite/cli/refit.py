"""`kws-dendrite refit`: the front of a search trained again with fresh seeds; its test clips read once, after that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs, searched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from kws_dendrite.cli.searched import SearchData, Searched
    from kws_dendrite.search.refit import Refit, RefitPlan
    from kws_dendrite.search.refitted import Refitted

MembersOption = Annotated[int, typer.Option(min=5, help="P, fresh seeds a net.")]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Of every net, in all; as many as the search spent on it unless given.")
]


def refit(
    folder: searched.FolderArgument,
    members: MembersOption = 5,
    epochs: EpochsOption = None,
    read_test: Annotated[
        bool, typer.Option("--read-test", help="When every net is finished, score them all on the test clips, once.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Read the test clips once more, for nets that came later; front.json says so."),
    ] = False,
    data: searched.DataAgainOption = None,
    storage: searched.StorageOption = None,
    cache: inputs.CacheOption = inputs.DEFAULT_CACHE,
    as_json: inputs.JsonOption = False,
) -> None:
    """Train a search's front again with fresh seeds.

    The best of many trials is good by luck, too; the same nets with fresh seeds are not. The same command resumes;
    several may run side by side. Writes front.json and the nets in front/.
    """
    from rich.console import Console

    from kws_dendrite.cli.search import net_to_ship
    from kws_dendrite.errors import ConfigError

    if again and not read_test:
        raise ConfigError("--again allows another reading of the test clips; give it with --read-test")
    console = Console(stderr=True)
    found = searched.open_searched(folder, storage)
    value = refit_front(
        found, found.data(data, cache, console), members, epochs, console, read_test=read_test, again=again
    )
    if as_json:
        print(json.dumps({"folder": str(folder), **value}, allow_nan=False))
        return
    show_front(value, Console())
    print(f"{folder}/front.json, {folder}/front")
    print(net_to_ship(folder))


def refit_front(
    found: Searched,
    data: SearchData,
    members: int,
    epochs: int | None,
    console: Console,
    *,
    read_test: bool = False,
    again: bool = False,
) -> dict[str, Any]:
    """Train what is left of the front again, read the test clips if asked for, and write front.json; its value.

    Raises:
        ConfigError: no finished trial, a front that was refitted another way, or test clips that were read before.
        DataError: a net failed, the data are not there or others.
    """
    from kws_dendrite.errors import ConfigError
    from kws_dendrite.search.refit import plans_of

    plans = plans_of(found.results, found.settings["seed"], members, epochs)
    if not plans:
        raise ConfigError(f"the search in {found.folder} has no finished trial yet; refit it when it has")
    work = train_points(found, data, plans, console)
    if read_test:
        read_points(work, data, again, console)
    return write_summary(found, {plan.name for plan in plans})


def train_points(found: Searched, data: SearchData, plans: Sequence[RefitPlan], console: Console) -> Refit:
    """Train points with a bar; what failed is said, and an error at the end."""
    from kws_dendrite.errors import DataError, KwsDendriteError
    from kws_dendrite.search.refit import Refit

    work = Refit(found.folder, plans, data.bank, found.objective, found.limits)
    failed: list[str] = []
    left = work.left()
    if left:
        data.check()
    done = len(plans) - len(left)
    with inputs.bar(console) as progress:
        bar = progress.add_task("refit", total=len(plans), completed=done)
        row = progress.add_task("", total=None, visible=False)

        def on_epoch(plan: RefitPlan, record: Any) -> None:
            accuracy = sum(record.validation_accuracy) / len(record.validation_accuracy)
            text = f"{plan.name} · {record.phase} · validation {accuracy:.1%}"
            progress.update(row, description=text, completed=record.epoch + 1, total=plan.planned, visible=True)

        def on_point(point: Refitted) -> None:
            nonlocal done
            done += 1
            inputs.say(
                console,
                f"{point.name}: {max(point.parameters):,} parameters, validation accuracy {point.mean_accuracy:.1%} "
                f"of {point.members} fresh seeds, {point.said['accuracy']:.1%} in the search "
                f"({done} of {len(plans)}, {point.seconds:.0f} s)",
            )
            progress.update(bar, completed=done)

        def on_failure(plan: RefitPlan, error: KwsDendriteError) -> None:
            failed.append(plan.name)
            inputs.say(console, f"{plan.name} failed: {error}")

        try:
            elsewhere = work.run(on_point, on_epoch, on_failure)
        except KeyboardInterrupt:
            inputs.say(console, f"{done} of {len(plans)} nets are finished; the same command goes on")
            raise
    if elsewhere:
        inputs.say(console, f"other processes are at work on {', '.join(plan.name for plan in elsewhere)}")
    if failed:
        raise DataError(f"{len(failed)} net(s) failed: {', '.join(failed)}; the rest is kept, see above")
    return work


def read_points(work: Refit, data: SearchData, again: bool, console: Console) -> None:
    """Score every point of the refit on the test clips, float and int8.

    Raises:
        ConfigError: a point is not finished, or the test partition was read before and `again` is not given.
    """
    from kws_dendrite.errors import ConfigError
    from kws_dendrite.study.reading import read_test

    left = work.left()
    if left:
        raise ConfigError(
            f"the test partition is read once, when every net of the front is finished; {len(left)} are not, such as "
            f"{left[0].name}"
        )
    points = [work.finished(plan) for plan in work.plans]
    source = data.source()
    if inputs.holds_arrays(data.where):
        source.test(None)  # says that there is none, before a reading is put on record
    with inputs.bar(console) as progress:
        bar = progress.add_task("reading the test clips", total=len(points))
        read_test(work.store.folder, work.store, points, source, again=again, on_row=lambda *_: progress.advance(bar))


def write_summary(found: Searched, planned: set[str]) -> dict[str, Any]:
    """front.json, of all that is finished and was read; its value. `planned` are the names of the front's points."""
    from kws_dendrite.search.refit_front import write_front
    from kws_dendrite.search.refitted import RefitStore
    from kws_dendrite.study.reading import TestRecord, summary

    store = RefitStore(found.folder)
    record = TestRecord(store.folder)
    readings = summary(record.readings())
    numbers = {(trial.arm, trial.slot): trial.number for trial in found.results}
    return write_front(
        found.folder,
        objective=found.objective,
        planned=len(planned | {point.name for point in store.all()}),
        scores=record.scores,
        readings=readings,
        numbers=numbers,
    )


def show_front(value: dict[str, Any], console: Console) -> None:
    """The refitted front as a table, and in words what came of it."""
    from kws_dendrite.cli.refit_table import front_lines, refit_table

    console.print(refit_table(value))
    for line in front_lines(value):
        inputs.say(console, line)
