"""Instructions of each measured call, exactly: from a function's first instruction to its return, split at the marks.

    python -m kws_dendrite.export.benchmark.count C_FOLDER --target cortex-m4 [--flags="-O3"]

prints a generated folder's counts by operator.
"""

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError, KwsDendriteError
from kws_dendrite.export.benchmark.c_folder import header_number, parts_of, read_operators, sources_of
from kws_dendrite.export.benchmark.cycles import model_cycles, read_disassembly
from kws_dendrite.export.benchmark.elf import Elf, read_elf
from kws_dendrite.export.benchmark.firmware import BASE, FLAGS, Firmware, compile_sources, link
from kws_dendrite.export.benchmark.targets import Target, find_target
from kws_dendrite.export.benchmark.toolchain import OBJDUMP, find, output
from kws_dendrite.export.benchmark.trace import Trace, trace

OPERATOR, STAGE, REST = 0, 1, -1
IDLE = "kws_bench_nothing"  # the call by which the stamps measure themselves


@dataclass(frozen=True)
class Segment:
    """What ran up to a mark.

    Attributes:
        kind: OPERATOR or STAGE; REST from the last mark to the return.
        index: of the operator or the stage.
        instructions: exact.
        cycles: modelled; None on a core without a model.
    """

    kind: int
    index: int
    instructions: int
    cycles: int | None = None


@dataclass(frozen=True)
class Call:
    """One measured call.

    Attributes:
        function: the name of what was called.
        instructions: from its first to its return, its own calls included.
        cycles: modelled; None on a core without a model.
        segments: the same, split at the marks, in order.
        functions: instructions by the function that they belong to.
        entries: how often each function was entered.
    """

    function: str
    instructions: int
    cycles: int | None
    segments: tuple[Segment, ...]
    functions: dict[str, int]
    entries: dict[str, int]


def count_calls(firmware: Firmware, folder: Path, files: dict[str, bytes] | None = None) -> tuple[Call, ...]:
    """Run a firmware in `folder` and count every call through `kws_bench_call`, in order.

    Raises:
        ExportError: a tool is missing, a run that does not end, a call that does not return.
    """
    run, elf = trace(firmware, folder, files), read_elf(firmware.path)
    model = None
    if firmware.target.modelled:
        model = model_cycles(run, read_disassembly(output([find(OBJDUMP), "-d", str(firmware.path)])))
    site, back = elf.address("kws_bench_site"), elf.address("kws_bench_return")
    marks = {mark.address: mark for mark in elf.marks}
    names, starts, owners = elf.functions(), run.starts, _owners(run, elf)
    heads = [Counter([names[block[0]]] if block[0] in names else ()) for block in run.blocks]  # a call ends a block
    made: list[Call] = []
    segments: list[Segment] = []
    function, entered, edge = "", None, (0, 0)
    for position, offset, address in run.find({site, back, *marks}):
        now = (int(starts[position]) + offset, model.at(run, position, offset) if model else 0)
        if address == site:
            # the call ends its block: what it calls is the next block's beginning
            entered = edge = (int(starts[position + 1]), int(model.starts[position + 1]) if model else 0)
            callee = run.blocks[int(run.sequence[position + 1])][0]
            function, segments, first = names.get(callee, hex(callee)), [], position + 1
        elif entered is not None:
            mark = marks.get(address)
            kind, index = (mark.kind, mark.index) if mark else (REST, 0)
            segments.append(Segment(kind, index, now[0] - edge[0], now[1] - edge[1] if model else None))
            edge = now
            if address == back and function != IDLE:
                inside = _by_function(run.sequence[first:position], owners)
                entries = _by_function(run.sequence[first:position], heads)
                cycles = now[1] - entered[1] if model else None
                made.append(Call(function, now[0] - entered[0], cycles, tuple(segments), inside, entries))
            if address == back:
                entered = None
    if entered is not None:
        raise ExportError(f"{function} did not return in the emulator")
    return tuple(made)


def _owners(run: Trace, elf: Elf) -> list[Counter]:
    """For each block, how many of its instructions belong to which function."""
    of = {}
    for symbol in elf.symbols:
        if symbol.function:
            of |= dict.fromkeys(range(symbol.address, symbol.address + symbol.size, 2), symbol.name)
    return [Counter(of.get(address, "?") for address in block) for block in run.blocks]


def _by_function(sequence: np.ndarray, owners: list[Counter]) -> dict[str, int]:
    """Sums of what each block has, over the blocks as they ran; the largest first."""
    total: Counter = Counter()
    for block, times in zip(*np.unique(sequence, return_counts=True), strict=True):
        for name, count in owners[block].items():
            total[name] += count * int(times)
    return dict(total.most_common())


def count_source(
    sources: Sequence[Path],
    main: str,
    target: Target | str,
    *,
    flags: Sequence[str] = FLAGS,
    files: dict[str, bytes] | None = None,
) -> dict[str, list[int]]:
    """Compile C or assembly sources with a `main` of one's own and count what it calls.

    Args:
        sources: files to compile; their folder is on the include path.
        main: C text with `int main(void)` that calls `kws_bench_call((void (*)(void))function, a, b, c)` of "bench.h"
            for each call that is to be counted.
        target: the core, or its name.
        flags: of the compiler, for `sources`.
        files: what the run's folder holds.

    Returns:
        function -> the instructions of each of its calls, in order.

    Raises:
        ExportError: a tool is missing, a source does not compile, a run does not end.
    """
    target = find_target(target) if isinstance(target, str) else target
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folder = Path(name)
        (folder / "main.c").write_text(main, encoding="utf-8")
        objects = compile_sources(sources, target, folder, flags=flags)
        firmware = link(objects, folder, "count", harness=(*BASE, folder / "main.c"))
        counted: dict[str, list[int]] = defaultdict(list)
        for call in count_calls(firmware, folder / "run", files):
            counted[call.function].append(call.instructions)
    return dict(counted)


def count_folder(
    c_folder: Path, target: Target | str, *, flags: Sequence[str] = FLAGS, clips: bytes | None = None
) -> tuple[Call, ...]:
    """Count inferences of a generated folder's model.

    Args:
        c_folder: what `write_c` wrote.
        target: the core, or its name.
        flags: of the compiler.
        clips: int8 inputs of the model, one after the other; None for one clip of zeros.

    Raises:
        ExportError: a tool is missing, a source does not compile, a run does not end.
    """
    target = find_target(target) if isinstance(target, str) else target
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folder = Path(name)
        objects = compile_sources(sources_of(c_folder), target, folder, flags=flags)
        firmware = link(objects, folder, "count", defines=parts_of(c_folder))
        given = bytes(header_number(c_folder, "kws_model.h", "KWS_MODEL_INPUT_SIZE")) if clips is None else clips
        return count_calls(firmware, folder / "run", {"clips.bin": given})


def _print(made: tuple[Call, ...], rows: dict[int, dict]) -> None:
    for call in made:
        print(f"{call.function} {call.instructions:,}" + (f" ({call.cycles:,} cycles modelled)" if call.cycles else ""))
        for segment in call.segments:
            row = rows.get(segment.index, {}) if segment.kind == OPERATOR else {}
            label = {OPERATOR: "operator", STAGE: "stage", REST: "rest"}[segment.kind]
            macs = f"{segment.instructions / row['macs']:.2f} a MAC" if row.get("macs") else ""
            text = f"{row.get('operator', '')} {row.get('shape', '')} {row.get('kernel', '')}"
            print(f"  {label} {segment.index:3d} {segment.instructions:10,d}  {macs:14s} {text}")
        for name, instructions in call.functions.items():
            print(f"  in {name:40s} {instructions:10,d}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Instructions of a generated folder's model, by operator.")
    parser.add_argument("c_folder", type=Path)
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--flags", default=" ".join(FLAGS))
    given = parser.parse_args()
    try:
        _print(count_folder(given.c_folder, given.target, flags=given.flags.split()), read_operators(given.c_folder))
    except KwsDendriteError as error:
        sys.exit(f"error: {error}")
