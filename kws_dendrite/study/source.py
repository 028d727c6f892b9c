"""Where a study's clips come from: features to train on, and the test partition, which only a reading may ask for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kws_dendrite.data import AugmentConfig, Dataset, FeatureBank, build_bank, outline, read_signals
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import FeatureCache, FrontEndConfig, extract, feature_shape, to_json
from kws_dendrite.training.checkpoint import weights_hash
from kws_dendrite.training.teacher import with_teacher

CALIBRATION_CLIPS = 512  # of the training partition, evenly spread: int8 ranges settle well before


@dataclass(frozen=True)
class TestClips:
    """Attributes:
    features: float32 (N, T, F).
    labels: int64 (N,).
    speakers: int64 (N,), a number for who spoke each clip, one of its own where that is not known; None for features.
    """

    __test__ = False  # not a test of pytest's

    features: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray | None = None


class Source(Protocol):
    """What a study needs of its data; `frontend` None is the study's own front end.

    Attributes:
        made_of: what the data and their augmentation are, as JSON values; a resumed study compares it.
        labels: K class names.
    """

    made_of: dict[str, Any]
    labels: tuple[str, ...]

    def shape(self, frontend: FrontEndConfig | None) -> tuple[int, int]:
        """(T, F)."""
        ...

    def bank(self, frontend: FrontEndConfig | None) -> FeatureBank:
        """Features of the training and validation partitions."""
        ...

    def test(self, frontend: FrontEndConfig | None) -> TestClips:
        """The test partition. DataError where there is none."""
        ...

    def calibration(self, frontend: FrontEndConfig | None) -> np.ndarray:
        """Features (M, T*F) of training clips, whose ranges set int8 scales."""
        ...


@dataclass
class Recordings:
    """A folder of recordings. One bank is held at a time: it may be hundreds of megabytes."""

    dataset: Dataset
    frontend: FrontEndConfig
    augment: AugmentConfig
    cache: FeatureCache
    progress: Any = None
    _held: tuple[FrontEndConfig, FeatureBank] | None = field(default=None, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """K class names."""
        return self.dataset.labels

    @property
    def made_of(self) -> dict[str, Any]:
        """Names, sizes and settings; reads no audio."""
        described = outline(self.dataset)
        return {
            "data": described["digest"],
            "name": described["name"],
            "synthetic": described["synthetic"],
            "clips": described["clips"],
            "labels": described["labels"],
            "task": described["task"],
            "augmentation": self.augment.to_json(),
            "frontend": to_json(self.frontend),
        }

    def shape(self, frontend: FrontEndConfig | None) -> tuple[int, int]:
        """(T, F)."""
        return feature_shape(frontend or self.frontend, self.dataset.task.window)

    def bank(self, frontend: FrontEndConfig | None) -> FeatureBank:
        """From the cache where it has them."""
        wanted = frontend or self.frontend
        if self._held is None or self._held[0] != wanted:
            self._held = None
            bank = build_bank(self.dataset, wanted, self.augment, self.cache, self.progress)
            self._held = wanted, bank
        return self._held[1]

    def test(self, frontend: FrontEndConfig | None) -> TestClips:
        """Reads the test partition."""
        signals = read_signals(self.dataset, "test")
        spoke = {clip.id: clip.speaker for clip in self.dataset.partition("test")}
        named = [f"speaker {spoke[one]}" if spoke[one] is not None else f"clip {one}" for one in signals.ids]
        speakers = np.unique(named, return_inverse=True)[1].astype(np.int64)
        several = len(set(named)) > 1  # one voice alone says nothing of other voices
        features = extract(signals.samples, frontend or self.frontend)
        return TestClips(features, signals.labels, speakers if several else None)

    def calibration(self, frontend: FrontEndConfig | None) -> np.ndarray:
        """Reads the training partition as recorded."""
        samples = read_signals(self.dataset, "train").samples
        chosen = samples[:: max(1, len(samples) // CALIBRATION_CLIPS)][:CALIBRATION_CLIPS]
        features = extract(chosen, frontend or self.frontend)
        return features.reshape(len(features), -1)


@dataclass
class FeatureArrays:
    """Features that are there already, such as an Edge Impulse block's; a test partition only where one is given."""

    features: FeatureBank
    name: Path | str
    clips: TestClips | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """K class names."""
        return self.features.labels

    @property
    def made_of(self) -> dict[str, Any]:
        """The bank's own summary."""
        bank = self.features
        return {
            "data": bank.summary.get("digest"),
            "name": bank.summary.get("name") or str(self.name),
            "synthetic": bool(bank.summary.get("synthetic")),
            "clips": {"train": len(bank.train_labels), "validation": len(bank.validation_labels)},
            "labels": list(bank.labels),
            "frontend": bank.frontend,
        }

    def shape(self, frontend: FrontEndConfig | None) -> tuple[int, int]:
        """(T, F)."""
        self._refuse(frontend)
        return self.features.validation.shape[1:]

    def bank(self, frontend: FrontEndConfig | None) -> FeatureBank:
        """As given."""
        self._refuse(frontend)
        return self.features

    def test(self, frontend: FrontEndConfig | None) -> TestClips:
        """As given."""
        self._refuse(frontend)
        if self.clips is None:
            raise DataError(
                f"{self.name} has no test partition to read: what Edge Impulse names X_split_test.npy is what training "
                "validates on; study a folder of recordings"
            )
        return self.clips

    def calibration(self, frontend: FrontEndConfig | None) -> np.ndarray:
        """Clean training clips."""
        self._refuse(frontend)
        clean = self.features.train[0].astype(np.float32)
        chosen = clean[:: max(1, len(clean) // CALIBRATION_CLIPS)][:CALIBRATION_CLIPS]
        return chosen.reshape(len(chosen), -1)

    def _refuse(self, frontend: FrontEndConfig | None) -> None:
        if frontend is not None:
            raise ConfigError(
                f"a published net computes its own features from recordings, and {self.name} holds features; leave the "
                "arms bc_resnet and spark out"
            )


class Taught:
    """A source whose training clips have a teacher's word on every copy.

    Args:
        checkpoint: of the teacher, on the study's own front end.
        store: keeps its logits.

    Raises:
        CheckpointError: there is none.
    """

    def __init__(self, source: Source, checkpoint: Path, store: Path) -> None:
        self.source, self.checkpoint, self.store = source, checkpoint, store
        self.labels = source.labels
        self.made_of = {**source.made_of, "teacher": weights_hash(checkpoint)}
        self._bank: FeatureBank | None = None

    def shape(self, frontend: FrontEndConfig | None) -> tuple[int, int]:
        """(T, F)."""
        self._refuse(frontend)
        return self.source.shape(None)

    def bank(self, frontend: FrontEndConfig | None) -> FeatureBank:
        """With the teacher's logits.

        Raises:
            ConfigError: a teacher of other classes or another front end.
        """
        self._refuse(frontend)
        self._bank = self._bank or with_teacher(self.source.bank(None), self.checkpoint, self.store)
        return self._bank

    def test(self, frontend: FrontEndConfig | None) -> TestClips:
        """As the source's."""
        return self.source.test(frontend)

    def calibration(self, frontend: FrontEndConfig | None) -> np.ndarray:
        """As the source's."""
        return self.source.calibration(frontend)

    def _refuse(self, frontend: FrontEndConfig | None) -> None:
        if frontend is not None:
            raise ConfigError(
                "a published net has a front end of its own, which the teacher does not hear; leave the arms bc_resnet "
                "and spark out, or --teacher"
            )
