"""Each fault alone, in a classifier that is otherwise right: one rule finds it, and says how bad it is where."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from faulty_models import Classifier, as_type, elementwise, requantise

from kws_dendrite.export.check import check_file, check_model, load_table
from kws_dendrite.export.check.findings import SEVERITIES

EI, MICRO, ESPHOME, ESP_DL = "edge-impulse", "tflite-micro", "esphome", "esp-dl"
GOLDEN = sorted((Path(__file__).resolve().parent.parent / "golden/tflite").glob("*.tflite"))


def found(case, target=EI, **options):
    """{rule: severity} of a classifier."""
    report = check_model(case.model, target, **options)
    assert report.ok == (not {"fails", "wrong"} & {finding.severity for finding in report.findings})
    order = [SEVERITIES.index(finding.severity) for finding in report.findings]
    assert order == sorted(order)
    for finding in report.findings:
        assert finding.what and finding.why and finding.fix
        assert not finding.source or finding.source.startswith("https://")
    return {finding.rule: finding.severity for finding in report.findings}


def finding(case, rule, target=EI):
    report = check_model(case.model, target)
    return next(one for one in report.findings if one.rule == rule)


@pytest.mark.parametrize("target", [EI, MICRO])
def test_the_classifier_is_right(target):
    assert found(Classifier(), target) == {}
    assert check_model(Classifier().model, target).arena.estimate > 0


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("target", [EI, MICRO])
def test_the_golden_models_are_right(path, target):
    report = check_file(path, target)
    assert report.ok and report.findings == ()


def per_channel(case):
    requantise(case.tensor(case.weights), [0.01, 0.02, 0.03])


def test_dense_weights_per_channel():
    case = Classifier()
    per_channel(case)
    assert found(case) == {"dense-per-channel": "wrong"}
    assert found(case, MICRO) == {"dense-per-channel": "note"}
    assert found(case, ESPHOME)["dense-per-channel"] == "wrong"
    one = finding(case, "dense-per-channel")
    assert one.operators == (4,) and one.kind == "FULLY_CONNECTED" and one.tensor == "tensor_7"
    assert "first scale" in one.why and "_experimental_disable_per_channel" in one.fix
    assert one.source.endswith("kernels/fully_connected_common.cc")


def test_as_many_equal_scales_are_one():
    case = Classifier()
    requantise(case.tensor(case.weights), [0.02, 0.02, 0.02])
    assert found(case) == {}


@pytest.mark.parametrize(
    ("dtype", "severity"), [("UINT8", "fails"), ("FLOAT32", "fails"), ("INT16", "fails"), ("INT32", "fails")]
)
@pytest.mark.parametrize("end", ["source", "target"])
def test_borders(dtype, severity, end):
    case = Classifier()
    as_type(case.tensor(getattr(case, end)), dtype)
    assert found(case)["border-type"] == severity
    assert finding(case, "border-type").tensor == case.tensor(getattr(case, end)).name.decode()


def test_uint8_is_what_esphome_reads():
    case = Classifier()
    assert found(case, ESPHOME)["border-type"] == "fails"
    as_type(case.tensor(case.target), "UINT8")
    assert "border-type" not in found(case, ESPHOME)


def test_esphome_takes_slices_and_gives_one_number():
    rules = found(Classifier(), ESPHOME)
    assert rules["input-form"] == "fails" and rules["output-form"] == "wrong" and rules["sigmoid"] == "wrong"
    assert finding(Classifier(), "input-form", ESPHOME).what.endswith("expected (1, stride, 40)")
    assert "ESPHome has no SOFTMAX" in finding(Classifier(), "operator", ESPHOME).what


def test_batch():
    case = Classifier()
    case.tensor(case.source).shape = np.array([4, 12], np.int32)
    assert found(case) == {"batch": "fails"}
    assert found(case, MICRO) == {"batch": "note"}


@pytest.mark.parametrize("signature", [[-1, 12], [1, -1]])
def test_dynamic_shapes(signature):
    case = Classifier()
    case.tensor(case.source).shapeSignature = np.array(signature, np.int32)
    assert found(case) == {"dynamic-shape": "fails"}
    assert found(case, MICRO) == {"dynamic-shape": "note"}
    assert str(signature) in finding(case, "dynamic-shape").what


def test_a_dynamic_shape_that_is_stored():
    case = Classifier()
    case.tensor(case.source).shape = np.array([-1, 12], np.int32)
    assert found(case, MICRO)["dynamic-shape"] == "fails"


def test_no_softmax():
    assert found(Classifier(softmax=False)) == {"softmax-missing": "wrong"}
    assert found(Classifier(softmax=False), MICRO) == {"softmax-missing": "note"}
    assert "FULLY_CONNECTED" in finding(Classifier(softmax=False), "softmax-missing").what


def test_softmax_that_is_not_last():
    case = Classifier()
    b = case.builder
    case.target = b.operator("ADD", [case.target, case.target], b.activation((1, 3), 1 / 256, -128))
    assert found(case) == {"softmax-not-last": "wrong"}


def test_a_reshape_may_follow_the_softmax():
    case = Classifier()
    b = case.builder
    case.target = b.operator("RESHAPE", [case.target], b.activation((1, 3), 1 / 256, -128), new_shape=(1, 3))
    assert found(case) == {}


def test_a_sigmoid_at_the_end_is_a_note():
    case = Classifier(softmax=False)
    b = case.builder
    case.target = b.operator("LOGISTIC", [case.target], b.activation((1, 3), 1 / 256, -128))
    assert found(case) == {"softmax-missing": "note", "reference-kernel": "slow"}


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, -128), (1 / 256, 0)])
def test_softmax_on_another_scale(scale, zero_point):
    case = Classifier()
    requantise(case.tensor(case.target), [scale], [zero_point])
    assert found(case) == {"softmax-scale": "fails"} == found(case, MICRO)


@pytest.mark.parametrize(
    ("kind", "scale", "zero_point", "severity"),
    [
        ("LOGISTIC", 1 / 256, -128, None),
        ("LOGISTIC", 1 / 128, -128, "wrong"),
        ("LOGISTIC", 1 / 256, 0, "fails"),
        ("TANH", 1 / 128, 0, None),
        ("TANH", 1 / 64, 0, "wrong"),
        ("TANH", 1 / 128, 1, "wrong"),
    ],
)
def test_sigmoid_and_tanh_have_their_own_scales(kind, scale, zero_point, severity):
    case = Classifier(middle=elementwise(kind, scale, zero_point))
    requantise(case.tensor(case.flat), [scale], [zero_point])
    rules = found(case)
    assert rules.pop("reference-kernel") == "slow"  # no CMSIS-NN kernel for either
    assert rules == ({f"{kind.lower()}-scale": severity} if severity else {})


def joined(scales, count=2, activation="none"):
    """A middle that joins the map with itself on other scales, and takes the first half again."""

    def middle(b, here):
        parts = [
            b.operator("QUANTIZE", [here], b.activation((1, 3, 1, 4), *scales[i % len(scales)])) for i in range(count)
        ]
        b.operator("CONCATENATION", parts, b.activation((1, 3, 1, 4 * count), 0.2, -128), axis=3, activation=activation)
        return here

    return middle


def test_concatenation_of_unequal_scales():
    assert found(Classifier(middle=joined([(0.2, -128)]))) == {}
    for scales in ([(0.2, -128), (0.1, -128)], [(0.2, -128), (0.2, 0)]):
        case = Classifier(middle=joined(scales))
        assert found(case) == {"concatenation-scales": "wrong"} == found(case, MICRO)
    assert finding(case, "concatenation-scales").tensor == "tensor_7"


def test_concatenation_beyond_its_form():
    assert found(Classifier(middle=joined([(0.2, -128)], count=11))) == {"concatenation-form": "fails"}
    assert found(Classifier(middle=joined([(0.2, -128)], activation="relu"))) == {"concatenation-form": "fails"}


def test_pools_and_reshapes_copy():
    case = Classifier()
    requantise(case.tensor(case.pooled), [0.1], [-128])
    requantise(case.tensor(case.flat), [0.1], [-128])
    assert found(case) == {"copied-scales": "wrong"}
    assert found(case, MICRO) == {"copied-scales": "fails"}  # checked when it is loaded
    case = Classifier()
    requantise(case.tensor(case.flat), [0.1], [-128])
    assert found(case) == {"copied-scales": "wrong"} == found(case, MICRO)
    assert finding(case, "copied-scales").kind == "RESHAPE"


@pytest.mark.parametrize("scale", [2e6, 0.0, -0.1, np.nan, np.inf, 1e-30])
def test_scales_that_cannot_be(scale):
    case = Classifier()
    requantise(case.tensor(case.logits), [scale], [4])
    assert found(case) == {"scale": "wrong"} == found(case, MICRO)
    one = finding(case, "scale")
    assert one.kind == "FULLY_CONNECTED" and one.tensor == "tensor_9"


def test_zero_points_beyond_int8():
    case = Classifier()
    requantise(case.tensor(case.logits), [0.3], [200])
    assert found(case) == {"zero-point": "wrong"}


def test_int8_without_a_scale():
    case = Classifier()
    case.tensor(case.logits).quantization = None
    assert found(case) == {"no-scale": "wrong"}


def zero(case, tensor):
    buffer = case.builder.model.buffers[case.tensor(tensor).buffer]
    buffer.data = np.zeros_like(buffer.data)


def test_a_model_of_zeros():
    case = Classifier()
    zero(case, case.filter)
    assert found(case) == {"zero-weights": "wrong"}
    assert "the same whatever is heard" in finding(case, "zero-weights").why
    zero(case, case.weights)
    assert finding(case, "zero-weights").what == "all weights are zero: operator 1 and 4"


def as_floats(case, value):
    """The whole model in float32, every weight `value`."""
    for tensor in case.builder.subgraph.tensors:
        tensor.quantization = None
        if tensor.type == schema.TensorType.INT8 and not tensor.buffer:
            as_type(tensor, "FLOAT32")
    for index, shape in ((case.filter, (4, 3, 1, 2)), (case.weights, (3, 12))):
        as_type(case.tensor(index), "FLOAT32")
        data = np.full(shape, value, np.float32)
        case.builder.model.buffers[case.tensor(index).buffer].data = np.frombuffer(data.tobytes(), np.uint8)


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_a_float_model_of_zeros(value):
    case = Classifier()
    as_floats(case, value)
    assert found(case) == {"zero-weights": "wrong", "float-model": "slow"}


def test_zeros_that_are_only_their_zero_point():
    case = Classifier()
    buffer = case.builder.model.buffers[case.tensor(case.weights).buffer]
    buffer.data = np.full_like(buffer.data, 5)
    requantise(case.tensor(case.weights), [0.02], [5])
    assert found(case) == {"zero-weights": "wrong"}


def test_a_branch_of_zeros_is_a_note():
    """The scores still depend on what is heard."""

    def middle(b, here):
        weights = b.constant(np.zeros((4, 1, 1, 4), np.int8), 0.1)
        bias = b.constant(np.zeros(4, np.int32), 0.02)
        branch = b.operator("CONV_2D", [here, weights, bias], b.activation((1, 3, 1, 4), 0.2, -128), padding="same")
        return b.operator("ADD", [here, branch], b.activation((1, 3, 1, 4), 0.2, -128))

    assert found(Classifier(middle=middle)) == {"zero-weights": "note"}


def test_convolution_weights_are_symmetric():
    case = Classifier()
    requantise(case.tensor(case.filter), [0.01] * 4, [1, 1, 1, 1])
    assert found(case) == {"asymmetric-weights": "wrong"}


def test_convolution_scales_fit_its_channels():
    case = Classifier()
    requantise(case.tensor(case.filter), [0.01, 0.02])
    assert found(case) == {"channel-scales": "fails"}
    requantise(case.tensor(case.filter), [0.01, 0.02, 0.03, 0.04], axis=3)
    assert found(case) == {"channel-axis": "wrong"}


def test_computed_weights():
    """As a MaxNorm that was left in the graph would give them."""
    case = Classifier()
    b = case.builder
    made = b.activation((4, 3, 1, 2), 0.01, 0)
    b.operator("RELU", [case.filter], made)
    b.subgraph.operators.insert(0, b.subgraph.operators.pop())
    case.operator("CONV_2D").inputs[1] = made
    assert found(case) == {"computed-weights": "slow", "reference-kernel": "slow"}
    assert "by RELU 0" in finding(case, "computed-weights").what
    requantise(case.tensor(made), [0.01], [7])
    assert found(case)["computed-weights"] == "wrong"


def test_operators_that_are_not_there():
    case = Classifier(middle=elementwise("RELU_N1_TO_1"))
    assert found(case) == {"operator": "fails"}
    one = finding(case, "operator")
    assert one.operators == (3,) and one.what == "Edge Impulse has no RELU_N1_TO_1: operator 3"
    assert one.source.endswith("all_ops_resolver.cc")


@pytest.mark.parametrize(
    ("name", "target", "missing"),
    [("FlexErf", EI, True), ("MyOp", MICRO, True), ("TreeEnsembleClassifier", EI, False), ("SignalRfft", MICRO, False)],
)
def test_custom_operators(name, target, missing):
    case = Classifier(middle=elementwise("RELU"))
    code = case.code("RELU")
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = name.encode()
    rules = found(case, target)
    assert rules == ({"operator": "fails"} if missing else {})
    if name.startswith("Flex"):
        assert "Flex delegate" in finding(case, "operator").why


def test_operators_without_a_fast_kernel():
    case = Classifier(middle=elementwise("RELU"))
    assert found(case) == {"reference-kernel": "slow"}
    assert "RELU has no CMSIS-NN kernel: operator 3, 12 values" in finding(case, "reference-kernel").what


def test_newer_operators_than_any_that_is_known():
    case = Classifier()
    case.code("FULLY_CONNECTED").version = 99
    assert found(case) == {"version": "note"} == found(case, MICRO)
    case.code("FULLY_CONNECTED").version = 13
    assert found(case) == {}


@pytest.mark.parametrize("target", [EI, MICRO, ESPHOME, ESP_DL])
def test_an_operator_that_nobody_knows_of_any_version(target):
    case = Classifier()
    code = case.code("FULLY_CONNECTED")
    code.builtinCode, code.version = 5000, 2**31 - 1
    assert found(case, target)["operator"] == "fails"


def test_hybrid_weights():
    case = Classifier()
    for index in (case.flat, case.logits, case.pooled, case.map, case.source, case.target):
        as_type(case.tensor(index), "FLOAT32")
        case.tensor(index).quantization = None
    assert found(case, MICRO)["hybrid"] == "fails"
    assert found(case)["hybrid"] == "fails"


@pytest.mark.parametrize(("dtype", "severity"), [("INT8", "slow"), ("FLOAT16", "fails")])
def test_weights_unpacked_on_the_device(dtype, severity):
    case = Classifier()
    b = case.builder
    packed = b.constant(np.ones((3, 12), np.int8), 0.02)
    as_type(case.tensor(packed), dtype)
    if dtype == "FLOAT16":
        b.model.buffers[-1].data = np.ones(72, np.uint8)
    made = b.activation((3, 12), 0.02, 0)
    as_type(case.tensor(made), "FLOAT32")
    b.operator("DEQUANTIZE", [packed], made)
    b.subgraph.operators.insert(0, b.subgraph.operators.pop())
    assert found(case)["packed-weights"] == severity
    case.operator("FULLY_CONNECTED").inputs[1] = made
    assert "computed-weights" not in found(case)


def test_float_islands():
    def middle(b, here):
        inside, outside = b.activation((1, 3, 1, 4), 1, 0), b.activation((1, 3, 1, 4), 1, 0)
        for index in (inside, outside):
            as_type(b.subgraph.tensors[index], "FLOAT32")
            b.subgraph.tensors[index].quantization = None
        b.operator("DEQUANTIZE", [here], inside)
        b.operator("EXP", [inside], outside)
        return b.operator("QUANTIZE", [outside], b.activation((1, 3, 1, 4), 0.2, -128))

    case = Classifier(middle=middle)
    assert found(case) == {"float-island": "slow"} == found(case, MICRO)
    assert "for EXP 4" in finding(case, "float-island").what


def test_a_float_model_is_slow_and_right():
    case = Classifier()
    as_floats(case, 0.5)
    assert found(case) == {"float-model": "slow"}
    assert found(case, MICRO) == {}


def test_int16_activations():
    case = Classifier()
    for tensor in case.builder.subgraph.tensors:
        if tensor.type == schema.TensorType.INT8 and not tensor.buffer:
            as_type(tensor, "INT16")
    rules = found(case)
    assert rules["int16"] == "fails" and rules["border-type"] == "fails"
    assert "int16" not in found(case, MICRO)


def test_a_state_is_for_esphome():
    case = Classifier(middle=elementwise("RELU"))
    code = case.code("RELU")
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.READ_VARIABLE, 127
    assert found(case)["variables"] == "fails"
    assert "variables" not in found(case, ESPHOME)


def test_counts_of_inputs_outputs_and_subgraphs():
    case = Classifier()
    content = case.content  # sets the borders
    assert content
    from kws_dendrite.export.check import parse_model
    from kws_dendrite.export.tflite_model import pack_model

    subgraph = case.builder.subgraph
    subgraph.inputs = np.array([case.source, case.flat], np.int32)
    subgraph.outputs = np.array([case.target, case.logits], np.int32)
    case.builder.model.subgraphs = [subgraph, subgraph]
    rules = {f.rule: f.severity for f in check_model(parse_model(pack_model(case.builder.model)), EI).findings}
    assert rules == {"inputs": "fails", "outputs": "fails", "subgraphs": "note"}
    subgraph.inputs = np.array([], np.int32)
    rules = {f.rule: f.severity for f in check_model(parse_model(pack_model(case.builder.model)), MICRO).findings}
    assert rules["inputs"] == "fails" and rules["outputs"] == "note"


def test_schema_version():
    case = Classifier()
    case.builder.model.version = 2
    assert found(case) == {"schema": "fails"}


def test_input_of_four_axes_is_a_note():
    case = Classifier()
    case.source = 1  # the reshaped one
    case.builder.subgraph.operators.pop(0)
    assert found(case) == {"input-rank": "note"}


def test_output_of_three_axes():
    case = Classifier()
    b = case.builder
    case.target = b.operator("RESHAPE", [case.target], b.activation((1, 1, 3), 1 / 256, -128), new_shape=(1, 1, 3))
    assert found(case) == {"output-rank": "fails"}


def test_labels():
    assert found(Classifier(), labels=3) == {}
    assert found(Classifier(), labels=4) == {"labels": "fails"}


def test_esp_dl_loads_no_tflite():
    rules = found(Classifier(), ESP_DL)
    assert rules == {"format": "fails"}
    assert "espdl_quantize_onnx" in finding(Classifier(), "format", ESP_DL).fix
    case = Classifier(middle=elementwise("FLOOR"))
    assert "ESP-DL has no FLOOR" in finding(case, "operator", ESP_DL).what


def test_everything_that_this_project_writes_is_on_edge_impulses_list():
    from kws_dendrite.export.operators import TFLITE_INT8

    targets = load_table().targets
    assert targets[EI].operators >= TFLITE_INT8 and targets[MICRO].operators >= TFLITE_INT8
