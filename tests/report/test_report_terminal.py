import json

from rich.console import Console
from run_folder import trials as made_trials

from kws_dendrite.report.terminal import artefact_table, front_table


def printed(table):
    console = Console(width=140, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_front_is_by_size(rng):
    lines = [line for line in printed(front_table(made_trials(rng))).splitlines() if "%" in line and "│" in line]
    sizes = [int(line.split("│")[3].replace(",", "")) for line in lines]
    assert sizes == sorted(sizes)
    assert len(sizes) > 3


def test_empty_front():
    assert "accuracy" in printed(front_table([]))


def test_artefacts(run_folder):
    rows = json.loads((run_folder / "benchmark.json").read_text())
    text = printed(artefact_table([*rows, {"artefact": "[bold]odd"}], {"model.onnx": 0.9112}))
    assert "9,412 B" in text
    assert "38.2 µs" in text
    assert "91.1 %" in text
    assert "[bold]odd" in text  # a name is not markup
