"""The feature bank: every training clip rendered once clean and several times augmented, ready to train from."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kws_dendrite.data.augment import AugmentConfig, Draw, augment, draw
from kws_dendrite.data.augment_unknown import make_pseudo_unknown
from kws_dendrite.data.dataset import Dataset, Signals
from kws_dendrite.data.signals import read_signals
from kws_dendrite.data.silence import NoisePool, load_noise, with_levels
from kws_dendrite.data.summary import outline
from kws_dendrite.data.task import UNKNOWN
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import FeatureCache, FrontEndConfig, feature_shape, to_json
from kws_dendrite.frontend.continuous import (
    SLICES,
    check_continuous,
    draw_offsets,
    extract_continuous,
    hear_off_step,
)

Extract = Callable[[np.ndarray, FrontEndConfig], np.ndarray]
BLOCK = 2048  # clips rendered and kept as one cache entry
PSEUDO_COPIES = 1 << 20  # added to a copy's number, so that pseudo-unknown clips have draws of their own
_RENDERING = "augment-1"  # raise it when augmentation's samples change


@dataclass(frozen=True)
class FeatureBank:
    """Features to train and validate on.

    Attributes:
        train: float16 or float32 (A, N, T, F); copy 0 is clean, the rest augmented.
        train_labels: int64 (N,).
        validation: float32 (M, T, F), clean.
        validation_labels: int64 (M,).
        labels: class names.
        frontend: the front end as JSON values; {} where an Edge Impulse block computed the features.
        summary: where the data came from, as JSON values, for checkpoints and reports.
        train_words: int64 (N,), which word each clip is of, finer than its class where other words share one; None
            where that is not known.
        teacher: float (A, N, K), a teacher's logits of every copy, for distillation; None without one.
    """

    train: np.ndarray
    train_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    labels: tuple[str, ...]
    frontend: dict[str, Any]
    summary: dict[str, Any]
    train_words: np.ndarray | None = None
    teacher: np.ndarray | None = None


def build_bank(
    dataset: Dataset,
    frontend_config: FrontEndConfig,
    augment_config: AugmentConfig | None = None,
    cache: FeatureCache | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    extract: Extract | None = None,
) -> FeatureBank:
    """Read, augment and compute the features of a data set's train and validation partitions.

    Args:
        dataset: what `load_dataset` found.
        frontend_config: which features.
        augment_config: what happens to the augmented copies; the default makes six.
        cache: where computed features are kept; a second call with the same clips and settings only reads clips.
        progress: called with (clips rendered, clips to render), copies counted each.
        extract: computes float32 (N, T, F); the batched torch path unless another is given.

    Raises:
        DataError: a clip cannot be read, or its features are not finite.
        ConfigError: the front end's sampling rate is not the data set's.
    """
    config = augment_config or AugmentConfig()
    extract = extract or _batched()
    _check_rate(dataset, frontend_config)
    if config.continuous:
        check_continuous(frontend_config, dataset.task.window, SLICES)
    leveled = replace(dataset, clips=with_levels(dataset.clips, config.silence_decades))
    signals = read_signals(leveled, "train")
    held_out = read_signals(dataset, "validation")
    N = len(signals)
    report = _Count((config.copies + 1) * (N + config.pseudo_unknown) + len(held_out), progress)
    validation = _plain(held_out, frontend_config, extract, cache, np.float32, report)
    frames, coefficients = feature_shape(frontend_config, dataset.task.window)
    train = np.empty((config.copies + 1, N + config.pseudo_unknown, frames, coefficients), np.float16)
    pseudo = _pseudo_unknown(signals, dataset, config, 0)
    train[0, :N] = _plain(signals, frontend_config, extract, cache, np.float16, report)
    if config.pseudo_unknown:
        train[0, N:] = _plain(pseudo, frontend_config, extract, cache, np.float16, report)
    if config.copies:
        noise = load_noise(dataset.noise, dataset.task)
        shared = dataset, frontend_config, extract, cache, config
        for copy in range(1, config.copies + 1):
            train[copy, :N] = _augmented(signals, *shared, copy, noise, report)
            if config.pseudo_unknown:
                pseudo = _pseudo_unknown(signals, dataset, config, copy)
                train[copy, N:] = _augmented(pseudo, *shared, PSEUDO_COPIES + copy, noise, report)
    summary = outline(dataset)
    summary["augmentation"] = config.to_json()
    summary["unreadable"] = len(dataset.skipped) + len(signals.skipped) + len(held_out.skipped)
    return FeatureBank(
        train=train,
        train_labels=np.concatenate([signals.labels, pseudo.labels]),
        validation=validation,
        validation_labels=held_out.labels,
        labels=dataset.labels,
        frontend=to_json(frontend_config),
        summary=summary,
        train_words=_words(dataset, (*signals.ids, *pseudo.ids)),
    )


def _pseudo_unknown(signals: Signals, dataset: Dataset, config: AugmentConfig, copy: int) -> Signals:
    """The clips of no word of one copy, drawn from (config.seed, copy)."""
    if not config.pseudo_unknown:
        return Signals(signals.samples[:0], signals.labels[:0], (), signals.silence[:0])
    if UNKNOWN not in dataset.labels:
        raise ConfigError(f"pseudo_unknown needs the class {UNKNOWN}; set it to 0, or let the task have other words")
    label, rate = dataset.labels.index(UNKNOWN), dataset.task.sampling_freq
    rng = np.random.default_rng([config.seed, copy, 1])
    return make_pseudo_unknown(signals, label, config.pseudo_unknown, config.pseudo_kinds, rate, rng)


def _words(dataset: Dataset, ids: tuple[str, ...]) -> np.ndarray | None:
    """Which word each training clip is of, where the layout has a folder a word; pseudo-unknown is a word each kind."""
    if dataset.layout != "speech_commands":
        return None
    words = [name.split("@")[0].split("/")[0] for name in ids]
    _, index = np.unique(words, return_inverse=True)
    return index.astype(np.int64)


@dataclass
class _Count:
    total: int
    progress: Callable[[int, int], None] | None
    done: int = 0

    def add(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


def _plain(
    signals: Signals, config: FrontEndConfig, extract: Extract, cache: FeatureCache | None, dtype: type, report: _Count
) -> np.ndarray:
    parts = []
    for first in range(0, len(signals), BLOCK):
        ids = signals.ids[first : first + BLOCK]

        def render(samples: np.ndarray, config: FrontEndConfig, ids: tuple[str, ...] = ids) -> np.ndarray:
            return checked(extract(samples, config), ids, dtype)

        block = signals.samples[first : first + BLOCK]
        parts.append(cache.get(block, config, render, dtype=dtype) if cache else render(block, config))
        report.add(len(block))
    return np.concatenate(parts)


def _augmented(
    signals: Signals,
    dataset: Dataset,
    frontend: FrontEndConfig,
    extract: Extract,
    cache: FeatureCache | None,
    config: AugmentConfig,
    copy: int,
    noise: NoisePool,
    report: _Count,
) -> np.ndarray:
    """One augmented copy of all training clips, float16 (N, T, F), block by block."""
    drawn = draw(len(signals), signals.samples.shape[1], config, noise, dataset.task.sampling_freq, copy)
    noise_hash = hashlib.sha256(noise.samples.tobytes() + noise.bounds.tobytes()).hexdigest()
    random = np.random.default_rng([config.seed, copy, 2])
    sliced = random.random(len(signals)) < config.continuous
    offsets = draw_offsets(len(signals), dataset.task.window, random)
    parts = []
    for first in range(0, len(signals), BLOCK):
        rows = slice(first, first + BLOCK)
        piece, silence, ids = drawn.rows(rows), signals.silence[rows], signals.ids[rows]

        def render(
            samples: np.ndarray,
            frontend: FrontEndConfig,
            piece: Draw = piece,
            silence: np.ndarray = silence,
            ids: tuple[str, ...] = ids,
            sliced: np.ndarray = sliced[rows],
            offsets: np.ndarray = offsets[rows],
        ) -> np.ndarray:
            clips = augment(samples, silence, piece, noise, config)
            features = extract(clips, frontend)
            if sliced.any():
                heard = hear_off_step(clips[sliced], offsets[sliced])
                features[sliced] = extract_continuous(heard, frontend, clips.shape[1])
            return checked(features, ids, np.float16)

        block = signals.samples[rows]
        made_of = [_RENDERING, piece.digest(), config.dither, noise_hash, np.flatnonzero(silence).tolist()]
        if config.continuous:
            made_of += [np.flatnonzero(sliced[rows]).tolist(), offsets[rows].tolist()]
        kept = (
            cache.get(block, frontend, render, dtype=np.float16, extra=json.dumps(made_of))
            if cache
            else render(block, frontend)
        )
        parts.append(kept)
        report.add(len(block))
    return np.concatenate(parts)


def checked(features: np.ndarray, ids: tuple[str, ...], dtype: type) -> np.ndarray:
    """Features (N, T, F) as `dtype`.

    Raises:
        DataError: NaN or infinite features, or too large for `dtype`; the message names the clip.
    """
    with np.errstate(over="ignore"):
        narrow = features.astype(dtype, copy=False)
    finite = np.isfinite(narrow).reshape(len(narrow), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        wrong = "NaN or infinite" if not np.isfinite(features[row]).all() else f"too large for {np.dtype(dtype).name}"
        raise DataError(f"the features of {ids[row]} are {wrong}; leave the clip out or check the settings")
    return narrow


def _check_rate(dataset: Dataset, config: FrontEndConfig) -> None:
    if config.sampling_freq != dataset.task.sampling_freq:
        raise ConfigError(
            f"the front end expects {config.sampling_freq} Hz, the data are read at {dataset.task.sampling_freq} Hz; "
            "set sampling_freq alike in both"
        )


def _batched() -> Extract:
    from kws_dendrite.frontend import extract  # loads torch

    return extract
