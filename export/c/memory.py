"""Where each activation of a program lies in its static arena; the rule is the plain graph's own."""

from kws_dendrite.export.c.lower import Step
from kws_dendrite.export.c.program import Program
from kws_dendrite.plain.arena import ALIGNMENT, INPUT, OUTPUT, Arena, Use, plan_arena

__all__ = ["ALIGNMENT", "INPUT", "OUTPUT", "plan_memory"]


def plan_memory(program: Program, steps: tuple[Step, ...]) -> Arena:
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
    return plan_arena(uses, program.input, program.output)
