"""Merging: plain torch modules, the same function, exportable."""

import copy

import pytest
import torch
from torch import nn
from torch_models import MODELS, grown, same, state

from kws_dendrite.dendrites import dendritic_layers, merge
from kws_dendrite.errors import ConfigError

KINDS = ["copy", "sparse", "temporal", "lowrank"]


def is_torchs(module):
    return type(module).__module__.startswith("torch.")


def made(name, **settings):
    try:
        return grown(name, **settings)
    except ConfigError as error:
        assert "no axis of time" in str(error)
        pytest.skip("a linear layer has no axis of time")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["perforated", "growth"])
def test_merged_is_the_same_function_of_torchs_layers(name, kind, mode):
    model, x = made(name, kind=kind, mode=mode)
    before = state(model)
    merged = merge(model)
    for layer in dendritic_layers(model):
        assert all(is_torchs(module) for module in merged.get_submodule(layer).modules())
    assert not dendritic_layers(merged)
    torch.testing.assert_close(merged(x), model(x), atol=1e-6, rtol=1e-6)
    assert same(state(model), before)
    wide, precise = copy.deepcopy(model).double(), x.double()
    torch.testing.assert_close(merge(wide)(precise), wide(precise), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("join", ["add", "gate"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "hard_tanh", "sigmoid"])
def test_cascades_gates_and_nonlinearities(join, activation):
    model, x = grown("residual", steps=3, mode="gradient", join=join, activation=activation, cascade=True)
    for layer in dendritic_layers(model).values():
        for value in layer.cascade:
            nn.init.normal_(value, generator=torch.Generator().manual_seed(1))
    wide, precise = model.double(), x.double()
    torch.testing.assert_close(merge(wide)(precise), wide(precise), atol=1e-12, rtol=1e-12)


def test_a_plain_model_merges_to_itself():
    make, _ = MODELS["residual"]
    model = make().eval()
    assert same(state(merge(model)), state(model))


@pytest.mark.parametrize("name", MODELS)
def test_merged_models_are_exported(name):
    model, x = grown(name, mode="growth")
    merged = merge(model)
    program = torch.export.export(merged, (x,))
    torch.testing.assert_close(program.module()(x), merged(x))
    copied = copy.deepcopy(merged)
    assert torch.equal(copied(x), merged(x))


def test_merged_models_go_to_onnx(tmp_path):
    pytest.importorskip("onnxscript")
    import onnxruntime

    model, x = grown("residual", mode="growth")
    merged = merge(model)
    torch.onnx.export(merged, (x,), tmp_path / "model.onnx", dynamo=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), merged(x).detach(), atol=1e-5, rtol=1e-5)
