"""What the commands that read data share: options, the features of a data folder, a progress bar on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.training import device

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from kws_dendrite.data import AugmentConfig, FeatureBank
    from kws_dendrite.models import ModelConfig

DataArgument = Annotated[str, typer.Argument(help="A data folder, or 'demo'.", show_default=False)]
DataOption = Annotated[str, typer.Option("--data", help="A data folder, or 'demo'.")]
KeywordsOption = Annotated[
    str | None, typer.Option(help="Words to spot, with commas between; other words become _unknown_.")
]
FrontendOption = Annotated[str, typer.Option(help="logmel, mfcc or mfe (the latter two as Edge Impulse's blocks).")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A front-end setting, such as num_filters=40; repeatable."),
]
CopiesOption = Annotated[int, typer.Option(min=0, help="Augmented copies of each training clip.")]
AugmentOption = Annotated[
    list[str] | None,
    typer.Option(
        "--augment", metavar="NAME=VALUE", help="A setting of augmentation, such as continuous=0.5; repeatable."
    ),
]
CacheOption = Annotated[Path, typer.Option(help="Folder that keeps computed features; it may be deleted any time.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out clips that cannot be read.")]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
DeviceOption = Annotated[
    str,
    typer.Option(help="That trains, as torch names it: cuda for hundreds of nets at once, without growth."),
]
TeacherOption = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint of a larger net on the same data and front end; what it says of every clip is 0.7 of the "
        "target, or as much as --recipe distillation=... says."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in the folder.")]
CoefficientsOption = Annotated[int, typer.Option(min=1, help="Per frame; for an Edge Impulse block's X_split_*.npy.")]
SpeakerOption = Annotated[
    str | None, typer.Option(help="Regular expression with a group (?P<speaker>...), searched in each clip's path.")
]

DEFAULT_CACHE = Path("kws_cache")
DEFAULT_COPIES = 6
DEFAULT_DEVICE = device.DEFAULT
DEFAULT_COEFFICIENTS = 13  # of Edge Impulse's MFCC block


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
    coefficients: int = DEFAULT_COEFFICIENTS
    augmentation: tuple[str, ...] = ()

    @property
    def augment(self) -> AugmentConfig:
        """What happens to the copies."""
        from kws_dendrite.data import AugmentConfig
        from kws_dendrite.settings import parse_assignments, parse_settings

        texts = parse_assignments(self.augmentation)
        if "copies" in texts:
            raise ConfigError("the number of copies has an option of its own, --copies; leave copies out of --augment")
        return parse_settings(AugmentConfig, {"copies": str(self.copies), **texts})


def holds_arrays(data: str) -> bool:
    """Whether `data` is an Edge Impulse block's folder of arrays."""
    return (Path(data) / "X_split_train.npy").is_file()


def refuse_settings(choice: Choice) -> None:
    """Say which options make no sense where the features are computed already."""
    given = {"--keywords": choice.keywords, "--set": choice.settings, "--augment": choice.augmentation}
    for name, value in given.items():
        if value:
            raise ConfigError(f"{choice.data} holds features that are computed already; leave {name} out")


def load_features(choice: Choice, console: Console) -> FeatureBank:
    """Clips to features, with a progress bar; or an Edge Impulse block's arrays as they are."""
    from kws_dendrite.data import build_bank, load_block_arrays, load_dataset
    from kws_dendrite.frontend import FeatureCache, configure
    from kws_dendrite.settings import parse_assignments

    if holds_arrays(choice.data):
        refuse_settings(choice)
        return load_block_arrays(choice.data, choice.coefficients)
    config = configure(choice.frontend, parse_assignments(choice.settings))
    dataset = load_dataset(choice.data, task_of(choice, config.sampling_freq))
    with bar(console) as progress:
        row = progress.add_task(f"features ({choice.frontend})", total=None)
        bank = build_bank(
            dataset,
            config,
            choice.augment,
            FeatureCache(choice.cache),
            lambda done, total: progress.update(row, completed=done, total=total),
        )
    if bank.summary.get("unreadable"):
        count = bank.summary["unreadable"]
        say(console, f"skipped {count} unreadable clip(s); `kws-dendrite data {choice.data} --skip-bad` names them")
    return bank


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


@dataclass(frozen=True)
class Partition:
    """Clips to measure on: features (N, T, F), labels (N,), and the data's summary."""

    features: np.ndarray
    labels: np.ndarray
    summary: dict[str, Any]


def features_as_trained(
    data: str,
    labels: tuple[str, ...],
    frontend: dict[str, Any],
    task: dict[str, Any] | None,
    split: str,
    console: Console,
) -> Partition:
    """A partition of `data` as a model that exists wants it.

    The keywords are the model's labels, the rest of the task as it was in training where that is known.

    Raises:
        ConfigError: an unknown partition.
        DataError: data with other classes or features, or without that partition.
    """
    from kws_dendrite.data import PARTITIONS, TaskConfig, load_dataset, outline, read_signals
    from kws_dendrite.frontend import extract, from_json

    if split not in PARTITIONS:
        raise ConfigError(f"--split is one of {', '.join(PARTITIONS)}; got {split!r}")
    if holds_arrays(data):
        return _arrays_as_trained(data, labels, frontend, split)
    if not frontend.get("block"):
        raise DataError(
            "the model was trained on features that Edge Impulse computed; evaluate and export it with a folder of "
            f"such arrays (X_split_train.npy and so on), which {data} is not"
        )
    config = from_json(frontend)
    trained = TaskConfig.from_json(task) if task else TaskConfig(sampling_freq=config.sampling_freq)
    dataset = load_dataset(data, trained.for_labels(labels))
    _check_labels(data, dataset.labels, labels)
    with bar(console) as progress:
        row = progress.add_task(f"reading {split}", total=None)
        signals = read_signals(dataset, split, lambda done, total: progress.update(row, completed=done, total=total))
    if not len(signals):
        raise DataError(f"{data} has no clip in its {split} partition")
    return Partition(extract(signals.samples, config), signals.labels, outline(dataset))


def _arrays_as_trained(data: str, labels: tuple[str, ...], frontend: dict[str, Any], split: str) -> Partition:
    from kws_dendrite.data import load_block_arrays

    if split == "test":
        raise DataError(
            f"{data} has no test partition: what Edge Impulse names X_split_test.npy is what training validates on; "
            "take --split validation"
        )
    if frontend.get("block"):
        raise DataError(
            f"the model was trained on this package's {frontend['block']} features, {data} holds Edge Impulse's; name "
            "a folder of recordings"
        )
    bank = load_block_arrays(data, int(frontend.get("coefficients", DEFAULT_COEFFICIENTS)))
    _check_labels(data, bank.labels, labels)
    if split == "train":
        return Partition(bank.train[0].astype("float32"), bank.train_labels, bank.summary)
    return Partition(bank.validation, bank.validation_labels, bank.summary)


def _check_labels(data: str, there: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    if tuple(there) != tuple(wanted):
        raise DataError(
            f"the model tells apart {', '.join(wanted)}; {data} gives {', '.join(there)}: name the data that it was "
            "trained for"
        )


def say(console: Console, text: str) -> None:
    """One line for the user, as it is: no markup, no colours of numbers, no folding."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def check_shape(features: np.ndarray, config: ModelConfig, data: str) -> None:
    """Refuse features (N, T, F) that a model of `config` does not read.

    Raises:
        DataError: another T or F.
    """
    T, F = config.frames, config.coefficients
    _, frames, coefficients = features.shape
    if (frames, coefficients) != (T, F):
        raise DataError(
            f"the model reads {T} frames of {F} coefficients, {data} gives {frames} of {coefficients}: name the data "
            "that it was trained for"
        )


@contextlib.contextmanager
def bar(console: Console) -> Iterator[Progress]:
    """A progress bar with time left, gone when done; nothing where there is no terminal to draw it on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress
