"""A grown state dict and its description, into a fresh model."""

import json

import pytest
import torch
from torch_models import MODELS, batches, grown, loss, mlp, same, state

from kws_dendrite.dendrites import dendritic_layers, restore, structure
from kws_dendrite.dendrites.torch_structure import Snapshot, shrink, sizes
from kws_dendrite.errors import CheckpointError


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "growth"},
        {"mode": "perforated", "kind": "lowrank"},
        {"mode": "gradient", "kind": "sparse", "cascade": True},
        {"mode": "growth", "kind": "any", "join": "gate"},
    ],
)
def test_a_grown_model_comes_back(name, settings, tmp_path):
    model, x = grown(name, **settings)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    fresh = MODELS[name][0](seed=7)
    found = restore(fresh, structure(model), torch.load(tmp_path / "weights.pt", weights_only=True))
    assert found is fresh
    assert same(state(fresh), state(model))
    assert torch.equal(fresh.eval()(x), model(x))
    assert structure(fresh) == structure(model)
    learning = [{n for n, p in m.named_parameters() if p.requires_grad} for m in (model, fresh)]
    assert learning[0] == learning[1]
    fresh.train()
    loss(fresh(x), torch.zeros(len(x)).long()).backward()


def test_a_plain_model_has_a_plain_state():
    model = mlp()
    assert json.loads(structure(model)) == {"format": 1, "layers": {}}
    assert same(state(restore(mlp(seed=3), structure(model), model.state_dict())), state(model))


def changed(text, **values):
    described = json.loads(text)
    described["layers"]["0"]["sets"][0].update(values)
    return json.dumps(described)


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (lambda text, weights: ("{", weights), "not one of format 1"),
        (lambda text, weights: ("[]", weights), "not one of format 1"),
        (lambda text, weights: ('{"format": 2, "layers": {}}', weights), "format 2"),
        (lambda text, weights: (text.replace('"0"', '"9"', 1), weights), "no layer '9'"),
        (lambda text, weights: (text.replace('"0"', '"1"', 1), weights), "no layer '1'"),
        (lambda text, weights: (changed(text, kind="temporal"), weights), "layer '0': .* no axis of time"),
        (lambda text, weights: (changed(text, kind="copies"), weights), "no dendrite has the kind 'copies'"),
        (lambda text, weights: (changed(text, units=-1), weights), "units is a whole number"),
        (lambda text, weights: (changed(text, more=1), weights), "unknown settings"),
        (lambda text, weights: (text, {**weights, "9.weight": torch.zeros(1)}), "holds '9.weight'"),
        (lambda text, weights: (text, dict(list(weights.items())[1:])), "lacks '0.t.0'|lacks '0.base.weight'"),
        (lambda text, weights: (text, {**weights, "2.base.bias": torch.zeros(4)}), r"'2.base.bias' has shape \(4,\)"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_model_as_it_was(alter, named):
    model, _ = grown("mlp", mode="gradient")
    fresh = mlp(seed=3)
    before, modules = state(fresh), list(fresh.named_modules())
    described, weights = alter(structure(model), dict(model.state_dict()))
    with pytest.raises(CheckpointError, match=named) as caught:
        restore(fresh, described, weights)
    assert "\n" not in str(caught.value)
    assert same(state(fresh), before)
    assert list(fresh.named_modules()) == modules


def test_only_a_plain_model_is_restored_into():
    model, _ = grown("mlp", mode="gradient")
    with pytest.raises(CheckpointError, match="has dendrites already"):
        restore(model, structure(model), model.state_dict())


@pytest.mark.parametrize("name", MODELS)
def test_shrinking_takes_off_what_came_later(name):
    model, _ = grown(name, steps=1, mode="gradient")
    kept = Snapshot(model)
    before, described = state(model), structure(model)
    once = sizes(model)
    model, _ = grown(name, steps=3, mode="gradient")
    assert kept.restore(model)
    assert sizes(model) == once
    assert structure(model) == described
    assert same(state(model), before)
    assert not kept.restore(model)
    shrink(model, {})
    assert not dendritic_layers(model)
    assert state(model).keys() == state(MODELS[name][0]()).keys()
    assert [type(m) for m in model.modules()] == [type(m) for m in MODELS[name][0]().modules()]


def test_a_shrunk_model_is_trained_on():
    model, _ = grown("residual", steps=2, mode="gradient")
    shrink(model, {})
    for x, y in batches((2, 7, 6)):
        loss(model(x), y).backward()
    assert all(p.grad is not None for p in model.parameters())
