"""The examples of growing a net: they run, their arms are equal where they have to be, and their files are checked."""

import gzip
import importlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kws_dendrite.dendrites import dendritic_layers
from kws_dendrite.errors import DataError

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def example(name):
    return importlib.import_module(name)


def test_digits_reports_all_arms():
    pytest.importorskip("sklearn")
    digits, comparison = example("digits"), example("comparison")
    split = digits.Splitter(*digits.load())
    data = split(0)
    assert [len(part[1]) for part in (data.train, data.validation, data.test)] == [898, 449, 450]
    rows = torch.cat([part[0] for part in (data.train, data.validation, data.test)])
    assert torch.equal(rows.sort(0).values, split.inputs.sort(0).values)  # every digit once
    table = comparison.compare(split, digits.net, 4, 2, ("gradient",), comparison.Schedule(1, 4, 128))
    lines = table.splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:4]] == ["control", "gradient", "wider than gradient"]
    assert lines[4].startswith("gradient against control: cuts ")
    sizes = {line[:24].strip(): int(line[24:].split()[0]) for line in lines[1:4]}
    assert sizes["control"] == comparison.count(digits.net(4))
    assert sizes["gradient"] >= sizes["control"]
    assert sizes["wider than gradient"] >= sizes["gradient"]


def test_all_arms_have_the_same_epochs():
    comparison = example("comparison")
    schedule = comparison.Schedule(2, 60)
    for mode in ("sham", "gradient", "perforated", "growth"):
        config = comparison.settings(mode, schedule, 0)
        candidates = 2 * config.dendrite.candidate_epochs if config.dendrite.trains_candidates else 0
        assert 57 < 3 * config.epochs + candidates <= 60


def test_the_cut_is_of_the_error_that_remains():
    comparison = example("comparison")
    line = comparison.cut("new", "old", {"new": [4.0, 6.0, 5.0], "old": [8.0, 12.0, 10.0]})
    assert line.startswith("new against old: cuts +50 % of its error, +5.00 [+2.52, +7.48] points")


def idx(path, values, packed=False):
    raw = b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(raw) if packed else raw)


def test_mnist_files_as_they_are_and_packed(tmp_path):
    mnist = example("mnist")
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (30, 28, 28), np.uint8), generator.integers(0, 10, 30, np.uint8)
    idx(tmp_path / "train-images-idx3-ubyte", images)
    idx(tmp_path / "train-labels-idx1-ubyte.gz", labels, packed=True)
    x, y = mnist.load(tmp_path, "train")
    np.testing.assert_allclose(x, images.reshape(30, -1) / 255, rtol=1e-6)
    assert y.tolist() == labels.tolist()
    data = mnist.Splitter((x, y), (x, y), 24)(0)
    assert [len(part[1]) for part in (data.train, data.validation, data.test)] == [20, 4, 30]
    idx(tmp_path / "train-labels-idx1-ubyte", labels[:3])
    with pytest.raises(DataError, match=r"images \(30, 28, 28\) for 3 labels"):
        mnist.load(tmp_path, "train")


@pytest.mark.parametrize("content", [None, b"", b"\x00\x00\x08\x01\x00\x00\x00\x09abc", b"no idx file at all"])
def test_mnist_files_that_are_none_are_one_line(tmp_path, content, monkeypatch, capsys):
    mnist = example("mnist")
    if content is not None:
        (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["mnist.py", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        mnist.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_deployed_net_grows_without_a_change_and_learns_what_it_is_told_to():
    deployed = example("deployed")
    from kws_dendrite.models import SeparableConfig, build_model

    base = build_model(SeparableConfig(20, 6, 4, channels=5, blocks=(0, 0), dilations=(1, 2)), 2).eval()
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(10, 20, 6, generator=generator), torch.randint(4, (10,), generator=generator)
    bigger = deployed.grown(base, (x, y), 3)
    assert dendritic_layers(bigger)
    assert torch.equal(bigger(x), base(x))
    speaker = deployed.Speaker("anna", (x, y), (x, y))
    before = {name: value.clone() for name, value in base.named_parameters()}
    for name, arm in deployed.ARMS.items():
        model = deployed.adapted(base, arm, speaker, 0.01, 2, 0)
        moved = {
            key for key, value in model.named_parameters()
            if not torch.equal(value, before.get(key.replace(".base.", "."), torch.zeros(0)))
        }  # fmt: skip
        assert any(not deployed.of_dendrite(key) for key in moved) == (name != "dendrites alone")
        if name == "head alone":
            assert moved == {"head.weight", "head.bias"}
        if name == "norms and head":
            assert {key.split(".")[-2] for key in moved} == {"head", "norm"}
        assert any(map(deployed.of_dendrite, moved)) == arm.grows
        for one, other in zip(model.buffers(), base.buffers(), strict=False):
            if not arm.grows:
                assert torch.equal(one, other)
    assert all(torch.equal(value, before[name]) for name, value in base.named_parameters())
    rows = [labels for _, labels in deployed.batches(x, y, 2, 5)]
    assert torch.equal(torch.cat(rows, 1).sort(1).values, y.sort().values.expand(2, -1))
    assert isinstance(bigger, nn.Module)
