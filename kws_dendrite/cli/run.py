"""`kws-dendrite run`: the main job in one command, from clips to a checked bundle and its report."""

import json
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from kws_dendrite.data import FeatureBank
    from kws_dendrite.export.bundle import Bundle
    from kws_dendrite.search import SearchConfig, TrialResult
    from kws_dendrite.search.refit import RefitPlan

PARTS = ("search", "model", "export", "run.json", "benchmark.json", "evaluation.json", "report.html")
UNFINISHED = "unfinished"


def run(
    data: inputs.DataOption = "demo",
    out: Annotated[Path, typer.Option(help="Folder for everything that comes out.")] = Path("demo_run"),
    trials: Annotated[int, typer.Option(help="Trials of each arm.")] = 6,
    arms: Annotated[str, typer.Option(help="Some of plain,gradient,perforated,growth.")] = "plain,gradient,perforated",
    search_epochs: Annotated[int, typer.Option(help="Of a trial, in all.")] = 48,
    epochs: Annotated[int, typer.Option(help="Of the final training, in all.")] = 120,
    members: Annotated[int, typer.Option(help="P, seeds of the final training.")] = 5,
    max_params: Annotated[int | None, typer.Option(help="Folded parameters of the picked net, at most.")] = 2000,
    keywords: inputs.KeywordsOption = None,
    frontend: inputs.FrontendOption = "logmel",
    settings: inputs.SettingsOption = None,
    copies: inputs.CopiesOption = inputs.DEFAULT_COPIES,
    cache: inputs.CacheOption = inputs.DEFAULT_CACHE,
    coefficients: inputs.CoefficientsOption = inputs.DEFAULT_COEFFICIENTS,
    seed: inputs.SeedOption = 0,
    skip_bad: inputs.SkipBadOption = False,
    speaker_pattern: inputs.SpeakerOption = None,
    overwrite: inputs.OverwriteOption = False,
    as_json: inputs.JsonOption = False,
) -> None:
    """From clips to a checked bundle.

    Searches, picks, trains, folds, exports, checks parity, times on the host, evaluates once on test, and writes the
    report.
    """
    from rich.console import Console

    from kws_dendrite import __version__
    from kws_dendrite.output import claimed, write_json
    from kws_dendrite.report.page import write_report
    from kws_dendrite.search import SearchConfig
    from kws_dendrite.search.refit import plan_of
    from kws_dendrite.training.config import TrainConfig

    console = Console(stderr=True)
    choice = inputs.Choice(
        data, keywords, frontend, tuple(settings or ()), copies, cache, seed, skip_bad, speaker_pattern, coefficients
    )
    plan = SearchConfig(
        trials=trials,
        arms=tuple(arm.strip() for arm in arms.split(",")),
        members=2,
        train=TrainConfig(epochs=search_epochs),
        seed=seed,
    )
    clock = Clock(console)
    with claimed(out, overwrite=overwrite) as folder:
        with clock.stage("features"):
            bank = inputs.load_features(choice, console)
        with _workplace(folder, console) as place:
            with clock.stage("search"):
                picked, results = _search(place / "search", bank, plan, max_params, data, console)
            with clock.stage("train"):
                _train(place / "model", bank, plan_of(picked, results, seed, members, epochs), console)
            with clock.stage("export"):
                bundle = _export(place, bank, console)
            with clock.stage("benchmark"):
                _benchmark(place)
            with clock.stage("evaluate"):
                evaluation = _evaluate(place, data, console)
            write_json(
                place / "run.json",
                {
                    "command": "run",
                    "version": __version__,
                    "settings": _settings(choice, plan, epochs, members, max_params),
                    "data": bank.summary,
                    "synthetic": bool(bank.summary.get("synthetic")),
                    "chosen": {"number": picked.number, "dendrites": picked.dendrites},
                    "versions": _versions(),
                    "seconds": clock.seconds,
                },
            )
        write_report(folder)
    if as_json:
        print(json.dumps({"folder": str(out), "evaluation": evaluation, "seconds": clock.seconds}, allow_nan=False))
    else:
        _say(out, evaluation, bundle.cost.parameters, clock)


class Clock:
    """Seconds by stage, said as they pass."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> "Iterator[None]":
        """Time what happens inside."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)
        self.console.print(f"{name:<10} done in {self.seconds[name]:.0f} s", highlight=False)


@contextmanager
def _workplace(folder: Path, console: "Console") -> "Iterator[Path]":
    """Where a run puts its parts: `folder`; if an earlier run is there, a folder in it that replaces it at the end."""
    place = folder / UNFINISHED
    shutil.rmtree(place, ignore_errors=True)
    if not any((folder / part).exists() for part in PARTS):
        yield folder
        return
    try:
        place.mkdir()
        yield place
    except BaseException:
        begun = f"; what there is of this run is in {place}" if any(place.iterdir()) else ""
        inputs.say(console, f"the earlier results in {folder} stand{begun}")
        raise
    for part in PARTS:
        if (folder / part).is_dir():
            shutil.rmtree(folder / part)
        else:
            (folder / part).unlink(missing_ok=True)
    for entry in place.iterdir():
        entry.replace(folder / entry.name)
    place.rmdir()


def _search(
    folder: Path, bank: "FeatureBank", plan: "SearchConfig", max_params: int | None, data: str, console: "Console"
) -> tuple["TrialResult", list["TrialResult"]]:
    """Search; the picked point, and all trials."""
    from kws_dendrite.cli.search import run_search
    from kws_dendrite.report.terminal import front_table
    from kws_dendrite.search import pareto_front, pick

    where = data if data == "demo" else str(Path(data).resolve())
    results = run_search(folder, bank, plan, console, data_folder=where)
    console.print(front_table([trial.to_json() for trial in pareto_front(results)]))
    picked = pick(results, max_params)
    limit = "" if max_params is None else f" of at most {max_params:,} parameters"
    inputs.say(console, f"picked trial {picked.number} ({picked.arm}, {picked.parameters:,}), the most accurate{limit}")
    return picked, results


def _train(folder: Path, bank: "FeatureBank", plan: "RefitPlan", console: "Console") -> None:
    """Train the picked point again, with fresh seeds."""
    from kws_dendrite.cli.train import fit, save

    proposal, config = plan.proposal, plan.recipe
    result = fit(
        bank, proposal.model, config, proposal.growth, plan.members, plan.seed, console, restarts=plan.restarts
    )
    save(folder, result, proposal.model, config, bank, plan.seed)
    if result.interrupted:
        inputs.say(console, f"training was interrupted; the best so far is in {folder}")
        raise KeyboardInterrupt


def _export(folder: Path, bank: "FeatureBank", console: "Console") -> "Bundle":
    from kws_dendrite.cli.export import export_member, parity_text
    from kws_dendrite.training.checkpoint import load_checkpoint

    bundle = export_member(
        load_checkpoint(folder / "model"),
        folder / "export",
        calibration=bank.train[0],
        validation=(bank.validation, bank.validation_labels),
        member=None,
        overwrite=True,
        console=console,
    )
    inputs.say(console, parity_text(bundle))
    return bundle


def _benchmark(folder: Path) -> None:
    from kws_dendrite.export.benchmark.host import time_host
    from kws_dendrite.output import write_json

    write_json(folder / "benchmark.json", [row.to_json() for row in time_host(folder / "export")])


def _evaluate(folder: Path, data: str, console: "Console") -> dict[str, Any]:
    """The test partition, read here and nowhere before: the population, and every artefact of its best member.

    An Edge Impulse block's arrays have none; there it is validation, and says so.
    """
    import torch

    from kws_dendrite.cli.evaluate import scored
    from kws_dendrite.evaluation import evaluate_scores
    from kws_dendrite.export.predictor import artefacts, load_predictor
    from kws_dendrite.output import write_json
    from kws_dendrite.training.checkpoint import load_checkpoint
    from kws_dendrite.training.loop import predict

    checkpoint = load_checkpoint(folder / "model")
    split = "validation" if inputs.holds_arrays(data) else "test"
    clips = inputs.features_as_trained(
        data, checkpoint.labels, checkpoint.frontend, checkpoint.record["data"].get("task"), split, console
    )
    x, y = clips.features, clips.labels
    scores = torch.softmax(predict(checkpoint.model, torch.from_numpy(x)), -1).numpy()
    found = {
        path.name: evaluate_scores(scored(load_predictor(path), x), y, checkpoint.labels).accuracy
        for path in artefacts(folder / "export")
    }
    evaluation = {
        "split": split,
        "data": clips.summary.get("name", data),
        "synthetic": bool(clips.summary.get("synthetic")),
        **evaluate_scores(scores, y, checkpoint.labels).to_json(),
        "exported_member": checkpoint.best_member,
        "artefacts": found,
    }
    write_json(folder / "evaluation.json", evaluation)
    return evaluation


def _settings(
    choice: inputs.Choice, plan: "SearchConfig", epochs: int, members: int, max_params: int | None
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "data": choice.data,
        "keywords": choice.keywords,
        "frontend": choice.frontend,
        "frontend_settings": list(choice.settings),
        "copies": choice.copies,
        "seed": choice.seed,
        "search": asdict(plan) | {"arms": list(plan.arms)},
        "epochs": epochs,
        "members": members,
        "max_params": max_params,
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("kws-dendrite", "torch", "numpy", "optuna", "onnx", "onnxruntime", "tensorflow", "ai-edge-litert")
    return {name: version(name) for name in names}


def _say(out: Path, evaluation: dict[str, Any], parameters: int, clock: Clock) -> None:
    low, high = evaluation["interval"]
    note = "SYNTHETIC demo speech: the figures say nothing about real speech.\n" if evaluation["synthetic"] else ""
    int8 = evaluation["artefacts"].get("model_quantized_int8_io.tflite")
    print(
        f"{note}{evaluation['split']} accuracy {evaluation['accuracy']:.1%} [{low:.1%}, {high:.1%}], "
        f"{evaluation['clips']} clips, mean of {len(evaluation['accuracy_members'])} seeds\n"
        f"int8 TFLite of the exported seed {int8:.1%}; {parameters:,} parameters\n"
        f"{out}/report.html                                  everything on one page\n"
        f"{out}/export/model_quantized_int8_io.tflite        for the device\n"
        f"{out}/search/front.csv, {out}/model, {out}/export/parity.json\n"
        f"{sum(clock.seconds.values()):.0f} s in all"
    )
