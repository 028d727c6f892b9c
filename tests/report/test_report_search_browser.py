import json

import pytest
from chromium import complaints, needs_chromium, opened
from search_folder import make_search_folder

from kws_dendrite.report.search_page import Moment, write_search_page
from kws_dendrite.report.search_results import read_search
from kws_dendrite.report.search_trials import all_spots, the_front

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return read_search(make_search_folder(tmp_path_factory.mktemp("search"), ended=100, total=120))


@pytest.fixture(scope="module")
def page(search):
    shares = {"train.learning_rate": {"share": 0.6, "chance": 0.1}, "model.family": {"share": 0.4, "chance": 0.1}}
    found = {"all": {"trials": 100, "best": 10, "parameters": shares}}
    return write_search_page(search, Moment(search.written, found), search.folder / "report.html")


@pytest.fixture(scope="module")
def browser(page):
    with opened(page) as driver:
        yield driver


@pytest.fixture
def fresh(browser):
    """The page as it is when it was opened."""
    browser.refresh()
    yield browser
    assert complaints(browser) == []


def one(driver, selector):
    return driver.find_element("css selector", selector)


def many(driver, selector):
    return driver.find_elements("css selector", selector)


def press(driver, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def told(box):
    """A panel as it is read: its heading, its place, its parameters by name, its table of nets."""
    values = [dict(zip(*(_texts(dl, tag) for tag in ("dt", "dd")), strict=True)) for dl in many(box, "dl.pairs")]
    rows = [_texts(row, "td") for row in many(box, "table.nets tbody tr")]
    return one(box, "h3").text, one(box, ".place").text, values, rows


def _texts(box, selector):
    return [element.get_attribute("textContent") for element in many(box, selector)]


def test_a_click_on_a_net_tells_its_trial(fresh, search):
    spots = all_spots(search.trials)
    spot = next(s for s in the_front(search.trials) if s.dendrites)
    trial = next(t for t in search.trials if t.number == spot.trial and t.spots)
    at = spots.index(spot)
    from selenium.webdriver import ActionChains

    point = one(fresh, f".wide .p[data-spot='{at}']")
    fresh.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(fresh).move_to_element(point).click().perform()
    panel = one(fresh, "#trial")
    heading, place, values, rows = told(panel)
    assert heading == f"Trial {trial.number}"
    assert trial.arm in place and "on the front" in place
    drawn = {name: value for group in values for name, value in group.items()}
    assert drawn["channels"] == str(trial.params["model.channels"])
    assert drawn["family"] == trial.params["model.family"]
    assert drawn["Worker"] == trial.worker
    assert [row[1] for row in rows] == [f"{s.parameters:,}" for s in trial.spots]
    assert "★" in rows[trial.spots.index(spot)][0]
    assert one(panel, "tr.on td:nth-child(2)").text == f"{spot.parameters:,}"
    series = one(panel, "svg.trialcurve path.series").get_attribute("d")
    assert series.count("L") == len(trial.curve.epochs) - 1  # an epoch a corner
    assert len(many(panel, "svg.trialcurve .netmark")) == len(trial.spots)
    drawn_width = one(panel, "svg.trialcurve path.series").rect["width"]
    assert drawn_width > 200  # it is really there to be seen


def test_arrow_keys_walk_by_size_and_enter_opens(fresh, search):
    from selenium.webdriver import Keys

    start = one(fresh, ".wide .p[tabindex='0']")
    fresh.execute_script("arguments[0].focus()", start)
    press(fresh, Keys.HOME)
    first = fresh.switch_to.active_element
    smallest = min(spot.size for spot in all_spots(search.trials))
    at = all_spots(search.trials)[int(first.get_attribute("data-spot"))]
    assert at.size == smallest
    assert first.get_attribute("aria-label").startswith(f"Trial {at.trial}, {at.arm}")
    press(fresh, Keys.ARROW_RIGHT)
    second = all_spots(search.trials)[int(fresh.switch_to.active_element.get_attribute("data-spot"))]
    assert second.size >= smallest and second is not at
    assert one(fresh, "#trial h3").text == f"Trial {second.trial}"
    press(fresh, Keys.ENTER)
    sheet = one(fresh, "#sheet")
    assert sheet.get_attribute("open") is not None
    assert one(sheet, "h3").text == f"Trial {second.trial}"
    press(fresh, Keys.ESCAPE)
    assert sheet.get_attribute("open") is None


def test_every_trial_opens_from_the_table_and_its_curve_is_read_out(fresh, search):
    from selenium.webdriver import Keys

    stopped = next(k for k, trial in enumerate(search.trials) if trial.state == "stopped")
    trial = search.trials[stopped]
    fresh.execute_script("arguments[0].click()", one(fresh, f"#all [data-open='{stopped}']"))
    sheet = one(fresh, "#sheet")
    heading, place, _, _ = told(sheet)
    assert (heading, "stopped" in place) == (f"Trial {trial.key}", True)
    assert one(sheet, ".why").text == trial.why
    fresh.execute_script("arguments[0].focus()", one(sheet, "svg.trialcurve"))
    press(fresh, Keys.END)
    assert one(sheet, ".readout").text.startswith(f"epoch {trial.epoch}: {100 * trial.curve.accuracy[-1]:.1f} %")
    assert "stopped" in one(sheet, "svg.trialcurve").text  # where the epochs that were saved begin
    one(sheet, ".close").click()
    skipped = next(k for k, trial in enumerate(search.trials) if trial.state == "skipped")
    fresh.execute_script("arguments[0].click()", one(fresh, f"#all [data-open='{skipped}']"))
    assert one(sheet, ".why").text == search.trials[skipped].why


def test_parallel_coordinates_sift_and_a_line_opens_its_trial(fresh, search):
    from selenium.webdriver import ActionChains, Keys

    lines = many(fresh, "#parallel .line[data-row]")
    ended = [trial for trial in search.trials if trial.state in ("complete", "stopped")]
    assert len(lines) == len(ended)
    accuracy = many(fresh, "#parallel .dimension")[-1]
    fresh.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", accuracy)
    press(fresh, Keys.ARROW_UP)
    passing = int(one(fresh, "#passing").text.split()[0])
    assert 0 < passing < len(lines)
    assert len(many(fresh, "#parallel .line.dim")) == len(lines) - passing
    best = many(fresh, "#parallel .line.onfront:not(.dim)")[-1]
    trial = json.loads(one(fresh, "#facts").get_attribute("textContent"))["lines"]["lines"]
    row = int(best.get_attribute("data-row"))
    # Half-way between the first two axes, on the line.
    place = fresh.execute_script(
        "const p = arguments[0], s = p.ownerSVGElement.getBoundingClientRect();"
        "const n = p.getAttribute('d').match(/[\\d.]+/g).map(Number);"
        "return [s.left + (n[0] + n[2]) / 2, s.top + (n[1] + n[3]) / 2];", best
    )  # fmt: skip
    pointer = ActionChains(fresh)
    pointer.w3c_actions.pointer_action.move_to_location(*map(round, place))
    pointer.perform()
    hot = one(fresh, "#parallel .line.hot").get_attribute("d")
    assert hot in {line.get_attribute("d") for line in many(fresh, "#parallel .line:not(.hot):not(.dim)")}
    pointer.w3c_actions.pointer_action.click()
    pointer.perform()
    opened_trial = one(fresh, "#sheet .told").get_attribute("data-trial")
    keys = [line["trial"] for line in trial if search.trials[line["trial"]].key == opened_trial]
    assert keys and one(fresh, "#sheet h3").text == f"Trial {opened_trial}"
    if hot == best.get_attribute("d"):
        assert search.trials[trial[row]["trial"]].key == opened_trial
    press(fresh, Keys.ESCAPE)
    fresh.execute_script("arguments[0].click()", one(fresh, "#clear"))
    assert not many(fresh, "#parallel .line.dim")


def test_an_arm_can_be_hidden_everywhere(fresh, search):
    arm = many(fresh, ".key")[0]
    fresh.execute_script("arguments[0].click()", arm)
    assert arm.get_attribute("aria-pressed") == "false"
    assert {p.get_attribute("data-arm") for p in many(fresh, ".wide .p:not(.off)")} == {"1", "2"}
    assert not many(fresh, "#parallel .line.a0:not(.off)") and many(fresh, "#parallel .line.a1:not(.off)")
    fresh.execute_script("arguments[0].click()", arm)
    assert not many(fresh, ".front .off")


def test_the_table_sorts_and_sifts(fresh, search):
    heads = [head.text.lower() for head in many(fresh, "#all thead th")]
    accuracy = many(fresh, "#all thead button")[heads.index("accuracy")]
    for _ in range(2):
        fresh.execute_script("arguments[0].click()", accuracy)
    values = fresh.execute_script(
        "const rows = [...document.querySelectorAll('#all tbody tr')];"
        "return rows.map((row) => row.cells[arguments[0]].dataset.v || null)",
        heads.index("accuracy"),
    )
    known = [float(value) for value in values if value is not None]
    assert known == sorted(known, reverse=True) and values[: len(known)] == values[: -values.count(None)]
    fresh.execute_script(
        "const s = document.getElementById('state'); s.value = 'stopped'; s.dispatchEvent(new Event('change'))"
    )
    rows = [row for row in many(fresh, "#all tbody tr") if row.is_displayed()]
    assert len(rows) == sum(trial.state == "stopped" for trial in search.trials)


def test_on_a_phone_a_click_opens_the_sheet(page, search):
    with opened(page, width=400, height=800, dark=True) as driver:
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 400
        assert not one(driver, "#trial").is_displayed()
        best = the_front(search.trials)[-1]
        point = one(driver, f".narrow .p[data-spot='{all_spots(search.trials).index(best)}']")
        from selenium.webdriver import ActionChains

        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
        ActionChains(driver).move_to_element(point).click().perform()
        sheet = one(driver, "#sheet")
        assert one(sheet, "h3").text == f"Trial {best.trial}"
        assert sheet.rect["width"] <= 400
        assert complaints(driver) == []


def test_names_stay_words(tmp_path):
    hostile = "</script><img src=x onerror=alert(1)><b>\"&'"
    folder = make_search_folder(tmp_path, ended=12, total=12)
    trials = json.loads((folder / "trials.json").read_text())
    for trial in trials:
        trial |= {"arm": hostile, "worker": hostile, "why": hostile, "params": {hostile: hostile, "a.b": len(trials)}}
    (folder / "trials.json").write_text(json.dumps(trials))
    settings = {"study": hostile, "data": {"name": hostile}, hostile: {hostile: [hostile]}}
    (folder / "search.json").write_text(json.dumps(settings))
    results = read_search(folder)
    with opened(write_search_page(results, Moment(0.0), folder / "report.html")) as driver:
        for k in range(len(results.trials)):
            driver.execute_script("document.querySelector(`#all [data-open='${arguments[0]}']`).click()", k)
        assert one(driver, "#sheet .why").get_attribute("textContent") == hostile
        assert not many(driver, "img, b b")
        assert complaints(driver) == []
