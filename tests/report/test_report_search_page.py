import json
import re

import pytest
from search_folder import make_search_folder, search_trials
from test_report_page import Outline, facts_of, section
from test_report_search_trials import point, trial

from kws_dendrite.errors import DataError
from kws_dendrite.report.search_page import SECTIONS, Moment, reference, render, write_search_page
from kws_dendrite.report.search_results import is_search, read_search
from kws_dendrite.report.search_trials import all_spots, the_front


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return read_search(make_search_folder(tmp_path_factory.mktemp("search")))


@pytest.fixture(scope="module")
def page(search):
    return render(search, Moment(search.written + 600))


def written(folder, trials, settings=None):
    folder.mkdir(exist_ok=True)
    (folder / "trials.json").write_text(json.dumps(trials))
    if settings is not None:
        (folder / "search.json").write_text(json.dumps(settings))
    return read_search(folder)


def test_every_section_is_there_and_filled(page, search):
    for anchor, _, heading, _ in SECTIONS:
        assert heading in section(page, anchor)
    assert "Nothing to show yet" not in page
    for words in ("170 of 201", "1,655 validation clips", "at\u00a0most\u00a08,000\u00a0parameters",
                  "Each of them (38)", "Draws skipped: 24",
                  "RAM 9,442 to 13,970 B is over --max-ram 8,192 B"):  # fmt: skip
        assert words in page, words


def test_tags_nest_ids_are_unique_and_nothing_is_loaded(page):
    outline = Outline(page)
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in outline.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form") and "src" not in attributes
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "https://" not in page


def test_every_net_can_be_clicked_and_every_trial_opened(page, search):
    tags = Outline(page).tags
    spots = [int(a["data-spot"]) for tag, a in tags if tag == "use" and "data-spot" in a]
    assert sorted(spots) == sorted(2 * list(range(len(all_spots(search.trials)))))  # a wide and a narrow drawing
    opens = {int(a["data-open"]) for _, a in tags if "data-open" in a}
    assert opens == set(range(len(search.trials)))
    facts = facts_of(page)
    assert [t["key"] for t in facts["trials"]] == [t.key for t in search.trials]
    for told, read in zip(facts["trials"], search.trials, strict=True):
        assert [facts["spots"][k]["p"] for k in told["spots"]] == [f"{s.parameters:,}" for s in read.spots]
        assert (told["curve"] is None) == (not read.curve.epochs)
        assert told["why"] == read.why
        if read.curve.epochs:
            assert told["curve"]["a"][-1] == round(10_000 * read.curve.accuracy[-1])
    best = the_front(search.trials)[-1]
    assert facts["spots"][facts["best"]]["say"].startswith(f"Trial {best.trial}, {best.arm} with 3 dendrites")


def test_the_same_again(search):
    assert render(search, Moment(5.0)) == render(search, Moment(5.0))


def test_it_says_how_old_it_is_and_that_it_is_not_finished(page, search):
    assert "Not finished" in page and "10 min 0 s before this page was written" in page
    assert "3 were running" in page
    late = render(search, Moment(search.written + 1, note="the database does not answer"))
    assert "before this page was written" not in late
    assert "Not fresh from the search's storage.</b> the database does not answer" in late


def test_a_search_that_is_over_says_nothing_of_it(tmp_path):
    done = [trial(k, point(0.5 + 0.1 * k, 100 + k)) for k in range(3)]
    settings = {"arms": ["plain"], "trials": 3, "data": {"synthetic": True}}
    results = written(tmp_path, done, settings)
    page = render(results, Moment(results.written))
    assert "Not finished" not in page and "Synthetic demo data" in page


@pytest.mark.parametrize("trials", [[], [trial(0, state="running")], [trial(0, state="skipped", why="RAM")],
                                    [trial(0, state="failed", why="nan")], [trial(0, point(0.5, 100))]])  # fmt: skip
def test_at_any_moment_there_is_a_page(tmp_path, trials):
    page = render(written(tmp_path, trials), Moment(0.0))
    Outline(page)
    facts = facts_of(page)
    assert len(facts["trials"]) == len(trials)
    assert (facts["best"] is None) == (not any(t["points"] for t in trials))


def test_a_search_of_an_older_version_has_a_page(tmp_path, rng):
    old = [
        {"number": k, "arm": "plain", "parameters": 300 + k, "macs": 1, "validation_accuracy": 0.8,
         "validation_accuracy_members": [0.79, 0.81], "params": {"channels": k}, "state": "complete", "seconds": 3.0}
        for k in range(4)
    ]  # fmt: skip
    page = render(written(tmp_path, old), Moment(0.0))
    assert "This search wrote no search.json" in page and len(facts_of(page)["spots"]) == 4


def test_another_objective_names_the_axis(tmp_path):
    objective = {"name": "ram", "label": "RAM of an inference, bytes", "maximise": "loss"}
    nets = [
        trial(k, point(0.5 + 0.1 * k, 100) | {"value": 4000.0 + k}, objective={**objective, "value": 1})
        for k in range(3)
    ]
    page = render(written(tmp_path, nets, {"objective": objective}), Moment(0.0))
    assert "RAM of an inference, bytes (log scale)" in page and facts_of(page)["held"] == objective["label"]
    assert "made the validation loss small" in page


def test_the_reference_is_stated_and_stands_still(tmp_path, rng):
    settings = {"labels": ["a", "b", "c", "d"], "limits": {"max_params": 8000}, "objective": {"name": "params"}}
    results = written(tmp_path, search_trials(rng), settings)
    box = reference(results)
    counted = [t for t in results.trials if t.state in ("complete", "stopped")]
    by_arm = {arm: min(s.size for t in counted if t.arm == arm for s in t.spots) for arm in {t.arm for t in counted}}
    assert (box.smallest, box.largest, box.accuracy) == (max(by_arm.values()), 8000, 0.25)
    assert "the reference point is 8,000 at 25.0 %" in render(results, Moment(0.0))
    assert reference(written(tmp_path / "none", [])) is None


def test_importance_is_drawn_beside_chance(search):
    found = {"all": {"trials": 168, "best": 17, "parameters": {
        "train.rate": {"share": 0.7, "chance": 0.1}, "kind": {"share": 0.1, "chance": 0.09}}}}  # fmt: skip
    part = section(render(search, Moment(0.0, found)), "importance")
    assert 'aria-label="70 %, by chance 10 %"' in part and "All arms: 17 of 168".lower() in part.lower()
    assert re.findall(r'class="impbar (\w+)"', part) == ["beyond", "within"]
    assert "it takes 20 with a net that was trained" in section(render(search, Moment(0.0)), "importance")


def test_reading_what_is_no_search(tmp_path):
    assert not is_search(tmp_path)
    with pytest.raises(DataError, match=r"holds no trials\.json yet"):
        read_search(tmp_path)
    (tmp_path / "trials.json").write_text('{"a": 1}')
    assert is_search(tmp_path)
    with pytest.raises(DataError, match="list of JSON objects"):
        read_search(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    assert not is_search(tmp_path)
    (tmp_path / "trials.json").write_text("[]")
    (tmp_path / "search.json").write_text("[]")
    with pytest.raises(DataError, match=r"search\.json should hold a JSON object"):
        read_search(tmp_path)


def test_the_page_takes_its_place_at_once(search, tmp_path):
    path = write_search_page(search, Moment(0.0), tmp_path / "page.html")
    assert path.read_text().startswith("<!doctype html>") and [p.name for p in tmp_path.iterdir()] == ["page.html"]
