"""A small int8 classifier that every target's kernels run right, to be spoilt one fault at a time."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_builder import TFLiteBuilder

from kws_dendrite.export.check import parse_model

S, Z = 0.1, 3  # of the activations
BIAS_CONV, BIAS_DENSE = np.zeros(4, np.int32), np.zeros(3, np.int32)


class Classifier:
    """(1, 12) -> reshape, convolution, max pool, reshape, dense, softmax -> (1, 3). Attributes are tensor indices."""

    def __init__(self, middle=None, softmax=True):
        rng = np.random.default_rng(0)
        self.builder = b = TFLiteBuilder()
        self.source = b.activation((1, 12), S, Z)
        here = b.operator("RESHAPE", [self.source], b.activation((1, 6, 1, 2), S, Z), new_shape=(1, 6, 1, 2))
        self.filter = b.constant(rng.integers(-99, 99, (4, 3, 1, 2)).astype(np.int8), [0.01, 0.02, 0.03, 0.04])
        bias = b.constant(BIAS_CONV, np.float32(S) * np.float32([0.01, 0.02, 0.03, 0.04]))
        self.map = b.activation((1, 6, 1, 4), 0.2, -128)
        here = b.operator("CONV_2D", [here, self.filter, bias], self.map, padding="same", activation="relu")
        self.pooled = b.activation((1, 3, 1, 4), 0.2, -128)
        here = b.operator("MAX_POOL_2D", [here], self.pooled, window=(2, 1), stride=(2, 1), padding="valid")
        if middle is not None:
            here = middle(b, here)
        self.flat = b.activation((1, 12), 0.2, -128)
        here = b.operator("RESHAPE", [here], self.flat, new_shape=(1, 12))
        self.weights = b.constant(rng.integers(-99, 99, (3, 12)).astype(np.int8), 0.02)
        bias = b.constant(BIAS_DENSE, np.float32(0.2) * np.float32(0.02))
        self.logits = b.activation((1, 3), 0.3, 4)
        self.target = here = b.operator("FULLY_CONNECTED", [here, self.weights, bias], self.logits)
        if softmax:
            self.target = b.operator("SOFTMAX", [here], b.activation((1, 3), 1 / 256, -128))

    def tensor(self, index):
        return self.builder.subgraph.tensors[index]

    def operator(self, kind):
        codes = [code.builtinCode for code in self.builder.model.operatorCodes]
        code = codes.index(getattr(schema.BuiltinOperator, kind))
        return next(o for o in self.builder.subgraph.operators if o.opcodeIndex == code)

    def code(self, kind):
        return next(
            c for c in self.builder.model.operatorCodes if c.builtinCode == getattr(schema.BuiltinOperator, kind)
        )

    @property
    def content(self):
        return self.builder.content(self.source, self.target)

    @property
    def model(self):
        return parse_model(self.content, name="faulty.tflite")


def requantise(tensor, scales, zero_points=None, axis=0):
    tensor.quantization.scale = np.array(scales, np.float32)
    points = [0] * len(scales) if zero_points is None else zero_points
    tensor.quantization.zeroPoint = np.array(points, np.int64)
    tensor.quantization.quantizedDimension = axis


def as_type(tensor, name):
    tensor.type = getattr(schema.TensorType, name)


def elementwise(kind, scale=0.2, zero_point=-128):
    """A middle that puts `kind` on the pooled map."""
    return lambda b, here: b.operator(kind, [here], b.activation((1, 3, 1, 4), scale, zero_point))
