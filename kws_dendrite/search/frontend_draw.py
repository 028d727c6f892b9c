"""Which front end a trial draws: its frames fit the FFT and the clip, its coefficients the bands, its bands the FFT."""

from collections.abc import Callable, Mapping
from typing import Any

from optuna.trial import BaseTrial

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import BLOCKS, FrontEndConfig, feature_shape
from kws_dendrite.frontend.framing import near_ceil
from kws_dendrite.search.dims import Choice, NoneFits, Value, draw
from kws_dendrite.search.shapes import stands
from kws_dendrite.search.space import Dims


def widths(block: str, dims: Dims, family: str) -> list[int]:
    """F, the coefficients a frame, of a front end's dimensions that a family of nets reads."""
    bands = max(_values(block, dims, "num_filters"))
    name = "num_cepstral" if block == "mfcc" else "num_filters"
    return [width for width in _values(block, dims, name) if width <= bands and stands(family, width)]


def draw_frontend(
    trial: BaseTrial, frontends: Mapping[str, Dims], family: str, sampling_freq: int, window: int
) -> FrontEndConfig:
    """One of the front ends, for clips of `window` samples and nets of `family`.

    Raises:
        NoneFits: none can be made of these dimensions.
    """
    blocks = tuple(block for block, dims in frontends.items() if widths(block, dims, family))
    if not blocks:
        raise NoneFits(f"no front end of the space gives features that the family {family} reads")
    block = draw(trial, "frontend.kind", Choice(blocks))
    return _Drawing(trial, block, frontends[block], family, sampling_freq, window).config()


class _Drawing:
    """One front end, setting by setting, each such that the rest can still be chosen."""

    def __init__(self, trial: BaseTrial, block: str, dims: Dims, family: str, sampling_freq: int, window: int) -> None:
        self.trial, self.block, self.dims, self.window = trial, block, dims, window
        self.values: dict[str, Any] = {"sampling_freq": sampling_freq}
        self.widths = widths(block, dims, family)
        self.longest_fft = max(_values(block, dims, "fft_length"))
        fewest = {"num_filters": max(2, min(self.widths))}
        self.fewest = {**fewest, "num_cepstral": 1} if block == "mfcc" else fewest
        # Edge Impulse's own default cuts its frames to the FFT; who fixes both has decided so.
        self.may_cut = block != "logmel" and {"frame_length", "fft_length"}.isdisjoint(dims)

    def config(self) -> FrontEndConfig:
        """Draw it."""
        rules: dict[str, Callable[[Value], bool]] = {
            "frame_length": self._frame_fits,
            "frame_stride": lambda value: self._fits("frame_stride", value),
            "fft_length": self._fft_fits,
            "num_filters": self._bands_fit,
            "num_cepstral": lambda value: value in self.widths and value <= self.values["num_filters"],
        }
        own = BLOCKS[self.block].__dataclass_fields__
        order = [name for name in rules if name in own]
        for name in [*order, *(name for name in self.dims if name not in rules)]:
            dim = self.dims.get(name, Choice((own[name].default,)))
            rule = rules.get(name, lambda value, name=name: self._fits(name, value))
            self.values[name] = draw(self.trial, f"{self.block}.{name}", dim, rule)
        return BLOCKS[self.block](**self.values)

    def _samples(self, seconds: float) -> int:
        return near_ceil(self.values["sampling_freq"] * seconds)

    def _frame_fits(self, frame_length: float) -> bool:
        samples = self._samples(frame_length)
        return samples <= self.window and (self.may_cut or samples <= self.longest_fft)

    def _fft_fits(self, fft_length: int) -> bool:
        whole = self.may_cut or self._samples(self.values["frame_length"]) <= fft_length
        return whole and self._fits("fft_length", fft_length)

    def _bands_fit(self, num_filters: int) -> bool:
        enough = num_filters >= min(self.widths) if self.block == "mfcc" else num_filters in self.widths
        return enough and self._fits("num_filters", num_filters)

    def _fits(self, name: str, value: Value) -> bool:
        """Whether it is a front end with the longest FFT and the fewest bands for what is not drawn yet."""
        settings = {"fft_length": self.longest_fft, **self.fewest, **self.values, name: value}
        try:
            feature_shape(BLOCKS[self.block](**settings), self.window)
        except ConfigError:
            return False
        return True


def _values(block: str, dims: Dims, name: str) -> tuple[Value, ...]:
    """Of a dimension of whole numbers, all of them; of one that is not searched, the usual one."""
    if name in dims:
        return dims[name].within(lambda value: True)
    return (BLOCKS[block].__dataclass_fields__[name].default,)
