import json
from dataclasses import replace
from datetime import datetime

import pytest
from tiny_search import CONFIG, SPACE, bank, hashed_trial, search

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.search import Limits, Search, TrialResult, parse_objective
from kws_dendrite.search import hand as hand_module
from kws_dendrite.search.records import (
    Saver,
    check_kept,
    read_settings,
    read_trials,
    save_settings,
    save_trials,
    saved_trials,
    write_trials,
)
from kws_dendrite.search.trial import Outcome


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)


@pytest.fixture
def every_state(tmp_path, monkeypatch):
    """A search that was interrupted in its fifth trial."""
    ends = iter(["complete", "skipped", "complete", "stopped", "failed", "interrupted"])

    def run_trial(*arguments, **settings):
        end = next(ends)
        if end == "interrupted":
            raise KeyboardInterrupt
        outcome = hashed_trial(*arguments, **settings)
        if end == "complete":
            return outcome
        return replace(outcome, state=end, why=f"it was {end}", points=outcome.points[:1] if end == "stopped" else ())

    monkeypatch.setattr(hand_module, "run_trial", run_trial)
    study = search(tmp_path)
    study.save_settings()
    with pytest.raises(KeyboardInterrupt):
        study.run()
    return study


def test_every_state_has_its_record(every_state):
    states = [(trial.number, trial.attempt, trial.state, trial.why) for trial in every_state.records()]
    assert states == [
        (0, 0, "complete", None),
        (1, 0, "skipped", "it was skipped"),
        (1, 1, "complete", None),
        (2, 0, "stopped", "it was stopped"),
        (3, 0, "failed", "it was failed"),
        (4, 0, "waiting", None),
        (5, 0, "waiting", None),
    ]
    assert [trial.number for trial in every_state.results()] == [0, 1, 2]
    assert {trial.slot for trial in every_state.records()} == {0, 1, 2}


def test_a_trial_as_json_is_the_trial(every_state):
    for trial in every_state.records():
        assert TrialResult.from_json(json.loads(json.dumps(trial.to_json(), allow_nan=False))) == trial


def test_the_folder_alone_tells_the_trials(every_state, tmp_path):
    records = every_state.records()
    assert read_trials(tmp_path) == records
    assert write_trials(tmp_path) == records == saved_trials(tmp_path)
    (tmp_path / "journal.log").unlink()  # as where a database has them
    assert read_trials(tmp_path) == records


def test_a_running_trial_is_told_by_whom(tmp_path, monkeypatch):
    seen = []

    def run_trial(*arguments, **settings):
        seen.append(read_trials(tmp_path)[0])
        return hashed_trial(*arguments, **settings)

    monkeypatch.setattr(hand_module, "run_trial", run_trial)
    study = search(tmp_path)
    study.save_settings()
    study.run()
    running = seen[0]
    assert running.state == "running" and running.worker == study.worker and running.ended is None
    assert running.architecture["family"] == "separable" and running.recipe["epochs"] == 8 and running.params


def test_a_clock_that_steps_does_not_count(tmp_path, monkeypatch):
    """Durations are by a clock that does not step; the end is the beginning and the duration."""
    times = iter(["2026-03-29T03:00:00.000+00:00", "2026-03-29T01:00:00.000+00:00"])
    monkeypatch.setattr(hand_module, "now", lambda: next(times))
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)
    study = search(tmp_path, replace(CONFIG, trials=2, arms=("plain",)))
    first, second = study.run()
    assert second.started < first.started
    for trial in (first, second):
        passed = datetime.fromisoformat(trial.ended) - datetime.fromisoformat(trial.started)
        assert 0 <= passed.total_seconds() < 60 and passed.total_seconds() == pytest.approx(trial.seconds, abs=2e-3)


def test_points_are_on_the_objective_and_the_trial_on_its_last(tmp_path, quick):
    config = replace(CONFIG, objective=parse_objective("macs", "loss"))
    trial = search(tmp_path, config).run()[1]
    assert trial.arm == "gradient" and [point.dendrites for point in trial.points] == list(range(len(trial.points)))
    last = trial.points[-1]
    assert (trial.parameters, trial.validation_accuracy, trial.dendrites) == (
        last.parameters, last.validation_accuracy, last.dendrites
    )  # fmt: skip
    assert trial.objective == {"name": "macs", "label": "Multiply-accumulates of a clip", "value": last.value}
    assert trial.merit == -last.loss and trial.maximise == "loss"
    assert trial.candidates()[0].growth is None


def test_settings_say_what_was_searched(tmp_path, quick):
    config = replace(CONFIG, limits=Limits(max_params=5000))
    study = search(tmp_path, config)
    study.save_settings(data_folder="/data")
    settings = read_settings(tmp_path)
    assert settings["arms"] == ["plain", "gradient"] and settings["trials"] == 3 and settings["epochs"] == 8
    assert settings["objective"] == {"name": "params", "label": "Folded parameters", "maximise": "accuracy"}
    assert settings["limits"]["max_params"] == 5000 and settings["data"] == bank().summary
    assert settings["storage"] is None and settings["data_folder"] == "/data" and not settings["stop_hopeless"]


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "has no search.json"), ("{", "is not JSON"), ("{}", "another version"), ("[]", "another version"),
     ('{"format": 1}', "another version")],
)  # fmt: skip
def test_settings_that_are_none(tmp_path, content, says):
    if content is not None:
        (tmp_path / "search.json").write_text(content)
    with pytest.raises(DataError, match=says):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "has no trials.json"),
        ("[", "is not what a search"),
        ("[1]", "is not what"),
        ('[{"number": 1}]', "is not"),
    ],
)
def test_trials_that_are_none(tmp_path, content, says):
    if content is not None:
        (tmp_path / "trials.json").write_text(content)
    with pytest.raises(DataError, match=says):
        saved_trials(tmp_path)


def test_a_line_a_trial(every_state, tmp_path):
    save_trials(tmp_path, every_state.records())
    lines = (tmp_path / "trials.json").read_text().splitlines()
    assert len(lines) == 2 + len(every_state.records())
    save_trials(tmp_path, [])
    assert json.loads((tmp_path / "trials.json").read_text()) == []


def test_saving_takes_a_small_share_of_the_time(every_state, tmp_path):
    written = []
    saver = Saver(tmp_path, every_state.ledger)
    saver.ledger = every_state.ledger
    for _ in range(50):
        saver.save()
        written.append((tmp_path / "trials.json").stat().st_ino)
    assert len(set(written)) == 1
    saver.save(now=True)
    assert (tmp_path / "trials.json").stat().st_ino != written[0]


def test_a_stopped_trial_counts_with_the_points_that_it_had(every_state):
    stopped = every_state.records()[3]
    assert len(stopped.candidates()) == 1 and Outcome("stopped").saved == 0


@pytest.mark.parametrize(
    ("held", "url", "name", "says"),
    [
        ({"storage": "postgresql://a:***@b/c"}, None, "search", "is kept in postgresql://a:***@b/c; give it with"),
        ({"storage": None}, "postgresql://a:b@c/d", "search", "is kept in its journal; leave out --storage"),
        ({"storage": None}, None, "other", "has the name search, not other; give --study-name search"),
    ],
)
def test_a_folder_whose_search_is_kept_elsewhere_begins_no_other_one(tmp_path, held, url, name, says):
    save_settings(tmp_path, {"study": "search", **held})
    with pytest.raises(ConfigError) as caught:
        Search(tmp_path, bank(), CONFIG, SPACE, url=url, name=name)
    assert says in str(caught.value) and ":b@" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


@pytest.mark.parametrize("content", [None, "no JSON", '{"format": 1, "storage": "elsewhere"}'])
def test_a_folder_that_says_nothing_is_taken(tmp_path, content):
    if content is not None:
        (tmp_path / "search.json").write_text(content)
    check_kept(tmp_path, None, "search")
