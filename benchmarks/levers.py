"""What lifts the plain separable net beside width: one lever at a time, five paired seeds, chosen by validation.

    python benchmarks/levers.py train --data SPEECH_COMMANDS --work FOLDER --cache FOLDER [--only NAME ...]
    python benchmarks/levers.py report --work FOLDER --out docs/results/levers

`train` fits one setting after the other and skips what is finished; several may run side by side on different names.
`report` writes results.json and the table at the end of README.md. Neither reads the test partition.

Four figures a setting: the validation accuracy; the mean of the twelve classes' recalls, which is what an accuracy on a
test partition of equal classes estimates; the accuracy on six augmented copies of the validation clips, the steadier
one; and the recall of `_unknown_` on words that no net was trained on. For the last, seven of the words with few clips
stay out of training in every setting whose name does not begin with "final".
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lever_settings import SIZES, Setting, settings

from kws_dendrite.data import AugmentConfig, Dataset, FeatureBank, TaskConfig, build_bank, load_dataset, read_signals
from kws_dendrite.evaluation import evaluate_scores, paired_difference, t_interval
from kws_dendrite.fold import fold
from kws_dendrite.frontend import BLOCKS, FeatureCache, FrontEndConfig, extract
from kws_dendrite.models import build_model
from kws_dendrite.output import write_json, write_text
from kws_dendrite.plain import cost
from kws_dendrite.training.checkpoint import load_checkpoint, save_checkpoint
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import EpochRecord, predict
from kws_dendrite.training.teacher import with_teacher

SEED = 0
NOISY_COPIES, NOISY_SEED = 6, 77  # another seed than training's: its shifts, speeds and noises are others
MARK = "<!-- what follows is written by benchmarks/levers.py report -->"
HELD_OUT = ("bird", "four", "marvin", "seven", "six", "tree", "wow")  # 8 or 9 training clips each


def main() -> None:
    """Parse the command line and run one stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("train", "report"))
    parser.add_argument("--data", type=Path, help="a Speech Commands folder; `report` needs none")
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--cache", type=Path, default=Path("kws_cache"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/levers"))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    known = {setting.name: setting for setting in settings()}
    unknown = set(arguments.only) - set(known)
    if unknown:
        sys.exit(f"unknown settings: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    chosen = [known[name] for name in arguments.only] or list(known.values())
    if arguments.stage == "report":
        report(chosen, arguments.work, arguments.out)
        return
    if arguments.data is None:
        parser.error("train needs --data")
    for setting in chosen:
        if (arguments.work / setting.name / "result.json").exists():
            score_again(setting, arguments)
        else:
            fit(setting, arguments)


def fit(setting: Setting, arguments: argparse.Namespace) -> None:
    """Train, score on validation, store."""
    bank = load_bank(arguments.data, arguments.cache, setting)
    if setting.teacher:
        bank = with_teacher(bank, arguments.work / setting.teacher, arguments.cache)
    model_config = replace(SIZES[setting.size], **setting.model)
    _, T, F = bank.validation.shape
    model_config = replace(model_config, frames=T, coefficients=F)
    start = time.perf_counter()

    def show(record: EpochRecord, epochs: int) -> None:
        if record.epoch % 20 == 19:
            print(
                f"  {setting.name} epoch {record.epoch + 1} loss {record.train_loss:.3f} train "
                f"{record.train_accuracy:.4f} validation {np.mean(record.validation_accuracy):.4f} "
                f"{record.seconds:.2f} s",
                flush=True,
            )

    result = train(
        build_model(model_config, setting.members, SEED),
        bank,
        setting.config,
        restarts=setting.restarts,
        seed=SEED,
        progress=show,
    )
    if result.interrupted:
        sys.exit(130)
    seconds = time.perf_counter() - start
    probabilities = torch.softmax(predict(result.model, torch.from_numpy(bank.validation)), -1).numpy()
    evaluations = [evaluate_scores(one, bank.validation_labels, bank.labels) for one in probabilities]
    probe = held_out_clips(arguments.data, frontend_of(setting))
    noisy = noisy_accuracy(result.model, arguments.data, arguments.cache, setting)
    unseen = (predict(result.model, torch.from_numpy(probe)).argmax(-1) == bank.labels.index("_unknown_")).float()
    counted = cost(fold(result.model, 0))
    value = {
        "name": setting.name,
        "title": setting.title,
        "size": setting.size,
        "control": setting.control,
        "parameters": counted.parameters,
        "macs": counted.macs,
        "members": setting.members,
        "epochs": len(result.history),
        "seconds": round(seconds, 1),
        "train_loss": result.history[-1].train_loss,
        "train_accuracy": result.history[-1].train_accuracy,
        "validation_loss": result.best_loss,
        "accuracy": [one.accuracy for one in evaluations],
        "balanced": [one.balanced_accuracy for one in evaluations],
        "noisy": noisy,
        "unseen": unseen.mean(1).tolist() if setting.held_out else None,
        "recall": np.mean([one.recall for one in evaluations], axis=0).tolist(),
        "changed": {key: getattr(setting, key) for key in ("train", "augment", "model", "frontend")},
        "restarts": setting.restarts,
        "teacher": setting.teacher,
    }
    folder = arguments.work / setting.name
    save_checkpoint(
        folder,
        result.model,
        model_config,
        labels=bank.labels,
        frontend=bank.frontend,
        record={
            "title": setting.title,
            "history": [record.to_json() for record in result.history],
            "data": bank.summary,
            "seeds": {"seed": SEED, "members": setting.members},
            "train": asdict(setting.config),
            "metrics": {"validation_loss": result.best_loss, "validation_accuracy": result.best_accuracy},
        },
    )
    write_json(folder / "result.json", value)
    unseen_text = f"unseen {np.mean(value['unseen']):.3f}" if setting.held_out else ""
    print(
        f"{setting.name}: {counted.parameters} parameters, validation {np.mean(value['accuracy']):.4f}, balanced "
        f"{np.mean(value['balanced']):.4f}, {unseen_text} in {seconds:.0f} s",
        flush=True,
    )


def load_bank(data: Path, store: Path, setting: Setting) -> FeatureBank:
    """Features of a setting, from the cache where it has them."""
    return _bank(data, store, frontend_of(setting), AugmentConfig(**setting.augment), setting.held_out)


def frontend_of(setting: Setting) -> FrontEndConfig:
    """Its front end."""
    changed = dict(setting.frontend)
    return BLOCKS[changed.pop("block", "logmel")](**changed)


@cache
def _dataset(data: Path) -> Dataset:
    return load_dataset(data, TaskConfig())


@cache
def _bank(data: Path, store: Path, frontend: FrontEndConfig, augment: AugmentConfig, held_out: bool) -> FeatureBank:
    _bank.cache_clear()  # one at a time: a bank is hundreds of megabytes
    dataset = _dataset(data)
    if held_out:
        dataset = replace(dataset, clips=tuple(clip for clip in dataset.clips if not _is_held_out(clip)))
    return build_bank(dataset, frontend, augment, FeatureCache(store))


def _is_held_out(clip: Any) -> bool:
    return clip.partition == "train" and clip.name.split("/")[0] in HELD_OUT


@cache
def held_out_clips(data: Path, frontend: FrontEndConfig) -> np.ndarray:
    """Features (N, T, F) of the training clips of the words that are held out."""
    dataset = _dataset(data)
    clips = tuple(clip for clip in dataset.clips if _is_held_out(clip))
    return extract(read_signals(replace(dataset, clips=clips), "train").samples, frontend)


@cache
def _noisy_bank(data: Path, store: Path, frontend: FrontEndConfig) -> FeatureBank:
    """The validation clips as a bank's training clips, so that they are augmented as those are."""
    dataset = _dataset(data)
    clips = tuple(clip for clip in dataset.clips if clip.partition == "validation")
    as_train = tuple(replace(clip, partition="train") for clip in clips)
    augment = AugmentConfig(copies=NOISY_COPIES, seed=NOISY_SEED)
    return build_bank(replace(dataset, clips=as_train + clips[:1]), frontend, augment, FeatureCache(store))


def noisy_accuracy(model: torch.nn.Module, data: Path, store: Path, setting: Setting) -> list[float]:
    """Every member's accuracy on the augmented copies of the validation clips."""
    bank = _noisy_bank(data, store, frontend_of(setting))
    labels = torch.from_numpy(bank.train_labels)
    each = [
        (predict(model, torch.from_numpy(copy).float()).argmax(-1) == labels).float().mean(1) for copy in bank.train[1:]
    ]
    return torch.stack(each).mean(0).tolist()


def score_again(setting: Setting, arguments: argparse.Namespace) -> None:
    """Add the accuracy on augmented copies to a result that was stored without."""
    path = arguments.work / setting.name / "result.json"
    result = json.loads(path.read_text())
    if "noisy" not in result:
        model = load_checkpoint(arguments.work / setting.name).model
        write_json(path, result | {"noisy": noisy_accuracy(model, arguments.data, arguments.cache, setting)})


def report(chosen: list[Setting], work: Path, out: Path) -> None:
    """results.json and the tables, of what is finished."""
    results = [
        json.loads((work / setting.name / "result.json").read_text())
        for setting in chosen
        if (work / setting.name / "result.json").exists()
    ]
    write_json(out / "results.json", results)
    page = out / "README.md"
    text = page.read_text(encoding="utf-8") if page.exists() else "# Levers beside width\n\n"
    write_text(page, text.split(MARK)[0] + MARK + "\n\n" + table(results))


def table(results: list[dict]) -> str:
    """The rows as Markdown: percent, means over seeds, and paired differences with 95 % t intervals."""
    by_name = {result["name"]: result for result in results}
    lines = [
        "| setting | parameters | kMAC | epochs | P | validation % | - control | mean recall % | - control | "
        "augmented % | - control | unseen words % | s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        control = by_name.get(result["control"])
        cells = []
        for measure in ("accuracy", "balanced", "noisy"):
            values = np.array(result[measure]) * 100
            low, high = t_interval(values)
            cells.append(f"{values.mean():.2f} [{low:.2f}, {high:.2f}]")
            cells.append(_difference(values, np.array(control[measure]) * 100) if control else "")
        unseen = f"{np.mean(result['unseen']) * 100:.0f}" if result["unseen"] else ""
        lines.append(
            f"| {result['name']}: {result['title']} | {result['parameters']:,} | {result['macs'] / 1000:.0f} | "
            f"{result['epochs']} | {result['members']} | {' | '.join(cells)} | {unseen} | {result['seconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _difference(first: np.ndarray, second: np.ndarray) -> str:
    pairs = min(len(first), len(second))
    difference = paired_difference(first[:pairs], second[:pairs])
    low, high = difference.interval
    return f"{difference.mean:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    main()
