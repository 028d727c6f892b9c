"""Which net stands at a size: a layout for every range of sizes, as wide as its folded parameters allow."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.models import ModelConfig, SeparableConfig, build_model
from kws_dendrite.plain import cost
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import grow

SLACK = 0.01  # of the size: so much more is still that size
TAPS = (0, -2, 2, -4, 4)  # what the kernel may be shorter or longer
NARROWEST = 2  # channels
WIDEST = 512  # channels; beyond it a size is no longer one of this family's
NOISE_CLIPS = 16  # enough for the calibration that a growth step makes; what is measured depends on none of them

# The pilot's best layouts at 12 classes and 24 x 49 features. Other sizes take the layout of the nearest.
LAYOUTS: dict[int, dict[str, object]] = {
    700: {"kernel": 11, "blocks": (0, 0), "dilations": (1, 3)},
    1000: {"kernel": 9, "blocks": (0, 0), "dilations": (1, 3)},
    1400: {"kernel": 9, "blocks": (0, 0), "dilations": (1, 3)},
    2300: {"kernel": 9, "blocks": (0, 0, 1), "dilations": (1, 2, 3)},
    3500: {"kernel": 9, "blocks": (0, 0, 1), "dilations": (1, 2, 3)},
    4600: {"kernel": 9, "blocks": (0, 0, 1, 1), "dilations": (1, 2, 2, 4)},
}


@dataclass(frozen=True)
class Fitted:
    """A net that stands at a size.

    Attributes:
        architecture: what is trained first, before any growth.
        parameters, macs: of the folded net, grown as planned.
    """

    architecture: ModelConfig
    parameters: int
    macs: int


def layout(size: int) -> dict[str, object]:
    """Settings of the layout of the nearest known size, on a logarithmic scale."""
    return LAYOUTS[min(LAYOUTS, key=lambda known: abs(math.log(known / size)))]


def fit(
    size: int,
    make: Callable[[int], SeparableConfig],
    growth: DendriteConfig | None = None,
    *,
    taps: tuple[int, ...] = TAPS,
    whose: str = "the plain arm",
) -> Fitted:
    """The net whose folded parameters, grown as planned, come nearest `size` from below or within 1 % above.

    Width decides. Where whole channels leave more than 1 % of the size unspent, the depthwise kernel may be up to four
    taps shorter or longer, as few as it takes: a gap in size would be a handicap in the comparison.

    Args:
        size: folded parameters.
        make: channels -> architecture; more channels are more parameters.
        growth: how it grows; None for not at all.
        taps: what the kernel may be longer; (0,) leaves it as it is.
        whose: names the arm in an error.

    Raises:
        ConfigError: the narrowest net is already larger, or the widest still far smaller; or no layer can take the
            dendrites.
    """
    limit = size * (1 + SLACK)

    def parameters(channels: int) -> int:
        return measure(make(channels), growth).parameters

    try:
        smallest = parameters(NARROWEST)
    except ConfigError as error:  # dendrites that this net cannot take
        raise ConfigError(f"{whose}: {error}") from error
    if smallest > limit:
        raise ConfigError(
            f"{whose} cannot stand at {size:,} parameters: its smallest net has {smallest:,}; take a larger size"
        )
    low, high = NARROWEST, 2 * NARROWEST
    while high <= WIDEST and parameters(high) <= limit:
        low, high = high, 2 * high
    if high > WIDEST:
        raise ConfigError(
            f"{whose} cannot stand at {size:,} parameters: with {low} channels it has {parameters(low):,}; take a "
            "smaller size"
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) <= limit else (low, middle)
    return min(_near(make, low, growth, limit, taps), key=lambda fitted: _distance(fitted, size, make))


def _near(
    make: Callable[[int], SeparableConfig],
    channels: int,
    growth: DendriteConfig | None,
    limit: float,
    longer: tuple[int, ...],
) -> list[Fitted]:
    """Nets of about that width and kernel that are not over the limit."""
    found = []
    for width in range(max(NARROWEST, channels - 1), channels + 3):
        usual = make(width)
        for taps in longer:
            if usual.kernel + taps < 3:
                continue
            architecture = replace(usual, kernel=usual.kernel + taps)
            measured = measure(architecture, growth)
            if measured.parameters <= limit:
                found.append(Fitted(architecture, measured.parameters, measured.macs))
    return found


def _distance(fitted: Fitted, size: int, make: Callable[[int], SeparableConfig]) -> tuple[float, int, float]:
    missed = abs(fitted.parameters - size) / size
    taps = abs(fitted.architecture.kernel - make(fitted.architecture.channels).kernel)
    return (missed if missed > SLACK else 0.0, taps, missed)


def narrower(architecture: SeparableConfig, size: int) -> SeparableConfig:
    """The same net with fewer channels: as many as come nearest `size` from below, two at the least."""
    channels = architecture.channels - 1
    while channels > NARROWEST and measure(replace(architecture, channels=channels)).parameters > size:
        channels -= 1
    return replace(architecture, channels=max(NARROWEST, channels))


@dataclass(frozen=True)
class Measured:
    """Folded parameters and multiply-accumulates of a net."""

    parameters: int
    macs: int


@lru_cache(maxsize=4096)
def measure(architecture: ModelConfig, growth: DendriteConfig | None = None) -> Measured:
    """What one untrained member of an architecture costs once folded, grown by every planned step.

    A sham leaves nothing behind. Where growth itself chooses what to add, all that it could is counted.
    """
    model = build_model(architecture, 1)
    if growth is not None and growth.mode != "sham":
        # The same dendrites without a candidate phase: their number is what is asked.
        same = replace(growth, mode="gradient", insertion="converged")
        bank = _noise(architecture)
        config = TrainConfig(epochs=1, batch_size=NOISE_CLIPS)
        for step in range(growth.dendrites):
            model, _ = grow(model, bank, config, same, step)
    counted = cost(fold(model))
    return Measured(counted.parameters, counted.macs)


def _noise(architecture: ModelConfig) -> FeatureBank:
    """Features that carry nothing, for growth steps whose outcome does not matter."""
    shape = NOISE_CLIPS, architecture.frames, architecture.coefficients
    clips = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    labels = np.arange(NOISE_CLIPS) % architecture.classes
    names = tuple(str(number) for number in range(architecture.classes))
    return FeatureBank(clips[None], labels, clips, labels, names, {}, {})
