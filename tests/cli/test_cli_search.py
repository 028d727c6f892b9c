import csv
import json

import pytest
from command_line import contents, refuse, succeed, untouched

from kws_dendrite.search import hand


@pytest.fixture
def options(arrays):
    return ("search", arrays, "--trials", 1, "--arms", "plain,gradient", "--epochs", 3, "--members", 1)


@pytest.fixture(scope="module")
def searched(arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "search"
    outcome = succeed(
        "search", arrays, "--out", folder, "--trials", 1, "--arms", "plain,gradient", "--epochs", 3, "--members", 1
    )
    return folder, outcome


def test_for_a_person(searched):
    folder, outcome = searched
    assert "Front, validation accuracy" in outcome.out
    assert outcome.out.splitlines()[-4:] == [
        f"{folder}/front.csv, front.png, trials.json",
        f"all trials as a page: kws-dendrite report {folder}",
        f"the front with fresh seeds: kws-dendrite refit {folder}",
        f"the net to ship: kws-dendrite pick {folder} --out BUNDLE",
    ]
    first, *rest = outcome.err.splitlines()
    assert first == f"search: 1 trials of each of plain, gradient; 2 in all; results in {folder}"
    assert [line.split(": ")[0] for line in rest] == ["trial 0 (plain)", "trial 1 (gradient)"]
    assert rest[-1].endswith("; 2 of 2 ended")


def test_what_it_wrote_can_be_read(searched):
    folder, _ = searched
    trials = json.loads((folder / "trials.json").read_text())
    assert [(trial["number"], trial["arm"]) for trial in trials] == [(0, "plain"), (1, "gradient")]
    with (folder / "front.csv").open(newline="") as file:
        front = list(csv.DictReader(file))
    by_number = {trial["number"]: trial for trial in trials}
    for row in front:
        assert int(row["parameters"]) == by_number[int(row["number"])]["parameters"]
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_command_again_trains_nothing_and_says_the_same(searched, options, monkeypatch):
    folder, _ = searched
    monkeypatch.setattr(hand, "run_trial", None)
    before = contents(folder)
    outcome = succeed(*options, "--out", folder, "--json")
    assert outcome.out.count("\n") == 1 and outcome.err == ""
    report = json.loads(outcome.out)
    assert report["trials"] == 2 and report["folder"] == str(folder)
    trials = json.loads(before["trials.json"])
    for net in report["front"]:
        points = {point["dendrites"]: point for point in trials[net["number"]]["points"]}
        point = points[net["dendrites"]]
        shared = set(net) & set(point)
        assert {name: net[name] for name in shared} == {name: point[name] for name in shared}
        assert net["architecture"] == trials[net["number"]]["architecture"] and "curve" not in net
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--epochs", 4], "started with another recipe epochs"),
        (["--members", 2], "started with another members"),
        (["--seed", 1], "started with another seed"),
        (["--coefficients", 26], "started with another front end coefficients"),
        (["--arms", "plain"], "has the arm gradient too"),
    ],
)
def test_another_setting_is_refused_by_name(searched, options, more, says):
    folder, _ = searched
    with untouched(folder):
        refuse(*options, "--out", folder, *more, says=says)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            ["--arms", "plain,dendritic"],
            "arms are some of plain, gradient, perforated, growth, each once; got plain, dendritic",
        ),
        (["--arms", ""], "got none"),
        (["--trials", 0], "trials and members are at least 1"),
        (["--arms", "perforated", "--epochs", 6], "6 epochs leave none for 3 cycles"),
        (["--coefficients", 12], "no multiple of 12"),
        (["--objective", "latancy:cortex-m4@80"], "did you mean latency?"),
        (["--objective", "latency:cortex-m55@160"], "take instructions:cortex-m55"),
    ],
)
def test_a_wrong_value_is_one_line_and_leaves_no_folder(options, tmp_path, more, says):
    refuse(*options, "--out", tmp_path / "new", *more, says=says)
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_journal_is_one_line(options, tmp_path):
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / ".kws_dendrite").touch()
    (folder / "journal.log").write_text("not a journal\n")
    with untouched(folder):
        refuse(*options, "--out", folder, says="journal.log is damaged or not a search's journal")


def test_latency_on_a_device_is_an_objective(arrays, tmp_path):
    options = ("search", arrays, "--trials", 1, "--arms", "plain", "--epochs", 2, "--members", 1)
    folder = tmp_path / "search"
    outcome = succeed(*options, "--out", folder, "--objective", "latency:cortex-m4@80")
    assert "Latency" in outcome.out
    (trial,) = json.loads((folder / "trials.json").read_text())
    with (folder / "front.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["latency:cortex-m4@80"]) == trial["objective"]["value"] > 0
    assert f"at 80 MHz, ms {trial['objective']['value']:.3g}, validation accuracy" in outcome.err
    with untouched(folder):
        refuse(*options, "--out", folder, says="started with --objective latency:cortex-m4@80, not params")


def test_two_workers_find_what_one_does(searched, options, tmp_path):
    alone, _ = searched
    folder = tmp_path / "search"
    outcome = succeed(*options, "--out", folder, "--workers", 2)
    assert outcome.err.splitlines()[0].endswith(f"2 in all; results in {folder}")
    found, expected = (json.loads((place / "trials.json").read_text()) for place in (folder, alone))
    same = ("number", "arm", "state", "validation_accuracy_members", "parameters", "architecture", "growth", "why")
    assert [{name: trial[name] for name in same} for trial in found] == [
        {name: trial[name] for name in same} for trial in expected
    ]
    assert {trial["worker"] for trial in found}.isdisjoint(trial["worker"] for trial in expected)
    assert [path.name for path in (folder / "workers").iterdir()] == ["turn.lock"]


def test_limits_skip_before_training(options, tmp_path):
    outcome = succeed(*options, "--out", tmp_path / "search", "--max-params", 600, "--max-ram", "64k")
    trials = json.loads((tmp_path / "search" / "trials.json").read_text())
    assert all(trial["parameters"] <= 600 for trial in trials if trial["parameters"])
    assert all("is over --max-params 600" in trial["why"] for trial in trials if trial["state"] == "skipped")
    settings = json.loads((tmp_path / "search" / "search.json").read_text())
    assert settings["limits"]["max_params"] == 600 and settings["limits"]["max_ram"] == 65536
    assert "Front, validation accuracy" in outcome.out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            ["--storage", "sqlite:///x.db"],
            "--storage takes postgresql://user:password@host/database; got sqlite:///x.db",
        ),
        (["--storage", "postgresql://a:secret@127.0.0.1:1/b"], "postgresql://a:***@127.0.0.1:1/b does not answer"),
        (["--space", "papre"], "did you mean paper?"),
        (["--max-ram", "much"], "--max-ram"),
        (["--maximise", "f1"], "accuracy"),
        (["--workers", 0], "--workers"),
    ],
)
def test_what_cannot_be_searched_is_one_line(options, tmp_path, more, says):
    pytest.importorskip("psycopg")
    line = refuse(*options, "--out", tmp_path / "new", *more, says=says)
    assert "secret" not in line and list(tmp_path.iterdir()) == []
