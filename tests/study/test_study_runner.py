import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_study import RECIPE, make_config, make_source, make_study

from kws_dendrite.data import AugmentConfig, TaskConfig
from kws_dendrite.errors import ConfigError, DataError, OutputError
from kws_dendrite.frontend import LogMelConfig, to_json
from kws_dendrite.models import build_model
from kws_dendrite.study import runner
from kws_dendrite.study.rows import differing
from kws_dendrite.study.runner import make_plans
from kws_dendrite.study.sizes import layout, measure
from kws_dendrite.training.checkpoint import load_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import predict


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small study, trained; read only."""
    study = make_study(tmp_path_factory.mktemp("study") / "s")
    assert study.train() == []
    return study


def test_every_row_stands_with_its_checkpoint(finished):
    rows = finished.finished()
    assert [row.name for row in rows] == ["plain-150", "gradient-150", "plain-250", "gradient-250"]
    for row in rows:
        assert row.members == 2 and row.epochs == 2
        assert len(row.growth) == (1 if row.arm == "gradient" else 0)
        assert load_checkpoint(finished.store.path(row.name)).members == 2
        assert row.weights == finished.store.weights_hash(row.name)
        assert row.seconds > 0


def test_a_row_is_what_training_alone_gives(finished):
    plan, source = finished.plans[1], make_source()
    result = train(build_model(plan.architecture, 2, 0), source.features, plan.train, growth=plan.growth, seed=0)
    x = torch.from_numpy(source.features.validation)
    stored = load_checkpoint(finished.store.path(plan.name)).model
    assert torch.equal(predict(stored, x), predict(result.model, x))


def test_a_resumed_study_trains_nothing(finished, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(runner, "fit_row", refuse)
    again = make_study(finished.folder)
    assert again.train() == []
    assert again.finished() == finished.finished()


def test_what_is_missing_is_trained_as_in_one_go(finished, tmp_path):
    part = make_study(tmp_path / "s", arms="plain")
    part.train()
    whole = make_study(tmp_path / "s")
    trained = []
    whole.train(on_row=lambda row: trained.append(row.name))
    assert trained == ["gradient-150", "gradient-250"]
    assert [row.weights for row in whole.finished()] == [row.weights for row in finished.finished()]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"members": 3}, "started with members 2, not 3"),
        ({"seed": 1}, "started with seed 0, not 1"),
        ({"train": RECIPE.__class__(epochs=3, batch_size=16)}, "recipe.epochs 2, not 3"),
        ({"source": make_source({"digest": "other"})}, 'data "d", not "other"'),
    ],
)
def test_another_study_in_the_folder_is_refused_by_field(finished, changed, says):
    with pytest.raises(ConfigError, match=says):
        make_study(finished.folder, **changed)


def test_an_arm_that_grows_otherwise_now_is_refused(finished):
    path = finished.store.path("gradient-150") / "row.json"
    kept = path.read_text()
    value = json.loads(kept)
    value["made_of"]["growth"]["activation"] = "tanh"
    try:
        path.write_text(json.dumps(value))
        with pytest.raises(ConfigError, match=r"gradient-150 was trained with growth\.activation tanh, not relu"):
            make_study(finished.folder)
        del value["made_of"]["growth"]["activation"]  # a setting that was not there yet had its default
        path.write_text(json.dumps(value))
        make_study(finished.folder)
    finally:
        path.write_text(kept)


def test_a_setting_that_came_later_had_its_default_before(tmp_path):
    """Of augmentation, front end, task and recipe, in a study that is resumed by a later version."""
    before = {
        "augmentation": AugmentConfig().to_json(), "frontend": to_json(LogMelConfig()),
        "task": TaskConfig().to_json(), "recipe": asdict(TrainConfig()),
    }  # fmt: skip
    now = json.loads(json.dumps(before))
    for part, name in (
        ("augmentation", "shift_ms"), ("frontend", "num_filters"), ("task", "unknown_ratio"), ("recipe", "mixup"),
    ):  # fmt: skip
        del before[part][name]
        assert differing(before, now) == []
        now[part][name] = 7
        ((field, there, here),) = differing(before, now)
        assert (field, here) == (f"{part}.{name}", 7) and there != 7
        now[part][name] = there


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "precious.wav").write_bytes(b"x")
    with pytest.raises(OutputError, match="not made by kws-dendrite"):
        make_study(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.wav"]


def test_a_folder_of_another_command_is_refused(tmp_path):
    (tmp_path / ".kws_dendrite").touch()
    (tmp_path / "model.json").touch()
    with pytest.raises(OutputError, match="results of another command"):
        make_study(tmp_path)


def test_a_row_in_other_hands_is_left_to_them(tmp_path):
    study = make_study(tmp_path / "s", sizes=(150,))
    with study.store.claimed("plain-150") as ours:
        assert ours
        assert [plan.name for plan in study.train()] == ["plain-150"]
    assert [row.name for row in study.finished()] == ["gradient-150"]
    assert study.train() == []


HOLDER = """
import sys, time
from kws_dendrite.study.rows import RowStore
with RowStore(sys.argv[1]).claimed("plain-150") as ours:
    print(ours, flush=True)
    time.sleep(600)
"""


def test_the_claim_of_a_killed_process_ends_with_it(tmp_path):
    study = make_study(tmp_path / "s", arms="plain", sizes=(150,))
    root = Path(runner.__file__).parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(study.folder)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "True\n"
        assert [plan.name for plan in study.train()] == ["plain-150"]
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
        deadline = time.monotonic() + 30
        while study.train() and time.monotonic() < deadline:  # the lock goes when the system has reaped it
            time.sleep(0.05)
        assert [row.name for row in study.finished()] == ["plain-150"]
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_ctrl_c_keeps_the_rows_before(tmp_path):
    study = make_study(tmp_path / "s", arms="plain")

    def stop(plan, record):
        if plan.size == 250:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.train(on_epoch=stop)
    assert [row.name for row in study.finished()] == ["plain-150"]
    study.train()
    assert len(study.finished()) == 2


def test_a_row_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    study, ordinary = make_study(tmp_path / "s", arms="plain"), runner.fit_row

    def diverge(plan, bank, progress):
        if plan.size == 150:
            raise DataError("the loss is nan")
        return ordinary(plan, bank, progress)

    monkeypatch.setattr(runner, "fit_row", diverge)
    failed = []
    study.train(on_failure=lambda plan, error: failed.append((plan.name, str(error))))
    assert failed == [("plain-150", "the loss is nan")]
    assert [row.name for row in study.finished()] == ["plain-250"]


def test_a_disk_that_is_full_stops_the_study(tmp_path, monkeypatch):
    study = make_study(tmp_path / "s", arms="plain")

    def full(*_, **__):
        raise OutputError("no space left on the disk")

    monkeypatch.setattr(runner, "save_checkpoint", full)
    with pytest.raises(OutputError, match="no space"):
        study.train(on_failure=lambda plan, error: pytest.fail("went on"))
    assert study.finished() == []


def test_arms_have_equal_epochs_and_the_seeds_of_the_study():
    arms = "plain,plain_restart,wider_grown,sham,start,gradient,perforated"
    config = make_config(arms, (250,), train=RECIPE.__class__(epochs=28, batch_size=16), seed=4)
    for plan in make_plans(make_source(), config):
        cycles = 1 + (plan.growth.dendrites if plan.growth and plan.growth.insertion != "start" else plan.restarts)
        candidates = plan.growth.candidate_epochs if plan.growth and plan.growth.trains_candidates else 0
        assert plan.train.epochs * cycles + candidates == 28, plan.name
        assert (plan.seed, plan.members) == (4, 2)


def test_the_base_of_an_arm_is_its_net_ungrown_and_restarted_as_often():
    config = make_config("plain,gradient,start", (250,), with_bases=True)
    plans = {plan.arm: plan for plan in make_plans(make_source(), config)}
    base = plans["gradient-base"]
    assert (base.base_of, base.growth, base.restarts) == ("gradient", None, 1)
    assert base.architecture == plans["gradient"].architecture and base.train == plans["gradient"].train
    assert plans["start-base"].restarts == 0 and plans["start-base"].train == plans["start"].train
    assert "plain-base" not in plans


def test_growth_by_gain_has_the_rest_of_the_size_as_its_budget():
    config = make_config("growth", (250,), train=RECIPE.__class__(epochs=28, batch_size=16))
    (plan,) = make_plans(make_source(), config)
    assert plan.parameters == 250
    assert plan.growth.budget == 250 - measure(plan.architecture).parameters > 0
    assert plan.architecture.kernel == layout(250)["kernel"]


def test_few_epochs_are_refused_before_any_training(tmp_path):
    with pytest.raises(ConfigError, match="the arm perforated: 2 epochs leave none for 2 cycles"):
        make_study(tmp_path / "s", arms="perforated")
    assert not (tmp_path / "s").exists()


def test_a_published_net_needs_recordings(tmp_path):
    with pytest.raises(ConfigError, match="leave the arms bc_resnet and spark out"):
        make_study(tmp_path / "s", arms="plain,spark")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"members": 0}, "members are at least 1"),
        ({"sizes": (0,)}, "above 0"),
        ({"sizes": (150, 150)}, "each once"),
        ({"sizes": ()}, "at least one arm and one size"),
    ],
)
def test_settings_are_checked(changed, says):
    with pytest.raises(ConfigError, match=says):
        make_config(**changed)


def test_training_reads_no_test_clips(tmp_path):
    source = make_source()

    def refuse(frontend):
        raise AssertionError("read the test partition")

    source.test = refuse
    study = make_study(tmp_path / "s", arms="plain", sizes=(150,), source=source)
    study.train()
    assert np.isfinite(study.finished()[0].validation_loss).all()
