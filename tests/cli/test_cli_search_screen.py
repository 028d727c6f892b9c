import io

import pytest
from rich.console import Console

from kws_dendrite.cli.search_screen import SearchScreen, about, lines, screen
from kws_dendrite.report.search_summary import plan_from
from kws_dendrite.report.search_trials import read_trials

SETTINGS = {
    "data": {"name": "office [red]words[/]"}, "arms": ["plain", "growth"], "trials": 4, "epochs": 10, "members": 2,
    "objective": {"name": "params", "label": "Folded parameters"},
}  # fmt: skip


def point(accuracy, parameters, dendrites=0):
    return {"dendrites": dendrites, "validation_accuracy": accuracy, "parameters": parameters, "value": parameters,
            "validation_accuracy_members": [accuracy - 0.01, accuracy + 0.01]}  # fmt: skip


def record(number, state, arm="plain", **more):
    return {"number": number, "slot": number // 2, "arm": arm, "state": state, "params": {}, "points": [], **more}


RECORDS = [
    record(0, "complete", points=[point(0.8, 900)], epochs=10, seconds=100.0),
    record(1, "complete", "growth", points=[point(0.78, 700), point(0.85, 1300, 2)], epochs=10, seconds=100.0),
    record(2, "stopped", points=[point(0.5, 800)], epochs=4, saved=6, seconds=40.0, why="50.0 % after 4 epochs"),
    record(3, "skipped", "growth", why="RAM 9,120 B is over --max-ram 8,192 B"),
    record(3, "skipped", "growth", attempt=1, why="RAM 8,800 B is over --max-ram 8,192 B"),
    record(3, "running", "growth", attempt=2, worker="bench-7", progress={"epoch": 5, "epochs": 10},
           curve=[{"epoch": 4, "validation_accuracy": [0.7, 0.74]}]),
    record(4, "failed", why="the loss [of epoch 3] is nan"),
    record(5, "waiting", "growth"),
]  # fmt: skip


def drawn(records, width=140, height=50, left=None, **changed):
    console = Console(width=width, height=height, file=io.StringIO(), record=True, force_terminal=True)
    console.print(screen(read_trials(records), plan_from(SETTINGS | changed), left, width, height))
    return console.export_text()


def test_everything_that_an_engineer_asks_is_on_it():
    text = drawn(RECORDS, left=150.0)
    for words in (
        "office [red]words[/]", "4 of 8", "about 2 min left", "2\u00a0done", "1\u00a0stopped", "1\u00a0running",
        "saved 20% of the epochs", "2\u00a0draws\u00a0skipped", "1\u00a0failed", "5 of 10", "72.0 %", "bench-7",
        "1,300", "85.0 %", "2 skipped",
        "RAM 8,800 to 9,120 B is over --max-ram 8,192 B", "the loss [of epoch 3] is nan",
    ):  # fmt: skip
        assert words in text, words


def test_the_front_is_over_all_points_of_trials_that_ended():
    rows = [line.split() for line in drawn(RECORDS, width=90).splitlines()]
    front = [row for row in rows if row[:1] in (["700"], ["900"], ["1,300"], ["800"])]
    assert [(row[0], row[1]) for row in front] == [("700", "78.0"), ("900", "80.0"), ("1,300", "85.0")]


@pytest.mark.parametrize(("width", "height"), [(200, 60), (140, 30), (80, 40), (80, 24), (60, 16)])
def test_it_fits_the_terminal(width, height):
    many = [
        record(k, "complete", points=[point(0.5 + 0.01 * k, 300 + 60 * k)], epochs=10, seconds=9.0) for k in range(40)
    ]
    many += [record(50 + k, "running", worker=f"w{k}") for k in range(12)]
    many += [record(70 + k, "skipped", why=f"reason {'x' * k}") for k in range(12)]
    text = drawn(many, width, height, trials=60)
    assert len(text.splitlines()) <= height
    assert max(map(len, text.splitlines())) <= width
    assert "89.0 %" in text  # the most accurate is never what is left out


def test_before_the_first_trial_ends_nothing_is_made_up():
    text = drawn([record(0, "running"), record(1, "waiting")])
    assert "none yet" in text and "0 of 8" in text and "not known yet" in text
    assert "none yet" in drawn([])


def test_another_objective_has_a_column_of_its_own():
    held = {"name": "ram", "label": "RAM of an inference, bytes"}
    text = drawn([record(0, "complete", points=[{**point(0.8, 900), "value": 4096}])], width=170, objective=held)
    assert "RAM of an inference" in text and "4,096" in text


def test_lines_where_there_is_no_terminal():
    console = Console(file=io.StringIO(), width=80)
    ticks = iter([0.0, 100.0, 100.0, 100.0])
    with SearchScreen(console, SETTINGS, clock=lambda: next(ticks)) as shown:
        shown.show(RECORDS[:1])
        shown.show(RECORDS[:3])
        shown.show(RECORDS[:3])
        shown.show(RECORDS)
    told = console.file.getvalue().splitlines()
    assert told == [
        "1 of 8 trials ended before",
        "trial 1 (growth): 1,300 parameters, 2 dendrites, validation accuracy 85.0%",
        "trial 2 (plain): stopped after epoch 4, 50.0 % after 4 epochs; 3 of 8 ended, about 4 min left",
        "trial 4 (plain): failed, the loss [of epoch 3] is nan; 4 of 8 ended, about 2 min left",
    ]


def test_a_terminal_is_drawn_on_in_place_and_left_clean():
    console = Console(file=io.StringIO(), width=100, height=40, force_terminal=True, force_interactive=True)
    with SearchScreen(console, SETTINGS) as shown:
        shown.show(RECORDS)
        assert "Front so far" in console.file.getvalue()
        console.print("a line from elsewhere")
    assert shown.live is None and "a line from elsewhere" in console.file.getvalue()


def test_lines_need_no_plan():
    assert lines(read_trials(RECORDS[:1]), set(), plan_from({}), None) == [
        "trial 0 (plain): 900 parameters, validation accuracy 80.0%; 1 ended"
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 s"), (44, "40 s"), (58, "1 min"), (719, "12 min"), (3599, "1 h"), (12_130, "3 h 20 min"),
     (190_000, "2 days 4 h")],
)  # fmt: skip
def test_about(seconds, words):
    assert about(seconds) == words
