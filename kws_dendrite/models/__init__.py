"""Small convolutional families, one a file, each built as a population of P networks."""

import dataclasses
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.bc_resnet import BcResNet, BcResNetConfig
from kws_dendrite.models.edge_impulse import EdgeImpulse1dConfig, EdgeImpulse2dConfig, stock
from kws_dendrite.models.paper import PaperConfig, paper
from kws_dendrite.models.separable import Separable, SeparableConfig
from kws_dendrite.models.spark import Spark, SparkConfig
from kws_dendrite.settings import check_names, parse_settings

ModelConfig = SeparableConfig | EdgeImpulse1dConfig | EdgeImpulse2dConfig | PaperConfig | BcResNetConfig | SparkConfig

_BUILDERS: dict[type, Callable[..., nn.Module]] = {
    SeparableConfig: Separable,
    EdgeImpulse1dConfig: stock,
    EdgeImpulse2dConfig: stock,
    PaperConfig: paper,
    BcResNetConfig: BcResNet,
    SparkConfig: Spark,
}
FAMILIES: dict[str, type] = {config.family: config for config in _BUILDERS}


def build_model(config: ModelConfig, members: int = 1, seed: int = 0) -> nn.Module:
    """A fresh population: (B, T, F) or (P, B, T, F) features -> logits (P, B, K).

    Member p of a population is the same whatever P is, so that runs of different P are paired.
    """
    if members < 1:
        raise ConfigError(f"a population has at least one member; got {members}")
    singles = [
        _BUILDERS[type(config)](config, 1, torch.Generator().manual_seed(_member_seed(seed, p))) for p in range(members)
    ]
    model = _BUILDERS[type(config)](config, members, torch.Generator())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.cat([single.get_parameter(name) for single in singles]))
    return model


def _member_seed(seed: int, member: int) -> int:
    return seed * 1009 + member


def parameter_count(model: nn.Module) -> int:
    """Trainable parameters of one member."""
    return sum(parameter[0].numel() for parameter in model.parameters())


def config_to_json(config: ModelConfig) -> dict[str, Any]:
    """The architecture as JSON, its family by name."""
    return {"family": config.family, **dataclasses.asdict(config)}


def config_from_json(value: Mapping[str, Any]) -> ModelConfig:
    """The inverse of `config_to_json`.

    Raises:
        ConfigError: an unknown family or setting; names the nearest known one.
    """
    settings = dict(value)
    family = settings.pop("family", None)
    if family not in FAMILIES:
        raise ConfigError(f"unknown model family {family!r}; known: {', '.join(FAMILIES)}")
    check_names(FAMILIES[family], settings, f"family {family!r}")
    try:
        return FAMILIES[family](**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    except TypeError as error:
        raise ConfigError(f"settings of family {family!r} are incomplete or of a wrong type: {error}") from error


def configure_model(
    family: str, settings: Mapping[str, str], frames: int, coefficients: int, classes: int, frontend: Mapping[str, Any]
) -> ModelConfig:
    """An architecture from text settings, its input and output from the data.

    On features that keep the clip's level, the separable family removes the mean unless told otherwise.

    Raises:
        ConfigError: an unknown family or setting; names the nearest known one.
    """
    if family not in FAMILIES:
        near = get_close_matches(family, list(FAMILIES), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"unknown model family {family!r}{hint}; known: {', '.join(FAMILIES)}")
    texts = dict(settings)
    if family == "separable" and keeps_level(frontend):
        texts.setdefault("remove_mean", "true")
    return parse_settings(FAMILIES[family], texts, frames=frames, coefficients=coefficients, classes=classes)


def keeps_level(frontend: Mapping[str, Any]) -> bool:
    """Whether a front end's features keep the clip's level: MFE's do, and arrays of features that were seen to."""
    return frontend.get("block") == "mfe" or bool(frontend.get("keeps_level"))
