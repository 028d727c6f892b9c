"""What a search may choose: the default family's shape and recipe, and for a dendritic arm how it grows."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from optuna.trial import BaseTrial

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.config import ANY_KIND
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import SeparableConfig

Arm = Literal["plain", "gradient", "perforated", "growth"]
ARMS: tuple[Arm, ...] = get_args(Arm)
CANDIDATE_EPOCHS = 2  # a growth step; a trial is short, and the plain arm trains on for as long
# Name -> which weights each block uses, and its dilation. One wide block used twice or thrice, and blocks of their
# own: the layouts that led at 700 to 2,300 parameters.
LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "once": ((0,), (1,)),
    "twice": ((0, 0), (1, 3)),
    "thrice": ((0, 0, 0), (1, 2, 4)),
    "two": ((0, 1), (1, 2)),
    "twice+one": ((0, 0, 1), (1, 2, 3)),
    "three": ((0, 1, 2), (1, 1, 1)),
}


@dataclass(frozen=True)
class Space:
    """Ranges of a search, each from least to most, or a choice.

    Attributes:
        channels: width; drawn on a logarithmic scale.
        kernels: taps in time.
        layouts: names of `LAYOUTS`.
        strides: in time.
        learning_rate: of AdamW, logarithmic.
        layers: where dendrites go.
        activations: of dendrites.
        dendrites: how many a neuron.
    """

    channels: tuple[int, int] = (4, 24)
    kernels: tuple[int, ...] = (5, 7, 9, 11)
    layouts: tuple[str, ...] = tuple(LAYOUTS)
    strides: tuple[int, ...] = (1, 2)
    learning_rate: tuple[float, float] = (0.01, 0.06)
    layers: tuple[str, ...] = ("head", "conv", "all")
    activations: tuple[str, ...] = ("relu", "tanh")
    dendrites: tuple[int, int] = (1, 2)

    def __post_init__(self) -> None:
        for name in self.layouts:
            if name not in LAYOUTS:
                raise ConfigError(f"unknown layout {name!r}; known: {', '.join(LAYOUTS)}")
        for name in ("channels", "learning_rate", "dendrites"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"{name} goes from {low} to {high}; give a least above 0 and a most not below it")


@dataclass(frozen=True)
class Proposal:
    """One trial's choice."""

    model: SeparableConfig
    learning_rate: float
    growth: DendriteConfig | None


def suggest(
    trial: BaseTrial, space: Space, arm: Arm, frames: int, coefficients: int, classes: int, *, remove_mean: bool
) -> Proposal:
    """Ask `trial` for one point of `space`; the shared choices come first, in the same order for every arm."""
    blocks, dilations = LAYOUTS[trial.suggest_categorical("layout", space.layouts)]
    model = SeparableConfig(
        frames,
        coefficients,
        classes,
        channels=trial.suggest_int("channels", *space.channels, log=True),
        kernel=trial.suggest_categorical("kernel", space.kernels),
        blocks=blocks,
        dilations=dilations,
        stride=trial.suggest_categorical("stride", space.strides),
        remove_mean=remove_mean,
    )
    learning_rate = trial.suggest_float("learning_rate", *space.learning_rate, log=True)
    if arm == "plain":
        return Proposal(model, learning_rate, None)
    settings: dict[str, Any] = {
        "layers": trial.suggest_categorical("layers", space.layers),
        "activation": trial.suggest_categorical("activation", space.activations),
        "dendrites": trial.suggest_int("dendrites", *space.dendrites),
    }
    if arm == "growth":
        settings["kind"] = ANY_KIND
    return Proposal(model, learning_rate, DendriteConfig(mode=arm, candidate_epochs=CANDIDATE_EPOCHS, **settings))
