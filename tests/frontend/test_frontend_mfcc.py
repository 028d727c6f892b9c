import numpy as np
import pytest
from golden_vectors import DEGENERATE, MFCC, SILENT, SINGLE_FRAME, load, noise

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import MfccConfig, mfcc, mfcc_float64
from kws_dendrite.frontend.mfcc import cepstra, filterbank


def test_all_golden_vectors_are_here():
    assert len(MFCC) == 16
    assert set(MFCC) >= DEGENERATE


@pytest.mark.parametrize("name", sorted(set(MFCC) - SINGLE_FRAME))
def test_float64_equals_golden(name):
    golden = load(name)
    ours = mfcc_float64(golden.signal, golden.config)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, golden.features, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(MFCC) - DEGENERATE))
def test_float32_equals_golden(name):
    golden = load(name)
    ours = mfcc(golden.signal, golden.config)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, golden.arrays["features_2d"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", sorted(DEGENERATE))
def test_degenerate_clips_stay_near_zero(name):
    golden = load(name)
    assert np.abs(golden.features).max() < 4e-4  # the block's own rounding noise
    assert np.abs(mfcc(golden.signal, golden.config)).max() < 1e-3


@pytest.mark.parametrize("name", MFCC)
def test_intermediates_equal_golden(name):
    golden = load(name)
    np.testing.assert_array_equal(filterbank(golden.config), golden.arrays["filterbank"])
    np.testing.assert_allclose(
        cepstra(golden.signal, golden.config), golden.arrays["mfcc_before_cmvn"], rtol=0, atol=1e-11
    )


def test_first_coefficient_is_the_log_energy():
    signal = noise(4000)
    config = MfccConfig(win_size=0, pre_cof=0.0)
    first = signal[:256].astype(np.float64)  # the tail of the 320-sample frame is cut to the FFT
    power = np.abs(np.fft.rfft(first)) ** 2 / 256
    assert mfcc_float64(signal, config)[0, 0] == pytest.approx(np.log(power.sum()), abs=1e-12)


def test_pre_emphasis_is_circular():
    signal = noise(3200)
    other = signal.copy()
    other[-1] = -other[-1]
    config = MfccConfig(win_size=0)
    ours, changed = mfcc(signal, config), mfcc(other, config)
    assert not np.allclose(ours[0], changed[0])  # the last sample reaches the first frame
    np.testing.assert_array_equal(ours[1:-1], changed[1:-1])


def test_version_3_squeezes_the_bank_into_the_lower_half():
    bank = filterbank(MfccConfig(implementation_version=3, low_frequency=300))
    assert not bank[:, 65:].any()


def test_too_short_and_too_long():
    with pytest.raises(ConfigError, match="shorter than a frame of 320"):
        mfcc(noise(319), MfccConfig())
    assert mfcc(noise(320), MfccConfig()).shape == (1, 13)
    assert mfcc(noise(160_000), MfccConfig()).shape == (500, 13)
    with pytest.raises(ConfigError, match="at most 500"):
        mfcc(noise(160_320), MfccConfig())


@pytest.mark.parametrize(
    "signal", [np.zeros(16000), np.zeros((2, 16000), np.int16), np.zeros(16000, np.int32), np.zeros(16000, np.uint16)]
)
def test_signal_must_be_one_clip_of_int16(signal):
    with pytest.raises(DataError, match="int16"):
        mfcc(signal, MfccConfig())


def test_silence_without_normalisation():
    features = mfcc(np.zeros(16000, np.int16), MfccConfig(win_size=0))
    assert np.isfinite(features).all()
    assert features[0, 0] == pytest.approx(np.log(1e-10))


def test_silent_golden_is_exact():
    for name in SILENT:
        golden = load(name)
        np.testing.assert_allclose(mfcc_float64(golden.signal, golden.config), golden.features, rtol=0, atol=1e-6)


def test_against_librosa():
    librosa = pytest.importorskip("librosa")
    # Conventions that can be set alike: a frame as long as the FFT, no centring, no window, own filterbank, DCT-II.
    config = MfccConfig(frame_length=0.032, frame_stride=0.016, fft_length=512, win_size=0, num_filters=40)
    signal = noise(16000, seed=3)
    emphasised = signal - 0.98 * np.roll(signal.astype(np.float64), 1)
    power = (
        np.abs(librosa.stft(emphasised, n_fft=512, hop_length=256, win_length=512, window="boxcar", center=False)) ** 2
    )
    mel = filterbank(config) @ (power / 512)
    theirs = librosa.feature.mfcc(S=np.log(mel), n_mfcc=13, dct_type=2, norm="ortho").T
    ours = mfcc_float64(signal, config)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], rtol=0, atol=1e-4)  # librosa's STFT is complex64 or so
