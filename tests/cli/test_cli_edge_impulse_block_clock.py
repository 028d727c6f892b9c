"""The learning block's time limit, by a clock that the test turns."""

import math
import time

import pytest

from kws_dendrite.cli.block_clock import (
    FIRST_EPOCH_SECONDS,
    MARGIN_SECONDS,
    OVERDUE_SECONDS,
    SAFETY,
    UNKNOWN_SECONDS,
    BlockClock,
    TimeUp,
)


class Hands:
    """A clock at a time of the test's choosing."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


@pytest.fixture
def hands():
    return Hands()


def clock(hands, limit):
    return BlockClock(100.0, limit, hands)


def test_without_a_limit_there_is_no_end(hands):
    endless = clock(hands, None)
    hands.time += 1e9
    assert endless.left() == math.inf and endless.known
    endless.epoch_done(1e6, last=False)
    assert not endless.fired


@pytest.mark.parametrize(("limit", "reserve"), [(20, 10), (3600, UNKNOWN_SECONDS)])
def test_before_an_export_was_measured_a_share_is_kept_for_it(hands, limit, reserve):
    assert clock(hands, limit).reserve == reserve
    assert clock(hands, limit).left() == limit - reserve


def test_the_reserve_is_what_an_export_took_and_more(hands):
    limited = clock(hands, 60)
    assert not limited.known
    limited.measured(4.0)
    assert limited.known and limited.reserve == SAFETY * 4 + MARGIN_SECONDS
    hands.time += 10
    assert limited.left() == 50 - limited.reserve
    assert limited.left(0.5) == 0.5 * (60 - limited.reserve) - 10


def test_the_whole_run_ends_within_the_limit_whatever_the_epochs_take(hands):
    """Reading, epochs of uneven lengths, an export as long as measured: never over, and no epoch too few."""
    for limit in (20, 47, 300):
        for epoch in (0.01, 0.7, 3.1, 9.0):
            hands.time, limited = 100.0, clock(hands, limit)
            hands.time += 2.5
            limited.measured(3.0)
            spare = None
            with pytest.raises(TimeUp):
                for number in range(100_000):
                    hands.time += epoch * (1 + 0.1 * (number % 2))
                    spare = limited.left()
                    limited.epoch_done(epoch * 1.1, last=False)
            assert limited.fired and limited.epochs == number + 1
            if number:  # the first epoch is let finish
                assert limited.elapsed() + SAFETY * 3.0 <= limit
            assert spare < epoch * 1.1


def test_the_last_epoch_ends_training_without_the_limits_help(hands):
    limited = clock(hands, 20)
    hands.time += 19
    limited.epoch_done(5.0, last=True)
    assert not limited.fired


def named(name):
    """A function of that name which, as far as a traceback tells, is part of the training."""

    def run(work):
        work()

    run.__code__ = run.__code__.replace(co_name=name, co_filename="kws_dendrite/training/loop.py")
    return run


LOOP = {name: named(name) for name in ("_train_epoch", "restore")}


def wait(hands, jump, seconds=10.0, until=lambda: False):
    hands.time += jump
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        time.sleep(0.005)


def test_a_long_epoch_is_cut_when_the_time_is_over(hands):
    limited = clock(hands, 20)
    with pytest.raises(TimeUp), limited.cutting():
        limited.epoch_done(0.1, last=False)
        LOOP["_train_epoch"](lambda: wait(hands, 15))
    assert limited.fired


def test_a_first_epoch_is_let_finish(hands):
    limited = clock(hands, 20)
    with limited.cutting():
        LOOP["_train_epoch"](lambda: wait(hands, FIRST_EPOCH_SECONDS - 1, seconds=0.5))
    assert not limited.fired


def test_a_first_epoch_that_takes_far_more_than_the_limit_is_cut(hands):
    limited = clock(hands, 20)
    with pytest.raises(TimeUp), limited.cutting():
        LOOP["_train_epoch"](lambda: wait(hands, FIRST_EPOCH_SECONDS + 1))


def test_what_must_not_be_left_halfway_is_waited_for(hands):
    limited = clock(hands, 20)
    with limited.cutting():
        limited.epoch_done(0.1, last=False)
        LOOP["restore"](lambda: wait(hands, 15, seconds=0.5))
    assert not limited.fired


def test_but_not_for_ever(hands):
    limited = clock(hands, 20)
    with pytest.raises(TimeUp), limited.cutting():
        limited.epoch_done(0.1, last=False)
        LOOP["restore"](lambda: wait(hands, 15, seconds=0.5))
        LOOP["restore"](lambda: wait(hands, OVERDUE_SECONDS + 1))


def test_the_functions_that_may_be_left_are_those_of_the_training():
    """A new name there would silently turn the cut off."""
    from kws_dendrite.cli.block_clock import INSIDE
    from kws_dendrite.training import growth, loop

    for name in INSIDE:
        assert hasattr(loop, name) or hasattr(growth, name)
