import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from kws_dendrite.errors import ConfigError, DataError, ExportError, OutputError, ParityError
from kws_dendrite.export import ModelCard, bundle, load_predictor, write_bundle
from kws_dendrite.export.card import FILES, SYNTHETIC_NOTICE
from kws_dendrite.export.parity import Exact, check_c
from kws_dendrite.output import MARKER
from kws_dendrite.plain import Graph, interpret, load_graph

CARD = ModelCard("Four words", "the demo", True, {"train": 900, "validation": 100}, 5, 0.91, (0.84, 0.95))


@pytest.fixture
def arguments(temporal_export):
    return {
        "calibration": temporal_export.x,
        "validation_x": temporal_export.x,
        "validation_y": temporal_export.probabilities.argmax(1),
        "frontend": {"block": "logmel", "sampling_freq": 16000},
        "card": CARD,
        "torch_probabilities": temporal_export.probabilities,
    }


@pytest.fixture
def without_tensorflow(temporal_export, monkeypatch):
    """The session's own TFLite files instead of another conversion of the same graph."""

    def copy(jobs):
        for job in jobs:
            job.float_path.write_bytes((temporal_export.folder / "model.tflite").read_bytes())
            job.int8_path.write_bytes((temporal_export.folder / "model_quantized_int8_io.tflite").read_bytes())

    monkeypatch.setattr(bundle, "convert", copy)


@pytest.fixture(scope="module")
def written(exported, tmp_path_factory):
    """One bundle written the whole way, TensorFlow included."""
    sample = exported["temporal"]
    folder = tmp_path_factory.mktemp("written") / "export"
    phrases = []
    made = write_bundle(
        sample.graph, folder, calibration=sample.x, validation_x=sample.x, validation_y=sample.probabilities.argmax(1),
        frontend={"block": "logmel"}, card=CARD, torch_probabilities=sample.probabilities, progress=phrases.append,
    )  # fmt: skip
    return made, phrases


def test_the_layout(written):
    made, phrases = written
    assert {path.name for path in made.folder.iterdir()} == {*FILES, "MODEL_CARD.md", "c", MARKER}
    assert [path.name for path in made.folder.parent.iterdir()] == ["export"]
    assert (made.folder / "labels.txt").read_text() == "word0\nword1\nword2\nword3\n"
    assert json.loads((made.folder / "frontend.json").read_text()) == {"block": "logmel"}
    assert json.loads((made.folder / "parity.json").read_text()) == made.parity.to_json()
    assert len(phrases) == 4
    assert json.loads(json.dumps(made.to_json()))["cost"]["parameters"] == made.cost.parameters


def test_the_test_vector_is_what_the_files_say(written):
    folder = written[0].folder
    with np.load(folder / "test_vector.npz", allow_pickle=False) as file:
        vector = dict(file)
    assert len(vector["x"]) >= 2 and set(vector["labels"]) <= {0, 1, 2, 3}
    np.testing.assert_array_equal(interpret(load_graph(folder / "graph.npz"), vector["x"]), vector["probabilities"])
    predictor = load_predictor(folder)
    np.testing.assert_array_equal(predictor.quantize(vector["x"]), vector["int8_input"])
    np.testing.assert_array_equal(predictor.run(vector["int8_input"]), vector["int8_output"])
    assert tuple(vector["output_quantization"]) == (1 / 256, -128)


def test_the_card(written):
    text = (written[0].folder / "MODEL_CARD.md").read_text()
    assert SYNTHETIC_NOTICE in text
    assert "over 100 clips: 91.0 % (95 % interval 84.0 to 95.0)" in text
    assert "P = 5" in text and "900 train, 100 validation" in text
    assert "| torch -> plain |" in text and "| tflite_int8 |" in text
    assert "`c/` is plain C99" in text
    assert "The C gives the int8 TFLite file's bytes on 100 of 100 clips." in text


def test_the_c_in_it(written):
    folder = written[0].folder
    assert written[0].parity.c == Exact(clips=100, equal=100)
    assert {"kws_model.c", "kws_softmax.c", "CMakeLists.txt"} <= {path.name for path in (folder / "c").iterdir()}
    with np.load(folder / "test_vector.npz", allow_pickle=False) as file:
        predictor = load_predictor(folder / "c")
        np.testing.assert_array_equal(predictor.model.run(file["int8_input"]), file["int8_output"])
        np.testing.assert_array_equal(predictor.predict(file["x"]), load_predictor(folder).predict(file["x"]))
    assert predictor.labels == ("word0", "word1", "word2", "word3") and predictor.frontend == {"block": "logmel"}


def test_c_that_differs_is_refused_by_name(written, tmp_path):
    folder = written[0].folder
    shutil.copytree(folder / "c", tmp_path / "c")
    source = tmp_path / "c" / "kws_max_pool.c"
    source.write_text(source.read_text().replace("*from > largest", "*from < largest"))
    with np.load(folder / "test_vector.npz", allow_pickle=False) as file:
        clips = file["x"]
    with pytest.raises(ParityError, match="MAX_POOL_2D"):
        check_c(tmp_path / "c", folder / "model_quantized_int8_io.tflite", clips)


def test_a_card_of_real_speech_does_not_say_synthetic(temporal_export, arguments, without_tensorflow, tmp_path):
    card = ModelCard("Words", "Speech Commands v2", False, {"test": 10}, limits=("It was trained on English.",))
    write_bundle(temporal_export.graph, tmp_path / "b", **(arguments | {"card": card}))
    text = (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert "ynthetic" not in text and "Accuracy on" not in text and "* It was trained on English." in text


def test_the_same_bytes_again(temporal_export, arguments, without_tensorflow, tmp_path):
    for name in ("a", "b"):
        write_bundle(temporal_export.graph, tmp_path / name, **arguments)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_graph_for_int8_of_other_nodes_is_refused(temporal_export, arguments, without_tensorflow, tmp_path):
    headless = replace(temporal_export.graph, nodes=temporal_export.graph.nodes[:-1])
    with pytest.raises(ExportError, match="has other nodes than the graph"):
        write_bundle(temporal_export.graph, tmp_path / "b", int8_graph=headless, **arguments)
    assert not list(tmp_path.iterdir())


def wrong(arguments):
    return arguments | {"torch_probabilities": arguments["torch_probabilities"] + np.float32(1e-3)}


def test_a_failure_leaves_nothing(temporal_export, arguments, without_tensorflow, tmp_path):
    with pytest.raises(ParityError, match="torch -> plain"):
        write_bundle(temporal_export.graph, tmp_path / "b", **wrong(arguments))
    assert not list(tmp_path.iterdir())
    (tmp_path / "b").mkdir()
    with pytest.raises(ParityError):
        write_bundle(temporal_export.graph, tmp_path / "b", **wrong(arguments))
    assert not everything(tmp_path)


def test_a_failure_leaves_the_older_bundle(temporal_export, arguments, without_tensorflow, tmp_path):
    write_bundle(temporal_export.graph, tmp_path / "b", **arguments)
    before = everything(tmp_path)
    with pytest.raises(ParityError):
        write_bundle(temporal_export.graph, tmp_path / "b", overwrite=True, **wrong(arguments))
    assert everything(tmp_path) == before


def test_overwriting_needs_the_word(temporal_export, arguments, without_tensorflow, tmp_path):
    write_bundle(temporal_export.graph, tmp_path / "b", **arguments)
    with pytest.raises(OutputError, match="already holds results"):
        write_bundle(temporal_export.graph, tmp_path / "b", **arguments)
    (tmp_path / "b" / "c" / "kws_older.c").write_text("an older model's")
    (tmp_path / "b" / "notes.txt").write_text("mine")
    write_bundle(temporal_export.graph, tmp_path / "b", overwrite=True, **arguments)
    assert not (tmp_path / "b" / "c" / "kws_older.c").exists() and (tmp_path / "b" / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_not_ours(temporal_export, arguments, without_tensorflow, tmp_path):
    (tmp_path / "clip.wav").write_text("a recording")
    with pytest.raises(OutputError, match="was not made by kws-dendrite"):
        write_bundle(temporal_export.graph, tmp_path, overwrite=True, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.wav"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"calibration": np.zeros((3, 7))}, ExportError),
        ({"validation_y": np.zeros(3, int)}, DataError),
    ],
)
def test_arrays_that_do_not_fit(temporal_export, arguments, without_tensorflow, tmp_path, change, error):
    with pytest.raises(error):
        write_bundle(temporal_export.graph, tmp_path / "b", **(arguments | change))
    assert not list(tmp_path.iterdir())


def test_a_graph_without_labels(temporal_export, arguments, tmp_path):
    nameless = Graph(temporal_export.graph.nodes, temporal_export.graph.weights)
    with pytest.raises(ExportError, match="needs the names of its classes"):
        write_bundle(nameless, tmp_path / "b", **arguments)


@pytest.mark.parametrize("change", [{"accuracy": 91.0}, {"members": 0}])
def test_cards_that_cannot_be(change):
    with pytest.raises(ConfigError):
        ModelCard(**({"name": "n", "data": "d", "synthetic": False, "clips": {}} | change))
