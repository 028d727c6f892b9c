import fcntl
import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import refuse, succeed, untouched

from kws_dendrite.export import bundle as bundle_module
from kws_dendrite.output import MARKER
from kws_dendrite.plain import cost, load_graph


@pytest.fixture(scope="module")
def exported(trained_on_arrays, arrays, tmp_path_factory):
    """The bundle of a model on Edge Impulse's own features, and what the command said."""
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    return folder, succeed("export", trained_on_arrays, "--out", folder, "--data", arrays)


def test_for_a_person(exported):
    folder, outcome = exported
    lines = outcome.out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [
        "torch -> plain", "plain -> onnx", "plain -> tflite", "onnx_int8", "tflite_int8", "C",
    ]  # fmt: skip
    assert lines[-1].endswith(f"bundle in {folder}") and " parameters, " in lines[-1]
    assert outcome.err == ""


def test_a_bundle_of_block_arrays_measures_the_same_as_its_checkpoint(exported, trained_on_arrays, arrays):
    folder, _ = exported
    asked = ("--data", arrays, "--split", "validation", "--json")
    checkpoint = json.loads(succeed("evaluate", "--model", trained_on_arrays, *asked).out)
    best = json.loads((trained_on_arrays / "model.json").read_text())["metrics"]["validation_loss"]
    for name in ("graph.npz", "model.onnx", "model.tflite"):
        report = json.loads(succeed("evaluate", "--model", folder / name, *asked).out)
        assert report["accuracy"] == checkpoint["accuracy_members"][int(np.argmin(best))]
        assert report["labels"] == ["0", "1", "2"]


def test_the_front_end_beside_it_says_all_that_is_known(exported):
    folder, _ = exported
    known = {"coefficients": 13, "keeps_level": True, "task": {}}
    assert json.loads((folder / "frontend.json").read_text()) == known
    assert (folder / "labels.txt").read_text() == "0\n1\n2\n"
    assert load_graph(folder / "graph.npz").input.size == 650


def test_fine_tuning_changes_the_int8_files_alone(exported, trained_on_arrays, arrays, tmp_path, monkeypatch):
    from kws_dendrite.training import finetuning

    # Two epochs of a net as small as this one need not be better than none.
    kept = finetuning.finetune_int8

    def moved(graph, *rest, **named):
        result = kept(graph, *rest, **named)
        assert len(result.history) == 2
        head = graph.nodes[-1].inputs[0]
        return replace(result, graph=replace(graph, weights=graph.weights | {head: 1.5 * graph.weights[head]}))

    monkeypatch.setattr(finetuning, "finetune_int8", moved)
    out = tmp_path / "tuned"
    asked = ("export", trained_on_arrays, "--out", out, "--data", arrays, "--finetune-int8", "2")
    outcome = succeed(*asked, "--cache", tmp_path / "cache")
    assert outcome.err.startswith("int8: validation loss ")
    before, after = exported[0], out
    for name in ("graph.npz", "model.tflite"):
        assert (before / name).read_bytes() == (after / name).read_bytes()
    for name in ("model_int8.onnx", "model_quantized_int8_io.tflite"):
        assert (before / name).read_bytes() != (after / name).read_bytes()
    assert "fine-tuned for int8 in 2 epochs" in (after / "MODEL_CARD.md").read_text()
    assert "fine-tuned" not in (before / "MODEL_CARD.md").read_text()
    parity = json.loads((after / "parity.json").read_text())
    assert parity["c"]["equal"] == parity["c"]["clips"]


def test_fine_tuning_on_recordings_takes_the_clips_of_training(trained, speech, cache, tmp_path):
    before = sorted(cache.iterdir())
    asked = ("export", trained, "--out", tmp_path / "tuned", "--data", speech, "--cache", cache)
    outcome = succeed(*asked, "--finetune-int8", "1")
    assert "int8: validation loss " in outcome.err
    assert sorted(cache.iterdir()) == before  # every copy was there


def test_a_constant_for_unknown_goes_into_the_head(trained, speech, tmp_path):
    asked = ("export", trained, "--data", speech)
    plain, leaning = tmp_path / "plain", tmp_path / "leaning"
    succeed(*asked, "--out", plain)
    outcome = succeed(*asked, "--out", leaning, "--unknown-weight", "20")  # little but clips of no word
    assert outcome.err.count("on _unknown_, clips of no word ") == 2
    before, after = (load_graph(folder / "graph.npz") for folder in (plain, leaning))
    index = before.labels.index("_unknown_")
    moved = [
        np.flatnonzero(after.nodes[place].bias != node.bias)
        for place, node in enumerate(before.nodes)
        if getattr(node, "bias", None) is not None and not np.array_equal(after.nodes[place].bias, node.bias)
    ]
    assert [places.tolist() for places in moved] == [[index]]
    assert all(np.array_equal(before.weights[name], after.weights[name]) for name in before.weights)
    assert cost(before) == cost(after)


def test_a_constant_for_unknown_is_refused(trained_on_arrays, arrays, trained, speech, tmp_path):
    out = tmp_path / "new"
    asked = ("export", trained_on_arrays, "--out", out, "--data", arrays, "--unknown-weight", "1")
    refuse(*asked, says="out of recordings; the data folder holds features")
    asked = ("export", trained, "--out", out, "--data", speech, "--unknown-weight", "-1")
    refuse(*asked, says="the weight of unseen words is finite and at least 0, in classes; got -1")
    assert list(tmp_path.iterdir()) == []


def test_a_front_end_of_nothing_will_do(exported, arrays):
    """As a bundle made elsewhere may have it."""
    folder, _ = exported
    before = (folder / "frontend.json").read_bytes()
    try:
        (folder / "frontend.json").write_text("{}")
        succeed("evaluate", "--model", folder, "--data", arrays, "--split", "validation")
    finally:
        (folder / "frontend.json").write_bytes(before)


def test_again_is_refused_without_overwrite(exported, trained_on_arrays, arrays):
    folder, _ = exported
    with untouched(folder):
        refuse("export", trained_on_arrays, "--out", folder, "--data", arrays, says="add --overwrite")


def test_a_folder_in_use_is_refused(exported, trained_on_arrays, arrays):
    folder, _ = exported
    with (folder / MARKER).open() as lock, untouched(folder):
        fcntl.flock(lock, fcntl.LOCK_EX)
        refuse("export", trained_on_arrays, "--out", folder, "--data", arrays, "--overwrite", says="is in use")


def test_a_failure_midway_leaves_the_earlier_bundle(exported, trained_on_arrays, arrays, monkeypatch):
    folder, _ = exported

    def full(*_):
        raise OSError(28, "No space left on device", "model.tflite")

    monkeypatch.setattr(bundle_module, "convert", full)
    with untouched(folder.parent):
        refuse("export", trained_on_arrays, "--out", folder, "--data", arrays, "--overwrite", says="no space left")
        refuse("export", trained_on_arrays, "--out", folder.parent / "new", "--data", arrays, says="no space left")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--member", "2"], "the checkpoint has members 0 to 1; got --member 2"),
        (["--member", "-1"], "Invalid value for '--member'"),
        (["--data", "nowhere"], "nowhere is not"),
        (["--finetune-int8", "-1"], "Invalid value for '--finetune-int8'"),
    ],
)
def test_refuses_options(trained_on_arrays, arrays, tmp_path, options, says):
    refuse("export", trained_on_arrays, "--out", tmp_path / "new", "--data", arrays, *options, says=says)
    assert list(tmp_path.iterdir()) == []


def test_refuses_what_is_no_checkpoint(arrays, speech, tmp_path):
    refuse("export", speech, "--out", tmp_path / "new", "--data", arrays, says="is no checkpoint: it has no model.json")
    assert list(tmp_path.iterdir()) == []
