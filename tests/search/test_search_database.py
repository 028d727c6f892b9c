import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import optuna
import postgres
import pytest
from many_workers import (
    every_slot_ended_once,
    the_front_is_that_of_the_rows,
    the_random_start_is_that_of_one_worker,
)
from tiny_search import CONFIG, Opener, bank, hashed_trial, search, timeless

from kws_dendrite.errors import ConfigError, ServiceError
from kws_dendrite.search import hand as hand_module
from kws_dendrite.search.database import parse_url, show
from kws_dendrite.search.records import read_trials
from kws_dendrite.search.workers import Crew

BEAT = {"heartbeat": 1, "grace": 3}


@pytest.fixture(scope="module")
def server():
    with postgres.server() as running:
        yield running


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)


def test_four_workers_two_killed_and_the_database_restarted(server, tmp_path, monkeypatch):
    url, config = server.database("many"), replace(CONFIG, trials=12)
    settings = {"url": url, "name": "night", **BEAT}
    watch = search(tmp_path, config, **settings)
    told = []
    opener = Opener(tmp_path, config, 0.3, killed=(5, 14), settings=tuple(settings.items()))
    restarted = []

    def restart():
        while not opener.begun(9):
            time.sleep(0.02)
        server.stop()
        time.sleep(0.5)
        server.start()
        restarted.append(True)

    operator = threading.Thread(target=restart)
    operator.start()
    Crew(opener, 4, tmp_path, told.append).run()
    operator.join()
    assert restarted and sum("killed by SIGKILL" in line for line in told) == 2
    every_slot_ended_once(watch)
    the_front_is_that_of_the_rows(watch)
    assert sum(trial.tries - 1 for trial in watch.records()) >= 2
    rows = server.sql("SELECT count(*), max(trial_id) FROM trials", "many")
    # The database itself, asked without Optuna: every slot of every study has one complete row.
    counted = server.sql(
        "SELECT count(*), count(DISTINCT (t.study_id, a.value_json)) FROM trials t JOIN trial_user_attributes a "
        "ON a.trial_id = t.trial_id AND a.key = 'slot' WHERE t.state = 'COMPLETE'",
        "many",
    )
    assert counted == "24|24"

    def never(*_, **__):
        raise AssertionError("a trial was repeated")

    monkeypatch.setattr(hand_module, "run_trial", never)
    again = search(tmp_path / "elsewhere", config, **settings)
    assert timeless(again.run()) == timeless(watch.results())
    assert server.sql("SELECT count(*), max(trial_id) FROM trials", "many") == rows
    monkeypatch.setattr(hand_module, "run_trial", hashed_trial)
    alone = search(tmp_path / "alone", config)
    alone.run()
    the_random_start_is_that_of_one_worker(watch, alone)
    for each in (watch, again):
        each.close()


def test_no_file_has_the_password(server, tmp_path, quick):
    study = search(tmp_path, url=server.database("secret"), name="x", **BEAT)
    settings = study.save_settings()
    study.run()
    assert settings["storage"] == "postgresql://kws:***@/secret"
    written = b"".join(path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file())
    assert written and postgres.PASSWORD.encode() not in written and postgres.URL_PASSWORD.encode() not in written
    assert read_trials(tmp_path, server.url("secret")) == study.records()
    study.close()


def test_a_heartbeat_is_there_before_a_trial_runs(server, tmp_path, quick):
    study = search(tmp_path, url=server.database("beats"), name="x", **BEAT)
    with study.store.turn():
        study.queue.take()
    entry = study.studies["plain"].trials[0]
    assert server.sql("SELECT count(*) FROM trial_heartbeats", "beats") == "0"
    study.store.storage.set_trial_state_values(entry._trial_id, optuna.trial.TrialState.RUNNING)
    assert server.sql("SELECT count(*) FROM trial_heartbeats", "beats") == "1"
    study.close()


def test_a_worker_elsewhere_in_time_is_not_called_dead(server, tmp_path, quick, monkeypatch):
    """Clocks and time zones of workers do not count: beats are compared by the database's clock."""
    url = server.database("zones")
    study = search(tmp_path, url=url, name="x", **BEAT)
    with study.store.turn():
        study.queue.take()
    entry = study.studies["plain"].trials[0]._trial_id
    study.store.storage.set_trial_state_values(entry, optuna.trial.TrialState.RUNNING)
    study.store.tables.record_heartbeat(entry)
    time.sleep(max(0.0, BEAT["grace"] + 0.5 - float(server.sql(UP))))  # so that it is not the server's own age
    monkeypatch.setenv("PGTZ", "America/Los_Angeles")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        study.store.tables.record_heartbeat(entry)
        other = search(tmp_path / "other", url=url, name="x", **BEAT)
        assert other.store.tables._get_stale_trial_ids(other.studies["plain"]._study_id) == []
        server.sql("UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '4 seconds'", "zones")
        assert other.store.tables._get_stale_trial_ids(other.studies["plain"]._study_id) == [entry]
    finally:
        monkeypatch.undo()
        time.tzset()
    for each in (study, other):
        each.close()


UP = "SELECT extract(epoch FROM now() - pg_postmaster_start_time())"


def test_an_entry_that_was_given_to_another_counts_once(server, tmp_path, monkeypatch):
    """A worker that could not be heard for too long goes on training: what it finds is void."""
    url = server.database("void")
    config = replace(CONFIG, trials=1, arms=("plain",))
    other = search(tmp_path / "other", config, url=url, name="x", **BEAT)
    calls = []

    def slow(*arguments, **settings):
        calls.append(1)
        if len(calls) == 1:
            (entry,) = other.studies["plain"].trials
            other.store.storage.set_trial_state_values(entry._trial_id, optuna.trial.TrialState.FAIL)
            other.run()
        return hashed_trial(*arguments, **settings)

    monkeypatch.setattr(hand_module, "run_trial", slow)
    study = search(tmp_path, config, url=url, name="x", **BEAT)
    seen = []
    study.run(seen.append)
    assert len(calls) == 2 and seen == []
    assert [t.state.name for t in study.studies["plain"].trials] == ["FAIL", "COMPLETE"]
    assert [t.tries for t in study.records()] == [2]
    for each in (study, other):
        each.close()


def test_trials_that_are_trained_together_all_show_signs_of_life(server, tmp_path, monkeypatch):
    beats = []

    def together(proposals, *arguments, stops, **settings):
        beats.append(server.sql("SELECT count(*) FROM trial_heartbeats", "together"))
        running = [t.state.name for t in watch.studies["plain"].trials]
        assert running == ["RUNNING"] * 3
        return [hashed_trial(proposal, *arguments) for proposal in proposals]

    monkeypatch.setattr(hand_module, "run_together", together)
    config = replace(CONFIG, arms=("plain",), companions=3)
    study = search(tmp_path, config, url=server.database("together"), name="x", **BEAT)
    watch = search(tmp_path / "watch", config, url=server.url("together"), name="x", **BEAT)
    assert [trial.slot for trial in study.run()] == [0, 1, 2]
    assert beats == ["3"]
    for each in (study, watch):
        each.close()


def test_two_searches_share_a_database(server, tmp_path, quick):
    url = server.database("shared")
    one = search(tmp_path / "one", url=url, name="one", **BEAT)
    other = search(tmp_path / "other", replace(CONFIG, seed=5), url=url, name="other", **BEAT)
    assert len(one.run()) == len(other.run()) == 6
    assert {t.number for t in one.results()} == set(range(6))
    with pytest.raises(
        ConfigError, match=r"study one was started with another seed \(3, here 5\); .* another --study-name"
    ):
        search(tmp_path / "third", replace(CONFIG, seed=5), url=url, name="one", **BEAT)
    for each in (one, other):
        each.close()


def test_a_name_that_another_kind_of_study_has(server, tmp_path):
    url = server.database("taken")
    storage = optuna.storages.RDBStorage(parse_url(url).render_as_string(hide_password=False))
    study = optuna.create_study(study_name="x/plain", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("a", 0, 1), n_trials=1)
    with pytest.raises(ConfigError, match="a study x/plain that no search made; give another --study-name"):
        search(tmp_path, url=url, name="x", **BEAT)
    storage.engine.dispose()


def test_tables_of_another_version(server, tmp_path):
    url = server.database("version")
    search(tmp_path, url=url, name="x", **BEAT).close()
    server.sql("UPDATE alembic_version SET version_num = 'v2.6.0.a'", "version")
    with pytest.raises(ServiceError, match="made by another version of Optuna") as caught:
        search(tmp_path, url=url, name="x", **BEAT)
    assert_one_line(caught)
    server.sql("DROP TABLE studies CASCADE; CREATE TABLE studies (study_id text)", "version")
    server.sql("UPDATE alembic_version SET version_num = 'v3.2.0.a'", "version")
    with pytest.raises(ServiceError, match="cannot be used") as caught:
        search(tmp_path, url=url, name="x", **BEAT)
    assert_one_line(caught)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
    ],
)
def test_a_database_that_refuses(server, tmp_path, change, says):
    with pytest.raises(ServiceError, match=says) as caught:
        search(tmp_path, url=server.url(**change), name="x", **BEAT)
    assert_one_line(caught)


def test_a_database_that_is_not_there(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(ServiceError, match="does not answer") as caught:
        search(tmp_path, url=f"postgresql://kws:{postgres.URL_PASSWORD}@/x?host={tmp_path}", name="x", **BEAT)
    assert_one_line(caught)


def test_a_database_that_stops_for_good_in_the_middle(tmp_path, monkeypatch):
    with postgres.server() as own:
        study = search(tmp_path, url=own.database("gone"), name="x", patience=0.5, **BEAT)

        def stop(*arguments, **settings):
            own.stop()
            return hashed_trial(*arguments, **settings)

        monkeypatch.setattr(hand_module, "run_trial", stop)
        with pytest.raises(ServiceError, match="nothing that was finished is lost") as caught:
            study.run()
        assert_one_line(caught)
        own.start()
        monkeypatch.setattr(hand_module, "run_trial", hashed_trial)
        assert len(search(tmp_path, url=own.url("gone"), name="x", **BEAT).run()) == 6


def test_ctrl_c_does_not_wait_for_a_database_that_is_away(tmp_path, monkeypatch):
    with postgres.server() as own:
        study = search(tmp_path, url=own.database("away"), name="x", patience=3600.0, **BEAT)

        def stop(*arguments, **settings):
            own.stop()
            raise KeyboardInterrupt

        monkeypatch.setattr(hand_module, "run_trial", stop)
        with pytest.raises(KeyboardInterrupt):
            study.run()
        with pytest.raises(ServiceError):
            study.results()


def assert_one_line(caught) -> None:
    text = str(caught.value)
    assert "\n" not in text and "s3cret" not in text and "%7B" not in text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://a:b@c/d", "takes postgresql://user:password@host/database; got mysql://a:\\*\\*\\*@c/d"),
        ("postgresql://a:b@c", "without a database's name"),
        ("sqlite:///x.db", "got sqlite:///x.db"),
        ("night", "no URL"),
        ("postgresql://a:b@c:port/d", "no URL"),
    ],
)
def test_a_url_of_another_kind(url, says):
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match=says) as caught:
        parse_url(url)
    assert ":b@" not in str(caught.value)


def test_a_url_is_shown_without_its_password():
    assert show("postgresql://a:b@c/d?password=e&sslmode=require") == "postgresql://a:***@c/d"
    assert show("postgresql://a@c/d") == "postgresql://a@c/d"


def test_settings_are_json(server, tmp_path):
    study = search(tmp_path, url=server.database("settings"), name="x", **BEAT)
    assert json.loads(json.dumps(study.settings())) == study.settings()
    assert bank().summary == study.settings()["data"]
    study.close()
