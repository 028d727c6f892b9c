"""One audio file to int16 samples: any format, rate and channel count that libsndfile reads; acquisition files too."""

from math import gcd
from pathlib import Path

import numpy as np
import soundfile

from kws_dendrite.data.acquisition import is_acquisition, probe_acquisition, read_acquisition
from kws_dendrite.errors import DataError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"})
_AUDIO_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"riff", b"ID3")
_EXACT_SUBTYPES = frozenset({"PCM_16", "PCM_S8", "PCM_U8"})  # these reach int16 without loss
FULL_SCALE = 32768.0


def is_audio(path: Path) -> bool:
    """Whether the name says audio; hidden files (macOS writes `._x.wav`) are not."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def probe_audio(path: Path) -> float:
    """Seconds in a clip, from its header alone.

    Raises:
        DataError: missing, unreadable, not audio, no samples; the message names the clip.
    """
    if is_acquisition(path):
        return probe_acquisition(path)
    try:
        with soundfile.SoundFile(path) as file:
            frames, rate = file.frames, file.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(_explain(path, error)) from error
    if frames <= 0 or rate <= 0:
        raise DataError(f"{path} has no samples (zero length); remove it or record it again")
    return frames / rate


def read_audio(path: Path, sampling_freq: int) -> np.ndarray:
    """Read a whole clip as int16 (S,), mixed down to one channel and resampled to `sampling_freq` Hz.

    16-bit mono at the right rate comes back sample for sample as stored. Anything else goes through float: channels
    are averaged, the rate changed by `scipy.signal.resample_poly` (a Kaiser-windowed FIR), the result rounded and
    clipped to int16.

    Raises:
        DataError: missing, unreadable, not audio, no samples, NaN or infinite samples; the message names the clip.
    """
    if is_acquisition(path):
        samples, rate = read_acquisition(path)
        return (
            samples if rate == sampling_freq else to_int16(_resample(samples.astype(np.float64), rate, sampling_freq))
        )
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            exact = file.subtype in _EXACT_SUBTYPES and file.channels == 1 and rate == sampling_freq
            samples = file.read(dtype="int16" if exact else "float64")
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(_explain(path, error)) from error
    if len(samples) == 0:
        raise DataError(f"{path} has no samples (zero length); remove it or record it again")
    if exact:
        return samples
    if samples.ndim == 2:  # (S, channels)
        samples = samples.mean(axis=1)
    if not np.isfinite(samples).all():
        raise DataError(f"{path} holds NaN or infinite samples; remove it or export it again")
    if rate != sampling_freq:
        samples = _resample(samples, rate, sampling_freq)
    return to_int16(samples * FULL_SCALE)


def _resample(samples: np.ndarray, rate: int, sampling_freq: int) -> np.ndarray:
    from scipy.signal import resample_poly  # a second to import, and most data needs no resampling

    common = gcd(rate, sampling_freq)
    return resample_poly(samples, sampling_freq // common, rate // common)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Round and clip float samples, already in int16 units, to int16."""
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def _explain(path: Path, error: Exception) -> str:
    if not path.exists():
        return f"{path} does not exist; expected an audio clip there"
    if path.is_dir():
        return f"{path} is a folder; expected an audio clip"
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as reason:
        return f"{path} cannot be read: {reason.strerror or reason}"
    if not head:
        return f"{path} is empty (0 bytes); remove it or record it again"
    if not head.startswith(_AUDIO_MAGIC) and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return f"{path} is text, not audio, despite its name; remove it or export the recording again"
    return f"{path} cannot be decoded as audio ({str(error).splitlines()[0].rstrip('.')}); remove it or export it again"
