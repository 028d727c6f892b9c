"""Instructions of each measured call, exactly: from a function's first instruction to its return, split at the marks.

    python -m kws_dendrite.export.benchmark.count C_FOLDER --target cortex-m4 [--flags="-O3"]

prints a generated folder's counts by operator and by stage of the front end.
"""

import argparse
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kws_dendrite.errors import ExportError, KwsDendriteError
from kws_dendrite.export.benchmark.elf import Elf, read_elf
from kws_dendrite.export.benchmark.firmware import BASE, FLAGS, compile_sources, link, parts_of, sources_of
from kws_dendrite.export.benchmark.targets import Target, find_target
from kws_dendrite.export.benchmark.trace import Trace, trace


@dataclass(frozen=True)
class Segment:
    """Instructions up to a mark: kind 0 an operator's, 1 a stage's; -1 from the last mark to the return."""

    kind: int
    index: int
    instructions: int


@dataclass(frozen=True)
class Call:
    """One measured call.

    Attributes:
        function: the name of what was called.
        instructions: from its first to its return, its own calls included.
        segments: the same, split at the marks, in order.
        first, last: instructions of the whole run before the call, and with it.
    """

    function: str
    instructions: int
    segments: tuple[Segment, ...]
    first: int
    last: int


def calls(run: Trace, elf: Elf) -> tuple[Call, ...]:
    """Every call through `kws_bench_call`, in order.

    Raises:
        ExportError: a call that does not return.
    """
    site, back = elf.address("kws_bench_site"), elf.address("kws_bench_return")
    marks = {mark.address: mark for mark in elf.marks}
    names, starts = elf.functions(), run.starts
    made: list[Call] = []
    segments: list[Segment] = []
    entry = edge = -1
    function = ""
    for position, offset, address in run.find({site, back, *marks}):
        at = int(starts[position]) + offset
        if address == site:
            entry = edge = at + 1  # the call itself is the harness'
            callee = run.blocks[int(run.sequence[position + 1])][0]
            function, segments = names.get(callee, hex(callee)), []
        elif entry >= 0:
            mark = marks.get(address)
            segments.append(Segment(mark.kind if mark else -1, mark.index if mark else 0, at - edge))
            edge = at
            if address == back:
                made.append(Call(function, at - entry, tuple(segments), entry, at))
                entry = -1
    if entry >= 0:
        raise ExportError(f"{function} did not return in the emulator")
    return tuple(made)


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
        flags: of the compiler, for `sources` and `main`.
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
        include = sources[0].parent if sources else folder
        objects = compile_sources(sources, target, folder, flags=flags, include=include)
        firmware = link(objects, target, folder, "count", harness=(*BASE, folder / "main.c"))
        counted: dict[str, list[int]] = defaultdict(list)
        for call in calls(trace(firmware, folder / "run", files), read_elf(firmware.path)):
            counted[call.function].append(call.instructions)
    return dict(counted)


def count_folder(
    c_folder: Path,
    target: Target | str,
    *,
    flags: Sequence[str] = FLAGS,
    clips: bytes | None = None,
    audio: bytes | None = None,
    stream: bytes | None = None,
) -> tuple[Call, ...]:
    """Count the calls of a generated folder: inferences, frames, decisions' features, the detector's frames.

    Args:
        c_folder: what `write_c` wrote.
        target: the core, or its name.
        flags: of the compiler.
        clips: int8 inputs of the model, one after the other; None for one clip of zeros.
        audio: int16 samples for the front end, frame by frame; None for none.
        stream: int16 samples for the detector, frame by frame; None for none.

    Raises:
        ExportError: a tool is missing, a source does not compile, a run does not end.
    """
    target = find_target(target) if isinstance(target, str) else target
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folder = Path(name)
        objects = compile_sources(sources_of(c_folder), target, folder, flags=flags)
        firmware = link(objects, target, folder, "count", defines=parts_of(c_folder))
        files = {"clips.bin": one_clip(c_folder) if clips is None else clips}
        files |= {"audio.bin": audio} if audio else {}
        files |= {"stream.bin": stream} if stream else {}
        return calls(trace(firmware, folder / "run", files), read_elf(firmware.path))


def one_clip(c_folder: Path) -> bytes:
    """A clip of zeros for the folder's model; nothing where it has none."""
    return bytes(header_number(c_folder, "kws_model.h", "KWS_MODEL_INPUT_SIZE"))


def header_number(c_folder: Path, header: str, name: str) -> int:
    """A macro's number in one of the folder's headers, 0 where the header is not there.

    Raises:
        ExportError: the header has no such macro.
    """
    path = Path(c_folder) / header
    if not path.is_file():
        return 0
    found = re.search(rf"^\s*#define\s+{name}\s+\(?(-?\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise ExportError(f"{path} does not define {name}; write the C sources again")
    return int(found[1])


def _print(made: tuple[Call, ...], c_folder: Path) -> None:
    described = json.loads((c_folder / "kws_model.json").read_text(encoding="utf-8")) if made else {}
    rows = {row["index"]: row for row in described.get("operators", ())}
    for call in made:
        print(f"{call.function} {call.instructions:,}")
        for segment in call.segments:
            row = rows.get(segment.index, {}) if segment.kind == 0 else {}
            label = ("operator", "stage", "rest")[segment.kind]
            macs = f"{segment.instructions / row['macs']:.2f} a MAC" if row.get("macs") else ""
            text = f"{row.get('operator', '')} {row.get('shape', '')} {row.get('kernel', '')}"
            print(f"  {label} {segment.index:3d} {segment.instructions:10,d}  {macs:14s} {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Instructions of a generated folder's model, by operator.")
    parser.add_argument("c_folder", type=Path)
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--flags", default=" ".join(FLAGS))
    given = parser.parse_args()
    try:
        _print(count_folder(given.c_folder, given.target, flags=given.flags.split()), given.c_folder)
    except KwsDendriteError as error:
        sys.exit(f"error: {error}")
