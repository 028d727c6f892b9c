"""Training elsewhere than on the CPU. There is no GPU here: torch's device "meta" stands in for one, whose tensors have
no values, and are not mixed with others either."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_bank import F, K, T, make_bank

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import build_model
from kws_dendrite.models.bc_resnet import BcResNetConfig
from kws_dendrite.models.edge_impulse import EdgeImpulse1dConfig
from kws_dendrite.models.kernels import convolution
from kws_dendrite.models.paper import PaperConfig
from kws_dendrite.models.separable import SeparableConfig
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.device import named_device
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import BestMembers, fit_statistics, validate
from kws_dendrite.training.rates import MemberAdamW, Rates, dropping
from kws_dendrite.training.targets import Targets, cross_entropy, soft_loss

ELSEWHERE = "meta"
RECIPE = TrainConfig(epochs=1, batch_size=8)
HARD = replace(RECIPE, mixup=0.3, distillation=0.5, time_mask=2, frequency_mask=1, stretch=0.1, colouring=0.3)
MODELS = {
    "separable": SeparableConfig(T, F, K, channels=3, kernel=3),
    "edge impulse": EdgeImpulse1dConfig(T, F, K),
    "paper": PaperConfig(T, F, K, channels=(3,), hidden=(5,), dropout=0.3),
}


@pytest.fixture
def number(monkeypatch):
    """What dropout draws on the CPU."""
    monkeypatch.setattr(convolution.torch, "randint", lambda *_: 5)


def test_the_stand_in_is_not_mixed_with_the_cpu():
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(3, device=ELSEWHERE) + torch.zeros(3)


@pytest.mark.parametrize("family", MODELS)
def test_a_step_stays_on_the_models_device(family, number):
    bank = make_bank()
    model = build_model(MODELS[family], 4).to(ELSEWHERE).train()
    fit_statistics(model, bank)
    rates = Rates(learning_rate=(0.1, 0.2, 0.1, 0.2), dropout=(0.1, 0.2, 0.1, 0.2), draws=(0, 0, 1, 1))
    batches = PopulationBatches(bank, RECIPE, 4, 0, rates.draws, ELSEWHERE)
    optimizer = MemberAdamW(model, RECIPE, rates)
    with dropping(model, rates):
        features, labels = next(batches.epoch())
        losses = cross_entropy(model(features), labels, torch.full((4,), 0.1, device=ELSEWHERE))
    assert features.device == labels.device == losses.device == torch.device(ELSEWHERE)
    losses.sum().backward()
    assert {parameter.grad.device for parameter in model.parameters()} == {torch.device(ELSEWHERE)}
    optimizer.step(0.5)
    assert {parameter.device for parameter in model.parameters()} == {torch.device(ELSEWHERE)}
    loss, accuracy = validate(
        model, torch.from_numpy(bank.validation).float(), torch.from_numpy(bank.validation_labels)
    )
    assert loss.device == accuracy.device == torch.device(ELSEWHERE)
    assert BestMembers(model).loss.device == torch.device(ELSEWHERE)


def test_soft_targets_and_what_changes_features_are_there_too():
    bank = make_bank()
    bank = replace(bank, teacher=np.zeros((*bank.train.shape[:2], len(bank.labels)), np.float32))
    features, targets = next(PopulationBatches(bank, HARD, 3, 0, device=ELSEWHERE).soft_epoch())
    assert isinstance(targets, Targets) and features.device == torch.device(ELSEWHERE)
    model = build_model(MODELS["separable"], 3).to(ELSEWHERE)
    assert soft_loss(model(features), targets, distillation=0.5).device == torch.device(ELSEWHERE)


def test_growth_is_on_the_cpu():
    model = build_model(MODELS["separable"], 2).to("meta")
    with pytest.raises(ConfigError, match="dendrites grow on the CPU, and the model is on meta"):
        train(model, make_bank(), RECIPE, growth=DendriteConfig())


def test_devices_by_name():
    assert named_device("cpu").type == "cpu"
    for name in ("cud", "meta", *(() if torch.cuda.is_available() else ("cuda",))):
        with pytest.raises(ConfigError, match=f"torch has no device '{name}' here"):
            named_device(name)


def test_bc_resnet_is_there_too():
    model = build_model(BcResNetConfig(9, 40, 3, tau=0.5), 2).to(ELSEWHERE).train()
    assert model(torch.zeros(2, 5, 9, 40, device=ELSEWHERE)).device == torch.device(ELSEWHERE)
