"""Where each activation of a program lies in its static arena; the rule is the plain graph's own."""

from dataclasses import dataclass

from kws_dendrite.export.c.lower import Step
from kws_dendrite.export.c.program import Program
from kws_dendrite.plain.arena import ALIGNMENT, INPUT, OUTPUT, Use, plan_arena

__all__ = ["ALIGNMENT", "INPUT", "OUTPUT", "Memory", "plan_memory"]


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


def plan_memory(program: Program, steps: tuple[Step, ...]) -> Memory:
    """Plan the arena by `plan_arena`: a RESHAPE has its input's bytes, elementwise steps may overwrite an input."""
    uses = [
        Use(
            reads=step.reads,
            writes=step.writes,
            size=program.tensors[step.writes].size,
            scratch=step.scratch,
            overwrites=step.overwrites,
            computes=bool(step.kernel),
        )
        for step in steps
    ]
    arena = plan_arena(uses, program.input, program.output)
    return Memory(dict(arena.places), arena.scratch, arena.size)
