"""Whole models, as the exporter writes them: every family, with and without dendrites, and the sample graphs."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from native import assert_equal_everywhere, has_compiler

from kws_dendrite.export.c import read_program, write_c
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.fold import fold

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from test_fold import CONFIGS, features, grown

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


@pytest.mark.slow
@pytest.mark.parametrize("dendrites", [0, 2])
def test_every_family_without_and_with_two(dendrites, tmp_path):
    check_families(tmp_path, dendrites)
