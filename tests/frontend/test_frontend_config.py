import dataclasses
import json

import numpy as np
import pytest
from golden_vectors import MFCC, MFE, load
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import (
    LogMelConfig,
    MfccConfig,
    MfeConfig,
    configure,
    feature_shape,
    from_json,
    to_json,
)
from kws_dendrite.settings import parse_assignments

ALL = (MfccConfig, MfeConfig, LogMelConfig)


def test_defaults_are_edge_impulses():
    assert to_json(MfccConfig()) == {
        "block": "mfcc", "sampling_freq": 16000, "implementation_version": 4, "num_cepstral": 13, "frame_length": 0.02,
        "frame_stride": 0.02, "num_filters": 32, "fft_length": 256, "win_size": 101, "low_frequency": 0,
        "high_frequency": 0, "pre_cof": 0.98, "pre_shift": 1,
    }  # fmt: skip
    assert to_json(MfeConfig()) == {
        "block": "mfe", "sampling_freq": 16000, "implementation_version": 4, "frame_length": 0.02,
        "frame_stride": 0.01, "num_filters": 40, "fft_length": 256, "low_frequency": 0, "high_frequency": 0,
        "win_size": 101, "noise_floor_db": -52,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "shape"), [(MfccConfig(), (50, 13)), (MfeConfig(), (99, 40)), (LogMelConfig(), (49, 24))]
)
def test_shape_of_a_second(config, shape):
    assert feature_shape(config, 16000) == shape


@pytest.mark.parametrize("name", MFCC + MFE)
def test_shape_equals_golden(name):
    golden = load(name)
    assert feature_shape(golden.config, len(golden.signal)) == golden.features.shape


@pytest.mark.parametrize("kind", ALL)
def test_json_round_trip(kind):
    config = kind(num_filters=20, low_frequency=100)
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


@given(
    frame=st.floats(0.005, 0.05),
    stride=st.floats(0.005, 0.05),
    filters=st.integers(2, 20),
    cof=st.floats(0, 1),
    win=st.sampled_from([0, 1, 11, 301]),
)
def test_json_and_text_round_trips(frame, stride, filters, cof, win):
    config = MfccConfig(
        frame_length=frame, frame_stride=stride, num_filters=filters, num_cepstral=2, pre_cof=cof, win_size=win
    )
    assert from_json(json.loads(json.dumps(to_json(config)))) == config
    texts = [f"{name}={value}" for name, value in to_json(config).items() if name != "block"]
    assert configure("mfcc", parse_assignments(texts)) == config


def test_values_are_made_the_field_s_type():
    config = MfccConfig(sampling_freq=16000.0, num_filters=np.int64(20), pre_cof=1, high_frequency=None)
    assert [type(getattr(config, field.name)) for field in dataclasses.fields(config)] == [
        field.type for field in dataclasses.fields(config)
    ]
    assert config.high_frequency == 0


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fft_length": 300}, "power of two"),
        ({"fft_length": 0}, "power of two"),
        ({"fft_length": 2**40}, "power of two"),
        ({"num_filters": 1}, "num_filters"),
        ({"num_filters": 10**9}, "num_filters"),
        ({"frame_length": 0}, "frame_length"),
        ({"frame_stride": -0.01}, "frame_stride"),
        ({"frame_stride": 1e-9}, "less than a sample"),
        ({"sampling_freq": 0}, "sampling_freq"),
        ({"high_frequency": 8001}, "nothing above 8000 Hz"),
        ({"low_frequency": 7700, "high_frequency": 7600}, "low_frequency"),
        ({"low_frequency": -1}, "negative"),
        ({"frame_length": float("nan")}, "finite"),
        ({"frame_length": float("inf")}, "finite"),
        ({"num_filters": 20.5}, "whole number"),
        ({"num_filters": "20"}, "finite number, got '20'"),
        ({"num_filters": True}, "finite number"),
        ({"num_filters": [20]}, "finite number"),
        ({"fft_length": 10**400}, "finite number"),
    ],
)
def test_impossible_settings(kind, changes, message):
    with pytest.raises(ConfigError, match=message):
        kind(**changes)


@pytest.mark.parametrize("kind", [MfccConfig, MfeConfig])
@pytest.mark.parametrize("version", [0, 1, 2, 5])
def test_versions_other_than_3_and_4_are_refused(kind, version):
    with pytest.raises(ConfigError, match="use 4, or 3"):
        kind(implementation_version=version)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (MfccConfig, {"win_size": 100}, "odd"),
        (MfccConfig, {"win_size": -1}, "odd"),
        (MfccConfig, {"win_size": 10**9 + 1}, "odd"),
        (MfccConfig, {"num_cepstral": 33}, "num_filters, which is 32"),
        (MfccConfig, {"num_cepstral": 0}, "num_cepstral"),
        (MfccConfig, {"pre_cof": 1.5}, "pre_cof"),
        (MfccConfig, {"pre_shift": -1}, "pre_shift"),
        (MfccConfig, {"implementation_version": 3}, "filter 0"),
        (MfeConfig, {"noise_floor_db": 12}, "noise_floor_db"),
        (MfeConfig, {"num_filters": 60}, "no FFT bin of its own"),
        (LogMelConfig, {"frame_length": 0.04}, "640 samples but fft_length is 512"),
        (LogMelConfig, {"num_filters": 128}, "covers no FFT bin"),
        (LogMelConfig, {"log_offset": 0}, "log_offset"),
        (LogMelConfig, {"remove_mean": 1}, "true or false"),
    ],
)
def test_impossible_settings_of_one_block(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        config(**changes)


def test_messages_are_one_line():
    with pytest.raises(ConfigError) as error:
        MfccConfig(implementation_version=3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "block"),
        ([], "block"),
        ({"block": "spectrogram"}, "use one of mfcc, mfe, logmel"),
        ({"block": ["mfcc"]}, "use one of mfcc, mfe, logmel"),
        ({"block": "mfcc", "pre_cov": 0.98}, "no setting 'pre_cov'; did you mean pre_cof"),
        ({"block": "mfe", "zzz": 1}, "no setting 'zzz'; known: sampling_freq"),
        ({"block": "mfcc", "num_filters": None}, "finite number"),
    ],
)
def test_from_json_refuses(values, message):
    with pytest.raises(ConfigError, match=message):
        from_json(values)


def test_from_json_fills_in_defaults():
    assert from_json({"block": "mfcc", "num_filters": 40}) == MfccConfig(num_filters=40)


def test_configure():
    config = configure("logmel", {"num_filters": "40", "remove_mean": "no", "frame_stride": " 0.01 "})
    assert config == LogMelConfig(num_filters=40, remove_mean=False, frame_stride=0.01)


@pytest.mark.parametrize(
    ("block", "text", "message"),
    [
        ("mfcc", {"num_filter": "40"}, "did you mean num_filters"),
        ("mfcc", {"num_filters": "many"}, "num_filters is a whole number; got 'many'"),
        ("mfcc", {"num_filters": "40.5"}, "whole number"),
        ("mfcc", {"pre_cof": ""}, "pre_cof is a number"),
        ("mfcc", {"pre_cof": "nan"}, "finite"),
        ("logmel", {"remove_mean": "perhaps"}, "true or false"),
        ("mfc", {}, "unknown front end 'mfc'"),
    ],
)
def test_configure_refuses(block, text, message):
    with pytest.raises(ConfigError, match=message):
        configure(block, text)


@pytest.mark.parametrize(
    ("texts", "message"), [(["num_filters"], "NAME=VALUE"), (["=3"], "NAME=VALUE"), (["a=1", "a=2"], "set twice")]
)
def test_assignments_refuse(texts, message):
    with pytest.raises(ConfigError, match=message):
        parse_assignments(texts)


@pytest.mark.parametrize("kind", [MfccConfig, MfeConfig])
def test_frames_of_a_clip_have_bounds(kind):
    config = kind(frame_stride=0.02)
    assert feature_shape(config, 320)[0] == 1
    assert feature_shape(config, 160_319)[0] == 500
    with pytest.raises(ConfigError, match="501 frames"):
        feature_shape(config, 160_320)
    with pytest.raises(ConfigError, match="shorter than a frame"):
        feature_shape(config, 319)
    with pytest.raises(ConfigError, match="shorter than a frame"):
        feature_shape(config, 0)
