import json
from dataclasses import replace

import numpy as np
import pytest
from clip_folders import speech_commands

from kws_dendrite.data import AugmentConfig, TaskConfig, build_bank, load_dataset, read_signals
from kws_dendrite.data.bank import checked
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import FeatureCache, LogMelConfig, MfccConfig, compute, feature_shape


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_dataset(speech_commands(tmp_path_factory.mktemp("clips"), ("yes", "no", "bird"), speakers=20))


def test_shapes_labels_and_the_clean_copy(dataset):
    config = LogMelConfig()
    bank = build_bank(dataset, config, AugmentConfig(copies=2))
    frames, coefficients = feature_shape(config, 16000)
    signals = read_signals(dataset, "train")
    assert bank.train.shape == (3, len(signals), frames, coefficients) and bank.train.dtype == np.float16
    assert bank.validation.dtype == np.float32 and len(bank.validation) == len(bank.validation_labels)
    np.testing.assert_array_equal(bank.train_labels, signals.labels)
    assert bank.labels == dataset.labels
    for row in (0, len(signals) - 1):
        np.testing.assert_allclose(bank.train[0, row], compute(signals.samples[row], config), atol=0.02, rtol=1e-3)
    assert not np.array_equal(bank.train[1], bank.train[2])
    summary = json.loads(json.dumps(bank.summary, allow_nan=False))
    assert summary["augmentation"]["copies"] == 2 and len(summary["digest"]) == 64
    assert bank.frontend["block"] == "logmel"


def test_the_cache_changes_nothing_and_saves_the_work(dataset, tmp_path):
    config = LogMelConfig()
    calls = []

    def count(samples, frontend):
        calls.append(len(samples))
        return np.stack([compute(row, frontend) for row in samples])

    cache = FeatureCache(tmp_path / "cache")
    plain = build_bank(dataset, config, AugmentConfig(copies=1), extract=count)
    first = build_bank(dataset, config, AugmentConfig(copies=1), cache, extract=count)
    after_first = len(calls)
    second = build_bank(dataset, config, AugmentConfig(copies=1), cache, extract=count)
    assert len(calls) == after_first
    for bank in (first, second):
        assert bank.train.tobytes() == plain.train.tobytes()
        assert bank.validation.tobytes() == plain.validation.tobytes()
    other = build_bank(dataset, config, AugmentConfig(copies=1, seed=1), cache, extract=count)
    assert len(calls) == after_first + 1  # the clean copy is shared
    assert other.train[1].tobytes() != first.train[1].tobytes()


def test_training_silence_as_recorded_leaves_validation_as_it_is(dataset):
    config = LogMelConfig(remove_mean=False)
    usual = build_bank(dataset, config, AugmentConfig(copies=1))
    level = build_bank(dataset, config, AugmentConfig(copies=1, silence_decades=(0.0, 0.0)))
    silence = usual.train_labels == usual.labels.index("_silence_")
    assert silence.any() and usual.validation.tobytes() == level.validation.tobytes()
    assert usual.train[:, ~silence].tobytes() == level.train[:, ~silence].tobytes()
    spread = [bank.train[:, silence].astype(np.float32).mean((2, 3)).std(1) for bank in (usual, level)]
    assert (spread[1] < 0.2 * spread[0]).all()


def test_progress_counts_every_copy(dataset):
    seen = []
    once = AugmentConfig(copies=1)
    build_bank(dataset, LogMelConfig(), once, progress=lambda done, total: seen.append((done, total)))
    total = 2 * len(dataset.partition("train")) + len(dataset.partition("validation"))
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_nan_features_name_the_clip(dataset):
    def spoiled(samples, frontend):
        features = np.zeros((len(samples), 49, 24), np.float32)
        features[1, 3, 4] = np.nan
        return features

    name = read_signals(dataset, "validation").ids[1]
    with pytest.raises(DataError, match=f"the features of {name} are NaN"):
        build_bank(dataset, LogMelConfig(), AugmentConfig(copies=0), extract=spoiled)


def test_features_too_large_for_half_precision_are_refused():
    with pytest.raises(DataError, match="too large for float16"):
        checked(np.full((1, 2, 2), 1e6, np.float32), ("a.wav",), np.float16)


def test_rates_must_agree(dataset):
    with pytest.raises(ConfigError, match="expects 16000 Hz, the data are read at 8000 Hz"):
        build_bank(replace(dataset, task=TaskConfig(sampling_freq=8000)), LogMelConfig())


def test_a_share_of_the_copies_is_heard_as_in_continuous_mode(dataset, tmp_path):
    config = MfccConfig(win_size=0)
    usual = build_bank(dataset, config, AugmentConfig(copies=1)).train
    half = build_bank(dataset, config, AugmentConfig(copies=1, continuous=0.5), FeatureCache(tmp_path)).train
    again = build_bank(dataset, config, AugmentConfig(copies=1, continuous=0.5), FeatureCache(tmp_path)).train
    assert half.tobytes() == again.tobytes()
    np.testing.assert_array_equal(half[0], usual[0])
    unlike = np.abs(half[1].astype(np.float32) - usual[1]).max(axis=(1, 2)) > 0.02
    assert 0.2 < unlike.mean() < 0.8
    np.testing.assert_array_equal(half[1][~unlike], usual[1][~unlike])
    every = build_bank(dataset, config, AugmentConfig(copies=1, continuous=1.0)).train
    assert (np.abs(every[1].astype(np.float32) - usual[1]).max(axis=(1, 2)) > 0.02).mean() > 0.9


def test_continuous_mode_is_refused_before_anything_is_read(dataset):
    with pytest.raises(ConfigError, match="simulated for mfcc, got logmel"):
        build_bank(dataset, LogMelConfig(), AugmentConfig(continuous=0.5))
    with pytest.raises(ConfigError, match="expected 0 to 1"):
        AugmentConfig(continuous=1.5)
