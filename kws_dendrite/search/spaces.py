"""The spaces that ship, and the one that a command line names."""

from pathlib import Path

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.dims import Choice, Range
from kws_dendrite.search.shapes import LAYOUTS, PATTERNS
from kws_dendrite.search.space import CANDIDATE_EPOCHS, Space, nearest
from kws_dendrite.search.space_file import read_space

_SEPARABLE = {
    "stride": Choice((1, 2)),
    "kernel": Choice((5, 7, 9, 11)),
    "layout": Choice(tuple(LAYOUTS)),
    "channels": Range(4, 32, log=True),
    "stem_kernel": Choice((1, 3, 5)),
    "pooling": Choice(("mean_max", "mean", "max")),
}
_DENDRITES = {
    "kind": Choice(("copy", "lean", "temporal", "plateau", "lowrank", "pool", "any")),
    "layers": Choice(("head", "conv", "all")),
    "insertion": Choice(("converged", "early", "start")),
    "dendrites": Range(1, 2),
    "activation": Choice(("relu", "tanh")),
    "join": Choice(("add", "gate")),
    "rank": Choice((2, 4)),
    "taps": Choice((3, 5, 9)),
    "dilation": Choice((1, 3)),
    "budget_share": Choice((0.1, 0.2, 0.4)),
    "candidate_epochs": Choice((CANDIDATE_EPOCHS,)),
}
_TRAIN = {
    "learning_rate": Range(0.01, 0.06, log=True),
    "weight_decay": Choice((1e-4, 1e-3, 1e-2)),
    "label_smoothing": Choice((0.0, 0.05, 0.1)),
    "shift_frames": Choice((0, 2)),
    "time_mask": Choice((0, 4)),
    "frequency_mask": Choice((0, 3)),
}

DEFAULT = Space(families={"separable": _SEPARABLE}, train=_TRAIN, dendrites=_DENDRITES)

_FRAMES = {
    "frame_length": Choice((0.016, 0.032)),
    "frame_stride": Choice((0.016, 0.032)),
    "fft_length": Choice((256, 512)),
}

# Each front end is features of its own to compute, so there are few of each.
WIDE = Space(
    families={
        "separable": {**_SEPARABLE, "head_hidden": Choice((0, 8)), "residual": Choice(("added", "joined"))},
        "spark": {
            "kernel": Choice((9, 15, 21)),
            "blocks": Range(1, 5),
            "channels": Range(4, 20, log=True),
            "gates": Range(8, 24),
        },
        "edge_impulse_1d": {
            "depth": Range(1, 3),
            "pattern": Choice(tuple(PATTERNS)),
            "width": Choice((0.25, 0.5, 1.0, 2.0)),
            "dropout": Choice((0.0, 0.1, 0.25)),
        },
        "paper": {
            "depth": Range(1, 3),
            "pattern": Choice(tuple(PATTERNS)),
            "width": Choice((0.25, 0.5, 1.0, 2.0)),
            "linear": Choice((1, 2)),
            "dropout": Choice((0.0, 0.1, 0.3)),
        },
    },
    train={**_TRAIN, "stretch": Choice((0.0, 0.1)), "mixup": Choice((0.0, 0.2))},
    dendrites=_DENDRITES,
    frontends={
        "logmel": {**_FRAMES, "num_filters": Choice((16, 24, 32))},
        "mfcc": {**_FRAMES, "num_filters": Choice((20, 32)), "num_cepstral": Choice((10, 13))},
        "mfe": {**_FRAMES, "num_filters": Choice((16, 24, 32))},
    },
)

# arXiv 2605.15647's random search over its own family; docs/search_space.md says what differs.
PAPER = Space(
    families={
        "paper": {
            "depth": Range(1, 3),
            "pattern": Choice(tuple(PATTERNS)),
            "width": Choice((0.25, 0.5, 1.0, 2.0, 4.0)),
            "linear": Choice((1, 2)),
            "dropout": Choice((0.1, 0.3, 0.5)),
        }
    },
    train={
        "learning_rate": Choice((0.001, 0.005, 0.01)),
        "batch_size": Choice((32,)),
        "weight_decay": Choice((0.0,)),
        "label_smoothing": Choice((0.0,)),
        "warmup_epochs": Choice((0.0,)),
        "patience": Choice((10, 25, 100)),
    },
    dendrites={
        "kind": Choice(("copy",)),
        "layers": Choice(("all", "head")),
        "dendrites": Range(1, 4),
        "activation": Choice(("sigmoid", "relu", "tanh")),
        "cascade": Choice((False, True)),
        "min_improvement": Choice((0.0, 0.001)),
        "objective": Choice(("covariance",)),
        "candidate_epochs": Choice((CANDIDATE_EPOCHS,)),
    },
)

SPACES = {"default": DEFAULT, "wide": WIDE, "paper": PAPER}


def named_space(text: str) -> Space:
    """The space that `text` names: default, wide, paper, or the path of a .toml file.

    Raises:
        ConfigError: none of these; the nearest is offered.
    """
    if text in SPACES:
        return SPACES[text]
    if text.endswith(".toml") or Path(text).is_file():
        return read_space(text)
    raise ConfigError(f"--space is {', '.join(SPACES)}, or a .toml file; got {text!r}, {nearest(text, SPACES)}")
