"""Arrays as Studio gives them to a learning block, and the block run on them as Studio runs it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

FLOAT, INT8 = "model.tflite", "model_quantized_int8_io.tflite"
ROWS = {"train": 72, "test": 36}
COMMAND = [sys.executable, "-u", "-m", "kws_dendrite.cli.edge_impulse_block"]


def one_hot(labels, split, classes):
    return np.eye(classes, dtype=np.float32)[labels]


def from_zero(labels, split, classes):
    return labels.astype(np.int32)


def from_one(labels, split, classes):
    return (labels + 1).astype(np.int32)


def four_columns(labels, split, classes):
    first = {"train": 100, "test": 9000}[split]
    rows = np.arange(len(labels))
    return np.stack([labels + 1, first + rows, 0 * rows, 0 * rows + 1000], axis=1).astype(np.int32)


@dataclass
class Arrays:
    """Clips scattered around one pattern a class; `write` puts them into a folder."""

    folder: Path
    classes: int = 3
    features: int = 650
    form: object = one_hot
    names: tuple = ()
    info: dict = field(default_factory=dict)
    rows: dict = field(default_factory=lambda: dict(ROWS))

    def write(self, change=lambda arrays: None):
        rng = np.random.default_rng(2)
        patterns = rng.standard_normal((self.classes, self.features))
        arrays = {}
        for split, count in self.rows.items():
            labels = np.arange(count) % self.classes
            noise = 0.3 * rng.standard_normal((count, self.features))
            arrays[f"X_split_{split}"] = (patterns[labels] + noise).astype(np.float32)
            arrays[f"Y_split_{split}"] = self.form(labels, split, self.classes)
        change(arrays)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            np.save(self.folder / f"{name}.npy", array)
        if self.names or self.info:
            values = {"classes": list(self.names), "mode": "classification", "yType": "npy", **self.info}
            (self.folder / "train_input.json").write_text(json.dumps(values))
        return self.folder

    def labels(self, split):
        return np.arange(self.rows[split]) % self.classes


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    def line(self, start):
        (found,) = [line for line in self.out.splitlines() if line.startswith(start)]
        return found


def run_block(data, out, *arguments, command=COMMAND, cwd=None, env=None):
    """The entry point in a process of its own."""
    result = subprocess.run(
        [*command, "--data-directory", str(data), "--out-directory", str(out), *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env=env or {**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    return Outcome(result.returncode, result.stdout, result.stderr)


def accuracies(outcome):
    """What the block printed, as shares: counts, so that nothing is lost in rounding."""
    found = re.findall(r"^(float|int8) validation accuracy: [\d.]+ % \((\d+) of (\d+) clips", outcome.out, re.MULTILINE)
    return {kind: int(right) / int(clips) for kind, right, clips in found}


def decide(path, x):
    """Decisions of a TFLite file, by a loop and a quantisation that share no line with the project's.

    The reference kernels, as on devices: the optimised ones round int8 differently here and there.
    """
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for row in x:
        if source["dtype"] == np.int8:
            scale, zero = source["quantization"]
            steps = [int(np.floor(abs(v) + 0.5) * (1 if v >= 0 else -1)) for v in row / np.float32(scale)]
            row = np.clip(np.array(steps) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], row[None])
        interpreter.invoke()
        found.append(int(interpreter.get_tensor(target["index"])[0].argmax()))
    return np.array(found)
