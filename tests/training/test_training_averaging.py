"""The average that stands in for a model's weights."""

import pytest
import torch
from tiny_bank import make_bank, net, same, state

from kws_dendrite.training.averaging import WeightAverage
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import fit_statistics, predict, train_cycle, validate

DECAY = 0.7


def move(model, amount):
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value.add_(amount)


def test_it_is_the_exponential_average_of_every_tensor():
    model = net()
    average, expected = WeightAverage(model, DECAY), {}
    for name, value in state(model).items():
        expected[name] = value
    for step in range(30):
        move(model, 0.1)
        average.update()
        decay = min(DECAY, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * value for name, value in state(model).items()}
    own = state(model)
    with average.applied():
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, expected[name])
    assert same(state(model), own)


def test_the_own_state_comes_back_after_an_error():
    model = net()
    average, own = WeightAverage(model, DECAY), None
    move(model, 1.0)
    own = state(model)
    with pytest.raises(KeyboardInterrupt), average.applied():
        raise KeyboardInterrupt
    assert same(state(model), own)


def test_what_is_kept_is_the_average():
    bank = make_bank()
    x, labels = torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels)
    config = TrainConfig(epochs=2, batch_size=12, learning_rate=0.02)
    plain, averaged = net(), net()
    for model, decay in ((plain, 0.0), (averaged, 0.9)):
        fit_statistics(model, bank)
        result = train_cycle(model, bank, TrainConfig(**{**vars(config), "average": decay}), 0)
        assert validate(model, x, labels)[0].tolist() == pytest.approx(result.best_loss)
    assert not torch.equal(predict(plain, x), predict(averaged, x))
