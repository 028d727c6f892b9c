"""From a drawn shape to a family's configuration, and what goes together: kernels and frames, dendrites and layers."""

import math
from collections.abc import Mapping
from typing import Any

from kws_dendrite.dendrites.config import ANY_KIND, KINDS
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import FAMILIES, ModelConfig
from kws_dendrite.models.bc_resnet import BINS, BcResNetConfig
from kws_dendrite.models.separable import SeparableConfig
from kws_dendrite.models.spark import SparkConfig

# Name -> which weights each block uses, and its dilation. One wide block used two to four times, and blocks of their
# own: the layouts that led at 700 to 4,600 parameters.
LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "once": ((0,), (1,)),
    "twice": ((0, 0), (1, 3)),
    "thrice": ((0, 0, 0), (1, 2, 4)),
    "two": ((0, 1), (1, 2)),
    "twice+one": ((0, 0, 1), (1, 2, 3)),
    "three": ((0, 1, 2), (1, 1, 1)),
    "twice+twice": ((0, 0, 1, 1), (1, 2, 2, 4)),
}
# Widths of stages one after the other, as arXiv 2605.15647 searched them; its fourth stage was never built.
PATTERNS: dict[str, tuple[int, int, int]] = {
    "8-16-32": (8, 16, 32),
    "8-16-24": (8, 16, 24),
    "8-16-16": (8, 16, 16),
    "8-8-8": (8, 8, 8),
}
POOLED = ("paper", "edge_impulse_1d", "edge_impulse_2d")  # families of stages that halve time
_WITH_TIME = ("temporal", "plateau", "echo")


def model_config(
    family: str, settings: Mapping[str, Any], frames: int, coefficients: int, classes: int, *, keeps_level: bool
) -> ModelConfig:
    """A family's configuration from what was drawn, composites among it; what was not drawn is as by default.

    Raises:
        ConfigError: the settings do not go together, or not with these features.
    """
    values = dict(settings)
    if "layout" in values:
        values["blocks"], values["dilations"] = LAYOUTS[values.pop("layout")]
    if family in POOLED:
        _take_stages(family, values, frames, coefficients, classes)
    if keeps_level and "remove_mean" in FAMILIES[family].__dataclass_fields__:
        values["remove_mean"] = True
    return FAMILIES[family](frames, coefficients, classes, **values)


def _take_stages(family: str, values: dict[str, Any], frames: int, coefficients: int, classes: int) -> None:
    """Composites of the families of stages: depth, pattern and width to channels, linear to hidden widths."""
    usual: tuple[int, ...] = FAMILIES[family].__dataclass_fields__["channels"].default
    if {"depth", "pattern", "width"} & values.keys():
        named = {"depth", "pattern"} & values.keys()
        pattern = PATTERNS[values.pop("pattern", next(iter(PATTERNS)))] if named else usual
        depth = values.pop("depth", len(pattern))
        if not 1 <= depth <= len(pattern):
            raise ConfigError(f"depth is from 1 to {len(pattern)} stages; got {depth}")
        width = values.pop("width", 1.0)
        if not width > 0:
            raise ConfigError(f"width is a factor above 0; got {width}")
        values["channels"] = tuple(max(1, round(width * each)) for each in pattern[:depth])
    if "linear" in values:
        linear = values.pop("linear")
        if not 1 <= linear <= 3:
            raise ConfigError(f"linear is from 1 to 3 layers; got {linear}")
        channels = values.get("channels", usual)
        flat = channels[-1] * max(1, frames >> len(channels)) * max(1, coefficients >> len(channels))
        ratio = (classes / flat) ** (1 / linear)
        values["hidden"] = tuple(max(1, round(flat * ratio**k)) for k in range(1, linear))


def stands(family: str, coefficients: int) -> bool:
    """Whether a family reads features of so many coefficients a frame."""
    return family != "bc_resnet" or coefficients % BINS == 0


def deepest(family: str, frames: int, coefficients: int) -> int:
    """Stages that pooling leaves something of."""
    if family == "paper":
        return int(math.log2(max(1, min(frames, coefficients))))
    return 10  # padded: there is always a frame left


def spans(kernel: int, dilation: int, frames: int) -> bool:
    """Whether the outermost of `kernel` taps ever meets one of `frames` frames."""
    return (kernel // 2) * dilation < frames


def frames_left(model: ModelConfig) -> int:
    """Frames at the layers with the fewest, those of the last block or stage."""
    if isinstance(model, SeparableConfig):
        return -(-model.frames // model.stride)
    if isinstance(model, SparkConfig | BcResNetConfig):
        return model.frames
    return max(1, model.frames >> (len(model.channels) - 1))


def dendrite_layers(kind: str, model: ModelConfig) -> tuple[str, ...]:
    """Settings of `layers` with which some layer of the net can take a dendrite of the kind; () where none can."""
    if kind == "pool":
        pooled = isinstance(model, SeparableConfig | BcResNetConfig) and not getattr(model, "head_hidden", 0)
        return ("head",) if pooled else ()
    if kind == "echo":
        shared = isinstance(model, SeparableConfig) and len(set(model.blocks)) < len(model.blocks)
        return ("conv", "all") if shared else ()
    if kind in _WITH_TIME:
        return ("conv", "all")
    if kind == "sparse" and model.family in POOLED:
        return ("head", "all")
    return ("head", "conv", "all")


def kinds_for(model: ModelConfig) -> tuple[str, ...]:
    """Kinds of dendrites that some layer of the net can take; "any" among them."""
    return tuple(kind for kind in (*KINDS, ANY_KIND) if dendrite_layers(kind, model))
