"""`kws-dendrite data`: what is in a folder of recordings; `kws-dendrite data download NAME` fetches a public set."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.data import Dataset, DatasetSummary

DOWNLOAD = "download"


def data(
    path: Annotated[str, typer.Argument(help="A data folder, or 'demo', or 'download'.", show_default=False)],
    name: Annotated[
        str | None, typer.Argument(help="After 'download': which set; speech_commands.", show_default=False)
    ] = None,
    keywords: Annotated[
        str | None, typer.Option(help="Words to spot, with commas between; other words become _unknown_.")
    ] = None,
    speaker_pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression with a group (?P<speaker>...), searched in each clip's path."),
    ] = None,
    sampling_freq: Annotated[int, typer.Option(help="Hz; every clip is resampled to it.")] = 16000,
    window_seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Draws unknown clips, silence, and partitions that are not given.")] = 0,
    all_as: Annotated[
        str | None, typer.Option(help="Take every clip as train, validation or test, whatever the layout says.")
    ] = None,
    coefficients: Annotated[int, typer.Option(help="Per frame; for an Edge Impulse block's X_split_*.npy.")] = 13,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out clips that cannot be read.")] = False,
    to: Annotated[Path, typer.Option(help="After 'download': the folder to put it in.")] = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a data folder holds.

    Classes, clips, speakers, seconds, partitions, clipped and silent clips. `data download NAME` fetches a public set.
    """
    from rich.console import Console

    progress = Console(stderr=True)
    if path == DOWNLOAD and (name is not None or not Path(path).exists()):
        _download(name, to, progress, as_json)
        return
    if name is not None:
        raise DataError(f"one folder at a time: got {path} and {name}")
    if (Path(path) / "X_split_train.npy").is_file():
        _show_arrays(Path(path), coefficients, as_json)
        return
    from kws_dendrite.data import TaskConfig, load_dataset, summarise

    task = TaskConfig(
        keywords=split_words(keywords),
        speaker_pattern=speaker_pattern,
        sampling_freq=sampling_freq,
        window_seconds=window_seconds,
        seed=seed,
        all_as=all_as,
        skip_bad=skip_bad,
    )
    dataset = load_dataset(path, task)
    with _bar(progress) as bar:
        row = bar.add_task("listening", total=len(dataset.clips))
        summary = summarise(dataset, lambda done, total: bar.update(row, completed=done, total=total))
    if as_json:
        print(json.dumps({"path": str(dataset.source), **summary.to_json()}, allow_nan=False))
    else:
        _show(dataset, summary, Console())


def split_words(text: str | None) -> tuple[str, ...] | None:
    """`"yes, no"` to `("yes", "no")`; None stays None."""
    return None if text is None else tuple(word.strip() for word in text.split(","))


def _download(name: str | None, to: Path, console: "Console", as_json: bool) -> None:
    from kws_dendrite.data.download import SOURCES, download

    if name is None:
        raise DataError(f"name the set to download: {', '.join(SOURCES)}")
    with _bar(console) as bar:
        rows: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in rows:
                rows[what] = bar.add_task(what, total=total)
            bar.update(rows[what], completed=done, total=total)

        folder = download(name, to, advance)
    licence = SOURCES[name].licence
    print(json.dumps({"folder": str(folder), "licence": licence}) if as_json else f"{folder}\nlicence: {licence}")


def _bar(console: "Console") -> Any:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _show_arrays(folder: Path, coefficients: int, as_json: bool) -> None:
    from kws_dendrite.data.block_arrays import load_block_arrays

    bank = load_block_arrays(folder, coefficients)
    _, clips, frames, _ = bank.train.shape
    if as_json:
        values = {"path": str(folder), **bank.summary, "frames": frames, "coefficients": coefficients}
        print(json.dumps(values, allow_nan=False))
        return
    print(f"{folder}: an Edge Impulse block's arrays, {frames} frames x {coefficients} coefficients")
    print(f"  {clips} training and {len(bank.validation)} validation clips of {', '.join(bank.labels)}")


def _show(dataset: "Dataset", summary: "DatasetSummary", console: "Console") -> None:
    from rich import box
    from rich.table import Table

    from kws_dendrite.data import PARTITIONS
    from kws_dendrite.data.demo import LICENCE, demo_folder

    title = f"{dataset.name} ({dataset.layout}{', synthetic speech' if dataset.synthetic else ''})"
    table = Table(title=title, title_justify="left", show_footer=True, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    total = {partition: sum(item.clips[partition] for item in summary.classes) for partition in PARTITIONS}
    table.add_column("class", footer="all", overflow="fold", no_wrap=True)
    for partition in PARTITIONS:
        table.add_column(partition, justify="right", footer=str(total[partition]))
    table.add_column("clips", justify="right", footer=str(sum(total.values())))
    table.add_column("speakers", justify="right", footer=str(summary.outline["speakers"] or "-"))
    table.add_column("seconds", justify="right", footer=f"{sum(item.seconds for item in summary.classes):.0f}")
    table.add_column("clipped", justify="right", footer=str(sum(item.clipped for item in summary.classes)))
    table.add_column("silent", justify="right", footer=str(sum(item.silent for item in summary.classes)))
    for item in summary.classes:
        counts = [item.clips[partition] for partition in PARTITIONS]
        row = [*counts, sum(counts), item.speakers or "-", f"{item.seconds:.0f}", item.clipped, item.silent]
        table.add_row(item.label, *map(str, row))
    console.print(table)
    noise = ", ".join(path.name for path in dataset.noise)
    for line in (
        f"noise: {noise or 'none recorded'}",
        *([f"licence: {LICENCE}"] if dataset.source == demo_folder() else []),
        *(f"note: {note}" for note in summary.notes),
        *([f"skipped: {len(summary.skipped)} clips"] if summary.skipped else []),
        *(f"  {line}" for line in summary.skipped[:10]),
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
