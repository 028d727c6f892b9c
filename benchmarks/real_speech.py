"""The table of the README: keyword spotters of about 700 to 2,600 parameters on real speech, five seeds each.

    python benchmarks/real_speech.py train --data SPEECH_COMMANDS --out docs/results/real_speech [--only NAME ...]
    python benchmarks/real_speech.py report --data SPEECH_COMMANDS --out docs/results/real_speech

`train` fits one row after the other and stores it, skipping what is there already; several may run side by side on
different rows. `report` reads the test partition, once, after all rows are trained, and writes results.json, the
table and the picture; `draw` writes the latter two again. Every row gets 120 epochs; a row with dendrites has two
cosine cycles, and so has its control.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from kws_dendrite.data import AugmentConfig, FeatureBank, TaskConfig, build_bank, load_dataset, read_signals
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.evaluation import evaluate_scores, paired_difference
from kws_dendrite.export.predictor import load_predictor
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.fold import fold
from kws_dendrite.frontend import FeatureCache, FrontEndConfig, LogMelConfig, MfccConfig, MfeConfig, extract, from_json
from kws_dendrite.models import EdgeImpulse1dConfig, ModelConfig, PaperConfig, SeparableConfig, build_model
from kws_dendrite.output import write_json, write_text
from kws_dendrite.plain import cost
from kws_dendrite.report.pareto import plot_front
from kws_dendrite.report.trials import points_from_trials
from kws_dendrite.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import EpochRecord, predict

EPOCHS, CANDIDATE_EPOCHS, MEMBERS, SEED = 120, 8, 5, 0
CALIBRATION_STEP = 23  # every 23rd training clip, 518 in all: ranges settle well before
K = 12
RECIPE = TrainConfig(epochs=EPOCHS)
STOCK = replace(RECIPE, learning_rate=0.005, weight_decay=0.0, label_smoothing=0.0)  # Studio's Adam, 5e-3
PAPER = replace(STOCK, learning_rate=0.01)  # the paper's best run
TWICE = replace(RECIPE, epochs=EPOCHS // 2)
AROUND_CANDIDATES = replace(RECIPE, epochs=(EPOCHS - CANDIDATE_EPOCHS) // 2)
ARM_OF = {  # row name without its size -> its series in the picture
    "separable-logmel": "plain separable, log-mel",
    "restarted": "plain separable, log-mel",
    "wider": "plain separable, log-mel",
    "separable-mfcc": "plain separable, MFCC",
    "separable-mfe": "plain separable, MFE",
    "gradient-all": "gradient dendrites, log-mel",
    "perforated-all": "perforated dendrites, log-mel",
    "gradient": "gradient dendrites, log-mel",
    "perforated": "perforated dendrites, log-mel",
}
CONTROLS = {"all-700": ("restarted-700", "wider-1400")}  # the same net, and the plain one of the same folded size
SHARED, THREE = {"blocks": (0, 0), "dilations": (1, 3)}, {"blocks": (0, 0, 1), "dilations": (1, 2, 3)}


@dataclass(frozen=True)
class Row:
    """One line of the table: a front end, an architecture, a recipe, and how it grows."""

    name: str
    title: str
    frontend: FrontEndConfig
    model: ModelConfig
    config: TrainConfig = RECIPE
    growth: DendriteConfig | None = None
    restarts: int = 0


def logmel(**settings: object) -> SeparableConfig:
    """A separable net on log-mel 24 x 49."""
    return SeparableConfig(49, 24, K, **settings)


def rows() -> list[Row]:
    """Every row, cheap ones first."""
    mel, mfcc, mfe = LogMelConfig(), MfccConfig(), MfeConfig()
    mfe_net = {"stride": 2, "remove_mean": True}
    sizes = {
        "700": (
            logmel(channels=11, kernel=11, **SHARED),
            SeparableConfig(50, 13, K, channels=13, kernel=11, **SHARED),
            SeparableConfig(99, 40, K, channels=9, kernel=11, **SHARED, **mfe_net),
            logmel(channels=13, kernel=11, **SHARED),
        ),
        "1400": (
            logmel(channels=20, **SHARED),
            SeparableConfig(50, 13, K, channels=23, **SHARED),
            SeparableConfig(99, 40, K, channels=17, **SHARED, **mfe_net),
            logmel(channels=23, **SHARED),
        ),
        "2300": (
            logmel(channels=22, **THREE),
            SeparableConfig(50, 13, K, channels=24, **THREE),
            SeparableConfig(99, 40, K, channels=20, **THREE, **mfe_net),
            logmel(channels=24, **THREE),
        ),
    }
    found = []
    for size, (on_mel, on_mfcc, on_mfe, wider) in sizes.items():
        found.append(Row(f"separable-logmel-{size}", "separable", mel, on_mel))
        found.append(Row(f"separable-mfcc-{size}", "separable", mfcc, on_mfcc))
        found.append(Row(f"separable-mfe-{size}", "separable", mfe, on_mfe))
        found.append(Row(f"restarted-{size}", "separable, restarted", mel, on_mel, TWICE, restarts=1))
        found.append(Row(f"wider-{size}", "separable, wider, restarted", mel, wider, TWICE, restarts=1))
        head = DendriteConfig(mode="gradient", layers="head", activation="tanh")
        frozen = replace(head, mode="perforated", candidate_epochs=CANDIDATE_EPOCHS)
        found.append(Row(f"gradient-{size}", "gradient dendrites, head", mel, on_mel, TWICE, head))
        found.append(Row(f"perforated-{size}", "perforated dendrites, head", mel, on_mel, AROUND_CANDIDATES, frozen))
        if size == "700":  # 1,664 parameters, the size of "wider-1400"
            everywhere, frozen = (replace(plan, layers="all", activation="relu") for plan in (head, frozen))
            found.append(Row("gradient-all-700", "gradient dendrites, all layers", mel, on_mel, TWICE, everywhere))
            title = "perforated dendrites, all layers"
            found.append(Row("perforated-all-700", title, mel, on_mel, AROUND_CANDIDATES, frozen))
    found.append(Row("edge-impulse-1d", "Edge Impulse stock 1-D CNN", mfcc, EdgeImpulse1dConfig(50, 13, K), STOCK))
    found.append(Row("paper-2d", "3 x 3 family, 4-8-8", mfcc, PaperConfig(50, 13, K), PAPER))
    return found


def main() -> None:
    """Parse the command line and run one stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("train", "report", "draw"))
    parser.add_argument("--data", type=Path, help="a Speech Commands folder; `draw` needs none")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("kws_cache"))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.data is None and arguments.stage != "draw":
        parser.error(f"{arguments.stage} needs --data")
    known = {row.name: row for row in rows()}
    unknown = set(arguments.only) - set(known)
    if unknown:
        sys.exit(f"unknown rows: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    chosen = [known[name] for name in arguments.only] or list(known.values())
    if arguments.stage == "train":
        train_rows(chosen, arguments)
    elif arguments.stage == "report":
        report(chosen, arguments)
    else:
        draw(arguments.out, json.loads((arguments.out / "results.json").read_text()))


def train_rows(chosen: list[Row], arguments: argparse.Namespace) -> None:
    """Fit and store each row that is not there yet."""
    dataset = load_dataset(arguments.data, TaskConfig())
    banks: dict[FrontEndConfig, FeatureBank] = {}
    for row in chosen:
        folder = arguments.out / "models" / row.name
        if (folder / "model.json").exists():
            continue
        if row.frontend not in banks:
            banks = {row.frontend: build_bank(dataset, row.frontend, AugmentConfig(), FeatureCache(arguments.cache))}
        bank = banks[row.frontend]
        start = time.perf_counter()

        def show(record: EpochRecord, epochs: int, name: str = row.name) -> None:
            if record.epoch % 10 == 9:
                print(
                    f"{name} epoch {record.epoch + 1} loss {record.train_loss:.3f} "
                    f"validation {np.mean(record.validation_accuracy):.4f} {record.seconds:.2f} s",
                    flush=True,
                )

        result = train(
            build_model(row.model, MEMBERS, SEED),
            bank,
            row.config,
            growth=row.growth,
            restarts=row.restarts,
            seed=SEED,
            progress=show,
        )
        if result.interrupted:
            sys.exit(130)
        save_checkpoint(
            folder,
            result.model,
            row.model,
            labels=bank.labels,
            frontend=bank.frontend,
            record={
                "title": row.title,
                "growth": [step.to_json() for step in result.growth],
                "history": [record.to_json() for record in result.history],
                "data": bank.summary,
                "seeds": {"seed": SEED, "members": MEMBERS},
                "metrics": {"validation_loss": result.best_loss, "validation_accuracy": result.best_accuracy},
                "seconds": time.perf_counter() - start,
            },
        )
        print(f"{row.name} validation {np.mean(result.best_accuracy):.4f} in {time.perf_counter() - start:.0f} s")


def report(chosen: list[Row], arguments: argparse.Namespace) -> None:
    """Read the test partition once, score every stored row float and int8, write results.json."""
    dataset = load_dataset(arguments.data, TaskConfig())
    signals = read_signals(dataset, "test")
    calibration = read_signals(dataset, "train").samples[::CALIBRATION_STEP]
    tests: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    results = []
    for row in chosen:
        folder = arguments.out / "models" / row.name
        checkpoint = load_checkpoint(folder)
        key = json.dumps(checkpoint.frontend, sort_keys=True)
        if key not in tests:
            config = from_json(checkpoint.frontend)
            tests[key] = extract(signals.samples, config), extract(calibration, config)
        test, seen = tests[key]
        logits = predict(checkpoint.model, torch.from_numpy(test))
        scores = torch.softmax(logits, -1).numpy()
        evaluation = evaluate_scores(scores, signals.labels, checkpoint.labels)
        counted = cost(fold(checkpoint.model, 0))
        int8 = int8_accuracies(checkpoint, folder, seen, test, signals.labels)
        metrics = checkpoint.record["metrics"]
        results.append(
            {
                "name": row.name,
                "title": row.title,
                "frontend": checkpoint.frontend["block"],
                "parameters": counted.parameters,
                "macs": counted.macs,
                "test": evaluation.to_json(),
                "test_int8_members": int8,
                "validation_accuracy": metrics["validation_accuracy"],
                "growth": checkpoint.record["growth"],
                "epochs": len(checkpoint.record["history"]),
                "seconds": checkpoint.record["seconds"],
            }
        )
        members = (scores.argmax(-1) == signals.labels).mean(-1) * 100
        print(row.name, counted.parameters, f"{members.mean():.2f}±{members.std(ddof=1):.2f}", f"{np.mean(int8):.4f}")
    write_json(arguments.out / "results.json", results)
    draw(arguments.out, results)


def draw(out: Path, results: list[dict]) -> None:
    """The table and the picture."""
    clips = results[0]["test"]["clips"]
    write_text(out / "results.md", table(results, clips) + "\n" + comparisons(results))
    trials = [
        {
            "number": number,
            "arm": ARM_OF.get(result["name"].rpartition("-")[0], "published nets, MFCC"),
            "state": "complete",
            "parameters": result["parameters"],
            "macs": result["macs"],
            "validation_accuracy": result["test"]["accuracy"],
            "validation_accuracy_members": result["test"]["accuracy_members"],
        }
        for number, result in enumerate(results)
    ]
    plot_front(
        points_from_trials(trials),
        [out / "pareto.png"],
        dataset="Speech Commands v0.02, a subset",
        clips=clips,
        split="test",
    )


def int8_accuracies(
    checkpoint: Checkpoint, folder: Path, calibration: np.ndarray, test: np.ndarray, labels: np.ndarray
) -> list[float]:
    """Test accuracy of every member as full int8 TFLite, scales from training clips; features (N, T, F)."""
    jobs = [
        TFLiteJob(
            fold(checkpoint.model, member, checkpoint.labels),
            int8_path=folder / f"int8_{member}.tflite",
            calibration=calibration.reshape(len(calibration), -1),
        )
        for member in range(checkpoint.members)
    ]
    convert(jobs)
    accuracies = []
    for job in jobs:
        decisions = load_predictor(job.int8_path).predict(test.reshape(len(test), -1)).argmax(-1)
        accuracies.append(float((decisions == labels).mean()))
        job.int8_path.unlink()
    return accuracies


def table(results: list[dict], clips: int) -> str:
    """The rows as Markdown."""
    lines = [
        f"12 classes, {clips} test clips, {EPOCHS} epochs: mean ± standard deviation over P = {MEMBERS} seeds.",
        "",
        "| net | front end | folded parameters | kMAC | test accuracy % | int8 TFLite % |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for result in sorted(results, key=lambda result: (result["parameters"], result["name"])):
        accuracy = np.array(result["test"]["accuracy_members"]) * 100
        int8 = np.array(result["test_int8_members"]) * 100
        lines.append(
            f"| {result['title']} | {result['frontend']} | {result['parameters']:,} | {result['macs'] / 1000:.0f} | "
            f"{accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f} | {int8.mean():.1f} |"
        )
    return "\n".join(lines) + "\n"


def comparisons(results: list[dict]) -> str:
    """Each dendritic net against its base with a restart and against the wider net of its size, paired by seed."""
    by_name = {result["name"]: np.array(result["test"]["accuracy_members"]) * 100 for result in results}
    lines = [
        "Points of test accuracy gained by dendrites, mean over paired seeds with a 95 % t interval:",
        "",
        "| dendrites | over the same net, restarted | over a plain net of the same folded size |",
        "|---|---:|---:|",
    ]
    for result in results:
        mode, _, size = result["name"].partition("-")
        controls = CONTROLS.get(size, (f"restarted-{size}", f"wider-{size}"))
        if mode not in ("gradient", "perforated") or not set(controls) <= set(by_name):
            continue
        cells = []
        for control in controls:
            difference = paired_difference(by_name[result["name"]], by_name[control])
            low, high = difference.interval
            cells.append(f"{difference.mean:+.2f} [{low:+.2f}, {high:+.2f}]")
        lines.append(f"| {result['title']}, {result['parameters']:,} parameters | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
