"""The training loop handed over."""

import math

import pytest
import torch
from torch import nn
from torch_models import QUICK, batches, loss, mlp, same, state

from kws_dendrite.dendrites import DendriteConfig, GrowerConfig, dendritic_layers, grow, merge
from kws_dendrite.errors import ConfigError, DataError

TRAIN, HELD = batches((6,), 6), batches((6,), 8)[6:]


def config(mode="gradient", better="lower", epochs=3, **settings):
    return GrowerConfig(better, DendriteConfig(mode=mode, **{**QUICK, **settings}), epochs=epochs)


def validate(model):
    assert not model.training
    assert not torch.is_grad_enabled()
    return sum(loss(model(x), y).item() for x, y in HELD)


def with_losses(model):
    clips = torch.cat([loss(model(x), y, reduction="none") for x, y in HELD])
    return clips.mean().item(), clips


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.02)


def run(model=None, settings=None, *, check=validate, make=adam, **more):
    return grow(mlp() if model is None else model, TRAIN, check, loss, make, settings or config(), **more)


@pytest.mark.parametrize("mode", ["gradient", "perforated", "growth", "sham"])
def test_it_trains_and_grows_a_copy(mode):
    model = mlp().train()
    before, stream = state(model), []
    result = run(model, config(mode, dendrites=2, tries=2), progress=lambda *row: stream.append(row))
    assert same(state(model), before)
    assert model.training
    assert not dendritic_layers(model)
    assert result.complete
    assert [row[0] for row in stream] == list(range(1, len(result.scores) + 1))
    with torch.no_grad():
        assert validate(result.model) == pytest.approx(result.best_score, rel=1e-5)
        assert validate(merge(result.model)) == pytest.approx(result.best_score, rel=1e-4)
    assert result.best_score < validate_fresh()
    assert bool(dendritic_layers(result.model)) == (mode != "sham")


def validate_fresh():
    with torch.no_grad():
        return validate(mlp().eval())


def test_in_place_where_asked():
    model = mlp()
    assert run(model, in_place=True).model is model
    assert dendritic_layers(model)


def test_the_same_twice():
    one, other = run(settings=config("growth")), run(settings=config("growth"))
    assert one.scores == other.scores
    assert same(state(one.model), state(other.model))


def test_a_probe_takes_the_rate_that_learns_best():
    result = run(settings=config(probe=(1e-6, 1.0, 1e-5)))
    assert result.rates[0] == 1.0
    assert run(settings=config()).rates == [1.0] * len(result.rates)


def test_schedulers_restart_with_every_phase():
    rates = []

    def make(model):
        optimizer = adam(model)
        rates.append(optimizer)
        return optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    run(settings=config(dendrites=1), make=make)
    assert len(rates) == 2
    assert rates[0].param_groups[0]["lr"] == pytest.approx(0.02 * 0.5**3)


def test_paired_losses_decide():
    assert run(settings=config(standard_errors=1.0), check=with_losses).steps
    with pytest.raises(ConfigError, match="standard_errors needs"):
        run(settings=config(standard_errors=1.0))


def test_a_phase_that_diverges_is_given_up():
    made = []

    def make(model):
        made.append(model)
        return torch.optim.SGD(model.parameters(), lr=0.1 if len(made) == 1 else 1e30)

    result = run(settings=config(dendrites=1), make=make)
    assert [step.accepted for step in result.steps] == [False]
    assert math.isfinite(result.best_score)
    assert not dendritic_layers(result.model)


def test_what_diverges_at_once_is_an_error():
    with pytest.raises(DataError, match="validation score is"):
        run(make=lambda model: torch.optim.SGD(model.parameters(), lr=1e30))


def test_it_ends_where_it_is_told_to():
    result = run(settings=config(epochs=50), most_epochs=4)
    assert len(result.scores) == 4
    assert not result.complete
    assert result.best_score == min(result.scores)


def test_ctrl_c_ends_it_with_the_best():
    calls = []

    def stopped(model):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validate(model)

    result = run(check=stopped)
    assert len(result.scores) == 2
    assert not result.complete


@pytest.mark.parametrize(
    ("given", "error", "named"),
    [
        ([], DataError, "gave no batch"),
        (iter(TRAIN), ConfigError, "read only once"),
        ([torch.zeros(4, 6)], DataError, "a pair of inputs and targets"),
    ],
)
def test_batches_that_are_none(given, error, named):
    with pytest.raises(error, match=named):
        grow(mlp(), given, validate, loss, adam, config())
    with pytest.raises(ConfigError, match="most_epochs"):
        run(most_epochs=0)


def test_a_loss_a_clip_and_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.one, self.other = nn.Linear(3, 4), nn.Linear(3, 4)
            self.head = nn.Linear(4, 3)

        def forward(self, left, right):
            return {"logits": self.head(torch.tanh(self.one(left) + self.other(right)))}

    def each(outputs, labels):
        return loss(outputs["logits"], labels, reduction="none")

    def score(model):
        return sum(each(model(x[:, :3], right=x[:, 3:]), y).mean().item() for x, y in HELD)

    for pack in (lambda x: (x[:, :3], x[:, 3:]), lambda x: {"left": x[:, :3], "right": x[:, 3:]}):
        result = grow(Two(), [(pack(x), y) for x, y in TRAIN], score, each, adam, config("growth"))
        assert result.steps[0].chosen
        assert result.complete
