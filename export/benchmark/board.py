"""The same benchmark on a real board: a folder of firmware for the board's SDK to build, and its report read back."""

import json
import shutil
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.c_folder import (
    frames_per_second,
    header_number,
    model_sha256,
    parts_of,
    read_operators,
    sources_of,
)
from kws_dendrite.export.benchmark.device import DECISIONS_PER_SECOND, own_rate
from kws_dendrite.export.benchmark.firmware import harness_file
from kws_dendrite.export.benchmark.report import Accuracy, Count, DeviceReport
from kws_dendrite.export.benchmark.tally import tally_printed
from kws_dendrite.output import claimed, write_text

HARNESS = ("bench.h", "board.h", "board.c", "measure.c", "stamps.c", "stack.c", "call.S", "hooks_timer.h")
# CPUID's part number: the cores' Technical Reference Manuals
CORES = {0xC23: "Cortex-M3", 0xC24: "Cortex-M4", 0xC27: "Cortex-M7", 0xD21: "Cortex-M33", 0xD22: "Cortex-M55"}


def write_board(
    c_folder: Path,
    folder: Path,
    *,
    clip: np.ndarray | None = None,
    expected: np.ndarray | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the firmware's sources: the model's own, the harness, and a clip.

    Args:
        c_folder: what `write_c` wrote.
        folder: where they go; new, or made by this package before.
        clip: int8 features (T*F,); zeros if None.
        expected: int8 outputs (K,) that the board holds its own to; None leaves that out.
        overwrite: replace what is there.

    Raises:
        ExportError: no C sources; a clip of another size.
        OutputError: the folder cannot be written, or is not ours.
    """
    sources = [*sources_of(c_folder), *sorted(Path(c_folder).glob("*.h"))]
    text = _input(c_folder, clip, expected)
    defines = " ".join(parts_of(c_folder))
    with claimed(folder, overwrite=overwrite) as claimed_folder:
        for path in (*sources, *(harness_file(name) for name in HARNESS)):
            shutil.copyfile(path, claimed_folder / path.name)
        write_text(claimed_folder / "kws_bench_input.h", text)
        write_text(claimed_folder / "FLAGS.txt", f"-include hooks_timer.h {defines}\n")
    return Path(folder)


def _input(c_folder: Path, clip: np.ndarray | None, expected: np.ndarray | None) -> str:
    size = header_number(c_folder, "kws_model.h", "KWS_MODEL_INPUT_SIZE")
    classes = header_number(c_folder, "kws_model.h", "KWS_MODEL_OUTPUT_SIZE")
    for name, array, length in (("clip", clip, size), ("expected output", expected, classes)):
        if array is not None and array.shape != (length,):
            raise ExportError(f"the model's {name} has {length} values, got {array.shape}")
    lines = ["/* A clip for the benchmark, and what LiteRT says of it. */", "#include <stdint.h>", ""]
    lines += [f"#define KWS_BENCH_MODEL_ID {model_id(c_folder)}u /* of the .tflite's SHA-256 */"]
    lines += [f"#define KWS_BENCH_HAS_EXPECTED {int(expected is not None)}", ""]
    lines += _array("kws_bench_input", np.zeros(size, np.int8) if clip is None else clip)
    lines += _array("kws_bench_expected", np.zeros(classes, np.int8) if expected is None else expected)
    return "\n".join(lines) + "\n"


def _array(name: str, values: np.ndarray) -> list[str]:
    rows = [", ".join(str(int(value)) for value in values[start : start + 20]) for start in range(0, len(values), 20)]
    return [f"static const int8_t {name}[{len(values)}] = {{", *(f"    {row}," for row in rows), "};"]


def model_id(c_folder: Path) -> int:
    """The first 32 bits of the SHA-256 of the .tflite that the sources come from; 0 where they do not say."""
    return int(model_sha256(c_folder)[:8] or "0", 16)


def read_serial(log: Path, c_folder: Path, *, decisions_per_second: float | None = None) -> tuple[DeviceReport, int]:
    """The report in what a board printed, whatever else is in the log, and the board's clock in hertz.

    Raises:
        ExportError: no report in it, one that is cut off, or one of another model.
    """
    said = _find(log)
    if said.get("model") != model_id(c_folder):
        raise ExportError(f"{log} is the report of another model; build the firmware from this one again")
    tally = tally_printed(said, None)
    try:
        core = CORES.get(int(said["cpuid"]) >> 4 & 0xFFF, "unknown core")
        hertz = int(said["clock_hz"])
        held = Accuracy(int(said["runs"]), int(said["equal"]), int(said["equal"])) if "equal" in said else None
        stack = {name: int(row[2]) for name, row in said["calls"].items() if row[2]}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ExportError(f"the report in {log} is not whole ({type(error).__name__}: {error})") from error
    report = DeviceReport(
        target=f"board, {core}",
        method="board",
        model_sha256=model_sha256(c_folder),
        compiler="",
        flags=(),
        elf_sha256="",
        emulator="",
        inference=tally.count_of("model") or Count(None, 0),
        operators=tally.operator_counts(read_operators(c_folder)),
        frame=tally.count_of("frame"),
        stages=tally.stage_counts(),
        features=tally.count_of("features"),
        frames_per_second=frames_per_second(c_folder),
        decisions_per_second=decisions_per_second or own_rate(said, c_folder) or DECISIONS_PER_SECOND,
        stack=stack,
        accuracy=held,
    )
    return report, hertz


def _find(log: Path) -> dict:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ExportError(f"{log} cannot be read: {error.strerror}") from error
    start = text.rfind('{"kws_benchmark":1')
    if start < 0:
        raise ExportError(f'{log} holds no report of the benchmark\'s firmware; it begins with {{"kws_benchmark":1')
    try:
        return json.JSONDecoder().raw_decode(text[start:])[0]
    except ValueError as error:
        raise ExportError(f"the report in {log} is cut off or garbled ({error}); read the serial port again") from error
