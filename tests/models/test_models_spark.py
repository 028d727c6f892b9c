import pytest
import torch

from kws_dendrite.errors import ConfigError
from kws_dendrite.models import build_model
from kws_dendrite.models.spark import GatedMean, SparkConfig, published

SMALL = SparkConfig(13, 6, 3, channels=3, kernel=5, blocks=2, gates=4, sparsity=0.5)


def test_gates_are_clipped_to_0_and_1():
    x = torch.tensor([-9.0, -1.0, -0.5, 0.0, 0.5, 1.0, 9.0])
    gates = [GatedMean()(value.view(1, 1, 1, 1, 1)).item() for value in x]
    assert gates == [0, 0, 0.25, 0.5, 0.75, 1, 1]


def test_pooled_over_time():
    x = torch.tensor([-3.0, 3.0, 3.0, 0.0]).view(1, 1, 1, 4, 1)
    assert GatedMean()(x).item() == 2.5 / 4


def test_penalty_is_the_weighted_mean_gate_of_each_member():
    model = build_model(SMALL, members=2)
    assert torch.equal(model.penalty(), torch.zeros(2))
    seen = []
    model.gates.register_forward_hook(lambda _, inputs, y: seen.append(y))
    model(torch.randn(2, 5, 13, 6))
    gates = (seen[0].clamp(-1, 1) + 1) / 2
    torch.testing.assert_close(model.penalty(), 0.5 * gates.mean((1, 2, 3, 4)))


def test_penalty_pushes_gates_shut():
    model = build_model(SMALL, members=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    x = torch.randn(16, 13, 6, generator=torch.Generator().manual_seed(0))
    values = []
    for _ in range(10):
        model(x)
        values.append(model.penalty().detach())
        optimizer.zero_grad()
        model.penalty().sum().backward()
        optimizer.step()
    assert (values[-1] < values[0] - 0.01).all()


def test_penalty_is_off_by_default():
    model = build_model(SparkConfig(13, 6, 3, channels=3, kernel=5, blocks=1, gates=4))
    model(torch.randn(5, 13, 6))
    assert not model.penalty().any()


def test_no_fourth_published_size():
    with pytest.raises(ConfigError, match="published sizes have 4, 8, 16 channels; got 12"):
        published(12)


@pytest.mark.parametrize("change", [{"kernel": 2}, {"gates": 0}, {"blocks": -1}, {"sparsity": -1.0}, {"classes": 1}])
def test_impossible_settings(change):
    with pytest.raises(ConfigError):
        SparkConfig(**{"frames": 13, "coefficients": 6, "classes": 3} | change)
