import numpy as np
import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend.mel import edge_impulse_bins, edge_impulse_filterbank, htk_filterbank, hz_to_mel, mel_to_hz

# The corners of the default banks at 16 kHz, 32 filters, FFT 256, as the block prints them.
VERSION_4 = [0, 0, 1, 2, 4, 5, 6, 7, 9, 11, 12, 14, 16, 19, 21, 24, 26, 29, 33, 36, 40, 44, 49, 53, 59, 64, 70, 77, 84,
             91, 99, 108, 118, 128]  # fmt: skip
VERSION_3_FROM_300 = [2, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 11, 12, 13, 14, 16, 17, 19, 20, 22, 24, 26, 28, 31, 33, 36, 38,
                      42, 45, 48, 52, 56, 60, 64]  # fmt: skip


def test_corners():
    assert edge_impulse_bins(16000, 32, 256, 0, 8000, 4).tolist() == VERSION_4
    assert edge_impulse_bins(16000, 32, 256, 300, 8000, 3).tolist() == VERSION_3_FROM_300


def test_mel_is_inverted():
    hertz = np.linspace(0, 8000, 100)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hertz)), hertz, atol=1e-9)


def test_centre_is_1_even_without_sides():
    bank = edge_impulse_filterbank(16000, 32, 256, 0, 8000, 4)
    np.testing.assert_array_equal(bank[np.arange(32), VERSION_4[1:-1]], 1.0)
    np.testing.assert_array_equal(bank[0], np.eye(129)[0])  # corners 0, 0, 1: the centre alone


def test_triangle_by_hand():
    bank = edge_impulse_filterbank(16000, 32, 256, 0, 8000, 4)
    expected = np.zeros(129)
    expected[[12, 13, 14, 15]] = [1 / 2, 1.0, 2 / 3, 1 / 3]
    row = VERSION_4.index(14) - 1  # corners 12, 14, 16
    expected = np.zeros(129)
    expected[[13, 14, 15]] = [0.5, 1.0, 0.5]
    np.testing.assert_allclose(bank[row], expected)


@pytest.mark.parametrize(("filters", "version", "low"), [(32, 3, 0), (60, 4, 0)])
def test_filter_without_a_bin_is_refused(filters, version, low):
    with pytest.raises(ConfigError, match=r"filter 0 .*raise fft_length"):
        edge_impulse_filterbank(16000, filters, 256, low, 8000, version)


def test_version_3_hints_at_300_hz():
    with pytest.raises(ConfigError, match="low_frequency 300"):
        edge_impulse_filterbank(16000, 32, 256, 0, 8000, 3)


def test_htk_filter_without_a_bin_is_refused():
    with pytest.raises(ConfigError, match="covers no FFT bin"):
        htk_filterbank(16000, 80, 256, 20, 7600)


@pytest.mark.parametrize(
    ("rate", "filters", "fft", "low", "high"),
    [(16000, 24, 512, 20, 7600), (16000, 40, 512, 0, 8000), (8000, 20, 256, 100, 3800)],
)
def test_htk_against_librosa(rate, filters, fft, low, high):
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(
        sr=rate, n_fft=fft, n_mels=filters, fmin=low, fmax=high, htk=True, norm=None, dtype=np.float64
    )
    np.testing.assert_allclose(htk_filterbank(rate, filters, fft, low, high), theirs, rtol=0, atol=1e-10)


def test_htk_against_torchaudio():
    try:
        from torchaudio.functional import melscale_fbanks
    except Exception:  # not installed, or its wheel does not load beside this torch
        pytest.skip("torchaudio does not import")
    theirs = melscale_fbanks(257, 20.0, 7600.0, 24, 16000, norm=None, mel_scale="htk").numpy().T
    np.testing.assert_allclose(htk_filterbank(16000, 24, 512, 20, 7600), theirs, rtol=0, atol=1e-4)
