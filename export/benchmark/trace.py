"""The exact course of a run: QEMU logs every block of instructions as it is translated and every time it is run.

`-d in_asm,exec,nochain` gives both. A block is a straight run of instructions, so the sequence of blocks is the
sequence of instructions, at a fraction of the lines of a log of single ones. What a real core does with time (pipeline,
wait states, caches) is not in it.
"""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.emulator import TIMEOUT, run_logged
from kws_dendrite.export.benchmark.firmware import Firmware

OPTIONS = ("-d", "in_asm,exec,nochain")
_HALFWORDS = slice(13, 23)  # columns of a line of disassembly: 0x00000042:  f000 f801  bl ...


@dataclass(frozen=True)
class Trace:
    """Attributes: blocks: addresses of each block's instructions; sequence: the blocks as they ran, by index."""

    blocks: tuple[tuple[int, ...], ...]
    sequence: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """(len(sequence) + 1,): how many instructions ran before each block; the last entry is the total."""
        lengths = np.array([len(block) for block in self.blocks], np.int64)
        return np.concatenate([[0], np.cumsum(lengths[self.sequence])])

    def find(self, addresses: set[int]) -> list[tuple[int, int, int]]:
        """Every time that one of `addresses` ran, in order: position in the sequence, offset in the block, address."""
        inside = {}
        for index, block in enumerate(self.blocks):
            hits = [(offset, address) for offset, address in enumerate(block) if address in addresses]
            if hits:
                inside[index] = hits
        positions = np.flatnonzero(np.isin(self.sequence, list(inside)))
        return [
            (int(position), offset, address)
            for position in positions
            for offset, address in inside[int(self.sequence[position])]
        ]


def trace(
    firmware: Firmware, folder: Path, files: dict[str, bytes] | None = None, *, timeout: float = TIMEOUT
) -> Trace:
    """Run a firmware and record it.

    Raises:
        ExportError: as `emulator.run`; or a log that cannot be read (another version of QEMU, say).
    """
    reader = _Reader()
    run_logged(firmware, folder, files, OPTIONS, reader.read, timeout)
    if not reader.sequence:
        raise ExportError("QEMU's log has no blocks; version 7.2 is known to work")
    return Trace(tuple(reader.blocks), np.frombuffer(reader.sequence, np.intc).astype(np.int64))


class _Reader:
    """Lines of the log to blocks and their sequence.

    A translation is `IN:` and its instructions' lines, each with the address and the halfwords first; the next `Trace`
    line is its first run and has the key (a host address) that later runs are known by. A block that was stopped before
    its first instruction is taken back: it runs again. Where an instruction ends is told by its first halfword, not by
    the disassembly: QEMU's does not know Armv8.1-M's, and prints each as two lines.
    """

    def __init__(self) -> None:
        self.blocks: dict[tuple[int, ...], int] = {}
        self.sequence = array("i")
        self._by_key: dict[bytes, int] = {}
        self._translated: list[tuple[int, int]] = []  # address, halfword

    def read(self, log: IO[bytes]) -> None:
        by_key, sequence = self._by_key, self.sequence
        for line in log:
            if line.startswith(b"Trace "):
                key = line.split(b" ", 3)[2]
                if self._translated:
                    block = _instructions(self._translated)
                    if block[0] != int(line.split(b"/", 2)[1], 16):
                        raise ExportError("QEMU's log ran another block than it translated")
                    by_key[key] = self.blocks.setdefault(block, len(self.blocks))
                    self._translated = []
                sequence.append(by_key[key])
            elif line.startswith(b"0x"):
                address = int(line[2:10], 16)
                words = enumerate(line[_HALFWORDS].split())
                self._translated += [(address + 2 * index, int(word, 16)) for index, word in words]
            elif line.startswith(b"IN:"):
                self._translated = []
            elif line.startswith(b"Stopped"):
                sequence.pop()


def _instructions(halfwords: list[tuple[int, int]]) -> tuple[int, ...]:
    """Addresses of instructions. Thumb: the first halfword of two begins with 0b11101, 0b11110 or 0b11111."""
    addresses, second = [], False
    for address, word in halfwords:
        if second:
            second = False
            continue
        addresses.append(address)
        second = word >> 11 in (0b11101, 0b11110, 0b11111)
    return tuple(addresses)
