"""What code takes in flash on a core: each kernel with what it needs, and the model's own calls and functions."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from device_cost_grid import ProgramBuilder, conv, pointwise, write_program

from kws_dendrite.export.benchmark.count import REST, count_folder
from kws_dendrite.export.benchmark.device import APP
from kws_dendrite.export.benchmark.firmware import Firmware, compile_sources, link, parts_of, sources_of
from kws_dendrite.export.benchmark.footprint import part_of
from kws_dendrite.export.benchmark.targets import find_target
from kws_dendrite.plain.device.emitted import Emitted
from kws_dendrite.plain.device.flash import call_of, made_function
from kws_dendrite.plain.device.kernels import ISAS, Isa, kernel_of

FEW, MANY = 3, 7  # calls of a kernel in the two programs that tell what one call takes
_INPUT = re.compile(r"^ (\.\S+) +0x[0-9a-f]+ +0x([0-9a-f]+) (\S.*)$", re.MULTILINE)
_FLASH = (".text", ".rodata", ".data", ".ARM.ex")


def probes() -> Iterator[Emitted]:
    """An operator for each kernel that can follow itself."""
    column = (9, 1, 8)
    yield Emitted("ADD", (), (), "", (column, column), column)  # the first: it stands between the others' calls
    yield Emitted("FULLY_CONNECTED", (), (), "", ((16,),), (16,), contiguous=True, form="rising")
    yield pointwise(9, 8, 8, "rising")
    yield conv((5, 3, 8), 0, (3, 3), "line", depthwise=True)
    for dilation in (1, 2):
        yield conv((25, 1, 14), 0, (9, 1), "line", dilation=(dilation, 1), depthwise=True)
    yield Emitted("MUL", (), (), "", (column, column), column)
    for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        yield Emitted(kind, (), (), "", (column,), column)
    yield Emitted("MAX_POOL_2D", (), (), "", (column,), column, (3, 1), pads=(1, 0))
    yield conv(column, 0, (1, 1), "line", depthwise=True)
    yield Emitted("SOFTMAX", (), (), "", ((12,),), (12,))
    yield Emitted("TANH", (), (), "", (column,), column)
    yield Emitted("CONCATENATION", (), (), "", (column,), column)


def shapes() -> Iterator[Emitted]:
    """An operator for each function that the generator makes for a shape."""
    for form in ("rising", "line"):
        for taps in (1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14):
            yield pointwise(3, taps, 4, form)
        for kernel in (1, 3, 5, 7, 9, 11, 13, 15):
            for stride in (1, 2):
                for channels in (8, 200, 300):
                    yield conv((20, 1, channels), 0, (kernel, 1), form, (stride, 1), depthwise=True)


def measure_code(core: str) -> dict[str, Any]:
    """A core's "call" (what an inference takes beside its operators) and "code", as the predictions read them."""
    isa = ISAS[core]
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folder = Path(name)
        base = _sections(_chain([], folder / "base", core))
        code: dict[str, Any] = {"symbols": {}, "library": {}, "invoke": {}, "made": _made(core, isa, folder)}
        call: dict[str, int | None] = {}
        for index, operator in enumerate(probes()):
            kernel = kernel_of(operator, isa)
            call_kind = call_of(operator, kernel)
            if call_kind in code["invoke"]:
                continue
            between = Emitted("ADD", (), (), "", (operator.shape, operator.shape), operator.shape)
            pair = [operator, between] if index else [operator]
            few, many = (_chain(pair * times, folder / f"{index}_{times}", core) for times in (FEW, MANY))
            rows = _sections(many)
            sums = code["symbols"].get("sum", {}) if index else {}
            code["symbols"][kernel] = {
                key: size for key, size in rows.items() if _part(key) == "kernels" and key not in sums
            }
            code["library"][kernel] = {
                key: size for key, size in rows.items() if _part(key) == "C library" and key not in base
            }
            sizes = [_invoke(_sections(run)) for run in (few, many)]
            own = (sizes[1] - sizes[0]) / (MANY - FEW) - (code["invoke"]["sum"] if index else 0)
            code["invoke"][call_kind] = round(own, 2)
            if kernel == "sum":
                code["invoke"]["call"] = round(sizes[0] - FEW * own, 2)
                (counted,) = count_folder(folder / f"{index}_{FEW}", core)
                rest = [part for part in counted.segments if part.kind == REST]
                call = {"instructions": sum(part.instructions for part in rest)}
                call["cycles"] = None if counted.cycles is None else sum(part.cycles or 0 for part in rest)
    return {"call": call, "code": code}


def _chain(operators: list[Emitted], folder: Path, core: str) -> Path:
    """An application with a model of these operators one after the other; the linker's map of it."""
    folder.mkdir(parents=True)
    builder = ProgramBuilder()
    builder.chain(operators)
    write_program(builder.program(), folder)
    return link_app(folder, core).map_path


def link_app(folder: Path, core: str) -> Firmware:
    """The smallest application around a folder of C."""
    build = folder / f"objects {core}"
    objects = compile_sources(sources_of(folder), find_target(core), build, hooks=None)
    return link(objects, build, "app", harness=APP, defines=(*parts_of(folder), "-DKWS_BENCH_STACK_BYTES=64"))


def _sections(path: Path) -> dict[str, int]:
    """ "file section" -> bytes, of what lies in flash."""
    text = path.read_text(encoding="utf-8", errors="replace")
    text = text[text.index("Linker script and memory map") :]
    text = re.sub(r"^( \.\S+)\n +0x", r"\1 0x", text, flags=re.MULTILINE)  # long names have a line to themselves
    found: dict[str, int] = {}
    for section, size, file in _INPUT.findall(text):
        if section.startswith(_FLASH) and int(size, 16):
            stem = re.sub(r"[.]\d+[.]o$", ".o", Path(file).name)
            key = f"{stem} {section}"
            found[key] = found.get(key, 0) + int(size, 16)
    return found


def _part(key: str) -> str:
    file, _, section = key.partition(" ")
    return part_of(file, section)


def _invoke(rows: dict[str, int]) -> int:
    """Bytes of the model's own code but for what is made for its shapes."""
    return sum(
        size
        for key, size in rows.items()
        if _part(key) == "model code" and not re.search(r"[.]kws_(narrow|temporal)_", key)
    )


def _made(core: str, isa: Isa, folder: Path) -> dict[str, int]:
    """Bytes of each function that is made for a shape."""
    wanted: dict[str, Emitted] = {}
    for operator in shapes():
        name = made_function(operator, kernel_of(operator, isa)).partition("@")[0]
        if name:
            wanted.setdefault(name, operator)
    sizes = {}
    if wanted:
        folder.joinpath("made").mkdir()
        builder = ProgramBuilder()
        for operator in wanted.values():
            builder.add(replace(operator))
        write_program(builder.program(), folder / "made")
        rows = _sections(link_app(folder / "made", core).map_path)
        for name, operator in wanted.items():
            sizes[name] = next(size for key, size in rows.items() if key.endswith(_c_name(operator)))
    return sizes


def _c_name(operator: Emitted) -> str:
    form = "line" if operator.form == "line" else "rising"
    if operator.operator == "DEPTHWISE_CONV_2D":
        return f".kws_temporal_{operator.window[0]}_{operator.stride[0]}_{operator.plane[2]}_{form}"
    return f".kws_narrow_{operator.taps}_{form}"
