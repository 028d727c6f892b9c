"""Every sample graph exported once for the whole session: TensorFlow's import is what takes the time."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plain"))

from sample_graphs import NAMES, decisive, features, named

from kws_dendrite.plain import Graph, interpret, save_graph


@dataclass(frozen=True)
class Exported:
    """A graph, clips, what the graph says of them, and the folder with its artefacts."""

    graph: Graph
    folder: Path
    x: np.ndarray
    probabilities: np.ndarray

    def agreement(self, probabilities):
        """Share of equal decisions where the graph's own is clear: 0.4 ahead of the second."""
        second, first = np.sort(self.probabilities, axis=1)[:, -2:].T
        clear = first - second > 0.4
        assert clear.sum() >= 20, "too few clear decisions to say anything"
        return (probabilities.argmax(1) == self.probabilities.argmax(1))[clear].mean()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    from kws_dendrite.export import write_onnx, write_onnx_int8
    from kws_dendrite.export.tflite import TFLiteJob, convert

    made, jobs = {}, []
    for name in NAMES:
        x = features(named(name), 100)
        graph = decisive(named(name), x)
        folder = tmp_path_factory.mktemp(name)
        save_graph(graph, folder / "graph.npz")
        write_onnx(graph, folder / "model.onnx")
        write_onnx_int8(graph, folder / "model_int8.onnx", x)
        jobs.append(TFLiteJob(graph, folder / "model.tflite", folder / "model_quantized_int8_io.tflite", x))
        made[name] = Exported(graph, folder, x, interpret(graph, x))
    convert(jobs)
    return made


@pytest.fixture
def temporal_export(exported):
    return exported["temporal"]
