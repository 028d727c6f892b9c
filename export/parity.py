"""Holding every artefact to the trained model, hop by hop: torch -> plain graph -> ONNX -> TFLite -> int8 -> C.

Bounds are on probabilities, over every clip given. Over a bound, the error names the hop and the first layer whose
output differs. int8 has no bound on its numbers; its decisions are counted beside the float model's. The C has no
tolerance at all: every byte is the int8 TFLite file's, or the error names the first operator that differs.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kws_dendrite.errors import DataError, ExportError, ParityError
from kws_dendrite.export.intermediate import LayerReader, onnx_layers, tflite_layers
from kws_dendrite.export.predictor import TFLitePredictor, load_predictor, open_tflite
from kws_dendrite.plain import Graph, Node, Softmax, interpret, node_outputs

if TYPE_CHECKING:
    from kws_dendrite.export.c.native import NativeModel

PLAIN_BOUND = 1e-5
ONNX_BOUND = 1e-5
TFLITE_BOUND = 1e-4

ARTEFACTS = {
    "onnx": "model.onnx",
    "onnx_int8": "model_int8.onnx",
    "tflite": "model.tflite",
    "tflite_int8": "model_quantized_int8_io.tflite",
}
NOISE_CLIPS = 32  # clips over which the int8 noise of each layer is measured
TINY = 1e-20  # a layer that is all zeros, or exact, still has a finite ratio
LAYER_CLIPS = 8  # clips kept, the worst first, when looking for the layer that differs


@dataclass(frozen=True)
class Hop:
    """One step of the float chain.

    Attributes:
        name: as in "plain -> onnx".
        clips: how many were compared.
        worst: largest absolute difference of a probability, over clips and classes.
        bound: what it may be.
        worst_logits: the same before the softmax; None where the caller gave none or the graph ends otherwise.
        equal_decisions: share of clips with the same largest class.
    """

    name: str
    clips: int
    worst: float
    bound: float
    worst_logits: float | None
    equal_decisions: float


@dataclass(frozen=True)
class Int8:
    """An int8 artefact beside the float graph, on the same clips.

    Attributes:
        name: "onnx_int8" or "tflite_int8".
        clips: how many.
        accuracy, float_accuracy: shares of clips decided as labelled.
        equal_decisions: share of clips with the float graph's decision.
        worst: largest absolute difference of a probability.
        signal_to_noise_db: by layer, over a few clips: the float values' power over the power of int8's differences.
            Where it falls steeply, quantisation hurts; only for TFLite, whose tensors carry the layers' names.
    """

    name: str
    clips: int
    accuracy: float
    float_accuracy: float
    equal_decisions: float
    worst: float
    signal_to_noise_db: dict[str, float]


@dataclass(frozen=True)
class Exact:
    """The generated C beside the int8 TFLite file, byte for byte.

    Attributes:
        clips: how many were compared on this machine; 0 where it has no C compiler.
        equal: clips whose every output byte is the same.
    """

    clips: int
    equal: int


@dataclass(frozen=True)
class ParityReport:
    """The whole chain, as parity.json holds it; `c` is None where the bundle has no C."""

    clips: int
    hops: tuple[Hop, ...]
    int8: tuple[Int8, ...]
    c: Exact | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings and lists."""
        value = asdict(self)
        value["hops"], value["int8"] = list(value["hops"]), list(value["int8"])
        return value


def check_parity(
    graph: Graph,
    folder: Path | str,
    x: np.ndarray,
    labels: np.ndarray,
    *,
    reference_probabilities: np.ndarray | None = None,
    reference_logits: np.ndarray | None = None,
    reference_outputs: Mapping[str, np.ndarray] | None = None,
) -> ParityReport:
    """Run the same clips through every artefact of a bundle folder that is there, and compare.

    Args:
        graph: the plain graph.
        folder: holds model.onnx, model_int8.onnx, model.tflite, model_quantized_int8_io.tflite, or some of them.
        x: features (N, T*F) of real clips.
        labels: (N,) indices of the right classes.
        reference_probabilities: (N, K) of the trained torch model on the same clips; None skips that hop.
        reference_logits: (N, K), its outputs before the softmax.
        reference_outputs: node name -> its value (N, ...) in the torch model, to find a differing layer by.

    Raises:
        ParityError: a hop's difference is over its bound; names the hop and the first layer that differs.
        DataError: arrays that do not fit each other.
        ExportError: an artefact that its runtime cannot read.
    """
    folder = Path(folder)
    probabilities = interpret(graph, x)
    _check_arrays(x, labels, probabilities, reference_probabilities, reference_logits)
    logits = _logits(graph, x)
    hops = []
    if reference_probabilities is not None:
        hop = _hop("torch -> plain", reference_probabilities, probabilities, PLAIN_BOUND, reference_logits, logits)
        _hold(hop, graph, x, reference_probabilities, probabilities, _given_layers(reference_outputs, len(x)))
        hops.append(hop)
    for kind, bound, layers in (("onnx", ONNX_BOUND, onnx_layers), ("tflite", TFLITE_BOUND, tflite_layers)):
        path = folder / ARTEFACTS[kind]
        if path.is_file():
            found = load_predictor(path).predict(x)
            reader = layers(graph, path)
            theirs = None if logits is None else reader(x, [_logits_node(graph)]).get(_logits_node(graph))
            hop = _hop(f"plain -> {kind}", probabilities, found, bound, logits, theirs)
            _hold(hop, graph, x, probabilities, found, reader)
            hops.append(hop)
    int8 = []
    for kind in ("onnx_int8", "tflite_int8"):
        path = folder / ARTEFACTS[kind]
        if path.is_file():
            reader = tflite_layers(graph, path) if kind == "tflite_int8" else None
            int8.append(_int8(kind, load_predictor(path).predict(x), graph, x, probabilities, labels, reader))
    c = None
    if (folder / "c" / "kws_model.h").is_file():
        c = check_c(folder / "c", folder / ARTEFACTS["tflite_int8"], x)
    return ParityReport(clips=len(x), hops=tuple(hops), int8=tuple(int8), c=c)


def check_c(c_folder: Path, tflite: Path, x: np.ndarray) -> Exact:
    """Run features (N, T*F) through the C on this machine and through the int8 file's reference kernels.

    Raises:
        ParityError: a byte differs; names the first operator whose output does.
        ExportError: C that does not compile.
    """
    from kws_dendrite.export.c.native import NativeModel, has_compiler

    if not has_compiler():
        return Exact(clips=0, equal=0)
    predictor = TFLitePredictor(tflite)
    quantized = predictor.quantize(x.astype(np.float32))
    different = (NativeModel(c_folder).run(quantized) != predictor.run(quantized)).any(1)
    if different.any():
        where = _first_operator(NativeModel(c_folder, watch=True), tflite, quantized[different][0])
        raise ParityError(f"tflite int8 -> C: {different.sum():,} of {len(x):,} clips differ; first at {where}")
    return Exact(clips=len(x), equal=len(x))


def _first_operator(model: "NativeModel", tflite: Path, clip: np.ndarray) -> str:
    from kws_dendrite.export.c.reader import read_program

    interpreter = open_tflite(tflite, preserve=True)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], clip[None])
    interpreter.invoke()
    watched = model.watched(clip[None])
    for row, operator, found in zip(model.operators, read_program(tflite).operators, watched, strict=True):
        if (found.reshape(-1) != interpreter.get_tensor(operator.outputs[0]).reshape(-1)).any():
            return f"operator {row['index']}, {row['operator']} {row['name']!r}"
    return "the output alone"


def _check_arrays(
    x: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    reference: np.ndarray | None,
    logits: np.ndarray | None,
) -> None:
    if not len(x) or len(labels) != len(x):
        raise DataError(f"parity needs as many labels as clips and at least one, got {len(x)} and {len(labels)}")
    for name, array in (("probabilities", reference), ("logits", logits)):
        if array is not None and array.shape != probabilities.shape:
            raise DataError(f"the reference {name} have shape {array.shape}, the graph gives {probabilities.shape}")


def _hop(
    name: str,
    reference: np.ndarray,
    found: np.ndarray,
    bound: float,
    reference_logits: np.ndarray | None,
    found_logits: np.ndarray | None,
) -> Hop:
    logits = None
    if reference_logits is not None and found_logits is not None:
        logits = worst_difference(reference_logits, found_logits)
    return Hop(
        name=name,
        clips=len(reference),
        worst=worst_difference(reference, found),
        bound=bound,
        worst_logits=logits,
        equal_decisions=float((reference.argmax(1) == found.argmax(1)).mean()),
    )


def worst_difference(reference: np.ndarray, found: np.ndarray) -> float:
    """Largest absolute difference; infinite where either is not finite."""
    difference = np.abs(reference.astype(np.float64) - found)
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def _hold(
    hop: Hop, graph: Graph, x: np.ndarray, reference: np.ndarray, found: np.ndarray, reader: LayerReader | None
) -> None:
    if hop.worst <= hop.bound:
        return
    where = "the caller gave no layers to compare"
    if reader is not None:
        worst_first = np.argsort(-np.nan_to_num(np.abs(reference - found).max(1), nan=np.inf))[:LAYER_CLIPS]
        where = find_layer(graph, x, worst_first, reader, hop.bound)
    raise ParityError(
        f"{hop.name}: probabilities differ by {hop.worst:.3g} over {hop.clips} clips, bound {hop.bound:g}; {where}"
    )


def find_layer(graph: Graph, x: np.ndarray, rows: np.ndarray, reader: LayerReader, bound: float) -> str:
    """Where an artefact leaves the graph, as a phrase: the first layer off by more than `bound` of its own range.

    Args:
        graph: the plain graph, whose values are taken as right.
        x: features (N, T*F).
        rows: the clips to look at.
        reader: gives the artefact's values.
        bound: relative to the largest absolute value of the node's output, or to 1 where that is less.
    """
    ours, theirs = node_outputs(graph, x[rows]), reader(x, None, rows)
    shares: dict[str, float] = {}
    for node in graph.nodes[1:]:
        if node.name not in theirs:
            continue
        reference, found = ours[node.name], theirs[node.name]
        if reference.shape != found.shape:
            return f"layer {_with_fused(graph, node, set(theirs))!r} has shape {found.shape}, not {reference.shape}"
        difference = worst_difference(reference, found)
        shares[node.name] = difference / max(1.0, float(np.abs(reference).max()))
        if shares[node.name] > bound:
            name = _with_fused(graph, node, set(theirs))
            return f"first at layer {name!r}, whose values differ by {difference:.3g}"
    if not shares:
        return "none of its layers can be compared"
    return f"no layer alone is over the bound, the furthest is {max(shares, key=shares.__getitem__)!r}"


def _with_fused(graph: Graph, node: Node, there: set[str]) -> str:
    """The node's name; where the artefact fused nodes into it, "first..last" of them."""
    nodes = {other.name: other for other in graph.nodes}
    first = node
    while first.inputs and first.inputs[0] not in there and first.inputs[0] != graph.input.name:
        first = nodes[first.inputs[0]]
    return node.name if first is node else f"{first.name}..{node.name}"


def _given_layers(outputs: Mapping[str, np.ndarray] | None, clips: int) -> LayerReader | None:
    if outputs is None:
        return None

    def read(x: np.ndarray, names: list[str] | None = None, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        chosen = slice(None) if rows is None else rows
        return {name: array[chosen] for name, array in outputs.items() if len(array) == clips}

    return read


def _logits_node(graph: Graph) -> str:
    return graph.output.inputs[0]


def _logits(graph: Graph, x: np.ndarray) -> np.ndarray | None:
    """(N, K) before the softmax; None where the graph does not end in one."""
    if not isinstance(graph.output, Softmax):
        return None
    headless = Graph(nodes=graph.nodes[:-1], weights=graph.weights)
    if headless.output.name != _logits_node(graph):
        raise ExportError(f"the node before the Softmax must be its input {_logits_node(graph)!r}")
    return interpret(headless, x)


def _int8(
    name: str,
    found: np.ndarray,
    graph: Graph,
    x: np.ndarray,
    probabilities: np.ndarray,
    labels: np.ndarray,
    reader: LayerReader | None,
) -> Int8:
    decisions, reference = found.argmax(1), probabilities.argmax(1)
    few = np.linspace(0, len(x) - 1, min(len(x), NOISE_CLIPS)).astype(int)
    return Int8(
        name=name,
        clips=len(found),
        accuracy=float((decisions == labels).mean()),
        float_accuracy=float((reference == labels).mean()),
        equal_decisions=float((decisions == reference).mean()),
        worst=worst_difference(probabilities, found),
        signal_to_noise_db={} if reader is None else layer_noise(graph, x, few, reader),
    )


def layer_noise(graph: Graph, x: np.ndarray, rows: np.ndarray, reader: LayerReader) -> dict[str, float]:
    """Node name -> signal to noise in dB of the artefact's values beside the plain graph's, over the clips `rows`."""
    ours, theirs = node_outputs(graph, x[rows]), reader(x, None, rows)
    noise = {}
    for node in graph.nodes[1:]:
        if node.name in theirs:
            signal = float(np.square(ours[node.name], dtype=np.float64).mean())
            error = float(np.square(ours[node.name] - theirs[node.name], dtype=np.float64).mean())
            noise[node.name] = round(float(10 * np.log10(max(signal, TINY) / max(error, TINY))), 1)
    return noise
