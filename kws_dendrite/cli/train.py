"""`kws-dendrite train`: a population of one architecture, with or without dendrites, into a checkpoint."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.data import FeatureBank
    from kws_dendrite.dendrites import DendriteConfig
    from kws_dendrite.models import ModelConfig
    from kws_dendrite.training.config import TrainConfig
    from kws_dendrite.training.growth import TrainResult


def train(
    data: inputs.DataArgument,
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint.", show_default=False)],
    family: Annotated[str, typer.Option(help="Model family; `--model` sets what it has.")] = "separable",
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME=VALUE", help="A setting of the family, such as channels=14; repeatable."),
    ] = None,
    dendrites: Annotated[
        str, typer.Option(help="none, gradient, perforated, growth, random or sham; docs/dendrites.md has them.")
    ] = "none",
    growth: Annotated[
        list[str] | None,
        typer.Option("--growth", metavar="NAME=VALUE", help="A setting of growth, such as kind=lean; repeatable."),
    ] = None,
    restarts: Annotated[
        int, typer.Option(help="Further cosine cycles without growth, the control of as many steps.")
    ] = 0,
    epochs: Annotated[int, typer.Option(help="In all, over every cycle, candidate phase and probe.")] = 100,
    members: Annotated[int, typer.Option(help="P, seeds trained side by side.")] = 5,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", metavar="NAME=VALUE", help="A setting of training, such as learning_rate=0.02."),
    ] = None,
    teacher: inputs.TeacherOption = None,
    device: inputs.DeviceOption = inputs.DEFAULT_DEVICE,
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
    overwrite: inputs.OverwriteOption = False,
    as_json: inputs.JsonOption = False,
) -> None:
    """Train one architecture, P seeds at once.

    Ctrl-C keeps the best so far as a usable checkpoint.
    """
    from rich.console import Console

    from kws_dendrite.models import configure_model
    from kws_dendrite.output import claimed
    from kws_dendrite.settings import parse_assignments, parse_settings
    from kws_dendrite.training.checkpoint import weights_hash
    from kws_dendrite.training.config import TrainConfig
    from kws_dendrite.training.device import named_device
    from kws_dendrite.training.growth import share_epochs
    from kws_dendrite.training.teacher import taught, with_teacher

    console = Console(stderr=True)
    plan = growth_plan(dendrites, parse_assignments(growth or []), restarts)
    given = parse_assignments(recipe or [])
    base = taught(parse_settings(TrainConfig, {"epochs": str(epochs), **given}), teacher, asked="distillation" in given)
    config = share_epochs(base, base.epochs, plan, restarts)
    teacher_weights = weights_hash(teacher) if teacher else None
    named_device(device)
    with claimed(out, overwrite=overwrite) as folder:
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
        bank = with_teacher(bank, teacher, cache) if teacher else bank
        _, T, F = bank.validation.shape
        architecture = configure_model(family, parse_assignments(model or []), T, F, len(bank.labels), bank.frontend)
        result = fit(bank, architecture, config, plan, members, seed, console, restarts=restarts, device=device)
        save(folder, result, architecture, config, bank, seed, teacher=teacher_weights)
    metrics = result.best_accuracy
    summary = {
        "checkpoint": str(out),
        "validation_accuracy": sum(metrics) / len(metrics),
        "validation_accuracy_members": metrics,
        "growth": [step.to_json() for step in result.growth],
        "epochs": len(result.history),
        "interrupted": result.interrupted,
        "synthetic": bool(bank.summary.get("synthetic")),
    }
    if as_json:
        print(json.dumps(summary))
    else:
        note = " (synthetic demo data)" if summary["synthetic"] else ""
        print(f"validation accuracy {summary['validation_accuracy']:.1%}, mean of {members} seeds{note}")
        print(f"checkpoint in {out}")
    if result.interrupted:
        raise KeyboardInterrupt


def growth_plan(mode: str, settings: dict[str, str], restarts: int = 0) -> "DendriteConfig | None":
    """`--dendrites` and `--growth` as a plan; None for "none".

    Raises:
        ConfigError: an unknown mode, settings without a mode, or restarts beside growth steps, which are restarts.
    """
    from kws_dendrite.dendrites import DendriteConfig
    from kws_dendrite.dendrites.config import MODES
    from kws_dendrite.errors import ConfigError
    from kws_dendrite.settings import parse_settings

    if mode == "none":
        if settings:
            raise ConfigError(f"--growth {next(iter(settings))} needs --dendrites {' or '.join(MODES)}")
        return None
    if mode not in MODES:
        raise ConfigError(f"--dendrites is none, {', '.join(MODES)}; got {mode!r}")
    plan = parse_settings(DendriteConfig, settings, mode=mode)
    if restarts > 0 and plan.insertion != "start":
        raise ConfigError(
            "each growth step restarts the learning rate; leave --restarts out, or take --growth insertion=start"
        )
    return plan


def fit(
    bank: "FeatureBank",
    architecture: "ModelConfig",
    config: "TrainConfig",
    plan: "DendriteConfig | None",
    members: int,
    seed: int,
    console: "Console",
    *,
    restarts: int = 0,
    title: str = "training",
    device: str = inputs.DEFAULT_DEVICE,
) -> "TrainResult":
    """Train with a progress bar."""
    from kws_dendrite.cli.screen import TrainingScreen
    from kws_dendrite.models import build_model
    from kws_dendrite.training.growth import train as train_population

    cycles = (plan.dendrites if plan and plan.insertion != "start" else restarts) + 1
    with TrainingScreen(console).open(title, config.epochs * cycles) as screen:
        return train_population(
            build_model(architecture, members, seed).to(device),
            bank,
            config,
            growth=plan,
            restarts=restarts,
            seed=seed,
            progress=screen.epoch,
            on_growth=screen.growth,
        )


def save(
    folder: Path,
    result: "TrainResult",
    architecture: "ModelConfig",
    config: "TrainConfig",
    bank: "FeatureBank",
    seed: int,
    *,
    teacher: str | None = None,
) -> None:
    """Write the checkpoint of a finished or interrupted training; `teacher` is the hash of one's weights."""
    from dataclasses import asdict

    from kws_dendrite.fold import fold
    from kws_dendrite.output import replacing_together
    from kws_dendrite.plain import cost
    from kws_dendrite.training.checkpoint import save_checkpoint

    counted = cost(fold(result.model))
    record: dict[str, Any] = {
        "growth": [step.to_json() for step in result.growth],
        "history": [entry.to_json() for entry in result.history],
        "data": bank.summary,
        "seeds": {"seed": seed, "members": len(result.best_loss)},
        "train": asdict(config),
        "metrics": {
            "validation_loss": result.best_loss,
            "validation_accuracy": result.best_accuracy,
            "parameters": counted.parameters,
            "macs": counted.macs,
        },
        "interrupted": result.interrupted,
        **({"teacher": teacher} if teacher else {}),
    }
    with replacing_together(folder) as temporary:
        save_checkpoint(
            temporary, result.model, architecture, labels=bank.labels, frontend=bank.frontend, record=record
        )
