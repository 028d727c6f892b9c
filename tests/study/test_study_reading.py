import json

import numpy as np
import pytest
import torch
from tiny_study import LABELS, make_source, make_study

from kws_dendrite.errors import ConfigError, DataError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.output import write_bytes
from kws_dendrite.study import reading
from kws_dendrite.study.int8 import int8_decisions
from kws_dendrite.study.reading import TestRecord as Record
from kws_dendrite.study.reading import read_test, summary
from kws_dendrite.training.checkpoint import WEIGHTS, load_checkpoint
from kws_dendrite.training.loop import predict


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A trained study whose int8 files decide for class 0; TensorFlow takes seconds."""
    monkeypatch.setattr(reading, "int8_decisions", lambda graphs, _, x: np.zeros((len(graphs), len(x)), np.int64))
    work = make_study(tmp_path / "s", sizes=(150,))
    work.train()
    return work


def read(work, rows=None, **changed):
    return read_test(work.folder, work.store, rows or work.finished(), work.source, **changed)


def test_scores_are_the_checkpoints_own(study):
    read(study)
    clips = study.source.test(None)
    for row in study.finished():
        scores = Record(study.folder).scores(row)
        model = load_checkpoint(study.store.path(row.name)).model
        decided = predict(model, torch.from_numpy(clips.features)).argmax(-1).numpy()
        assert (scores.correct == (decided == clips.labels)).all()
        assert (scores.int8_correct == (clips.labels == 0)).all()
        assert scores.recall == pytest.approx([scores.correct[:, clips.labels == k].mean() for k in range(3)])


def test_it_is_on_record(study):
    (one,) = read(study)
    assert one.finished and one.time.endswith("+00:00")
    assert one.rows == {row.name: row.weights for row in study.finished()}
    assert Record(study.folder).readings() == [one]


def test_a_second_time_nothing_is_read(study):
    first = read(study)

    def refuse(frontend):
        raise AssertionError("read again")

    study.source.test = refuse
    assert read(study) == first


def test_a_row_that_came_later_is_refused_unless_asked_for(study):
    plain, gradient = study.finished()
    read(study, [plain])
    with pytest.raises(ConfigError, match=r"was read on .* before gradient-150 stood as now.*--again"):
        read(study)
    assert Record(study.folder).scores(gradient) is None
    readings = read(study, again=True)
    assert len(readings) == 2
    assert summary(readings)["later"] == ["gradient-150"]
    assert Record(study.folder).scores(gradient) is not None


def test_a_row_trained_anew_has_no_scores_and_no_second_reading(study):
    read(study)
    row = study.finished()[0]
    (study.store.path(row.name) / "row.json").unlink()
    changed = study.store.path(row.name) / WEIGHTS
    checkpoint = changed.read_bytes()
    study.train()
    assert changed.read_bytes() == checkpoint  # training repeats to the bit: the same weights, the same scores
    assert len(read(study)) == 1
    value = json.loads((study.store.path(row.name) / "row.json").read_text())
    value["weights"] = "others"
    (study.store.path(row.name) / "row.json").write_text(json.dumps(value))
    assert Record(study.folder).scores(study.finished()[0]) is None
    with pytest.raises(ConfigError, match="--again"):
        read(study)


def test_weights_that_are_not_the_rows_are_refused(study):
    row = study.finished()[0]
    path = study.store.path(row.name) / WEIGHTS
    write_bytes(path, path.read_bytes() + b" ")
    with pytest.raises(ConfigError, match="weights of plain-150 are not those that were trained"):
        read(study)


def test_interrupted_it_goes_on_with_the_same_rows(study):
    def stop(row, scores):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(study, on_row=stop)
    (begun,) = Record(study.folder).readings()
    assert not begun.finished
    done = []
    (one,) = read(study, on_row=lambda row, scores: done.append(row.name))
    assert (one.time, one.finished, done) == (begun.time, True, ["gradient-150"])


def test_one_process_at_a_time(study):
    def again(row, scores):
        with pytest.raises(OutputError, match="another process reads"):
            read(study)

    read(study, on_row=again)


def test_data_without_test_clips_are_refused(tmp_path):
    work = make_study(tmp_path / "s", arms="plain", sizes=(150,), source=make_source(test=False))
    work.train()
    with pytest.raises(DataError, match="has no test partition"):
        read(work)


def test_correctness_survives_packing(tmp_path, study):
    """30 clips are no whole number of bytes."""
    row = study.finished()[0]
    rng = np.random.default_rng(0)
    speakers = rng.integers(9, size=30)
    scores = reading.TestScores(rng.random((2, 30)) < 0.5, rng.random((2, 30)) < 0.5, np.array([0.1, np.nan]), speakers)
    record = Record(tmp_path)
    record.keep(row, scores)
    found = record.scores(row)
    assert (found.correct == scores.correct).all() and (found.int8_correct == scores.int8_correct).all()
    assert found.recall == pytest.approx(scores.recall, nan_ok=True)
    assert (found.speakers == speakers).all()


def test_int8_decides_as_the_file_that_is_shipped(tmp_path):
    """Through the exporter of a bundle, one member at a time."""
    from kws_dendrite.export import load_predictor, write_tflite_int8

    work = make_study(tmp_path / "s", arms="plain", sizes=(150,))
    work.train()
    model = load_checkpoint(work.store.path("plain-150")).model
    clips, calibration = work.source.test(None), work.source.calibration(None)
    graphs = [fold(model, member, LABELS) for member in range(2)]
    decided = int8_decisions(graphs, calibration, clips.features)
    write_tflite_int8(graphs[1], tmp_path / "one.tflite", calibration)
    alone = load_predictor(tmp_path / "one.tflite").predict(clips.features.reshape(30, -1)).argmax(-1)
    assert decided.shape == (2, 30)
    assert (decided[1] == alone).all()
