"""How the layers of the frequency-axis and gated families fold: the translations that `fold.py` keeps no room for.

Each takes the folder, the layer's name, the layer and its input, as the translations in `fold.py` do.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kws_dendrite import plain
from kws_dendrite.models import layers2d, spark

if TYPE_CHECKING:
    from torch import nn

    from kws_dendrite.fold import _Folder, _Value


def _depthwise_frequency(folder: "_Folder", name: str, conv: layers2d.DepthwiseFrequency, x: "_Value") -> "_Value":
    folder.weights[name] = folder.take(conv.taps.weight).T[None]  # (1, k, C)
    stride = (1, conv.taps.stride)
    return folder.emit(plain.Conv2D(name, (folder.settled(x),), name, stride=stride, depthwise=True))


def _depthwise_time_bn(folder: "_Folder", name: str, unit: layers2d.DepthwiseTimeBn, x: "_Value") -> "_Value":
    scale, shift = (folder.take(value) for value in unit.norm.affine())
    return folder.convolution(name, unit.depthwise, x, scale, shift, unit.dilation)


def _depthwise_2d(folder: "_Folder", name: str, conv: layers2d.Depthwise2d, x: "_Value") -> "_Value":
    return folder.convolution(name, conv, x, None, None)


def _sub_spectral_norm(folder: "_Folder", name: str, norm: layers2d.SubSpectralNorm, x: "_Value") -> "_Value":
    source = folder.settled(x)
    scale, shift = (folder.take(value)[None] for value in norm.affine(folder.shape(source)[1]))  # (1, W, C)
    return folder.emit(plain.Scale(name, (source,), scale, shift))


def _frequency_pool(folder: "_Folder", name: str, _: layers2d.FrequencyPool, x: "_Value") -> "_Value":
    source = folder.settled(x)
    window = (1, folder.shape(source)[1])
    return folder.emit(plain.AvgPool(name, (source,), window, window))


def _silu(folder: "_Folder", name: str, _: layers2d.Silu, x: "_Value") -> "_Value":
    source, name = folder.settled(x), folder.fresh(name)
    gate = folder.emit(plain.Activation(f"{name}_gate", (source,), "sigmoid"))
    return folder.emit(plain.Mul(name, (source, gate.name)))


def _channel_dropout(_: "_Folder", name: str, dropout: layers2d.ChannelDropout, x: "_Value") -> "_Value":
    return x


def _gated_mean(folder: "_Folder", name: str, _: spark.GatedMean, x: "_Value") -> "_Value":
    gate = folder.emit(plain.Activation(name, (folder.settled(x),), "hard_tanh"))
    H, W, C = folder.shape(gate.name)
    mean = folder.emit(plain.AvgPool(f"{name}_mean", (gate.name,), (H, W), (H, W)))
    flat = folder.emit(plain.Reshape(f"{name}_flat", (mean.name,), (C,)))
    return replace(flat, scale=np.full(C, 0.5), shift=np.full(C, 0.5))  # the head takes (x + 1) / 2 in


TRANSLATIONS: dict[type["nn.Module"], Callable[..., "_Value"]] = {
    layers2d.DepthwiseFrequency: _depthwise_frequency,
    layers2d.DepthwiseTimeBn: _depthwise_time_bn,
    layers2d.Depthwise2d: _depthwise_2d,
    layers2d.SubSpectralNorm: _sub_spectral_norm,
    layers2d.FrequencyPool: _frequency_pool,
    layers2d.Silu: _silu,
    layers2d.ChannelDropout: _channel_dropout,
    spark.GatedMean: _gated_mean,
}
