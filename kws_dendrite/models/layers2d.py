"""Population layers of the nets that keep frequency as an axis: maps (P, C, B, H, W), H time, W frequency.

None of them takes dendrites: a depthwise one could not mix channels, and the rest have no neurons of their own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kws_dendrite.errors import ConfigError
from kws_dendrite.models.layers import BatchNorm, DepthwiseTime, Dropout, _uniform
from kws_dendrite.plain import same_padding


class DepthwiseFrequency(nn.Module):
    """Depthwise convolution over frequency, "same": (P, C, B, H, W) -> (P, C, B, H, W'). `taps` works on rows of W."""

    def __init__(
        self, members: int, channels: int, kernel: int, generator: torch.Generator, *, stride: int = 1
    ) -> None:
        super().__init__()
        self.taps = DepthwiseTime(members, channels, kernel, generator, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        P, C, B, H, W = x.shape
        return self.taps(x.reshape(P, C, B * H, W, 1)).view(P, C, B, H, -1)


class DepthwiseTimeBn(nn.Module):
    """Dilated depthwise convolution over time and its BatchNorm: (P, C, B, T, 1) -> (P, C, B, T, 1)."""

    def __init__(self, depthwise: DepthwiseTime, norm: BatchNorm, *, dilation: int) -> None:
        super().__init__()
        self.depthwise, self.norm, self.dilation = depthwise, norm, dilation

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.depthwise(x, self.dilation))


class Depthwise2d(nn.Module):
    """Depthwise convolution over both axes, "same": (P, C, B, H, W) -> (P, C, B, H', W')."""

    def __init__(
        self,
        members: int,
        channels: int,
        kernel: tuple[int, int],
        generator: torch.Generator,
        *,
        stride: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation = kernel, stride, (1, 1)
        self.padding, self.groups = "same", channels
        self.weight = _uniform((members, channels, 1, *kernel), kernel[0] * kernel[1], generator)

    def forward(self, x: Tensor) -> Tensor:
        P, C, B, H, W = x.shape
        rows = same_padding(H, self.kernel[0], self.stride[0])
        columns = same_padding(W, self.kernel[1], self.stride[1])
        x = F.pad(x, (*columns, *rows)).flatten(0, 1).transpose(0, 1)  # (B, P*C, H + , W + )
        y = F.conv2d(x, self.weight.flatten(0, 1), None, self.stride, groups=P * C)
        return y.view(B, P, C, *y.shape[2:]).permute(1, 2, 0, 3, 4).contiguous()


class SubSpectralNorm(nn.Module):
    """A BatchNorm for each sub-band of each channel (Chang et al. 2021, arXiv 2103.13620): (P, C, B, H, W) -> the same.

    Frequency falls into `bands` equal, contiguous parts, each with a scale and a shift of its own for every channel.
    """

    def __init__(self, members: int, channels: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.norm = BatchNorm(members, channels * bands)

    def forward(self, x: Tensor) -> Tensor:
        P, C, B, H, W = x.shape
        if W % self.bands:
            raise ConfigError(f"{W} frequency bins do not divide into {self.bands} sub-bands; take a multiple")
        split = x.view(P, C, B, H, self.bands, -1).permute(0, 1, 4, 2, 3, 5)  # (P, C, S, B, H, W / S)
        y = self.norm(split.reshape(P, C * self.bands, B, H, -1))
        return y.view(split.shape).permute(0, 1, 3, 4, 2, 5).reshape(x.shape)

    def affine(self, width: int) -> tuple[Tensor, Tensor]:
        """What it does in evaluation to maps of `width` bins: scale and shift, each (P, W, C)."""
        scale, shift = (
            value.unflatten(1, (-1, self.bands)).repeat_interleave(width // self.bands, dim=2).transpose(1, 2)
            for value in self.norm.affine()
        )
        return scale, shift


class FrequencyPool(nn.Module):
    """Mean over frequency, which stays as an axis of 1: (P, C, B, H, W) -> (P, C, B, H, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(4, keepdim=True)


class Silu(nn.Module):
    """x * sigmoid(x), elementwise (Ramachandran et al. 2017, "swish")."""

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


class ChannelDropout(nn.Module):
    """Training drops whole channels of a clip at `rate` and scales the rest by 1 / (1 - rate): (P, C, B, H, W).

    Which, is drawn as `Dropout` does it.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.channels = Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.channels.drops:
            return x
        return x * self.channels(torch.ones(x.shape[:3], device=x.device))[..., None, None]
