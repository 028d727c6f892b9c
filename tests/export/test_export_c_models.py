"""Whole models, as the exporter writes them: every family, with and without dendrites, and the sample graphs."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from native import assert_equal_everywhere, has_compiler

from kws_dendrite.dendrites import DendriteConfig, attach, dendritic_layers, fresh_choices, insert
from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.export import load_predictor, write_onnx
from kws_dendrite.export.c import read_program, write_c
from kws_dendrite.export.operators import TFLITE_INT8
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.fold import fold
from kws_dendrite.plain import interpret

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from test_fold import ACTIVATIONS, CONFIGS, SMALL, features, grown, spread_logits

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs a C compiler named cc (package gcc)")
CLIPS = 20


def check(path, folder, x):
    """Float features: quantised as a device does, then every operator's bytes."""
    program = read_program(path)
    source = program.tensors[program.input]
    quantized = np.clip(np.round(x / source.scale) + source.zero_point, -128, 127).astype(np.int8)
    write_c(path, folder / "c")
    assert_equal_everywhere(path, folder / "c", folder / "work", quantized)


@pytest.mark.parametrize("name", ["temporal", "planar", "joined"])
def test_the_sample_graphs(name, exported, tmp_path):
    sample = exported[name]
    check(sample.folder / "model_quantized_int8_io.tflite", tmp_path, sample.x[:CLIPS])


def convert_families(folder, dendrites):
    """name -> (file, features) of every family, converted together."""
    jobs, made = [], {}
    for index, config in enumerate(CONFIGS):
        activation = ("tanh", "hard_tanh", "relu", "sigmoid")[index % 4]
        model = grown(config, 1, dendrites, **({"activation": activation} if dendrites else {}))
        x = torch.cat([features(config, torch.Generator().manual_seed(seed)) for seed in range(5)])
        x = x.reshape(len(x), -1).numpy().astype(np.float32)
        path = folder / f"{index}_{config.family}.tflite"
        jobs.append(TFLiteJob(fold(model, 0), int8_path=path, calibration=x))
        made[path.stem] = path, x
    convert(jobs)
    return made


def check_families(folder, dendrites):
    kinds = set()
    for name, (path, x) in convert_families(folder, dendrites).items():
        check(path, folder / name, x[:CLIPS])
        kinds |= {operator.kind for operator in read_program(path).operators}
    return kinds


def test_every_family_with_dendrites_on_all_layers(tmp_path):
    assert {"TANH", "LOGISTIC", "CONCATENATION"} & check_families(tmp_path, 1)  # dendrites' tables among them


def with_kind(kind):
    """A net with two sets of dendrites of `kind`, one added and one gating, of two activations; and clips."""
    config = CONFIGS[1]  # a block used twice, for an echo
    number = KINDS.index(kind)
    model = grown(config, 1)
    x = torch.cat([features(config, torch.Generator().manual_seed(seed)) for seed in range(5)])
    for join in ("add", "gate"):
        activation = ACTIVATIONS[(number + 2 * (join == "gate")) % 4]
        plan = DendriteConfig(kind=kind, join=join, activation=activation, **SMALL)
        attach(model, plan)
        choices = fresh_choices(model, x, plan, number)
        insert(model, choices)
        with torch.no_grad():
            for choice in choices:
                t = dendritic_layers(model)[choice.layer].t[-1]
                t.copy_(torch.randn(t.shape, generator=torch.Generator().manual_seed(number)) * 0.3)
    spread_logits(model.eval(), x)
    return model, x


def test_every_kind_of_dendrite_on_every_way(tmp_path):
    """Torch -> plain graph -> ONNX, TFLite and int8 TFLite -> C: the same at every hop, for every kind and join."""
    jobs, made = [], {}
    for kind in KINDS:
        model, x = with_kind(kind)
        graph, flat = fold(model, 0), x.reshape(len(x), -1).numpy()
        expected = torch.softmax(model(x)[0], -1).detach().numpy()
        assert np.abs(interpret(graph, flat) - expected).max() < 1e-5, kind
        write_onnx(graph, tmp_path / f"{kind}.onnx")
        assert np.abs(load_predictor(tmp_path / f"{kind}.onnx").predict(flat) - expected).max() < 1e-5, kind
        path = tmp_path / f"{kind}_float.tflite", tmp_path / f"{kind}.tflite"
        jobs.append(TFLiteJob(graph, *path, calibration=flat))
        made[kind] = *path, flat, expected
    convert(jobs)
    for kind, (float_path, int8_path, flat, expected) in made.items():
        assert np.abs(load_predictor(float_path).predict(flat) - expected).max() < 1e-5, kind
        assert np.abs(load_predictor(int8_path).predict(flat) - expected).mean() < 0.03, kind
        check(int8_path, tmp_path / kind, flat[:CLIPS])
        assert {operator.kind for operator in read_program(int8_path).operators} <= TFLITE_INT8, kind


@pytest.mark.slow
@pytest.mark.parametrize("dendrites", [0, 2])
def test_every_family_without_and_with_two(dendrites, tmp_path):
    check_families(tmp_path, dendrites)
