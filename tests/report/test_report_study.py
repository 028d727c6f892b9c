import base64
import re
from xml.etree import ElementTree

import pytest

from kws_dendrite.report.study_chart import draw_accuracy, draw_differences, strict, styles
from kws_dendrite.report.study_page import render, write_study_report
from kws_dendrite.report.study_table import markdown, reading_note, sections


def interval(mean, half):
    return {"interval": [mean - half, mean + half], "mean": mean}


def make_row(arm, size, accuracy, control=False, published=False):
    return {
        "name": f"{arm}-{size}", "arm": arm, "title": f"the {arm} & <arm>", "size": size, "control": control,
        "base_of": "", "published": published, "parameters": size - 6.0, "parameters_members": [size - 6] * 3,
        "planned": size, "macs": 40_000.0 + size, "members": 3, "accuracy": accuracy,
        "accuracy_members": [accuracy] * 3, "interval": [accuracy - 0.01, accuracy + 0.01],
        "both_interval": [accuracy - 0.02, accuracy + 0.02],
        "validation_accuracy": accuracy, "growth_kept": 1, "growth_tried": 0 if control else 1, "epochs": 60,
        "seconds": 75.0, "cpu_seconds": 60.0, "int8_accuracy": accuracy - 0.002, "int8_change": -0.002,
        "int8_interval": [-0.004, 0.0],
    }  # fmt: skip


def make_comparison(size, mean, reference="best plain", against="restarted"):
    return {
        "arm": "growth", "title": "the growth & <arm>", "size": size, "reference": reference,
        "against": f"{against}-{size}", "against_title": f"the {against} & <arm>", "mean": mean,
        "seeds": interval(mean, 0.01), "clips": interval(mean, 0.02), "both": interval(mean, 0.025),
        "corrected_seeds": 0.0004, "corrected_both": 0.123,
    }  # fmt: skip


@pytest.fixture
def results():
    rows = [
        make_row(arm, size, accuracy + size / 1e5, arm != "growth")
        for size in (700, 1400)
        for arm, accuracy in (("plain", 0.85), ("restarted", 0.86), ("growth", 0.87))
    ]
    compressed = {
        "arm": "growth", "title": "the growth & <arm>", "size": 700, "reference": "plain", "parameters": 694.0,
        "plain_parameters": 900.0, "factor": 1.297, "interval": ["below", 1.5], "gain": 0.02,
        "gain_interval": [0.01, 0.03],
    }  # fmt: skip
    return {
        "format": 1, "measured_on": "test", "clips": 4890, "members": 3,
        "made_of": {"name": "speech", "labels": ["yes", "no"], "recipe": {"epochs": 60}, "synthetic": False},
        "readings": {"times": ["2026-01-01T00:00:00+00:00"], "later": []},
        "rows": [*rows, make_row("spark", 1416, 0.8, published=True)],
        "comparisons": [make_comparison(size, 0.01) for size in (700, 1400)]
        + [make_comparison(size, 0.02, "plain", "plain") for size in (700, 1400)],
        "compression": [compressed],
        "paper": [],
        "best_plain": {"700": "restarted-700", "1400": "restarted-1400"},
        "verdicts": {"700": "700 parameters: <b>ahead</b>.", "1400": "1,400 parameters: not."},
        "conclusion": "Nothing & everything.",
    }  # fmt: skip


def test_the_page_loads_nothing_and_escapes_everything(results):
    page = render(results)
    assert "<b>ahead" not in page and "&lt;b&gt;ahead&lt;/b&gt;" in page
    assert "Nothing &amp; everything." in page and "the growth &amp; &lt;arm&gt;" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert "default-src &#x27;none&#x27;" in policy and "img-src data:" in policy
    assert page == render(results)


def test_pictures_are_inside_and_whole(results):
    pictures = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", render(results))
    assert len(pictures) == 2
    for picture in pictures:
        assert ElementTree.fromstring(base64.b64decode(picture)).tag.endswith("svg")


def test_all_files_are_written(results, tmp_path):
    paths = write_study_report(results, tmp_path)
    assert sorted(path.name for path in paths) == [
        "results.json", "study.html", "study.md", "study.png", "study_differences.png",
    ]  # fmt: skip
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


def test_the_tables(results):
    text = markdown(results)
    assert text.startswith("# 4 arms at 700, 1,400 parameters\n")
    assert "4,890 test clips, P = 3 seeds an arm, paired; 60 epochs each" in text
    assert "| the growth & <arm> | 700 | 694 | 41 | 87.70 | [86.70, 88.70] | [85.70, 89.70] | 1 of 1 |" in text
    assert (
        "| the growth & <arm> | 700 | best plain: the restarted & <arm> | +1.00 | [+0.00, +2.00] | [-1.00, +3.00] | "
        "[-1.50, +3.50] | < 0.001 | 0.123 |" in text
    )
    assert "| 694 | 900 | 1.30 | [below all, 1.50] | +2.00 | [+1.00, +3.00] |" in text
    assert "| 87.70 | 87.50 | -0.20 | [-0.40, +0.00] |" in text
    assert "The paper's protocol" not in text


def test_every_row_has_as_many_cells_as_its_table_has_heads(results):
    results["paper"] = [
        {
            "arm": "gradient", "size": 700, "trials": 20, "clips": 165, "validation": [0.9, 0.8], "test": [0.9, 0.8],
            "parameters": [900.0, 690.0], "epochs": [120, 60], "difference": 0.1, "difference_clips": 16,
            "on_all_clips": 0.05, "other_clips": {"interval": [0.0, 0.1], "better": 0.97}, "concludes": "better",
            "honest": {"difference": 0.001, "one_seed": {"interval": [-0.04, 0.05], "better": 0.5}},
        }
    ]  # fmt: skip
    for title, _, (heads, rows) in sections(results):
        assert rows, title
        assert {len(row) for row in rows} == {len(heads)}, title
    assert "of 20 trials an arm the best on 165 validation clips" in markdown(results)


def test_how_often_the_test_was_read(results):
    assert reading_note(results) == "The test partition was read once, on 2026-01-01T00:00:00+00:00."
    results["readings"] = {"times": ["a", "b"], "later": ["growth-700"]}
    assert "read 2 times, last on b; rows that came later: growth-700" in reading_note(results)
    assert "read 2 times" in render(results)
    results["measured_on"] = "validation"
    assert "this is no result" in reading_note(results)


def test_one_seed_is_said(results):
    results["members"] = 1
    assert "one seed an arm, so no interval over seeds" in markdown(results)


def test_the_strict_comparison_is_that_with_the_best_plain_net(results):
    assert [(one["size"], one["reference"]) for one in strict(results)] == [(700, "best plain"), (1400, "best plain")]
    results["best_plain"] = {"700": "plain-700", "1400": "restarted-1400"}
    results["comparisons"] = [
        one for one in results["comparisons"] if one["size"] == 1400 or one["against"] == "plain-700"
    ]
    assert [one["against"] for one in strict(results)] == ["restarted-1400", "plain-700"]


def test_many_arms_look_different(results):
    results["rows"] = [make_row(f"arm{number}", 700, 0.8) for number in range(30)]
    assert len({(look["color"], look["marker"]) for look in styles(results).values()}) == 30


def test_arms_look_different(results):
    looks = styles(results)
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == 4
    assert looks["spark"]["ls"] == "none"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_pictures_repeat_to_the_byte(results, kind):
    assert draw_accuracy(results, kind) == draw_accuracy(results, kind)
    assert draw_differences(results, kind) == draw_differences(results, kind)


def test_a_single_row_is_drawn(results):
    results["rows"], results["comparisons"] = results["rows"][:1], []
    results["rows"][0]["interval"] = None
    assert draw_accuracy(results).startswith(b"\x89PNG")
    assert strict(results) == []
    assert "Differences at equal size" not in render(results)
