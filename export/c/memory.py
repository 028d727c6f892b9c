"""Where each activation lies: tensors that are not alive together share bytes of one static arena."""

from dataclasses import dataclass

from kws_dendrite.export.c.lower import Step
from kws_dendrite.export.c.program import Program

ALIGNMENT = 4  # of every block, for the kernels that load words
INPUT, OUTPUT = "in", "out"  # the caller's own buffers


@dataclass(frozen=True)
class Memory:
    """The plan.

    Attributes:
        places: tensor -> "in", "out", or its offset in the arena.
        scratch: by step, the offset of its scratch, None where it needs none.
        size: bytes of the arena.
    """

    places: dict[int, int | str]
    scratch: tuple[int | None, ...]
    size: int


@dataclass
class _Block:
    size: int
    first: int  # step that writes it
    last: int  # last step that reads it
    offset: int = 0


def plan_memory(program: Program, steps: tuple[Step, ...]) -> Memory:
    """Plan the arena, largest blocks first, each at the lowest offset that is free while it lives.

    RESHAPE's output is its input; an elementwise step writes over an input that nobody reads after it. The model's
    input is read where the caller has it, the output written where the caller wants it.
    """
    owner = _owners(program, steps)
    last_read = {owner[program.output]: len(steps)}
    for index, step in enumerate(steps):
        for tensor in step.reads:
            last_read[owner[tensor]] = max(index, last_read.get(owner[tensor], 0))
    blocks: dict[int, _Block] = {}
    for index, step in enumerate(steps):
        root = owner[step.writes]
        if root in (owner[program.input], owner[program.output]):
            continue
        size = program.tensors[step.writes].size
        if root in blocks:
            blocks[root].size = max(blocks[root].size, size)
        else:
            blocks[root] = _Block(size, index, last_read.get(root, index))
    scratch = {
        index: _Block(step.scratch, index, index) for index, step in enumerate(steps) if step.scratch
    }  # fmt: skip
    size = _place([*blocks.values(), *scratch.values()])
    places: dict[int, int | str] = {}
    for tensor, root in owner.items():
        if root == owner[program.input]:
            places[tensor] = INPUT
        elif root == owner[program.output]:
            places[tensor] = OUTPUT
        else:
            places[tensor] = blocks[root].offset
    return Memory(places, tuple(scratch[i].offset if i in scratch else None for i in range(len(steps))), size)


def _owners(program: Program, steps: tuple[Step, ...]) -> dict[int, int]:
    """Tensor -> the tensor whose bytes it has."""
    last: dict[int, int] = {program.output: len(steps)}
    owner = {program.input: program.input}
    for index, step in enumerate(steps):
        for tensor in step.reads:
            last[tensor] = max(index, last.get(tensor, 0))
    for index, step in enumerate(steps):
        owner[step.writes] = step.writes
        if not step.kernel and step.writes != program.output:
            owner[step.writes] = owner[step.reads[0]]
        elif step.writes != program.output:
            for tensor in step.overwrites:
                shared = [other for other in owner if owner[other] == owner[tensor]]
                dies = max(last.get(other, -1) for other in shared) == index
                if dies and owner[tensor] != program.input:
                    owner[step.writes] = owner[tensor]
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
