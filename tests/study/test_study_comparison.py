import numpy as np
import pytest
from tiny_rows import scored

from kws_dendrite.evaluation import crossed_difference, holm, paired_difference
from kws_dendrite.study.comparison import best_plain_of, compare, plain_of


def test_every_arm_meets_the_plain_net_of_its_size():
    rows = [scored(arm, size=size) for size in (700, 1400) for arm in ("plain", "deeper", "gradient")]
    found = compare(rows)
    assert [(one.arm, one.size, one.reference, one.against) for one in found] == [
        ("deeper", 700, "plain", "plain-700"),
        ("gradient", 700, "plain", "plain-700"),
        ("deeper", 1400, "plain", "plain-1400"),
        ("gradient", 1400, "plain", "plain-1400"),
    ]


def test_the_best_plain_net_is_chosen_by_validation_not_by_test():
    plain = scored("plain", (0.9, 0.9, 0.9), validation=(0.7, 0.7, 0.7))
    deeper = scored("deeper", (0.6, 0.6, 0.6), validation=(0.8, 0.8, 0.8))
    gradient = scored("gradient")
    assert best_plain_of([plain, deeper, gradient], 700) is deeper
    assert [(one.arm, one.reference) for one in compare([plain, deeper, gradient])] == [
        ("deeper", "plain"), ("gradient", "plain"), ("gradient", "best plain"),
    ]  # fmt: skip


def test_without_a_plain_arm_the_restarted_one_stands_in():
    restarted = scored("plain_restart")
    assert plain_of([restarted, scored("gradient")], 700) is restarted
    assert compare([scored("gradient")]) == []


def test_an_arm_meets_its_own_base():
    rows = [scored("gradient"), scored("gradient-base", (0.7, 0.71, 0.7), base_of="gradient")]
    (one,) = compare(rows)
    assert (one.reference, one.against) == ("base", "gradient-base-700")
    assert one.mean == pytest.approx(rows[0].accuracies.mean() - rows[1].accuracies.mean())


def test_three_kinds_of_interval():
    first, second = scored("gradient", (0.85, 0.9, 0.86), seed=1), scored("plain", (0.8, 0.82, 0.84))
    (one,) = compare([second, first])
    assert one.seeds == paired_difference(first.accuracies, second.accuracies)
    assert one.both == crossed_difference(first.correct, second.correct)
    assert one.clips.mean == pytest.approx(one.mean)
    assert one.clips.interval[0] < one.mean < one.clips.interval[1]


def test_p_values_are_corrected_over_the_whole_family():
    rng = np.random.default_rng(0)
    rows = [
        scored(arm, tuple(rng.uniform(0.7, 0.9, 4)), size=size, seed=number)
        for number, (arm, size) in enumerate((a, s) for s in (700, 1400) for a in ("plain", "gradient", "perforated"))
    ]
    found = compare(rows)
    assert len(found) == 4
    assert [one.corrected_seeds for one in found] == pytest.approx(list(holm([one.seeds.p_value for one in found])))
    assert [one.corrected_both for one in found] == pytest.approx(list(holm([one.both.p_value for one in found])))


def test_one_seed_has_no_interval_over_seeds():
    (one,) = compare([scored("plain", (0.8,)), scored("gradient", (0.85,), seed=1)])
    assert one.seeds is None and one.both is None and one.corrected_seeds is None
    assert one.clips is not None


def test_before_the_reading_there_are_seeds_alone():
    (one,) = compare([scored("plain", tested=False), scored("gradient", (0.9, 0.8, 0.9), tested=False)])
    assert one.seeds is not None and one.corrected_seeds is not None
    assert one.clips is None and one.both is None and one.corrected_both is None


def test_json_is_plain():
    import json

    found = compare([scored("plain"), scored("gradient", seed=1)])
    assert json.loads(json.dumps([one.to_json() for one in found], allow_nan=False))[0]["reference"] == "plain"
