"""Coverage-guided fuzzing of the TFLite reader, by hand; it is not part of the tests.

    pip install atheris
    mkdir -p corpus && cp tests/golden/tflite/*.tflite corpus/
    python tests/fuzz_c_reader.py corpus -max_len=16384 -runs=200000

Whatever bytes come in, the reader and the lowering end in a result or an ExportError; atheris stops at anything else
and leaves the bytes behind (`crash-*`). Options are libFuzzer's.
"""

import sys

import atheris

with atheris.instrument_imports(include=["kws_dendrite.export.c"]):
    from kws_dendrite.errors import ExportError
    from kws_dendrite.export.c.lower import lower
    from kws_dendrite.export.c.memory import plan_memory
    from kws_dendrite.export.c.reader import parse_program

LOWERED = 1 << 15  # bytes of tensors: larger programs are read alone, so that a run stays short


def one_input(content: bytes) -> None:
    """Read, lower and plan."""
    try:
        program = parse_program(content, name="fuzzed.tflite")
        if sum(tensor.size for tensor in program.tensors) <= LOWERED:
            steps, _ = lower(program)
            plan_memory(program, steps)
    except ExportError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
