"""Settings of the front ends, with Edge Impulse's parameter names and defaults."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import checks
from kws_dendrite.frontend.framing import count_frames, near_ceil
from kws_dendrite.frontend.mel import htk_filterbank
from kws_dendrite.settings import check_names, parse_settings

MOST_FRAMES = 500  # the limit of Edge Impulse's blocks


class _Framed:
    """What every front end derives from its settings."""

    @property
    def frame_samples(self) -> int:
        """Samples in a frame."""
        return near_ceil(self.sampling_freq * self.frame_length)

    @property
    def stride_samples(self) -> int:
        """Samples from one frame's start to the next one's."""
        return near_ceil(self.sampling_freq * self.frame_stride)

    @property
    def top_frequency(self) -> float:
        """Upper edge of the bands in Hz: `high_frequency`, or half the sampling rate where that is 0."""
        return self.high_frequency or self.sampling_freq / 2


@dataclass(frozen=True)
class MfccConfig(_Framed):
    """Edge Impulse's MFCC block.

    Attributes:
        sampling_freq: of the clips, Hz.
        implementation_version: 4, or 3 for older projects. The device code of version 3 takes a `low_frequency` of 0
            as 300, its Python does not: give 300 there.
        num_cepstral: coefficients a frame, at most `num_filters`; the first is the frame's log energy.
        frame_length: seconds.
        frame_stride: seconds.
        num_filters: mel bands, at least 2.
        fft_length: a power of two. A frame longer than it is cut to it, as in the block (the defaults do that).
        win_size: frames of the normalisation window, odd; 0 turns it off.
        low_frequency: lower edge of the bands, Hz.
        high_frequency: upper edge, Hz; 0 is half the sampling rate.
        pre_cof: pre-emphasis, 0 turns it off.
        pre_shift: pre-emphasis distance in samples.
    """

    block: ClassVar[str] = "mfcc"

    sampling_freq: int = 16000
    implementation_version: int = 4
    num_cepstral: int = 13
    frame_length: float = 0.02
    frame_stride: float = 0.02
    num_filters: int = 32
    fft_length: int = 256
    win_size: int = 101
    low_frequency: int = 0
    high_frequency: int = 0
    pre_cof: float = 0.98
    pre_shift: int = 1

    def __post_init__(self) -> None:
        checks.check_types(self)
        checks.check_frames_and_bands(self)
        checks.check_version(self)
        checks.check_window(self.win_size)
        if not 1 <= self.num_cepstral <= self.num_filters:
            raise ConfigError(
                f"num_cepstral is {self.num_cepstral}; it must be from 1 to num_filters, which is {self.num_filters}"
            )
        if not 0 <= self.pre_cof <= 1:
            raise ConfigError(f"pre_cof is {self.pre_cof}; it must be from 0 (off) to 1, such as 0.98")
        if self.pre_shift < 0:
            raise ConfigError(f"pre_shift is {self.pre_shift}; it counts samples back and cannot be negative")
        checks.check_bank(self)


@dataclass(frozen=True)
class MfeConfig(_Framed):
    """Edge Impulse's MFE block. Attributes as in `MfccConfig`, and:

    Attributes:
        win_size: read by versions 1 and 2 only; kept so that a project's settings can be given as they are.
        noise_floor_db: energies below it become 0; below 12 (full scale).
    """

    block: ClassVar[str] = "mfe"

    sampling_freq: int = 16000
    implementation_version: int = 4
    frame_length: float = 0.02
    frame_stride: float = 0.01
    num_filters: int = 40
    fft_length: int = 256
    low_frequency: int = 0
    high_frequency: int = 0
    win_size: int = 101
    noise_floor_db: int = -52

    def __post_init__(self) -> None:
        checks.check_types(self)
        checks.check_frames_and_bands(self)
        checks.check_version(self)
        checks.check_window(self.win_size)
        if self.noise_floor_db >= 12:
            raise ConfigError(f"noise_floor_db is {self.noise_floor_db}; it must be below 12, such as -52")
        checks.check_bank(self)


@dataclass(frozen=True)
class LogMelConfig(_Framed):
    """This project's log-mel: Hann window, HTK mel bands, ln(E + log_offset). Attributes as in `MfccConfig`, and:

    Attributes:
        fft_length: a power of two, at least a frame.
        log_offset: added to each band's energy (signal scaled to +-1) before the logarithm.
        remove_mean: subtract the clip's mean over time and bands.
    """

    block: ClassVar[str] = "logmel"

    sampling_freq: int = 16000
    frame_length: float = 0.03
    frame_stride: float = 0.02
    num_filters: int = 24
    fft_length: int = 512
    low_frequency: int = 20
    high_frequency: int = 7600
    log_offset: float = 1e-6
    remove_mean: bool = True

    def __post_init__(self) -> None:
        checks.check_types(self)
        checks.check_frames_and_bands(self)
        if self.frame_samples > self.fft_length:
            raise ConfigError(
                f"a frame has {self.frame_samples} samples but fft_length is {self.fft_length}: "
                "raise fft_length or shorten frame_length"
            )
        if self.log_offset <= 0:
            raise ConfigError(f"log_offset is {self.log_offset}; it must be above 0, such as 1e-6")
        htk_filterbank(self.sampling_freq, self.num_filters, self.fft_length, self.low_frequency, self.top_frequency)


FrontEndConfig = MfccConfig | MfeConfig | LogMelConfig
BLOCKS: dict[str, type[FrontEndConfig]] = {kind.block: kind for kind in (MfccConfig, MfeConfig, LogMelConfig)}


def feature_shape(config: FrontEndConfig, samples: int) -> tuple[int, int]:
    """(T, F) of the features of a clip of `samples` samples.

    Raises:
        ConfigError: no frame fits, or more than the 500 that Edge Impulse's blocks take.
    """
    frames = count_frames(samples, config.frame_samples, config.stride_samples)
    if frames < 1:
        raise ConfigError(
            f"a clip of {samples} samples is shorter than a frame of {config.frame_samples}: "
            "use longer clips or a shorter frame_length"
        )
    if frames > MOST_FRAMES and not isinstance(config, LogMelConfig):
        raise ConfigError(
            f"a clip of {samples} samples gives {frames} frames, Edge Impulse's {config.block.upper()} block takes at "
            f"most {MOST_FRAMES}: use shorter clips or a longer frame_stride"
        )
    return frames, coefficients(config)


def coefficients(config: FrontEndConfig) -> int:
    """F, values of a frame."""
    return config.num_cepstral if isinstance(config, MfccConfig) else config.num_filters


def to_json(config: FrontEndConfig) -> dict[str, Any]:
    """A JSON-able dict: "block" (mfcc, mfe or logmel), then every field."""
    return {"block": config.block, **dataclasses.asdict(config)}


def from_json(values: Mapping[str, Any]) -> FrontEndConfig:
    """The settings that `to_json` gave. Fields left out take their defaults.

    Raises:
        ConfigError: no or an unknown block, an unknown field, a value of the wrong type or out of range.
    """
    if not isinstance(values, Mapping) or "block" not in values:
        raise ConfigError(f'front-end settings need "block", one of {", ".join(BLOCKS)}')
    kind = _kind(values["block"])
    fields = {name: value for name, value in values.items() if name != "block"}
    check_names(kind, fields, f"the {kind.block} front end")
    return kind(**fields)


def configure(block: str, settings: Mapping[str, str]) -> FrontEndConfig:
    """Settings from text, as a command line gives them: `configure("mfcc", {"num_filters": "40"})`.

    Raises:
        ConfigError: an unknown block or field (the nearest is offered), or text that is no value of the field's type.
    """
    kind = _kind(block)
    check_names(kind, settings, f"the {block} front end")
    return parse_settings(kind, settings)


def _kind(block: Any) -> type[FrontEndConfig]:
    if not isinstance(block, str) or block not in BLOCKS:
        raise ConfigError(f"unknown front end {block!r}: use one of {', '.join(BLOCKS)}")
    return BLOCKS[block]
