"""Edge Impulse's continuous mode: the MFCC of a stream that arrives in slices, as `run_classifier_continuous` has it.

What differs from one clip alone (edgeimpulse/inferencing-sdk-cpp, classifier/ei_run_dsp.h,
`extract_mfcc_per_slice_features`; it takes versions 1 to 4, and runs 1 as 2):

* pre-emphasis wraps inside every slice, not once a window: the first sample of a slice sees the slice's last one;
* frames lie on one grid for the whole stream, so a window may begin between two of its slices' frames;
* a frame that spans two slices is put together from what was kept, `int(rate * frame_length)` samples of it;
* `frame_stride` must not exceed `frame_length`;
* the mean and variance normalisation runs over the assembled matrix, the last T frames, at every slice.

Besides, a window begins where a slice does, not where a word does: `hear_off_step`.
"""

from typing import TYPE_CHECKING

import numpy as np

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend.cmvn import cmvn
from kws_dendrite.frontend.config import FrontEndConfig, MfccConfig, feature_shape
from kws_dendrite.frontend.framing import check_signal, count_frames, preemphasise, split_frames
from kws_dendrite.frontend.mfcc import cepstra_of_frames

if TYPE_CHECKING:
    import torch

SLICES = 4  # EI_CLASSIFIER_SLICES_PER_MODEL_WINDOW's default


class ContinuousMfcc:
    """One stream, slice by slice: the reference, in float64.

    Args:
        config: the block's settings.
        window: samples of the model's window.
        slices: slices a window.

    Raises:
        ConfigError: not MFCC; a stride above the frame; slices that do not divide the window, or shorter than a frame.
    """

    def __init__(self, config: FrontEndConfig, window: int, slices: int = SLICES) -> None:
        self.config, self.slice = check_continuous(config, window, slices), window // slices
        self.frames, self.coefficients = feature_shape(self.config, window)
        rate = np.float32(config.sampling_freq)
        self._length = int(rate * np.float32(config.frame_length))  # as the device truncates them, in float32
        self._stride = int(rate * np.float32(config.frame_stride))
        self._kept = np.empty(0)
        self._matrix = np.zeros((self.frames, self.coefficients))
        self._written = 0

    def push(self, samples: np.ndarray) -> np.ndarray | None:
        """The next slice, int16 (window / slices,) -> float32 (T, F) of the last T frames; None until there are T.

        Raises:
            DataError: not one slice of int16.
            ConfigError: settings whose frames the device's truncation loses count of.
        """
        samples = check_signal(samples)
        if len(samples) != self.slice:
            raise DataError(f"expected a slice of {self.slice} samples, got {len(samples)}")
        config, length = self.config, self._length
        emphasised = preemphasise(samples.astype(np.float64), config.pre_cof, config.pre_shift)
        kept, index = self._kept, len(self._kept)
        if index > length:
            raise ConfigError(
                f"frame_length {config.frame_length} is {config.frame_samples} samples in a clip but {length} in "
                "continuous mode: the device keeps more than a frame and stops; choose lengths of whole samples"
            )
        while index > 0:  # frames that began in the slice before
            self._append(np.concatenate([kept[:index], emphasised[: length - index]]))
            kept, index = kept[self._stride :], index - self._stride
        rest = emphasised[-index:]
        if not len(rest):
            self._kept = np.empty(0)
            return self._normalised()
        done = self._append(rest)
        overlap = config.frame_samples - config.stride_samples
        left = len(rest) - (done * config.stride_samples + overlap) + (length - self._stride)
        self._kept = emphasised[len(emphasised) - left :] if left > 0 else np.empty(0)
        return self._normalised()

    def _append(self, emphasised: np.ndarray) -> int:
        """Roll the frames of a stretch into the matrix; returns how many there were."""
        count = max(0, count_frames(len(emphasised), self.config.frame_samples, self.config.stride_samples))
        if count:
            frames = split_frames(emphasised, self.config.frame_samples, self.config.stride_samples)
            rows = cepstra_of_frames(frames, self.config)
            self._matrix = np.concatenate([self._matrix, rows])[-self.frames :]
            self._written += count
        return count

    def _normalised(self) -> np.ndarray | None:
        if self._written < self.frames:
            return None
        return cmvn(self._matrix, self.config.win_size) if self.config.win_size else self._matrix.astype(np.float32)


def extract_continuous(
    streams: np.ndarray, config: FrontEndConfig, window: int, slices: int = SLICES, *, chunk: int = 32
) -> np.ndarray:
    """What `ContinuousMfcc` has after the last slice of each stream, many streams at once in torch.

    Args:
        streams: int16 (N, n), n a whole number of slices and at least a window.
        config: the MFCC block's settings; its frame and its stride must be whole samples.
        window: samples of the model's window.
        slices: slices a window.
        chunk: streams at a time.

    Returns:
        float32 (N, T, F).

    Raises:
        ConfigError: as `ContinuousMfcc`, or a frame or stride that the device would truncate.
        DataError: not int16, or not whole slices.
    """
    import torch

    config, step = check_continuous(config, window, slices), window // slices
    rate = np.float32(config.sampling_freq)
    for name, samples in (("frame_length", config.frame_samples), ("frame_stride", config.stride_samples)):
        if int(rate * np.float32(getattr(config, name))) != samples:
            raise ConfigError(
                f"{name} {getattr(config, name)} is {samples} samples in a clip but one less in continuous mode, which "
                "loses frames there; choose a length of whole samples"
            )
    if streams.dtype != np.int16 or streams.ndim != 2 or streams.shape[1] % step or streams.shape[1] < window:
        raise DataError(
            f"expected int16 streams (N, n) of whole slices of {step} samples, at least {window}, got {streams.dtype} "
            f"of shape {streams.shape}"
        )
    frames, coefficients = feature_shape(config, window)
    heard = count_frames(streams.shape[1], config.frame_samples, config.stride_samples)
    first = (heard - frames) * config.stride_samples  # where the oldest frame of the matrix begins
    transform = _flat_transform(config, frames)
    features = np.empty((len(streams), frames, coefficients), np.float32)
    with torch.inference_mode():
        for start in range(0, len(streams), chunk):
            block = streams[start : start + chunk].astype(np.float64)
            sliced = block.reshape(len(block), -1, step)
            emphasised = preemphasise(sliced, config.pre_cof, config.pre_shift).reshape(len(block), -1)
            last = first + (frames - 1) * config.stride_samples + config.frame_samples
            values = transform(torch.from_numpy(np.ascontiguousarray(emphasised[:, first:last])))
            features[start : start + chunk] = values.to(torch.float32).numpy()
    return features


def hear_off_step(clips: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The windows that a stream has instead of its clips, each beginning `offsets` samples behind its clip's start.

    A stream is cut where its slices end, not where words begin: the window that fits a word best is up to half a slice
    off. What a clip lacks there is its own edge, mirrored: the same room and noise.

    Args:
        clips: int16 (N, S).
        offsets: int (N,), within -S to S.

    Returns:
        int16 (N, S).
    """
    widest = int(np.abs(offsets).max(initial=0))
    padded = np.pad(clips, ((0, 0), (widest, widest)), mode="symmetric")
    at = widest + offsets[:, None] + np.arange(clips.shape[1])
    return np.take_along_axis(padded, at, axis=1)


def draw_offsets(count: int, window: int, random: np.random.Generator, slices: int = SLICES) -> np.ndarray:
    """How far windows lie off their words: up to half a slice either way, int64 (count,)."""
    half = window // slices // 2
    return random.integers(-half, half, count, endpoint=True)


def check_continuous(config: FrontEndConfig, window: int, slices: int) -> MfccConfig:
    """The settings, where continuous mode takes them.

    Raises:
        ConfigError: not MFCC; a stride above the frame; slices that do not divide the window, or shorter than a frame.
    """
    if not isinstance(config, MfccConfig):
        raise ConfigError(f"continuous mode is simulated for mfcc, got {config.block}; train without it")
    if config.frame_stride > config.frame_length:
        raise ConfigError(
            f"frame_stride is {config.frame_stride}, frame_length {config.frame_length}; continuous mode refuses a "
            "stride above the frame"
        )
    if slices < 1 or window % slices:
        raise ConfigError(f"{slices} slices do not divide a window of {window} samples; choose a number that does")
    if window // slices < config.frame_samples:
        raise ConfigError(
            f"a slice of {window // slices} samples is shorter than a frame of {config.frame_samples}; use fewer slices"
        )
    return config


def _flat_transform(config: MfccConfig, frames: int) -> "torch.nn.Module":
    """The batched MFCC behind pre-emphasis: it gets samples that have it already."""
    from dataclasses import replace

    import torch

    from kws_dendrite.frontend.batched import _Mfcc

    return _Mfcc(replace(config, pre_cof=0.0), frames, torch.device("cpu"))
