import numpy as np
import pytest
from tiny_study import F, K, N, T, make_source

from kws_dendrite.data import AugmentConfig, load_dataset
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import FeatureCache, LogMelConfig, MfccConfig
from kws_dendrite.study.source import FeatureArrays, Recordings


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    return Recordings(load_dataset("demo"), LogMelConfig(), AugmentConfig(copies=0), cache)


def test_recordings_are_described_without_being_read(recordings):
    made = recordings.made_of
    assert made["synthetic"] is True and len(made["data"]) == 64
    assert made["augmentation"]["copies"] == 0 and made["frontend"]["block"] == "logmel"
    assert recordings.shape(None) == (49, 24)
    assert recordings.shape(MfccConfig()) == (50, 13)


def test_a_bank_for_each_front_end(recordings):
    own, other = recordings.bank(None), recordings.bank(MfccConfig())
    assert own.validation.shape[1:] == (49, 24) and other.validation.shape[1:] == (50, 13)
    assert recordings.bank(MfccConfig()) is other


def test_test_clips_and_calibration(recordings):
    clips = recordings.test(None)
    assert clips.features.shape == (len(clips.labels), 49, 24) and clips.features.dtype == np.float32
    assert len(clips.labels) == recordings.made_of["clips"]["test"]
    spoke = [clip.speaker for clip in recordings.dataset.partition("test")]
    same = np.array([[(a == b and a is not None) or i == j for j, b in enumerate(spoke)] for i, a in enumerate(spoke)])
    assert ((clips.speakers[:, None] == clips.speakers) == same).all()
    calibration = recordings.calibration(None)
    assert calibration.shape[1] == 49 * 24 and len(calibration) <= 512


def test_arrays_are_as_given():
    source = make_source()
    assert source.shape(None) == (T, F) and source.labels[0] == "yes" and len(source.labels) == K
    assert source.calibration(None).shape == (N, T * F)
    assert source.made_of["clips"]["train"] == N
    with pytest.raises(ConfigError, match="holds features"):
        source.bank(LogMelConfig())


def test_arrays_without_test_clips():
    with pytest.raises(DataError, match="no test partition"):
        FeatureArrays(make_source().features, "here").test(None)
