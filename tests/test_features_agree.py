"""The page on how features agree: complete, within its bounds, and made by functions that find what does not agree."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from features_agree import COLUMNS, GOLDEN, page, read_vectors, row

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "features_agree.md").read_text(encoding="utf-8")
VECTORS = read_vectors(GOLDEN)


def rows_of_the_page():
    rows = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.match(r"(mfcc|mfe)_", cells[0]):
            rows[cells[0]] = [float(cell) for cell in cells[3:]]
    return rows


def test_every_vector_goes_through_every_way():
    rows = rows_of_the_page()
    assert {name.split(" ")[0] for name in rows} == {vector.name for vector in VECTORS}
    assert all(len(cells) == len(COLUMNS) for cells in rows.values())
    assert "python benchmarks/features_agree.py --out docs/features_agree.md" in PAGE


@pytest.mark.parametrize(
    ("column", "bound"),
    [("numpy", 1e-12), ("torch", 2e-6), ("C float, host", 1e-3), ("C float, cortex-m4", 1e-3), ("C fixed, host", 5e-3)],
)
def test_what_is_not_degenerate_agrees(column, bound):
    place = COLUMNS.index(column)
    assert max(cells[place] for name, cells in rows_of_the_page().items() if "degenerate" not in name) <= bound


def test_numpy_and_torch_give_what_the_page_says(tmp_path):
    said = rows_of_the_page()
    for vector in VECTORS:
        if not vector.degenerate:
            cells = row(vector, tmp_path, host=False, device=False)
            assert cells["numpy"] <= 1e-12 and cells["torch"] <= 2 * max(said[vector.name][1], 5e-7)


def test_degenerate_and_wrapped_are_few_and_named():
    assert {vector.name for vector in VECTORS if vector.degenerate} == {
        "mfcc_v4_short_320_single_frame", "mfcc_v4_short_400", "mfcc_v4_zeros_1s",
    }  # fmt: skip
    wrapped = {vector.name: int(vector.wrapped.sum()) for vector in VECTORS if vector.wrapped.any()}
    assert wrapped["mfe_v4_default40_1s"] == 28 and all(name.startswith("mfe_") for name in wrapped)


def test_one_value_off_is_seen():
    vector = next(vector for vector in VECTORS if vector.name == "mfcc_v4_default_1s")
    wrong = vector.expected.copy()
    wrong[3, 4] += 0.25
    assert vector.difference(wrong) == pytest.approx(0.25)
    assert "Not made on this machine: C float, host" in page([vector], [{"numpy": 0.0, "torch": float(np.pi)}])
