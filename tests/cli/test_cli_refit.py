import json
import shutil

import numpy as np
import pytest
from command_line import contents, refuse, succeed, untouched, write_speech

from kws_dendrite.search.refit import FRESH
from kws_dendrite.study import reading
from kws_dendrite.training.checkpoint import load_checkpoint

OPTIONS = ("--keywords", "yes,no", "--copies", "0", "--trials", "1", "--arms", "plain,gradient", "--epochs", "3")


@pytest.fixture(scope="module")
def searched(speech, cache, tmp_path_factory):
    """A search without a refit; read only."""
    folder = tmp_path_factory.mktemp("searched") / "search"
    succeed("search", speech, "--out", folder, "--cache", cache, *OPTIONS, "--members", 2)
    return folder


@pytest.fixture(scope="module")
def refitted(searched, cache, tmp_path_factory):
    """(folder, outcome) of its refit; read only."""
    folder = tmp_path_factory.mktemp("refitted") / "search"
    shutil.copytree(searched, folder)
    return folder, succeed("refit", folder, "--cache", cache)


@pytest.fixture
def copied(refitted, tmp_path):
    shutil.copytree(refitted[0], tmp_path / "copied")
    return tmp_path / "copied"


@pytest.fixture
def no_tensorflow(monkeypatch):
    monkeypatch.setattr(reading, "int8_decisions", lambda graphs, _, x: np.zeros((len(graphs), len(x)), np.int64))


def front(folder):
    return json.loads((folder / "front.json").read_text())


def test_for_a_person(refitted):
    folder, outcome = refitted
    assert "Front with fresh seeds (P = 5)" in outcome.out
    assert "optimism of a maximum: the search had said" in outcome.out
    assert outcome.out.splitlines()[-2:] == [
        f"{folder}/front.json, {folder}/front",
        f"the net to ship: kws-dendrite pick {folder} --out BUNDLE",
    ]
    planned = front(folder)["planned"]
    assert f"({planned} of {planned}, " in outcome.err and "of 5 fresh seeds" in outcome.err


def test_what_it_wrote_can_be_read(refitted):
    folder, _ = refitted
    value = front(folder)
    trials = {trial["number"]: trial for trial in json.loads((folder / "trials.json").read_text())}
    assert value["finished"] == value["planned"] == len(value["points"]) >= 2
    assert {row["arm"] for row in value["points"]} == {"plain", "gradient"} and value["readings"]["times"] == []
    for row in value["points"]:
        said = [point for point in trials[row["trial"]]["points"] if point["dendrites"] == row["dendrites"]]
        assert row["said"]["accuracy"] == said[0]["validation_accuracy"] and row["epochs"] == said[0]["epochs"]
        held = load_checkpoint(folder / row["folder"])
        assert held.members == 5 and held.record["seeds"]["seed"] == FRESH
        assert row["accuracy"] == pytest.approx(np.mean(held.record["metrics"]["validation_accuracy"]))


def test_the_same_command_again_trains_nothing(refitted, cache):
    folder, _ = refitted
    with untouched(folder):
        outcome = succeed("refit", folder, "--cache", cache, "--json")
    assert outcome.err == "" and json.loads(outcome.out) == {"folder": str(folder), **front(folder)}


def test_a_search_refits_by_itself(searched, speech, cache, tmp_path, refitted):
    shutil.copytree(searched, tmp_path / "search")
    options = ("search", speech, "--out", tmp_path / "search", "--cache", cache, *OPTIONS, "--members", 2)
    report = json.loads(succeed(*options, "--refit", 5, "--json").out)
    assert report["refit"] == front(tmp_path / "search")

    def timeless(value):
        return value | {"points": [row | {"seconds": 0} for row in value["points"]]}

    assert timeless(report["refit"]) == timeless(front(refitted[0]))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--refit", 4], "--refit takes at least 5 seeds"),
        (["--read-test"], "give it with --refit 5"),
    ],
)
def test_a_search_refuses_before_it_begins(speech, tmp_path, more, says):
    refuse("search", speech, "--out", tmp_path / "new", *OPTIONS, *more, says=says)
    assert list(tmp_path.iterdir()) == []


def test_test_clips_are_read_once(copied, cache, no_tensorflow, monkeypatch):
    outcome = succeed("refit", copied, "--cache", cache, "--read-test")
    assert "test clips were read once" in outcome.out
    value = front(copied)
    assert len(value["readings"]["times"]) == 1 and value["arms_on"] == "test" and value["test_clips"] > 0
    assert all(row["test"]["int8_accuracy"] is not None for row in value["points"])
    monkeypatch.setattr(reading, "_score", lambda *rest: rest[2] and pytest.fail("read again") if not rest else None)
    succeed("refit", copied, "--cache", cache, "--read-test")
    assert front(copied) == value


def test_a_net_that_came_later_needs_to_be_asked_for(copied, cache, no_tensorflow):
    succeed("refit", copied, "--cache", cache, "--read-test")
    later = front(copied)["points"][0]["folder"]
    (copied / later / "refit.json").unlink()
    shutil.rmtree(copied / later)
    record = copied / "front" / "test" / "reading.json"
    readings = json.loads(record.read_text())
    readings["readings"][0]["rows"].pop(later.removeprefix("front/"))
    record.write_text(json.dumps(readings))
    refuse("refit", copied, "--cache", cache, "--read-test", says="or add --again")
    succeed("refit", copied, "--cache", cache, "--read-test", "--again")
    value = front(copied)
    assert len(value["readings"]["times"]) == 2 and value["readings"]["later"] == [later.removeprefix("front/")]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--members", 6], "refitted with members 5, not 6"),
        (["--epochs", 9], "refitted with epochs"),
        (["--again"], "give it with --read-test"),
        (["--data", "nowhere"], "the search's data folder nowhere is not there; name it with --data"),
    ],
)
def test_wrong_input_is_one_line_and_changes_nothing(refitted, cache, more, says):
    with untouched(refitted[0]):
        refuse("refit", refitted[0], "--cache", cache, *more, says=says)


def test_other_data_are_refused(searched, cache, tmp_path):
    shutil.copytree(searched, tmp_path / "search")
    other = write_speech(tmp_path / "other", speakers=15)
    before = contents(tmp_path / "search")
    refuse(
        "refit", tmp_path / "search", "--cache", cache, "--data", other,
        says="holds other clips than the search was made on",
    )  # fmt: skip
    after = contents(tmp_path / "search")
    assert {name: after[name] for name in before} == before and not (tmp_path / "search" / "front.json").exists()


def test_a_folder_that_is_no_search(tmp_path):
    refuse("refit", tmp_path / "none", says="is no folder; name the --out of a search")
    refuse("refit", tmp_path, says="has no search.json; name the --out of a search")
    (tmp_path / "search.json").write_text("{}")
    refuse("refit", tmp_path, says="was written by another version")


def test_arrays_have_no_test_clips_and_leave_no_reading(arrays, tmp_path):
    options = ("--trials", 1, "--arms", "plain", "--epochs", 2, "--members", 1)
    succeed("search", arrays, "--out", tmp_path / "search", *options)
    refuse("refit", tmp_path / "search", "--read-test", says="has no test partition to read")
    assert not (tmp_path / "search" / "front" / "test" / "reading.json").exists()
    assert json.loads(succeed("refit", tmp_path / "search", "--json").out)["readings"]["times"] == []
