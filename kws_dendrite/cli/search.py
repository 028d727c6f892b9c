"""`kws-dendrite search`: size against accuracy, plain and dendritic arms with equal budgets, by one worker or many."""

import contextlib
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs
from kws_dendrite.cli.space_option import ShowSpaceOption

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.data import FeatureBank
    from kws_dendrite.search import Search, SearchConfig, Space, TrialResult

STORAGE_VARIABLE = "KWS_DENDRITE_STORAGE"


def search(
    data: inputs.DataArgument,
    out: Annotated[Path, typer.Option(help="Folder of the search; the same again resumes it.", show_default=False)],
    trials: Annotated[int, typer.Option(help="Trials of each arm.")] = 10,
    arms: Annotated[str, typer.Option(help="Some of plain,gradient,perforated,growth.")] = "plain,gradient,perforated",
    epochs: Annotated[int, typer.Option(help="Of a trial, in all, the same for every arm.")] = 40,
    members: Annotated[int, typer.Option(help="P, seeds a trial.")] = 2,
    companions: Annotated[
        int,
        typer.Option(
            help="Trials of one net with rates of their own (learning rate, weight decay, dropout), trained together; "
            "with --arms plain."
        ),
    ] = 1,
    space: Annotated[str, typer.Option(help="default, paper, wide, or a TOML file.")] = "default",
    show_space: ShowSpaceOption = None,
    objective: Annotated[
        str,
        typer.Option(
            help="Held against accuracy: params, macs, flash[:CORE], ram, latency:CORE@MHZ or instructions:CORE; "
            "+frontend behind it counts the front end too."
        ),
    ] = "params",
    maximise: Annotated[str, typer.Option(help="accuracy, or loss (its negative).")] = "accuracy",
    max_params: Annotated[str | None, typer.Option(help="No net of more parameters is trained.")] = None,
    max_macs: Annotated[str | None, typer.Option(help="Nor of more multiply-accumulates, such as 500k.")] = None,
    max_flash: Annotated[str | None, typer.Option(help="Nor of more flash, such as 32k.")] = None,
    max_ram: Annotated[str | None, typer.Option(help="Nor of more RAM, such as 8k.")] = None,
    max_latency: Annotated[str | None, typer.Option(help="Nor slower, such as 20ms@cortex-m4@80.")] = None,
    stop_hopeless: Annotated[
        bool | None,
        typer.Option(
            "--stop-hopeless/--no-stop-hopeless",
            help="End trials that cannot reach the front. By default where there is one arm.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    device: inputs.DeviceOption = inputs.DEFAULT_DEVICE,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar=STORAGE_VARIABLE, show_envvar=True,
            help="postgresql://user:password@host/database, which many machines share; else a file in the folder.",
        ),
    ] = None,
    study_name: Annotated[
        str | None, typer.Option(help="Of the search in --storage; the folder's name by default.")
    ] = None,
    refit: Annotated[
        int,
        typer.Option(
            metavar="SEEDS",
            help="At the end train the front again with so many fresh seeds, 5 or more, as `kws-dendrite refit` does.",
        ),
    ] = 0,
    read_test: Annotated[
        bool, typer.Option("--read-test", help="After --refit score the front on the test clips, once.")
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
) -> None:  # fmt: skip
    """Search accuracy against parameters or cost on a device.

    Shape and recipe, plain and dendritic; the front as table, front.csv and front.png. The same command resumes after
    Ctrl-C, a crash or a power cut; from other machines, with --storage, it joins in.
    """
    from rich.console import Console

    from kws_dendrite.output import claimed
    from kws_dendrite.report.terminal import front_table
    from kws_dendrite.search import Limits, SearchConfig, named_space, pareto_front, parse_objective
    from kws_dendrite.training.config import TrainConfig
    from kws_dendrite.training.device import named_device

    console = Console(stderr=True)
    check_refit(refit, read_test)
    asked = named_space(space)
    held = parse_objective(objective, maximise).counting(bool(asked.frontends))
    config = SearchConfig(
        trials=trials,
        arms=tuple(arm.strip() for arm in arms.split(",")),
        members=members,
        companions=companions,
        train=TrainConfig(epochs=epochs),
        seed=seed,
        objective=held,
        limits=Limits.parse(max_params, max_macs, max_flash, max_ram, max_latency, held),
        stop_hopeless=stop_hopeless,
        device=device,
    )
    named_device(device)
    if storage is not None:
        from kws_dendrite.search.database import parse_url

        parse_url(storage)
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
        results = run_search(
            folder,
            bank,
            config,
            console,
            space=asked,
            choice=None if inputs.holds_arrays(data) else choice,
            workers=workers,
            url=storage,
            name=(study_name or out.resolve().name) if storage else study_name,
            data_folder=data if data == "demo" else str(Path(data).resolve()),
            quiet=as_json,
        )
    front = pareto_front(results)
    refitted = refit_searched(out, refit, read_test, cache, console) if refit else None
    if as_json:
        report = {"trials": len(results), "front": [brief(trial) for trial in front], "folder": str(out)}
        print(json.dumps(report if refitted is None else {**report, "refit": refitted}))
        return
    Console().print(front_table([trial.to_json() for trial in front]))
    print(f"{out}/front.csv, front.png, trials.json")
    if refitted is not None:
        from kws_dendrite.cli.refit import show_front

        show_front(refitted, Console())
        print(f"{out}/front.json, {out}/front")
    for line in what_next(out, front, refitted):
        print(line)


def what_next(folder: Path, front: list["TrialResult"], refitted: dict[str, Any] | None) -> list[str]:
    """The commands that go on from a search that has ended: its page, fresh seeds, the net to ship; [] without a front.

    Args:
        refitted: the value of front.json, None where the front was not trained again.
    """
    if not front:
        return []
    where = shlex.quote(str(folder))
    lines = [f"all trials as a page: kws-dendrite report {where}"]
    if refitted is None:
        lines.append(f"the front with fresh seeds: kws-dendrite refit {where}")
    return [*lines, net_to_ship(folder)]


def net_to_ship(folder: Path) -> str:
    """The command that picks and exports a net of a search."""
    return f"the net to ship: kws-dendrite pick {shlex.quote(str(folder))} --out BUNDLE"


def check_refit(members: int, read_test: bool) -> None:
    """Refuse `--refit` and `--read-test` that cannot be, before a night's search.

    Raises:
        ConfigError: too few seeds, or test clips without a refit.
    """
    from kws_dendrite.errors import ConfigError

    if members and members < 5:
        raise ConfigError(f"--refit takes at least 5 seeds, for an interval to mean much; got {members}")
    if read_test and not members:
        raise ConfigError("--read-test scores nets that were trained again; give it with --refit 5")


def refit_searched(folder: Path, members: int, read_test: bool, cache: Path, console: "Console") -> dict[str, Any]:
    """Train the front of a search that has ended again; the value of front.json."""
    from kws_dendrite.cli.refit import refit_front
    from kws_dendrite.cli.searched import open_searched

    found = open_searched(folder)
    return refit_front(found, found.data(None, cache, console), members, None, console, read_test=read_test)


def brief(trial: "TrialResult") -> dict[str, Any]:
    """A net of the front as JSON, without what trials.json has of its trial besides."""
    return {name: value for name, value in trial.to_json().items() if name not in ("curve", "steps", "points")}


def run_search(
    folder: Path,
    bank: "FeatureBank",
    config: "SearchConfig",
    console: "Console",
    *,
    space: "Space | None" = None,
    choice: inputs.Choice | None = None,
    workers: int = 1,
    url: str | None = None,
    name: str | None = None,
    data_folder: str | None = None,
    quiet: bool = False,
) -> list["TrialResult"]:
    """Search to the end with a screen, keeping trials.json up to date; at the end front.csv and front.png, too.

    Args:
        choice: where features of other front ends come from, if the space has any.
        workers: processes; one is this one.
        url: of a database, instead of the folder's journal.
        name: of the search in its storage.
        data_folder: for search.json: where the clips are.
        quiet: say nothing where there is nothing to do.
    """
    from kws_dendrite.cli.search_features import Opening, bank_of
    from kws_dendrite.cli.search_screen import SearchScreen
    from kws_dendrite.errors import KwsDendriteError
    from kws_dendrite.search import DEFAULT, Search
    from kws_dendrite.search.records import Saver
    from kws_dendrite.search.shared import SharedBank
    from kws_dendrite.search.storage import WORKERS
    from kws_dendrite.search.study import NAME

    space, name = space or DEFAULT, name or NAME
    study = Search(
        folder,
        bank,
        config,
        space,
        url=url,
        name=name,
        bank_of=bank_of(bank, choice, space),
        augment=None if choice is None else choice.augment,
        **({"tell": lambda line: inputs.say(console, line)} if url else {}),
    )
    settings = study.save_settings(data_folder=data_folder)
    saver = Saver(folder, study.ledger)
    left = say_where_it_stands(study, folder, console, quiet)
    workers = max(1, min(workers, left))  # more would find nothing to do
    try:
        if left:
            with SearchScreen(console, settings | {"workers": workers}) as screen:
                if workers == 1:
                    _Alone(study, screen, saver).run()
                else:
                    shared = SharedBank.write(bank, folder / WORKERS / "features")
                    opening = Opening(folder, shared, choice, config, space, url, name)
                    try:
                        _Watched(study, opening, workers, screen, saver, console).run()
                    finally:
                        shared.remove()
        results = study.results()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            study.store.hurry()
        with contextlib.suppress(KwsDendriteError, OSError):  # what happened first is told
            ended = len(keep_results(study, saver, bank))
            if isinstance(error, KeyboardInterrupt):
                inputs.say(console, f"{ended} of {config.total} trials have ended; the same command resumes it")
        raise
    else:
        keep_results(study, saver, bank)
        return results
    finally:
        study.close()


def keep_results(study: "Search", saver: Any, bank: "FeatureBank") -> list["TrialResult"]:
    """Write trials.json, and the front where there is one; the trials that ended with a net."""
    saver.save(now=True)
    finished = study.results()
    if finished:
        write_results(study.folder, bank, finished)
    return finished


class _Alone:
    """One worker, in this process, with its screen."""

    def __init__(self, study: "Search", screen: Any, saver: Any) -> None:
        self.study, self.screen, self.saver = study, screen, saver
        self.curve: list[dict[str, Any]] = []
        self.planned = 0
        self.due = 0.0

    def run(self) -> None:
        """Search to the end."""
        self.look(force=True)
        self.study.run(self.on_trial, self.on_epoch, lambda: self.look(force=True))
        self.look(force=True)

    def on_trial(self, _: Any) -> None:
        """A trial has ended."""
        self.curve = []
        self.look(force=True)
        self.saver.save()

    def on_epoch(self, _: str, record: Any, planned: int) -> None:
        """An epoch has."""
        from kws_dendrite.search.trial import entry

        self.curve = [*(self.curve if record.epoch else []), entry(record)]
        self.planned = planned
        self.look()

    def look(self, *, force: bool = False) -> None:
        """Draw how it stands, if it is time or `force`."""
        import time

        from kws_dendrite.search.workers import LOOK, with_curves

        start = time.monotonic()
        if not force and start < self.due:
            return
        running = {self.study.worker: (tuple(self.curve), self.planned)} if self.curve else {}
        self.screen.show([trial.to_json() for trial in with_curves(self.study.records(), running)])
        self.due = time.monotonic() + max(LOOK, 20 * (time.monotonic() - start))


class _Watched:
    """Several workers in processes of their own, with a screen here."""

    def __init__(
        self, study: "Search", opening: Any, workers: int, screen: Any, saver: Any, console: "Console"
    ) -> None:
        from kws_dendrite.search.workers import Crew

        self.study, self.screen, self.saver = study, screen, saver
        self.crew = Crew(opening, workers, study.folder, lambda line: inputs.say(console, line))

    def run(self) -> None:
        """Search to the end."""
        self.crew.run(self.look)

    def look(self) -> None:
        """Draw how it stands."""
        self.screen.show([trial.to_json() for trial in self.crew.with_curves(self.study.records())])
        self.saver.save()


def say_where_it_stands(study: "Search", folder: Path, console: "Console", quiet: bool) -> int:
    """Say how many trials there are, how many are left, and where results are; how many are left."""
    records = [trial for trial in study.records() if trial.state != "skipped"]
    ended = sum(trial.state not in ("running", "waiting") for trial in records)
    left, config = len(records) - ended, study.config
    if left or not quiet:
        each = f"{config.trials} trials of each of {', '.join(config.arms)}" if len(config.arms) > 1 else (
            f"{config.trials} trials, {config.arms[0]}"
        )  # fmt: skip
        begun = f"{ended} have ended, {left} are left" if ended else f"{left} in all"
        elsewhere = f", trials in {study.store.shown}" if study.store.many_machines else ""
        inputs.say(console, f"search: {each}; {begun}; results in {shlex.quote(str(folder))}{elsewhere}")
    return left


def write_results(folder: Path, bank: "FeatureBank", results: list["TrialResult"]) -> None:
    """front.csv, and the picture of the front."""
    from kws_dendrite.report.pareto import plot_front
    from kws_dendrite.report.trials import points_from_trials
    from kws_dendrite.search import write_front_csv

    write_front_csv(folder / "front.csv", results)
    # Every number of dendrites is a point, whose place here is its number: a trial has several.
    points = [candidate for trial in results for candidate in trial.candidates()]
    drawn = [{**point.to_json(), "number": place, "state": "complete"} for place, point in enumerate(points)]
    plot_front(
        points_from_trials(drawn),
        [folder / "front.png"],
        dataset=str(bank.summary.get("name", "data")),
        clips=len(bank.validation_labels),
        synthetic=bool(bank.summary.get("synthetic")),
    )
