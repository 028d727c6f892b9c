import json
import shutil

import pytest

from kws_dendrite.errors import DataError
from kws_dendrite.report.results import PARTS, read_run


def test_everything_is_read(run_folder):
    results = read_run(run_folder)
    assert results.synthetic
    assert len(results.trials) + results.unfinished == 66
    assert results.unfinished > 0
    assert results.chosen.number == results.run["chosen"]
    assert len(results.history) == 72
    assert [step.accepted for step in results.growth] == [True, True, False]
    assert [hop.passed for hop in results.hops] == [True, True, True]
    assert (results.hops[0].source, results.hops[0].target) == ("PyTorch", "plain graph")
    assert [row.name for row in results.quantised] == ["ONNX int8", "TFLite int8"]
    assert results.quantised[1].noise["stem"] == pytest.approx(41.3)
    assert [a.name for a in results.artefacts][-1] == "model_quantized_int8_io.tflite"
    assert all(a.accuracy and a.bytes and a.median_us for a in results.artefacts)


@pytest.mark.parametrize("part", PARTS)
def test_any_part_may_be_missing(run_folder, part):
    (run_folder / part).unlink()
    read_run(run_folder)


@pytest.mark.parametrize("part", PARTS)
def test_any_part_may_stand_alone(run_folder, part):
    for other in PARTS:
        if other != part:
            (run_folder / other).unlink()
    read_run(run_folder)


def test_without_a_stated_choice_the_most_accurate_of_the_front(run_folder):
    (run_folder / "run.json").unlink()
    results = read_run(run_folder)
    assert results.chosen.accuracy == max(point.accuracy for point in results.trials)


def test_scored_but_not_timed_artefacts_are_listed(run_folder):
    (run_folder / "benchmark.json").unlink()
    results = read_run(run_folder)
    assert {a.name for a in results.artefacts} == set(results.evaluation["artefacts"])
    assert all(a.bytes is None for a in results.artefacts)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("content", ['{"a": 1,', "", "3", '"text"', "[1]", "\xff", "[" * 100_000])
def test_broken_files_are_one_line_that_names_them(run_folder, part, content):
    (run_folder / part).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        read_run(run_folder)
    assert str(run_folder / part) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("part", "edit"), [
    ("search/trials.json", lambda v: v[0].update(parameters="x")),
    ("search/trials.json", lambda v: v[0].update(params=[1])),
    ("model/model.json", lambda v: v.update(history={"a": 1})),
    ("model/model.json", lambda v: v["history"][0].update(train_loss="x")),
    ("model/model.json", lambda v: v["growth"][0].update(epoch="x")),
    ("benchmark.json", lambda v: v[0].update(bytes=True)),
    ("evaluation.json", lambda v: v.update(artefacts={"a": "b"})),
    ("export/parity.json", lambda v: v["hops"][0].update(worst="x")),
    ("export/parity.json", lambda v: v.update(int8=[1])),
])  # fmt: skip
def test_wrong_types_are_one_line_that_names_the_file(run_folder, part, edit):
    path = run_folder / part
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
    with pytest.raises(DataError) as caught:
        read_run(run_folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_counts_as_missing(run_folder):
    path = run_folder / "search/trials.json"
    value = json.loads(path.read_text())
    before = len(read_run(run_folder).trials)
    value[0]["validation_accuracy"] = float("nan")
    path.write_text(json.dumps(value))
    assert len(read_run(run_folder).trials) == before - 1


def test_no_run_folder(tmp_path, run_folder):
    with pytest.raises(DataError, match="not a folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a folder"):
        read_run(run_folder / "run.json")
    shutil.rmtree(run_folder)
    run_folder.mkdir()
    with pytest.raises(DataError, match="no results"):
        read_run(run_folder)


def test_the_choice_is_a_net_of_its_trial(run_folder):
    def net(accuracy, parameters, dendrites):
        return {"validation_accuracy": accuracy, "parameters": parameters, "dendrites": dendrites}

    trials = [{"number": 4, "arm": "growth", "state": "complete", "points": [net(0.8, 100, 0), net(0.9, 150, 1)]}]
    trials.append({"number": 5, "arm": "plain", "state": "skipped", "points": []})
    (run_folder / "search/trials.json").write_text(json.dumps(trials))
    for stated, key in (({"number": 4, "dendrites": 0}, "4"), ({"number": 4, "dendrites": 1}, "4-1"), (4, "4-1")):
        run = json.loads((run_folder / "run.json").read_text()) | {"chosen": stated}
        (run_folder / "run.json").write_text(json.dumps(run))
        results = read_run(run_folder)
        assert results.chosen.key == key
        assert (len(results.trials), results.unfinished) == (2, 1)
