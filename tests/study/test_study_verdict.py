import re

import numpy as np
import pytest
from tiny_rows import scored

from kws_dendrite.study.comparison import compare
from kws_dendrite.study.verdict import conclusion, verdicts

PLAIN = (0.80, 0.81, 0.79, 0.80, 0.805, 0.795)


def judged(gain, spread=0.001, size=700, tested=True, seeds=6, jitter=3):
    """A plain net and a dendritic one that is `gain` better, give or take `spread` a seed."""
    rng = np.random.default_rng(jitter)
    plain = PLAIN[:seeds]
    grown = tuple(value + gain + spread * rng.standard_normal() for value in plain)
    return [
        scored("plain", plain, size=size, tested=tested),
        scored("gradient", grown, size=size, tested=tested),
    ]


def say(rows):
    found = compare(rows)
    return verdicts(found, ["gradient"]), conclusion(found, ["gradient"])


def test_ahead_in_every_way():
    lines, text = say(judged(0.1))
    assert "gradient dendrites is ahead of the plain net (plain, one cosine cycle) by +" in lines[700]
    assert re.search(r"over seeds and clips, p = \S+ after correction for 1 comparisons", lines[700])
    assert "at 1 of 1 sizes (700)" in text and "after Holm's correction: gradient dendrites at 700" in text


def test_behind():
    lines, text = say(judged(-0.1))
    assert "every arm that grows is behind" in lines[700]
    assert text.startswith("At its one size no arm that grows is ahead")


def test_no_difference_shown():
    lines, text = say(judged(0.0, spread=0.02))
    assert "no arm that grows is ahead" in lines[700]
    assert text.startswith("At its one size no arm")


def test_seeds_alone_do_not_prove_it():
    rows = judged(0.01, spread=0.0005)
    correct = rows[1].correct.copy()
    rng = np.random.default_rng(0)
    for row in correct:  # the same accuracy, on other clips: what clips were drawn decides
        rng.shuffle(row)
    shuffled = rows[1].__class__(rows[1].row, rows[1].accuracies, correct, correct, rows[1].recall)
    lines, text = say([rows[0], shuffled])
    assert "over seeds, not once clips and the number of comparisons are counted" in lines[700]
    assert "None of it stands once clips" in text


def test_validation_alone_concludes_nothing():
    lines, text = say(judged(0.1, tested=False))
    assert "on validation clips" in lines[700]
    assert "nothing is concluded before the test is read" in text


def test_one_seed_concludes_nothing():
    lines, text = say(judged(0.1, seeds=1))
    assert "one seed an arm" in lines[700] and "may be the seed" in lines[700]
    assert text == "One seed an arm: no interval over seeds, so nothing can be concluded."


def test_a_study_of_controls_says_so():
    assert verdicts(compare([scored("plain"), scored("deeper")]), []) == {}
    assert "nothing is concluded about growth" in conclusion([], [])


def test_the_best_plain_net_is_what_counts():
    rows = [*judged(0.05), scored("deeper", tuple(np.array(PLAIN) + 0.1))]
    lines, _ = say(rows)
    assert "the best plain net (plain, one block deeper)" in lines[700]
    assert "behind" in lines[700]


@pytest.mark.parametrize("gains", [(0.1, -0.1), (-0.1, 0.1)])
def test_sizes_are_counted(gains):
    rows = [row for size, gain in zip((700, 1400), gains, strict=True) for row in judged(gain, size=size)]
    _, text = say(rows)
    assert "at 1 of 2 sizes" in text
