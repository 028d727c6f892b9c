import json
import shutil
import subprocess
from pathlib import Path

import edge_impulse_bundle
import numpy as np
import onnx
import pytest
from edge_impulse_bundle import FRONT_ENDS, voices
from faulty_models import Classifier

from kws_dendrite.errors import DataError, ExportError, OutputError
from kws_dendrite.export import load_predictor
from kws_dendrite.export.edge_impulse.model import read_bundle
from kws_dendrite.export.edge_impulse.pack import MOST_REPRESENTATIVE, Material, write_pack
from kws_dendrite.frontend import compute, to_json

SDK = Path(__file__).parent / "edge_impulse_sdk"
ALWAYS = {
    "model_quantized_int8_io.tflite", "model.tflite", "model.onnx", "labels.txt", "representative_features.npy",
    "test_vector.json", "test_features.txt", "kws_test_vector.h", "example.cpp", "STEPS.md",
}  # fmt: skip


def material(exported, clips=40):
    return Material(exported.x[:clips], voices(), np.array([0, 1, 2]))


@pytest.fixture
def packed(temporal_export, tmp_path):
    """block -> its pack, with sound."""

    def make(frontend, **changes):
        bundle = edge_impulse_bundle.write(temporal_export, tmp_path / "bundle", frontend)
        return write_pack(read_bundle(bundle), tmp_path / "pack", **{"material": material(temporal_export), **changes})

    return make


@pytest.mark.parametrize("block", ["mfcc", "mfe", "logmel"])
def test_what_is_in_it(packed, temporal_export, block):
    pack = packed(block)
    names = {path.name for path in pack.folder.iterdir()} - {".kws_dendrite"}
    own = {name for name in names if name.startswith("kws_frontend")}
    assert names - own == ALWAYS | {"frontend.json", "kws_features.h", "test_audio.wav"}
    assert bool(own) == (block == "logmel")
    assert pack.sizes == {name: (pack.folder / name).stat().st_size for name in names}
    assert (pack.front_end, pack.labels, pack.representative) == (block, temporal_export.graph.labels, 40)
    for name in ("model_quantized_int8_io.tflite", "model.tflite", "model.onnx"):
        assert (pack.folder / name).read_bytes() == (temporal_export.folder / name).read_bytes()
    assert (pack.folder / "labels.txt").read_text() == "word0\nword1\nword2\nword3\n"


def test_the_representative_features_are_as_the_page_asks(packed, temporal_export):
    found = np.load(packed("mfcc").folder / "representative_features.npy", allow_pickle=False)
    assert found.dtype == np.float32 and found.shape == (40, 160)  # each as the input without its batch
    np.testing.assert_array_equal(found, temporal_export.x[:40])


def test_no_more_clips_than_settle_the_ranges(packed, temporal_export):
    many = np.tile(temporal_export.x, (8, 1))
    pack = packed("mfcc", material=Material(many, voices(), np.arange(3)))
    assert len(many) > MOST_REPRESENTATIVE == pack.representative


def test_the_test_vector_is_what_the_int8_file_says_of_the_sound(packed):
    pack = packed("mfcc")
    value = json.loads((pack.folder / "test_vector.json").read_text())
    predictor = load_predictor(pack.folder / "model_quantized_int8_io.tflite")
    features = np.array([clip["features"] for clip in value["clips"]], np.float32)
    np.testing.assert_array_equal(
        features, np.stack([compute(clip, FRONT_ENDS["mfcc"]).reshape(-1) for clip in voices()])
    )
    quantized = predictor.quantize(features)
    np.testing.assert_array_equal(quantized, [clip["int8_input"] for clip in value["clips"]])
    np.testing.assert_array_equal(predictor.run(quantized), [clip["int8_output"] for clip in value["clips"]])
    np.testing.assert_array_equal(predictor.predict(features), np.float32([clip["scores"] for clip in value["clips"]]))
    assert value["output"] == {"scale": 1 / 256, "zero_point": -128}
    np.testing.assert_array_equal(value["audio"], voices()[0])
    pasted = [np.float32(text) for text in (pack.folder / "test_features.txt").read_text().split(",")]
    np.testing.assert_array_equal(pasted, features[0])


@pytest.mark.skipif(shutil.which("c++") is None or shutil.which("cc") is None, reason="apt-get install g++")
@pytest.mark.parametrize("layout", [[], ["-DNAMED_AXES"]], ids=["as documented", "with named axes"])
@pytest.mark.parametrize("block", ["mfcc", "mfe", "logmel"])
def test_the_c_compiles_calls_the_sdk_and_checks(packed, block, layout):
    folder = packed(block).folder
    clips = json.loads((folder / "test_vector.json").read_text())["clips"]
    np.float32(clips[0]["features"]).tofile(folder / "features.bin")
    np.float32([clip["scores"] for clip in clips]).tofile(folder / "scores.bin")
    objects = []
    for source in sorted(folder.glob("kws_frontend*.c")):
        objects.append(source.with_suffix(".o").name)
        subprocess.run(["cc", "-std=c99", "-O1", "-c", source.name, "-o", objects[-1]], cwd=folder, check=True)
    command = ["c++", "-std=c++14", "-Wall", "-Werror", *layout, "-I", str(SDK), "-I", "."]
    subprocess.run([*command, "example.cpp", *objects, "-lm", "-o", "example"], cwd=folder, check=True)
    said = subprocess.run(["./example"], cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()
    config = to_json(FRONT_ENDS[block])
    if block == "logmel":  # here the front end itself has run
        name, worst = said[0].rsplit(" ", 1)
        assert name == "features: worst difference" and float(worst) < 0.01
    else:
        order = _FIELDS[block].split()
        values = ["1" if name == "axes" else f"{config[name]:g}" for name in order]
        assert said[0] == f"{block} {' '.join(values)}"
        assert said[1] == f"samples=16000 second={voices()[0][1]:g} frequency=16000"
        assert said[2] == "features: worst difference 0.000000"
    assert said[-1] == "scores: worst difference 0.000000 over 3 clips"


@pytest.mark.skipif(shutil.which("c++") is None, reason="apt-get install g++")
def test_without_sound_the_c_checks_the_scores_alone(packed):
    folder = packed("mfcc", material=None).folder
    clips = json.loads((folder / "test_vector.json").read_text())["clips"]
    scores = np.float32([clip["scores"] for clip in clips])
    scores[-1, 1] += np.float32(0.25)
    scores.tofile(folder / "scores.bin")
    command = ["c++", "-std=c++14", "-Wall", "-Werror", "-I", str(SDK), "-I", ".", "example.cpp", "-o", "example"]
    subprocess.run(command, cwd=folder, check=True)
    said = subprocess.run(["./example"], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert said == f"scores: worst difference 0.250000 over {len(clips)} clips\n"


_FIELDS = {
    "mfcc": "implementation_version axes num_cepstral frame_length frame_stride num_filters fft_length win_size "
    "low_frequency high_frequency pre_cof pre_shift",
    "mfe": "implementation_version axes frame_length frame_stride num_filters fft_length low_frequency high_frequency "
    "win_size noise_floor_db",
}


def test_the_steps_give_the_values_to_type(packed):
    text = (packed("mfcc").folder / "STEPS.md").read_text()
    assert "| Output labels | `word0, word1, word2, word3` |" in text
    assert "| Model input | *Other*" in text and "| Model output | *Classification* |" in text
    assert "(1, 160)" in text and "(1, 4)" in text
    for name, value in to_json(FRONT_ENDS["mfcc"]).items():
        assert name == "block" or f"| `{name}` | {value} |" in text
    assert "extract_mfcc_features" in text and "log-mel" not in text


def test_log_mel_is_not_passed_off_as_a_block(packed):
    pack = packed("logmel")
    text = (pack.folder / "STEPS.md").read_text()
    assert "no block of Edge Impulse computes" in text and "--frontend mfcc" in text
    assert "ei_dsp_config" not in (pack.folder / "kws_features.h").read_text() + text


@pytest.mark.parametrize("stored", [{"coefficients": 8}, None])
def test_features_from_elsewhere_have_no_struct(packed, temporal_export, stored):
    empty = Material(temporal_export.x, np.empty((0, 0), np.int16), np.empty(0, np.int64))
    pack = packed(stored, material=empty)
    assert pack.front_end is None and not (pack.folder / "kws_features.h").exists()
    text = (pack.folder / "STEPS.md").read_text()
    assert "The front end is not known here" in text and "`kws_features.h`" not in text
    assert "kws_features.h" not in (pack.folder / "example.cpp").read_text()


def test_without_data_the_bundles_own_clips_have_to_do(packed):
    pack = packed("mfcc", material=None)
    vector = np.load(pack.folder.parent / "bundle" / "test_vector.npz")
    np.testing.assert_array_equal(np.load(pack.folder / "representative_features.npy"), vector["x"])
    text = (pack.folder / "STEPS.md").read_text()
    assert f"the bundle's {len(vector['x'])} test clips alone" in text
    assert not (pack.folder / "test_audio.wav").exists()


def test_a_pack_is_replaced_whole_and_only_when_asked(packed, temporal_export, tmp_path):
    first = packed("logmel")
    other = edge_impulse_bundle.write(temporal_export, tmp_path / "other", "mfcc")
    with pytest.raises(OutputError, match="--overwrite"):
        write_pack(read_bundle(other), first.folder)
    write_pack(read_bundle(other), first.folder, overwrite=True)
    assert not list(first.folder.glob("kws_frontend*"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "lacks model.onnx"),
        (lambda folder: (folder / "labels.txt").write_text("a\nb\n"), "2 labels, the model's output is"),
        (lambda folder: (folder / "labels.txt").write_text("a\nb\nc,d\ne\n"), "labels with commas"),
        (lambda folder: (folder / "model_quantized_int8_io.tflite").write_bytes(b"TFL3"), "cannot be run"),
        (lambda folder: shutil.copy(folder / "model.tflite", folder / "model_quantized_int8_io.tflite"), "not int8"),
        (lambda folder: _open_batch(folder), "reads shape"),
        (lambda folder: _unfinished(folder), r"would not run right in Edge Impulse: .*softmax"),
        (lambda folder: (folder / "frontend.json").write_text("{"), "is not JSON"),
        (lambda folder: _set(folder, num_cepstral=9), "gives 20 x 9 features, the model reads 160"),
        (lambda folder: _set(folder, num_cepstrals=8), "num_cepstrals"),
        (lambda folder: _set(folder, implementation_version=3, low_frequency=0), "device code takes 300"),
        (lambda folder: (folder / "test_vector.npz").write_bytes(b"PK"), "test_vector.npz cannot be read"),
        (lambda folder: _vector(folder, x=np.zeros((2, 3), np.float32)), "has clips of shape"),
        (lambda folder: _vector(folder, int8_output=np.zeros((8, 4), np.int8)), "its outputs differ"),
    ],
)
def test_a_bundle_that_is_not_one_piece_is_refused(temporal_export, tmp_path, spoil, says):
    folder = edge_impulse_bundle.write(temporal_export, tmp_path / "bundle")
    spoil(folder)
    with pytest.raises(ExportError, match=says):
        write_pack(read_bundle(folder), tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def _open_batch(folder):
    """As many exporters write it: the batch has a name, no size."""
    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(model, folder / "model.onnx")


def _unfinished(folder):
    """A classifier without its softmax: Edge Impulse adds none."""
    (folder / "model_quantized_int8_io.tflite").write_bytes(Classifier(softmax=False).content)


def _set(folder, **values):
    path = folder / "frontend.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _vector(folder, **values):
    with np.load(folder / "test_vector.npz") as file:
        np.savez(folder / "test_vector.npz", **{**dict(file), **values})


@pytest.mark.parametrize("features", [np.zeros((4, 9)), np.zeros((0, 160)), np.full((4, 160), np.nan)])
def test_data_that_do_not_fit_are_refused(packed, features):
    with pytest.raises(DataError, match="features"):
        packed("mfcc", material=Material(features, voices(), np.arange(3)))
