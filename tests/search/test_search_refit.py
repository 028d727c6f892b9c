import json
import multiprocessing
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from tiny_refit import PLANS, make_bank, make_plan, make_refit

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import CheckpointError, ConfigError, DivergenceError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model
from kws_dendrite.plain import cost
from kws_dendrite.search import refit as refit_module
from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.points import Point
from kws_dendrite.search.refit import FRESH, plans_of, remake
from kws_dendrite.search.refitted import RefitStore
from kws_dendrite.training.checkpoint import load_checkpoint
from kws_dendrite.training.growth import STEP_SEED
from kws_dendrite.training.loop import predict

NAMES = ["gradient-1-1", "plain-0-0", "plain-2-0"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished refit; read only."""
    folder = tmp_path_factory.mktemp("refit")
    work = make_refit(folder)
    assert work.run() == []
    return work


def test_every_point_is_trained_with_its_own_dendrites(done):
    points = {point.name: point for point in done.store.all()}
    assert sorted(points) == NAMES
    assert [points[name].dendrites for name in NAMES] == [1, 0, 0]
    for point in points.values():
        held = load_checkpoint(done.store.path(point.name))
        assert held.members == point.members == 5
        assert point.weights == done.store.weights_hash(point.name)
        graphs = [fold(held.model, member) for member in range(5)]
        assert point.parameters == tuple(cost(graph).parameters for graph in graphs)
        assert point.value == point.costs["parameters"] == max(point.parameters)
        assert held.best_member == point.exported
        assert held.record["seeds"] == {"seed": FRESH, "members": 5}


def test_the_figures_are_the_checkpoints_own(done):
    bank = make_bank()
    for point in done.store.all():
        model = load_checkpoint(done.store.path(point.name)).model
        right = predict(model, torch.from_numpy(bank.validation)).argmax(-1).numpy() == bank.validation_labels
        assert (done.store.correct(point.name) == right).all()
        assert point.accuracy == pytest.approx(right.mean(1))
        low, high = point.seed_interval
        assert low <= point.mean_accuracy <= high


def test_all_points_get_the_same_seeds_and_none_is_the_searchs():
    assert {plan.seed for plan in PLANS} == {FRESH}
    trial = {k * STEP_SEED + extra for k in range(8) for extra in range(4)}  # of growth steps and their phases
    assert trial.isdisjoint({FRESH + one for one in trial})
    assert trial.isdisjoint({FRESH - one for one in trial})
    one, other = (build_model(PLANS[0].proposal.model, 5, seed) for seed in (0, FRESH))
    starts = [
        [p[member].detach().numpy().tobytes() for p in net.parameters()] for net in (one, other) for member in range(5)
    ]
    assert len({start[0] for start in starts}) == 10


def test_what_is_finished_is_not_trained_again(done, monkeypatch):
    before = {point.name: point for point in done.store.all()}
    monkeypatch.setattr(refit_module, "train", None)
    assert make_refit(done.store.folder.parent).run(on_point=lambda point: pytest.fail("trained")) == []
    assert {point.name: point for point in done.store.all()} == before


def test_stopped_and_resumed_is_uninterrupted(done, tmp_path, monkeypatch):
    ordinary, count = refit_module.train, 0

    def train(*arguments, **settings):
        nonlocal count
        count += 1
        result = ordinary(*arguments, **settings)
        return replace(result, interrupted=True) if count == 2 else result

    monkeypatch.setattr(refit_module, "train", train)
    with pytest.raises(KeyboardInterrupt):
        make_refit(tmp_path).run()
    assert [point.name for point in RefitStore(tmp_path).all()] == ["plain-0-0"]
    seen = []
    make_refit(tmp_path).run(on_point=lambda point: seen.append(point.name))
    assert seen == ["gradient-1-1", "plain-2-0"]
    timeless = [[replace(point, seconds=0.0) for point in store.all()] for store in (RefitStore(tmp_path), done.store)]
    assert timeless[0] == timeless[1]


def work_along(folder, gate, trained):
    gate.wait(60)
    make_refit(folder).run(on_point=lambda point: trained.put(point.name))


def test_two_processes_side_by_side_train_each_point_once(tmp_path):
    context = multiprocessing.get_context("spawn")  # a fork of a process that has trained hangs in OpenMP
    gate, trained = context.Barrier(2), context.Queue()
    workers = [context.Process(target=work_along, args=(tmp_path, gate, trained)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(trained.get(timeout=5) for _ in NAMES) == NAMES
    assert trained.empty()


def test_a_point_in_other_hands_is_told_and_left(tmp_path):
    work = make_refit(tmp_path)
    with RefitStore(tmp_path).claimed("gradient-1-1") as ours:
        assert ours
        assert [plan.name for plan in work.run()] == ["gradient-1-1"]
    assert work.run() == []


def trial(number, arm="plain", points=(), **changed):
    plan = make_plan(number, arm=arm)
    json_of = plan.proposal.to_json()
    last = points[-1] if points else None
    result = TrialResult(
        number=number, arm=arm, validation_accuracy=last and last.validation_accuracy,
        validation_accuracy_members=(), parameters=last and last.parameters, macs=1, params={}, slot=number,
        architecture=json_of["model"], growth=last and last.growth, state="complete" if points else "running",
        seconds=1.0, points=tuple(points), recipe=json_of["train"], frontend=json_of["frontend"],
        augment=json_of["augment"],
    )  # fmt: skip
    return replace(result, **changed)


def point(dendrites, accuracy, size, epochs=4, restarts=0, **changed):
    growth = asdict(DendriteConfig("gradient", dendrites, layers="head")) if dendrites else None
    values = {"value": size, "epochs": epochs, "growth": growth, "restarts": restarts} | changed
    return Point(dendrites, accuracy, (accuracy, accuracy), (0.5, 0.7), size, 10 * size, **values)


RESULTS = [
    trial(0, points=[point(0, 0.7, 100, restarts=1)]),
    trial(1, "gradient", [point(0, 0.6, 100, epochs=2), point(1, 0.8, 150), point(2, 0.9, 200, epochs=6)]),
    trial(2, points=[point(0, 0.75, 90, restarts=1)]),
    trial(3, "gradient"),
    trial(4, points=[point(0, 0.99, 50)], state="failed"),
]


def test_the_points_of_each_arms_front_are_planned():
    plans = plans_of(RESULTS, seed=3)
    assert [plan.name for plan in plans] == ["plain-2-0", "gradient-1-0", "gradient-1-1", "gradient-1-2"]
    assert {plan.members for plan in plans} == {5} and {plan.seed for plan in plans} == {3 + FRESH}


def test_a_point_is_remade_with_what_it_took(tmp_path):
    plans = {plan.name: plan for plan in plans_of(RESULTS, seed=0)}
    plain, none, one, two = (plans[name] for name in ("plain-2-0", "gradient-1-0", "gradient-1-1", "gradient-1-2"))
    assert plain.restarts == 1 and plain.proposal.growth is None and plain.recipe.epochs == 2
    assert none.restarts == 0 and none.proposal.growth is None and none.recipe.epochs == 2
    assert [plan.proposal.growth.dendrites for plan in (one, two)] == [1, 2]
    assert [plan.recipe.epochs for plan in (one, two)] == [2, 2] and [one.planned, two.planned] == [4, 6]
    assert two.said == {
        "accuracy": 0.9, "accuracy_members": [0.9, 0.9], "loss": 0.6, "parameters": 200, "value": 200, "epochs": 6
    }  # fmt: skip


def test_epochs_may_be_the_same_for_all():
    plans = plans_of(RESULTS, seed=0, epochs=12)
    assert {plan.made_of()["epochs"] for plan in plans} == {12}
    assert {plan.name: plan.recipe.epochs for plan in plans} == {
        "plain-2-0": 6,
        "gradient-1-0": 12,
        "gradient-1-1": 6,
        "gradient-1-2": 4,
    }


def test_too_few_epochs_name_the_trial():
    with pytest.raises(ConfigError, match="trial 1: 2 epochs leave none for 3 cycles"):
        plans_of(RESULTS, seed=0, epochs=2)


@pytest.mark.parametrize("change", [{"points": ()}, {"recipe": None}])
def test_a_trial_of_an_earlier_version_is_told(change):
    with pytest.raises(ConfigError, match="trial 0 was made by an earlier version"):
        plans_of([replace(RESULTS[0], **change)], seed=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"members": 6}, "refitted with members 5, not 6"),
        ({"proposal": make_plan(epochs=6).proposal}, "refitted with epochs 4, not 6"),
        ({"seed": 7}, f"refitted with seed {FRESH}, not 7"),
        ({"proposal": make_plan(channels=4).proposal}, "refitted with model.channels 3, not 4"),
    ],
)
def test_another_way_is_refused_by_name(done, change, says):
    with pytest.raises(ConfigError, match=says) as caught:
        make_refit(done.store.folder.parent, [replace(PLANS[0], **change)])
    assert "\n" not in str(caught.value)


def test_few_seeds_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"at least 5 seeds.* got 4"):
        make_refit(tmp_path, [make_plan(members=4)])


def test_a_point_that_fails_is_told_and_the_others_go_on(tmp_path):
    bank = make_bank()
    broken = replace(bank, train=np.full_like(bank.train, np.nan))
    failed = []
    work = make_refit(tmp_path, bank_of=lambda proposal: broken if proposal.growth else bank)
    assert work.run(on_failure=lambda plan, error: failed.append((plan.name, type(error)))) == []
    assert failed == [("gradient-1-1", DivergenceError)]
    assert [plan.name for plan in work.left()] == ["gradient-1-1"]


def test_a_full_disk_ends_it_and_keeps_what_was_finished(tmp_path, monkeypatch):
    ordinary = refit_module.save_refit

    def save(folder, *rest):
        if folder.name == "gradient-1-1":
            raise OutputError("no space left on the disk")
        ordinary(folder, *rest)

    monkeypatch.setattr(refit_module, "save_refit", save)
    with pytest.raises(OutputError):
        make_refit(tmp_path).run()
    assert [point.name for point in RefitStore(tmp_path).all()] == ["plain-0-0"]


@pytest.mark.parametrize("content", ["not JSON", "[]", '{"name": "plain-0-0"}'])
def test_a_damaged_record_is_named_with_what_to_do(tmp_path, content):
    folder = RefitStore(tmp_path).path("plain-0-0")
    folder.mkdir(parents=True)
    (folder / "refit.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"remove .*plain-0-0 to refit"):
        make_refit(tmp_path)


def test_damaged_decisions_are_named_with_what_to_do(done, tmp_path):
    work = make_refit(tmp_path, PLANS[:1])
    work.run()
    path = work.store.path("plain-0-0") / "validation.npz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError, match=r"remove .*plain-0-0 to refit"):
        work.store.correct("plain-0-0")


def test_the_record_is_plain_values(done):
    for point in done.store.all():
        assert json.loads(json.dumps(point.to_json(), allow_nan=False))["made_of"] == point.made_of


def test_it_is_a_function_of_plan_and_bank():
    one, two = (remake(PLANS[1], make_bank(), lambda *_: None) for _ in range(2))
    assert one.best_loss == two.best_loss
