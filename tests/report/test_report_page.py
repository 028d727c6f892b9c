import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from run_folder import make_run_folder

from kws_dendrite.errors import DataError
from kws_dendrite.report.page import SECTIONS, embedded, render, write_report
from kws_dendrite.report.results import PARTS, read_run

VOID = {"meta", "br", "wbr", "hr", "img", "input", "link"}
HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)> & \' " $title ${style}'


class Outline(HTMLParser):
    """Every tag in order, with its attributes; fails where tags do not nest."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def facts_of(page):
    return json.loads(re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.S)[1])


def section(page, anchor):
    return re.search(rf'<section id="{anchor}".*?</section>', page, re.S)[0]


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_every_section_is_there_and_filled(run_folder):
    page = render(read_run(run_folder))
    for anchor, heading, _, _ in SECTIONS:
        assert heading.replace("&", "&amp;") in section(page, anchor)
    assert "Not in this run folder" not in page
    for words in ("Synthetic demo data", "3 of 3", "PyTorch", "TFLite int8", "growth rejected", "4,890 clips",
                  "model_quantized_int8_io.tflite", "2.13.0", "1,655 validation clips, P = 5"):  # fmt: skip
        assert words in page, words


def test_tags_nest_and_ids_are_unique(run_folder):
    outline = Outline(render(read_run(run_folder)))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)


def test_nothing_is_loaded_from_anywhere(run_folder):
    page = render(read_run(run_folder))
    assert "http://" not in page and "https://" not in page and "@import" not in page and "url(" not in page
    for tag, attributes in Outline(page).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    assert "default-src &#x27;none&#x27;" in page


def test_every_trial_can_be_reached(run_folder):
    results = read_run(run_folder)
    page = render(results)
    points = [a for tag, a in Outline(page).tags if tag == "g" and "data-trial" in a]
    numbers = sorted(point.number for point in results.trials)
    assert sorted(int(a["data-trial"]) for a in points) == sorted(numbers * 2)  # a wide and a narrow drawing
    assert all("parameters, accuracy" in a["aria-label"] for a in points)
    facts = facts_of(page)
    assert sorted(int(number) for number in facts["trials"]) == numbers
    assert ["Parameters", f"{results.chosen.parameters:,}"] in facts["trials"][str(results.chosen.number)]["rows"]
    assert len(facts["curves"]["epochs"]) == len(results.history)


def test_growth_is_marked_in_both_panels(run_folder):
    learning = section(render(read_run(run_folder)), "learning")
    assert learning.count('class="growth accepted"') == 4
    assert learning.count('class="growth rejected"') == 2


def test_hostile_words_stay_words(run_folder):
    for part in PARTS:
        text = (run_folder / part).read_text()
        value = json.loads(text, object_hook=lambda o: {k: HOSTILE if isinstance(v, str) else v for k, v in o.items()})
        (run_folder / part).write_text(json.dumps(value))
    labels = [f"{HOSTILE} {k}" for k in range(12)]
    edit(run_folder / "evaluation.json", lambda v: v.update(labels=labels, artefacts={HOSTILE: 0.5}))
    edit(run_folder / "model/model.json", lambda v: v.update(labels=labels, architecture={HOSTILE: {HOSTILE: HOSTILE}}))
    edit(run_folder / "run.json", lambda v: v["data"].update({"labels": labels, HOSTILE: HOSTILE, "notes": [HOSTILE]}))
    finished = {"params": {HOSTILE: HOSTILE}, "state": "complete"}
    edit(run_folder / "search/trials.json", lambda v: [t.update(finished) for t in v])
    page = render(read_run(run_folder))
    outline = Outline(page)
    assert [tag for tag, _ in outline.tags].count("script") == 2
    assert not any(tag == "img" for tag, _ in outline.tags)
    assert not any(name.startswith("on") for _, attributes in outline.tags for name in attributes)
    assert facts_of(page)["trials"]["0"]["arm"] == HOSTILE


def test_embedded_json_cannot_leave_its_element():
    text = embedded({"a": "</script><!--<script>&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--<script>&"}


@pytest.mark.parametrize(("part", "anchors"), [
    ("search/trials.json", {"front"}), ("model/model.json", {"learning"}), ("evaluation.json", {"confusion"}),
    ("export/parity.json", {"parity"}), ("benchmark.json", set()), ("run.json", set()),
])  # fmt: skip
def test_a_missing_part_says_what_makes_it(run_folder, part, anchors):
    (run_folder / part).unlink()
    page = render(read_run(run_folder))
    Outline(page)
    for anchor, _, _, command in SECTIONS:
        missing = "Not in this run folder" in section(page, anchor)
        assert missing == (anchor in anchors)
        assert not missing or f"kws-dendrite {command}" in section(page, anchor)


@pytest.mark.parametrize("part", PARTS)
def test_one_part_alone_makes_a_page(run_folder, part):
    for other in PARTS:
        if other != part:
            (run_folder / other).unlink()
    Outline(render(read_run(run_folder)))


@pytest.mark.parametrize("content", ["{}", "[]"])
def test_empty_parts_make_a_page(tmp_path, content):
    names = [name for name in PARTS if (name in ("search/trials.json", "benchmark.json")) == (content == "[]")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    page = render(read_run(tmp_path))
    Outline(page)
    assert page.count("Not in this run folder") == len(SECTIONS)


def test_one_of_everything(run_folder):
    """One seed, one trial, one epoch, one class, all zero: the axes still have a width."""
    edit(run_folder / "search/trials.json", lambda v: v.__setitem__(slice(None), [
        {"number": 3, "arm": "plain", "parameters": 1, "validation_accuracy": 0, "validation_accuracy_members": [0]},
    ]))  # fmt: skip
    edit(run_folder / "model/model.json", lambda v: v.update(history=[
        {"epoch": 0, "train_loss": 0, "train_accuracy": 1, "validation_loss": [0], "validation_accuracy": [1]},
    ], growth=[]))  # fmt: skip
    edit(run_folder / "evaluation.json", lambda v: v.update(labels=["a"], confusion=[[0]], clips=0))
    edit(run_folder / "export/parity.json", lambda v: [hop.update(worst=0) for hop in v["hops"]])
    page = render(read_run(run_folder))
    Outline(page)
    assert "nan" not in page.split("<script>")[0].lower().replace("name", "")


def test_histories_that_start_over_are_laid_end_to_end(run_folder):
    edit(run_folder / "model/model.json", lambda v: [e.update(epoch=k % 18) for k, e in enumerate(v["history"])])
    assert facts_of(render(read_run(run_folder)))["curves"]["epochs"] == list(range(1, 73))


@pytest.mark.parametrize("confusion", [[[1, 2]], "x", [["a"]], [[-1] * 12] * 12])
def test_a_confusion_matrix_that_is_none(run_folder, confusion):
    edit(run_folder / "evaluation.json", lambda v: v.update(confusion=confusion))
    with pytest.raises(DataError, match="square of counts"):
        render(read_run(run_folder))


def test_real_data_carries_no_banner(tmp_path):
    assert "Synthetic demo data" not in render(read_run(make_run_folder(tmp_path / "real", synthetic=False)))


def test_same_folder_same_bytes(run_folder, tmp_path):
    first = write_report(run_folder)
    assert first == run_folder / "report.html"
    second = write_report(run_folder, tmp_path / "sub" / "other.html")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_script_runs_under_its_own_policy(run_folder, tmp_path):
    page = write_report(run_folder)
    dump = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert len(re.findall(r'class="point[^>]*tabindex="0"', dump.stdout)) == 2  # one stop a drawing, set by script


def test_the_c_is_named_with_its_clips(run_folder):
    assert "bytes of the int8 TFLite file on 1,655 of 1,655 clips" in render(read_run(run_folder))
    edit(run_folder / "export/parity.json", lambda v: v.update(c=None))
    assert "bytes of the int8 TFLite file" not in render(read_run(run_folder))
