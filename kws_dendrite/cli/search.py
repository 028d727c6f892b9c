"""`kws-dendrite search`: size against accuracy, plain and dendritic arms with equal budgets, resumable."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.data import FeatureBank
    from kws_dendrite.search import SearchConfig, TrialResult


def search(
    data: inputs.DataArgument,
    out: Annotated[Path, typer.Option(help="Folder of the search; the same again resumes it.", show_default=False)],
    trials: Annotated[int, typer.Option(help="Trials of each arm.")] = 10,
    arms: Annotated[str, typer.Option(help="Some of plain,gradient,perforated,growth.")] = "plain,gradient,perforated",
    epochs: Annotated[int, typer.Option(help="Of a trial, in all, the same for every arm.")] = 40,
    members: Annotated[int, typer.Option(help="P, seeds a trial.")] = 2,
    objective: Annotated[
        str,
        typer.Option(
            help="Held against accuracy: params, macs, flash[:CORE], ram, latency:CORE@MHZ or instructions:CORE."
        ),
    ] = "params",
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
    """Search accuracy against parameters or cost on a device.

    Shape and recipe, plain and dendritic; the front as table, front.csv and front.png. The same command resumes after
    Ctrl-C.
    """
    from rich.console import Console

    from kws_dendrite.output import claimed
    from kws_dendrite.report.terminal import front_table
    from kws_dendrite.search import SearchConfig, pareto_front, parse_objective
    from kws_dendrite.training.config import TrainConfig

    console = Console(stderr=True)
    config = SearchConfig(
        trials=trials,
        arms=tuple(arm.strip() for arm in arms.split(",")),
        members=members,
        train=TrainConfig(epochs=epochs),
        seed=seed,
        objective=parse_objective(objective),
    )
    with claimed(out, resume=True) as folder:
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
        bank = inputs.load_features(choice, console)
        results = run_search(folder, bank, config, console)
    front = pareto_front(results)
    if as_json:
        print(json.dumps({"trials": len(results), "front": [trial.to_json() for trial in front], "folder": str(out)}))
        return
    Console().print(front_table([trial.to_json() for trial in results]))
    print(f"{out}/front.csv, front.png, trials.json")


def run_search(folder: Path, bank: "FeatureBank", config: "SearchConfig", console: "Console") -> list["TrialResult"]:
    """Run to the end with a progress bar, writing trials.json, front.csv and front.png as it goes."""
    from kws_dendrite.report.wording import tick
    from kws_dendrite.search import Search, write_front_csv

    study = Search(folder, bank, config)
    results = study.results()
    total = config.trials * len(config.arms)
    with inputs.bar(console) as progress:
        row = progress.add_task("search", total=total, completed=len(results))

        def on_trial(result: Any) -> None:
            results.append(result)
            place = f"trial {result.number} ({result.arm}), {len(results)} of {total}"
            size = f"{result.parameters:,} parameters"
            if result.objective:
                size += f", {result.objective['name']} {tick(result.size)}"
            inputs.say(console, f"{place}: {size}, validation accuracy {result.validation_accuracy:.1%}")
            progress.update(row, completed=len(results))

        def on_epoch(arm: str, record: Any, _: int) -> None:
            progress.update(row, description=f"search · {arm} epoch {record.epoch + 1} of {config.train.epochs}")

        try:
            results = study.run(on_trial, on_epoch)
        finally:
            finished = study.results()
            if finished:
                write_results(folder, bank, finished)
                write_front_csv(folder / "front.csv", finished)
    return results


def write_results(folder: Path, bank: "FeatureBank", results: list["TrialResult"]) -> None:
    """trials.json and the picture of the front."""
    from kws_dendrite.output import write_json
    from kws_dendrite.report.pareto import plot_front
    from kws_dendrite.report.trials import points_from_trials

    trials = [trial.to_json() for trial in results]
    write_json(folder / "trials.json", trials)
    plot_front(
        points_from_trials(trials),
        [folder / "front.png"],
        dataset=str(bank.summary.get("name", "data")),
        clips=len(bank.validation_labels),
        synthetic=bool(bank.summary.get("synthetic")),
    )
