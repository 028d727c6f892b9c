"""The learning block as Studio runs it, on arrays in every form; and what it says to mistakes."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess

import numpy as np
import pytest
from block_arrays import (
    COMMAND,
    FLOAT,
    INT8,
    Arrays,
    Outcome,
    accuracies,
    decide,
    four_columns,
    from_one,
    from_zero,
    one_hot,
    run_block,
)

from kws_dendrite.cli import block_files, edge_impulse_block
from kws_dendrite.dendrites.config import MODES
from kws_dendrite.export.predictor import open_tflite

QUICK = ("--epochs", "6", "--seeds", "2")
NAMES = ("helloworld", "noise", "unknown")


@pytest.fixture(scope="module")
def converter():
    """One process with TensorFlow for all the tests that run the block in this process."""
    with block_files.Converter() as shared:
        yield shared


@pytest.fixture
def block(converter, monkeypatch):
    """Run the block in this process: `block(data, out, *arguments)`."""
    monkeypatch.setattr(block_files, "Converter", lambda: contextlib.nullcontext(converter))

    def run(data, out, *arguments):
        monkeypatch.setattr(edge_impulse_block, "START", edge_impulse_block.time.monotonic())
        printed, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
            status = edge_impulse_block.main(
                ["--data-directory", str(data), "--out-directory", str(out), *map(str, arguments)]
            )
        return Outcome(status, printed.getvalue(), complained.getvalue())

    return run


def held_out(data):
    """What the block validates on, where it keeps the split: features and their file's labels."""
    return np.load(data / "X_split_test.npy")


def check_files(outcome, arrays, data, out):
    """Two files and no more; the printed accuracies are theirs."""
    assert outcome.status == 0, outcome.err
    assert sorted(path.name for path in out.iterdir()) == [FLOAT, INT8]
    x, y = held_out(data), arrays.labels("test")
    again = {kind: float((decide(out / name, x) == y).mean()) for kind, name in (("float", FLOAT), ("int8", INT8))}
    assert accuracies(outcome) == again
    assert min(again.values()) > 0.9  # patterns far apart: a net that is any good finds them
    return again


def refused(outcome, says):
    """Exit status 2 and one line that says `says`."""
    assert outcome.status == 2, outcome
    lines = outcome.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), outcome.err
    assert re.search(says, lines[0]), lines[0]


def test_as_studio_runs_it(tmp_path):
    """A process of its own, one-hot rows of float32, 650 features, three classes, names in train_input.json.

    Read through a pipe and without -u: an epoch's line is there while the process goes on.
    """
    arrays = Arrays(tmp_path / "data", names=NAMES, info={"inputShapeString": "(650,)", "maxTrainingTimeSeconds": 600})
    data, out = arrays.write(), tmp_path / "results" / "out"
    command = [word for word in COMMAND if word != "-u"]
    command += ["--data-directory", str(data), "--out-directory", str(out), "--info-file", f"{data}/train_input.json"]
    process = subprocess.Popen(
        [*command, *QUICK, "--balance-classes", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("epoch 1 of"):
            assert process.poll() is None
    outcome = Outcome(process.wait(), "".join(lines), process.stderr.read())
    check_files(outcome, arrays, data, out)
    assert outcome.err == ""
    assert outcome.line("labels: ") == f"labels: one-hot rows; 3 classes: {', '.join(NAMES)}"
    assert outcome.line("data: ") == "data: 72 training and 36 validation clips, 50 frames of 13 coefficients"
    epochs = [line for line in outcome.out.splitlines() if line.startswith("epoch ")]
    assert [line.split(" (")[0] for line in epochs] == [f"epoch {k} of 6" for k in range(1, 7)]
    assert "time limit: 600 s, the export included" in outcome.out


def test_a_limit_of_twenty_seconds_ends_training_and_hands_over(tmp_path):
    """Four columns, 624 features, twelve classes, far more epochs than there is time for."""
    arrays = Arrays(
        tmp_path / "data", classes=12, features=624, form=four_columns, names=[f"word{k}" for k in range(12)],
        info={"maxTrainingTimeSeconds": 20}, rows={"train": 240, "test": 48},
    )  # fmt: skip
    data, out = arrays.write(), tmp_path / "out"
    outcome = run_block(data, out, "--input-file", data / "train_input.json", "--epochs", "100000", "--seeds", "2")
    assert outcome.status == 0, outcome.err
    assert sorted(path.name for path in out.iterdir()) == [FLOAT, INT8]
    x, y = held_out(data), arrays.labels("test")
    assert accuracies(outcome)["int8"] == (decide(out / INT8, x) == y).mean()
    assert "time limit: 20 s" in outcome.out
    assert "time limit: training ends after" in outcome.out or "beginning again with" in outcome.out
    assert "four columns (label index counted from 1" in outcome.out
    trained = re.findall(r"^epoch (\d+) of (\d+)", outcome.out, re.M)
    assert 1 <= int(trained[-1][0]) < 100_000  # when it ends, a clock of the test's own says in the tests of that clock


@pytest.mark.parametrize(
    ("form", "classes", "features", "says"),
    [
        (from_zero, 3, 624, "class indices counted from 0; 3 classes: 0, 1, 2"),
        (from_one, 12, 650, "class indices counted from 1; 12 classes: 0, 1"),
        (four_columns, 3, 650, r"four columns \(label index counted from 1, sample id, start, end\); 3 classes"),
        (one_hot, 12, 624, "one-hot rows; 12 classes"),
    ],
)
def test_every_form_of_labels(tmp_path, block, form, classes, features, says):
    rows = {"train": 24 * classes, "test": 6 * classes}
    arrays = Arrays(tmp_path / "data", classes=classes, features=features, form=form, rows=rows)
    data, out = arrays.write(), tmp_path / "out"
    outcome = block(data, out, "--epochs", "12", "--seeds", "2")
    check_files(outcome, arrays, data, out)
    assert re.search(f"^labels: {says}", outcome.out, re.M), outcome.out
    assert f"{features // 13} frames of 13 coefficients" in outcome.out


@pytest.mark.slow
@pytest.mark.parametrize("form", [one_hot, from_zero, from_one, four_columns])
@pytest.mark.parametrize(("features", "classes"), [(650, 12), (624, 3)])
def test_every_form_in_a_process_of_its_own(tmp_path, form, features, classes):
    rows = {"train": 24 * classes, "test": 6 * classes}
    arrays = Arrays(tmp_path / "data", classes=classes, features=features, form=form, rows=rows)
    data, out = arrays.write(), tmp_path / "out"
    check_files(run_block(data, out, "--epochs", "12", "--seeds", "2"), arrays, data, out)


@pytest.fixture(scope="module")
def files(tmp_path_factory, converter):
    """(data, out) of one run in this process; read only."""
    place = tmp_path_factory.mktemp("files")
    data, out = Arrays(place / "data").write(), place / "out"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(block_files, "Converter", lambda: contextlib.nullcontext(converter))
        assert edge_impulse_block.main(["--data-directory", str(data), "--out-directory", str(out), *QUICK]) == 0
    return data, out


@pytest.mark.parametrize(("name", "dtype"), [(FLOAT, np.float32), (INT8, np.int8)])
def test_the_files_have_the_borders_that_the_device_code_takes(files, name, dtype):
    """Not uint8, batch 1, no open dimension, one input and one output, softmax in the graph at its fixed scale."""
    interpreter = open_tflite(files[1] / name)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["dtype"] == target["dtype"] == dtype
    assert source["shape"].tolist() == source["shape_signature"].tolist() == [1, 650]
    assert target["shape"].tolist() == target["shape_signature"].tolist() == [1, 3]
    if dtype == np.int8:
        assert target["quantization"] == (1 / 256, -128)
    operators = [row["op_name"] for row in interpreter._get_ops_details()]
    assert operators[0] == "RESHAPE" and operators[-1] == "SOFTMAX"
    x = np.load(files[0] / "X_split_test.npy")[:5]
    for row in x:
        if dtype == np.float32:
            interpreter.set_tensor(source["index"], row[None])
            interpreter.invoke()
            assert interpreter.get_tensor(target["index"]).sum() == pytest.approx(1, abs=1e-5)


def test_dense_layers_have_one_scale(files):
    """Per-channel weights of FULLY_CONNECTED go silently wrong in Edge Impulse's SDK."""
    interpreter = open_tflite(files[1] / INT8)
    tensors = {row["index"]: row for row in interpreter.get_tensor_details()}
    dense = [row for row in interpreter._get_ops_details() if row["op_name"] == "FULLY_CONNECTED"]
    assert dense
    for row in dense:
        assert len(tensors[row["inputs"][1]]["quantization_parameters"]["scales"]) == 1


def test_windows_longer_than_a_second_are_taken(tmp_path, block):
    arrays = Arrays(tmp_path / "data", features=74 * 13)
    outcome = block(arrays.write(), tmp_path / "out", *QUICK)
    assert outcome.status == 0 and "74 frames of 13 coefficients" in outcome.out


def test_nothing_passed_takes_the_defaults_and_says_so(tmp_path, block, monkeypatch):
    from kws_dendrite.cli import block_training

    seen = {}

    def plan(settings, bank):
        seen.update(settings.values)
        raise KeyboardInterrupt

    monkeypatch.setattr(block_training, "plan_one", plan)
    outcome = block(Arrays(tmp_path / "data").write(), tmp_path / "out")
    assert outcome.status == 130
    assert "no parameters were passed: every value is the default" in outcome.out
    assert seen["epochs"] == 100 and seen["mode"] == "train" and seen["dendrites"] == "none"
    assert re.search(r"^  epochs +100 +\(default\)$", outcome.out, re.M)
    assert not any((tmp_path / "out").iterdir())


def test_a_cloned_projects_strings_are_used_and_named(tmp_path, block):
    data = Arrays(tmp_path / "data").write()
    outcome = block(
        data, tmp_path / "out", "--epochs", '"3.0"', "--seeds", "2", "--balance-classes", "true", "--dendrites", "true",
        "--family", "", "--learning_rate", "0.02", "--num-cepstral", "26", "--auto-weight-classes", "false", "--gpu",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    said = dict(re.findall(r"^  ([\w-]+) +(\S+) +\(", outcome.out, re.M))
    assert said["epochs"] == "3" and said["balance-classes"] == "1" and said["dendrites"] == "gradient"
    assert said["family"] == "separable" and said["learning-rate"] == "0.02" and said["coefficients"] == "26"
    assert "passed as 'true'" in outcome.out and "default; '' was passed" in outcome.out
    assert "warning: not parameters of this block, ignored: --auto-weight-classes false --gpu" in outcome.out
    assert "25 frames of 26 coefficients" in outcome.out
    assert "dendrites: gradient" in outcome.out


def test_class_balance_reaches_the_training(tmp_path, block, monkeypatch):
    from kws_dendrite.cli import block_training

    seen = []
    real = block_training.train
    monkeypatch.setattr(
        block_training,
        "train",
        lambda model, bank, config, **rest: seen.append(config) or real(model, bank, config, **rest),
    )
    data = Arrays(tmp_path / "data").write()
    for value in ("0", "1"):
        assert block(data, tmp_path / value, *QUICK, "--balance-classes", value).status == 0
    assert [config.word_balance for config in seen] == [0, 1]


def test_recordings_in_several_windows_are_kept_on_one_side(tmp_path, block):
    arrays = Arrays(tmp_path / "data", rows={"train": 96, "test": 24})
    data = arrays.write()
    windows = np.arange(120) // 12 * 3 + np.arange(120) % 3  # four windows a recording, one class each
    mixed = np.random.default_rng(1).permutation(120)
    order = np.concatenate([np.sort(mixed[:96]), np.sort(mixed[96:])])
    x = np.concatenate([np.load(data / f"X_split_{split}.npy") for split in ("train", "test")])
    np.save(data / "X_split_train.npy", x[order[:96]])
    np.save(data / "X_split_test.npy", x[order[96:]])
    labels = np.concatenate([np.arange(96) % 3, np.arange(24) % 3])[order]
    np.save(data / "Y_split_train.npy", np.eye(3)[labels[:96]])
    np.save(data / "Y_split_test.npy", np.eye(3)[labels[96:]])
    ids = windows[order].tolist()
    (data / "sample_id_details.json").write_text(json.dumps({"train": ids[:96], "validation": ids[96:]}))
    outcome = block(data, tmp_path / "out", *QUICK)
    assert outcome.status == 0, outcome.err
    assert re.search(r"^split: \d+ recordings have windows on both sides; split anew by recording", outcome.out, re.M)


def test_features_that_keep_the_level_have_it_taken_off_in_the_graph(tmp_path, block):
    def raise_levels(arrays):
        for split in ("train", "test"):
            x = arrays[f"X_split_{split}"]
            x += np.random.default_rng(len(x)).uniform(-2, 2, (len(x), 1)).astype(np.float32)

    data = Arrays(tmp_path / "data").write(raise_levels)
    outcome = block(data, tmp_path / "out", *QUICK)
    assert outcome.status == 0, outcome.err
    assert "level: these features keep each clip's level" in outcome.out
    interpreter = open_tflite(tmp_path / "out" / FLOAT)
    answers = []
    for shift in (0, 5):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], held_out(data)[:1] + np.float32(shift))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_allclose(*answers, atol=1e-4)


def test_a_search_stays_within_the_limit(tmp_path, block):
    arrays = Arrays(tmp_path / "data")
    data = arrays.write()
    outcome = block(
        data, tmp_path / "out", "--mode", "search", "--max-params", "700", "--trials", "2", "--epochs", "8",
        "--seeds", "2", "--dendrites", "gradient",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert len(re.findall(r"^trial \d of 4 \((?:plain|gradient)\): ", outcome.out, re.M)) == 4
    parameters = int(outcome.line("net: ").split()[1].replace(",", ""))
    assert parameters <= 700
    assert {path.name for path in (tmp_path / "out").iterdir()} == {FLOAT, INT8}
    assert "counts in mode train alone" in outcome.out


@pytest.mark.parametrize(("dendrites", "epochs"), [("none", 2), ("gradient", 3), ("perforated", 7), ("growth", 7)])
def test_a_search_in_the_fewest_epochs_that_are_not_refused(tmp_path, block, dendrites, epochs):
    outcome = block(
        Arrays(tmp_path / "data").write(), tmp_path / "out", "--mode", "search", "--dendrites", dendrites, "--epochs",
        epochs, "--trials", "1", "--seeds", "1", "--max-params", "900",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert int(outcome.line("net: ").split()[1].replace(",", "")) <= 900


def test_a_search_without_a_fitting_trial_takes_the_widest_plain_net(tmp_path, block):
    data = Arrays(tmp_path / "data").write()
    outcome = block(
        data, tmp_path / "out", "--mode", "search", "--max-params", "145", "--trials", "1", "--epochs", "4",
        "--seeds", "1", "--seed", "3",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "none of 1 trials is within the limit; taking the widest plain net" in outcome.out
    assert int(outcome.line("net: ").split()[1]) <= 145


def test_a_limit_below_every_net_is_refused_with_the_smallest_size(tmp_path, block):
    data = Arrays(tmp_path / "data").write()
    outcome = block(data, tmp_path / "out", "--mode", "search", "--max-params", "50")
    refused(outcome, r"max-params is 50; the smallest net for 3 classes of such features has \d+: raise")


def test_growth_is_trained_and_told(tmp_path, block):
    arrays = Arrays(tmp_path / "data")
    data, out = arrays.write(), tmp_path / "out"
    outcome = block(data, out, "--epochs", "10", "--seeds", "2", "--dendrites", "growth")
    check_files(outcome, arrays, data, out)
    assert re.search(r"^dendrite 1 \(growth\): validation loss .*, (kept|rolled back)$", outcome.out, re.M)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_dendrites_has_a_plan(tmp_path, mode):
    from kws_dendrite.cli.block_parameters import read_arguments
    from kws_dendrite.cli.block_training import plan_one
    from kws_dendrite.data import load_block_arrays

    data = Arrays(tmp_path / "data").write()
    settings = read_arguments(["--data-directory", str(data), "--out-directory", "out", "--dendrites", mode])
    assert plan_one(settings, load_block_arrays(data)).growth.mode == mode


def spoil(name, change):
    def apply(data):
        values = np.load(data / f"{name}.npy")
        np.save(data / f"{name}.npy", change(values))

    return apply


def set_nan(values):
    values[4, 7] = np.nan
    return values


def write(name, text):
    return lambda data: (data / name).write_text(text)


BAD_ARRAYS = {
    "features that do not divide": (spoil("X_split_train", lambda x: x[:, :649]), "no multiple .*; set coefficients"),
    "splits of two widths": (spoil("X_split_test", lambda x: x[:, :624]), "train clips have 50 x 13 features, test"),
    "NaN": (spoil("X_split_train", set_nan), r"row 4 holds NaN or infinite features \(1 such rows\)"),
    "huge features": (spoil("X_split_train", lambda x: x * np.float32(1e36)), "look for infinite or all-zero features"),
    "labels that do not match": (spoil("Y_split_train", lambda y: y[:-1]), "has 72 rows, Y_split_train.npy 71; fetch"),
    "one clip over and over": (spoil("X_split_train", lambda x: 0 * x), "all 72 clips have the same features; look at"),
    "no array": (lambda data: (data / "X_split_test.npy").unlink(), r"X_split_test.npy does not exist"),
    "no labels": (lambda data: (data / "Y_split_train.npy").unlink(), r"Y_split_train.npy does not exist"),
    "an empty validation split": (spoil("X_split_test", lambda x: x[:0]), "no clip to validate on; set the validation"),
    "soft labels": (spoil("Y_split_test", lambda y: 0.5 * y), "not one-hot"),
    "one class": (spoil("Y_split_train", lambda y: np.eye(3)[0 * y.argmax(1)]), "one class alone"),
    "regression": (write("train_input.json", '{"mode": "regression"}'), "asks for regression"),
    "too few names": (write("train_input.json", '{"classes": ["one"]}'), "lists 1 classes, the labels have 3"),
    "JSON that is none": (write("train_input.json", "{"), "no readable JSON"),
    "ids of another number": (
        write("sample_id_details.json", '{"train": [1], "validation": []}'), "lists 1 train ids for 72 rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_one_line_and_leave_the_output_alone(tmp_path, block, case):
    change, says = BAD_ARRAYS[case]
    data, out = Arrays(tmp_path / "data").write(), tmp_path / "out"
    out.mkdir()
    (out / INT8).write_bytes(b"earlier")
    change(data)
    refused(block(data, out, *QUICK), says)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {INT8: b"earlier"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--epochs", "many"), "epochs is a whole number; got 'many'"),
        (("--epochs", "0"), "epochs is at least 1"),
        (("--learning-rate", "-1"), "learning-rate is at least 0"),
        (("--family", "seperable"), "did you mean separable"),
        (("--mode", "tune"), "mode is one of train, search"),
        (("--dendrites", "spiny"), "dendrites is one of none, gradient"),
        (("--coefficients", "40"), "650 features a clip, no multiple of 40 .*these divide: 10, 13, 25, 26, 50, 65"),
        (("--dendrites", "gradient", "--epochs", "1"), "epochs is 1; dendrites gradient in mode train take 2 at least"),
        (("--dendrites", "growth", "--epochs", "2"), "epochs is 2; dendrites growth in mode train take 3 at least"),
        (("--mode", "search", "--epochs", "1"), "epochs is 1; dendrites none in mode search take 2 at least"),
        (
            ("--mode", "search", "--dendrites", "growth", "--epochs", "6"),
            "epochs is 6; dendrites growth in mode search take 7 at least",
        ),
    ],
)
def test_bad_parameters_are_one_line(tmp_path, block, arguments, says):
    refused(block(Arrays(tmp_path / "data").write(), tmp_path / "out", *arguments), says)
    assert not any((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else True


@pytest.mark.parametrize("place", ["a file", "a file/below"])
def test_an_output_that_cannot_be_written_is_found_before_training(tmp_path, block, place):
    data = Arrays(tmp_path / "data").write()
    (tmp_path / "a file").write_text("mine")
    outcome = block(data, tmp_path / place, *QUICK)
    refused(outcome, "cannot write .*a file")
    assert "epoch " not in outcome.out
    assert (tmp_path / "a file").read_text() == "mine"


@pytest.mark.parametrize("arguments", [[], ["--data-directory"], ["--data-directory", "in", "--out-directory", ""]])
def test_no_folders_passed(capsys, converter, monkeypatch, arguments):
    monkeypatch.setattr(block_files, "Converter", lambda: contextlib.nullcontext(converter))
    assert edge_impulse_block.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"error: --(data|out)-directory is missing; Studio .* pass it, name a folder\n", said.err)


def test_a_failed_conversion_writes_nothing(tmp_path, block, converter, monkeypatch):
    """Not even a model of zeros."""
    from kws_dendrite.errors import ExportError

    def fail(graph, calibration, folder):
        raise ExportError("the converter refused")

    monkeypatch.setattr(converter, "convert", fail)
    refused(block(Arrays(tmp_path / "data").write(), tmp_path / "out", *QUICK), "the converter refused")
    assert not any((tmp_path / "out").iterdir())


def test_a_converter_that_died_is_named(tmp_path):
    from kws_dendrite.errors import ExportError
    from kws_dendrite.fold import fold
    from kws_dendrite.models import SeparableConfig, build_model

    graph = fold(build_model(SeparableConfig(8, 4, 3, channels=3)), 0, ("a", "b", "c"))
    with block_files.Converter() as own:
        own.process.kill()
        with pytest.raises(ExportError, match="TensorFlow's converter ended with status -9"):
            own.convert(graph, np.zeros((2, 32), np.float32), tmp_path)


def test_ctrl_c_in_a_terminal_does_not_reach_the_converter(converter):
    assert os.getsid(converter.process.pid) != os.getsid(os.getpid())


def test_files_that_do_not_do_what_the_net_does_are_not_handed_over(tmp_path, block, monkeypatch):
    """A file of other weights is caught by its numbers, whoever wrote it."""
    from kws_dendrite.plain import Graph

    real = block_files.save_graph

    def other_weights(graph, path):
        real(Graph(graph.nodes, {name: 0 * value for name, value in graph.weights.items()}, graph.labels), path)

    monkeypatch.setattr(block_files, "save_graph", other_weights)
    outcome = block(Arrays(tmp_path / "data").write(), tmp_path / "out", *QUICK)
    refused(outcome, "plain -> tflite: probabilities differ by|scale|zero")
    assert not any((tmp_path / "out").iterdir())


def test_another_blocks_results_are_warned_of(tmp_path, block):
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.onnx").write_bytes(b"another")
    outcome = block(Arrays(tmp_path / "data").write(), out, *QUICK)
    assert outcome.status == 0
    assert "holds model.onnx, which is not of this run and which Studio would convert, too" in outcome.out


def test_ctrl_c_hands_over_the_best_so_far(tmp_path, block, monkeypatch):
    real = edge_impulse_block.say

    def say(line):
        real(line)
        if line.startswith("epoch 3 of"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(edge_impulse_block, "say", say)
    out = tmp_path / "out"
    outcome = block(Arrays(tmp_path / "data").write(), out, "--epochs", "100000", "--seeds", "1")
    assert outcome.status == 130
    assert "epoch 3 of 100000" in outcome.out and "epoch 5 of 100000" not in outcome.out
    assert set(accuracies(outcome)) == {"float", "int8"}
    assert {path.name for path in out.iterdir()} == {FLOAT, INT8}


@pytest.mark.parametrize("when", ["parameters:", "split: "])
def test_ctrl_c_before_the_training_writes_nothing(tmp_path, block, monkeypatch, when):
    def say(line):
        if line.startswith(when):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(edge_impulse_block, "say", say)
    outcome = block(Arrays(tmp_path / "data").write(), tmp_path / "out", *QUICK)
    assert outcome.status == 130 and outcome.err == "interrupted\n"
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
