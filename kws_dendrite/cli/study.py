"""`kws-dendrite study`: the referee. Arms of equal folded size and equal training, paired seeds, one test reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.study.protocol_paper import PaperConfig
    from kws_dendrite.study.rows import Row, RowPlan
    from kws_dendrite.study.runner import Study
    from kws_dendrite.study.source import Source


def study(
    data: inputs.DataArgument,
    out: Annotated[Path, typer.Option(help="Folder of the study; the same again resumes it.", show_default=False)],
    sizes: Annotated[str, typer.Option(help="Folded parameters, with commas between.")] = "700,1400",
    arms: Annotated[
        str,
        typer.Option(
            help="With commas between, such as plain,gradient:layers=head+activation=tanh; `list` names them."
        ),
    ] = "plain,plain_restart,gradient",
    members: Annotated[int, typer.Option(help="P, seeds a row, paired over the arms.")] = 10,
    epochs: Annotated[int, typer.Option(help="Of a row, in all, over every cycle and candidate phase.")] = 60,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", metavar="NAME=VALUE", help="A setting of training, such as learning_rate=0.02."),
    ] = None,
    teacher: inputs.TeacherOption = None,
    with_bases: Annotated[
        bool, typer.Option("--with-bases", help="Add the net that each dendritic arm grew from, trained as long.")
    ] = False,
    protocol: Annotated[
        str, typer.Option(help="honest, or paper: add the paper's one seed, 165 clips and best of many beside it.")
    ] = "honest",
    trials: Annotated[int, typer.Option(help="Of each arm at each size under --protocol paper.")] = 20,
    plan: Annotated[bool, typer.Option("--plan", help="Say which nets would be trained, and train none.")] = False,
    finished: Annotated[
        bool,
        typer.Option(
            "--finished",
            help="Train nothing: the report, and the reading, are of every row that is finished in the folder, of any "
            "arm and size.",
        ),
    ] = False,
    read_test: Annotated[
        bool, typer.Option("--read-test", help="When every row is finished, score them all on the test clips, once.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Read the test clips once more, for new rows; the report says so.")
    ] = False,
    keywords: inputs.KeywordsOption = None,
    frontend: inputs.FrontendOption = "logmel",
    settings: inputs.SettingsOption = None,
    copies: inputs.CopiesOption = inputs.DEFAULT_COPIES,
    augment: inputs.AugmentOption = None,
    cache: inputs.CacheOption = inputs.DEFAULT_CACHE,
    coefficients: inputs.CoefficientsOption = inputs.DEFAULT_COEFFICIENTS,
    seed: inputs.SeedOption = 0,
    skip_bad: inputs.SkipBadOption = False,
    speaker_pattern: inputs.SpeakerOption = None,
    as_json: inputs.JsonOption = False,
) -> None:
    """Judge arms of equal folded size and equal epochs.

    The same command resumes; several may run side by side on one folder, each takes rows that no other holds. The
    report (study.html, study.md, results.json) is of validation clips until --read-test.
    """
    from rich.console import Console

    from kws_dendrite.errors import ConfigError
    from kws_dendrite.settings import parse_assignments, parse_settings
    from kws_dendrite.study.arms import ARMS, parse_arms
    from kws_dendrite.study.runner import Study, StudyConfig, make_plans
    from kws_dendrite.training.config import TrainConfig
    from kws_dendrite.training.teacher import taught

    if arms == "list":
        known = {arm.name: arm.title for arm in ARMS.values()}
        print(json.dumps(known) if as_json else "\n".join(f"{name:16}{title}" for name, title in known.items()))
        return
    if again and not read_test:
        raise ConfigError("--again allows another reading of the test clips; give it with --read-test")
    console = Console(stderr=True)
    given = parse_assignments(recipe or [])
    config = StudyConfig(
        sizes=parse_sizes(sizes),
        arms=parse_arms(arms),
        members=members,
        train=taught(
            parse_settings(TrainConfig, {"epochs": str(epochs), **given}), teacher, asked="distillation" in given
        ),
        seed=seed,
        with_bases=with_bases,
        paper=paper_config(protocol, trials),
    )
    choice = inputs.Choice(
        data,
        keywords,
        frontend,
        tuple(settings or ()),
        copies,
        cache,
        seed,
        skip_bad,
        speaker_pattern,
        coefficients,
        tuple(augment or ()),
    )
    source = source_of(choice, console)
    if teacher is not None:
        from kws_dendrite.study.source import Taught

        source = Taught(source, teacher, cache)
    if plan:
        show_plans(make_plans(source, config), as_json)
        return
    work = Study(out, source, config)
    if finished:
        rows = work.store.all()
    else:
        train_rows(work, console)
        rows = work.finished()
    if read_test:
        if not finished:
            refuse_missing(work, rows)
        read_rows(work, rows, again, console)
    results = write_report(work, rows) if rows else None
    if as_json:
        count = len(rows) if finished else len(work.plans)
        print(json.dumps({"folder": str(out), "planned": count, "finished": len(rows), "results": results}))
        return
    planned = "" if finished else f" of {len(work.plans)}"
    print(f"{len(rows)}{planned} rows are finished, in {out}")
    if results is not None:
        print("\n".join([*results["verdicts"].values(), results["conclusion"]]))
        print(f"measured on {results['measured_on']} clips; {out}/study.html, study.md, results.json")


def paper_config(protocol: str, trials: int) -> PaperConfig | None:
    """`--protocol` and `--trials`.

    Raises:
        ConfigError: another protocol.
    """
    from kws_dendrite.errors import ConfigError
    from kws_dendrite.study.protocol_paper import PaperConfig

    if protocol not in ("honest", "paper"):
        raise ConfigError(f"--protocol is honest or paper; got {protocol!r}")
    return PaperConfig(trials) if protocol == "paper" else None


def refuse_missing(work: Study, rows: list[Row]) -> None:
    """Refuse to read the test clips before all rows are there.

    Raises:
        ConfigError: one is not finished.
    """
    from kws_dendrite.errors import ConfigError

    missing = [plan.name for plan in work.plans if plan.name not in {row.name for row in rows}]
    if missing:
        raise ConfigError(
            f"the test partition is read once, when all rows are finished; {len(missing)} are not, such as {missing[0]}"
        )


def read_rows(work: Study, rows: list[Row], again: bool, console: Console) -> None:
    """Score rows on the test clips.

    Raises:
        ConfigError: the test partition was read before and `again` is not given.
    """
    from kws_dendrite.study.reading import TestScores, read_test

    with inputs.bar(console) as progress:
        bar = progress.add_task("reading the test clips", total=len(rows))

        def on_row(row: Row, scores: TestScores) -> None:
            progress.advance(bar)
            int8 = "" if scores.int8_correct is None else f", int8 {scores.int8_correct.mean():.2%}"
            inputs.say(console, f"{row.name}: test accuracy {scores.correct.mean():.2%}{int8}")

        read_test(work.folder, work.store, rows, work.source, again=again, on_row=on_row)


def write_report(work: Study, rows: list[Row]) -> dict[str, Any]:
    """results.json, study.md, study.html and the pictures, of these rows."""
    from kws_dendrite.report.study_page import write_study_report
    from kws_dendrite.study.results import gather

    results = gather(work.folder, rows)
    write_study_report(results, work.folder)
    return results


def parse_sizes(text: str) -> tuple[int, ...]:
    """Text such as 700,1400 to whole numbers.

    Raises:
        ConfigError: something else.
    """
    from kws_dendrite.errors import ConfigError

    try:
        return tuple(int(part.strip().replace("_", "")) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigError(f"--sizes are whole numbers of parameters, such as 700,1400; got {text!r}") from error


def source_of(choice: inputs.Choice, console: Console) -> Source:
    """The data, not read yet; arrays of features are."""
    from kws_dendrite.data import load_block_arrays, load_dataset
    from kws_dendrite.frontend import FeatureCache, configure
    from kws_dendrite.settings import parse_assignments
    from kws_dendrite.study.source import FeatureArrays, Recordings

    if inputs.holds_arrays(choice.data):
        inputs.refuse_settings(choice)
        return FeatureArrays(load_block_arrays(choice.data, choice.coefficients), choice.data)
    config = configure(choice.frontend, parse_assignments(choice.settings))
    inputs.say(console, "reading the data set")
    dataset = load_dataset(choice.data, inputs.task_of(choice, config.sampling_freq))
    return Recordings(dataset, config, choice.augment, FeatureCache(choice.cache))


def show_plans(plans: list[RowPlan], as_json: bool) -> None:
    """One line a row: its folded parameters, its net, its cycles."""
    if as_json:
        print(json.dumps([{"name": one.name, "parameters": one.parameters, **one.made_of()} for one in plans]))
        return
    width = max(len(one.name) for one in plans)
    for one in plans:
        net = one.architecture
        shape = f"{net.channels} channels, kernel {net.kernel}" if net.family == "separable" else net.family
        print(f"{one.name:{width}} {one.parameters:>7,} parameters, {shape}, {one.train.epochs} epochs a cycle")


def train_rows(work: Study, console: Console) -> None:
    """Train what is left, with a bar; what failed is said, and an error at the end."""
    from kws_dendrite.errors import DataError

    failed: list[str] = []
    done = len(work.finished())
    with inputs.bar(console) as progress:
        bar = progress.add_task("study", total=len(work.plans), completed=done)
        epochs = progress.add_task("", total=None, visible=False)

        def on_epoch(plan: RowPlan, record: object) -> None:
            accuracy = sum(record.validation_accuracy) / len(record.validation_accuracy)
            text = f"{plan.name} · {record.phase} · validation {accuracy:.1%}"
            total = work.config.train.epochs
            progress.update(epochs, description=text, completed=record.epoch + 1, total=total, visible=True)

        def on_row(row: Row) -> None:
            nonlocal done
            done += 1
            accuracy = sum(row.validation_accuracy) / row.members
            inputs.say(
                console,
                f"{row.name}: {row.mean_parameters:,.0f} parameters, {row.epochs} epoch{'s' * (row.epochs != 1)}, "
                f"validation accuracy {accuracy:.2%}, mean of {row.members} seed{'s' * (row.members != 1)}, "
                f"{row.seconds:.0f} s ({done} of {len(work.plans)})",
            )
            progress.update(bar, completed=done)

        def on_failure(plan: RowPlan, error: Exception) -> None:
            failed.append(plan.name)
            inputs.say(console, f"{plan.name} failed: {error}")

        elsewhere = work.train(on_row, on_epoch, on_failure)
    if elsewhere:
        names = ", ".join(plan.name for plan in elsewhere)
        inputs.say(console, f"other processes are at work on {names}")
    if failed:
        raise DataError(f"{len(failed)} row(s) failed: {', '.join(failed)}; the rest is kept, see above")
