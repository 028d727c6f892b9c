"""What a constant on the logit of `_unknown_` does, chosen on clips of no word, for nets of levers.py.

    python benchmarks/unknown_bias.py --data SPEECH_COMMANDS --work FOLDER --cache FOLDER --only NAME ...

FOLDER is that of `levers.py train`, whose nets are read; they were trained without the seven held-out words. Writes
docs/results/levers/unknown.json and the table at the end of docs/results/levers/unknown.md. The test partition is not
read.
"""

import argparse
import copy
import json
from pathlib import Path

import levers
import numpy as np
import torch

from kws_dendrite.data import read_signals
from kws_dendrite.evaluation import evaluate_scores
from kws_dendrite.frontend import extract
from kws_dendrite.output import write_json, write_text
from kws_dendrite.training.calibration import calibrate_unknown, unseen_features
from kws_dendrite.training.checkpoint import load_checkpoint
from kws_dendrite.training.loop import predict

MARK = "<!-- what follows is written by benchmarks/unknown_bias.py -->"
WEIGHTS = (0.0, 1.0, 2.0, 4.0)
FIGURES = ("accuracy", "balanced", "recall", "made", "held_out", "noisy")


def main() -> None:
    """Measure the named settings at every weight, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Speech Commands folder")
    parser.add_argument("--work", type=Path, required=True, help="folder with the checkpoints of levers.py")
    parser.add_argument("--cache", type=Path, default=Path("kws_cache"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/levers"))
    parser.add_argument("--only", nargs="+", default=["base"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = {setting.name: setting for setting in levers.settings()}
    results = [row for name in arguments.only for row in measure(known[name], arguments)]
    write_json(arguments.out / "unknown.json", results)
    page = arguments.out / "unknown.md"
    text = page.read_text(encoding="utf-8").split(MARK)[0] if page.exists() else ""
    write_text(page, text + MARK + "\n\n" + table(results))


def measure(setting: levers.Setting, arguments: argparse.Namespace) -> list[dict]:
    """A row for the net as it is and one for every weight: each figure a value a seed."""
    frontend, dataset = levers.frontend_of(setting), levers._dataset(arguments.data)
    signals = read_signals(dataset, "validation")
    x, y = extract(signals.samples, frontend), signals.labels
    made = {
        "chosen by": unseen_features(dataset, frontend, seed=0),
        "made": unseen_features(dataset, frontend, seed=1),  # others of the same kinds
        "held_out": levers.held_out_clips(arguments.data, frontend),
    }
    checkpoint = load_checkpoint(arguments.work / setting.name)
    unknown = checkpoint.labels.index("_unknown_")
    rows = []
    for weight in (None, *WEIGHTS):
        model, biases = copy.deepcopy(checkpoint.model), [0.0] * checkpoint.members
        if weight is not None:
            chosen = calibrate_unknown(model, checkpoint.labels, x, y, made["chosen by"], weight)
            biases = [one.bias for one in chosen]
        scores = torch.softmax(predict(model, torch.from_numpy(x)), -1).numpy()
        evaluations = [evaluate_scores(one, y, checkpoint.labels) for one in scores]
        row = {"name": setting.name, "weight": weight, "bias": biases}
        row["accuracy"] = [one.accuracy for one in evaluations]
        row["balanced"] = [one.balanced_accuracy for one in evaluations]
        row["recall"] = [float(one.recall[unknown]) for one in evaluations]
        for name in ("made", "held_out"):
            decisions = predict(model, torch.from_numpy(made[name])).argmax(-1)
            row[name] = (decisions == unknown).float().mean(1).tolist()
        row["noisy"] = levers.noisy_accuracy(model, arguments.data, arguments.cache, setting)
        rows.append(row)
        print(json.dumps({key: np.round(np.mean(row[key]), 4) for key in FIGURES} | {"weight": weight}), flush=True)
    return rows


def table(results: list[dict]) -> str:
    """Percent, means over seeds."""
    lines = [
        "| net | weight | constant, nat | validation % | mean recall % | `_unknown_` % | augmented % | "
        "clips of no word % | held-out words % |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in results:
        biases = ", ".join(f"{bias:+.2f}" for bias in row["bias"]) if row["weight"] is not None else ""
        weight = "none" if row["weight"] is None else f"{row['weight']:g}"
        figures = (row[name] for name in ("accuracy", "balanced", "recall", "noisy", "made", "held_out"))
        cells = " | ".join(f"{100 * np.mean(values):.1f}" for values in figures)
        lines.append(f"| {row['name']} | {weight} | {biases} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
