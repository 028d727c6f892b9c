"""What the benchmark reads out of a 32-bit little-endian ELF file: its symbols, and the trace marks of its hooks."""

import struct
from dataclasses import dataclass
from pathlib import Path

from kws_dendrite.errors import ExportError

_SYMTAB, _NOBITS, _FUNCTION = 2, 8, 2


@dataclass(frozen=True)
class Symbol:
    """A named address. Thumb's lowest bit is off."""

    name: str
    address: int
    size: int
    function: bool


@dataclass(frozen=True)
class Mark:
    """An address that a hook marked: kind 0 after an operator, 1 after a stage of the front end."""

    address: int
    kind: int
    index: int


@dataclass(frozen=True)
class Elf:
    """Attributes: symbols and marks, in the file's order; sections: name -> (address, bytes that the target holds)."""

    symbols: tuple[Symbol, ...]
    marks: tuple[Mark, ...]
    sections: dict[str, tuple[int, bytes]]

    def address(self, name: str) -> int:
        """Where a symbol lies."""
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol.address
        raise ExportError(f"the firmware has no symbol {name}")

    def functions(self) -> dict[int, str]:
        """First address -> name, of every function."""
        return {symbol.address: symbol.name for symbol in self.symbols if symbol.function}


def read_elf(path: Path) -> Elf:
    """Read a file that the linker wrote.

    Raises:
        ExportError: not such a file.
    """
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise ExportError(f"{path} is not a 32-bit little-endian ELF file")
    offset, (size, count, names_at) = struct.unpack_from("<I", data, 32)[0], struct.unpack_from("<3H", data, 46)
    headers = [struct.unpack_from("<10I", data, offset + size * index) for index in range(count)]
    names = _content(data, headers[names_at])
    sections = {_text(names, header[0]): (header[3], _content(data, header)) for header in headers}
    symbols: list[Symbol] = []
    for header in headers:
        if header[1] == _SYMTAB:
            strings = _content(data, headers[header[6]])
            for name, address, length, info, _, _ in struct.iter_unpack("<IIIBBH", _content(data, header)):
                function = info & 0xF == _FUNCTION
                symbols.append(Symbol(_text(strings, name), address & ~1 if function else address, length, function))
    words = struct.iter_unpack("<3I", sections.get(".kws_marks", (0, b""))[1])
    marks = tuple(Mark(address & ~1, kind, index) for address, kind, index in words if address)
    return Elf(tuple(symbols), marks, sections)


def _content(data: bytes, header: tuple[int, ...]) -> bytes:
    return b"" if header[1] == _NOBITS else data[header[4] : header[4] + header[5]]


def _text(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(b"\0", offset)].decode("utf-8", "replace")
