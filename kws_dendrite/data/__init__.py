"""Clips and labels from folders, exports and the built-in demo; partitions; waveform augmentation; feature banks."""

from kws_dendrite.data.audio import read_audio
from kws_dendrite.data.augment import AugmentConfig, Draw, augment, draw
from kws_dendrite.data.bank import FeatureBank, build_bank
from kws_dendrite.data.block_arrays import load_block_arrays
from kws_dendrite.data.clip import Clip, Recording
from kws_dendrite.data.dataset import Dataset, Signals
from kws_dendrite.data.load import load_dataset
from kws_dendrite.data.partition import PARTITIONS
from kws_dendrite.data.signals import read_signals
from kws_dendrite.data.silence import NoisePool, load_noise
from kws_dendrite.data.summary import DatasetSummary, outline, summarise
from kws_dendrite.data.task import TaskConfig

__all__ = [
    "PARTITIONS",
    "AugmentConfig",
    "Clip",
    "Dataset",
    "DatasetSummary",
    "Draw",
    "FeatureBank",
    "NoisePool",
    "Recording",
    "Signals",
    "TaskConfig",
    "augment",
    "build_bank",
    "draw",
    "load_block_arrays",
    "load_dataset",
    "load_noise",
    "outline",
    "read_audio",
    "read_signals",
    "summarise",
]
