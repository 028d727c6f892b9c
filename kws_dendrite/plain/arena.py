"""Where each activation lies: tensors that are not alive together share bytes of one static arena.

One rule for the C that is generated and for the cost that is predicted before there is any.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

ALIGNMENT = 4  # of every block, for the kernels that load words
INPUT, OUTPUT = "in", "out"  # the caller's own buffers


@dataclass(frozen=True)
class Use:
    """One step's hold on memory.

    Attributes:
        reads: activation tensors.
        writes: the tensor it gives.
        size: bytes of that.
        scratch: bytes that it needs while it runs.
        overwrites: which of `reads` it may overwrite with its output, element by element.
        computes: False where the output is the input under another shape.
    """

    reads: tuple[Hashable, ...]
    writes: Hashable
    size: int
    scratch: int = 0
    overwrites: tuple[Hashable, ...] = ()
    computes: bool = True


@dataclass(frozen=True)
class Arena:
    """The plan.

    Attributes:
        places: tensor -> "in", "out", or its offset in the arena.
        scratch: by step, the offset of its scratch, None where it needs none.
        size: bytes of the arena.
    """

    places: dict[Hashable, int | str]
    scratch: tuple[int | None, ...]
    size: int


@dataclass
class _Block:
    size: int
    first: int  # step that writes it
    last: int  # last step that reads it
    offset: int = 0


def plan_arena(uses: Sequence[Use], source: Hashable, target: Hashable) -> Arena:
    """Plan the arena, largest blocks first, each at the lowest offset that is free while it lives.

    A step that does not compute has its input's bytes; an elementwise step writes over an input that nobody reads
    after it. The model's input is read where the caller has it, the output written where the caller wants it.

    Args:
        uses: by step, in order.
        source, target: the model's input and output tensor.
    """
    owner = _owners(uses, source, target)
    last_read = {owner[target]: len(uses)}
    for index, use in enumerate(uses):
        for tensor in use.reads:
            last_read[owner[tensor]] = max(index, last_read.get(owner[tensor], 0))
    blocks: dict[Hashable, _Block] = {}
    for index, use in enumerate(uses):
        root = owner[use.writes]
        if root in (owner[source], owner[target]):
            continue
        if root in blocks:
            blocks[root].size = max(blocks[root].size, use.size)
        else:
            blocks[root] = _Block(use.size, index, last_read.get(root, index))
    scratch = {index: _Block(use.scratch, index, index) for index, use in enumerate(uses) if use.scratch}
    size = _place([*blocks.values(), *scratch.values()])
    places: dict[Hashable, int | str] = {}
    for tensor, root in owner.items():
        if root == owner[source]:
            places[tensor] = INPUT
        elif root == owner[target]:
            places[tensor] = OUTPUT
        else:
            places[tensor] = blocks[root].offset
    return Arena(places, tuple(scratch[i].offset if i in scratch else None for i in range(len(uses))), size)


def _owners(uses: Sequence[Use], source: Hashable, target: Hashable) -> dict[Hashable, Hashable]:
    """Tensor -> the tensor whose bytes it has."""
    last: dict[Hashable, int] = {target: len(uses)}
    owner = {source: source}
    for index, use in enumerate(uses):
        for tensor in use.reads:
            last[tensor] = max(index, last.get(tensor, 0))
    for index, use in enumerate(uses):
        owner[use.writes] = use.writes
        if not use.computes and use.writes != target:
            owner[use.writes] = owner[use.reads[0]]
        elif use.writes != target:
            for tensor in use.overwrites:
                shared = [other for other in owner if owner[other] == owner[tensor]]
                dies = max(last.get(other, -1) for other in shared) == index
                if dies and owner[tensor] != source:
                    owner[use.writes] = owner[tensor]
                    break
    return owner


def _place(blocks: list[_Block]) -> int:
    """Give every block its offset; returns the arena's size."""
    placed: list[_Block] = []
    for block in sorted(blocks, key=lambda block: (-block.size, block.first)):
        rivals = sorted(
            (other for other in placed if other.first <= block.last and block.first <= other.last),
            key=lambda other: other.offset,
        )
        offset = 0
        for other in rivals:
            if offset + block.size <= other.offset:
                break
            offset = max(offset, _aligned(other.offset + other.size))
        block.offset = offset
        placed.append(block)
    return max((_aligned(block.offset + block.size) for block in placed), default=ALIGNMENT)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
