import json
import re
from dataclasses import replace

import numpy as np
import optuna
import pytest
from tiny_search import CONFIG, SHARED, SPACE, bank, hashed_trial, search, timeless

from kws_dendrite.errors import ConfigError, DataError, OutputError
from kws_dendrite.search import ARMS, DEFAULT, Limits, Objective, Range, Search, SearchConfig
from kws_dendrite.search import hand as hand_module
from kws_dendrite.search import study as search_study
from kws_dendrite.search.journal import open_journal
from kws_dendrite.search.limits import why_over
from kws_dendrite.search.sampler import STARTUP_TRIALS
from kws_dendrite.search.stopping import StoppingRule
from kws_dendrite.search.storage import JOURNAL
from kws_dendrite.search.trial import Outcome
from kws_dendrite.training.config import TrainConfig


@pytest.fixture
def quick(monkeypatch):
    """Training that takes no time: the accuracy is a hash of what was drawn."""
    calls = []

    def run_trial(proposal, *arguments, **settings):
        calls.append(proposal)
        return hashed_trial(proposal, *arguments, **settings)

    monkeypatch.setattr(hand_module, "run_trial", run_trial)
    return calls


class Killed(BaseException):
    """The process ends; no handler of ours runs."""


def test_every_arm_gets_its_trials_and_the_arms_take_turns(tmp_path, quick):
    seen = []
    results = search(tmp_path, replace(CONFIG, arms=ARMS)).run(seen.append)
    assert [result.arm for result in results] == list(ARMS) * 3
    assert [result.number for result in results] == list(range(3 * len(ARMS)))
    assert seen == results
    assert len(quick) == 3 * len(ARMS)
    assert all(result.growth is None for result in results if result.arm == "plain")
    for arm in set(ARMS) - {"plain"}:
        assert {result.growth["mode"] for result in results if result.arm == arm} == {arm}


def test_the_first_draws_are_paired_over_the_arms(tmp_path, quick):
    results = search(tmp_path, replace(CONFIG, arms=ARMS)).run()
    for k in range(CONFIG.trials):
        plain, *others = results[len(ARMS) * k : len(ARMS) * (k + 1)]
        for other in others:
            assert {name: other.params[name] for name in SHARED} == {name: plain.params[name] for name in SHARED}
    assert len({result.params["train.learning_rate"] for result in results}) == CONFIG.trials


def test_another_seed_draws_otherwise(tmp_path, quick):
    one = search(tmp_path / "one").run()
    other = search(tmp_path / "other", replace(CONFIG, seed=4)).run()
    assert [result.params for result in one] != [result.params for result in other]


@pytest.mark.parametrize(("way", "trials"), [("between", 3), ("asked", 3), ("killed", STARTUP_TRIALS + 2)])
def test_resumed_is_uninterrupted(tmp_path, quick, monkeypatch, trials, way):
    config = replace(CONFIG, trials=trials)
    whole = search(tmp_path / "whole", config).run()
    stops, count = {2, trials, 2 * trials - 1}, 0

    def interrupt(result):
        raise KeyboardInterrupt

    ordinary = hand_module.run_trial

    def run_trial(*arguments, **settings):
        nonlocal count
        count += 1
        if count in stops:
            raise Killed if way == "killed" else KeyboardInterrupt
        return ordinary(*arguments, **settings)

    if way != "between":
        monkeypatch.setattr(hand_module, "run_trial", run_trial)
    for _ in range(3):
        with pytest.raises(Killed if way == "killed" else KeyboardInterrupt):
            search(tmp_path / "parts", config).run(interrupt if way == "between" else lambda result: None)
    resumed = search(tmp_path / "parts", config).run()
    assert timeless(resumed) == timeless(whole)


def test_a_journal_cut_at_any_byte_goes_on_as_if_nothing_had_happened(tmp_path, quick):
    config = replace(CONFIG, trials=2)
    whole = search(tmp_path / "whole", config).run()
    content = (tmp_path / "whole" / JOURNAL).read_bytes()
    first = content.index(b"\n") + 1
    for number, cut in enumerate(np.linspace(first, len(content) - 1, 12).astype(int)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / JOURNAL).write_bytes(content[:cut])
        assert timeless(search(folder, config).run()) == timeless(whole)


def test_real_training_resumed_is_uninterrupted(tmp_path):
    config = replace(CONFIG, trials=1, members=2, train=TrainConfig(epochs=8, batch_size=12), arms=ARMS)
    whole = search(tmp_path / "whole", config).run()

    def interrupt(result):
        if result.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", config).run(interrupt)
    resumed = search(tmp_path / "parts", config).run()
    assert timeless(resumed) == timeless(whole)
    assert all(0 <= accuracy <= 1 for result in whole for accuracy in result.validation_accuracy_members)
    assert len(whole[0].validation_accuracy_members) == 2
    json.dumps([result.to_json() for result in whole], allow_nan=False)


def test_more_trials_later_and_fewer(tmp_path, quick):
    few = search(tmp_path).run()
    many = search(tmp_path, replace(CONFIG, trials=5)).run()
    assert len(many) == 10 and timeless(many[:6]) == timeless(few)
    assert timeless(search(tmp_path).run()) == timeless(few)
    assert len(quick) == 10


def test_an_arm_may_join_but_not_be_forgotten(tmp_path, quick):
    first = replace(CONFIG, arms=("plain",), stop_hopeless=False)
    search(tmp_path, first).run()
    both = search(tmp_path).run()
    assert [result.arm for result in both] == ["plain", "gradient"] * 3
    with pytest.raises(ConfigError, match="has the arm gradient too"):
        search(tmp_path, first)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("members", {"members": 2}),
        ("seed", {"seed": 4}),
        ("recipe epochs", {"train": TrainConfig(epochs=9)}),
        (
            "recipe batch_size, recipe label_smoothing",
            {"train": TrainConfig(epochs=8, batch_size=9, label_smoothing=0)},
        ),
        ("space model", {"space": SPACE.with_dims(separable__channels=Range(2, 5, log=True))}),
        ("data", {"summary": {"digest": "4567"}}),
        ("task unknown", {"summary": {"task": {"unknown": False}}}),
        ("augmentation copies", {"summary": {"augmentation": {"copies": 6}}}),
        ("front end block", {"bank": {"frontend": {"block": "mfe"}}}),
        ("labels", {"bank": {"labels": ("a", "b", "d")}}),
        ("limits max_params", {"limits": Limits(max_params=400), "also": "limits core, "}),
        ("stopping hopeless", {"stop_hopeless": True}),
        ("stopping risk", {"rule": StoppingRule(risk=0.2)}),
        ("maximise", {"objective": Objective(maximise="loss")}),
    ],
)
@pytest.mark.parametrize("arms", [("plain", "gradient"), ("gradient", "plain", "perforated")])
def test_changed_settings_are_named_and_nothing_is_written(tmp_path, quick, name, change, arms):
    search(tmp_path).run()
    before = (tmp_path / JOURNAL).read_bytes()
    data = replace(bank(), **change.get("bank", {}))
    data = replace(data, summary=data.summary | change.get("summary", {}))
    settings = {key: value for key, value in change.items() if key in SearchConfig.__dataclass_fields__}
    with pytest.raises(ConfigError) as caught:
        search(tmp_path, replace(CONFIG, arms=arms, **settings), data, change.get("space", SPACE))
    names = re.sub(r" \([^)]*\)", "", str(caught.value))  # without what each was and is
    assert re.search(f"started with another {change.get('also', '')}{name}[;,]", names)
    assert (tmp_path / JOURNAL).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"not a journal\n",
        b"\x00\xff\xfe\n\x01",
        b'{"op_code": 0}\n',
        b"[]\n",
        b'{"op_code": 99, "worker_id": "x"}\n',
    ],
)
def test_a_damaged_journal_is_one_line_and_stays(tmp_path, content):
    (tmp_path / JOURNAL).write_bytes(content)
    with pytest.raises(OutputError, match=r"journal\.log is damaged or not a search's journal") as caught:
        search(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / JOURNAL).read_bytes() == content


def test_damage_in_the_middle_is_refused(tmp_path, quick):
    search(tmp_path).run()
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:20] + b"\n"
    (tmp_path / JOURNAL).write_bytes(b"".join(lines))
    with pytest.raises(OutputError, match="is damaged"):
        search(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        search(tmp_path / "file" / "below")


def test_too_few_epochs_are_refused_before_any_trial(tmp_path, quick):
    config = SearchConfig(trials=1, members=1, train=TrainConfig(epochs=6))
    with pytest.raises(ConfigError, match="6 epochs leave none for 3 cycles after 4 candidate and probe epochs"):
        search(tmp_path / "new", config)
    assert not quick and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, "at least 1"),
        ({"members": 0}, "at least 1"),
        ({"arms": ()}, "got none"),
        ({"arms": ("plain", "plain")}, "each once"),
        ({"arms": ("plain", "dendritic")}, "got plain, dendritic"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        SearchConfig(**settings)


@pytest.mark.parametrize(("name", "value"), [("__version__", "9.9"), ("FORMAT", 99)])
def test_another_version_is_refused_by_name(tmp_path, quick, monkeypatch, name, value):
    search(tmp_path).run()
    monkeypatch.setattr(search_study, name, value)
    with pytest.raises(ConfigError, match=r"another version \(.+\); resume it with the same, or name another"):
        search(tmp_path)


def test_a_journal_from_before_there_were_slots_is_refused(tmp_path):
    storage = open_journal(tmp_path / JOURNAL)
    optuna.create_study(study_name="plain", storage=storage, directions=["maximize", "minimize"])
    with pytest.raises(ConfigError, match="started with another version, before there were workers; name another"):
        search(tmp_path)


def test_a_study_that_no_search_made_is_refused(tmp_path):
    storage = open_journal(tmp_path / JOURNAL)
    optuna.create_study(study_name="search/plain", storage=storage)
    with pytest.raises(ConfigError, match="has a study search/plain that no search made; name another folder"):
        search(tmp_path)


def test_a_study_that_was_just_created_when_its_process_ended_is_taken_on(tmp_path, quick):
    storage = open_journal(tmp_path / JOURNAL)
    optuna.create_study(study_name="search/plain", storage=storage, directions=["maximize", "minimize"])
    assert len(search(tmp_path).run()) == 6


def fails_at(monkeypatch, numbers, error) -> list[int]:
    ordinary, calls = hand_module.run_trial, []

    def run_trial(*arguments, **settings):
        calls.append(len(calls))
        if len(calls) in numbers:
            raise error
        return ordinary(*arguments, **settings)

    monkeypatch.setattr(hand_module, "run_trial", run_trial)
    return calls


def test_a_trial_that_fails_unforeseen_does_not_end_the_search(tmp_path, quick, monkeypatch):
    calls = fails_at(monkeypatch, {3}, RuntimeError("of\ntwo lines"))
    study = search(tmp_path)
    assert len(study.run()) == 5 and len(calls) == 6
    (failed,) = [trial for trial in study.records() if trial.state == "failed"]
    assert (failed.number, failed.why) == (2, "RuntimeError: of two lines")
    (entry,) = [t for t in study.studies["plain"].trials if "traceback" in t.user_attrs]
    assert "in run_trial" in entry.user_attrs["traceback"]
    assert len(search(tmp_path).run()) == 5 and len(calls) == 6


def test_where_all_fail_unforeseen_it_ends(tmp_path, quick, monkeypatch):
    calls = fails_at(monkeypatch, range(99), RuntimeError("of a bug"))
    with pytest.raises(RuntimeError, match="of a bug"):
        search(tmp_path, replace(CONFIG, trials=9)).run()
    assert len(calls) == hand_module.BROKEN


def test_an_error_of_the_data_ends_it_and_costs_no_trial(tmp_path, quick, monkeypatch):
    calls = fails_at(monkeypatch, range(2, 20), DataError("no clips"))
    for _ in range(8):
        with pytest.raises(DataError, match="no clips"):
            search(tmp_path).run()
    assert len(calls) == 9
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)
    study = search(tmp_path)
    assert len(study.run()) == 6 and {trial.tries for trial in study.records()} == {1}


def test_hopeless_trials_are_stopped_where_there_is_one_arm(tmp_path, monkeypatch):
    asked = {}

    def run_trial(*arguments, stop, **settings):
        asked.setdefault(len(arms), []).append(stop)
        return hashed_trial(*arguments, **settings)

    monkeypatch.setattr(hand_module, "run_trial", run_trial)
    rule = StoppingRule(checks=(0.5,), risk=0.5, audit=2)
    for arms in (("plain",), ("plain", "growth")):
        search(tmp_path / str(len(arms)), replace(CONFIG, trials=4, arms=arms, rule=rule)).run()
    assert asked[1] == [rule.may_stop(slot) for slot in range(4)] and any(asked[1])
    assert not any(asked[2])


def test_the_default_space_is_told_in_the_journal(tmp_path, quick):
    study = Search(tmp_path, bank(), CONFIG).studies["plain"]
    assert study.user_attrs["made_of"]["space"] == json.loads(json.dumps(DEFAULT.to_json()))


def test_what_is_over_a_limit_in_one_arm_is_drawn_anew_in_all(tmp_path, monkeypatch):
    """So the random start stays paired: the grown nets are the larger ones."""

    def run_trial(proposal, data, members, seed, objective, limits, **settings):
        broken = why_over(proposal, limits, objective)
        return Outcome("skipped", broken) if broken else hashed_trial(proposal, data, members, seed, objective)

    monkeypatch.setattr(hand_module, "run_trial", run_trial)
    config = replace(CONFIG, trials=STARTUP_TRIALS, arms=("plain", "gradient"), limits=Limits(max_params=60))
    study = search(tmp_path, config)
    results = study.run()
    skipped = [trial.why for trial in study.records() if trial.state == "skipped" and trial.arm == "plain"]
    assert any("its pair in the arm gradient: parameter count" in why for why in skipped)
    assert any(trial.attempt for trial in results)
    for plain, gradient in zip(results[::2], results[1::2], strict=True):
        assert (plain.slot, plain.attempt) == (gradient.slot, gradient.attempt)
        assert {name: plain.params.get(name) for name in SHARED} == {name: gradient.params.get(name) for name in SHARED}
