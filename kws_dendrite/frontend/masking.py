"""Time and frequency masks on features (SpecAugment, arXiv:1904.08779): drawn first, then applied."""

from dataclasses import dataclass

import torch

from kws_dendrite.errors import ConfigError


@dataclass(frozen=True)
class MaskConfig:
    """How much to mask.

    Attributes:
        time_masks: masks over time a clip.
        time_width: their greatest width, frames; each width is drawn from 0 to this.
        frequency_masks: masks over coefficients a clip.
        frequency_width: their greatest width, coefficients.
        fill_mean: fill with the clip's mean instead of 0.
    """

    time_masks: int = 0
    time_width: int = 0
    frequency_masks: int = 0
    frequency_width: int = 0
    fill_mean: bool = False

    def __post_init__(self) -> None:
        for name in ("time_masks", "time_width", "frequency_masks", "frequency_width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ConfigError(f"{name} must be a whole number, 0 or more, got {value!r}")


@dataclass(frozen=True)
class Masks:
    """Drawn masks, each a start and a width; int64 (B, masks)."""

    time_start: torch.Tensor
    time_width: torch.Tensor
    frequency_start: torch.Tensor
    frequency_width: torch.Tensor


def check_masks(config: MaskConfig, frames: int, coefficients: int) -> None:
    """Refuse masks that could cover a clip whole.

    Raises:
        ConfigError: a width is not below the frames or the coefficients there are.
    """
    if config.time_masks and config.time_width >= frames:
        raise ConfigError(
            f"time_width is {config.time_width} but the features have {frames} frames: it must be below that"
        )
    if config.frequency_masks and config.frequency_width >= coefficients:
        raise ConfigError(
            f"frequency_width is {config.frequency_width} but the features have {coefficients} coefficients: "
            "it must be below that"
        )


def draw_masks(config: MaskConfig, shape: tuple[int, int, int], generator: torch.Generator) -> Masks:
    """Draw the masks of a batch of `shape` (B, T, F): widths uniform from 0 to the greatest, places uniform.

    Raises:
        ConfigError: as `check_masks`.
    """
    B, T, F = shape
    check_masks(config, T, F)
    time = _draw(B, config.time_masks, config.time_width, T, generator)
    frequency = _draw(B, config.frequency_masks, config.frequency_width, F, generator)
    return Masks(*time, *frequency)


def apply_masks(features: torch.Tensor, masks: Masks, *, fill_mean: bool = False) -> torch.Tensor:
    """A copy of `features` (B, T, F) with the masked cells filled by 0 or the clip's mean."""
    _, T, F = features.shape
    over_time = _covered(masks.time_start, masks.time_width, T).to(features.device)  # (B, T)
    over_frequency = _covered(masks.frequency_start, masks.frequency_width, F).to(features.device)  # (B, F)
    covered = over_time[:, :, None] | over_frequency[:, None, :]  # (B, T, F)
    fill = features.mean(dim=(1, 2), keepdim=True) if fill_mean else features.new_zeros(())
    return torch.where(covered, fill, features)


def mask_features(features: torch.Tensor, config: MaskConfig, generator: torch.Generator) -> torch.Tensor:
    """Mask a batch (B, T, F), drawing from `generator`: the same generator state gives the same masks.

    Raises:
        ConfigError: a mask exceeds the frames or the coefficients.
    """
    return apply_masks(features, draw_masks(config, tuple(features.shape), generator), fill_mean=config.fill_mean)


def _draw(
    batch: int, masks: int, widest: int, size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    device = generator.device
    widths = torch.randint(widest + 1, (batch, masks), generator=generator, device=device)
    places = torch.rand((batch, masks), generator=generator, device=device, dtype=torch.float64)
    return (places * (size - widths + 1)).long(), widths


def _covered(start: torch.Tensor, width: torch.Tensor, size: int) -> torch.Tensor:
    index = torch.arange(size, device=start.device)
    inside = (index >= start[..., None]) & (index < (start + width)[..., None])  # (B, masks, size)
    return inside.any(dim=1)
