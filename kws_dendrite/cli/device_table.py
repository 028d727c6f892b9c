"""The device benchmark's report for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.export.benchmark.report import Count, DeviceReport
    from kws_dendrite.export.benchmark.vela import VelaEstimate


def show(report: DeviceReport, clock_mhz: float, console: Console) -> None:
    """Tables of what was counted, then a line each for size, stack, outputs and tools."""
    columns = _Columns(report)
    console.print(f"\n[bold]{report.target}[/bold]")
    console.print(_operators(report, columns))
    if report.stages:
        console.print(_stages(report, columns))
    console.print(_totals(report, clock_mhz, columns))
    for line in _lines(report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_vela(estimate: VelaEstimate, console: Console) -> None:
    """One line."""
    console.print(
        f"{estimate.configuration}: {estimate.cycles:,} cycles, {estimate.milliseconds:.3f} ms at "
        f"{estimate.clock_hz / 1e6:,.0f} MHz, {estimate.sram_kib:.1f} KiB SRAM; Vela {estimate.version}'s estimate, "
        "not measured",
        highlight=False,
        soft_wrap=True,
    )


class _Columns:
    """The units that a report has: instructions, cycles, or both."""

    def __init__(self, report: DeviceReport) -> None:
        self.instructions = report.inference.instructions is not None
        self.cycles = report.inference.cycles is not None
        cycles = "cycles" if report.method == "board" else "cycles, modelled"
        self.names = [*(["instructions"] if self.instructions else []), *([cycles] if self.cycles else [])]

    def of(self, count: Count) -> list[str]:
        """A cost in those units."""
        values = [*([count.instructions] if self.instructions else []), *([count.cycles] if self.cycles else [])]
        return ["" if value is None else _number(value) for value in values]


def _operators(report: DeviceReport, columns: _Columns) -> Table:
    table = _table("operator", "shape", "MACs", *columns.names, "a MAC", left=2)
    left = report.inference
    for row in report.operators:
        unit = row.count.instructions if columns.instructions else row.count.cycles
        a_mac = f"{unit / row.macs:.2f}" if row.macs and unit else ""
        shape = "x".join(str(size) for size in row.shape)
        macs = f"{row.macs:,}" if row.macs else ""
        table.add_row(f"{row.index} {row.operator}", shape, macs, *columns.of(row.count), a_mac)
        left = left + row.count.times(-1)
    table.add_row("call and return", "", "", *columns.of(left), "")
    table.add_row("inference", "", "", *columns.of(report.inference), "", style="bold")
    return table


def _stages(report: DeviceReport, columns: _Columns) -> Table:
    table = _table("front end", *columns.names)
    for row in report.stages:
        table.add_row(row.stage + (", a decision" if row.stage == "CMVN" else ", a frame"), *columns.of(row.count))
    if report.frame:
        table.add_row("a frame", *columns.of(report.frame), style="bold")
    if report.features:
        table.add_row("CMVN and quantisation, a decision", *columns.of(report.features), style="bold")
    return table


def _totals(report: DeviceReport, clock_mhz: float, columns: _Columns) -> Table:
    table = _table("in all", *columns.names, *([f"ms at {clock_mhz:g} MHz", "load"] if columns.cycles else []))

    def add(name: str, count: Count, per_second: float) -> None:
        timed = []
        if columns.cycles and count.cycles is not None:
            ms = count.cycles / (clock_mhz * 1000)
            timed = [f"{ms:,.2f}", f"{ms * per_second / 1000:.1%}"]
        table.add_row(name, *columns.of(count), *timed)

    rate = report.decisions_per_second
    add("a decision", report.decision, rate)
    if report.per_second and report.frame:
        add("a frame", report.frame, report.frames_per_second)
        add(f"a second: {report.frames_per_second:g} frames, {rate:.3g} decisions", report.per_second, 1)
    if report.second:
        add(f"a second as it ran, {report.second.inferences} decisions", report.second.count, 1)
    return table


def _lines(report: DeviceReport) -> list[str]:
    lines = []
    if report.footprint:
        flash = {part.part: part.flash for part in report.footprint.parts}
        ram = {part.part: part.ram for part in report.footprint.parts}
        parts = ", ".join(f"{name} {size:,}" for name, size in flash.items() if size and name != "harness")
        lines.append(f"flash {report.footprint.flash:,} B: {parts}")
        deepest = max((report.stack or {}).values(), default=0)
        lines.append(f"RAM {report.ram:,} B: state {report.footprint.ram:,}, stack {deepest:,}")
        sections = ", ".join(f"{name} {size:,}" for name, size in report.footprint.sections.items())
        lines.append(
            f"sections {sections}; the benchmark's own among them: flash {flash['harness']:,}, RAM {ram['harness']:,}"
        )
    if report.stack:
        lines.append("stack by call: " + ", ".join(f"{name} {size:,}" for name, size in report.stack.items()))
    if report.accuracy:
        held = report.accuracy
        lines.append(
            f"outputs equal to LiteRT's, all bytes: {held.equal:,} of {held.clips:,}; {held.decisions:,} decisions"
        )
    if report.method == "board":
        lines.append("cycles measured on the board, flash wait states and caches included")
        return lines
    if report.inference.cycles is not None:
        lines.append("cycles are a model of the core with zero wait states, to +-15 %; a board's flash adds to them")
    else:
        lines.append("instructions only: no model of this core's cycles")
    if report.method == "timer":
        lines.append("counted by SysTick: to some 15 instructions a call or operator")
    lines.append(f"{report.compiler}, {' '.join(report.flags)}; {report.emulator}")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.1f}"


def _table(*headers: str, left: int = 1) -> Table:
    table = Table(*headers, box=None)
    for index, column in enumerate(table.columns):
        column.overflow = "fold"
        column.justify = "left" if index < left else "right"
    return table
