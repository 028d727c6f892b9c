"""What runs through a benchmark's firmware: clips, the outputs they are held to, and audio."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.benchmark.c_folder import header_number


@dataclass(frozen=True)
class Inputs:
    """What runs through the firmware.

    Attributes:
        clips: int8 inputs of the model (N, T*F); the first is counted, all are decided; None for one of zeros.
        expected: int8 outputs (N, K) that the core's are held to; None leaves that out.
        audio: int16 samples for the front end and the detector, repeated where they are short; None for `noise`.
    """

    clips: np.ndarray | None = None
    expected: np.ndarray | None = None
    audio: np.ndarray | None = None


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """int16 (samples,): white noise at -20 dBFS that swells and falls once a second; the same for a seed."""
    rng = np.random.default_rng(seed)
    swell = 0.55 - 0.45 * np.cos(2 * np.pi * np.arange(samples) / 16000)
    return np.clip(rng.normal(0, 3277, samples) * swell, -32768, 32767).astype(np.int16)


def checked_clips(clips: np.ndarray | None, c_folder: Path) -> np.ndarray:
    size = header_number(c_folder, "kws_model.h", "KWS_MODEL_INPUT_SIZE")
    if clips is None:
        return np.zeros((1, size), np.int8)
    if clips.ndim != 2 or clips.shape[1] != size or clips.dtype != np.int8 or not len(clips):
        raise ExportError(f"the model reads int8 features (N, {size}), got {clips.dtype} {clips.shape}")
    return np.ascontiguousarray(clips)


def check_expected(expected: np.ndarray | None, shape: tuple[int, int]) -> None:
    if expected is not None and expected.shape != shape:
        raise ExportError(f"expected outputs {shape} to compare with, got {expected.shape}")


def audio_files(c_folder: Path, audio: np.ndarray | None) -> dict[str, bytes]:
    """Files for the front end, a window and a frame long, and for the detector, a window and a second long."""
    window, rate, stride = (
        header_number(c_folder, "kws_frontend.h", f"KWS_FRONTEND_{name}")
        for name in ("WINDOW_SAMPLES", "SAMPLE_RATE", "FRAME_STRIDE")
    )
    if not window:
        return {}
    short, long = (-(-samples // stride) * stride for samples in (window + 2 * stride, window + rate))
    given = noise(long) if audio is None else np.resize(audio.astype(np.int16), long)
    return {"audio.bin": given[:short].tobytes(), "stream.bin": given.tobytes()}
