"""A generated folder of C on one emulated core: counts, cycles, flash, RAM, stack, and its outputs held to LiteRT's."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.benchmark.c_folder import (
    frames_per_second,
    header_number,
    model_sha256,
    parts_of,
    read_operators,
    sources_of,
)
from kws_dendrite.export.benchmark.count import Call, count_calls
from kws_dendrite.export.benchmark.emulator import ICOUNT, NS_AN_INSTRUCTION, run
from kws_dendrite.export.benchmark.firmware import FLAGS, PAINT, STACK_BYTES, Firmware, Objects, compile_sources, link
from kws_dendrite.export.benchmark.footprint import Footprint, footprint
from kws_dendrite.export.benchmark.inputs import Inputs, audio_files, check_expected, checked_clips
from kws_dendrite.export.benchmark.report import Accuracy, Count, DeviceReport, Second
from kws_dendrite.export.benchmark.tally import Tally, tally_calls, tally_printed
from kws_dendrite.export.benchmark.targets import Target, find_target
from kws_dendrite.export.benchmark.toolchain import QEMU, version

DECISIONS_PER_SECOND = 4.0  # where no detector says how often
METHODS = ("trace", "timer")
APP = ("startup.c", "semihosting.c", "app.c")


def measure(
    c_folder: Path,
    target: Target | str,
    *,
    flags: Sequence[str] = FLAGS,
    decisions_per_second: float | None = None,
    inputs: Inputs | None = None,
    method: str = "trace",
) -> DeviceReport:
    """Build the folder for a core, run it in the emulator, and report what it costs.

    Args:
        c_folder: what `write_c` wrote.
        target: the core, or its name.
        flags: of the compiler, for the folder's sources.
        decisions_per_second: inferences in a second of audio; the detector's own, or `DECISIONS_PER_SECOND`.
        inputs: what runs.
        method: "trace" is exact; "timer" takes SysTick's word, within a few instructions a call, and is faster where a
            model takes many millions.

    Raises:
        ExportError: a tool is missing (the message has the command that installs it), sources that do not compile, a
            run that faults, inputs that do not fit.
        ConfigError: an unknown core or method.
    """
    target = find_target(target) if isinstance(target, str) else target
    if method not in METHODS:
        raise ConfigError(f"--method is one of {', '.join(METHODS)}; got {method!r}")
    c_folder, inputs = Path(c_folder), inputs or Inputs()
    clips = checked_clips(inputs.clips, c_folder)
    check_expected(inputs.expected, (len(clips), header_number(c_folder, "kws_model.h", "KWS_MODEL_OUTPUT_SIZE")))
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folder = Path(name)
        plain = compile_sources(sources_of(c_folder), target, folder / "plain", hooks=None, flags=flags)
        outputs, said = _decide(plain, folder, clips, audio_files(c_folder, inputs.audio))
        files = {"clips.bin": clips[:1].tobytes(), **audio_files(c_folder, inputs.audio)}
        counted = (_traced if method == "trace" else _timed)(plain, folder, files)
        return _report(
            c_folder, counted,
            method=method,
            decisions_per_second=decisions_per_second or own_rate(said, c_folder) or DECISIONS_PER_SECOND,
            footprint=footprint(link(plain, folder, "app", harness=APP, defines=_defines(plain))),
            stack={name: int(row[2]) for name, row in said["calls"].items()},
            accuracy=_accuracy(outputs, inputs.expected),
        )  # fmt: skip


def decide(c_folder: Path, target: Target | str, clips: np.ndarray, *, flags: Sequence[str] = FLAGS) -> np.ndarray:
    """int8 outputs (N, K) of the emulated core for int8 inputs (N, T*F), streamed from the host.

    Raises:
        ExportError, ConfigError: as `measure`.
    """
    target = find_target(target) if isinstance(target, str) else target
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        objects = compile_sources(sources_of(c_folder), target, Path(name) / "plain", hooks=None, flags=flags)
        return _decide(objects, Path(name), checked_clips(clips, Path(c_folder)), {})[0]


def _defines(objects: Objects) -> tuple[str, ...]:
    return (*parts_of(objects.c_folder), f"-DKWS_BENCH_STACK_BYTES={STACK_BYTES}")


def _decide(objects: Objects, folder: Path, clips: np.ndarray, audio: dict[str, bytes]) -> tuple[np.ndarray, dict]:
    """The core's outputs, and what the firmware printed: the stack of each kind of call, the detector's stride."""
    firmware = link(objects, folder, "decide", defines=_defines(objects))
    run(firmware, folder / "decide", {"clips.bin": clips.tobytes(), PAINT: b"", **audio})
    classes = header_number(objects.c_folder, "kws_model.h", "KWS_MODEL_OUTPUT_SIZE")
    outputs = np.fromfile(folder / "decide" / "outputs.bin", np.int8)
    if outputs.size != len(clips) * classes:
        raise ExportError(
            f"the firmware for {objects.target.name} decided {outputs.size // classes} of {len(clips)} clips"
        )
    return outputs.reshape(len(clips), classes), read_printed(folder / "decide" / "report.json")


def _accuracy(outputs: np.ndarray, expected: np.ndarray | None) -> Accuracy | None:
    if expected is None:
        return None
    equal = int((outputs == expected).all(axis=1).sum())
    return Accuracy(len(outputs), equal, int((outputs.argmax(1) == expected.argmax(1)).sum()))


@dataclass(frozen=True)
class _Counted:
    firmware: Firmware
    tally: Tally
    second: Second | None


def _traced(plain: Objects, folder: Path, files: dict[str, bytes]) -> _Counted:
    """Count the build as it ships, and once more with marks in it, to split it."""
    defines, sources = _defines(plain), sources_of(plain.c_folder)
    firmware = link(plain, folder, "count", defines=defines)
    calls = count_calls(firmware, folder / "count", files)
    marked = compile_sources(
        sources, plain.target, folder / "marked", hooks="hooks_trace.h", flags=plain.options, plain=plain
    )
    split = {name: content for name, content in files.items() if name != "stream.bin"}
    parts = count_calls(link(marked, folder, "split", defines=defines), folder / "split", split)
    return _Counted(firmware, tally_calls(calls, parts), _second(calls, round(frames_per_second(plain.c_folder))))


def _second(calls: Sequence[Call], frames: int) -> Second | None:
    """The last second of frames through the detector, decisions among them."""
    last = [call for call in calls if call.function == "kws_bench_push"][-frames or None :]
    if not last:
        return None
    cycles = None if last[0].cycles is None else sum(call.cycles or 0 for call in last)
    inferences = sum(call.entries.get("kws_model_invoke", 0) for call in last)
    return Second(Count(sum(call.instructions for call in last), cycles), inferences)


def _timed(plain: Objects, folder: Path, files: dict[str, bytes]) -> _Counted:
    """Time the calls of the build as it ships, and once more with stamps in it, to split them."""
    stamped = compile_sources(
        sources_of(plain.c_folder),
        plain.target,
        folder / "stamped",
        hooks="hooks_timer.h",
        flags=plain.options,
        plain=plain,
    )
    firmware, whole = _clocked(plain, folder, "time", files)
    _, parts = _clocked(stamped, folder, "split", files)
    return _Counted(firmware, Tally(whole.calls, parts.operators, parts.stages), None)


def _clocked(objects: Objects, folder: Path, name: str, files: dict[str, bytes]) -> tuple[Firmware, Tally]:
    """Run under -icount, where SysTick advances with the instructions."""
    firmware = link(objects, folder, name, defines=(*_defines(objects), "-DKWS_BENCH_TIMER"))
    run(firmware, folder / name, files, options=ICOUNT)
    said = read_printed(folder / name / "report.json")
    per_tick = 1e9 / (NS_AN_INSTRUCTION * firmware.target.systick_hz)
    loop = said["loop_ticks"] * per_tick / said["loop_instructions"]
    if not 0.999 < loop < 1.001:
        raise ExportError(f"SysTick does not count instructions here: a loop of known length came to {loop:.3f} of it")
    return firmware, tally_printed(said, per_tick)


def read_printed(path: Path) -> dict:
    """The report that the firmware wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"the firmware left no report ({error})") from error


def _report(
    c_folder: Path,
    counted: _Counted,
    *,
    method: str,
    decisions_per_second: float,
    footprint: Footprint,
    stack: dict[str, int],
    accuracy: Accuracy | None,
) -> DeviceReport:
    firmware, tally, frames = counted.firmware, counted.tally, frames_per_second(c_folder)
    return DeviceReport(
        target=firmware.target.name,
        method=method,
        model_sha256=model_sha256(c_folder),
        compiler=firmware.compiler,
        flags=firmware.flags,
        elf_sha256=firmware.sha256,
        emulator=version(QEMU),
        inference=tally.count_of("model") or Count(0, 0),
        operators=tally.operator_counts(read_operators(c_folder)),
        frame=tally.count_of("frame"),
        stages=tally.stage_counts(),
        features=tally.count_of("features"),
        frames_per_second=frames,
        decisions_per_second=decisions_per_second,
        second=counted.second,
        footprint=footprint,
        stack=stack,
        accuracy=accuracy,
    )


def own_rate(said: dict, c_folder: Path) -> float | None:
    """Decisions a second of the folder's detector, from what the firmware printed; None without one."""
    stride = said.get("detector_stride")
    return frames_per_second(c_folder) / stride if isinstance(stride, int) and stride > 0 else None
