"""The folder as one call writes it: what is in it, and what is refused before anything is written."""

import subprocess
import sys
from pathlib import Path

import pytest
from tflite_builder import TFLiteBuilder

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.benchmark.subject import open_subject
from kws_dendrite.export.c import write_c
from kws_dendrite.frontend import MfccConfig, to_json
from kws_dendrite.output import MARKER

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "tflite"
MODEL = GOLDEN / "sep14_s2.tflite"  # 50 x 13 features, 12 classes
LABELS = tuple(f"word{index}" for index in range(12))
TASK = {"window_seconds": 1.0, "silence": True}


def test_the_files(tmp_path):
    made = write_c(MODEL, tmp_path / "c", labels=LABELS, frontend=to_json(MfccConfig()) | {"task": TASK})
    names = {str(path.relative_to(made.folder)) for path in made.folder.rglob("*") if path.is_file()}
    assert names == {*made.files, MARKER}
    assert {"kws_model.c", "kws_frontend.c", "kws_detector.c", "CMakeLists.txt", "LICENSE", "README.md"} <= names
    assert (made.folder / "LICENSE").read_bytes() == (GOLDEN.parents[2] / "LICENSE").read_bytes()
    sources = list(made.folder.rglob("kws_*.[ch]"))
    assert all("SPDX-License-Identifier: Apache-2.0" in path.read_text()[:80] for path in sources
               if not path.name.startswith(("kws_frontend_tables", "kws_detector")))  # fmt: skip


def test_the_model_alone_has_what_it_uses_and_no_more(tmp_path):
    made = write_c(MODEL, tmp_path / "c")
    assert not any(
        name.startswith(("kws_frontend", "kws_detector", "kws_max_pool", "kws_table")) for name in made.files
    )
    assert {"kws_conv.c", "kws_depthwise.c", "kws_sum.c", "kws_average_pool.c", "kws_softmax.c"} <= set(made.files)


def test_the_same_bytes_again(tmp_path):
    for name in "ab":
        write_c(MODEL, tmp_path / name, labels=LABELS, frontend=MfccConfig())
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()} for name in "ab")
    assert one == two


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": LABELS[:3]}, "3 labels for a model of 12"),
        ({"labels": "abcdefghijkl"}, "different names"),
        ({"labels": ("a",) * 12}, "different names"),
        ({"frontend": MfccConfig(num_cepstral=12)}, "no multiple of the 12"),
        ({"frontend": MfccConfig(num_cepstral=10), "frames": 50}, "windows of 50 frames"),
        ({"frontend": to_json(MfccConfig(frame_stride=0.01)) | {"task": TASK}}, "its own front end|the model's own"),
    ],
)
def test_what_does_not_fit(options, words, tmp_path):
    with pytest.raises(ExportError, match=words):
        write_c(MODEL, tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


def test_a_name_that_arduino_refuses(tmp_path):
    with pytest.raises(ConfigError, match="name is"):
        write_c(MODEL, tmp_path / "c", name="Arduino words")


def test_more_classes_than_the_softmax_has(tmp_path):
    builder = TFLiteBuilder()
    source, target = builder.activation((1, 512), 0.1, 0), builder.activation((1, 512), 1 / 256, -128)
    builder.operator("SOFTMAX", [source], target)
    (tmp_path / "wide.tflite").write_bytes(builder.content(source, target))
    with pytest.raises(ExportError, match="512 classes"):
        write_c(tmp_path / "wide.tflite", tmp_path / "c")


def test_from_a_shell(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "kws_dendrite.export.c", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    assert "bytes of working memory" in run(MODEL, tmp_path / "c").stdout
    again = run(MODEL, tmp_path / "c")
    assert again.returncode == 2 and again.stderr.startswith("error: ") and "--overwrite" in again.stderr
    missing = run(tmp_path / "none.tflite", tmp_path / "d")
    assert missing.returncode == 2 and missing.stderr.count("\n") == 1


def test_sources_of_another_model_are_not_measured(tmp_path):
    (tmp_path / "model_quantized_int8_io.tflite").write_bytes(MODEL.read_bytes())
    write_c(GOLDEN / "sep14_s1.tflite", tmp_path / "c")
    with pytest.raises(ExportError, match="was not written from"), open_subject(tmp_path):
        pass
