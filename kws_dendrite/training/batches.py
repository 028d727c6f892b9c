"""Batches for a population: every member meets the clips in an order of its own, drawn from its own generator."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend.masking import MaskConfig, apply_masks, draw_masks
from kws_dendrite.training.config import TrainConfig


class PopulationBatches:
    """An endless supply of epochs of (features (P, B, T, F), labels (P, B)).

    Member p's draws depend on (seed, p) alone: a population of five holds the population of three.
    """

    def __init__(self, bank: FeatureBank, config: TrainConfig, members: int, seed: int) -> None:
        A, N, T, F = bank.train.shape
        if config.time_mask >= T or config.frequency_mask >= F:
            raise ConfigError(
                f"time_mask {config.time_mask} and frequency_mask {config.frequency_mask} have to be below the "
                f"features' {T} frames and {F} coefficients; make them smaller or 0"
            )
        if N < 2:
            raise DataError(f"training needs at least two clips; got {N}")
        if seed < 0:
            raise ConfigError(f"a seed is a whole number, 0 or more; got {seed}")
        self.bank = torch.from_numpy(np.ascontiguousarray(bank.train).reshape(A * N * T, F))
        self.labels = torch.from_numpy(np.asarray(bank.train_labels, dtype=np.int64))
        self.copies, self.clips, self.frames, self.coefficients = A, N, T, F
        self.config, self.members = config, members
        self.batch_size = min(config.batch_size, N)
        self.generators = [np.random.default_rng([seed, p]) for p in range(members)]
        self.masks = MaskConfig(
            time_masks=1 if config.time_mask else 0,
            time_width=config.time_mask,
            frequency_masks=1 if config.frequency_mask else 0,
            frequency_width=config.frequency_mask,
            fill_mean=True,
        )
        self.mask_generators = [torch.Generator().manual_seed(_mask_seed(seed, p)) for p in range(members)]

    def __len__(self) -> int:
        """Steps an epoch; the last, smaller batch is left out (another order brings its clips next time)."""
        return self.clips // self.batch_size

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the clips, a fresh order and a fresh copy of each clip for every member."""
        config, steps, B, P = self.config, len(self), self.batch_size, self.members
        draws = [self._draw(generator) for generator in self.generators]
        clip, copy, shift = (torch.from_numpy(np.stack(part)) for part in zip(*draws, strict=True))
        frame = torch.arange(self.frames)
        for step in range(steps):
            here = slice(step * B, (step + 1) * B)
            start = (copy[:, here] * self.clips + clip[:, here]) * self.frames  # (P, B)
            source = (frame + shift[:, here, None]).clamp_(0, self.frames - 1)  # (P, B, T)
            rows = (start[:, :, None] + source).view(-1)
            x = self.bank.index_select(0, rows).float().view(P, B, self.frames, self.coefficients)
            if config.time_mask or config.frequency_mask:
                x = self._mask(x)
            yield x, self.labels[clip[:, here]]

    def _draw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        clip = generator.permutation(self.clips)
        copy = generator.integers(1, self.copies, self.clips) if self.copies > 1 else np.zeros(self.clips, np.int64)
        copy[generator.random(self.clips) < self.config.clean_share] = 0
        limit = self.config.shift_frames
        return clip, copy, generator.integers(-limit, limit + 1, self.clips)

    def _mask(self, x: Tensor) -> Tensor:
        """The clip's own mean in one span of frames and one of coefficients a clip (SpecAugment, 2019)."""
        shape = tuple(x.shape[1:])
        masked = [
            apply_masks(member, draw_masks(self.masks, shape, generator), fill_mean=self.masks.fill_mean)
            for member, generator in zip(x, self.mask_generators, strict=True)
        ]
        return torch.stack(masked)


def _mask_seed(seed: int, member: int) -> int:
    """Another stream than that of the member's order of clips."""
    return int(np.random.SeedSequence([seed, member, 1]).generate_state(1, np.uint64)[0])
