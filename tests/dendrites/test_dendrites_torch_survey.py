"""Which layers of other people's models take dendrites; every mistake is one line, and the model as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_models import MODELS, Residual, attention, batch, loss, mlp, places, residual, same, state

from kws_dendrite.dendrites import DendriteConfig, Grower, GrowerConfig, quick_check
from kws_dendrite.dendrites.torch_growth import loss_of
from kws_dendrite.dendrites.torch_survey import survey
from kws_dendrite.errors import ConfigError, DataError

COPY = DendriteConfig()


class Twice(nn.Module):
    """One layer under two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = self.first
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.second(F.relu(self.first(x))))


class Again(nn.Module):
    """One layer that runs twice."""

    def __init__(self):
        super().__init__()
        self.step, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.step(F.relu(self.step(x))))


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.body(x).detach())


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.spare, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(F.relu(self.body(x)))


class ByWeight(nn.Module):
    """Forward code that looks at a layer's type."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        y = self.body(x)
        return self.head(y if type(self.body) is nn.Linear else y + 1)


class TwoReaders(nn.Module):
    """A BatchNorm that is not alone in reading the layer before it."""

    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x):
        y = self.body(x)
        return self.head(F.relu(self.norm(y)) + y)


def norelu():
    return nn.Sequential(nn.Flatten(), nn.ReLU())


@pytest.mark.parametrize(
    ("make", "settings", "growth", "named"),
    [
        (norelu, {}, {}, "has no layer that can take dendrites: those are Linear, Conv1d, Conv2d and Conv3d"),
        (Twice, {}, {}, "layer 'first' is 'second' too: one layer shared by two names"),
        (Twice, {"layers": "second"}, {}, "'second' is 'first' under another name"),
        (Again, {}, {"mode": "perforated"}, "layer 'step' runs 2 times in a pass"),
        (Detached, {}, {}, "layer 'body' gets no gradient"),
        (Unused, {}, {}, "layer 'spare' does not run .* gets no gradient"),
        (ByWeight, {}, {}, "layer 'body' cannot be wrapped without changing what the model gives"),
        (mlp, {"layers": ["0", "fc9"]}, {}, "no layer named 'fc9'; it has 0, 2"),
        (mlp, {"layers": "1"}, {}, "layer '1' is of type ReLU, which takes no dendrites"),
        (mlp, {"layers": nn.Conv2d}, {}, "has no Conv2d that can take dendrites"),
        (mlp, {"layers": nn.LSTM}, {}, "has no LSTM that can take dendrites"),
        (mlp, {"skip": ["*"]}, {}, "every layer .* is skipped"),
        (mlp, {}, {"layers": "conv"}, "no layer for dendrites='conv'"),
        (
            mlp,
            {},
            {"kind": "temporal"},
            "no layer can take dendrites of kind 'temporal': 0: a linear layer has no axis",
        ),
        (mlp, {"layers": "0"}, {"kind": "pool"}, "layer '0' kind 'pool' is for this project's own nets"),
        (lambda: nn.Linear(6, 3), {}, {}, "put it into an nn.Sequential"),
        (lambda: torch.compile(mlp()), {}, {}, "grow the model first, then compile"),
        (lambda: torch.jit.script(mlp()), {}, {}, "grow the model it was made from"),
    ],
)
def test_a_mistake_is_one_line_and_the_model_as_it_was(make, settings, growth, named):
    model = make()
    before, modules = state(model), list(model.named_modules())
    with pytest.raises(ConfigError, match=named) as caught:
        data = batch((6,))
        Grower(
            model, data, GrowerConfig("higher", DendriteConfig(**growth)), loss=loss, train_batches=[data], **settings
        )
    assert "\n" not in str(caught.value)
    assert same(state(model), before)
    assert list(model.named_modules()) == modules


def test_lazy_layers_have_to_be_there_first():
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 3))
    for check in (lambda m: quick_check(m, batch((6,)), loss), lambda m: Grower(m, batch((6,)), GrowerConfig("lower"))):
        with pytest.raises(ConfigError, match="run a batch through it first"):
            check(model)
    model(batch((6,))[0])
    assert quick_check(model, batch((6,)), loss).ok


@pytest.mark.parametrize("who", ["block.conv1", "block.conv2"])
def test_what_overwrites_a_layers_output_is_named_and_may_be_copied(who):
    model, shape = residual(inplace=True), (2, 7, 6)
    before = state(model)
    with pytest.raises(ConfigError, match=rf"'{who}' has its output overwritten in place by .*in_place='copy'"):
        places(model, shape, COPY)
    assert same(state(model), before)
    assert {place.name for place in places(model, shape, COPY, in_place="copy")} >= {who}
    with pytest.raises(ConfigError, match=r"by 'block.relu'"):
        places(model, shape, COPY)


@pytest.mark.parametrize("name", MODELS)
def test_the_survey_leaves_the_model_and_its_modes_alone(name):
    make, shape = MODELS[name]
    model, data = make(), batch(shape)
    model.train()
    frozen = next((m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)), None)
    if frozen is not None:
        frozen.eval()
    before, modes = state(model), [m.training for m in model.modules()]
    stream = torch.random.get_rng_state()
    survey(model, lambda: loss_of(model, data, loss), COPY)
    assert same(state(model), before)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_a_batchnorm_behind_a_layer_is_a_part_of_it():
    found = {place.name: place.norm for place in places(residual(), (2, 7, 6), COPY)}
    assert found == {
        "stem": "", "block.conv1": "block.bn1", "block.conv2": "block.bn2", "block.down.0": "block.down.1", "head": "",
    }  # fmt: skip
    one = places(TwoReaders().eval(), (6,), COPY, layers="body")
    assert [(place.name, place.norm) for place in one] == [("body", "")]


@pytest.mark.parametrize(
    ("layers", "skip", "names"),
    [
        ("block", [], ["block.conv1", "block.conv2", "block.down.0"]),
        ("*.conv?", [], ["block.conv1", "block.conv2"]),
        ([nn.Linear, "stem"], [], ["stem", "head"]),
        (nn.Conv2d, ["block.*"], ["stem"]),
        (None, ["block"], ["stem", "block.conv1", "block.conv2", "block.down.0", "head"]),
    ],
)
def test_layers_are_named_by_name_pattern_type_or_what_holds_them(layers, skip, names):
    assert [place.name for place in places(residual(), (2, 7, 6), COPY, layers=layers, skip=skip)] == names


def test_the_head_is_the_last_linear_layer_to_run():
    assert [place.name for place in places(attention(), (9, 5), DendriteConfig(layers="head"))] == ["head"]


def test_attention_reads_its_own_weights():
    model, data = attention(), batch((9, 5))
    found = {p.name: p for p in survey(model, lambda: loss_of(model, data, loss), COPY)}
    projection = found["encoder.layers.0.self_attn.out_proj"]
    assert "reads its weights itself" in projection.why_not
    assert not projection.fatal
    assert not found["encoder.layers.0.linear1"].why_not


def test_padding_that_torch_passes_by_is_found():
    (x, y), mask = batch((9, 5)), torch.zeros(24, 9, dtype=torch.bool)
    mask[:, 6:] = True
    for nested, wrong in ((True, True), (False, False)):
        model = attention(nested=nested)
        data = {"x": x, "mask": mask}, y
        found = survey(model, lambda model=model, data=data: loss_of(model, data, loss), COPY)
        assert any("enable_nested_tensor" in place.why_not for place in found) == wrong


def test_positions_are_counted():
    assert {p.name: p.positions for p in places(Residual(), (2, 7, 6), COPY)}["stem"] == 42
    assert {p.name: p.positions for p in places(attention(), (9, 5), COPY)}["door"] == 9


@pytest.mark.parametrize("data", [torch.zeros(4, 6), (torch.zeros(4, 6),), (torch.zeros(1, 6), torch.zeros(1).long())])
def test_a_batch_is_a_pair_of_several_clips(data):
    model = mlp()
    with pytest.raises(DataError, match=r"a pair of inputs and targets|at least 2 clips"):
        Grower(model, data, GrowerConfig("higher"), loss=loss)
