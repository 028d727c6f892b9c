"""Flash and RAM of an application with the model, the front end and the detector, by part, from the linker's map."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kws_dendrite.export.benchmark.firmware import Firmware
from kws_dendrite.export.benchmark.toolchain import SIZE, find, output

PARTS = ("model weights", "model code", "kernels", "front end", "detector", "C library", "state", "harness")
_INPUT = re.compile(r"^ (\.\S+|COMMON) +0x([0-9a-f]+) +0x([0-9a-f]+) (\S.*)$", re.MULTILINE)
_CODE, _CONSTANT, _DATA, _ZERO = (".text", ".vectors", ".ARM.ex"), (".rodata",), (".data",), (".bss", "COMMON")


@dataclass(frozen=True)
class PartSize:
    """Bytes of one part. Initialised data counts in both memories."""

    part: str
    flash: int
    ram: int


@dataclass(frozen=True)
class Footprint:
    """What an application takes.

    Attributes:
        parts: in the order of `PARTS`; "state" is the RAM that the application gives the model, the front end and the
            detector; "harness" is the benchmark's own start-up, which no total counts.
        sections: name -> bytes of the linked sections, as `size -A` has them, the harness among them.
    """

    parts: tuple[PartSize, ...]
    sections: dict[str, int]

    @property
    def flash(self) -> int:
        """Bytes, the harness left out."""
        return sum(part.flash for part in self.parts if part.part != "harness")

    @property
    def ram(self) -> int:
        """Bytes without the stack, the harness left out."""
        return sum(part.ram for part in self.parts if part.part != "harness")

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return {
            "flash": self.flash,
            "ram": self.ram,
            "parts": [asdict(part) for part in self.parts],
            "sections": dict(self.sections),
        }


def footprint(firmware: Firmware) -> Footprint:
    """Attribute every linked byte of an image to a part.

    Raises:
        ExportError: no arm-none-eabi-size.
    """
    text = firmware.map_path.read_text(encoding="utf-8", errors="replace")
    text = text[text.index("Linker script and memory map") :]
    text = re.sub(r"^( \.\S+)\n +0x", r"\1 0x", text, flags=re.MULTILINE)  # long names have a line to themselves
    flash, ram = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
    for section, _, size, file in _INPUT.findall(text):
        part, count = part_of(file, section), int(size, 16)
        if section.startswith(_CODE + _CONSTANT + _DATA):
            flash[part] += count
        if section.startswith(_DATA + _ZERO):
            ram[part] += count
    parts = tuple(PartSize(part, flash[part], ram[part]) for part in PARTS)
    return Footprint(parts, _sections(firmware.path))


def part_of(file: str, section: str) -> str:
    """The part that an input section of an object file belongs to."""
    name = Path(file).name
    if ".a(" in file or not name.endswith(".o") or name.startswith("crt"):
        return "C library"
    if name.endswith(".harness.o"):
        return "state" if section.startswith(".bss.kws_state") else "harness"
    if name.startswith("kws_model"):
        return "model weights" if section.startswith(_CONSTANT) else "model code"
    if name.startswith("kws_frontend"):
        return "front end"
    return "detector" if name.startswith("kws_detector") else "kernels"


def _sections(path: Path) -> dict[str, int]:
    rows = [line.split() for line in output([find(SIZE), "-A", str(path)]).splitlines()]
    wanted = (".vectors", ".text", ".ARM.exidx", ".data", ".bss")
    return {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[0] in wanted}
