"""The whole of it on sound: a golden model, the real front end, the detector, in the folder as it is shipped."""

import ctypes
import re
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
from c_fakes import PROBE_C, STRICT, Library, compile_c, needs_cc, write
from test_export_c_package import ARDUINO_HEADERS, cmake, listen, needs_cmake, needs_cxx, wav

from kws_dendrite.export.benchmark.emulator import run
from kws_dendrite.export.benchmark.firmware import BASE, compile_sources, link, sources_of
from kws_dendrite.export.benchmark.targets import find_target
from kws_dendrite.export.benchmark.toolchain import INSTALL, missing
from kws_dendrite.export.c import write_c
from kws_dendrite.export.c.detector import DetectorConfig, detect, levels
from kws_dendrite.frontend import MfccConfig, mfcc

MODEL = Path(__file__).parents[1] / "golden" / "tflite" / "sep14_s2.tflite"  # 50 x 13 features, 12 labels
FRONTEND, FRAMES, STRIDE, READ = MfccConfig(), 50, 320, 256
SCALE, ZERO_POINT = 0.03309673070907593, 8  # of the model's input
LABELS = tuple(f"word{index}" for index in range(12))
# The model's weights are random and its scores of the third label hover about 0.29: levels that it keeps crossing.
DETECTOR = DetectorConfig(
    stride=5, smoothing=2, refractory=20, threshold={"word2": 0.29}, release={"word2": 0.285}, background=LABELS[:2]
)


NO_FPU = ("cortex-m0plus", "cortex-m3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("application") / "words"
    write_c(MODEL, path, labels=LABELS, frontend=FRONTEND, detector=DETECTOR, name="words")
    return path


@pytest.fixture(scope="module")
def sound():
    """Twelve seconds of chirps in noise, int16; the first window's last sample is 0, as the one before its first."""
    rng, rate = np.random.default_rng(3), 16000
    t = np.arange(12 * rate) / rate
    chirps = np.sin(2 * np.pi * (300 + 900 * (t * 1.7 % 1)) * t) * (t % 0.9 < 0.4) * np.linspace(200, 9000, len(t))
    sound = (chirps + rng.normal(0, 1, len(t)) * 300 * (1 + np.sin(t))).astype(np.int16)
    sound[rate - 1] = 0
    return sound


@pytest.fixture(scope="module")
def native(folder, tmp_path_factory):
    """The folder as a library for this machine, with what C calls undefined switched to a stop."""
    path = tmp_path_factory.mktemp("native")
    write(path, {source.name: source.read_text() for source in folder.glob("kws_*.[ch]")} | {"probe.c": PROBE_C})
    return Library(path)


@pytest.fixture(scope="module")
def windows(native, sound):
    """(N, 650) int8, the quantised features of each decision, read from the front end inside the detector."""
    native.reset()
    rows, features = [], np.empty(FRAMES * 13, np.int8)
    quantize, scale = native.library.kws_frontend_quantized, ctypes.c_float(SCALE)
    ends = np.arange(FRAMES - 1, len(sound) // STRIDE, DETECTOR.stride) * STRIDE + READ
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        native.push(sound[start:end])
        # The front end is the detector's first field.
        quantize(native.memory, scale, ZERO_POINT, ctypes.c_void_p(features.ctypes.data))
        rows.append(features.copy())
    return np.array(rows)


def test_the_python_of_the_documentation_writes_a_folder(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "c_library.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "bundle").mkdir()
    shutil.copy(MODEL, tmp_path / "bundle" / "model_quantized_int8_io.tflite")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "c_library.md", "exec"), {})
    assert (tmp_path / "firmware" / "words" / "kws_detector.c").is_file()


@needs_cc
def test_features_are_the_reference_front_ends(windows, sound):
    reference = mfcc(sound[:16000], FRONTEND).ravel()
    exact = reference / SCALE + ZERO_POINT
    assert np.abs(windows[0] - np.clip(exact, -128, 127)).max() < 0.55  # half a step, and a little for float32


def of_tflite(windows):
    """(N, 12) int8, what TFLite's reference kernels say of (N, 650)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(MODEL), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for window in windows:
        interpreter.set_tensor(source, window[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target)[0])
    return np.array(outputs)


def detections(outputs):
    found = detect(outputs, levels(LABELS, DETECTOR), DETECTOR, FRAMES)
    assert len(found) >= 3
    return [(one.label, one.score, one.frame) for one in found]


@needs_cc
def test_detections_are_those_of_tflite_on_the_same_windows(native, windows, sound):
    expected = detections(of_tflite(windows))
    native.reset()
    assert native.push_some(sound) == expected
    native.reset()
    short = [sound[start : start + 100] for start in range(0, len(sound), 100)]
    assert [one for part in short for one in native.push(part)] == expected
    assert native.intact()


# Pushes frame by frame; writes each decision's window and output, and each detection.
LISTENER = """
#include "kws_detector.h"
#include "semihosting.h"
static kws_detector detector;
int main(void) {
    static int16_t samples[KWS_FRONTEND_FRAME_STRIDE];
    const int sound = semihosting_open("sound.bin", SEMIHOSTING_READ_BINARY);
    const int decisions = semihosting_open("decisions.bin", SEMIHOSTING_WRITE_BINARY);
    const int found = semihosting_open("found.bin", SEMIHOSTING_WRITE_BINARY);
    kws_detector_reset(&detector);
    while (semihosting_read(sound, samples, sizeof samples) == sizeof samples) {
        kws_detection detection;
        if (kws_detector_push(&detector, samples, KWS_FRONTEND_FRAME_STRIDE, &detection)) {
            const int32_t row[] = {detection.label, detection.score, (int32_t)detection.frame};
            semihosting_write(found, row, sizeof row);
        }
        if (detector.decisions > 0 && detector.wait == KWS_DETECTOR_STRIDE) {
            semihosting_write(decisions, detector.input, sizeof detector.input);
            semihosting_write(decisions, detector.output, sizeof detector.output);
        }
    }
    semihosting_close(decisions);
    semihosting_close(found);
    return 0;
}
"""


@needs_cc
@pytest.mark.skipif(bool(missing()), reason=f"needs {', '.join(missing())}: {INSTALL}")
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_an_emulated_core_hears_what_tflite_says_of_its_features(folder, windows, sound, tmp_path, core):
    (tmp_path / "listener.c").write_text(LISTENER)
    objects = compile_sources(sources_of(folder), find_target(core), tmp_path / "objects", hooks=None)
    firmware = link(objects, tmp_path, "listener", harness=(*BASE, tmp_path / "listener.c"))
    run(firmware, tmp_path / "run", {"sound.bin": sound.tobytes()})
    rows = np.fromfile(tmp_path / "run" / "decisions.bin", np.int8).reshape(-1, FRAMES * 13 + len(LABELS))
    heard, outputs = rows[:, : FRAMES * 13], rows[:, FRAMES * 13 :]
    assert len(rows) == len(windows)
    np.testing.assert_array_equal(outputs, of_tflite(heard))
    found = np.fromfile(tmp_path / "run" / "found.bin", np.int32).reshape(-1, 3)
    assert [tuple(row) for row in found.tolist()] == detections(outputs)
    if (
        core not in NO_FPU
    ):  # of the fixed-point front end, whose error is its own, the decisions are held, not the features
        steps = np.abs(heard.astype(int) - windows)
        assert steps.max() <= 1 and (steps == 0).mean() > 0.999


@needs_cc
def test_memory_is_what_the_documentation_says(folder, native):
    arena = int(re.search(r"#define KWS_ARENA_BYTES (\d+)", (folder / "kws_model.h").read_text())[1])
    features, labels = FRAMES * FRONTEND.num_cepstral, len(LABELS)
    parts = 4 * features + 4 * (FRONTEND.fft_length + 2) + arena + features + (DETECTOR.smoothing + 6) * labels
    assert 0 <= native.bytes - parts < 60  # counters, and gaps between the parts


@needs_cc
@needs_cmake
def test_the_folder_builds_and_its_example_prints_the_detections(folder, native, sound, tmp_path):
    cmake(folder, tmp_path / "build", f"-DCMAKE_C_FLAGS={' '.join(STRICT)}")
    done = listen(tmp_path / "build" / "kws_host", content=wav(sound))
    native.reset()
    expected = [
        f"{(frame * STRIDE + READ) / 16000:.2f} {LABELS[label]} {score / 256:.2f}"
        for label, score, frame in native.push_some(sound)
    ]
    assert done.stdout.decode().splitlines() == expected and len(expected) >= 3


@needs_cc
@needs_cxx
def test_the_arduino_sketch_links_with_the_shipped_headers(folder, tmp_path):
    write(tmp_path, {name: textwrap.dedent(text) for name, text in ARDUINO_HEADERS.items()})
    sketch = (folder / "examples/arduino_microphone/arduino_microphone.ino").read_text()
    write(tmp_path, {"sketch.cpp": f"#include <Arduino.h>\n{sketch}"})
    compile_c(["cc", *STRICT, "-c", *map(str, sorted(folder.glob("*.c")))], tmp_path)
    objects = [path.name for path in tmp_path.glob("*.o")]
    compile_c(["g++", "-std=gnu++11", "-I.", f"-I{folder}", "-o", "board", "board.cpp", *objects, "-lm"], tmp_path)


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None,
    reason="needs a cross compiler: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
)
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_the_folder_cross_compiles_strictly(folder, tmp_path, core):
    flags = [*STRICT, f"-mcpu={core}", "-mthumb", f"-mfloat-abi={'soft' if core in NO_FPU else 'hard'}", "-Os"]
    compile_c(["arm-none-eabi-gcc", *flags, "-c", *map(str, folder.glob("*.c"))], tmp_path)
