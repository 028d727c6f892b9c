"""Batches for a population: every member meets the clips in an order of its own, drawn from its own generator."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend.masking import MaskConfig, apply_masks, draw_masks
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.targets import Targets

CURVES = 3  # of half a period, a whole one and one and a half over the bands: a slope, a dip, a tilt of the middle


class PopulationBatches:
    """An endless supply of epochs of (features (P, B, T, F), labels (P, B)).

    Member p's draws depend on (seed, p) alone: a population of five holds the population of three. With `draws`,
    (P,), they depend on (seed, draws[p]). Draws are made on the CPU, whatever the device that holds the bank.
    """

    def __init__(
        self,
        bank: FeatureBank,
        config: TrainConfig,
        members: int,
        seed: int,
        draws: Sequence[int] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
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
        self.device = torch.device(device)
        self.bank = self._here(np.ascontiguousarray(bank.train).reshape(A * N * T, F))
        self.labels = self._here(np.asarray(bank.train_labels, dtype=np.int64))
        self.copies, self.clips, self.frames, self.coefficients = A, N, T, F
        self.config, self.members = config, members
        self.batch_size = min(config.batch_size, N)
        self.teacher = _teacher(bank, config, self.device)
        self.expected = _expected_draws(bank, config.word_balance)
        draws = range(members) if draws is None else draws
        self.generators = [np.random.default_rng([seed, p]) for p in draws]
        self.masks = MaskConfig(
            time_masks=1 if config.time_mask else 0,
            time_width=config.time_mask,
            frequency_masks=1 if config.frequency_mask else 0,
            frequency_width=config.frequency_mask,
            fill_mean=True,
        )
        self.mask_generators = [torch.Generator().manual_seed(_mask_seed(seed, p)) for p in draws]
        self.lever_generators = [np.random.default_rng([seed, p, 2]) for p in draws]  # default: unused

    def _here(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def __len__(self) -> int:
        """Steps an epoch; the last, smaller batch is left out (another order brings its clips next time)."""
        return self.clips // self.batch_size

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the clips, a fresh order and a fresh copy of each clip for every member."""
        for features, clip, _ in self._batches():
            yield features, self.labels[clip]

    def soft_epoch(self) -> Iterator[tuple[Tensor, Targets]]:
        """The same clips, mixed and with the teacher's probabilities where the settings ask for it."""
        config = self.config
        for x, clip, row in self._batches():
            labels = self.labels[clip]
            teacher = self.teacher[row] if config.distillation else None  # (P, B, K)
            if not config.mixup:
                yield x, Targets(labels, teacher=teacher)
                continue
            share, partner = self._draw_mixture()  # (P, B)
            member = torch.arange(self.members, device=self.device)[:, None]
            wide = share[:, :, None, None]
            x = wide * x + (1 - wide) * x[member, partner]
            if teacher is not None:
                teacher = share[..., None] * teacher + (1 - share[..., None]) * teacher[member, partner]
            yield x, Targets(labels, labels[member, partner], share, teacher)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(features (P, B, T, F), clip (P, B), row of the bank's (A * N) (P, B))."""
        config, steps, B, P = self.config, len(self), self.batch_size, self.members
        draws = [self._draw(generator) for generator in self.generators]
        clip, copy, shift = (self._here(np.stack(part)) for part in zip(*draws, strict=True))
        frame = torch.arange(self.frames, device=self.device)
        for step in range(steps):
            here = slice(step * B, (step + 1) * B)
            row = copy[:, here] * self.clips + clip[:, here]  # (P, B)
            source = frame + shift[:, here, None]  # (P, B, T)
            if config.stretch:
                source = source + self._draw_stretch(frame)
            source = source.clamp_(0, self.frames - 1)
            rows = (row[:, :, None] * self.frames + source).view(-1)
            x = self.bank.index_select(0, rows).float().view(P, B, self.frames, self.coefficients)
            if config.colouring:
                x = x + self._draw_colouring()
            if config.time_mask or config.frequency_mask:
                x = self._mask(x)
            yield x, clip[:, here], row

    def _draw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        clip = generator.permutation(self.clips)
        copy = generator.integers(1, self.copies, self.clips) if self.copies > 1 else np.zeros(self.clips, np.int64)
        copy[generator.random(self.clips) < self.config.clean_share] = 0
        limit = self.config.shift_frames
        shift = generator.integers(-limit, limit + 1, self.clips)
        if self.expected is not None:
            clip = _systematic(self.expected, generator)[clip]
        return clip, copy, shift

    def _draw_mixture(self) -> tuple[Tensor, Tensor]:
        """Shares of the first clip and places of the second in the batch, (P, B) each."""
        alpha, B = self.config.mixup, self.batch_size
        shares = np.stack([generator.beta(alpha, alpha, B) for generator in self.lever_generators])
        partners = np.stack([generator.permutation(B) for generator in self.lever_generators])
        return self._here(shares.astype(np.float32)), self._here(partners)

    def _draw_stretch(self, frame: Tensor) -> Tensor:
        """Whole frames (P, B, T) by which each place is read later."""
        limit, B = self.config.stretch, self.batch_size
        rate = np.stack([generator.uniform(-limit, limit, B) for generator in self.lever_generators])
        middle = (self.frames - 1) / 2
        return torch.round((frame - middle) * self._here(rate)[:, :, None]).long()

    def _draw_colouring(self) -> Tensor:
        """Smooth curves over the coefficients, (P, B, 1, F): cosines of half a period to CURVES halves."""
        shape = (self.batch_size, CURVES)
        weights = np.stack([generator.standard_normal(shape) for generator in self.lever_generators])
        weights *= self.config.colouring * np.sqrt(2 / CURVES)  # a cosine's own deviation is sqrt(1/2)
        place = (np.arange(self.coefficients) + 0.5) / self.coefficients
        waves = np.cos(np.pi * np.arange(1, CURVES + 1)[:, None] * place)  # (CURVES, F)
        return self._here((weights @ waves).astype(np.float32))[:, :, None]

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


def _teacher(bank: FeatureBank, config: TrainConfig, device: torch.device) -> Tensor | None:
    """The teacher's probabilities of every row of the bank, (A * N, K), at the temperature."""
    if not config.distillation:
        return None
    if bank.teacher is None:
        raise ConfigError("distillation needs a bank with a teacher's logits; add them, or set distillation to 0")
    A, N, K = bank.teacher.shape
    if bank.train.shape[:2] != (A, N) or len(bank.labels) != K:
        raise DataError(
            f"the teacher's logits are {bank.teacher.shape}, the bank has {bank.train.shape[0]} copies of "
            f"{bank.train.shape[1]} clips of {len(bank.labels)} classes; compute them on this very bank"
        )
    logits = torch.from_numpy(np.asarray(bank.teacher, dtype=np.float32)).reshape(A * N, K).to(device)
    return torch.softmax(logits / config.temperature, -1)


def _expected_draws(bank: FeatureBank, balance: float) -> np.ndarray | None:
    """How often each clip is to be drawn in an epoch of N draws, (N,); None for once each."""
    if not balance:
        return None
    words = bank.train_labels if bank.train_words is None else bank.train_words
    _, index, counts = np.unique(words, return_inverse=True, return_counts=True)
    weight = counts[index].astype(np.float64) ** -balance
    return weight * (len(weight) / weight.sum())


def _systematic(expected: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """N clips, each drawn its expected number of times to less than one: systematic sampling (Madow 1949)."""
    ends = np.cumsum(expected)
    points = (np.arange(len(expected)) + generator.random()) * (ends[-1] / len(expected))
    return np.minimum(np.searchsorted(ends, points, side="right"), len(expected) - 1)
