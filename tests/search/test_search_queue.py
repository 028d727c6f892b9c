from dataclasses import replace

import optuna
import pytest
from tiny_search import CONFIG, hashed_trial, search

from kws_dendrite.errors import ConfigError
from kws_dendrite.search import hand as hand_module
from kws_dendrite.search.queue import DRAWS, LIVES, Slots
from kws_dendrite.search.trial import Outcome

FAIL, RUNNING, COMPLETE = (optuna.trial.TrialState[name] for name in ("FAIL", "RUNNING", "COMPLETE"))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)


def begin(study, arm: str):
    """Take the next slot and leave it running, as a worker that is killed does."""
    with study.store.turn():
        assert study.queue.take() == arm
        (waiting,) = [t for t in study.studies[arm].trials if t.state.name == "WAITING"]
        study.store.storage.set_trial_state_values(waiting._trial_id, RUNNING)
    return waiting


def test_slots_are_taken_in_the_order_of_turns(tmp_path):
    study = search(tmp_path)
    study.store.sign_in("me")
    taken = []
    for arm in ("plain", "gradient") * 3:
        entry = begin(study, arm)
        study.store.storage.set_trial_user_attr(entry._trial_id, "run", {"worker": "me"})
        taken.append((arm, entry.user_attrs["slot"]))
    assert taken == [(arm, k) for k in range(3) for arm in ("plain", "gradient")]
    with study.store.turn():
        assert study.queue.take() is None and not study.queue.over()


def test_an_orphan_is_trained_again_as_drawn_and_a_live_one_is_left(tmp_path, quick):
    study = search(tmp_path)
    study.store.sign_in("alive")
    orphan, live = begin(study, "plain"), begin(study, "plain")
    assert orphan.user_attrs["slot"] == live.user_attrs["slot"] == 0  # the first was lost before it was signed
    study.store.storage.set_trial_user_attr(live._trial_id, "run", {"worker": "alive"})
    other = search(tmp_path)
    with other.store.turn():
        assert other.queue.take() == "gradient"
    assert [t.state for t in other.studies["plain"].trials] == [FAIL, RUNNING]
    study.store.sign_out("alive")
    with other.store.turn():
        assert other.queue.take() == "plain"
    (again,) = [t for t in other.studies["plain"].trials if t.state.name == "WAITING"]
    assert again.user_attrs == {"slot": 0, "attempt": 0, "tries": 3}


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_was_drawn_stays_whatever_the_sampler_learned_since(tmp_path, quick, monkeypatch, end):
    def run_trial(*arguments, **settings):
        raise end

    with monkeypatch.context() as patch, pytest.raises(end):
        patch.setattr(hand_module, "run_trial", run_trial)
        search(tmp_path).run()
    (drawn,) = search(tmp_path).studies["plain"].trials
    usual = hand_module.SlotSampler
    monkeypatch.setattr(hand_module, "SlotSampler", lambda seed, arm: usual(seed + 1, arm))
    plain = [trial for trial in search(tmp_path).run() if trial.arm == "plain"]
    assert plain[0].params == drawn.params and plain[0].recipe == drawn.user_attrs["proposal"]["train"]
    assert plain[1].params != drawn.params


def test_a_trial_that_takes_its_workers_with_it_is_given_up(tmp_path, quick):
    config = replace(CONFIG, trials=1, arms=("plain",))
    study = search(tmp_path, config)
    for _ in range(LIVES):
        begin(study, "plain")
    with study.store.turn():
        assert study.queue.take() is None and study.queue.over()
    (trial,) = study.records()
    assert trial.state == "failed" and trial.why.startswith(f"{LIVES} workers ended while they trained it")
    assert study.results() == []


@pytest.fixture
def limited(monkeypatch):
    """Draws of three channels and more are over a limit."""

    def run_trial(proposal, *arguments, **settings):
        if proposal.model.channels > 2:
            return Outcome("skipped", f"{proposal.model.channels} channels are over 2")
        return hashed_trial(proposal, *arguments, **settings)

    monkeypatch.setattr(hand_module, "run_trial", run_trial)


def test_a_skipped_draw_is_drawn_anew(tmp_path, limited):
    seen = []
    study = search(tmp_path)
    results = study.run(seen.append)
    assert [t.slot for t in results if t.arm == "plain"] == [0, 1, 2] and seen == results
    skipped = [t for t in study.records() if t.state == "skipped"]
    assert skipped and {t.why for t in skipped} <= {"3 channels are over 2", "4 channels are over 2"}
    for trial in results:
        before = [t for t in skipped if (t.arm, t.slot) == (trial.arm, trial.slot)]
        assert [t.attempt for t in before] == list(range(trial.attempt))
        assert {t.number for t in before} <= {trial.number}
        assert trial.params not in [t.params for t in before]
    assert len({(t.number, t.attempt) for t in study.records()}) == len(study.records())


def test_what_the_sampler_learns_from_is_no_skipped_draw(tmp_path, limited):
    study = search(tmp_path)
    study.run()
    states = {t.user_attrs.get("end"): t.state for t in study.studies["plain"].trials}
    assert states == {None: COMPLETE, "skipped": FAIL}


def test_limits_that_nothing_is_within_end_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(hand_module, "run_trial", lambda *_, **__: Outcome("skipped", "all are over it"))
    monkeypatch.setattr("kws_dendrite.search.queue.DRAWS", 7)
    study = search(tmp_path)
    with pytest.raises(ConfigError, match="7 draws of one trial were all over a limit, the last one because all are"):
        study.run()
    assert DRAWS > 100 and sum(t.state == "skipped" for t in study.records()) == 7


def test_what_somebody_enqueues_by_hand_is_not_run(tmp_path, quick):
    study = search(tmp_path)
    study.studies["plain"].enqueue_trial({"separable.channels": 99})
    assert len(study.run()) == 6
    assert study.studies["plain"].trials[0].user_attrs == {"end": "double"}


def test_a_second_entry_of_a_slot_is_needless(tmp_path, quick):
    study = search(tmp_path)
    for _ in range(2):  # as when a database restarts between the question and its answer
        study.studies["plain"].enqueue_trial({}, user_attrs={"slot": 0, "attempt": 0, "tries": 1})
    assert len(study.run()) == 6
    ends = [(t.user_attrs["slot"], t.state, t.user_attrs.get("end")) for t in study.studies["plain"].trials[:2]]
    assert ends == [(0, COMPLETE, None), (0, FAIL, "double")]


def test_of_two_that_ended_the_first_counts(tmp_path, quick):
    study = search(tmp_path)
    study.run()
    first = study.results()
    copy = optuna.trial.create_trial(values=[2.0, 1.0], user_attrs={"slot": 0, "attempt": 0, "tries": 1})
    study.studies["plain"].add_trial(copy)
    assert study.results() == first
    assert Slots.of(study.studies["plain"].trials).ended[0].number == 0


def test_fewer_trials_leave_what_waits(tmp_path, quick):
    many = search(tmp_path, replace(CONFIG, trials=3))
    many.studies["plain"].enqueue_trial({}, user_attrs={"slot": 2, "attempt": 0, "tries": 1})
    assert len(search(tmp_path, replace(CONFIG, trials=1)).run()) == 2
    assert len(search(tmp_path, replace(CONFIG, trials=3)).run()) == 6
