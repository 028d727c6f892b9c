"""What fine-tuning for int8 gains over rounding after training, on the nets of levers.py: validation, paired by seed.

    python benchmarks/quantisation_aware.py --data SPEECH_COMMANDS --work FOLDER --cache FOLDER --only NAME ...

FOLDER is that of `levers.py train`, whose nets are read. Every seed of every setting is exported twice, as it is and
after fine-tuning, and both int8 TFLite files run on every validation clip. Results go to docs/results/levers/int8.json,
the table to the end of docs/quantisation_aware.md. The test partition is not read.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import levers
import numpy as np
import torch

from kws_dendrite.data import FeatureBank
from kws_dendrite.evaluation import paired_difference
from kws_dendrite.export.bundle import calibration_clips
from kws_dendrite.export.predictor import TFLitePredictor
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.fold import fold
from kws_dendrite.output import write_json, write_text
from kws_dendrite.plain import cost, interpret
from kws_dendrite.training.checkpoint import load_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.finetuning import LEARNING_RATE, finetune_int8

MARK = "<!-- what follows is written by benchmarks/quantisation_aware.py -->"
MEASURES = ("float", "int8", "finetuned")


def main() -> None:
    """Measure the named settings, keep what others gave before, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Speech Commands folder")
    parser.add_argument("--work", type=Path, required=True, help="folder with the checkpoints of levers.py")
    parser.add_argument("--cache", type=Path, default=Path("kws_cache"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--only", nargs="+", default=["base"])
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = {setting.name: setting for setting in levers.settings()}
    store = arguments.out / "results" / "levers" / "int8.json"
    results = {row["name"]: row for row in json.loads(store.read_text())} if store.exists() else {}
    for name in arguments.only:
        bank = levers.load_bank(arguments.data, arguments.cache, known[name])
        results[name] = measure(known[name], bank, arguments.work, arguments.epochs)
        write_json(store, list(results.values()))
    page = arguments.out / "quantisation_aware.md"
    text = page.read_text(encoding="utf-8").split(MARK)[0] if page.exists() else ""
    write_text(page, text + MARK + "\n\n" + table(list(results.values())))


def measure(setting: levers.Setting, bank: FeatureBank, work: Path, epochs: int) -> dict:
    """Accuracies of every seed: the float graph, its int8 file, the int8 file after fine-tuning."""
    checkpoint = load_checkpoint(work / setting.name)
    chosen = calibration_clips(bank.train[0].astype(np.float32).reshape(bank.train.shape[1], -1))
    x, y = bank.validation.reshape(len(bank.validation), -1), bank.validation_labels
    row: dict = {"name": setting.name, "title": setting.title, "epochs": epochs, "learning_rate": LEARNING_RATE}
    row |= {measure: [] for measure in MEASURES} | {"loss_before": [], "loss_after": [], "best_epoch": []}
    start, jobs = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for member in range(checkpoint.members):
            graph = fold(checkpoint.model, member, checkpoint.labels)
            config = TrainConfig(**{**setting.train, "epochs": epochs})
            tuned = finetune_int8(graph, bank, config, seed=levers.SEED, calibration=chosen)
            row["float"].append(float((interpret(graph, x).argmax(1) == y).mean()))
            row["loss_before"].append(tuned.loss_before)
            row["loss_after"].append(tuned.loss_after)
            row["best_epoch"].append(tuned.best_epoch)
            for kind, each in (("int8", graph), ("finetuned", tuned.graph)):
                jobs.append((kind, TFLiteJob(each, int8_path=Path(folder) / f"{kind}{member}", calibration=chosen)))
        row |= {"parameters": cost(graph).parameters, "seconds": round(time.perf_counter() - start, 1)}
        convert([job for _, job in jobs])
        for kind, job in jobs:
            row[kind].append(float((TFLitePredictor(job.int8_path).predict(x).argmax(1) == y).mean()))
    print(setting.name, {measure: np.round(row[measure], 4).tolist() for measure in MEASURES}, row["best_epoch"])
    return row


def table(results: list[dict]) -> str:
    """Percent on validation: means over seeds, and paired differences with 95 % t intervals."""
    lines = [
        "| net | parameters | P | float % | int8 % | int8 - float | fine-tuned int8 % | fine-tuned - float | "
        "fine-tuned - int8 | validation loss int8 | fine-tuned | seeds kept |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in results:
        exact, int8, tuned = (np.array(row[measure]) * 100 for measure in MEASURES)
        cells = [
            f"{exact.mean():.2f}", f"{int8.mean():.2f}", difference(int8, exact), f"{tuned.mean():.2f}",
            difference(tuned, exact), difference(tuned, int8), f"{np.mean(row['loss_before']):.4f}",
            f"{np.mean(row['loss_after']):.4f}", f"{np.count_nonzero(row['best_epoch'])} of {len(exact)}",
        ]  # fmt: skip
        lines.append(f"| {row['name']} | {row['parameters']:,} | {len(exact)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def difference(first: np.ndarray, second: np.ndarray) -> str:
    """Mean and 95 % t interval of a paired difference."""
    found = paired_difference(first, second)
    low, high = found.interval
    return f"{found.mean:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    main()
