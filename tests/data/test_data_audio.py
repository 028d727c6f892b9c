import numpy as np
import pytest
from clip_folders import tone, write

from kws_dendrite.data.audio import probe_audio, read_audio
from kws_dendrite.errors import DataError


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_sixteen_bit_mono_comes_back_sample_for_sample(tmp_path, suffix):
    samples = tone(0.5)
    path = write(tmp_path / f"a{suffix}", samples)
    read = read_audio(path, 16000)
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read, samples)
    assert probe_audio(path) == 0.5


def test_channels_are_averaged(tmp_path):
    left, right = tone(0.1, 300), tone(0.1, 500)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1))
    expected = np.rint((left.astype(float) + right) / 2)
    assert np.abs(read_audio(path, 16000) - expected).max() <= 1


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_tone_is_the_same_tone_after_resampling(tmp_path, rate):
    path = write(tmp_path / "a.wav", tone(1.0, 300, rate), rate)
    read = read_audio(path, 16000).astype(float)
    assert len(read) == 16000
    middle = slice(1000, -1000)  # the filter's edges aside
    assert np.abs(read - tone(1.0, 300))[middle].max() < 0.01 * 5000


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_24", "PCM_32", "ULAW"])
def test_other_sample_formats_have_the_same_scale(tmp_path, subtype):
    samples = tone(0.2).astype(float) / 32768
    path = write(tmp_path / "a.wav", samples, subtype=subtype)
    tolerance = 160 if subtype == "ULAW" else 1
    assert np.abs(read_audio(path, 16000) - samples * 32768).max() <= tolerance


def test_float_beyond_full_scale_clips_and_does_not_wrap(tmp_path):
    path = write(tmp_path / "a.wav", np.array([2.0, -2.0, 0.5]), subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path, 16000), [32767, -32768, 16384])


def _missing(folder):
    return folder / "no.wav"


def _text(folder):
    path = folder / "text.wav"
    path.write_text("this is a list of my recordings\n" * 10)
    return path


def _empty_file(folder):
    path = folder / "empty.wav"
    path.touch()
    return path


def _no_samples(folder):
    return write(folder / "zero.wav", np.zeros(0, np.int16))


def _broken(folder):
    path = folder / "broken.wav"
    path.write_bytes(b"RIFF\xff\xff\xff\x7fWAVE\x00\x01garbage\xfe\xdc")
    return path


def _folder(folder):
    (folder / "folder.wav").mkdir()
    return folder / "folder.wav"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "does not exist"),
        (_text, "is text, not audio"),
        (_empty_file, "is empty"),
        (_no_samples, "zero length"),
        (_broken, "cannot be decoded"),
        (_folder, "is a folder"),
    ],
)
@pytest.mark.parametrize("read", [probe_audio, lambda path: read_audio(path, 16000)])
def test_bad_clips_are_named_in_one_line(tmp_path, make, says, read):
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and says in message and "\n" not in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_samples_are_refused(tmp_path, value):
    path = write(tmp_path / "nan.wav", np.array([0.1, value, 0.2]), subtype="FLOAT")
    with pytest.raises(DataError, match=r"nan\.wav holds NaN or infinite"):
        read_audio(path, 16000)


def test_truncated_flac_is_named(tmp_path):
    path = write(tmp_path / "cut.flac", np.random.default_rng(0).integers(-9999, 9999, 16000).astype(np.int16))
    path.write_bytes(path.read_bytes()[:6000])
    assert probe_audio(path) == 1.0  # the header still promises a second
    try:
        read = read_audio(path, 16000)
    except DataError as error:
        assert "cut.flac" in str(error)
    else:
        pytest.fail(f"a truncated file gave {len(read)} samples")
