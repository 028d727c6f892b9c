"""The table of operators: current in the docs, and every statement with a source."""

import subprocess
import sys
from pathlib import Path

import pytest

from kws_dendrite.export.check.table import UNKNOWN, render
from kws_dendrite.export.check.targets import load_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == render(load_table()), (
        "run python -m kws_dendrite.export.check.table docs/operators.md"
    )


def test_the_command_writes_it(tmp_path):
    command = [sys.executable, "-m", "kws_dendrite.export.check.table", str(tmp_path / "operators.md")]
    subprocess.run(command, check=True)
    assert (tmp_path / "operators.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("key", load_table().targets)
def test_what_is_stated_has_a_source(key):
    table = load_table()
    target = table.targets[key]
    assert target.resolver in table.sources and target.operators
    assert bool(target.fast) == (target.fast_source in table.sources)
    assert target.fast <= target.operators
    for name, cell in target.cells.items():
        assert name in target.operators, f"{name} is described for {key}, which does not list it"
        assert all(source in table.sources for source in cell.sources)
        assert cell.sources or not (cell.types or cell.form), f"{key} states something of {name} without a source"


def test_every_source_is_used_and_cited():
    table = load_table()
    page = render(table)
    cited = {key for key, url in table.sources.items() if f"<{url}>" in page}
    rules = "".join(path.read_text(encoding="utf-8") for path in (PAGE.parents[1] / "export/check").glob("*.py"))
    unused = {key for key in table.sources if key not in cited and f'"{key}"' not in rules}
    assert not unused
    assert UNKNOWN in page
