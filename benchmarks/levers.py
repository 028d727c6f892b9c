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
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kws_dendrite.data import AugmentConfig, Dataset, FeatureBank, TaskConfig, build_bank, load_dataset, read_signals
from kws_dendrite.evaluation import evaluate_scores, paired_difference, t_interval
from kws_dendrite.fold import fold
from kws_dendrite.frontend import FeatureCache, FrontEndConfig, LogMelConfig, extract
from kws_dendrite.models import SeparableConfig, build_model
from kws_dendrite.output import write_json, write_text
from kws_dendrite.plain import cost
from kws_dendrite.training.checkpoint import load_checkpoint, save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import EpochRecord, predict
from kws_dendrite.training.teacher import with_teacher

K, MEMBERS, SEED, SCREEN = 12, 5, 0, 60
NOISY_COPIES, NOISY_SEED = 6, 77  # another seed than training's: its shifts, speeds and noises are others
MARK = "<!-- what follows is written by benchmarks/levers.py report -->"
HELD_OUT = ("bird", "four", "marvin", "seven", "six", "tree", "wow")  # 8 or 9 training clips each
SIZES = {
    "700": SeparableConfig(49, 24, K, channels=11, kernel=11, blocks=(0, 0), dilations=(1, 3)),
    "1400": SeparableConfig(49, 24, K, channels=20, blocks=(0, 0), dilations=(1, 3)),
    "2300": SeparableConfig(49, 24, K, channels=22, blocks=(0, 0, 1), dilations=(1, 2, 3)),
    "teacher": SeparableConfig(49, 24, K, channels=56, blocks=(0, 1, 2, 3), dilations=(1, 2, 4, 1)),
    "4600": SeparableConfig(49, 24, K, channels=35, blocks=(0, 0, 1, 1), dilations=(1, 2, 2, 4)),
}


@dataclass(frozen=True)
class Setting:
    """Attributes:
    name: of its folder and its row.
    title: what is different from the control.
    size: the architecture it starts from, a key of SIZES.
    control: name of the setting to compare with; None for a control.
    train, augment, model, frontend: what is not as the default, by field.
    restarts: further cosine cycles; `train["epochs"]` counts one.
    teacher: name of the setting that teaches, trained before.
    members: P.
    """

    name: str
    title: str
    size: str = "1400"
    control: str | None = None
    train: dict[str, Any] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    frontend: dict[str, Any] = field(default_factory=dict)
    restarts: int = 0
    teacher: str | None = None
    members: int = MEMBERS

    @property
    def config(self) -> TrainConfig:
        """Its training."""
        return TrainConfig(**{"epochs": SCREEN, **self.train})

    @property
    def held_out(self) -> bool:
        """Whether the words of HELD_OUT stay out of training."""
        return not self.name.startswith("final")


def settings() -> list[Setting]:
    """Every setting, controls first."""
    return [Setting("base", "as it is"), *_screens()]


def _screens() -> list[Setting]:
    """Levers at 1,400 parameters and SCREEN epochs."""
    levers = {
        "clean-0.3": ("clean copies 0.3 of the time, not 0.1", {"train": {"clean_share": 0.3}}),
        "clean-0.5": ("clean copies half of the time", {"train": {"clean_share": 0.5}}),
        "copies-12": ("12 augmented copies, not 6", {"augment": {"copies": 12}}),
        "copies-2": ("2 augmented copies, not 6", {"augment": {"copies": 2}}),
        "quiet": (
            "noise at 10 to 40 dB, a third of the copies",
            {"augment": {"snr_db": (10, 40), "noise_probability": 0.35}},
        ),
        "wide-speed": ("speed 0.8 to 1.25", {"augment": {"speed": (0.8, 1.25)}}),
        "shift-4": ("features shifted by up to 4 frames, not 2", {"train": {"shift_frames": 4}}),
        "mask-t8": ("one mask of up to 8 frames", {"train": {"time_mask": 8}}),
        "mask-f4": ("one mask of up to 4 bands", {"train": {"frequency_mask": 4}}),
        "colour-0.5": ("random spectral curve, deviation 0.5 nat", {"train": {"colouring": 0.5}}),
        "stretch-0.1": ("features stretched by up to 0.1", {"train": {"stretch": 0.1}}),
        "mixup-0.1": ("mixup, Beta(0.1, 0.1)", {"train": {"mixup": 0.1}}),
        "mixup-0.2": ("mixup, Beta(0.2, 0.2)", {"train": {"mixup": 0.2}}),
        "smooth-0": ("label smoothing 0, not 0.05", {"train": {"label_smoothing": 0.0}}),
        "decay-0": ("weight decay 0, not 0.001", {"train": {"weight_decay": 0.0}}),
        "decay-1e-2": ("weight decay 0.01, not 0.001", {"train": {"weight_decay": 1e-2}}),
        "batch-64": ("batches of 64, learning rate 0.02", {"train": {"batch_size": 64, "learning_rate": 0.02}}),
        "average-0.999": ("weights averaged, decay 0.999", {"train": {"average": 0.999}}),
        "average-0.9997": ("weights averaged, decay 0.9997", {"train": {"average": 0.9997}}),
        "cycles-2": ("two cosine cycles of 30 epochs", {"train": {"epochs": 30}, "restarts": 1}),
        "balance-0.5": ("words drawn by the root of their clips", {"train": {"word_balance": 0.5}}),
        "pseudo-300": ("300 pseudo-unknown clips", {"augment": {"pseudo_unknown": 300}}),
        "pseudo-1000": ("1,000 pseudo-unknown clips", {"augment": {"pseudo_unknown": 1000}}),
        "reversed-300": ("300 reversed clips", {"augment": {"pseudo_unknown": 300, "pseudo_kinds": ("reversed",)}}),
        "spliced-300": ("300 spliced clips", {"augment": {"pseudo_unknown": 300, "pseudo_kinds": ("spliced",)}}),
        "distil-0.3": ("0.3 of a teacher's probabilities", {"train": {"distillation": 0.3}, "teacher": "teacher"}),
        "distil-0.7": ("0.7 of a teacher's probabilities", {"train": {"distillation": 0.7}, "teacher": "teacher"}),
        "distil-1": ("a teacher's probabilities alone", {"train": {"distillation": 1.0}, "teacher": "teacher"}),
        "distil-0.7-T2": (
            "0.7 of a teacher's probabilities, temperature 2",
            {"train": {"distillation": 0.7, "temperature": 2.0}, "teacher": "teacher"},
        ),
        "stem-5-distil": (
            "stem with 5 taps, 19 channels, 0.7 of a teacher",
            {"model": {"stem_kernel": 5, "channels": 19}, "train": {"distillation": 0.7}, "teacher": "teacher"},
        ),
        "filters-distil": (
            "12 filters, 19 channels, 0.7 of a teacher",
            {"model": {"filters": 12, "channels": 19}, "train": {"distillation": 0.7}, "teacher": "teacher"},
        ),
        "thrice": ("one block three times", {"model": {"blocks": (0, 0, 0), "dilations": (1, 2, 4)}}),
        "plain-3": (
            "three blocks of their own, 13 channels",
            {"model": {"channels": 13, "blocks": (0, 1, 2), "dilations": (1, 2, 4)}},
        ),
        "kernel-13": ("kernel 13, 19 channels", {"model": {"kernel": 13, "channels": 19}}),
        "kernel-5": (
            "kernel 5, 21 channels, dilations 2 and 5",
            {"model": {"kernel": 5, "channels": 21, "dilations": (2, 5)}},
        ),
        "dilations-1-4": ("dilations 1 and 4", {"model": {"dilations": (1, 4)}}),
        "dilations-2-3": ("dilations 2 and 3", {"model": {"dilations": (2, 3)}}),
        "bands-16": ("16 bands, 22 channels", {"frontend": {"num_filters": 16}, "model": {"channels": 22}}),
        "bands-20": ("20 bands, 21 channels", {"frontend": {"num_filters": 20}, "model": {"channels": 21}}),
        "stem-5": ("stem with 5 taps, 19 channels", {"model": {"stem_kernel": 5, "channels": 19}}),
        "joined": ("relu(x + f(x)), not x + relu(f(x))", {"model": {"residual": "joined"}}),
        "max": ("maximum alone", {"model": {"pooling": "max"}}),
        "stem-5-joined": (
            "stem with 5 taps, 19 channels, relu(x + f(x))",
            {"model": {"stem_kernel": 5, "channels": 19, "residual": "joined"}},
        ),
        "filters-16": ("16 filters, 16 channels", {"model": {"filters": 16, "channels": 16}}),
        "filters": ("12 filters, 19 channels", {"model": {"filters": 12, "channels": 19}}),
        "windows-7": ("mean and maximum of the maxima of 7 frames", {"model": {"pool_window": 7}}),
    }
    screens = [Setting(name, title, control="base", **changed) for name, (title, changed) in levers.items()]
    teacher = Setting("teacher", "the teacher", size="teacher", train={"epochs": 40}, members=3)
    long = Setting("base-180", "180 epochs", control="base", train={"epochs": 180})
    return [teacher, long, *screens, *_sizes()]


def _sizes() -> list[Setting]:
    """What won at 1,400 parameters, at the other sizes."""
    shapes = {  # filters and channels; channels beside a stem with 5 taps
        "700": ({"filters": 6, "channels": 12, "kernel": 9}, 10),
        "2300": ({"filters": 16, "channels": 20}, 21),
        "4600": ({"filters": 20, "channels": 33}, 34),
    }
    taught = {"train": {"distillation": 0.7}, "teacher": "teacher"}
    found = []
    for size, (filters, channels) in shapes.items():
        largest = size == "4600"
        shared = {"train": {"epochs": 30}} if largest else {"train": {}}
        control = Setting(f"{size}-base", "as it is", size=size, members=3 if largest else MEMBERS, **shared)
        longer = {"stem_kernel": 5, "channels": channels, "residual": "joined"}
        bank = f"{filters['filters']} filters, {filters['channels']} channels"
        stem = f"stem with 5 taps, {channels} channels, relu(x + f(x))"
        variants = {
            "distil": ("0.7 of a teacher", taught),
            "stem": (stem, {"model": longer}),
            "stem-distil": (f"{stem}, 0.7 of a teacher", {"model": longer, **taught}),
            "filters": (bank, {"model": filters}),
            "filters-distil": (f"{bank}, 0.7 of a teacher", {"model": filters, **taught}),
        }
        found.append(control)
        for name, (title, changed) in variants.items():
            changed = {**changed, "train": {**shared["train"], **changed.get("train", {})}}
            found.append(replace(control, name=f"{size}-{name}", title=title, control=control.name, **changed))
    return found


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
    return LogMelConfig(**setting.frontend)


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
