"""What the commands that read data share: options, the features of a data folder, a progress bar on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from kws_dendrite.data import FeatureBank

DataArgument = Annotated[str, typer.Argument(help="A data folder, or 'demo'.", show_default=False)]
DataOption = Annotated[str, typer.Option("--data", help="A data folder, or 'demo'.", show_default=False)]
KeywordsOption = Annotated[
    str | None, typer.Option(help="Words to spot, with commas between; other words become _unknown_.")
]
FrontendOption = Annotated[str, typer.Option(help="logmel, mfcc or mfe (the latter two as Edge Impulse's blocks).")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A front-end setting, such as num_filters=40; repeatable."),
]
CopiesOption = Annotated[int, typer.Option(help="Augmented copies of each training clip.")]
CacheOption = Annotated[Path, typer.Option(help="Folder that keeps computed features; it may be deleted any time.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out clips that cannot be read.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in the folder.")]
SpeakerOption = Annotated[
    str | None, typer.Option(help="Regular expression with a group (?P<speaker>...), searched in each clip's path.")
]

DEFAULT_CACHE = Path("kws_cache")
DEFAULT_COPIES = 6


@dataclass(frozen=True)
class Choice:
    """How a data folder is to be read and its features computed; made from a command's options."""

    data: str
    keywords: str | None = None
    frontend: str = "logmel"
    settings: tuple[str, ...] = ()
    copies: int = DEFAULT_COPIES
    cache: Path = DEFAULT_CACHE
    seed: int = 0
    skip_bad: bool = False
    speaker_pattern: str | None = None
    coefficients: int = 13


def holds_arrays(data: str) -> bool:
    """Whether `data` is an Edge Impulse block's folder of arrays."""
    return (Path(data) / "X_split_train.npy").is_file()


def load_features(choice: Choice, console: Console) -> FeatureBank:
    """Clips to features, with a progress bar; or an Edge Impulse block's arrays as they are."""
    from kws_dendrite.data import AugmentConfig, build_bank, load_block_arrays, load_dataset
    from kws_dendrite.frontend import FeatureCache, configure, parse_assignments

    if holds_arrays(choice.data):
        return load_block_arrays(choice.data, choice.coefficients)
    config = configure(choice.frontend, parse_assignments(choice.settings))
    dataset = load_dataset(choice.data, task_of(choice, config.sampling_freq))
    with bar(console) as progress:
        row = progress.add_task(f"features ({choice.frontend})", total=None)
        return build_bank(
            dataset,
            config,
            AugmentConfig(copies=choice.copies),
            FeatureCache(choice.cache),
            lambda done, total: progress.update(row, completed=done, total=total),
        )


def task_of(choice: Choice, sampling_freq: int) -> Any:
    """The classification task that the options ask for."""
    from kws_dendrite.cli.data import split_words
    from kws_dendrite.data import TaskConfig

    return TaskConfig(
        keywords=split_words(choice.keywords),
        seed=choice.seed,
        skip_bad=choice.skip_bad,
        speaker_pattern=choice.speaker_pattern,
        sampling_freq=sampling_freq,
    )


def features_as_trained(
    data: str,
    labels: tuple[str, ...],
    frontend: dict[str, Any],
    task: dict[str, Any] | None,
    split: str,
    console: Console,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """A partition's features (N, T, F) and labels (N,) for a model that exists, and the data's summary.

    The keywords are the model's labels, the rest of the task as it was in training where that is known.

    Raises:
        DataError: an unknown partition, or data with other classes.
    """
    from kws_dendrite.data import TaskConfig, load_block_arrays, load_dataset, outline, read_signals
    from kws_dendrite.frontend import extract, from_json

    if split not in ("train", "validation", "test"):
        raise ConfigError(f"--split is train, validation or test; got {split!r}")
    if holds_arrays(data):
        bank = load_block_arrays(data, int(frontend.get("coefficients", 13)))
        if split == "train":
            return bank.train[0].astype("float32"), bank.train_labels, bank.summary
        return bank.validation, bank.validation_labels, bank.summary
    if not frontend.get("block"):
        raise DataError("the model does not say which front end it was trained with; evaluate it on its arrays' folder")
    config = from_json({key: value for key, value in frontend.items() if key not in ("frames", "coefficients")})
    trained = TaskConfig.from_json(task) if task else TaskConfig(sampling_freq=config.sampling_freq)
    dataset = load_dataset(data, trained.for_labels(labels))
    if dataset.labels != tuple(labels):
        raise DataError(
            f"the model tells apart {', '.join(labels)}; {data} gives {', '.join(dataset.labels)}: name the data "
            "that it was trained for"
        )
    with bar(console) as progress:
        row = progress.add_task(f"reading {split}", total=None)
        signals = read_signals(dataset, split, lambda done, total: progress.update(row, completed=done, total=total))
    if not len(signals):
        raise DataError(f"{data} has no clip in its {split} partition")
    return extract(signals.samples, config), signals.labels, outline(dataset)


@contextlib.contextmanager
def bar(console: Console) -> Iterator[Progress]:
    """A progress bar with time left, gone when done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress
