import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.trial import FixedTrial
from test_search_study import bank

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.dendrites.places import attach, dendritic_layers
from kws_dendrite.dendrites.pool import kinds_for
from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.frontend import BLOCKS, LogMelConfig, MfccConfig, feature_shape
from kws_dendrite.models import FAMILIES, build_model
from kws_dendrite.models.separable import SeparableConfig
from kws_dendrite.plain import cost
from kws_dendrite.search import ARMS, DEFAULT, SPACES, WIDE, Choice, Ground, Proposal, Range, Space
from kws_dendrite.search.dims import NoneFits
from kws_dendrite.search.proposal import check_space, suggest
from kws_dendrite.search.shapes import LAYOUTS, dendrite_layers, frames_left
from kws_dendrite.search.space import CANDIDATE_EPOCHS
from kws_dendrite.search.untrained import cheapest_dendrite, largest_graph, parameters_of
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import grow, share_epochs

RECIPE = TrainConfig(epochs=40)
# Every family with every front end: what no space that ships draws, but a file may.
EVERYTHING = Space(
    families={
        **{family: dict(dims) for family, dims in WIDE.families.items()},
        "bc_resnet": {"tau": Choice((0.125, 0.375)), "dropout": Choice((0.0, 0.2))},
        "edge_impulse_2d": {"depth": Range(1, 3), "width": Choice((0.25, 0.5))},
        "separable": {
            **WIDE.families["separable"],
            "filters": Choice((0, 3)),
            "pool_window": Choice((1, 2, 7)),
            "channels": Range(3, 12),
        },
    },
    train={
        "time_mask": Range(0, 60),
        "frequency_mask": Range(0, 60),
        "mixup": Range(0.0, 0.4),
        "average": Choice((0.0, 0.99)),
    },
    dendrites={
        **DEFAULT.dendrites,
        "kind": Choice(("copy", "lean", "sparse", "temporal", "plateau", "echo", "lowrank", "pool", "any")),
        "activation": Choice(("relu", "tanh", "hard_tanh", "sigmoid")),
        "dendrites": Range(1, 3),
        "taps": Choice((3, 9, 31)),
        "dilation": Choice((1, 3, 20)),
        "fan_in": Choice((2, 6)),
        "cascade": Choice((False, True)),
        "probe": Choice(((), (1.0, 0.3))),
        "price": Choice(("parameters",)),
    },
    frontends={
        block: {
            "frame_length": Choice((0.01, 0.02, 0.03, 0.06)),
            "frame_stride": Range(0.005, 0.045, step=0.01),
            "fft_length": Choice((128, 256, 512, 1024)),
            "num_filters": Choice((8, 20, 40, 80)),
            "low_frequency": Choice((20, 300)),
            **({"num_cepstral": Range(5, 40)} if block == "mfcc" else {}),
        }
        for block in BLOCKS
    },
    augment={"noise_probability": Choice((0.4, 0.7)), "speed": Choice(((0.9, 1.1), (1.0, 1.0)))},
)


def ground(config=None, classes: int = 12, seconds: float = 1.0) -> Ground:
    config = config or LogMelConfig()
    window = round(16000 * seconds)
    return Ground(classes, *feature_shape(config, window), RECIPE, config, window)


def proposals(space: Space, arm: str, where: Ground, count: int, seed: int = 0) -> Iterator[Proposal]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for _ in range(count):
        yield suggest(study.ask(), space, arm, where)


def _as_gradient(growth):
    """The same dendrites without a choice among them."""
    return replace(growth, mode="gradient", kind="lean" if growth.kind == "any" else growth.kind)


def check(proposal: Proposal, arm: str, where: Ground, seed: int = 0) -> None:
    """Everything that no proposal may break; builds and folds its net."""
    assert Proposal.from_json(json.loads(json.dumps(proposal.to_json()))) == proposal
    T, F = proposal.model.frames, proposal.model.coefficients
    assert proposal.model.classes == where.classes
    if proposal.frontend is not None:
        assert feature_shape(proposal.frontend, where.window) == (T, F)
        assert proposal.frontend.frame_samples <= proposal.frontend.fft_length or proposal.frontend == where.frontend
    if isinstance(proposal.model, SeparableConfig):
        reach = proposal.model.kernel // 2 * max(proposal.model.dilations)
        assert reach < frames_left(proposal.model)
    assert (proposal.growth is None) == (arm == "plain")
    assert max(proposal.train.time_mask, proposal.train.shift_frames) < T and proposal.train.frequency_mask < F
    restarts = proposal.restarts
    assert share_epochs(proposal.train, proposal.train.epochs, proposal.growth, restarts).epochs >= 1
    model = build_model(proposal.model, 2, seed)
    assert cost(fold(model, 1)).parameters > 0
    if proposal.growth is not None:
        assert proposal.growth.mode == arm
        grown = cost(largest_graph(proposal.model, _as_gradient(proposal.growth)))
        assert grown.parameters > parameters_of(proposal.model)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("name", [*SPACES, "everything"])
def test_what_is_proposed_can_be_built_grown_and_folded(name, arm):
    space, where = {**SPACES, "everything": EVERYTHING}[name], ground(MfccConfig() if name == "paper" else None)
    check_space(space, (arm,), where)
    for proposal in proposals(space, arm, where, 6):
        check(proposal, arm, where)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("name", [*SPACES, "everything"])
@pytest.mark.parametrize(("classes", "seconds"), [(3, 1.0), (12, 0.4), (2, 2.0)])
def test_thousands_of_proposals_can_be_built_grown_and_folded(name, arm, classes, seconds):
    space = {**SPACES, "everything": EVERYTHING}[name]
    where = ground(MfccConfig() if name == "paper" else None, classes, seconds)
    for proposal in proposals(space, arm, where, 100, seed=1):
        check(proposal, arm, where)


def noise(proposal: Proposal):
    """A bank of noise for the proposal's net."""
    rng = np.random.default_rng(0)
    shape = (16, proposal.model.frames, proposal.model.coefficients)
    clips = rng.standard_normal(shape).astype(np.float32)
    labels = np.arange(16) % proposal.model.classes
    return replace(
        bank(), train=clips[None], train_labels=labels, validation=clips, validation_labels=labels,
        labels=tuple(map(str, range(proposal.model.classes))),
    )  # fmt: skip


@pytest.mark.parametrize("arm", ARMS[1:])
def test_a_growth_step_of_what_is_proposed_can_be_made(arm):
    """With a candidate phase on noise: no budget is below one dendrite, no layer is asked for what it cannot take."""
    small = EVERYTHING.with_dims(separable__channels=Range(3, 6), dendrites__candidate_epochs=1, dendrites__dendrites=1)
    space = Space(
        {"separable": small.families["separable"]}, dendrites={**small.dendrites, "budget_share": Choice((0.01, 0.4))}
    )
    where = ground(LogMelConfig(frame_stride=0.04, num_filters=8), classes=3)
    for proposal in proposals(space, arm, where, 6, seed=4):
        growth = replace(proposal.growth, significance=0.0)
        model = build_model(proposal.model, 2, 0)
        grown, report = grow(model, noise(proposal), TrainConfig(batch_size=8), growth, 0)
        added = cost(fold(grown)).parameters - cost(fold(model)).parameters
        assert added > 0 or arm == "growth"
        if growth.budget:
            assert added <= growth.budget and report.chosen


def test_the_layers_that_can_take_a_kind_are_those_that_do():
    """The rule against the dendrites' own code, for every family, kind and place."""
    nets = [
        *(FAMILIES["separable"](12, 8, 3, channels=4, blocks=blocks, dilations=d) for blocks, d in LAYOUTS.values()),
        FAMILIES["separable"](12, 8, 3, channels=4, head_hidden=4),
        FAMILIES["separable"](12, 8, 3, channels=4, filters=2, stem_kernel=3),
        FAMILIES["spark"](12, 8, 3, channels=4, blocks=2, gates=4),
        FAMILIES["paper"](12, 8, 3, channels=(2, 2), hidden=(4,)),
        FAMILIES["edge_impulse_1d"](12, 8, 3),
        FAMILIES["edge_impulse_2d"](12, 8, 3),
        FAMILIES["bc_resnet"](12, 40, 3, tau=0.125),
    ]
    growth = next(proposals(DEFAULT, "gradient", ground(), 1)).growth
    for net in nets:
        for kind in EVERYTHING.dendrites["kind"].values:
            for layers in ("head", "conv", "all"):
                mode = "growth" if kind == "any" else "gradient"
                config = replace(growth, mode=mode, kind=kind, layers=layers, insertion="converged", cascade=False)
                model = build_model(net)
                try:
                    attach(model, config)
                    takes = any(kinds_for(layer, config) for layer in dendritic_layers(model).values())
                except ConfigError:
                    takes = False
                said = dendrite_layers(kind, net)
                assert takes == (bool(said) if kind == "pool" else layers in said), (net, kind, layers)


def test_the_shared_choices_are_the_same_for_every_arm():
    """Paired: from the same random numbers, whatever the front end and the family."""
    for space in (DEFAULT, WIDE, EVERYTHING):
        for seed in range(3):
            drawn = [next(proposals(space, arm, ground(), 1, seed)) for arm in ARMS]
            assert len({repr((p.model, p.train, p.frontend, p.augment)) for p in drawn}) == 1


def test_every_value_of_the_default_space_is_drawn():
    seen: dict[str, set] = {}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    for _ in range(120):
        trial = study.ask()
        suggest(trial, DEFAULT, "gradient", ground())
        for name, value in trial.params.items():
            seen.setdefault(name.partition(":")[0], set()).add(value)
    for name, dim in DEFAULT:
        if isinstance(dim, Choice) and len(dim.values) > 1 and name not in ("dendrites.budget_share", "dendrites.kind"):
            assert seen[name] == set(dim.values), name
    assert seen["dendrites.kind"] == set(DEFAULT.dendrites["kind"].values) - {"any"}  # which is for growth


def test_fixed_numbers_give_the_net_that_they_say():
    drawn = {
        "separable.stride": 2, "separable.kernel": 7, "separable.stem_kernel": 3, "separable.layout": "twice",
        "separable.channels": 6, "separable.pooling": "max", "train.learning_rate": 0.02, "train.weight_decay": 1e-3,
        "train.label_smoothing": 0.1, "train.shift_frames": 2, "train.time_mask": 0, "train.frequency_mask": 3,
        "dendrites.kind": "temporal", "dendrites.layers:conv/all": "conv", "dendrites.insertion": "early",
        "dendrites.dendrites": 2, "dendrites.activation": "tanh", "dendrites.join": "gate", "dendrites.taps": 5,
        "dendrites.dilation": 3,
    }  # fmt: skip
    proposal = suggest(FixedTrial(drawn), DEFAULT, "perforated", ground())
    model, growth = proposal.model, proposal.growth
    assert (model.stride, model.kernel, model.stem_kernel, model.channels, model.pooling) == (2, 7, 3, 6, "max")
    assert (model.blocks, model.dilations) == LAYOUTS["twice"]
    assert (model.frames, model.coefficients, model.classes, model.remove_mean) == (49, 24, 12, False)
    assert proposal.train == replace(RECIPE, learning_rate=0.02, label_smoothing=0.1, frequency_mask=3)
    assert (growth.mode, growth.kind, growth.layers, growth.insertion) == ("perforated", "temporal", "conv", "early")
    assert (growth.dendrites, growth.activation, growth.join) == (2, "tanh", "gate")
    assert (growth.taps, growth.dilation, growth.candidate_epochs) == (5, 3, CANDIDATE_EPOCHS)
    plain = suggest(FixedTrial(drawn), DEFAULT, "plain", ground())
    assert plain == replace(proposal, growth=None) and (plain.restarts, proposal.restarts) == (1, 0)


def test_a_front_end_that_keeps_the_level_has_it_taken_off_in_the_net():
    space = replace(WIDE, families={"separable": {}}, frontends={block: {} for block in BLOCKS})
    for proposal in proposals(space, "plain", ground(), 20):
        assert proposal.model.remove_mean == (proposal.frontend.block == "mfe")
    mfe = ground(BLOCKS["mfe"]())
    assert next(proposals(DEFAULT, "plain", replace(mfe, keeps_level=True), 1)).model.remove_mean


def test_bc_resnet_is_drawn_with_front_ends_that_it_reads():
    families = set()
    for proposal in proposals(EVERYTHING, "plain", ground(), 50):
        families.add(proposal.model.family)
        if proposal.model.family == "bc_resnet":
            assert proposal.model.coefficients % 40 == 0
    assert families == set(FAMILIES)
    given = replace(EVERYTHING, frontends={})
    assert all(p.model.family != "bc_resnet" for p in proposals(given, "plain", ground(), 40))


def test_short_clips_get_kernels_that_fit():
    short = Ground(3, 6, 8, RECIPE)
    space = Space({"separable": DEFAULT.families["separable"]}, dendrites=DEFAULT.dendrites)
    for proposal in proposals(space, "gradient", short, 60):
        model, growth = proposal.model, proposal.growth
        assert model.kernel // 2 * max(model.dilations) < math.ceil(6 / model.stride)
        if growth.kind == "temporal":
            assert growth.taps // 2 * growth.dilation < math.ceil(6 / model.stride)


def test_a_budget_is_a_share_of_the_net_but_no_less_than_a_dendrite():
    for proposal in proposals(DEFAULT, "growth", ground(), 12):
        least = cheapest_dendrite(proposal.model, replace(proposal.growth, budget=0))
        parameters = parameters_of(proposal.model)
        shares = [max(least, round(share * parameters)) for share in DEFAULT.dendrites["budget_share"].values]
        assert proposal.growth.budget in shares


def test_the_ground_that_a_bank_is():
    own = bank()
    found = Ground.of_bank(own, RECIPE)
    assert (found.classes, found.frames, found.coefficients) == (3, 12, 4)
    assert found.frontend == LogMelConfig() and found.window == 16000 and not found.keeps_level
    assert found.augment == AugmentConfig(copies=0)
    half = replace(own, summary={"task": {"window_seconds": 0.5, "sampling_freq": 8000}})
    assert Ground.of_bank(half, RECIPE).window == 4000
    arrays = Ground.of_bank(replace(own, frontend={"coefficients": 4, "keeps_level": True}), RECIPE)
    assert arrays.frontend is None and arrays.keeps_level and arrays.window == 0


@pytest.mark.parametrize(
    ("space", "where", "says"),
    [
        (WIDE, Ground(12, 50, 13, RECIPE), "the space searches front ends, but the data are features"),
        (
            DEFAULT.with_dims(augment__noise_probability=Choice((0.4, 0.7))),
            Ground(12, 50, 13, RECIPE),
            "the space searches augmentation, but the data",
        ),
        (Space({"bc_resnet": {}}), Ground(12, 50, 13, RECIPE), "no family of the space (bc_resnet) reads 13"),
        (DEFAULT, Ground(12, 50, 13, TrainConfig(epochs=6)), "6 epochs leave none for 3 cycles after 4 candidate"),
        (
            Space({"separable": {"kernel": Choice((31, 41))}}),
            Ground(12, 10, 13, RECIPE),
            "no value of separable.kernel goes with what was drawn before it",
        ),
        (
            Space({"separable": {}}, dendrites={"kind": Choice(("any",))}),
            Ground(12, 50, 13, RECIPE),
            "the space has no dendrites.kind for the arm gradient",
        ),
        (
            Space({"separable": {}}, dendrites={"insertion": Choice(("start",))}),
            Ground(12, 50, 13, RECIPE),
            "the space has no dendrites.insertion for the arm perforated",
        ),
        (
            Space({"separable": {}}, frontends={"logmel": {"frame_length": Choice((0.04,))}}),
            ground(),
            "no value of logmel.frame_length goes with",
        ),
    ],
)
def test_what_could_not_be_trained_is_refused_before_the_first_trial(space, where, says):
    with pytest.raises(ConfigError) as caught:
        check_space(space, ARMS, where)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_proposal_of_another_version_is_refused():
    value = next(proposals(DEFAULT, "growth", ground(), 1)).to_json()
    for broken in ({}, {**value, "train": {"epoch": 3}}, {**value, "growth": {"kind": "new"}}, {**value, "model": {}}):
        with pytest.raises(ConfigError):
            Proposal.from_json(broken)
    assert all(field.name in value for field in dataclasses.fields(Proposal))


def test_a_dead_end_now_and_then_is_no_reason_to_refuse():
    """A kernel of 31 taps goes with a stride of 1 alone here; the search draws the other anew."""
    space = Space({"separable": {"kernel": Choice((31,)), "stride": Choice((1, 2))}})
    arms, where = ("plain",), Ground(12, 30, 13, RECIPE)
    drawn = []
    for seed in range(12):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        with contextlib.suppress(NoneFits):
            drawn.append(suggest(study.ask(), space, "plain", where).model.stride)
    assert 0 < len(drawn) < 12 and set(drawn) == {1}
    check_space(space, arms, where)
