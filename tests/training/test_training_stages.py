"""Every net that training passes through is told, and a caller may end training between epochs."""

from dataclasses import replace

import pytest
import torch
from tiny_bank import make_bank, net, same, state

from kws_dendrite.dendrites import DendriteConfig, dendritic_layers
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import share_epochs, train
from kws_dendrite.training.loop import train_cycle, validate

QUICK = TrainConfig(epochs=2, batch_size=12, learning_rate=0.02)
GRADIENT = DendriteConfig(mode="gradient", activation="tanh")


@pytest.fixture(scope="module")
def bank():
    return make_bank(noise=0.7)


def stages_of(bank, growth=None, restarts=0, config=QUICK, **settings):
    seen = []
    result = train(net(), bank, config, growth=growth, restarts=restarts, on_stage=seen.append, **settings)
    return result, seen


def counted(stages):
    return [(stage.dendrites, stage.steps, stage.cycles, stage.epochs) for stage in stages]


@pytest.mark.parametrize(
    ("growth", "restarts", "expected"),
    [
        (None, 0, [(0, 0, 1, 2)]),
        (None, 2, [(0, 0, 1, 2), (0, 0, 2, 4), (0, 0, 3, 6)]),
        (replace(GRADIENT, dendrites=2), 0, [(0, 0, 1, 2), (1, 1, 2, 4), (2, 2, 3, 6)]),
        (replace(GRADIENT, mode="perforated", candidate_epochs=3), 0, [(0, 0, 1, 2), (1, 1, 2, 7)]),
        (replace(GRADIENT, probe=(0.5, 1.0)), 0, [(0, 0, 1, 2), (1, 1, 2, 6)]),
        (replace(GRADIENT, insertion="early"), 0, [(0, 0, 1, 1), (1, 1, 2, 4)]),
        (replace(GRADIENT, insertion="start"), 1, [(1, 0, 1, 2), (1, 0, 2, 4)]),
    ],
    ids=["plain", "restarts", "gradient", "perforated", "probe", "early", "start"],
)
def test_stages_are_told_with_what_they_took(bank, growth, restarts, expected):
    result, stages = stages_of(bank, growth, restarts)
    kept = [step.accepted for step in result.growth]
    assert all(kept)
    assert counted(stages) == expected
    last = stages[-1]
    cycle = share_epochs(QUICK, last.epochs, growth, restarts).epochs
    assert cycle == QUICK.epochs  # which is what makes it again
    assert (last.best_loss, last.best_accuracy) == (result.best_loss, result.best_accuracy)
    assert same(state(last.model), state(result.model))


def test_a_stage_is_a_copy_at_its_best(bank):
    result, stages = stages_of(bank, restarts=1)
    for stage in stages:
        loss, _ = validate(stage.model, torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels))
        assert loss.tolist() == stage.best_loss
        assert stage.model is not result.model
    before = state(result.model)
    for parameter in stages[-1].model.parameters():
        parameter.data.zero_()
    assert same(before, state(result.model))


def test_a_rejected_step_is_no_stage_and_a_later_one_counts_it(bank):
    never = replace(GRADIENT, dendrites=3, tries=2, min_improvement=0.99)
    result, stages = stages_of(bank, never)
    assert [step.accepted for step in result.growth] == [False, False]
    assert counted(stages) == [(0, 0, 1, 2)]


def test_growth_that_finds_nothing_is_no_dendrite(bank):
    nothing = DendriteConfig("growth", significance=1e9, candidate_epochs=1, candidates=1, held_out=0.3)
    result, stages = stages_of(bank, nothing)
    assert [step.accepted for step in result.growth] == [len(stages) == 2]
    assert [stage.dendrites for stage in stages] == [0] * len(stages)


def test_a_sham_is_gone_from_its_stage(bank):
    _, stages = stages_of(bank, DendriteConfig(mode="sham"))
    assert all(not dendritic_layers(stage.model) for stage in stages)


def test_listening_changes_nothing(bank):
    alone = train(net(), bank, QUICK, growth=GRADIENT, restarts=0)
    heard, _ = stages_of(bank, GRADIENT, stop=lambda: False)
    assert same(state(alone.model), state(heard.model))
    assert not alone.stopped and not heard.stopped


# -- stopping ---------------------------------------------------------------------------------------------------------


def after(epochs):
    """`progress` and `stop` that end training after so many epochs."""
    seen = []
    return {"progress": lambda record, total: seen.append(record), "stop": lambda: len(seen) >= epochs}


def test_a_cycle_ends_after_the_epoch_and_keeps_its_best(bank):
    model = net()
    cycle = train_cycle(model, bank, replace(QUICK, epochs=5), 0, **after(2))
    assert cycle.stopped and not cycle.interrupted and len(cycle.history) == 2
    losses = [min(record.validation_loss[p] for record in cycle.history) for p in range(2)]
    assert cycle.best_loss == losses
    loss, _ = validate(model, torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels))
    assert loss.tolist() == losses


def test_stopped_in_the_first_cycle_there_is_no_stage(bank):
    result, stages = stages_of(bank, restarts=1, **after(1))
    assert result.stopped and not stages and len(result.history) == 1


def test_stopped_in_a_restart_the_first_stage_stands(bank):
    result, stages = stages_of(bank, restarts=1, **after(3))
    assert result.stopped and counted(stages) == [(0, 0, 1, 2)] and len(result.history) == 3


def test_a_growth_step_that_is_stopped_is_neither_kept_nor_told(bank):
    told = []
    result, stages = stages_of(bank, GRADIENT, on_growth=told.append, **after(3))
    assert result.stopped and not result.growth and not told
    assert counted(stages) == [(0, 0, 1, 2)] and not dendritic_layers(result.model)
    assert same(state(result.model), state(stages[0].model))
    assert [record.phase for record in result.history] == ["cycle 1", "cycle 1", "dendrite 1"]


def test_it_is_asked_after_a_stage_too(bank):
    seen = []
    result, _ = stages_of(bank, GRADIENT)
    assert not result.stopped
    result = train(net(), bank, QUICK, growth=GRADIENT, on_stage=seen.append, stop=lambda: bool(seen))
    assert result.stopped and len(seen) == 1 and len(result.history) == QUICK.epochs and not result.growth


def test_ctrl_c_is_no_stage(bank):
    def interrupt(record, total):
        if record.epoch == 3:
            raise KeyboardInterrupt

    result, stages = stages_of(bank, restarts=1, progress=interrupt)
    assert result.interrupted and counted(stages) == [(0, 0, 1, 2)]
