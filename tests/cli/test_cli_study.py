import json

import pytest
from command_line import contents, refuse, succeed

STUDY = ("--keywords", "yes,no", "--copies", "1", "--sizes", "250", "--members", "2", "--epochs", "2")
ARMS = ("--arms", "plain,gradient")


@pytest.fixture(scope="module")
def studied(place, speech, cache):
    """(folder, outcome) of a small study whose test clips were read; others add to it only what they name."""
    folder = place / "studied"
    outcome = succeed("study", speech, "--out", folder, "--cache", cache, *STUDY, *ARMS, "--read-test")
    return folder, outcome


def again(studied, speech, cache, *more):
    return ("study", speech, "--out", studied[0], "--cache", cache, *STUDY, *ARMS, *more)


def test_rows_verdicts_and_files(studied):
    folder, outcome = studied
    assert outcome.out.startswith("2 of 2 rows are finished")
    assert "250 parameters: " in outcome.out and "measured on test clips" in outcome.out
    assert "gradient-250: test accuracy" in outcome.err
    assert {"study.html", "study.md", "results.json", "study.png", "study_differences.png"} <= set(contents(folder))
    results = json.loads((folder / "results.json").read_text())
    assert results["measured_on"] == "test" and len(results["rows"]) == 2
    assert [row["int8_accuracy"] is not None for row in results["rows"]] == [True] * 2


def test_the_same_again_trains_and_reads_nothing(studied, speech, cache):
    before = {name: data for name, data in contents(studied[0]).items() if not name.startswith(".")}
    outcome = succeed(*again(studied, speech, cache, "--read-test"))
    assert "test accuracy" not in outcome.err and "epochs" not in outcome.err
    assert contents(studied[0]) == before | {".kws_dendrite": b""}


def test_what_is_finished_is_read_at_once_though_sizes_have_other_arms(place, speech, cache):
    def study(sizes, arms, *more):
        return (
            "study",
            speech,
            "--out",
            place / "uneven",
            "--cache",
            cache,
            *STUDY,
            "--sizes",
            sizes,
            "--arms",
            arms,
            *more,
        )

    succeed(*study("250", "plain"))
    succeed(*study("300", "plain_restart"))
    outcome = succeed(*study("250", "plain", "--finished", "--read-test"))
    assert outcome.out.startswith("2 rows are finished") and outcome.err.count("test accuracy") == 2
    results = json.loads((place / "uneven" / "results.json").read_text())
    assert results["measured_on"] == "test" and len(results["rows"]) == 2
    assert json.loads(succeed(*study("250", "plain", "--finished", "--json")).out)["planned"] == 2


def test_json(studied, speech, cache):
    value = json.loads(succeed(*again(studied, speech, cache, "--json")).out)
    assert (value["planned"], value["finished"]) == (2, 2)
    assert value["results"]["rows"][0]["name"] == "plain-250"


def test_the_report_of_a_study_needs_no_data(studied, place):
    page = place / "page.html"
    succeed("report", studied[0], "--out", page)
    assert page.read_bytes() == (studied[0] / "study.html").read_bytes()


def test_another_recipe_is_refused(studied, speech, cache):
    refuse(*again(studied, speech, cache, "--epochs", "3"), says="started with recipe.epochs 2, not 3")
    refuse(*again(studied, speech, cache, "--augment", "shift_ms=50"), says="started with augmentation.shift_ms")
    refuse(
        *again(studied, speech, cache, "--set", "num_filters=20"), says="started with frontend.num_filters 24, not 20"
    )


def test_before_the_reading(place, speech, cache):
    outcome = succeed("study", speech, "--out", place / "unread", "--cache", cache, *STUDY, "--arms", "plain")
    assert "measured on validation clips" in outcome.out
    assert not (place / "unread" / "test").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("--arms", "plain,gradiant"), "no arm 'gradiant'; did you mean gradient"),
        (("--sizes", "20"), "the arm plain cannot stand at 20 parameters: its smallest net has"),
        (("--sizes", "many"), "--sizes are whole numbers"),
        (("--members", "0"), "members are at least 1"),
        (("--again",), "give it with --read-test"),
        (("--protocol", "journal"), "--protocol is honest or paper"),
        (("--recipe", "learning=1"), "no setting 'learning'"),
        (("--arms", "perforated"), "2 epochs leave none for 2 cycles"),
    ],
)
def test_refusals(place, speech, cache, changed, says):
    refuse("study", speech, "--out", place / "refused", "--cache", cache, *STUDY, *ARMS, *changed, says=says)
    assert not (place / "refused").exists()


def test_the_list_of_arms(speech, place):
    out = succeed("study", speech, "--out", place / "none", "--arms", "list").out
    assert out.splitlines()[0].split() == ["plain", "plain,", "one", "cosine", "cycle"]
    assert "growth" in json.loads(succeed("study", speech, "--out", place / "none", "--arms", "list", "--json").out)


def test_the_plan_trains_nothing(speech, place, cache):
    command = ("study", speech, "--out", place / "planned", "--cache", cache, *STUDY, *ARMS, "--plan")
    lines = succeed(*command).out.splitlines()
    assert [line.split()[0] for line in lines] == ["plain-250", "gradient-250"]
    assert lines[0].endswith("2 epochs a cycle") and lines[1].endswith("1 epochs a cycle")
    planned = json.loads(succeed(*command, "--json").out)
    assert [one["name"] for one in planned] == ["plain-250", "gradient-250"]
    assert not (place / "planned").exists()
