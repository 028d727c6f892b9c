import json
import re

import pytest
from search_folder import make_search_folder, refitted
from test_report_page import Outline, section

from kws_dendrite.errors import DataError
from kws_dendrite.report.search_page import Moment, render
from kws_dendrite.report.search_refit import refit_section
from kws_dendrite.report.search_results import read_search


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_search_folder(tmp_path_factory.mktemp("search"), ended=60, total=60)


def with_refit(folder, value):
    (folder / "front.json").write_text(json.dumps(value))
    return read_search(folder)


def cells(part):
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", part)
    return [[re.sub("<.*?>", "", cell) for cell in re.split("</th>|</td>", row)][:-1] for row in rows]


def test_fresh_figures_stand_beside_what_the_search_said(folder):
    value = refitted(json.loads((folder / "trials.json").read_text()))
    page = render(with_refit(folder, value), Moment(0.0))
    Outline(page)
    part = section(page, "refit")
    rows = cells(part)
    assert len(rows) == len(value["points"]) == part.count('class="p hollow"') == part.count('class="p onfront"')
    for row, made in zip(rows, value["points"], strict=True):
        assert row[0].strip().endswith(made["name"]) and ("★" in row[0]) == made["front"]
        assert row[1:4] == [f"{made['parameters']:,}", f"{made['said']['accuracy']:.1%}".replace("%", " %"),
                            f"{made['accuracy']:.1%}".replace("%", " %")]  # fmt: skip
        assert row[5] == f"{made['test']['accuracy']:.1%}".replace("%", " %")
    for words in ("P = 5 fresh seeds", "1,655 validation clips", "a difference of +0.8 points (+0.4 to +1.2)",
                  "growth less plain is +0.4 points (-0.6 to +1.4) on test clips, p = 0.62 after Holm",
                  "were read once, and nothing was chosen by them"):  # fmt: skip
        assert words in part, words
    opens = {int(place) for place in re.findall(r'data-open="(\d+)"', part)}
    assert {with_refit(folder, value).trials[k].number for k in opens} == {row["trial"] for row in value["points"]}


def test_without_test_figures_there_are_no_columns_of_them(folder):
    value = refitted(json.loads((folder / "trials.json").read_text()), tested=False) | {"planned": 99, "optimism": None}
    part = section(render(with_refit(folder, value), Moment(0.0)), "refit")
    assert "int8" not in part and "were read" not in part and "a difference of" not in part
    assert "of 99 nets are finished" in part


def test_a_front_that_was_not_trained_again_says_what_does_it(folder):
    (folder / "front.json").unlink(missing_ok=True)
    assert "kws-dendrite refit" in section(render(read_search(folder), Moment(0.0)), "refit")
    assert refit_section({"points": []}, (), "Folded parameters") == ""
    with pytest.raises(DataError, match=r"front\.json should hold a JSON object"):
        with_refit(folder, [])
    (folder / "front.json").unlink()


def test_unequal_epochs_are_a_column_and_a_word(folder):
    value = refitted(json.loads((folder / "trials.json").read_text()))
    for k, row in enumerate(value["points"]):
        row["epochs"] = 20 if k else 40
    value["arms"][0] |= {"epochs": 20, "against_epochs": 40}
    part = section(render(with_refit(folder, value), Moment(0.0)), "refit")
    assert [row[-1] for row in cells(part)] == ["40"] + ["20"] * (len(value["points"]) - 1)
    assert "after Holm, after 20 epochs against 40." in part
    (folder / "front.json").unlink()
