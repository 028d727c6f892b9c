"""Building the benchmark's firmware for one core: the sources to measure, and the harness around them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from kws_dendrite.export.benchmark.c_folder import parts_of as parts_of
from kws_dendrite.export.benchmark.c_folder import sources_of as sources_of
from kws_dendrite.export.benchmark.targets import Target
from kws_dendrite.export.benchmark.toolchain import GCC, find, output, version

FLAGS = ("-O2",)
SECTIONS = ("-ffunction-sections", "-fdata-sections")
# loops stay loops: the harness must not be what brings in memcpy and memset
HARNESS_FLAGS = (
    "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-tree-loop-distribute-patterns", *SECTIONS,
)  # fmt: skip
BASE = ("startup.c", "semihosting.c", "call.S")
MEASURE = (*BASE, "measure.c", "stream.c", "stamps.c", "stack.c", "emulator.c")
STACK_BYTES = 16384
PAINT = "paint"  # the file whose presence asks for the stack to be painted


@dataclass(frozen=True)
class Firmware:
    """A linked image.

    Attributes:
        path: the ELF file.
        map_path: the linker's map.
        target: the core.
        compiler: its version line.
        flags: what the measured sources were compiled with.
        sha256: of the ELF file; counts belong to it.
    """

    path: Path
    map_path: Path
    target: Target
    compiler: str
    flags: tuple[str, ...]
    sha256: str


def harness_file(name: str) -> Path:
    """A file of the harness, as the package holds it."""
    return Path(str(resources.files("kws_dendrite.export.benchmark") / "firmware" / name))


@dataclass(frozen=True)
class Objects:
    """Sources compiled once, to be linked into several images.

    Attributes:
        paths: the object files.
        c_folder: where the sources' headers are.
        target: the core.
        options: the flags that were asked for.
        flags: all that the compiler got.
    """

    paths: tuple[Path, ...]
    c_folder: Path
    target: Target
    options: tuple[str, ...]
    flags: tuple[str, ...]


def compile_sources(
    sources: Iterable[Path],
    target: Target,
    folder: Path,
    *,
    hooks: str | None = "hooks_trace.h",
    flags: Sequence[str] = FLAGS,
    include: Path | None = None,
    plain: Objects | None = None,
) -> Objects:
    """Compile the sources to measure into `folder`, with the hooks of that header (None: none).

    Sources that have no hook are taken from `plain`, the same sources compiled without, where it is given.

    Raises:
        ExportError: no compiler, or sources that it refuses.
    """
    sources = list(sources)
    include = include or sources[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    hook = ("-include", str(harness_file(hooks))) if hooks else ()
    chosen = (*target.flags, "-std=c99", *flags, *SECTIONS)
    paths = []
    for index, source in enumerate(sources):
        if plain is not None and b"KWS_AFTER_" not in source.read_bytes():
            paths.append(plain.paths[index])
            continue
        paths.append(folder / f"{source.stem}.{index}.o")
        output([find(GCC), *chosen, *hook, "-I", str(include), "-c", str(source), "-o", str(paths[-1])])
    return Objects(tuple(paths), include, target, tuple(flags), chosen)


def link(
    objects: Objects,
    folder: Path,
    name: str,
    *,
    harness: Sequence[str | Path] = MEASURE,
    defines: Sequence[str] = (),
) -> Firmware:
    """Compile the harness for `objects` and link all of it to `folder`/`name`.elf.

    Raises:
        ExportError: no compiler, no C library, or an image larger than the machine's memories.
    """
    target = objects.target
    script = folder / "link.ld"
    script.write_text(_memory(harness_file("link.ld.in").read_text(encoding="utf-8"), target), encoding="utf-8")
    own = [_harness(file, objects, folder, tuple(defines)) for file in harness]
    path, map_path = folder / f"{name}.elf", folder / f"{name}.map"
    files = [str(file) for file in (*own, *objects.paths)]
    options = ["-nostartfiles", "-Wl,--gc-sections", f"-Wl,-Map={map_path}", "-Wl,--no-warn-rwx-segments", "-T"]
    output([find(GCC), *target.flags, *options, str(script), *files, "-lm", "-o", str(path)])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Firmware(path, map_path, target, version(GCC), objects.flags, digest)


def _harness(file: str | Path, objects: Objects, folder: Path, defines: tuple[str, ...]) -> Path:
    """A file of the harness, compiled once for the images of `folder` that have the same defines."""
    source = file if isinstance(file, Path) else harness_file(file)
    key = hashlib.sha256(repr((str(source), defines)).encode()).hexdigest()[:12]
    path = folder / f"{source.stem}.{key}.harness.o"
    if not path.exists():
        include = ("-I", str(harness_file("bench.h").parent), "-I", str(objects.c_folder))
        command = [find(GCC), *objects.target.flags, *HARNESS_FLAGS, *defines, *include]
        output([*command, "-c", str(source), "-o", str(path)])
    return path


def _memory(script: str, target: Target) -> str:
    for name, (origin, length) in (("FLASH", target.flash), ("RAM", target.ram)):
        script = script.replace(f"@{name}_ORIGIN@", hex(origin)).replace(f"@{name}_LENGTH@", hex(length))
    return script
