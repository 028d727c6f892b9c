"""`kws-dendrite pick`: which net of a search to ship, and its bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs, searched
from kws_dendrite.cli.refit import EpochsOption, MembersOption
from kws_dendrite.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.cli.desk import Desk
    from kws_dendrite.search.candidates import Target
    from kws_dendrite.search.choice import Candidate, Wish
    from kws_dendrite.search.objective import Objective


def pick(
    folder: searched.FolderArgument,
    max_params: Annotated[str | None, typer.Option(help="Folded parameters, at most, such as 1500.")] = None,
    max_macs: Annotated[str | None, typer.Option(help="Multiply-accumulates of a clip, such as 80k.")] = None,
    max_flash: Annotated[str | None, typer.Option(help="Bytes, such as 16k.")] = None,
    max_ram: Annotated[str | None, typer.Option(help="Bytes, such as 8k.")] = None,
    max_latency: Annotated[str | None, typer.Option(help="Modelled, such as 20ms or 20ms@cortex-m4@80.")] = None,
    min_accuracy: Annotated[
        str | None,
        typer.Option(help="Take the cheapest net whose lower interval end reaches this, such as 0.92 or 92%."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="CORE or CORE@MHZ to count costs on, front end included; else as the search counted them."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Export the net's bundle to this folder.")] = None,
    data: searched.DataAgainOption = None,
    members: MembersOption = 5,
    epochs: EpochsOption = None,
    storage: searched.StorageOption = None,
    cache: inputs.CacheOption = inputs.DEFAULT_CACHE,
    overwrite: inputs.OverwriteOption = False,
    as_json: inputs.JsonOption = False,
) -> None:
    """Name a search's net to ship, and export it.

    The most accurate within the limits, or the cheapest that is accurate enough. A front that was not refitted is
    taken by the search's own figures; with --out the picked net is trained with fresh seeds first. Works while the
    search runs.
    """
    from rich.console import Console

    from kws_dendrite.cli.desk import Desk

    console = Console(stderr=True)
    request = ask(max_params, max_macs, max_flash, max_ram, max_latency, min_accuracy, target)
    found = searched.open_searched(folder, storage)
    desk = Desk(found, request)
    if out is None:
        choice = desk.choose()
    else:
        source = found.data(data, cache, console)
        choice = desk.choose_trained(source, members, epochs, console)
    report = desk.report(choice)
    if out is not None:
        bundle = _export(desk, choice.picked, source, out, overwrite, console)
        report["bundle"] = bundle.to_json()
    if as_json:
        print(json.dumps(report, allow_nan=False))
        return
    from kws_dendrite.cli.pick_table import pick_lines, pick_table

    printer = Console()
    printer.print(pick_table(report))
    for line in pick_lines(report):
        inputs.say(printer, line)


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        limits: as text, by option.
        min_accuracy: 0..1, or None.
        target: where costs are counted, or None.
    """

    limits: dict[str, str | None]
    min_accuracy: float | None
    target: Target | None

    def wish(self, objective: Objective, core: str) -> Wish:
        """For `choose`.

        Args:
            objective: the search's, for where there is no target.
            core: that the search counted flash and RAM on.
        """
        from kws_dendrite.search.choice import Wish
        from kws_dendrite.search.limits import Limits

        about = self.target.objective if self.target else objective
        limits = Limits.parse(**self.limits, objective=about)
        if self.target is None and not objective.core:
            limits = replace(limits, core=core)
        return Wish(limits, self.min_accuracy, _price(about))


def ask(
    max_params: str | None,
    max_macs: str | None,
    max_flash: str | None,
    max_ram: str | None,
    max_latency: str | None,
    min_accuracy: str | None,
    target: str | None,
) -> Request:
    """The command's options, checked.

    Raises:
        ConfigError: a limit that is no number, an accuracy out of range, a core that is not known, or two cores.
    """
    from kws_dendrite.search.candidates import CLOCK, Target, parse_target
    from kws_dendrite.search.objective import DEFAULT_CORE
    from kws_dendrite.search.quantity import parse_latency

    there = parse_target(target) if target is not None else None
    if max_latency is not None:
        _, core, mhz = parse_latency(max_latency)
        named = parse_target(core) if core else there or Target(DEFAULT_CORE)
        if there and core and (core, mhz or there.mhz) != (there.core, there.mhz):
            raise ConfigError(f"--target {target} and --max-latency {max_latency} name two places; name one")
        there = Target(named.core, mhz or (there.mhz if there else CLOCK))
        max_latency = max_latency.partition("@")[0]
    limits = {
        "max_params": max_params,
        "max_macs": max_macs,
        "max_flash": max_flash,
        "max_ram": max_ram,
        "max_latency": max_latency,
    }
    request = Request(limits, None if min_accuracy is None else _share(min_accuracy), there)
    from kws_dendrite.search.objective import PARAMETERS

    request.wish(PARAMETERS, DEFAULT_CORE)  # a limit that cannot be is told before anything is read
    return request


def _export(
    desk: Desk, picked: Candidate, data: searched.SearchData, out: Path, overwrite: bool, console: Console
) -> Any:
    """The bundle of the picked net's best seed, by the ordinary way."""
    from kws_dendrite.cli.export import export_member, parity_text
    from kws_dendrite.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(desk.store.path(picked.name))
    task = checkpoint.record.get("data", {}).get("task")
    calibration, validation = (
        inputs.features_as_trained(data.where, checkpoint.labels, checkpoint.frontend, task, split, console)
        for split in ("train", "validation")
    )
    bundle = export_member(
        checkpoint,
        out,
        calibration=calibration.features,
        validation=(validation.features, validation.labels),
        member=None,
        overwrite=overwrite,
        console=console,
    )
    inputs.say(console, parity_text(bundle))
    return bundle


def _share(text: str) -> float:
    """0.92, 92% or 92 % as 0.92.

    Raises:
        ConfigError: no such text.
    """
    stripped = text.strip()
    try:
        value = float(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ConfigError(f"--min-accuracy is a share above 0 and below 1, such as 0.92 or 92%; got {text!r}")
    return value


def _price(objective: Objective) -> str:
    """What is cheap, in words."""
    words = {"params": "parameters", "macs": "MACs", "flash": "flash", "ram": "RAM"}
    if objective.kind in words:
        return words[objective.kind]
    where = f"{objective.core} at {objective.mhz:g} MHz" if objective.kind == "latency" else objective.core
    return f"{'modelled time' if objective.kind == 'latency' else 'instructions'} on {where}"
