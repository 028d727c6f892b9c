"""The device benchmark's report for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.export.benchmark.report import Count, DeviceReport
    from kws_dendrite.export.benchmark.vela import VelaEstimate

NO = "–"


def show(report: DeviceReport, clock_mhz: float, console: Console) -> None:
    """Tables of what was counted, then a line each for size, stack, outputs and tools."""
    cycles = "cycles" if report.method == "board" else "cycles, modelled"
    console.print(f"\n[bold]{report.target}[/bold]")
    console.print(_operators(report, cycles))
    if report.stages:
        console.print(_stages(report, cycles))
    console.print(_totals(report, clock_mhz, cycles))
    for line in _lines(report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_vela(estimate: VelaEstimate, console: Console) -> None:
    """One line."""
    console.print(
        f"{estimate.configuration}: {estimate.cycles:,} cycles, {estimate.milliseconds:.3f} ms at "
        f"{estimate.clock_hz / 1e6:,.0f} MHz, {estimate.sram_kib:.1f} KiB SRAM; Vela {estimate.version}'s estimate, "
        "not measured",
        highlight=False,
    )


def _operators(report: DeviceReport, cycles: str) -> Table:
    table = _table("operator", "shape", "MACs", "instructions", "a MAC", cycles, left=2)
    left = report.inference
    for row in report.operators:
        counted = row.count
        a_mac = counted.instructions / row.macs if row.macs and counted.instructions else None
        shape = "x".join(str(size) for size in row.shape)
        table.add_row(
            f"{row.index} {row.operator}",
            shape,
            f"{row.macs:,}" if row.macs else "",
            *_pair(counted, a_mac),
        )
        left = left + counted.times(-1)
    table.add_row("call and return", "", "", *_pair(left))
    table.add_row("inference", "", "", *_pair(report.inference), style="bold")
    return table


def _stages(report: DeviceReport, cycles: str) -> Table:
    table = _table("front end", "instructions", cycles)
    for row in report.stages:
        table.add_row(row.stage + (", a decision" if row.stage == "CMVN" else ", a frame"), *_two(row.count))
    if report.frame:
        table.add_row("a frame", *_two(report.frame), style="bold")
    if report.features:
        table.add_row("CMVN and quantisation, a decision", *_two(report.features), style="bold")
    return table


def _totals(report: DeviceReport, clock_mhz: float, cycles: str) -> Table:
    table = _table("", "instructions", cycles, f"ms at {clock_mhz:g} MHz", f"of a core at {clock_mhz:g} MHz")

    def add(name: str, count: Count, per_second: float | None) -> None:
        ms = None if count.cycles is None else count.cycles / (clock_mhz * 1000)
        share = NO if ms is None or per_second is None else f"{ms * per_second / 1000:.1%}"
        table.add_row(name, *_two(count), NO if ms is None else f"{ms:,.2f}", share)

    rate = report.decisions_per_second
    add("a decision", report.decision, rate)
    if report.per_second and report.frame:
        add("a frame", report.frame, report.frames_per_second)
        name = f"a second: {report.frames_per_second:g} frames, {rate:.3g} decisions"
        add(name, report.per_second, 1)
    if report.second:
        add(f"a second, measured: {report.second.inferences} decisions", report.second.count, 1)
    return table


def _lines(report: DeviceReport) -> list[str]:
    lines = []
    if report.footprint:
        parts = [
            f"{part.part} {part.flash:,}" for part in report.footprint.parts if part.flash and part.part != "harness"
        ]
        lines.append(f"flash {report.footprint.flash:,} B: {', '.join(parts)}")
        deepest = max((report.stack or {}).values(), default=0)
        lines.append(f"RAM {report.ram:,} B: state {report.footprint.ram:,}, stack {deepest:,}")
        harness = next(part for part in report.footprint.parts if part.part == "harness")
        sections = ", ".join(f"{name} {size:,}" for name, size in report.footprint.sections.items())
        lines.append(f"sections {sections}; of it the benchmark's own {harness.flash:,} flash, {harness.ram:,} RAM")
    if report.stack:
        lines.append("stack " + ", ".join(f"{name} {size:,}" for name, size in report.stack.items()))
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
        lines.append("instructions only: there is no cycle model of this core here")
    if report.method == "timer":
        lines.append("counted by SysTick: to some 15 instructions a call or operator")
    lines.append(f"{report.compiler}, {' '.join(report.flags)}; {report.emulator}")
    return lines


def _pair(count: Count, a_mac: float | None = None) -> tuple[str, str, str]:
    instructions, cycles = _two(count)
    return instructions, "" if a_mac is None else f"{a_mac:.2f}", cycles


def _two(count: Count) -> tuple[str, str]:
    return _number(count.instructions), _number(count.cycles)


def _number(value: float | None) -> str:
    return NO if value is None else f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.1f}"


def _table(*headers: str, left: int = 1) -> Table:
    table = Table(*headers, box=None)
    for index, column in enumerate(table.columns):
        column.overflow = "fold"
        column.justify = "left" if index < left else "right"
    return table
