"""The arms of a study: how each spends a size. One entry an arm; what it is made of lives in other rooms.

An arm takes the plain layout of a size and may change its shape, grow dendrites on it, or restart its learning rate;
its width then follows from the size (`sizes.fit`). The plain arm at a size is therefore the "wider" net of every
dendritic arm of that size: the same folded parameters, spent on width. Published nets have their own sizes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfccConfig, coefficients
from kws_dendrite.models import ModelConfig, SeparableConfig
from kws_dendrite.models.bc_resnet import BcResNetConfig
from kws_dendrite.models.spark import published as published_spark
from kws_dendrite.settings import parse_assignments, parse_settings

Shape = Callable[[SeparableConfig], SeparableConfig]


@dataclass(frozen=True)
class PublishedNet:
    """A net of a size of its own, on the front end that it was published with.

    Attributes:
        size: trainable parameters as published; its row's size.
        make: (frames, coefficients, classes) -> architecture.
    """

    size: int
    frontend: FrontEndConfig
    make: Callable[[int, int, int], ModelConfig]


@dataclass(frozen=True)
class Arm:
    """Attributes:
    name: on the command line and in file names.
    title: in the report.
    shape: what it changes of the plain layout, channels aside.
    growth: how it grows; None for not at all.
    restarts: further cosine cycles without growth.
    narrow: share of the size that the first cycle trains, before a step that widens the net without changing its
        function; 0 for no such step.
    share: of the size, for the net before growth that chooses by gain under a budget; the rest is the budget. 0 where
        the dendrites follow from the net.
    published: nets of their own sizes; the arm then takes part in no comparison at equal size.
    control: a plain net under another name: never what a study is about, always what it compares with.
    """

    name: str
    title: str
    shape: Shape = field(default=lambda layout: layout)
    growth: DendriteConfig | None = None
    restarts: int = 0
    narrow: float = 0.0
    share: float = 0.0
    published: tuple[PublishedNet, ...] = ()
    control: bool = False


def deeper(layout: SeparableConfig) -> SeparableConfig:
    """One block more, of weights of its own, as dilated as the last."""
    return replace(
        layout,
        blocks=(*layout.blocks, max(layout.blocks) + 1),
        dilations=(*layout.dilations, layout.dilations[-1]),
    )


def hidden_head(layout: SeparableConfig) -> SeparableConfig:
    """A hidden layer before the head, of a unit less than there are classes (so many differences do logits have), at
    least four. Hard tanh: six ReLUs for twelve classes lost whole classes where a unit died.
    """
    return replace(layout, head_hidden=max(4, layout.classes - 1), head_activation="hard_tanh")


def _bc_resnet(tau: float, size: int) -> PublishedNet:
    def make(frames: int, bands: int, classes: int) -> BcResNetConfig:
        return BcResNetConfig(frames, bands, classes, tau=tau)

    return PublishedNet(size, LogMelConfig(frame_stride=0.01, num_filters=40), make)


def _spark(channels: int, size: int) -> PublishedNet:
    def make(frames: int, cepstra: int, classes: int) -> ModelConfig:
        return published_spark(channels, frames, cepstra, classes)

    return PublishedNet(size, MfccConfig(frame_stride=0.01, num_cepstral=40, num_filters=40), make)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("plain", "plain, one cosine cycle", control=True),
        Arm("plain_restart", "plain, restarted", restarts=1, control=True),
        Arm("wider_grown", "plain, grown by width", restarts=1, narrow=0.5, control=True),
        Arm("deeper", "plain, one block deeper", shape=deeper, control=True),
        Arm("hidden_head", "plain, a hidden layer in the head", shape=hidden_head, control=True),
        Arm("sham", "sham dendrites, held at zero", growth=DendriteConfig(mode="sham"), control=True),
        Arm("random", "random frozen dendrites", growth=DendriteConfig(mode="random")),
        Arm("start", "dendrites from the start", growth=DendriteConfig(mode="gradient", insertion="start")),
        Arm("gradient", "gradient dendrites", growth=DendriteConfig(mode="gradient")),
        Arm("perforated", "perforated dendrites", growth=DendriteConfig(mode="perforated")),
        Arm("growth", "this project's growth", growth=DendriteConfig(mode="growth", kind="any"), share=0.8),
        Arm("bc_resnet", "BC-ResNet", published=(_bc_resnet(0.625, 4585), _bc_resnet(1.0, 9232))),
        Arm("spark", "SparkNet's kind", published=(_spark(4, 1416), _spark(8, 2292), _spark(16, 4636))),
    )
}


def parse_arms(text: str) -> tuple[Arm, ...]:
    """Text such as plain,gradient to arms; gradient:layers=head+activation=tanh sets how one grows. A comma before a
    number is one of a setting's own: growth:probe=1,0.3.

    Raises:
        ConfigError: an unknown arm (the nearest is offered), one named twice, settings for one that does not grow.
    """
    found = [_parse_arm(part.strip()) for part in re.split(r",(?!\s*[\d.])", text) if part.strip()]
    if not found:
        raise ConfigError(f"a study has at least one arm; known: {', '.join(ARMS)}")
    names = [arm.name for arm in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the arm {name} is named twice; name it once")
    return tuple(found)


def _parse_arm(text: str) -> Arm:
    name, _, settings = text.partition(":")
    if name not in ARMS:
        near = get_close_matches(name, list(ARMS), 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(ARMS)}"
        raise ConfigError(f"there is no arm {name!r}; {hint}")
    arm = ARMS[name]
    if not settings:
        return arm
    if arm.growth is None:
        raise ConfigError(f"the arm {name} does not grow and has no settings; got {settings!r}")
    texts = parse_assignments(settings.split("+"))
    listed = ", ".join(f"{key} {value}" for key, value in texts.items())
    share = _share(name, texts.pop("share"), arm) if "share" in texts else arm.share
    growth = _with(arm.growth, texts)
    if growth.budget and share:
        raise ConfigError(f"the arm {name} sets its budget by its share of the size; give share, not budget")
    return replace(arm, name=text, title=f"{arm.title}, {listed}", growth=growth, share=share)


def _share(name: str, text: str, arm: Arm) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not arm.share or not 0 < share < 1:
        raise ConfigError(f"share is a number between 0 and 1, for an arm that grows by gain; got {name}:share={text}")
    return share


def _with(growth: DendriteConfig, texts: dict[str, str]) -> DendriteConfig:
    parsed = parse_settings(DendriteConfig, texts)
    return replace(growth, **{name: getattr(parsed, name) for name in texts})


def bands(net: PublishedNet) -> int:
    """F of a published net's front end."""
    return coefficients(net.frontend)
