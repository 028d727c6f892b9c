"""Batches of a population: who meets which clip, shifted how, masked where."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_bank import F, T, make_bank, numbered_bank

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig

P = 3
PLAIN = TrainConfig(batch_size=3, shift_frames=0, clean_share=0.5)


def epoch(bank, config, members=P, seed=0, skip=0):
    """All features (P, steps * B, T, F) and labels (P, steps * B) of one epoch."""
    batches = PopulationBatches(bank, config, members, seed)
    for _ in range(skip):
        list(batches.epoch())
    x, labels = zip(*batches.epoch(), strict=True)
    return torch.cat(x, 1), torch.cat(labels, 1)


def test_every_clip_once_an_epoch_for_every_member():
    bank = numbered_bank(clips=6)
    batches = PopulationBatches(bank, PLAIN, P, 0)
    assert len(batches) == 2
    orders = []
    for _ in range(3):
        labels = torch.cat([labels for _, labels in batches.epoch()], 1)
        assert torch.equal(labels.sort(1).values, torch.arange(6).expand(P, 6))
        orders += labels.tolist()
    assert len({tuple(order) for order in orders}) == len(orders)  # another order every time, for every member


def test_the_rest_of_a_batch_is_left_out_and_never_repeats():
    x, labels = epoch(numbered_bank(clips=7), PLAIN)
    assert labels.shape == (P, 6)
    assert all(len(set(row)) == 6 for row in labels.tolist())
    assert x.dtype == torch.float32


def test_a_batch_is_never_larger_than_the_bank():
    batches = PopulationBatches(numbered_bank(clips=5), replace(PLAIN, batch_size=128), P, 0)
    assert len(batches) == 1
    assert next(batches.epoch())[0].shape == (P, 5, T, F)


def test_features_go_with_their_labels_and_come_from_every_copy():
    x, labels = epoch(numbered_bank(copies=3, clips=60), replace(PLAIN, clean_share=0.2))
    copies = (x[:, :, 0, 0] - 100 * labels) / 1000
    assert set(copies.unique().tolist()) == {0, 1, 2}


@pytest.mark.parametrize(("share", "copies"), [(1.0, {0}), (0.0, {1, 2})])
def test_clean_share_at_its_ends(share, copies):
    x, labels = epoch(numbered_bank(clips=9), replace(PLAIN, clean_share=share))
    found = (x[:, :, 0, 0] - 100 * labels) // 1000
    assert set(found.unique().tolist()) == copies


def test_a_bank_of_clean_clips_alone():
    x, labels = epoch(numbered_bank(copies=1), replace(PLAIN, clean_share=0.0))
    assert torch.equal(x[:, :, 0, 0], 100.0 * labels)


def test_clean_share_is_a_share():
    x, labels = epoch(numbered_bank(copies=2, clips=300), replace(PLAIN, clean_share=0.25), members=5)
    clean = (x[:, :, 0, 0] == 100 * labels).float().mean().item()
    assert clean == pytest.approx(0.25, abs=0.05)


def test_no_shift_leaves_clips_whole():
    x, labels = epoch(numbered_bank(copies=1), PLAIN)
    bank = torch.from_numpy(numbered_bank(copies=1).train[0])
    assert torch.equal(x, bank[labels])


def test_shift_repeats_the_edges():
    limit = 2
    x, labels = epoch(numbered_bank(copies=1, clips=90), replace(PLAIN, shift_frames=limit))
    bank = torch.from_numpy(numbered_bank(copies=1, clips=90).train[0])
    shifts = set()
    for clip, label in zip(x.flatten(0, 1), labels.flatten(), strict=True):
        original = bank[label]
        fits = []
        for shift in range(-limit, limit + 1):
            frames = [min(max(t + shift, 0), T - 1) for t in range(T)]
            if torch.equal(clip, original[frames]):
                fits.append(shift)
        assert len(fits) == 1
        shifts.update(fits)
    assert shifts == {-2, -1, 0, 1, 2}


def test_float16_banks_are_read_exactly():
    bank = make_bank(dtype=np.float16)
    x, _ = epoch(bank, replace(PLAIN, clean_share=1.0))
    stored = {row.tobytes() for row in bank.train[0].astype(np.float32)}
    assert all(clip.numpy().tobytes() in stored for clip in x.flatten(0, 1))


def test_members_draw_from_the_seed_and_their_number_alone():
    bank = numbered_bank(clips=12)
    config = replace(PLAIN, shift_frames=2, time_mask=3, frequency_mask=2)
    few, many = epoch(bank, config, members=1, skip=1), epoch(bank, config, members=4, skip=1)
    assert torch.equal(few[0][0], many[0][0])
    assert torch.equal(few[1][0], many[1][0])
    assert not torch.equal(many[0][0], many[0][1])
    assert not torch.equal(epoch(bank, config, seed=1)[1], epoch(bank, config, seed=2)[1])


def spans(covered):
    """Lengths of the runs of True in a row."""
    edges = np.diff(np.concatenate([[0], covered.astype(int), [0]]))
    return (np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)).tolist()


def test_masks_are_one_span_each_filled_with_the_clips_mean():
    bank, config = numbered_bank(copies=1, clips=60), replace(PLAIN, time_mask=5, frequency_mask=2)
    x, labels = epoch(bank, config)
    times, frequencies = [], []
    for clip, label in zip(x.flatten(0, 1).numpy(), labels.flatten(), strict=True):
        original = bank.train[0][label]
        masked = clip != original  # no value of the bank is its clip's mean
        np.testing.assert_allclose(clip[masked], original.mean(), rtol=1e-6)
        rows, columns = masked.all(1), masked.all(0)
        assert np.array_equal(masked, rows[:, None] | columns[None])
        assert len(spans(rows)) <= 1
        assert len(spans(columns)) <= 1
        times += spans(rows)
        frequencies += spans(columns)
    assert set(times) == {1, 2, 3, 4, 5}
    assert set(frequencies) == {1, 2}


def test_members_are_masked_each_in_its_own_way():
    bank = numbered_bank(copies=1, clips=12)
    alike = replace(bank, train=bank.train[:, :1].repeat(12, axis=1))
    x, _ = epoch(alike, replace(PLAIN, time_mask=4))
    assert not torch.equal(x[0], x[1])
    assert not torch.equal(x[:, :3], x[:, 3:6])  # nor are all batches


@pytest.mark.parametrize("which", ["time_mask", "frequency_mask"])
def test_one_mask_alone(which):
    x, labels = epoch(numbered_bank(copies=1, clips=30), replace(PLAIN, **{which: 2}))
    masked = x != torch.from_numpy(numbered_bank(copies=1, clips=30).train[0])[labels]
    axis = 3 if which == "time_mask" else 2
    assert torch.equal(masked.any(axis), masked.all(axis))
    assert masked.any()


def test_masks_do_not_change_which_clips_come():
    bank = numbered_bank(clips=12)
    with_masks = epoch(bank, replace(PLAIN, time_mask=3), skip=2)[1]
    assert torch.equal(with_masks, epoch(bank, PLAIN, skip=2)[1])


@pytest.mark.parametrize("settings", [{"time_mask": T}, {"time_mask": T + 5}, {"frequency_mask": F}])
def test_masks_have_to_leave_something(settings):
    with pytest.raises(ConfigError, match=f"below the features' {T} frames and {F} coefficients"):
        PopulationBatches(numbered_bank(), replace(PLAIN, **settings), P, 0)


def test_one_clip_is_too_few():
    with pytest.raises(DataError, match="at least two clips; got 1"):
        PopulationBatches(numbered_bank(clips=1), PLAIN, P, 0)


def test_a_negative_seed_is_refused():
    with pytest.raises(ConfigError, match="seed is a whole number, 0 or more; got -1"):
        PopulationBatches(numbered_bank(), PLAIN, P, -1)


def soft(bank, config, members=P):
    """All of one epoch's features (P, n, T, F) and of its targets' labels, others and shares (P, n)."""
    x, targets = zip(*PopulationBatches(bank, config, members, 0).soft_epoch(), strict=True)
    parts = [torch.cat([getattr(t, name) for t in targets], 1) for name in ("labels", "others", "share")]
    return torch.cat(x, 1), *parts


def test_a_soft_epoch_has_the_same_clips_as_a_plain_one():
    bank, config = numbered_bank(clips=12), replace(PLAIN, shift_frames=2, time_mask=3)
    x, labels = epoch(bank, config)
    soft_x, targets = zip(*PopulationBatches(bank, config, P, 0).soft_epoch(), strict=True)
    assert torch.equal(torch.cat(soft_x, 1), x)
    assert torch.equal(torch.cat([each.labels for each in targets], 1), labels)
    assert all(each.others is None and each.teacher is None for each in targets)


def test_mixup_mixes_two_clips_of_a_batch_by_the_share():
    bank = numbered_bank(copies=1, clips=60)
    clips = torch.from_numpy(bank.train[0])
    x, labels, others, share = soft(bank, replace(PLAIN, mixup=0.5))
    wide = share[..., None, None]
    torch.testing.assert_close(x, wide * clips[labels] + (1 - wide) * clips[others])
    assert 0 <= share.min() < 0.2 < 0.8 < share.max() <= 1
    assert torch.equal(labels, epoch(bank, PLAIN)[1])  # the order is as without


def test_colouring_adds_a_smooth_curve_alike_in_every_frame():
    bank = numbered_bank(copies=1, clips=90)
    x, labels = epoch(bank, replace(PLAIN, colouring=2.0))
    added = x - torch.from_numpy(bank.train[0])[labels]
    torch.testing.assert_close(added, added[:, :, :1].expand_as(added), atol=1e-2, rtol=0)
    curves = added[:, :, 0]
    np.testing.assert_allclose(curves.mean(-1), 0, atol=1e-2)  # the level stays
    assert curves.std() == pytest.approx(2.0, rel=0.2)


def test_stretch_reads_frames_about_the_middle():
    bank = numbered_bank(copies=1, clips=90)
    x, labels = epoch(bank, replace(PLAIN, stretch=0.4))
    frames = (x[..., 0] - 100 * labels[..., None]) / 10  # which frame each place holds
    assert frames.min() >= 0 and frames.max() <= T - 1
    assert (frames.diff(dim=-1) >= 0).all()  # time never runs backwards
    spread = frames[..., -1] - frames[..., 0]
    assert spread.min() < T - 2 and spread.max() == T - 1


@pytest.mark.parametrize("balance", [0.5, 1.0])
def test_word_balance_draws_words_by_a_power_of_their_clips(balance):
    words = np.repeat([0, 1, 2], [60, 30, 6])
    bank = replace(numbered_bank(copies=1, clips=96), train_words=words)
    drawn = torch.cat([epoch(bank, replace(PLAIN, word_balance=balance), skip=skip)[1] for skip in range(3)], 1)
    counts = np.array([60.0, 30.0, 6.0]) ** (1 - balance)
    expected = counts / counts.sum()
    found = np.bincount(words[drawn.flatten().numpy()]) / drawn.numel()
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_word_balance_falls_back_to_classes():
    bank = replace(numbered_bank(copies=1, clips=12), train_labels=np.array([0] * 9 + [1] * 3))
    _, labels = epoch(bank, replace(PLAIN, word_balance=1.0))
    assert labels.float().mean(1).tolist() == pytest.approx([0.5] * P)


def test_levers_do_not_change_which_clips_come():
    bank = numbered_bank(clips=12)
    for lever in ({"colouring": 1.0}, {"stretch": 0.2}):
        assert torch.equal(epoch(bank, replace(PLAIN, **lever), skip=1)[1], epoch(bank, PLAIN, skip=1)[1])
