"""Checkpoints: exact round trips, and one clear line for everything else."""

import itertools
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_bank import CONFIG, LABELS, F, K, T, make_bank, net, same, state

from kws_dendrite import __version__
from kws_dendrite.dendrites import DendriteConfig, Spec, attach, dendritic_layers
from kws_dendrite.dendrites.branches import empty_branch, neurons, rows
from kws_dendrite.dendrites.config import KINDS
from kws_dendrite.errors import CheckpointError, OutputError
from kws_dendrite.models import PaperConfig, build_model
from kws_dendrite.training.checkpoint import DESCRIPTION, WEIGHTS, is_checkpoint, load_checkpoint, save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import grow
from kws_dendrite.training.loop import fit_statistics, predict, train_cycle

QUICK = TrainConfig(epochs=1, batch_size=12, learning_rate=0.02)
PAPER = PaperConfig(T, F, K, channels=(2,), hidden=(3,))
RECORD = {"growth": [], "history": [{"epoch": 0}], "metrics": {"validation_loss": [0.7, 0.5], "parameters": 9}}
GROWN = {
    "gradient": (DendriteConfig(mode="gradient", activation="hard_tanh", cascade=True),) * 2,
    "perforated": (DendriteConfig(mode="perforated", activation="tanh", cascade=True, candidate_epochs=1),) * 3,
    "head": (DendriteConfig(mode="gradient", activation="sigmoid", layers="head"),),
    "sham": (DendriteConfig(mode="sham"), DendriteConfig(mode="random")),
    **{
        f"{kind}, {join}": (DendriteConfig(kind=kind, join=join, fan_in=2, rank=2, taps=3),) * 2
        for kind in KINDS
        for join in ("add", "gate")
    },
    "mixed": tuple(
        DendriteConfig(kind=kind, activation=activation, fan_in=2, rank=2, taps=3)
        for kind, activation in zip(
            (kind for kind in KINDS if kind != "pool"), itertools.cycle(("relu", "tanh", "hard_tanh", "sigmoid"))
        )
    ),
}
FROZEN = ("perforated", "sham")


@pytest.fixture(scope="module")
def bank():
    return make_bank()


@pytest.fixture(scope="module")
def models(bank):
    """Trained populations and their architectures: plain, shared weights, grown in several ways."""
    configs = {"shared": CONFIG, "plain": replace(CONFIG, blocks=(0, 1)), "paper": PAPER}
    found = {name: (build_model(config, 2), config) for name, config in configs.items()}
    for name, plans in GROWN.items():
        model = net()
        fit_statistics(model, bank)
        for number, plan in enumerate(plans):
            model, _ = grow(model, bank, QUICK, plan, number)
        found[name] = (model, CONFIG)
    for model, _ in found.values():
        fit_statistics(model, bank)
        train_cycle(model, bank, QUICK, 0)
    return found


def save(folder, model, config=CONFIG, **changed):
    given = {"labels": LABELS, "frontend": {"block": "mfcc", "coefficients": F}, "record": RECORD} | changed
    save_checkpoint(folder, model, config, **given)


@pytest.fixture
def stored(tmp_path, models):
    """A checkpoint of the perforated net."""
    save(tmp_path / "model", *models["perforated"])
    return tmp_path / "model"


def describe(folder, **changed):
    """Change `model.json`; a value of None leaves the key out."""
    description = json.loads((folder / DESCRIPTION).read_text()) | changed
    kept = {key: value for key, value in description.items() if value is not None}
    (folder / DESCRIPTION).write_text(json.dumps(kept))


def dendrites(layer, **changed):
    """A description of one set of dendrites at `layer`."""
    return {"dendrites": {layer: {"cascade": False, "sets": [Spec().to_json() | changed]}}}


def refused(folder, message):
    """Loading fails with one line that matches `message`."""
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["shared", "plain", "paper", *GROWN])
def test_round_trip_is_exact(tmp_path, models, bank, name):
    model, config = models[name]
    save(tmp_path, model, config)
    checkpoint = load_checkpoint(tmp_path)
    x = torch.from_numpy(bank.validation)
    assert same(state(checkpoint.model), state(model))
    assert torch.equal(predict(checkpoint.model, x), predict(model, x))
    assert checkpoint.config == config
    assert checkpoint.labels == LABELS
    assert checkpoint.frontend == {"block": "mfcc", "coefficients": F}
    assert checkpoint.record == RECORD | {"version": __version__}
    assert checkpoint.members == 2
    assert checkpoint.best_member == 1
    assert not any(module.training for module in checkpoint.model.modules())
    before, after = (
        [(p.requires_grad, tuple(p.shape)) for p in each.parameters()] for each in (model, checkpoint.model)
    )
    assert before == after


def test_a_checkpoint_of_format_1_is_read(tmp_path, models, bank):
    """There every set was a copy of its layer, described by the layer's activation and what is frozen."""
    model, config = models["perforated"]
    save(tmp_path, model, config)
    old = {
        name: {
            "activation": layer.specs[0].activation,
            "cascade": layer.with_cascade,
            "frozen": [spec.frozen for spec in layer.specs],
        }
        for name, layer in dendritic_layers(model).items()
    }
    describe(tmp_path, format=1, dendrites=old)
    x = torch.from_numpy(bank.validation)
    assert torch.equal(predict(load_checkpoint(tmp_path).model, x), predict(model, x))


@pytest.mark.parametrize("name", GROWN)
def test_dendrites_come_back_as_they_were(tmp_path, models, name):
    save(tmp_path, *models[name])
    here, there = dendritic_layers(models[name][0]), dendritic_layers(load_checkpoint(tmp_path).model)
    assert list(here) == list(there)
    for layer in here:
        one, other = here[layer], there[layer]
        assert one.specs == other.specs
        assert one.with_cascade == other.with_cascade
        assert [type(branch) for branch in one.branches] == [type(branch) for branch in other.branches]
        base = {id(p) for p in other.base.parameters()}
        own = [p for branch in other.branches for p in branch.parameters() if id(p) not in base]
        assert not any(p.requires_grad for p in own) or name not in FROZEN
        assert [t.requires_grad for t in other.t] == [not spec.silent for spec in other.specs]


@pytest.mark.parametrize("kind", ["copy", "lean", "sparse"])
def test_a_set_of_some_neurons_comes_back(tmp_path, bank, kind):
    """As growth chooses it where few neurons are worth a dendrite: m units and a matrix to the neurons."""
    model = net()
    attach(model, DendriteConfig(layers="all" if kind != "copy" else "head"))
    for number, layer in enumerate(dendritic_layers(model).values()):
        some = rows(empty_branch(layer.base, Spec(kind=kind, fan_in=2)), torch.tensor([[1], [2]]))
        layer.add(some, torch.zeros(*neurons(layer.base), 0), Spec(kind=kind, fan_in=2, units=1))
        torch.nn.init.normal_(layer.t[-1], generator=torch.Generator().manual_seed(number))
    save(tmp_path, model)
    x = torch.from_numpy(bank.validation)
    assert torch.equal(predict(load_checkpoint(tmp_path).model, x), predict(model, x))


def test_an_echo_still_shares_its_weights(tmp_path, models):
    save(tmp_path, *models["echo, add"])
    assert not any("branches" in name and "norm" not in name for name in load_file(tmp_path / WEIGHTS))
    layer = dendritic_layers(load_checkpoint(tmp_path).model)["blocks.0"]
    assert layer.branches[0].pointwise is layer.base.pointwise


def test_frozen_dendrites_stay_frozen_when_training_goes_on(stored, bank):
    model = load_checkpoint(stored).model
    before = state(model)
    train_cycle(model, bank, QUICK, 1)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(".branches." in name or ".cascade." in name for name in moved)


def test_shared_weights_are_stored_once_and_stay_shared(tmp_path, models):
    save(tmp_path, *models["shared"])
    tensors = load_file(tmp_path / WEIGHTS)
    assert "blocks.0.pointwise.weight" in tensors
    assert "blocks.1.pointwise.weight" not in tensors
    model = load_checkpoint(tmp_path).model
    assert model.blocks[0].pointwise.weight is model.blocks[1].pointwise.weight


def test_either_file_names_the_checkpoint(stored, tmp_path):
    for path in (stored, stored / WEIGHTS, str(stored / DESCRIPTION)):
        assert is_checkpoint(path)
        assert load_checkpoint(path).labels == LABELS
    assert not is_checkpoint(tmp_path)


def test_best_member_without_metrics_is_the_first(tmp_path, models):
    save(tmp_path, *models["plain"], record={})
    assert load_checkpoint(tmp_path).best_member == 0


def test_saved_again_it_is_the_same_file(stored, tmp_path):
    checkpoint = load_checkpoint(stored)
    save(tmp_path / "again", checkpoint.model, checkpoint.config)
    for name in (WEIGHTS, DESCRIPTION):
        assert (tmp_path / "again" / name).read_bytes() == (stored / name).read_bytes()


def test_no_pickle(tmp_path, models, monkeypatch):
    def never(*_, **__):
        pytest.fail("pickled")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    monkeypatch.setattr(torch, "save", never)
    monkeypatch.setattr(torch, "load", never)
    save(tmp_path, *models["perforated"])
    load_checkpoint(tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes()[8:9] == b"{"  # safetensors: a length, then JSON


def test_a_pickle_by_the_same_name_is_refused_unread(stored):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    (stored / WEIGHTS).write_bytes(pickle.dumps(Trap()))
    refused(stored, "model.safetensors is truncated or not a safetensors file")


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_weights_are_named(stored, share):
    content = (stored / WEIGHTS).read_bytes()
    (stored / WEIGHTS).write_bytes(content[: int(share * len(content))])
    assert str(stored / WEIGHTS) in refused(stored, "truncated or not a safetensors file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2, "arch', "model.json is truncated or not JSON"),
        ("", "model.json is truncated or not JSON"),
        ("[1, 2]", "model.json is not a checkpoint of format 1 or 2"),
        ("{}", "model.json is not a checkpoint of format 1 or 2"),
        ('{"format": 3}', "model.json is not a checkpoint of format 1 or 2"),
    ],
)
def test_descriptions_that_are_none(stored, text, message):
    (stored / DESCRIPTION).write_text(text)
    refused(stored, message)


def test_description_that_is_no_text(stored):
    (stored / DESCRIPTION).write_bytes(b"\xff\xfe\x00")
    refused(stored, "truncated or not JSON")


def test_missing_files_are_named(stored, tmp_path):
    (stored / WEIGHTS).rename(tmp_path / "elsewhere")
    refused(stored, "has no model.safetensors")
    (stored / DESCRIPTION).unlink()
    refused(stored, "is no checkpoint: it has no model.json")
    refused(tmp_path / "nowhere", "is no checkpoint")


@pytest.mark.parametrize("key", ["architecture", "members", "labels", "frontend"])
def test_missing_parts_are_named(stored, key):
    describe(stored, **{key: None})
    refused(stored, f"does not describe a model: it lacks '{key}'")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": {"family": "resnet"}}, "unknown model family 'resnet'"),
        ({"architecture": {"family": "separable", "frames": 8}}, "incomplete"),
        ({"architecture": "separable"}, "does not describe a model"),
        ({"members": 0}, "at least one member; got 0"),
        ({"members": "many"}, "does not describe a model"),
        ({"labels": ["yes", "no"]}, "2 labels for 3 classes"),
        ({"labels": 3}, "does not describe a model"),
        ({"frontend": 3}, "does not describe a model"),
        ({"dendrites": []}, "does not describe a model"),
        (dendrites("blocks.7"), "no attribute `7`"),
        (dendrites("relu"), "does not describe"),
        (dendrites("head", activation="gelu"), "no dendrite has the activation 'gelu'"),
        (dendrites("head", kind="fractal"), "no dendrite has the kind 'fractal'"),
        (dendrites("head", join="mul"), "no dendrite has the join 'mul'"),
        (dendrites("head", kind="temporal", taps=3), "it has no axis of time"),
        (dendrites("head", kind="pool"), "not a head behind a pool"),
        (dendrites("head", kind="lowrank", units=10**9), "units is a whole number, 0 to 4096; got 1000000000"),
        (dendrites("head", kind="lowrank", units=-1), "units is a whole number"),
        (dendrites("head", kind="sparse", fan_in=1.5), "fan_in is a whole number"),
        (dendrites("head", colour="red"), "does not describe a model"),
        ({"dendrites": {"head": {"sets": []}}}, "lacks 'cascade'"),
        ({"dendrites": {"head": {"cascade": False}}}, "lacks 'frozen'"),
        ({"dendrites": {"head": {"cascade": False, "sets": 3}}}, "does not describe a model"),
    ],
)
def test_descriptions_of_no_model(stored, changed, message):
    describe(stored, **changed)
    refused(stored, message)


def test_another_architecture_is_told_by_the_first_tensor_that_differs(stored):
    architecture = json.loads((stored / DESCRIPTION).read_text())["architecture"]
    describe(stored, architecture=architecture | {"channels": 5})
    message = refused(stored, "the weights belong to another model")
    assert "'stem.base.conv.weight'" in message
    assert f"has shape (2, 3, {F}), the recorded architecture needs (2, 5, {F})" in message


def test_another_family(stored, models, tmp_path):
    save(tmp_path / "paper", *models["paper"])
    (tmp_path / "paper" / WEIGHTS).replace(stored / WEIGHTS)
    refused(stored, "lacks '.*', which the recorded architecture has")


def test_another_number_of_members_or_dendrites(stored):
    described = json.loads((stored / DESCRIPTION).read_text())
    describe(stored, members=3)
    refused(stored, "the weights belong to another model")

    def with_sets(count):
        """Every layer's first set, `count` times."""
        return {name: layer | {"sets": layer["sets"][:1] * count} for name, layer in described["dendrites"].items()}

    describe(stored, members=2, dendrites=with_sets(2))
    refused(stored, r"holds '.*2.*', which the recorded architecture does not have")
    describe(stored, dendrites=with_sets(4))
    refused(stored, "lacks '.*3.*', which the recorded architecture has")


def test_missing_and_extra_tensors_are_named(stored):
    tensors = load_file(stored / WEIGHTS)
    save_file({name: value for name, value in tensors.items() if name != "head.t.1"}, stored / WEIGHTS)
    refused(stored, "lacks 'head.t.1'")
    save_file({**tensors, "tail.weight": torch.zeros(2)}, stored / WEIGHTS)
    refused(stored, "holds 'tail.weight'")


def test_inputs_that_a_sparse_dendrite_cannot_have_are_named(tmp_path, models):
    save(tmp_path, *models["sparse, add"])
    tensors = load_file(tmp_path / WEIGHTS)
    for wrong in (-1, F + 1, 10**12):
        tensors["stem.branches.0.conv.index"][0, 0, 0] = wrong
        save_file(tensors, tmp_path / WEIGHTS)
        refused(tmp_path, rf"'stem.branches.0.conv.index' .* names inputs beyond the {F}")


def test_a_refused_checkpoint_is_left_as_it_is(stored):
    content = (stored / WEIGHTS).read_bytes()[:-1]
    (stored / WEIGHTS).write_bytes(content)
    refused(stored, "truncated")
    assert (stored / WEIGHTS).read_bytes() == content


def test_a_full_disk_is_one_line_and_the_old_checkpoint_stays(stored, models, monkeypatch):
    before = [(stored / name).read_bytes() for name in (WEIGHTS, DESCRIPTION)]

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"no space left on the disk while writing .*model.safetensors"):
        save(stored, *models["plain"])
    monkeypatch.undo()
    assert [(stored / name).read_bytes() for name in (WEIGHTS, DESCRIPTION)] == before
    assert sorted(path.name for path in stored.iterdir()) == sorted((WEIGHTS, DESCRIPTION))
