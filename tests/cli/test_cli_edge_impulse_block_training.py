"""What the learning block trains, in the time that a clock of the test's leaves it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from block_arrays import Arrays

from kws_dendrite.cli import block_training
from kws_dendrite.cli.block_clock import BlockClock
from kws_dendrite.cli.block_parameters import read_arguments
from kws_dendrite.cli.block_training import (
    Plan,
    fitting_space,
    plan_by_search,
    plan_one,
    train_plan,
    widest_plain,
)
from kws_dendrite.data import load_block_arrays
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.config import MODES
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.fold import fold
from kws_dendrite.models import SeparableConfig, build_model, config_to_json
from kws_dendrite.plain import cost
from kws_dendrite.search import ARMS, DEFAULT, TrialResult
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import grow


class Hands:
    """Every epoch takes `epoch` seconds by this clock, however fast it was."""

    def __init__(self, epoch=1.0):
        self.time, self.epoch = 0.0, epoch

    def __call__(self):
        return self.time


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return load_block_arrays(Arrays(tmp_path_factory.mktemp("bank") / "data", features=10 * 13).write())


@pytest.fixture
def timed(monkeypatch):
    """Make epochs take a clock's seconds: `timed(hands)`."""

    def patch(hands):
        real = block_training.train

        def train(*arguments, progress, **rest):
            def slow(record, epochs):
                hands.time += hands.epoch
                progress(replace(record, seconds=hands.epoch), epochs)

            return real(*arguments, progress=slow, **rest)

        monkeypatch.setattr(block_training, "train", train)
        return hands

    return patch


def settings(*words):
    return read_arguments(["--data-directory", "in", "--out-directory", "out", "--seeds", "2", *map(str, words)])


def small(bank, **rest):
    _, T, F = bank.validation.shape
    return Plan(SeparableConfig(T, F, len(bank.labels), channels=4, kernel=3), 0.03, **rest)


def test_without_a_limit_all_epochs_are_trained(bank):
    lines = []
    result = train_plan(small(bank), settings("--epochs", 5), bank, BlockClock(0, None), lines.append)
    assert len(result.history) == 5 and not result.interrupted
    assert [line.split(" (")[0] for line in lines[1:]] == [f"epoch {k} of 5" for k in range(1, 6)]


def limited(hands, limit=40, export=12):
    """20 of 40 seconds are for the export: SAFETY times 12, and MARGIN_SECONDS."""
    clock = BlockClock(0, limit, hands)
    clock.measured(export)
    return clock


def test_where_not_all_epochs_fit_a_shorter_schedule_is_trained_whole(bank, timed):
    """Two epochs of a second show that 100 do not fit into 20 s; 17 then run from warm-up to the end of the cosine."""
    hands, lines = timed(Hands()), []
    result = train_plan(small(bank), settings("--epochs", 100), bank, limited(hands), lines.append)
    assert any("beginning again with 17, a whole schedule" in line for line in lines)
    assert len(result.history) == 17
    assert result.history[-1].learning_rate < 0.1 * max(record.learning_rate for record in result.history)
    assert hands.time <= 20


def test_the_beginning_of_the_long_schedule_is_kept_where_it_was_better(bank, timed, monkeypatch):
    hands = timed(Hands())
    timed_train, losses = block_training.train, iter([[0.1, 0.1], [0.3, 0.2]])
    monkeypatch.setattr(
        block_training, "train", lambda *given, **rest: replace(timed_train(*given, **rest), best_loss=next(losses))
    )
    result = train_plan(small(bank), settings("--epochs", 100), bank, limited(hands), lambda line: None)
    assert result.best_loss == [0.1, 0.1] and len(result.history) == 2
    assert not result.interrupted  # it was ended to begin again


def test_a_first_epoch_that_warms_up_is_not_believed(bank, timed):
    """It takes 3 s, the others one: all 12 fit, and nothing is thrown away."""
    hands, lines = timed(Hands(epoch=3.0)), []

    def quicken(line):
        lines.append(line)
        if line.startswith("epoch 1 of"):
            hands.epoch = 1.0

    result = train_plan(small(bank), settings("--epochs", 12), bank, limited(hands), quicken)
    assert len(result.history) == 12 and not any("beginning again" in line for line in lines)


def test_until_the_export_is_measured_training_goes_on(bank, timed):
    """The reserve is 20 of 40 s at first; after 6 epochs an export turns out to take 2 s, and all 25 epochs fit."""
    hands, lines = timed(Hands()), []
    clock = BlockClock(0, 40, hands)

    def say(line):
        lines.append(line)
        if line.startswith("epoch 6 of"):
            clock.measured(2.0)

    result = train_plan(small(bank), settings("--epochs", 25), bank, clock, say)
    assert len(result.history) == 25 and not any("beginning again" in line for line in lines)


def test_where_it_is_never_measured_the_best_so_far_is_kept(bank, timed):
    hands = timed(Hands())
    clock = BlockClock(0, 40, hands)
    result = train_plan(small(bank), settings("--epochs", 100), bank, clock, lambda line: None)
    assert len(result.history) == 20 and clock.fired


def test_epochs_that_grow_slower_are_cut_and_the_best_is_kept(bank, timed):
    hands, lines = timed(Hands()), []

    def say(line):
        lines.append(line)
        if line.startswith("epoch 6 of"):
            hands.epoch = 4.0

    clock = limited(hands)
    result = train_plan(small(bank), settings("--epochs", 15), bank, clock, say)
    assert clock.fired and 6 < len(result.history) < 15
    assert any(line.startswith("time limit: training ends after") for line in lines)
    assert min(min(record.validation_loss) for record in result.history) == pytest.approx(min(result.best_loss))
    assert hands.time <= 20 + 4


def test_a_first_epoch_of_a_large_part_of_the_time_is_enough_to_tell(bank, timed):
    hands, lines = timed(Hands(epoch=6.0)), []
    train_plan(small(bank), settings("--epochs", 100), bank, limited(hands), lines.append)
    assert sum(line.startswith("epoch 1 of 100 ") for line in lines) == 1
    assert not any(line.startswith("epoch 2 of 100 ") for line in lines)
    assert any("beginning again with 2" in line for line in lines)


def test_one_epoch_is_trained_even_when_it_is_late(bank, timed):
    hands = timed(Hands(epoch=15.0))
    clock = BlockClock(0, 20, hands)
    result = train_plan(small(bank), settings("--epochs", 100), bank, clock, lambda line: None)
    assert len(result.history) == 1 and clock.fired


def test_a_real_epoch_is_cut_in_its_middle(bank, monkeypatch):
    """The time is over while batches are drawn: nothing of that epoch is kept, and training ends at once."""
    from kws_dendrite.training import batches

    hands = Hands()
    clock = BlockClock(0, 20, hands)
    real, drawn = batches.PopulationBatches._batches, []

    def drip(self):
        import time

        for batch in real(self):
            drawn.append(len(drawn))
            if len(drawn) == 14:  # four batches an epoch here: 72 clips, 16 a batch
                hands.time += 15
                time.sleep(1)
            yield batch

    monkeypatch.setattr(batches.PopulationBatches, "_batches", drip)
    result = train_plan(small(bank), settings("--epochs", 50), bank, clock, lambda line: None)
    assert clock.fired and len(result.history) == 3 and len(drawn) == 14


def test_no_epoch_within_the_whole_limit_is_an_error(bank, monkeypatch):
    from kws_dendrite.training import loop

    hands = Hands()
    real = loop._train_epoch

    def endless(*arguments):
        import time

        hands.time += 100
        time.sleep(1)
        return real(*arguments)

    endless.__code__ = endless.__code__.replace(co_name="_train_epoch", co_filename=loop.__file__)
    monkeypatch.setattr(loop, "_train_epoch", endless)
    with pytest.raises(DataError, match=r"not one epoch over 72 clips ended in the time .* the limit is 20 s"):
        train_plan(small(bank), settings("--epochs", 5), bank, BlockClock(0, 20, hands), lambda line: None)


def test_a_limit_too_short_for_the_dendrites_cycles_takes_as_few_epochs_as_will_do(bank, timed):
    hands, lines = timed(Hands()), []
    growth = DendriteConfig(mode="perforated", candidate_epochs=8)
    plan = small(bank, growth=growth)
    result = train_plan(plan, settings("--epochs", 60), bank, BlockClock(0, 14, hands), lines.append)
    assert result.history and "dendrites: perforated" in lines[0]


@pytest.mark.parametrize("epochs", [3, 10, 200])
def test_candidate_phases_are_as_long_as_the_training_allows(bank, epochs):
    plan = plan_one(settings("--dendrites", "perforated", "--epochs", epochs), bank)
    assert plan.growth.mode == "perforated"
    assert plan.growth.candidate_epochs == {3: 1, 10: 1, 200: 8}[epochs]


def test_the_family_asked_for_is_trained_at_its_own_rate(bank):
    plan = plan_one(settings("--family", "edge_impulse_1d"), bank)
    assert plan.architecture.family == "edge_impulse_1d" and plan.learning_rate == 0.005


def test_level_is_removed_where_it_is_there(bank):
    kept, gone = (replace(bank, frontend=frontend) for frontend in ({"keeps_level": True}, {}))
    assert plan_one(settings(), kept).architecture.remove_mean
    assert not plan_one(settings(), gone).architecture.remove_mean
    assert widest_plain(kept, 700).remove_mean


@pytest.mark.parametrize("limit", [111, 160, 300, 2000, 100_000])
def test_the_space_of_a_search_is_the_searchs_own_less_the_widths_that_are_too_wide(bank, limit):
    space = fitting_space(bank, limit)
    usual, widths = DEFAULT.dim("separable.channels"), space.dim("separable.channels")
    assert space.with_dims(separable__channels=usual) == DEFAULT
    assert widths.low == usual.low <= widths.high <= usual.high
    widest = widest_plain(bank, limit)
    assert cost(fold(build_model(widest))).parameters <= limit
    if limit == 100_000:
        assert space == DEFAULT


def test_a_limit_below_the_smallest_net_names_its_size(bank):
    with pytest.raises(ConfigError, match=r"smallest net for 3 classes of such features has \d+: raise the limit"):
        fitting_space(bank, 40)


def test_no_more_growth_steps_than_the_trial_kept(bank):
    """A trial whose growth was rolled back was measured as a plain net, and is trained again as one."""
    architecture = {"family": "separable", "frames": 10, "coefficients": 13, "classes": 3}
    growth = {"mode": "gradient", "dendrites": 2, "candidate_epochs": 2}
    trial = TrialResult(
        1, "gradient", 0.9, (0.9,), 500, 1, {}, architecture, growth, "complete", 1.0,
        recipe={"learning_rate": 0.02, "weight_decay": 0.01, "epochs": 8},
    )  # fmt: skip
    for accepted, kept in (([True, True], 2), ([True, False], 1), ([False], 0)):
        plan = block_training._plan_of(replace(trial, steps=tuple({"accepted": a} for a in accepted)), DEFAULT, 2000)
        assert (plan.learning_rate, plan.recipe) == (0.02, {"weight_decay": 0.01})
        assert (plan.growth.dendrites if plan.growth else 0) == kept
        assert plan.restarts == (0 if kept else 1)


def test_growth_that_chooses_stays_within_the_limit(bank):
    """Its steps share what the limit leaves: without that, one of them alone takes more."""
    _, T, F = bank.validation.shape
    config = SeparableConfig(T, F, len(bank.labels), channels=8)
    model = build_model(config, 1, 0)
    plain = cost(fold(model)).parameters
    settings = json.loads(json.dumps(asdict(DendriteConfig(mode="growth", kind="any", dendrites=2, significance=0))))
    trial = TrialResult(
        1, "growth", 0.9, (0.9,), plain + 60, 1, {}, config_to_json(config), settings, "complete", 1.0,
        steps=({"accepted": True}, {"accepted": True}),
    )  # fmt: skip
    growth = block_training._plan_of(trial, DEFAULT, plain + 81).growth
    assert (growth.dendrites, growth.budget) == (2, 40)
    sizes = [
        cost(fold(grow(model, bank, TrainConfig(batch_size=16), chosen, 0)[0])).parameters
        for chosen in (growth, replace(growth, budget=0))
    ]
    assert plain < sizes[0] <= plain + 40 < sizes[1]


def test_a_search_ends_in_time_for_the_training_of_its_pick(bank, monkeypatch):
    """Trials of slow epochs: 60 % of the time at most, and what there is by then is picked from."""
    from kws_dendrite.search import trial

    hands, lines = Hands(), []
    real = trial.train

    def slow(*arguments, progress, **rest):
        def record_it(record, epochs):
            hands.time += 3
            progress(replace(record, seconds=3.0), epochs)

        return real(*arguments, progress=record_it, **rest)

    monkeypatch.setattr(trial, "train", slow)
    clock = BlockClock(0, 100, hands)
    plan = plan_by_search(settings("--mode", "search", "--epochs", 10, "--trials", 5), bank, clock, lines.append)
    assert hands.time <= 0.6 * 50 + 3
    assert any(line.startswith("time limit: the search ends after 2 of 5 trials") for line in lines)
    assert any(line.startswith("picked trial") for line in lines)
    assert isinstance(plan.architecture, SeparableConfig) and not clock.fired


@pytest.mark.parametrize("mode", sorted(set(MODES) - set(ARMS)))
def test_dendrites_that_no_search_has_are_refused_before_it_begins(bank, mode):
    with pytest.raises(ConfigError, match=f"a search takes dendrites none, .*; got {mode}: choose one of those, or"):
        plan_by_search(settings("--mode", "search", "--dendrites", mode), bank, BlockClock(0, None), lambda line: None)


def test_ctrl_c_in_a_search_is_passed_on(bank, monkeypatch):
    from kws_dendrite.search import trial

    def stop(*arguments, **rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        plan_by_search(settings("--mode", "search"), bank, BlockClock(0, None), lambda line: None)


@pytest.mark.parametrize(("clips", "batch"), [(20, 16), (200, 16), (600, 37), (2048, 128), (50_000, 128)])
def test_few_clips_are_trained_on_in_smaller_batches(bank, clips, batch):
    many = replace(bank, train=np.broadcast_to(bank.train[:, :1], (1, clips, *bank.train.shape[2:])))
    config = block_training._recipe(settings("--balance-classes", 1), many, epochs=7)
    assert config.batch_size == batch and config.epochs == 7 and config.word_balance == 1


def test_the_same_seed_gives_the_same_net(bank):
    results = [
        train_plan(small(bank), settings("--epochs", 3, "--seed", 7), bank, BlockClock(0, None), lambda line: None)
        for _ in range(2)
    ]
    first, second = (result.model.state_dict() for result in results)
    for name in first:
        np.testing.assert_array_equal(first[name].numpy(), second[name].numpy())
