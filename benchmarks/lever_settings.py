"""The settings that levers.py trains: each differs from its control in one thing, and in what makes that affordable."""

from dataclasses import dataclass, field, replace
from typing import Any

from kws_dendrite.models import SeparableConfig
from kws_dendrite.training.config import TrainConfig

K, MEMBERS, SCREEN = 12, 5, 60
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
    train, augment, model, frontend: what is not as the default, by field; `frontend` may name another "block".
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
        **_fronts(),
        "mean": ("mean alone", {"model": {"pooling": "mean"}}),
        "stride-2": ("stride 2, half the multiplications", {"model": {"stride": 2}}),
        "once": ("one block once", {"model": {"blocks": (0,), "dilations": (1,)}}),
        "hidden-12": ("12 hidden neurons before the head, 18 channels", {"model": {"head_hidden": 12, "channels": 18}}),
        "silence-recorded": ("training silence at the recordings' level", {"augment": {"silence_decades": (0, 0)}}),
        "no-augment": ("nothing augmented", {"augment": {"copies": 0}, "train": {"shift_frames": 0}}),
        "features-alone": (
            "no augmented waveforms; features shifted, stretched by up to 0.1, coloured by 0.5 nat",
            {"augment": {"copies": 0}, "train": {"stretch": 0.1, "colouring": 0.5}},
        ),
        "waveforms-alone": ("augmented waveforms, features never shifted", {"train": {"shift_frames": 0}}),
    }
    screens = [Setting(name, title, control="base", **changed) for name, (title, changed) in levers.items()]
    teacher = Setting("teacher", "the teacher", size="teacher", train={"epochs": 40}, members=3)
    long = Setting("base-180", "180 epochs", control="base", train={"epochs": 180})
    return [teacher, long, *screens, *_sizes()]


def _fronts() -> dict[str, tuple[str, dict[str, Any]]]:
    """Other front ends, the channels such that the parameters stay."""
    levelled = {"remove_mean": True}  # MFE keeps the clip's level, the net takes it off
    coarse = {"block": "mfe", "num_filters": 24, "frame_length": 0.03, "frame_stride": 0.02, "fft_length": 512}
    return {
        "mfcc-13": ("MFCC 13, 23 channels", {"frontend": {"block": "mfcc"}, "model": {"channels": 23}}),
        "mfcc-20": (
            "MFCC 20, 21 channels",
            {"frontend": {"block": "mfcc", "num_cepstral": 20}, "model": {"channels": 21}},
        ),
        "mfe-40": (
            "MFE as Edge Impulse sets it: 40 bands, 99 frames; 17 channels",
            {"frontend": {"block": "mfe"}, "model": {"channels": 17, **levelled}},
        ),
        "mfe-24": ("MFE of the default's frames and 24 bands", {"frontend": coarse, "model": levelled}),
        "bands-40": ("40 bands, 17 channels", {"frontend": {"num_filters": 40}, "model": {"channels": 17}}),
    }


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
