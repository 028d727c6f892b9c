"""Reading a flatbuffer that nobody vouches for: every offset, size and count is checked against the file first.

Format: the FlatBuffers internals document (root offset, tables, vtables, vectors; all little-endian). Each table
access follows offsets inside the buffer or raises; nothing is allocated before its size is known to lie in the file.
"""

import struct
from dataclasses import dataclass

import numpy as np

from kws_dendrite.errors import ExportError

MAX_FILE = 64 << 20  # bytes; microcontroller models are a thousandth of it
MAX_TABLES = 1 << 14  # in one vector

_FORMATS = {"int8": "<b", "uint8": "<B", "int32": "<i", "uint32": "<I", "float32": "<f", "uint64": "<Q"}


@dataclass(frozen=True)
class Buffer:
    """The bytes of a file and its name for messages."""

    content: bytes
    name: str

    def scalar(self, kind: str, position: int) -> int | float:
        """One little-endian number at `position`. ExportError where it lies outside the file."""
        layout = _FORMATS[kind]
        self.require(position, struct.calcsize(layout))
        return struct.unpack_from(layout, self.content, position)[0]

    def require(self, position: int, size: int) -> None:
        """Refuse a range that is not wholly inside the file."""
        if position < 0 or size < 0 or position + size > len(self.content):
            raise ExportError(
                f"{self.name} is damaged: it points to byte {position + size:,} of {len(self.content):,}; "
                "export it again"
            )

    def follow(self, position: int) -> int:
        """The absolute place that the unsigned offset at `position` points to."""
        target = position + int(self.scalar("uint32", position))
        self.require(target, 4)
        return target


@dataclass(frozen=True)
class Table:
    """One table: its fields by their number in the schema."""

    buffer: Buffer
    position: int

    def number(self, field: int, kind: str, default: int | float = 0) -> int | float:
        """A scalar field, or its default where the writer left it out."""
        place = self._place(field)
        return default if place is None else self.buffer.scalar(kind, place)

    def table(self, field: int) -> "Table | None":
        """A sub-table, or None."""
        place = self._place(field)
        return None if place is None else Table(self.buffer, self.buffer.follow(place))

    def tables(self, field: int) -> "list[Table]":
        """A vector of tables, [] where absent."""
        place = self._place(field)
        if place is None:
            return []
        start, count = self._vector(place, 4)
        if count > MAX_TABLES:
            raise ExportError(f"{self.buffer.name} holds a list of {count:,} tables; expected at most {MAX_TABLES:,}")
        return [Table(self.buffer, self.buffer.follow(start + 4 * index)) for index in range(count)]

    def array(self, field: int, dtype: str) -> np.ndarray | None:
        """A vector of numbers, read-only and where it can be a view of the file, or None where absent."""
        place = self._place(field)
        if place is None:
            return None
        kind = np.dtype(dtype).newbyteorder("<")
        start, count = self._vector(place, kind.itemsize)
        return np.frombuffer(self.buffer.content, kind, count, start).astype(dtype, copy=False)

    def text(self, field: int) -> str:
        """A string, "" where absent; bytes that are not UTF-8 are replaced."""
        place = self._place(field)
        if place is None:
            return ""
        start, count = self._vector(place, 1)
        return self.buffer.content[start : start + count].decode("utf-8", errors="replace")

    def _vector(self, place: int, size: int) -> tuple[int, int]:
        target = self.buffer.follow(place)
        count = int(self.buffer.scalar("uint32", target))
        self.buffer.require(target + 4, count * size)
        return target + 4, count

    def _place(self, field: int) -> int | None:
        """Where a field's bytes are; None when the table does not hold it."""
        vtable = self.position - int(self.buffer.scalar("int32", self.position))
        self.buffer.require(vtable, 4)
        size = struct.unpack_from("<H", self.buffer.content, vtable)[0]
        self.buffer.require(vtable, size)
        entry = 4 + 2 * field
        if entry + 2 > size:
            return None
        offset = struct.unpack_from("<H", self.buffer.content, vtable + entry)[0]
        return self.position + offset if offset else None


def read_root(content: bytes, identifier: bytes, name: str) -> Table:
    """The root table of a flatbuffer file.

    Raises:
        ExportError: not such a file, or an offset outside it.
    """
    if len(content) > MAX_FILE:
        raise ExportError(f"{name} has {len(content):,} bytes; expected at most {MAX_FILE:,}")
    if len(content) < 8 or content[4:8] != identifier:
        raise ExportError(f"{name} is not a TFLite file (no {identifier.decode()!r} at byte 4); name a .tflite")
    buffer = Buffer(content, name)
    return Table(buffer, buffer.follow(0))
