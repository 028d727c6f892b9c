"""`kws-dendrite edge-impulse`: a model packed for its upload page, profiled and deployed there; data sets for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs
from kws_dendrite.errors import ConfigError, DataError, OutputError

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.data.edge_impulse_export import ExportedDataset
    from kws_dendrite.export.edge_impulse.comparison import Row
    from kws_dendrite.export.edge_impulse.model import BundleModel
    from kws_dendrite.export.edge_impulse.pack import Material
    from kws_dendrite.export.edge_impulse.studio import Profile, Studio

app = typer.Typer(help="Edge Impulse: a model or a data set for it.", rich_markup_mode=None)


BundleArgument = Annotated[Path, typer.Argument(help="The folder that `export` wrote.", show_default=False)]
DeviceOption = Annotated[str, typer.Option(help="The SDK's name of it, such as cortex-m7-216mhz.")]
TimeoutOption = Annotated[
    float, typer.Option(min=0, help="Seconds that one job in Edge Impulse may take; 0: for ever.")
]
DEVICE, TIMEOUT = "cortex-m4f-80mhz", 600.0
PAUSE = 1.0  # seconds between two looks at a job


@app.command()
def pack(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option(help="Folder for the pack.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option(help="The data that the model was trained on: representative features and sound to check with."),
    ] = None,
    overwrite: inputs.OverwriteOption = False,
    as_json: inputs.JsonOption = False,
) -> None:
    """Write what Edge Impulse's upload page asks for.

    Models, labels, representative features, the front end's C struct and its call, a test vector, and STEPS.md with
    the values to type.
    """
    from rich.console import Console

    from kws_dendrite.export.edge_impulse.model import read_bundle
    from kws_dendrite.export.edge_impulse.pack import write_pack

    console = Console(stderr=True)
    model = read_bundle(bundle)
    material = _material(model, data, console) if data is not None else None
    written = write_pack(model, out, material=material, overwrite=overwrite)
    if as_json:
        print(json.dumps(written.to_json(), allow_nan=False))
        return
    for name, size in written.sizes.items():
        print(f"{size:>10,}  {name}")
    print(f"{out}: begin with STEPS.md")
    if written.front_end == "logmel":
        print("log-mel is no block of Edge Impulse's: STEPS.md, section 5, says what the device then needs")
    elif written.front_end is None:
        print("the bundle does not say how its features are made: STEPS.md, section 5, says what the device then needs")
    if material is None:
        print(f"representative features: the bundle's {written.representative} test clips; --data takes training clips")


def _material(model: BundleModel, data: str, console: Console) -> Material:
    """Training features, and one clip of sound a label, from the data as the model was trained on it."""
    from dataclasses import replace

    import numpy as np

    from kws_dendrite.data import TaskConfig, load_dataset, read_signals
    from kws_dendrite.export.edge_impulse.pack import MOST_REPRESENTATIVE, Material
    from kws_dendrite.frontend import extract

    frontend = dict(model.int8.frontend or {})
    task = frontend.pop("task", None)
    if model.frontend is None or inputs.holds_arrays(data):
        train = inputs.features_as_trained(data, model.labels, frontend, task, "train", console)
        features = train.features.reshape(len(train.features), -1)
        return Material(features, np.empty((0, 0), np.int16), np.empty(0, np.int64))
    config = TaskConfig.from_json(task) if task else TaskConfig(sampling_freq=model.frontend.sampling_freq)
    found = load_dataset(data, config.for_labels(model.labels))
    if found.labels != model.labels:
        raise DataError(
            f"the model tells apart {', '.join(model.labels)}; {data} gives {', '.join(found.labels)}: name the data "
            "that it was trained for"
        )
    train = found.partition("train")
    chosen = [train[row] for row in np.linspace(0, len(train) - 1, min(len(train), MOST_REPRESENTATIVE)).astype(int)]
    features = extract(read_signals(replace(found, clips=tuple(chosen)), "train").samples, model.frontend)
    first = {clip.label: clip for clip in reversed(found.partition("validation"))}
    sound = read_signals(replace(found, clips=tuple(first[label] for label in sorted(first))), "validation")
    return Material(features.reshape(len(features), -1), sound.samples, sound.labels)


@app.command()
def profile(
    bundle: BundleArgument,
    device: DeviceOption = DEVICE,
    timeout: TimeoutOption = TIMEOUT,
    as_json: inputs.JsonOption = False,
) -> None:
    """Studio's RAM, ROM and latency beside this project's own.

    Uploads the int8 file to the project of the key in EI_API_KEY (role Admin), whose model it replaces.
    """
    from rich.console import Console

    from kws_dendrite.export.edge_impulse.comparison import compare, own_row
    from kws_dendrite.export.edge_impulse.model import read_bundle

    console = Console(stderr=True)
    model, own = read_bundle(bundle), own_row(bundle, device)
    with console.status("Edge Impulse") as status:
        studio = _studio(timeout, status.update)
        found = studio.profile(model.int8.path, device)
    rows = compare(found, own)
    if as_json:
        print(json.dumps(_report(studio, found, rows), allow_nan=False))
    else:
        _show_profile(found, rows)


@app.command()
def deploy(
    bundle: BundleArgument,
    device: DeviceOption = DEVICE,
    out: Annotated[
        Path | None, typer.Option(help="File for the archive; BUNDLE_TARGET.zip in the current folder unless given.")
    ] = None,
    target: Annotated[str, typer.Option(help="What to build: zip is the C++ library; arduino, ...")] = "zip",
    engine: Annotated[str, typer.Option(help="tflite, tflite-eon, or tflite-eon-ram-optimized.")] = "tflite-eon",
    timeout: TimeoutOption = TIMEOUT,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: inputs.JsonOption = False,
) -> None:
    """Build the model in Edge Impulse and fetch the library.

    Uploads and profiles as `profile` does, then saves the labels, builds and downloads.
    """
    from rich.console import Console

    from kws_dendrite.export.edge_impulse.comparison import compare, own_row
    from kws_dendrite.export.edge_impulse.model import read_bundle
    from kws_dendrite.export.edge_impulse.studio import ENGINES
    from kws_dendrite.output import replacing

    if engine not in ENGINES:
        raise ConfigError(f"--engine is one of {', '.join(ENGINES)}; got {engine!r}")
    out = out or Path(f"{bundle.resolve().name}_{target}.zip")
    if out.is_dir() or (out.exists() and not overwrite):
        raise OutputError(f"{out} is there already; add --overwrite to replace it, or name another file")
    console = Console(stderr=True)
    model, own = read_bundle(bundle), own_row(bundle, device)
    with replacing(out) as temporary, console.status("Edge Impulse") as status:  # before minutes of work there
        studio = _studio(timeout, status.update)
        studio.check_target(target)
        found = studio.profile(model.int8.path, device)
        archive = studio.deploy(model.labels, target=target, engine=engine)
        temporary.write_bytes(archive)
    rows = compare(found, own)
    if as_json:
        written = {"file": str(out), "bytes": len(archive), "target": target, "engine": engine}
        print(json.dumps({**_report(studio, found, rows), "written": written}, allow_nan=False))
    else:
        _show_profile(found, rows)
        print(f"{out}: {target}, {len(archive):,} bytes")


def _studio(timeout: float, say: Callable[[str], None]) -> Studio:
    from kws_dendrite.export.edge_impulse.client import from_environment
    from kws_dendrite.export.edge_impulse.studio import Studio

    return Studio(from_environment(), timeout=timeout, pause=PAUSE, say=say)


def _report(studio: Studio, found: Profile, rows: tuple[Row, ...]) -> dict[str, Any]:
    return {
        "device": found.device,
        "client": studio.client.version,
        "studio": found.to_json(),
        "rows": [row.to_json() for row in rows],
    }


def _show_profile(found: Profile, rows: tuple[Row, ...]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"{found.device}, {found.variant}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("by", overflow="fold")
    for name in ("RAM, bytes", "ROM, bytes", "ms", "instructions"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [f"{value:,}" if value is not None else "-" for value in (row.ram, row.rom)]
        cells.append("-" if row.milliseconds is None else f"{row.milliseconds:,.3g}")
        cells.append("-" if row.instructions is None else f"{row.instructions:,}")
        table.add_row(row.by, *cells)
    console.print(table)
    lines = ["the network alone, without front end; Studio's figures are its estimates, in whole milliseconds"]
    if not any(row.instructions for row in rows):
        lines.append(f"this project has no costs of {found.device}'s core")
    if not found.supported:
        lines.append("Studio says that the model does not run on microcontrollers")
    if found.problem:
        lines.append(f"Studio says: {found.problem}")
    for line in lines:
        inputs.say(console, line)


@app.command()
def dataset(
    data: Annotated[str, typer.Argument(help="A data folder, or 'demo'.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="Folder for the export.", show_default=False)],
    keywords: inputs.KeywordsOption = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="A label's name in Edge Impulse, such as _silence_=noise; repeatable."),
    ] = None,
    speaker_pattern: inputs.SpeakerOption = None,
    sampling_freq: Annotated[int, typer.Option(help="Hz; every clip is resampled to it.")] = 16000,
    window_seconds: Annotated[float, typer.Option(help="Length of a clip; longer recordings are cut.")] = 1.0,
    seed: inputs.SeedOption = 0,
    skip_bad: inputs.SkipBadOption = False,
    overwrite: inputs.OverwriteOption = False,
    as_json: inputs.JsonOption = False,
) -> None:
    """Write a data set as Edge Impulse exports it.

    WAV clips in training/ and testing/ and one info.labels, for the uploader, the SDK or Studio. Read back, it gives
    the same samples, labels, partitions and speakers.
    """
    from rich.console import Console

    from kws_dendrite.cli.data import split_words
    from kws_dendrite.data import TaskConfig, load_dataset
    from kws_dendrite.data.edge_impulse_export import export_dataset, read_back
    from kws_dendrite.settings import parse_assignments

    console = Console(stderr=True)
    task = TaskConfig(
        keywords=split_words(keywords),
        speaker_pattern=speaker_pattern,
        sampling_freq=sampling_freq,
        window_seconds=window_seconds,
        seed=seed,
        skip_bad=skip_bad,
    )
    found = load_dataset(data, task)
    if to.resolve() == found.source.resolve():
        raise ConfigError(f"{to} is the data itself; name another folder")
    for note in found.notes:
        inputs.say(console, f"note: {note}")
    with inputs.bar(console) as progress:
        row = progress.add_task("writing clips", total=len(found.clips))
        written = export_dataset(
            found,
            to,
            rename=parse_assignments(rename or ()),
            overwrite=overwrite,
            progress=lambda done, total: progress.update(row, completed=done, total=total),
        )
    with console.status("reading it back"):
        equal = read_back(written, task)
    if as_json:
        print(json.dumps({**written.to_json(), "read_back": equal, "notes": list(found.notes)}, allow_nan=False))
    else:
        _show_dataset(written, equal)


def _show_dataset(written: ExportedDataset, equal: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from kws_dendrite.data import PARTITIONS

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_footer=True)
    total = {partition: sum(row[partition] for row in written.clips.values()) for partition in PARTITIONS}
    table.add_column("label", footer="all", overflow="fold")
    for partition in PARTITIONS:
        table.add_column(partition, justify="right", footer=f"{total[partition]:,}")
    for label, row in written.clips.items():
        table.add_row(label, *(f"{row[partition]:,}" for partition in PARTITIONS))
    console.print(table)
    lines = [
        f"{sum(total.values()):,} clips in {written.folder}; those of validation are in training/, marked in metadata",
        f"read back: {equal:,} equal, every sample, label, partition and speaker",
    ]
    if written.duplicates:
        lines.append(
            f"{len(written.duplicates)} clips have the samples of another, such as {written.duplicates[0]}: the "
            "uploader refuses those unless duplicates are allowed"
        )
    lines += [f"skipped: {line}" for line in written.skipped[:10]]
    if len(written.skipped) > 10:
        lines.append(f"skipped: {len(written.skipped) - 10} more")
    for line in lines:
        inputs.say(console, line)
