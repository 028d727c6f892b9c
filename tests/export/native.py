"""A generated C folder compiled for this machine and called through ctypes, every operator's output in view."""

import ctypes
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
HOOK = """\
#include <stdint.h>
#include <string.h>
extern int8_t *kws_watched;
extern uint32_t kws_seen;
#define KWS_AFTER_OPERATOR(index, data, bytes) \\
    (memcpy(kws_watched + kws_seen, (data), (bytes)), kws_seen += (uint32_t)(bytes))
"""
GLUE = """\
#include "kws_model.h"
int8_t *kws_watched;
uint32_t kws_seen;
void watch(const int8_t *in, int8_t *out, int8_t *all, uint32_t clips, uint32_t bytes);
void watch(const int8_t *in, int8_t *out, int8_t *all, uint32_t clips, uint32_t bytes) {
    static kws_arena arena;
    for (uint32_t i = 0; i < clips; i++) {
        kws_watched = all + i * bytes;
        kws_seen = 0;
        kws_model_invoke(in + i * KWS_MODEL_INPUT_SIZE, out + i * KWS_MODEL_OUTPUT_SIZE, &arena);
    }
}
"""


def has_compiler():
    return shutil.which("cc") is not None


class NativeModel:
    """The C of `folder`; `run` gives the outputs and every operator's tensor."""

    def __init__(self, folder: Path, work: Path, flags=("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")):
        work.mkdir(parents=True, exist_ok=True)
        (work / "hook.h").write_text(HOOK)
        (work / "glue.c").write_text(GLUE)
        library = work / "model.so"
        sources = [str(path) for path in sorted(folder.glob("*.c"))]
        subprocess.run(
            ["cc", *STRICT, *flags, "-shared", "-fPIC", "-include", str(work / "hook.h"), f"-I{folder}", *sources,
             str(work / "glue.c"), "-o", str(library), "-lm"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        self.library = ctypes.CDLL(str(library))
        self.operators = json.loads((folder / "kws_model.json").read_text())["operators"]
        header = (folder / "kws_model.h").read_text().split()
        self.inputs = int(header[header.index("KWS_MODEL_INPUT_SIZE") + 1])
        self.outputs = int(header[header.index("KWS_MODEL_OUTPUT_SIZE") + 1])

    def run(self, x):
        """int8 (N, inputs) -> int8 (N, K), and a list of int8 (N, bytes), one an operator."""
        x = np.ascontiguousarray(x, np.int8)
        assert x.shape[1] == self.inputs
        total = sum(row["bytes"] for row in self.operators)
        out, watched = np.empty((len(x), self.outputs), np.int8), np.empty((len(x), total), np.int8)
        pointer = ctypes.c_void_p
        self.library.watch(
            x.ctypes.data_as(pointer), out.ctypes.data_as(pointer), watched.ctypes.data_as(pointer),
            ctypes.c_uint32(len(x)), ctypes.c_uint32(total),
        )  # fmt: skip
        ends = np.cumsum([row["bytes"] for row in self.operators])
        return out, np.split(watched, ends[:-1], axis=1)


def reference_outputs(path, x):
    """What LiteRT's reference kernels give: int8 (N, K), and each operator's tensor (N, bytes), in order."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from kws_dendrite.export.c import read_program

    interpreter = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    operators = read_program(path).operators
    outputs, tensors = [], [[] for _ in operators]
    for row in np.asarray(x, np.int8):
        interpreter.set_tensor(source, row[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target).reshape(-1))
        for kept, operator in zip(tensors, operators, strict=True):
            kept.append(interpreter.get_tensor(operator.outputs[0]).reshape(-1))
    return np.stack(outputs), [np.stack(rows) for rows in tensors]


def assert_equal_everywhere(path, folder, work, x, **options):
    """C and LiteRT agree on every byte of every tensor; names the first operator that does not."""
    model = NativeModel(folder, work, **options)
    out, watched = model.run(x)
    expected, tensors = reference_outputs(path, x)
    for row, mine, theirs in zip(model.operators, watched, tensors, strict=True):
        differ, most = (mine != theirs).sum(), np.abs(mine.astype(int) - theirs).max()
        assert differ == 0, f"{row['operator']} {row['name']}: {differ} of {mine.size} differ, by up to {most}"
    np.testing.assert_array_equal(out, expected)
