import json
import shutil

import pytest
from command_line import call, contents, refuse, succeed, untouched

from kws_dendrite.cli import pick as pick_module
from kws_dendrite.cli import search as search_module
from kws_dendrite.search.refit import FRESH
from kws_dendrite.search.refitted import RefitStore
from kws_dendrite.training.checkpoint import load_checkpoint

OPTIONS = ("--trials", 2, "--arms", "plain,gradient", "--epochs", 3, "--members", 2)


@pytest.fixture(scope="module")
def searched(arrays, tmp_path_factory):
    """A search without a refit; read only."""
    folder = tmp_path_factory.mktemp("searched") / "search"
    succeed("search", arrays, "--out", folder, *OPTIONS)
    return folder


@pytest.fixture(scope="module")
def refitted(searched, tmp_path_factory):
    """The same with its front refitted; read only."""
    folder = tmp_path_factory.mktemp("refitted") / "search"
    shutil.copytree(searched, folder)
    succeed("refit", folder)
    return folder


@pytest.fixture
def copied(searched, tmp_path):
    shutil.copytree(searched, tmp_path / "copied")
    return tmp_path / "copied"


@pytest.fixture
def no_export(monkeypatch):
    class Bundle:
        def to_json(self):
            return {"folder": "bundle"}

    monkeypatch.setattr(pick_module, "_export", lambda *_: Bundle())


def points(folder):
    return [
        point | {"trial": trial["number"]}
        for trial in json.loads((folder / "trials.json").read_text())
        for point in trial["points"]
    ]


def picked(*arguments):
    return json.loads(succeed("pick", *arguments, "--json").out)


def test_by_the_searchs_own_figures_and_says_so(searched):
    with untouched(searched):
        outcome = succeed("pick", searched)
    assert "Pick by the search's own figures" in outcome.out and outcome.err == ""
    assert f"`kws-dendrite refit {searched}` trains the front with fresh seeds" in outcome.out
    report = picked(searched)
    assert report["picked"]["accuracy"] == max(point["validation_accuracy"] for point in points(searched))
    assert report["picked"]["refitted"] is False and report["picked"]["interval_over"] == "seeds"


def test_the_most_accurate_within_a_limit(searched):
    sizes = sorted({point["parameters"] for point in points(searched)})
    for limit in sizes:
        within = [point for point in points(searched) if point["parameters"] <= limit]
        report = picked(searched, "--max-params", limit)
        assert report["picked"]["accuracy"] == max(point["validation_accuracy"] for point in within)
        assert report["picked"]["costs"]["parameters"] <= limit and report["limits"]["max_params"] == limit


def test_by_fresh_seeds_where_the_front_has_them(refitted):
    rows = json.loads((refitted / "front.json").read_text())["points"]
    with untouched(refitted):
        report = picked(refitted)
    best = max(rows, key=lambda row: row["accuracy"])
    assert report["picked"]["accuracy"] == best["accuracy"] and report["picked"]["interval"] == best["interval"]
    assert report["picked"]["checkpoint"] == str(refitted / best["folder"])
    for other in report["others"]:
        low, high = other["difference"]["interval"]
        assert low <= other["difference"]["mean"] <= high and other["difference"]["mean"] <= 0
    assert "Pick by fresh seeds" in succeed("pick", refitted).out


def test_the_cheapest_on_a_target_that_is_accurate_enough(refitted):
    everything = picked(refitted, "--target", "cortex-m4@40", "--min-accuracy", "0.000001")
    rows = [everything["picked"], *everything["others"]]
    assert everything["costs_on"] == {"core": "cortex-m4", "mhz": 40}
    assert everything["picked"]["costs"]["latency_ms"] == min(row["costs"]["latency_ms"] for row in rows)
    faster = picked(refitted, "--target", "cortex-m4@80", "--min-accuracy", "0.000001")["picked"]["costs"]
    assert faster["latency_ms"] == pytest.approx(everything["picked"]["costs"]["latency_ms"] / 2, rel=1e-4)
    counted = picked(refitted, "--target", "cortex-m7", "--min-accuracy", "0.000001")
    assert "latency_ms" not in counted["picked"]["costs"] and counted["price"] == "instructions on cortex-m7"
    lows = sorted(row["interval"][0] for row in rows)
    least = picked(refitted, "--min-accuracy", repr(lows[-1]))
    assert least["picked"]["interval"][0] == lows[-1]


def test_a_latency_names_its_place(refitted):
    slowest = picked(refitted, "--max-latency", "10s@cortex-m4@80")
    assert slowest["costs_on"] == {"core": "cortex-m4", "mhz": 80} and slowest["limits"]["max_latency"] == 10_000
    assert picked(refitted, "--max-latency", "10s")["costs_on"] == {"core": "cortex-m4", "mhz": 80}
    assert picked(refitted, "--max-latency", "10s", "--target", "cortex-m4@16")["costs_on"]["mhz"] == 16
    refuse("pick", refitted, "--max-latency", "1us", says="comes nearest")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--max-params", 7], "nothing fits: of"),
        (["--max-ram", "0.0001k"], "--max-ram is a number of at least 1"),
        (["--max-params", "few"], "--max-params is a number of at least 1, such as 2000, 8k or 0.5M; got 'few'"),
        (["--max-latency", "soon"], "--max-latency is a time"),
        (["--max-latency", "20ms", "--target", "cortex-m7"], "no --max-latency on cortex-m7"),
        (["--max-latency", "20ms@cortex-m4@80", "--target", "cortex-m4@16"], "name two places; name one"),
        (["--min-accuracy", "high"], "--min-accuracy is a share above 0 and below 1, such as 0.92 or 92%; got 'high'"),
        (["--min-accuracy", "92"], "such as 0.92 or 92%"),
        (["--min-accuracy", "99.99%"], "lower --min-accuracy or search longer"),
        (["--target", "cortex-m5"], "did you mean cortex-m55?"),
        (["--target", "cortex-m4@fast"], "has a clock in MHz after the @, as in cortex-m4@80"),
        (["--members", "4"], "Invalid value for '--members'"),
    ],
)
def test_a_wrong_wish_is_one_line(searched, refitted, more, says):
    for folder in (searched, refitted):
        with untouched(folder):
            refuse("pick", folder, *more, says=says)


def test_a_folder_that_is_no_search(tmp_path):
    refuse("pick", tmp_path / "none", says="is no folder; name the --out of a search")
    refuse("pick", tmp_path, says="has no search.json; name the --out of a search")


def test_a_search_that_still_runs(arrays, tmp_path, monkeypatch):
    ordinary = search_module._Alone.on_trial

    def on_trial(self, result):
        ordinary(self, result)
        raise KeyboardInterrupt

    monkeypatch.setattr(search_module._Alone, "on_trial", on_trial)
    assert call("search", arrays, "--out", tmp_path / "search", *OPTIONS).status == 130
    report = picked(tmp_path / "search")
    assert report["picked"]["trial"] == 0 and report["trials"] == {"complete": 1, "running": 0}
    (tmp_path / "search" / "journal.log").unlink()  # as where the trials are in a database
    assert picked(tmp_path / "search")["picked"] == report["picked"]


def test_a_search_without_a_finished_trial(arrays, tmp_path, monkeypatch):
    def on_epoch(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(search_module._Alone, "on_epoch", on_epoch)
    assert call("search", arrays, "--out", tmp_path / "search", *OPTIONS).status == 130
    refuse("pick", tmp_path / "search", says="no finished trial to pick from")
    refuse("refit", tmp_path / "search", says="has no finished trial yet")


def test_the_picked_net_is_trained_with_fresh_seeds_and_exported(copied, tmp_path):
    sizes = sorted({point["parameters"] for point in points(copied)})
    said = picked(copied, "--max-params", sizes[1])["picked"]
    outcome = succeed("pick", copied, "--max-params", sizes[1], "--out", tmp_path / "bundle", "--json")
    assert f"training {said['name']} with 5 fresh seeds" in outcome.err
    report = json.loads(outcome.out)
    chosen = report["picked"]
    assert chosen["name"] == said["name"] and chosen["refitted"] and chosen["members"] == 5
    held = load_checkpoint(chosen["checkpoint"])
    assert held.record["seeds"] == {"seed": FRESH, "members": 5}
    for name in ("model_quantized_int8_io.tflite", "c", "parity.json", "labels.txt"):
        assert (tmp_path / "bundle" / name).exists(), name
    assert report["bundle"]["cost"]["parameters"] == chosen["costs"]["parameters"] <= sizes[1]
    before = contents(copied)
    refuse("pick", copied, "--max-params", sizes[1], "--out", tmp_path / "bundle", says="--overwrite")
    assert contents(copied) == before


def test_what_was_trained_is_not_trained_again(copied, no_export, tmp_path):
    first = succeed("pick", copied, "--out", tmp_path / "bundle")
    again = succeed("pick", copied, "--out", tmp_path / "bundle")
    assert "fresh seeds" in first.err and again.err == ""
    assert "bundle in bundle" in again.out


def test_a_net_that_another_process_trains_is_waited_for(copied, no_export, tmp_path):
    name = picked(copied)["picked"]["name"]
    with RefitStore(copied).claimed(name):
        refuse("pick", copied, "--out", tmp_path / "bundle", says=f"another process trains {name}; pick again")


def test_a_refit_under_way_is_told(refitted, tmp_path):
    shutil.copytree(refitted, tmp_path / "copied")
    front = json.loads((tmp_path / "copied" / "front.json").read_text())["points"]
    shutil.rmtree(tmp_path / "copied" / front[0]["folder"])
    outcome = succeed("pick", tmp_path / "copied")
    assert f"{len(front) - 1} of {len(front)} nets of the front have fresh seeds" in outcome.out


def test_accurate_enough_is_held_against_fresh_seeds(copied, no_export, tmp_path, monkeypatch):
    """No net of so few clips and epochs has a lower end near its mean: the cheap ones are tried, and it is said."""
    means = sorted({point["validation_accuracy"] for point in points(copied)})
    outcome = call("pick", copied, "--min-accuracy", means[-1] - 1e-6, "--out", tmp_path / "bundle")
    assert outcome.status == 2 and "comes nearest" in outcome.err
    tried = [line.split()[1] for line in outcome.err.splitlines() if line.startswith("training ")]
    reaching = [point for point in points(copied) if point["validation_accuracy"] >= means[-1] - 1e-6]
    assert len(tried) == len(set(tried)) == len(reaching)
    low = min(picked(copied, "--out", tmp_path / "bundle")["picked"]["interval"][0], 0.99)
    report = picked(copied, "--min-accuracy", max(low / 2, 1e-6), "--out", tmp_path / "bundle")
    assert report["picked"]["refitted"] and report["picked"]["interval"][0] >= low / 2


def test_the_data_are_needed_to_export(copied, tmp_path):
    settings = json.loads((copied / "search.json").read_text())
    missing = tmp_path / "moved"
    (copied / "search.json").write_text(json.dumps(settings | {"data_folder": str(missing)}))
    with untouched(copied):
        succeed("pick", copied)
        refuse(
            "pick", copied, "--out", tmp_path / "bundle",
            says=f"the search's data folder {missing} is not there; name it with --data",
        )  # fmt: skip
    (copied / "search.json").write_text(json.dumps({k: v for k, v in settings.items() if k != "data_folder"}))
    refuse("pick", copied, "--out", tmp_path / "bundle", says="does not say where its data are; name them with --data")
