"""Random int8 graphs of every operator with a C kernel: shapes, strides, scales, zero points, saturating weights."""

import math

import numpy as np
from tflite_builder import TFLiteBuilder

SCALES = 1e-7, 1e3  # of layers' outputs; LiteRT refuses a clamp at 6 that is beyond 2^31 steps
FEATURES = 720  # of the input: many divisors, so that every layer can see it in another shape
KINDS = (
    "ADD", "SUB", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED",
    "LOGISTIC", "TANH", "RELU", "RELU6", "QUANTIZE", "RESHAPE", "CONCATENATION", "SOFTMAX",
)  # fmt: skip
ACTIVATIONS = ("none", "none", "none", "relu", "relu6", "relu_n1_to_1")


class RandomGraph:
    """Layers drawn from a generator. Sources are earlier tensors, or the input requantised and reshaped."""

    def __init__(self, rng):
        self.rng, self.builder = rng, TFLiteBuilder()
        self.tensors = {}  # index -> (shape, scale, zero point) of every activation
        self.input = self._activation((1, FEATURES), self._scale(-3, -1.5), self._zero_point())
        self.last = self.input

    def content(self):
        """The file; its output is the tensor of the last operator."""
        return self.builder.content(self.input, self.last)

    def layer(self, kind):
        """Append an operator of this kind, and what its source needs before it."""
        getattr(self, f"_{kind.lower()}")(kind)

    # draws

    def _scale(self, low=-4.0, high=0.0):
        return float(np.float32(10 ** self.rng.uniform(low, high)))

    def _zero_point(self, center=0.0):
        """Mostly within 40 of `center`, where little saturates, sometimes at an end or anywhere."""
        if self.rng.random() < 0.85:
            return int(np.clip(round(self.rng.normal(center, 25)), -128, 127))
        return int(self.rng.choice([-128, 127, 0, self.rng.integers(-128, 128)]))

    def _activation(self, shape, scale, zero_point):
        index = self.builder.activation(shape, scale, zero_point)
        self.tensors[index] = tuple(shape), scale, zero_point
        return index

    def _emit(self, kind, inputs, shape, scale, zero_point, **options):
        output = self._activation(shape, scale, zero_point)
        self.last = self.builder.operator(kind, inputs, output, **options)
        return output

    def _requantised(self, source, scale=None, zero_point=None):
        """The source under another scale and zero point, so that values spread over int8 whatever came before."""
        shape, old, old_point = self.tensors[source]
        scale = (
            float(np.float32(old * 10 ** self.rng.uniform(-0.3, 0.3))) if scale is None else float(np.float32(scale))
        )
        point = self._zero_point(old_point * old / scale) if zero_point is None else zero_point
        return self._emit("QUANTIZE", [source], shape, scale, point)

    def _reshaped(self, source, shape):
        _, scale, zero_point = self.tensors[source]
        inputs, options = [source], {"new_shape": shape}
        if self.rng.random() < 0.5:
            inputs, options = [source, self.builder.constant(np.array(shape, np.int32))], {}
        return self._emit("RESHAPE", inputs, shape, scale, zero_point, **options)

    def _any(self):
        """The input requantised, or any earlier tensor: each may be read many times or never."""
        if self.rng.random() < 0.6:
            return self._requantised(self.input)
        return int(self.rng.choice(list(self.tensors)))

    def _image(self, limit=FEATURES):
        """A (1, H, W, C) tensor of at most `limit` elements."""
        found = [index for index, (shape, *_) in self.tensors.items() if len(shape) == 4 and math.prod(shape) <= limit]
        if found and self.rng.random() < 0.4:
            return int(self.rng.choice(found))
        height, width = (int(self.rng.choice([1, 2, 3, 5, 8, 12, 24, 40])) for _ in range(2))
        while FEATURES % (height * width):
            height, width = (int(self.rng.choice([1, 2, 3, 5, 8, 12, 24, 40])) for _ in range(2))
        source = self._requantised(self.input) if self.rng.random() < 0.5 else self.input
        return self._reshaped(source, (1, height, width, FEATURES // (height * width)))

    def _weights(self, shape):
        kind = self.rng.choice(["random", "saturated", "one_sign", "small"], p=[0.6, 0.15, 0.1, 0.15])
        if kind == "random":
            return self.rng.integers(-127, 128, shape).astype(np.int8)
        if kind == "saturated":
            return self.rng.choice(np.array([-127, 127], np.int8), shape)
        if kind == "one_sign":
            return np.full(shape, self.rng.choice([-127, 127]), np.int8)
        return self.rng.integers(-2, 3, shape).astype(np.int8)

    def _output_quantisation(self, source_scale, weights, scales):
        """A scale under which the outputs span int8, or sometimes a multiplier far above or below."""
        spread = (
            source_scale * float(np.mean(scales)) * 74 * math.sqrt((weights.astype(float) ** 2).sum() / len(scales))
        )
        ratio = self.rng.choice([10 ** self.rng.uniform(-0.5, 0.7), 10.0**-4, 10.0**3], p=[0.9, 0.05, 0.05])
        return float(np.float32(np.clip(max(spread, source_scale * 1e-3) / 60 * ratio, *SCALES))), self._zero_point()

    def _bias(self, sums, spread, zero_point, scales, large=1 << 30):
        """A bias tensor that takes the zero point's share back, or does not, or lies far beyond the weights' sums."""
        kind = self.rng.choice(["centred", "random", "saturating"], p=[0.7, 0.2, 0.1])
        values = self.rng.normal(0, spread, len(sums)) + (zero_point * sums if kind == "centred" else 0)
        if kind == "saturating":
            values = self.rng.choice([-large, large, 100, -100], len(sums))
        return self.builder.constant(np.round(values).astype(np.int32), scales)

    def _window(self, height, width, limit=5):
        """(padding, kernel, stride, dilation, output) that fit the input."""
        padding = str(self.rng.choice(["same", "valid"]))
        made = []
        for size in (height, width):
            stride = int(self.rng.integers(1, 4))
            kernel = int(self.rng.integers(1, limit + 1))
            dilation = int(self.rng.integers(1, 4)) if stride == 1 and self.rng.random() < 0.3 else 1
            if padding == "valid":
                kernel = min(kernel, size)
                dilation = 1 if kernel == 1 else min(dilation, max(1, (size - 1) // (kernel - 1)))
                made.append((kernel, stride, dilation, (size - (kernel - 1) * dilation - 1) // stride + 1))
            else:
                made.append((kernel, stride, dilation, -(-size // stride)))
        kernel, stride, dilation, output = zip(*made, strict=True)
        return padding, kernel, stride, dilation, output

    # operators

    def _convolution(self, kind, source, weights, axis, channels, output, **options):
        _, scale, zero_point = self.tensors[source]
        count = channels if self.rng.random() < 0.7 else 1
        scales = np.array([self._scale(-3, -1) * 10 ** self.rng.uniform(-0.5, 0.5) for _ in range(count)], np.float32)
        target = self._output_quantisation(scale, weights, np.broadcast_to(scales, channels))
        sums = np.moveaxis(weights.astype(np.int64), axis, 0).reshape(channels, -1).sum(1)
        bias = self._bias(sums, 20 * np.abs(weights.astype(int)).mean(), zero_point, np.float32(scale) * scales)
        inputs = [source, self.builder.constant(weights, scales, axis=axis), bias]  # LiteRT refuses int8 without a bias
        return self._emit(kind, inputs, output, *target, activation=str(self.rng.choice(ACTIVATIONS)), **options)

    def _conv_2d(self, kind):
        source = self._image()
        _, height, width, depth = self.tensors[source][0]
        padding, kernel, stride, dilation, (rows, columns) = self._window(height, width)
        channels = int(self.rng.integers(1, 10))
        self._convolution(
            kind, source, self._weights((channels, *kernel, depth)), 0, channels, (1, rows, columns, channels),
            padding=padding, stride=stride, dilation=dilation,
        )  # fmt: skip

    def _depthwise_conv_2d(self, kind):
        source = self._image()
        _, height, width, depth = self.tensors[source][0]
        padding, kernel, stride, dilation, (rows, columns) = self._window(height, width, limit=9)
        self._convolution(
            kind, source, self._weights((1, *kernel, depth)), 3, depth, (1, rows, columns, depth),
            padding=padding, stride=stride, dilation=dilation,
        )  # fmt: skip

    def _fully_connected(self, kind, channels=None):
        source = self._any()
        source = self._requantised(source) if self.rng.random() < 0.3 else source
        shape, scale, zero_point = self.tensors[source]
        channels = int(self.rng.integers(1, 20)) if channels is None else channels
        weights, scales = self._weights((channels, math.prod(shape))), np.array([self._scale(-3, -1)], np.float32)
        target = self._output_quantisation(scale, weights, np.broadcast_to(scales, channels))
        # LiteRT's cast of a double beyond int32 is undefined, so no bias leads there
        large = int((1 << 30) / max(1.0, scale * float(scales[0]) / target[0]))
        bias = self._bias(weights.astype(np.int64).sum(1), 100.0, zero_point, np.float32(scale) * scales, large)
        inputs = [source, self.builder.constant(weights, scales), -1 if self.rng.random() < 0.2 else bias]
        return self._emit(kind, inputs, (1, channels), *target, activation=str(self.rng.choice(ACTIVATIONS)))

    def _pool(self, kind):
        source = self._image()
        (_, height, width, depth), scale, zero_point = self.tensors[source]
        padding, window, stride, _, (rows, columns) = self._window(height, width, limit=7)
        if padding == "valid":  # no dilation here
            rows, columns = ((n - k) // s + 1 for n, k, s in zip((height, width), window, stride, strict=True))
        self._emit(
            kind, [source], (1, rows, columns, depth), scale, zero_point, padding=padding, window=window, stride=stride,
            activation=str(self.rng.choice(ACTIVATIONS)),
        )  # fmt: skip

    _average_pool_2d = _max_pool_2d = _pool

    def _binary(self, kind):
        source = self._image() if self.rng.random() < 0.7 else self._any()
        shape, scale, zero_point = self.tensors[source]
        form = str(self.rng.choice(["self", "same", "constant", "broadcast", "scalar"]))
        if form == "self":
            other = source
        elif form == "same":
            other = self._requantised(source)
        else:
            other_shape = tuple(size if self.rng.random() < 0.5 else 1 for size in shape)
            other_shape = {"constant": shape, "broadcast": other_shape, "scalar": (1,)}[form]
            if form == "broadcast" and self.rng.random() < 0.5:
                other_shape = other_shape[int(self.rng.integers(1, len(shape))) :]
            values = self.rng.integers(-128, 128, other_shape).astype(np.int8)
            other_scale = float(np.float32(scale * 10 ** self.rng.uniform(-1.5, 1.5)))
            other_point = self._zero_point()
            other = self.builder.constant(values, [other_scale], other_point)
            if form == "broadcast" and math.prod(other_shape) <= 64 and self.rng.random() < 0.5:  # computed, broadcast
                flat = self._fully_connected("FULLY_CONNECTED", math.prod(other_shape))
                other = self._reshaped(flat, other_shape)
        if other in self.tensors:
            _, other_scale, other_point = self.tensors[other]
        first, second = (scale, zero_point), (other_scale, other_point)
        pair = [source, other]
        if self.rng.random() < 0.5:
            first, second, pair = second, first, pair[::-1]
        if kind == "MUL":
            reach, mean = scale * other_scale * 128, scale * zero_point * other_scale * other_point
        else:
            sign = 1 if kind == "ADD" else -1
            reach, mean = max(scale, other_scale), -first[0] * first[1] - sign * second[0] * second[1]
        reach = np.clip(reach, *SCALES)
        target = float(np.float32(reach * 10 ** self.rng.uniform(-0.2, 0.7)))
        activation = str(self.rng.choice(ACTIVATIONS))
        self._emit(kind, pair, shape, target, self._zero_point(-mean / target), activation=activation)

    _add = _sub = _mul = _binary

    def _pointwise(self, kind):
        source = self._any()
        if kind in ("LOGISTIC", "TANH"):  # their output's quantisation is fixed by LiteRT
            source = self._requantised(self.input, self._scale(-2.5, 0.5))
            target = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}[kind]
        else:
            if kind == "RELU6":  # 6 within the range
                source = self._requantised(self.input, self._scale(-2, -0.5))
            _, scale, zero_point = self.tensors[source]
            ratio = 10 ** self.rng.uniform(-0.7, 0.7)
            target = float(np.float32(scale * ratio)), self._zero_point(zero_point / ratio)
        self._emit(kind, [source], self.tensors[source][0], *target)

    _logistic = _tanh = _relu = _relu6 = _quantize = _pointwise

    def _reshape(self, kind):
        source = self._any()
        size = math.prod(self.tensors[source][0])
        rows = int(self.rng.choice([n for n in range(1, size + 1) if size % n == 0]))
        self._reshaped(source, (1, rows, size // rows) if self.rng.random() < 0.5 else (1, rows, 1, size // rows))

    def _concatenation(self, kind):
        source = self._image()
        shape, scale, zero_point = self.tensors[source]
        axis = int(self.rng.integers(1, 4))
        parts, total = [source], shape[axis]
        for _ in range(int(self.rng.integers(1, 3))):
            form = str(self.rng.choice(["self", "requantised", "constant"]))
            size = shape[axis]
            if form == "self":
                parts.append(source)
            elif form == "requantised":
                parts.append(self._requantised(source, scale, zero_point))
            else:
                size = int(self.rng.integers(1, 4))
                values = self.rng.integers(-128, 128, (*shape[:axis], size, *shape[axis + 1 :])).astype(np.int8)
                parts.append(self.builder.constant(values, [scale], zero_point))
            total += size
        parts = [parts[i] for i in self.rng.permutation(len(parts))]
        axis = axis if self.rng.random() < 0.5 else axis - 4
        output = (*shape[:axis], total, *(shape[axis + 1 :] if axis != -1 else ()))
        self._emit(kind, parts, output, scale, zero_point, axis=axis)

    def _softmax(self, kind):
        classes = int(self.rng.integers(2, 41))
        logits = self._requantised(self._fully_connected("FULLY_CONNECTED", classes), self._scale(-3, 0.3))
        if self.rng.random() < 0.3:
            logits = self._reshaped(logits, (1, 1, 1, classes))
        self._emit(kind, [logits], self.tensors[logits][0], 1 / 256, -128, beta=1.0)


def inputs(rng, rows=6):
    """int8 (rows + 5, FEATURES): random ones, both ends, alternating ends."""
    ends = np.array([-128, 127], np.int8)
    fixed = [ends[:1], ends[1:], ends, ends[::-1], np.repeat(ends, 3)]
    rows = [rng.integers(-128, 128, (rows, FEATURES)), *(np.resize(row, (1, FEATURES)) for row in fixed)]
    return np.concatenate(rows).astype(np.int8)
