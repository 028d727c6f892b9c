"""Data for search_speed.py: a folder of three words, about 1,300 of whose clips are for training."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from kws_dendrite.data import AugmentConfig, FeatureBank, TaskConfig, build_bank, load_dataset
from kws_dendrite.frontend import FeatureCache, MfccConfig

CLIPS, VALIDATION = 1299, 165  # of the published sweep
SOUNDS = (".wav", ".flac")


def three_words(data: Path, words: tuple[str, ...], folder: Path) -> Path:
    """A folder of classes that links to clips of `data`; four fifths of a folder's clips are its training partition."""
    each = round(CLIPS / 0.8 / len(words)) + 4
    for word in words:
        clips = sorted(path for path in (data / word).iterdir() if path.suffix in SOUNDS)[:each]
        (folder / word).mkdir(parents=True, exist_ok=True)
        for number, clip in enumerate(clips):
            link = folder / word / f"{number:04d}{clip.suffix}"
            if not link.exists():
                os.symlink(clip.resolve(), link)
    return folder


def exact_bank(data: str, cache: Path) -> FeatureBank:
    """MFCC features of exactly CLIPS training and VALIDATION validation clips, repeated where there are fewer."""
    frontend = MfccConfig()
    task = TaskConfig(sampling_freq=frontend.sampling_freq)
    bank = build_bank(load_dataset(data, task), frontend, AugmentConfig(copies=0), FeatureCache(cache))
    some = np.arange(CLIPS) % bank.train.shape[1], np.arange(VALIDATION) % len(bank.validation_labels)
    return replace(
        bank,
        train=np.ascontiguousarray(bank.train[:, some[0]]),
        train_labels=bank.train_labels[some[0]],
        validation=bank.validation[some[1]],
        validation_labels=bank.validation_labels[some[1]],
        train_words=None,
    )
