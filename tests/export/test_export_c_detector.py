"""The C detector equals its Python reference, however the audio is cut; its settings say what they refuse."""

import dataclasses
import json
import shutil
import subprocess

import numpy as np
import pytest
from c_fakes import (
    COEFFICIENTS,
    FRAMES,
    LABELS,
    LENGTH,
    PROBE_C,
    STRICT,
    STRIDE,
    Library,
    compile_c,
    fake_sources,
    needs_cc,
    write,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.c.detector import Detection, DetectorConfig, Levels, detect, emit_detector, levels, smooth

CONFIGS = {
    "defaults": DetectorConfig(),
    "every_frame": DetectorConfig(stride=1, smoothing=1, refractory=0, threshold=0.6, release=0.6),
    "slow": DetectorConfig(stride=3, smoothing=4, refractory=25, threshold={"no": 0.55, "go": 1.0}, release=0.3),
    "long_average": DetectorConfig(stride=8, smoothing=255, refractory=1, threshold=0.4),
    "brisk": DetectorConfig(stride=2, smoothing=1, refractory=7, threshold=0.6, release=0.6),
    "other_background": DetectorConfig(stride=2, smoothing=2, refractory=3, background=("go",), threshold=0.5),
}
quick = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def cut(values, cuts):
    """`values` in consecutive parts, whose lengths go round in `cuts`."""
    parts, start = [], 0
    for index in range(len(values)):
        if start >= len(values):
            break
        parts.append(values[start : start + cuts[index % len(cuts)]])
        start += cuts[index % len(cuts)]
    return parts


def samples_for(decisions, stride):
    """Zeros for exactly that many decisions."""
    return np.zeros(LENGTH + STRIDE * (FRAMES - 1 + (decisions - 1) * stride), np.int16)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    made = {}

    def library(name, scripted):
        if (name, scripted) not in made:
            folder = tmp_path_factory.mktemp(name)
            write(folder, fake_sources(scripted) | emit_detector(LABELS, CONFIGS[name]) | {"probe.c": PROBE_C})
            made[name, scripted] = Library(folder)
        made[name, scripted].reset()
        return made[name, scripted]

    return library


# Stretches in which one label is loud over the others, at values about the thresholds: detections, releases and ties
# are then common.
LOUD, QUIET = (0, 12, 13, 25, 76, 77, 78, 126, 127), (-128, -100, -52, -51, -20, 0, 12)


def stretched(parts):
    """Outputs (N, 5) from [(label, loud, quiet, times)]."""
    rows = [[loud if index == label else quiet for index in range(5)] for label, loud, quiet, _ in parts]
    return np.repeat(np.array(rows, np.int8), [times for *_, times in parts], axis=0)


stretches = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(LOUD), st.sampled_from(QUIET), st.integers(1, 9)),
    min_size=1,
    max_size=25,
).map(stretched)


@needs_cc
@pytest.mark.parametrize("name", CONFIGS)
@quick
@given(outputs=stretches)
def test_c_decides_as_the_reference_does(libraries, name, outputs):
    hold_to_the_reference(libraries(name, True), CONFIGS[name], outputs)


def hold_to_the_reference(library, config, outputs):
    """Push exactly what each decision needs; every smoothed posterior and every detection must be the reference's."""
    library.script(outputs)
    expected, found = smooth(outputs, config.smoothing), []
    start, step = LENGTH + STRIDE * (FRAMES - 1), STRIDE * config.stride_of(FRAMES)
    for index in range(len(outputs)):
        found += library.push(np.zeros(step if index else start, np.int16))
        np.testing.assert_array_equal(library.posteriors(len(LABELS)), expected[index])
    assert found == [dataclasses.astuple(one) for one in detect(outputs, levels(LABELS, config), config, FRAMES)]
    assert library.intact()


def some_outputs(seed, stretches):
    rng = np.random.default_rng(seed)
    return stretched(
        [
            (rng.integers(5), rng.choice(LOUD), rng.choice(QUIET), rng.integers(1, 10 * stretches // 60 + 1))
            for _ in range(stretches)
        ]
    )


@needs_cc
def test_the_longest_average_does_not_overflow(libraries):
    config = CONFIGS["long_average"]
    outputs = np.vstack([np.full((300, 5), 127, np.int8), some_outputs(5, 200)])
    assert len(outputs) > 2 * config.smoothing
    assert len(detect(outputs, levels(LABELS, config), config, FRAMES)) > 1
    hold_to_the_reference(libraries("long_average", True), config, outputs)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "long_average"])
def test_streams_such_as_these_do_detect_and_each_rule_changes_what_is_detected(name):
    config, outputs = CONFIGS[name], some_outputs(4, 60)
    fitted = levels(LABELS, config)
    found = detect(outputs, fitted, config, FRAMES)
    assert len(found) > 2
    if name == "brisk":
        assert detect(outputs, fitted, dataclasses.replace(config, refractory=0), FRAMES) != found
    if name in ("defaults", "slow"):
        loose = Levels(fitted.thresholds, tuple(255 for _ in fitted.releases))
        assert len(detect(outputs, loose, config, FRAMES)) > len(found)


@needs_cc
@pytest.mark.parametrize("name", CONFIGS)
@quick
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 900), cuts=st.lists(st.integers(1, 200), min_size=1))
def test_however_the_audio_is_cut_the_detections_are_the_same(libraries, name, seed, count, cuts):
    library = libraries(name, False)
    samples = np.random.default_rng(seed).integers(-4, 4, count).astype(np.int16)
    single = [one for sample in samples for one in library.push([sample])]
    assert library.intact()
    last = library.posteriors(len(LABELS))
    library.reset()
    assert single == [one for part in cut(samples, cuts) for one in library.push_some(part)]
    np.testing.assert_array_equal(library.posteriors(len(LABELS)), last)
    library.reset()
    short = [min(length, library.max_push) for length in cuts]
    assert single == [one for part in cut(samples, short) for one in library.push(part)]
    library.reset()
    assert library.push(samples) == single[:1]  # beyond the bound: the first


@needs_cc
def test_the_model_that_cuts_are_tested_with_detects_often_and_depends_on_every_sample(libraries):
    library = libraries("every_frame", False)
    samples = np.random.default_rng(0).integers(-4, 4, 3000).astype(np.int16)
    found = library.push_some(samples)
    assert len(found) > 50 and len({label for label, _, _ in found}) > 1
    library.reset()
    assert library.push_some(np.delete(samples, 1000)) != found


@needs_cc
def test_a_push_of_the_bound_holds_one_detection_and_one_sample_more_holds_two(libraries):
    """A word that comes and goes as fast as decisions do is detected as often as the refractory period allows."""
    library = libraries("brisk", True)
    assert library.max_push == 4 * 2 * STRIDE  # 7 frames are 4 decisions of 2 frames
    row = np.full(5, -128, np.int8)
    flicker = np.vstack([row, np.where(np.arange(5) == 2, 127, row)] * 40)
    first = LENGTH + STRIDE * (FRAMES - 1 + 2)  # samples up to the first detection, at the second decision
    samples = np.zeros(first + 6 * library.max_push, np.int16)
    library.script(flicker)
    found = library.push_some(samples)
    assert [frame for _, _, frame in found] == [FRAMES + 1 + 8 * index for index in range(7)]
    for lead in (0, 1, first - 1, first):
        library.reset()
        library.script(flicker)
        parts = [samples[:lead], *cut(samples[lead:], [library.max_push])]
        assert [one for part in parts for one in library.push(part)] == found
    library.reset()
    library.script(flicker)
    assert library.push(samples[: first - 1]) == []
    assert library.push(samples[: library.max_push + 1]) == found[:1]  # two were in it
    assert library.push(samples[: library.max_push]) == found[2:3]


def test_smoothing_is_the_mean_rounded_half_up():
    outputs = np.random.default_rng(1).integers(-128, 128, (40, 3)).astype(np.int8)
    for smoothing in (1, 2, 3, 4, 255):
        expected = [
            np.floor((outputs[max(0, end - smoothing) : end].astype(float) + 128).mean(axis=0) + 0.5 + 1e-9)
            for end in range(1, 41)
        ]
        np.testing.assert_array_equal(smooth(outputs, smoothing), np.array(expected))


def stream(text, labels=("yes", "_noise_"), sure=127):
    """One decision a letter: Y is yes for sure, y half, . nothing."""
    value = {"Y": sure, "y": 0, ".": -128}
    return np.array([[value[letter], -128 if letter == "Y" else -1] for letter in text], np.int8)


@pytest.mark.parametrize(
    ("settings", "decisions", "expected"),
    [
        # With no smoothing: at the threshold, once, until it fell below half.
        ({"smoothing": 1, "refractory": 0}, "..YYYY..YY", [2, 8]),
        ({"smoothing": 1, "refractory": 0}, "..YYyYYyyY", [2]),  # y is 0.5, above the release of 0.4
        ({"smoothing": 1, "refractory": 0, "release": 0.6}, "..YYyYYyyY", [2, 5, 9]),
        # The refractory period is in frames; 2 a decision here.
        ({"smoothing": 1, "refractory": 7}, "Y.Y.Y.Y.Y.Y", [0, 4, 8]),
        ({"smoothing": 1, "refractory": 8}, "Y.Y.Y.Y.Y.Y", [0, 4, 8]),
        ({"smoothing": 1, "refractory": 9}, "Y.Y.Y.Y.Y.Y", [0, 6]),
        # No detection before the average is full, even when it starts loud.
        ({"smoothing": 3, "refractory": 0}, "YYYYY", [2]),
        ({"smoothing": 3, "refractory": 0}, "..YYYY", [4]),
        ({"smoothing": 3, "refractory": 0}, ".YY.YY.YY", []),
    ],
)
def test_rules(settings, decisions, expected):
    config = DetectorConfig(stride=2, **settings)
    found = detect(stream(decisions), levels(("yes", "_noise_"), config), config, 4)
    assert found == tuple(Detection(0, 255, 3 + 2 * index) for index in expected)


def test_a_word_held_high_does_not_hold_back_another():
    config = DetectorConfig(stride=1, smoothing=1, refractory=0, threshold=0.4, release=0.2)
    outputs = np.array([[0, -20], [0, 10], [0, 20], [-10, 20]], np.int8)
    found = detect(outputs, levels(("a", "b"), config), config, 1)
    assert [(one.label, one.frame) for one in found] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("name", ["_silence_", "_anything", "Silence", "UNKNOWN", "noise", "background"])
def test_background_names(name):
    assert levels(("yes", name), DetectorConfig()) == Levels((205, 0), (103, 0))


def test_words_that_only_contain_a_background_name_are_keywords():
    assert all(levels(("noises", "unknown_", "backgrounds"), DetectorConfig()).thresholds)


def test_levels_compare_as_the_probabilities_do():
    for share in (0.001, 0.25, 0.5, 0.8, 0.801, 200 / 256, 255 / 256):
        level = levels(("a",), DetectorConfig(threshold=share)).thresholds[0]
        assert level / 256 >= share > (level - 1) / 256
    assert levels(("a",), DetectorConfig(threshold=1.0)).thresholds == (255,)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stride": 0}, ("stride", "0")),
        ({"stride": 2.5}, ("stride", "2.5")),
        ({"smoothing": 256}, ("smoothing", "256")),
        ({"smoothing": True}, ("smoothing", "True")),
        ({"refractory": -1}, ("refractory", "-1")),
        ({"refractory": 70000}, ("refractory", "70000")),
        ({"threshold": 0}, ("threshold", "0")),
        ({"threshold": 1.01}, ("threshold", "1.01")),
        ({"threshold": float("nan")}, ("threshold", "nan")),
        ({"threshold": {"yes": 80}}, ("threshold", "yes", "80")),
        ({"release": "low"}, ("release", "low")),
        ({"background": "noise"}, ("background", "noise")),
    ],
)
def test_settings_that_cannot_be(fields, words):
    with pytest.raises(ConfigError) as caught:
        DetectorConfig(**fields)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("labels", "fields", "words"),
    [
        (("yes",), {"threshold": {"yess": 0.5}}, ("threshold", "yess", "yes")),
        (("yes", "noise"), {"threshold": {"noise": 0.5}}, ("noise", "background")),
        (("yes", "no"), {"release": {"no": 0.9}}, ("release", "no", "0.9", "0.8")),
        (("noise", "_x"), {}, ("noise", "background")),
        (("yes",), {"background": ("hum",)}, ("background", "hum")),
        (("yes", "yes"), {}, ("yes", "once")),
        ((), {}, ("labels",)),
    ],
)
def test_settings_that_do_not_fit_the_labels(labels, fields, words):
    with pytest.raises(ConfigError) as caught:
        emit_detector(labels, DetectorConfig(**fields))
    assert all(word in str(caught.value) for word in words)


def test_an_output_that_is_no_softmax_is_refused():
    with pytest.raises(ExportError, match=r"softmax.*0\.5"):
        emit_detector(("yes",), output_quantization=(0.5, -128))


def test_outputs_that_do_not_fit_are_refused():
    config = DetectorConfig()
    with pytest.raises(ConfigError, match=r"\(decisions, 1\)"):
        detect(np.zeros((3, 2), np.int8), levels(("a",), config), config, 50)
    with pytest.raises(ConfigError, match=r"51.*50"):
        detect(np.zeros((3, 1), np.int8), levels(("a",), config), DetectorConfig(stride=51), 50)


def test_settings_know_their_json():
    text = json.dumps(DetectorConfig(threshold={"a": 0.5}, background=("b",)).to_json())
    assert json.loads(text) == {
        "stride": None, "smoothing": 3, "threshold": {"a": 0.5}, "release": None, "refractory": None,
        "background": ["b"],
    }  # fmt: skip


@needs_cc
def test_labels_that_would_break_a_comment_and_many_labels_compile(tmp_path):
    labels = ("*/ int broken;", "??/", "ja\nnein", "\\", *(f"word {index}" for index in range(60)))
    sources = fake_sources() | emit_detector(labels)
    sources["kws_model.h"] = sources["kws_model.h"].replace(f"OUTPUT_SIZE {len(LABELS)}", f"OUTPUT_SIZE {len(labels)}")
    write(tmp_path, sources)
    assert max(map(len, sources["kws_detector.h"].splitlines())) <= 120
    compile_c(["cc", *STRICT, "-c", "kws_detector.c"], tmp_path)


@needs_cc
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("kws_model.h", f"OUTPUT_SIZE {len(LABELS)}", "OUTPUT_SIZE 6"), "generated for 5 labels"),
        (("kws_model.h", "(-128)", "0"), "softmax"),
        (("kws_model.h", f"INPUT_SIZE {FRAMES * COEFFICIENTS}", "INPUT_SIZE 17"), "front end's window"),
        (("kws_detector.h", "STRIDE (KWS_FRONTEND_FRAMES < 4 ? 1 : KWS_FRONTEND_FRAMES / 4)", "STRIDE 9"), "unheard"),
    ],
)
def test_parts_that_do_not_fit_do_not_compile(tmp_path, change, words):
    name, old, new = change
    sources = fake_sources() | emit_detector(LABELS)
    assert old in sources[name]
    write(tmp_path, sources | {name: sources[name].replace(old, new)})
    done = subprocess.run(["cc", "-c", "kws_detector.c"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and words in done.stderr


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None,
    reason="needs a cross compiler: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
)
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_cross_compiles_without_floats_or_writable_globals(tmp_path, core):
    write(tmp_path, fake_sources() | emit_detector(LABELS))
    flags = [*STRICT, f"-mcpu={core}", "-mthumb", "-mfloat-abi=soft", "-Os"]
    compile_c(["arm-none-eabi-gcc", *flags, "-c", "kws_detector.c"], tmp_path)
    symbols = compile_c(["arm-none-eabi-nm", "kws_detector.o"], tmp_path).stdout.split("\n")
    wanted = {line.split()[-1] for line in symbols if " U " in f" {line} "}
    assert wanted <= {
        "kws_frontend_reset", "kws_frontend_push", "kws_frontend_quantized", "kws_model_invoke", "memset",
        "__aeabi_uidiv", "__aeabi_uidivmod", "__aeabi_idiv", "__aeabi_idivmod",  # a core without a divider
    }  # fmt: skip
    kinds = {line.split()[1] for line in symbols if len(line.split()) == 3}
    assert kinds <= {"T", "t", "r", "R"}  # no data, no bss
