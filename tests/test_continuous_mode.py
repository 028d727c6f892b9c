"""The page on continuous mode is what its results say."""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from continuous_features import COPIES, MEMBERS, MFCC, NETS, OFFSETS, RECIPES, conditions, page

from kws_dendrite.data import Signals
from kws_dendrite.frontend import extract

DOCS = Path(__file__).resolve().parents[1] / "docs"
RESULTS = json.loads((DOCS / "results" / "continuous" / "results.json").read_text(encoding="utf-8"))


def test_the_page_is_made_of_its_results():
    assert (DOCS / "continuous_mode.md").read_text(encoding="utf-8") == page(RESULTS["features"], RESULTS["nets"])


def test_results_are_of_known_nets_and_recipes_with_as_many_seeds():
    for result in RESULTS["nets"]:
        assert result["net"] in NETS and result["name"] in {recipe.name for recipe in RECIPES}
        assert result["members"] == MEMBERS and result["copies"] in (0, COPIES)
        assert all(len(values) == MEMBERS for values in result["accuracy"].values())


def test_conditions_hear_the_clip_and_its_surroundings():
    random = np.random.default_rng(1)
    clips = random.integers(-3000, 3000, (3, 16000)).astype(np.int16)
    made = conditions(Signals(clips, np.zeros(3, np.int64), ("a", "b", "c"), np.zeros(3, bool)))
    assert {name: features.shape for name, features in made.items()} == {
        "clip": (1, 3, 50, 13), "sliced": (1, 3, 50, 13), "off": (OFFSETS, 3, 50, 13),
        "sliced_off": (OFFSETS, 3, 50, 13),
    }  # fmt: skip
    np.testing.assert_array_equal(made["clip"][0], extract(clips, MFCC))
    # in step, the frames that hold no slice's first sample have the clip's own cepstra up to the window's statistics
    assert np.corrcoef(made["sliced"][0].ravel(), made["clip"][0].ravel())[0, 1] > 0.9
    assert not np.allclose(made["off"][0], made["off"][1])
