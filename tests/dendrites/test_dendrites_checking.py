"""The quick check: what it says of models that are right and of models that are not; they are never touched."""

import pytest
import torch
from torch import nn
from torch_models import MODELS, attention, batch, grown, loss, mlp, residual, same, state

from kws_dendrite.dendrites import DendriteConfig, checking, merge, quick_check
from kws_dendrite.dendrites.torch_growth import count
from kws_dendrite.errors import ConfigError, DataError


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["gradient", "perforated", "growth", "sham"])
def test_nothing_is_wrong_with_these(name, mode):
    make, shape = MODELS[name]
    model = make().train()
    before, modules, stream = state(model), list(model.modules()), torch.random.get_rng_state()
    report = quick_check(model, batch(shape), loss, DendriteConfig(mode=mode, candidates=2))
    assert report.ok, str(report)
    assert report.took
    assert same(state(model), before)
    assert list(model.modules()) == modules
    assert all(module.training for module in modules)
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert "torch.export takes the merged model" in str(report)
    assert str(report).endswith("s)")
    assert report.seconds < 60


def test_it_counts_what_a_dendrite_costs():
    report = quick_check(mlp(), batch((6,)), loss)
    assert report.took == {"0": 6 * 10 + 10 + 10, "2": 10 * 3 + 3 + 3}
    assert f"{count(mlp()) + 3 * (80 + 36):,} parameters, {count(merge(mlp())):,} before" in str(report)


def test_it_says_which_layers_cannot_and_why():
    report = quick_check(residual(inplace=True), batch((2, 7, 6)), loss)
    assert report.ok
    assert set(report.cannot) == {"block.conv1", "block.conv2"}
    assert "'block.relu'" in report.cannot["block.conv1"]
    assert quick_check(residual(inplace=True), batch((2, 7, 6)), loss, in_place="copy").cannot == {}
    report = quick_check(attention(), batch((9, 5)), loss)
    assert "reads its weights itself" in str(report)


def test_a_grown_model_is_checked_too():
    model, _ = grown("residual", steps=1, mode="growth")
    before = state(model)
    report = quick_check(model.train(), batch((2, 7, 6)), loss, DendriteConfig(mode="growth", candidates=2))
    assert report.ok, str(report)
    assert same(state(model), before)


def test_no_layer_left_is_not_ok():
    report = quick_check(mlp(), batch((6,)), loss, DendriteConfig(kind="temporal"))
    assert not report.ok
    assert "do not start a long run" in str(report)
    with pytest.raises(ConfigError, match="no layer that can take dendrites"):
        quick_check(nn.Sequential(nn.ReLU()), batch((6,)), loss)


def test_it_finds_what_is_wrong(monkeypatch):
    """Each piece broken in turn, the check names it."""

    def other(net):
        merged = merge(net)
        with torch.no_grad():
            next(merged.parameters()).add_(0.1)
        return merged

    monkeypatch.setattr(checking, "merge", other)
    report = quick_check(mlp(), batch((6,)), loss)
    assert not report.ok
    assert any("merged" in line for line in report.failed)
    monkeypatch.undo()

    monkeypatch.setattr(checking, "restore", lambda fresh, described, weights: fresh)
    assert any("state dict" in line for line in quick_check(mlp(), batch((6,)), loss).failed)
    monkeypatch.undo()

    grow_plain = checking.grow_plain

    def moving(net, *rest):
        report = grow_plain(net, *rest)
        with torch.no_grad():
            next(net.parameters()).add_(0.1)
        return report

    monkeypatch.setattr(checking, "grow_plain", moving)
    assert any("function unchanged" in line for line in quick_check(mlp(), batch((6,)), loss).failed)


def test_a_loss_that_is_not_finite_is_one_line():
    model = mlp()
    before = state(model)
    with pytest.raises(DataError, match="not finite"):
        quick_check(model, batch((6,)), lambda outputs, labels: loss(outputs, labels) * float("nan"))
    assert same(state(model), before)
