import numpy as np
import pytest
from sample_graphs import Builder

from kws_dendrite.errors import GraphError
from kws_dendrite.plain import (
    Activation,
    Add,
    AvgPool,
    Concat,
    Conv2D,
    Dense,
    Graph,
    Input,
    MaxPool,
    Reshape,
    Scale,
    infer_shapes,
    same_padding,
    window_padding,
)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "wanted"),
    [
        (10, 3, 1, 1, (1, 1)),
        (10, 3, 2, 1, (0, 1)),  # TensorFlow's odd zero comes after
        (9, 3, 2, 1, (1, 1)),
        (10, 4, 1, 1, (1, 2)),
        (10, 3, 1, 4, (4, 4)),
        (4, 2, 3, 1, (0, 1)),
        (7, 1, 1, 1, (0, 0)),
        (5, 1, 2, 1, (0, 0)),
    ],
)
def test_same_padding_is_tensorflows(size, kernel, stride, dilation, wanted):
    assert same_padding(size, kernel, stride, dilation) == wanted


def test_valid_pads_nothing():
    assert window_padding((9, 9, 1), (3, 3), (2, 2), "valid") == ((0, 0), (0, 0))


def map_builder(shape=(6, 4, 2)):
    b = Builder(int(np.prod(shape)))
    b(Reshape, shape=shape, name="map")
    return b


def test_shapes_of_a_chain():
    b = map_builder()
    b(Conv2D, weight=b.weight("w", 3, 3, 2, 5), stride=(2, 1), name="conv")
    b(MaxPool, kernel=(2, 2), stride=(2, 2), name="pool")
    b(Concat, "pool", "pool", name="both")
    b(Reshape, shape=(20,), name="flat")
    b(Dense, weight=b.weight("d", 20, 3), name="dense")
    assert infer_shapes(b.graph()) == {
        "input": (48,), "map": (6, 4, 2), "conv": (3, 4, 5), "pool": (1, 2, 5), "both": (1, 2, 10), "flat": (20,),
        "dense": (3,),
    }  # fmt: skip


def test_numpy_sizes_come_out_as_ints():
    nodes = (Input("x", (), np.int64(6)), Reshape("m", ("x",), (np.int64(3), np.int64(2), np.int64(1))))
    assert all(type(size) is int for shape in infer_shapes(Graph(nodes, {})).values() for size in shape)


@pytest.mark.parametrize(
    ("node", "match"),
    [
        (Reshape("bad", ("map",), (5, 5)), r"cannot reshape \(6, 4, 2\) to \(5, 5\)"),
        (Conv2D("bad", ("map",), "w"), r"weight \(3, 3, 3, 5\).*does not fit input \(6, 4, 2\)"),
        (Conv2D("bad", ("map",), "w", depthwise=True), r"\(kh, kw, C\) does not fit"),
        (Conv2D("bad", ("input",), "w"), "Reshape first"),
        (Conv2D("bad", ("map",), "ok", bias=np.zeros(4)), r"its bias has shape \(4,\), expected \(5,\)"),
        (Conv2D("bad", ("map",), "ok", scale=np.zeros(1)), r"its scale has shape \(1,\), expected \(5,\)"),
        (Conv2D("bad", ("map",), "large", padding="valid"), "exceeds its input"),
        (Conv2D("bad", ("map",), "ok", padding="full"), "padding is 'same' or 'valid'"),
        (Dense("bad", ("map",), "ok"), "does not fit input"),
        (MaxPool("bad", ("input",), (1, 1), (1, 1)), "Reshape first"),
        (AvgPool("bad", ("map",), (7, 1), (1, 1)), "exceeds its input"),
        (Scale("bad", ("map",), np.zeros(3)), r"scale of shape \(3,\) does not broadcast against \(6, 4, 2\)"),
        (Scale("bad", ("map",), np.zeros(2), np.zeros((1, 1, 1, 2))), "bias of shape"),
        (Add("bad", ("map", "input")), "ranks differ"),
        (Add("bad", ("map",)), "takes 2 inputs, not 1"),
        (Concat("bad", ("map", "narrow")), "cannot join"),
        (Activation("bad", ("map",), "gelu"), "unknown activation 'gelu'"),
    ],
)
def test_what_does_not_fit_is_named(node, match):
    b = map_builder()
    b(Reshape, "input", shape=(4, 6, 2), name="narrow")
    b.weight("w", 3, 3, 3, 5)
    b.weight("ok", 3, 3, 2, 5)
    b.weight("large", 7, 1, 2, 5)
    with pytest.raises(GraphError, match=match) as error:
        infer_shapes(Graph((*b.nodes, node), b.weights))
    assert "\n" not in str(error.value)


def test_labels_that_are_too_few():
    b = Builder(4)
    b(Dense, weight=b.weight("d", 4, 3), name="dense")
    with pytest.raises(GraphError, match="names 2 labels"):
        infer_shapes(Graph(tuple(b.nodes), b.weights, ("yes", "no")))


def test_add_does_not_grow_its_first_input():
    b = map_builder((6, 4, 1))
    b(AvgPool, kernel=(6, 4), stride=(6, 4), name="mean")
    b(Add, "mean", "map", name="sum")
    with pytest.raises(GraphError, match="does not broadcast"):
        b.graph()
