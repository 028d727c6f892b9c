"""What the Edge Impulse learning block makes of real clips: arrays as Studio gives them, the block run on them.

    python benchmarks/edge_impulse_block.py arrays DATA --to FOLDER [--frontend mfcc] [--set NAME=VALUE] [...]
    python benchmarks/edge_impulse_block.py run FOLDER [FOLDER ...] [-- BLOCK ARGUMENTS]

`run` starts the block in a process of its own, times it, and scores both files it wrote once more, with LiteRT's
reference kernels ("again", the numbers that the block has to have printed) and its optimised ones, whose int8 rounding
differs here and there.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kws_dendrite.data import TaskConfig, load_dataset, read_signals
from kws_dendrite.frontend import configure, extract
from kws_dendrite.output import write_json
from kws_dendrite.settings import parse_assignments

FILES = {"float": "model.tflite", "int8": "model_quantized_int8_io.tflite"}


def write_arrays(
    data: str, folder: Path, frontend: str, settings: list[str], keywords: str | None, silence: bool
) -> None:
    """X_split_*, Y_split_* one-hot, sample_id_details.json and train_input.json; validation is the data set's own."""
    config = configure(frontend, parse_assignments(settings))
    words = None if keywords is None else tuple(keywords.split(","))
    dataset = load_dataset(
        data, TaskConfig(keywords=words, silence=None if silence else False, sampling_freq=config.sampling_freq)
    )
    folder.mkdir(parents=True, exist_ok=True)
    ids, first = {}, 1000
    for partition, name in (("train", "train"), ("validation", "test")):
        signals = read_signals(dataset, partition)
        features = extract(signals.samples, config)
        flat = features.reshape(len(features), -1)
        np.save(folder / f"X_split_{name}.npy", flat.astype(np.float32))
        np.save(folder / f"Y_split_{name}.npy", np.eye(len(dataset.labels), dtype=np.float32)[signals.labels])
        ids[partition] = list(range(first, first + len(features)))
        first += len(features)
        print(f"{partition}: {features.shape} of {len(dataset.labels)} classes")
    write_json(folder / "sample_id_details.json", ids)
    info = {
        "classes": list(dataset.labels),
        "mode": "classification",
        "inputShapeString": f"({flat.shape[1]},)",
        "yType": "npy",
        "maxTrainingTimeSeconds": 1200,
    }
    write_json(folder / "train_input.json", info)


def run_block(folder: Path, arguments: list[str]) -> dict[str, object]:
    """Accuracies that the block printed, those of its files, and wall seconds."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-u", "-m", "kws_dendrite.cli.edge_impulse_block", "--data-directory", str(folder)]
        command += ["--out-directory", out, "--info-file", str(folder / "train_input.json"), *arguments]
        start = time.perf_counter()
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - start
        print(result.stdout)
        row: dict[str, object] = {"folder": folder.name, "seconds": round(seconds, 1)}
        for kind, name in FILES.items():
            printed = re.search(rf"^{kind} validation accuracy:? ([\d.]+) %", result.stdout, re.MULTILINE)
            row[f"{kind} printed"] = float(printed[1])
            for kernels in ("again", "optimised"):
                reference = kernels == "again"
                row[f"{kind} {kernels}"] = round(100 * score(Path(out) / name, folder, reference=reference), 2)
        parameters = re.search(r"([\d,]+) parameters", result.stdout)
        row["parameters"] = int(parameters[1].replace(",", "")) if parameters else None
        return row


def score(path: Path, folder: Path, *, reference: bool) -> float:
    """Accuracy of one file over the validation arrays."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    x, y = np.load(folder / "X_split_test.npy"), np.load(folder / "Y_split_test.npy").argmax(1)
    if source["dtype"] == np.int8:
        scale, zero = source["quantization"]
        scaled = x / np.float32(scale)
        x = np.clip(np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + zero, -128, 127).astype(np.int8)
    right = 0
    for row, label in zip(x, y, strict=True):
        interpreter.set_tensor(source["index"], row[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(target["index"])[0].argmax() == label)
    return right / len(y)


def main() -> None:
    """Read the command line."""
    own, block = sys.argv[1:], []
    if "--" in own:
        place = own.index("--")
        own, block = own[:place], own[place + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    arrays = commands.add_parser("arrays")
    arrays.add_argument("data")
    arrays.add_argument("--to", type=Path, required=True)
    arrays.add_argument("--frontend", default="mfcc")
    arrays.add_argument("--set", dest="settings", action="append", default=[])
    arrays.add_argument("--keywords")
    arrays.add_argument("--no-silence", action="store_true", help="leave the class _silence_ out")
    commands.add_parser("run").add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args(own)
    if options.command == "arrays":
        write_arrays(
            options.data, options.to, options.frontend, options.settings, options.keywords, not options.no_silence
        )
        return
    for folder in options.folders:
        print(json.dumps(run_block(folder, block)))


if __name__ == "__main__":
    main()
