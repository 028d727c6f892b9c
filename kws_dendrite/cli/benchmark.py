"""`kws-dendrite benchmark`: what each artefact of a bundle costs to run on this machine, and its C on Cortex-M."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs as given
from kws_dendrite.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from kws_dendrite.export.benchmark.report import DeviceReport
    from kws_dendrite.export.benchmark.subject import Subject

HOST, BOARD = "host", "board"


def benchmark(
    bundle: Annotated[
        Path, typer.Argument(help="The folder that `export` wrote, an int8 .tflite, or a folder of its C.")
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="host (the default); cortex-m3, -m4, -m7, -m33 or -m55 in QEMU; board for firmware to flash. "
            "Repeatable, or with commas between."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the numbers here as JSON.")] = None,
    runs: Annotated[int, typer.Option(min=10, help="host: single-clip runs to time for each artefact.")] = 1000,
    clock: Annotated[float, typer.Option(min=0.1, help="MHz that milliseconds are stated at.")] = 80,
    decisions: Annotated[
        float | None, typer.Option(min=0.01, help="Decisions in a second of audio; the detector's own, or 4.")
    ] = None,
    flags: Annotated[str, typer.Option(help="Cortex-M: the compiler's flags for the model's sources.")] = "-O2",
    method: Annotated[
        str, typer.Option(help="Cortex-M: trace (exact), or timer (SysTick; faster for models of 10 M instructions).")
    ] = "trace",
    data: Annotated[
        str | None, typer.Option(help="Cortex-M: a data folder whose clips the core decides, held to LiteRT.")
    ] = None,
    split: Annotated[str, typer.Option(help="With --data: test, validation or train.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="With --data: at most so many clips.")] = None,
    firmware: Annotated[Path | None, typer.Option(help="board: where the firmware's sources go.")] = None,
    from_serial: Annotated[Path | None, typer.Option(help="Show what a board printed, from this log.")] = None,
    ethos_u: Annotated[
        str | None, typer.Option(help="Also estimate an Ethos-U with Arm's Vela, such as ethos-u55-128.")
    ] = None,
    overwrite: given.OverwriteOption = False,
    as_json: given.JsonOption = False,
) -> None:
    """Time a bundle's artefacts here, or count its C on Cortex-M.

    On this machine: one thread, one clip at a time; says nothing about a device. On an emulated core: instructions,
    exactly, by operator and stage of the front end; flash, RAM and stack; modelled cycles of a Cortex-M4.
    """
    from rich.console import Console

    from kws_dendrite.output import write_json

    targets = _targets(target, from_serial, firmware, ethos_u)
    if ethos_u:
        from kws_dendrite.export.benchmark.vela import check

        check(ethos_u)
    if (limit is not None or split != "test") and data is None:
        raise ConfigError("--split and --limit choose among the clips of --data; name that too")
    console = Console(stderr=True)
    result: dict[str, Any] = {"bundle": str(bundle)}
    if HOST in targets:
        result["host"] = _host(bundle, runs, console)
    cores = [name for name in targets if name not in (HOST, BOARD)]
    reports: list[DeviceReport] = []
    if cores or BOARD in targets or from_serial or ethos_u:
        from kws_dendrite.export.benchmark.subject import open_subject

        with open_subject(bundle) as subject:
            if cores:
                reports += _devices(subject, cores, console, flags=flags, decisions=decisions, method=method,
                                    clips=_clips(subject, data, split, limit, console))  # fmt: skip
            if from_serial:
                from kws_dendrite.export.benchmark.board import read_serial

                report, hertz = read_serial(from_serial, subject.c_folder, decisions_per_second=decisions)
                reports.append(report)
                clock = hertz / 1e6 or clock
            if BOARD in targets:
                result["firmware"] = str(_board(subject, firmware, overwrite))
            vela = _vela(subject, ethos_u) if ethos_u else None
            if vela:
                result["ethos_u"] = vela.to_json()
    if reports:
        result["clock_mhz"] = clock
        result["devices"] = [report.to_json() for report in reports]
    if out is not None:
        write_json(out, result["host"] if set(result) == {"bundle", "host"} else result)
    if as_json:
        print(json.dumps(result))
        return
    if HOST in targets:
        _show_host(result["host"], runs, bundle)
    from kws_dendrite.cli.device_table import show, show_vela

    printer = Console()
    for report in reports:
        show(report, clock, printer)
    if ethos_u:
        show_vela(vela, printer)
    if BOARD in targets:
        print(f"firmware written to {firmware}; docs/board.md says how to build it with a board's SDK")


def _targets(
    target: list[str] | None, from_serial: Path | None, firmware: Path | None, ethos_u: str | None
) -> list[str]:
    """The targets in the order they were named, each once; the host where nothing else is asked for."""
    from kws_dendrite.export.benchmark.targets import find_target

    names = [name.strip().lower() for entry in target or [] for name in entry.split(",") if name.strip()]
    for name in names:
        if name not in (HOST, BOARD):
            find_target(name)
    if (BOARD in names) != (firmware is not None):
        raise ConfigError(
            "--target board writes a firmware's sources: name their folder with --firmware, and only then"
        )
    return list(dict.fromkeys(names)) or ([] if from_serial or ethos_u else [HOST])


def _host(bundle: Path, runs: int, console: Console) -> list[dict[str, Any]]:
    from kws_dendrite.export.benchmark.host import host_note, time_host

    with console.status("timing each artefact"):
        rows = time_host(bundle, runs=runs)
    note = host_note(bundle)
    if note:
        given.say(console, note)
    return [row.to_json() for row in rows]


def _clips(
    subject: Subject, data: str | None, split: str, limit: int | None, console: Console
) -> tuple[np.ndarray, np.ndarray] | None:
    """int8 inputs and LiteRT's outputs: of a data folder's clips, or of the bundle's test vector."""
    if data is None:
        return subject.vectors()
    from kws_dendrite.export.predictor import TFLitePredictor

    if subject.tflite is None:
        raise DataError("a folder of C sources does not say how features are made; name the bundle")
    predictor = TFLitePredictor(subject.tflite)
    if not predictor.labels or predictor.frontend is None:
        raise DataError(f"{subject.tflite} has no labels.txt and frontend.json beside it; keep it in its bundle folder")
    frontend = dict(predictor.frontend)
    task = frontend.pop("task", None)
    clips = given.features_as_trained(data, predictor.labels, frontend, task, split, console).features[:limit]
    quantized = predictor.quantize(clips.reshape(len(clips), -1))
    return quantized, predictor.run(quantized)


def _devices(
    subject: Subject,
    cores: list[str],
    console: Console,
    *,
    flags: str,
    decisions: float | None,
    method: str,
    clips: tuple[np.ndarray, np.ndarray] | None,
) -> list[DeviceReport]:
    from kws_dendrite.export.benchmark.device import measure
    from kws_dendrite.export.benchmark.inputs import Inputs

    inputs = Inputs(*clips) if clips else None
    reports = []
    for core in cores:
        with console.status(f"counting on an emulated {core}"):
            reports.append(
                measure(subject.c_folder, core, flags=flags.split(), decisions_per_second=decisions,
                        inputs=inputs, method=method)
            )  # fmt: skip
    return reports


def _board(subject: Subject, folder: Path, overwrite: bool) -> Path:
    from kws_dendrite.export.benchmark.board import write_board

    vectors = subject.vectors()
    clip, expected = (vectors[0][0], vectors[1][0]) if vectors else (None, None)
    return write_board(subject.c_folder, folder, clip=clip, expected=expected, overwrite=overwrite)


def _vela(subject: Subject, configuration: str) -> Any:
    from kws_dendrite.export.benchmark.vela import estimate

    if subject.tflite is None:
        raise DataError("Ethos-U estimates are made from the .tflite; name the bundle")
    return estimate(subject.tflite, configuration)


def _show_host(rows: list[dict[str, Any]], runs: int, bundle: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("artefact", "runtime", "bytes", "median us", "10 %", "90 %", box=None)
    for column in table.columns:
        column.overflow = "fold"
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        times = [f"{row[name]:,.1f}" for name in ("median_us", "p10_us", "p90_us")]
        table.add_row(row["artefact"], row["runtime"], f"{row['bytes']:,}", *times)
    console = Console()
    console.print(table)
    console.print(f"One clip, one thread, {runs:,} runs each, on {rows[0]['machine']}; says nothing about a device.")
