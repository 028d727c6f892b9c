"""The export bundle: one folder a model, complete and checked, or not there at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.errors import ExportError, OutputError
from kws_dendrite.export.c import write_c
from kws_dendrite.export.card import ModelCard, card_text
from kws_dendrite.export.onnx import write_onnx
from kws_dendrite.export.onnx_int8 import write_onnx_int8
from kws_dendrite.export.parity import ParityReport, check_parity
from kws_dendrite.export.predictor import TFLitePredictor
from kws_dendrite.export.tflite import TFLiteJob, check_calibration, convert
from kws_dendrite.frontend import BLOCKS, FrontEndConfig, coefficients, from_json
from kws_dendrite.output import claimed, replacing, write_json, write_text
from kws_dendrite.plain import Cost, Graph, cost, interpret, save_graph

CALIBRATION_CLIPS = 500  # ranges settle well before; more only costs time
TEST_VECTORS_A_CLASS = 2


@dataclass(frozen=True)
class Bundle:
    """What was written.

    Attributes:
        folder: where.
        sizes: file name -> bytes.
        cost: of the plain graph.
        parity: the chain as measured.
    """

    folder: Path
    sizes: dict[str, int]
    cost: Cost
    parity: ParityReport

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings and lists."""
        return {
            "folder": str(self.folder),
            "sizes": dict(self.sizes),
            "cost": self.cost.to_json(),
            "parity": self.parity.to_json(),
        }


def write_bundle(
    graph: Graph,
    folder: Path | str,
    *,
    calibration: np.ndarray,
    validation_x: np.ndarray,
    validation_y: np.ndarray,
    frontend: Mapping[str, Any],
    card: ModelCard,
    torch_probabilities: np.ndarray | None = None,
    torch_logits: np.ndarray | None = None,
    torch_outputs: Mapping[str, np.ndarray] | None = None,
    int8_graph: Graph | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Write every artefact, hold each to the trained model, and only then put the folder in place.

    Args:
        graph: the plain graph, with its labels.
        folder: where the bundle goes; what it held before stays until the new one is complete.
        calibration: features (M, T*F) of training clips; the int8 ranges come from at most `CALIBRATION_CLIPS` of them,
            evenly spaced.
        validation_x: features (N, T*F) of the clips that parity runs over.
        validation_y: (N,) their class indices.
        frontend: the front end's JSON.
        card: what MODEL_CARD.md says beyond what is measured here.
        torch_probabilities: (N, K) of the trained model on `validation_x`; None leaves that hop out.
        torch_logits: (N, K), its outputs before the softmax.
        torch_outputs: node name -> (N, ...), to find a differing layer by.
        int8_graph: the same graph with weights and biases fine-tuned for int8; None makes the int8 files of `graph`.
        overwrite: replace a bundle that is already there.
        progress: called with a phrase as each stage begins.

    Raises:
        ParityError: a hop is over its bound (hop and layer named). Nothing is left behind, as with every error.
        ExportError: an operator off a target's list, calibration that does not fit, a converter that failed.
        OutputError: the folder is in use, not ours, or cannot be written.
    """
    folder = Path(folder).absolute()
    if not graph.labels:
        raise ExportError("a bundle needs the names of its classes; fold the model with its labels")
    if int8_graph is not None and [node.name for node in int8_graph.nodes] != [node.name for node in graph.nodes]:
        raise ExportError("the graph for int8 has other nodes than the graph; fine-tuning changes numbers alone")
    calibration = check_calibration(graph, calibration)
    with claimed(folder, overwrite=overwrite), _beside(folder) as temporary:
        bundle = _build(
            graph, int8_graph or graph, temporary, calibration, validation_x, validation_y, dict(frontend), card,
            (torch_probabilities, torch_logits, torch_outputs), progress or (lambda phrase: None),
        )  # fmt: skip
        _move(temporary, folder)
    return Bundle(folder, bundle.sizes, bundle.cost, bundle.parity)


def calibration_clips(features: np.ndarray) -> np.ndarray:
    """At most `CALIBRATION_CLIPS` of (M, ...) features, evenly spaced; of those again, the same."""
    return features[np.linspace(0, len(features) - 1, min(len(features), CALIBRATION_CLIPS)).astype(int)]


def _build(
    graph: Graph,
    int8_graph: Graph,
    folder: Path,
    calibration: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    frontend: dict[str, Any],
    card: ModelCard,
    torch: tuple[np.ndarray | None, np.ndarray | None, Mapping[str, np.ndarray] | None],
    progress: Callable[[str], None],
) -> Bundle:
    chosen = calibration_clips(calibration)
    progress("writing ONNX")
    save_graph(graph, folder / "graph.npz")
    write_onnx(graph, folder / "model.onnx")
    write_onnx_int8(int8_graph, folder / "model_int8.onnx", chosen)
    progress("converting to TFLite")
    int8_path = folder / "model_quantized_int8_io.tflite"
    if int8_graph is graph:
        convert([TFLiteJob(graph, folder / "model.tflite", int8_path, chosen)])
    else:
        convert([TFLiteJob(graph, folder / "model.tflite"), TFLiteJob(int8_graph, None, int8_path, chosen)])
    write_text(folder / "labels.txt", "\n".join(graph.labels) + "\n")
    write_json(folder / "frontend.json", frontend)
    progress("writing C")
    write_c(int8_path, folder / "c", labels=graph.labels, frontend=_front_end(frontend, graph))
    progress(f"checking every artefact on {len(x):,} clips")
    probabilities, logits, outputs = torch
    parity = check_parity(
        graph, folder, x, y,
        reference_probabilities=probabilities, reference_logits=logits, reference_outputs=outputs,
    )  # fmt: skip
    write_json(folder / "parity.json", parity.to_json())
    _write_test_vector(graph, folder / "test_vector.npz", int8_path, x, y)
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    counted = cost(graph)
    text = card_text(
        card, labels=graph.labels, frontend=frontend, cost=counted, parity=parity, sizes=sizes,
        has_c=(folder / "c").is_dir(),
    )  # fmt: skip
    write_text(folder / "MODEL_CARD.md", text)
    return Bundle(folder, sizes, counted, parity)


def _front_end(frontend: Mapping[str, Any], graph: Graph) -> FrontEndConfig | None:
    """The front end that the C folder computes; None where features came from elsewhere."""
    settings = {key: value for key, value in frontend.items() if key != "task"}
    if settings.get("block") not in BLOCKS:
        return None
    config = from_json(settings)
    width = coefficients(config)
    return config if graph.input.size % width == 0 else None


def _write_test_vector(graph: Graph, path: Path, int8_path: Path, x: np.ndarray, y: np.ndarray) -> None:
    """A few clips of each class: features, float probabilities, and the int8 file's exact bytes."""
    rows = np.sort(np.concatenate([np.flatnonzero(y == label)[:TEST_VECTORS_A_CLASS] for label in np.unique(y)]))
    predictor = TFLitePredictor(int8_path)
    chosen = np.ascontiguousarray(x[rows], np.float32)
    quantized = predictor.quantize(chosen)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            x=chosen,
            labels=y[rows].astype(np.int64),
            probabilities=interpret(graph, chosen),
            int8_input=quantized,
            int8_output=predictor.run(quantized),
            input_quantization=np.float64(predictor.input["quantization"]),  # scale, zero point
            output_quantization=np.float64(predictor.output["quantization"]),
        )


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A temporary folder next to the bundle, on the same disk, gone afterwards."""
    try:
        path = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"cannot write beside {folder}: {error.strerror or error}") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _move(source: Path, folder: Path) -> None:
    """Every file of `source` takes its place in `folder`; an older bundle's C sources go, its files are replaced."""
    try:
        stale = folder / "c"
        if stale.is_dir() and not stale.is_symlink():
            shutil.rmtree(stale)
        for entry in sorted(source.iterdir()):
            entry.replace(folder / entry.name)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
