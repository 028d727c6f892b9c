import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation.hypervolume import Dominated, Reference, hypervolume, reference_of, undominated

PAIRS = st.lists(st.tuples(st.integers(1, 130), st.floats(0, 1)), max_size=20)
BOX = Reference(10, 100, 0.1)


def by_a_fine_grid(pairs, box, steps=4000):
    """The same area as a sum of thin columns."""
    width = math.log(box.largest / box.smallest)
    total = 0.0
    for k in range(steps):
        size = box.smallest * math.exp(width * (k + 0.5) / steps)
        total += max([0.0, *(accuracy - box.accuracy for s, accuracy in pairs if s <= size)])
    return total / steps / (1 - box.accuracy)


def test_by_hand():
    assert hypervolume([], BOX) == 0
    assert hypervolume([(10, 1.0)], BOX) == pytest.approx(1)
    assert hypervolume([(1, 1.0)], BOX) == pytest.approx(1)  # smaller than the box: from its edge
    assert hypervolume([(100, 1.0)], BOX) == 0
    assert hypervolume([(10, 0.1)], BOX) == 0
    assert hypervolume([(math.sqrt(1000), 0.55)], BOX) == pytest.approx(0.25)
    assert hypervolume([(10, 0.55), (math.sqrt(1000), 1.0)], BOX) == pytest.approx(0.75)


@given(PAIRS)
def test_is_the_area_under_the_best_so_far(pairs):
    assert hypervolume(pairs, BOX) == pytest.approx(by_a_fine_grid(pairs, BOX), abs=2e-3)


@given(PAIRS, st.randoms())
def test_order_does_not_matter_and_it_never_falls(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    grown = Dominated(BOX)
    values = [grown.add([pair]) for pair in shuffled]
    assert all(before <= after + 1e-12 for before, after in zip([0.0, *values], values, strict=False))
    assert grown.value == pytest.approx(hypervolume(pairs, BOX))
    assert hypervolume([pairs[k] for k in undominated(pairs)], BOX) == pytest.approx(hypervolume(pairs, BOX))
    assert grown.sizes == sorted(set(grown.sizes)) and grown.accuracies == sorted(set(grown.accuracies))


@given(PAIRS)
def test_undominated_is_what_nothing_beats(pairs):
    kept = undominated(pairs)
    for k, (size, accuracy) in enumerate(pairs):
        beaten = any(s <= size and a >= accuracy and (s, a) != (size, accuracy) for s, a in pairs)
        assert (k in kept) == (not beaten and pairs.index((size, accuracy)) == k)
    assert [pairs[k][0] for k in kept] == sorted(pairs[k][0] for k in kept)


def test_reference_spans_the_sizes_or_keeps_to_the_limit():
    assert reference_of([300, 100, 200]) == Reference(100, 300 * 1.1)
    assert reference_of([300, 100, 200], 0.1, 250) == Reference(100, 250, 0.1)
    assert reference_of([300], limit=200) == Reference(300, 300 * 1.1)  # nothing within it yet
    with pytest.raises(DataError, match="at least one size"):
        reference_of([])


@pytest.mark.parametrize(("sizes", "accuracy"), [((0, 10), 0), ((10, 10), 0), ((1, math.inf), 0), ((1, 2), 1.0)])
def test_a_box_without_room_is_refused(sizes, accuracy):
    with pytest.raises(DataError, match="a reference"):
        Reference(*sizes, accuracy)
