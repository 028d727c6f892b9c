import json
import shutil

import numpy as np
import pytest

from kws_dendrite.errors import DataError, ExportError, GraphError
from kws_dendrite.export import load_predictor
from kws_dendrite.export.predictor import dequantize, quantize

KINDS = {
    "graph.npz": "graph",
    "model.onnx": "onnx",
    "model_int8.onnx": "onnx_int8",
    "model.tflite": "tflite",
    "model_quantized_int8_io.tflite": "tflite_int8",
}


@pytest.fixture
def folder(temporal_export, tmp_path):
    shutil.copytree(temporal_export.folder, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("file", KINDS)
def test_each_kind(temporal_export, folder, file):
    (folder / "labels.txt").write_text("word0\nword1\nword2\nword3\n")
    (folder / "frontend.json").write_text(json.dumps({"block": "mfcc"}))
    predictor = load_predictor(folder / file)
    assert predictor.kind == KINDS[file] and predictor.features == 160
    assert predictor.labels == ("word0", "word1", "word2", "word3") and predictor.frontend == {"block": "mfcc"}
    found = predictor.predict(temporal_export.x)
    assert found.shape == (100, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=0.02 if "int8" in file else 1e-5)
    assert temporal_export.agreement(found) >= 0.95
    assert predictor.predict(temporal_export.x[:0]).shape == (0, 4)


@pytest.mark.parametrize("file", KINDS)
def test_features_that_do_not_fit(temporal_export, folder, file):
    predictor = load_predictor(folder / file)
    with pytest.raises(DataError, match=r"reads features \(N, 160\), got \(3, 159\)"):
        predictor.predict(np.zeros((3, 159)))
    with pytest.raises(DataError, match="not finite"):
        predictor.predict(np.full((3, 160), np.nan))


def test_a_bundle_runs_its_int8_file(folder):
    assert load_predictor(folder).path.name == "model_quantized_int8_io.tflite"
    (folder / "model_quantized_int8_io.tflite").unlink()
    assert load_predictor(folder).kind == "tflite"


def test_without_labels_or_front_end(folder):
    predictor = load_predictor(folder / "model.onnx")
    assert predictor.labels == () and predictor.frontend is None
    assert load_predictor(folder / "graph.npz").labels == ("word0", "word1", "word2", "word3")


@pytest.mark.parametrize("file", ["model.onnx", "model.tflite", "graph.npz"])
@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_broken_files(folder, file, content):
    path = folder / file
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    with pytest.raises((ExportError, GraphError)) as error:
        load_predictor(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_is_not_an_artefact(tmp_path):
    with pytest.raises(ExportError, match="is not there"):
        load_predictor(tmp_path / "none.tflite")
    with pytest.raises(ExportError, match="holds none of"):
        load_predictor(tmp_path)
    (tmp_path / "model.pt").touch()
    with pytest.raises(ExportError, match=r"ends in '.pt'"):
        load_predictor(tmp_path / "model.pt")


def test_a_front_end_that_is_not_json(folder):
    (folder / "frontend.json").write_text("{")
    with pytest.raises(ExportError, match="is not JSON"):
        load_predictor(folder)


def test_halves_round_away_from_zero():
    x = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 0.49, -0.49, 1000, -1000])
    np.testing.assert_array_equal(quantize(x, 1.0, 0), [1, -1, 2, 3, -3, 0, 0, 127, -128])
    np.testing.assert_array_equal(quantize(np.array([0.0, 0.25, -0.25]), 0.5, -3), [-3, -2, -4])


def test_dequantize():
    np.testing.assert_allclose(dequantize(np.array([-128, 0, 127], np.int8), 1 / 256, -128), [0, 0.5, 255 / 256])


def test_int8_is_exact_on_every_run(temporal_export):
    path = temporal_export.folder / "model_quantized_int8_io.tflite"
    first, second = (load_predictor(path).predict(temporal_export.x) for _ in range(2))
    np.testing.assert_array_equal(first, second)
