import fcntl
import inspect
import json
import os
import re
import signal

import pytest
from command_line import TINY, call, contents, refuse, succeed, untouched

from kws_dendrite.cli.screen import TrainingScreen
from kws_dendrite.dendrites.config import MODES
from kws_dendrite.output import MARKER
from kws_dendrite.training.checkpoint import load_checkpoint


@pytest.fixture
def options(speech, cache):
    return ("train", speech, "--cache", cache, "--keywords", "yes,no", *TINY)


def test_json_is_one_object(options, tmp_path):
    outcome = succeed(*options, "--out", tmp_path / "model", "--dendrites", "gradient", "--json")
    assert outcome.out.count("\n") == 1
    report = json.loads(outcome.out)
    assert report["checkpoint"] == str(tmp_path / "model") and report["interrupted"] is False
    assert len(report["validation_accuracy_members"]) == 2 and report["epochs"] == 2
    assert [step["kind"] for step in report["growth"]] == ["gradient"]
    assert "dendrite 1 (gradient): validation loss" in outcome.err


def test_for_a_person(options, tmp_path):
    outcome = succeed(*options, "--out", tmp_path / "model")
    first, second = outcome.out.splitlines()
    assert first.startswith("validation accuracy ") and first.endswith("mean of 2 seeds")
    assert second == f"checkpoint in {tmp_path / 'model'}"
    assert outcome.err == ""


def test_the_same_seed_gives_the_same_bytes(options, tmp_path):
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        succeed(*options, "--out", tmp_path / name, "--seed", seed)
    weights = [contents(tmp_path / name)["model.safetensors"] for name in ("one", "two", "other")]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize(
    ("mode", "settings", "kinds"),
    [
        ("growth", ["kind=any", "candidate_epochs=1", "candidates=1", "significance=0"], ["growth"]),
        ("perforated", ["candidate_epochs=1", "candidates=1", "objective=partial", "insertion=early"], ["perforated"]),
        ("random", ["layers=conv", "kind=temporal", "taps=3"], ["random"]),
        ("sham", [], ["sham"]),
        ("gradient", ["join=gate", "kind=lowrank", "rank=2", "probe=1,0.3", "standard_errors=0.5"], ["gradient"]),
        ("gradient", ["insertion=start", "dendrites=2", "activation=hard_tanh"], ["gradient", "gradient"]),
    ],
)
def test_every_mode_and_its_settings_are_reached(options, tmp_path, mode, settings, kinds):
    assignments = [part for text in settings for part in ("--growth", text)]
    outcome = succeed(*options, "--epochs", 4, "--out", tmp_path / "model", "--dendrites", mode, *assignments, "--json")
    report = json.loads(outcome.out)
    assert [step["kind"] for step in report["growth"]] == kinds
    assert report["epochs"] <= 4
    load_checkpoint(tmp_path / "model")
    assert f"dendrite 1 ({mode})" in outcome.err


def test_help_names_every_mode():
    """The text is written out, so that asking for help loads no torch."""
    from kws_dendrite.cli.train import train as command

    parameter = inspect.signature(command).parameters["dendrites"]
    text = parameter.annotation.__metadata__[0].help
    assert set(re.findall(r"\b[a-z]+\b", text.partition(";")[0])) - {"or"} == {"none", *MODES}


@pytest.mark.parametrize("family", ["edge_impulse_1d", "edge_impulse_2d", "paper", "spark"])
def test_every_family_trains(options, tmp_path, family):
    succeed(*options[:-2], "--family", family, "--out", tmp_path / "model")
    assert load_checkpoint(tmp_path / "model").config.family == family


def test_again_is_refused_without_overwrite(options, trained, tmp_path):
    with untouched(trained):
        refuse(*options, "--out", trained, says="already holds results; add --overwrite")
    succeed(*options, "--out", tmp_path / "model")
    before = contents(tmp_path / "model")
    succeed(*options, "--out", tmp_path / "model", "--overwrite", "--epochs", 3)
    after = contents(tmp_path / "model")
    assert before.keys() == after.keys() and before["model.json"] != after["model.json"]


def test_a_folder_of_somebody_else_is_never_written_to(options, tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with untouched(tmp_path):
        for more in ((), ("--overwrite",)):
            refuse(*options, "--out", tmp_path, *more, says="was not made by kws-dendrite")
        refuse(*options, "--out", tmp_path / "diary.txt", says="is a file; name a folder")
        refuse(*options, "--out", tmp_path / "diary.txt" / "below", says="diary.txt/below")


def test_a_folder_in_use_is_refused(options, trained, tmp_path):
    with (trained / MARKER).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with untouched(trained):
            refuse(*options, "--out", trained, "--overwrite", says="is in use by another kws-dendrite process")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--family", "separabel"], "unknown model family 'separabel'; did you mean 'separable'?"),
        (["--family", "transformer"], "known: separable,"),
        (["--family", "bc_resnet"], "BC-ResNet halves frequency three times"),
        (["--model", "chanels=4"], "there is no setting 'chanels'; did you mean channels?"),
        (["--model", "channels"], "NAME=VALUE"),
        (["--model", "kernel=few"], "kernel is a whole number; got 'few'"),
        (["--model", "classes=3"], "leave it out"),
        (["--model", "kernel=4"], "kernel is an odd number"),
        (
            ["--dendrites", "biological"],
            "--dendrites is none, gradient, perforated, growth, random, sham; got 'biological'",
        ),
        (["--growth", "layers=head"], "--growth layers needs --dendrites gradient or perforated or growth"),
        (["--dendrites", "sham", "--restarts", "1"], "each growth step restarts the learning rate"),
        (["--dendrites", "gradient", "--growth", "kind=any"], "kind 'any' needs mode 'growth'"),
        (["--dendrites", "growth", "--growth", "insertion=start"], "needs a trained net"),
        (["--dendrites", "growth", "--growth", "mode=sham"], "mode follows from the rest"),
        (["--dendrites", "gradient", "--growth", "kind=twig"], "kind is one of copy, lean"),
        (["--dendrites", "gradient", "--growth", "probe=1,low"], "probe is a number; got 'low'"),
        (["--dendrites", "gradient", "--growth", "probe=1,-1"], "probe has factors above 0"),
        (["--dendrites", "gradient", "--growth", "taps=4"], "taps is an odd number"),
        (["--dendrites", "gradient", "--growth", "kind=temporal", "--growth", "layers=head"], "it has no axis of time"),
        (["--epochs", "11", "--dendrites", "growth", "--growth", "budget=1"], "is below one dendrite"),
        (["--dendrites", "gradient", "--growth", "layers=tail"], "layers is one of all, conv, head; got 'tail'"),
        (["--dendrites", "gradient", "--growth", "layer=head"], "did you mean layers?"),
        (["--dendrites", "gradient", "--growth", "dendrites=9"], "2 epochs leave none for 10 cycles"),
        (["--restarts", "-1"], "restarts is at least 0"),
        (["--epochs", "0"], "epochs is at least 1"),
        (["--members", "0"], "at least one member; got 0"),
        (["--recipe", "time_mask=999"], "time_mask 999 and frequency_mask 0 have to be below the features' 49 frames"),
        (["--recipe", "frequency_mask=24"], "24 coefficients; make them smaller or 0"),
        (["--recipe", "learning_rate=-1"], "learning_rate is above 0"),
        (["--recipe", "learning_rat=1"], "did you mean learning_rate?"),
        (["--frontend", "plp"], "unknown front end 'plp'"),
        (["--set", "num_filter=20"], "num_filter"),
        (["--set", "num_filters=1000"], "num_filters is 1000"),
        (["--keywords", ""], "name at least one word"),
        (["--keywords", "yes,maybe"], "no clips of maybe"),
        (["--speaker-pattern", "("], "cannot be compiled"),
        (["--speaker-pattern", "(?P<speaker>Z+)"], "matches no clip"),
        (["--recipe", "learning_rate=1e30"], "lower the learning rate"),
    ],
)
def test_a_wrong_value_is_one_line_and_leaves_no_folder(options, tmp_path, more, says):
    options = options[:-2] if "--family" in more else options
    refuse(*options, "--out", tmp_path / "new", *more, says=says)
    assert list(tmp_path.iterdir()) == []


class TestCtrlC:
    @pytest.fixture
    def interrupting(self, monkeypatch):
        """A signal, as the terminal sends it, at the end of the second epoch."""
        ordinary = TrainingScreen.epoch

        def epoch(self, record, epochs):
            ordinary(self, record, epochs)
            if record.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(TrainingScreen, "epoch", epoch)

    def test_leaves_a_usable_checkpoint(self, options, speech, tmp_path, interrupting):
        outcome = call(*options, "--out", tmp_path / "model", "--epochs", 50, "--json")
        assert outcome.status == 130
        assert outcome.err.splitlines()[-1] == "interrupted"
        report = json.loads(outcome.out)
        assert report["interrupted"] is True and report["epochs"] == 2
        evaluated = succeed(
            "evaluate", "--model", tmp_path / "model", "--data", speech, "--split", "validation", "--json"
        )
        assert json.loads(evaluated.out)["accuracy"] == pytest.approx(report["validation_accuracy"])

    def test_while_clips_are_read_leaves_nothing(self, options, tmp_path, monkeypatch):
        def load_features(choice, console):
            raise KeyboardInterrupt

        monkeypatch.setattr("kws_dendrite.cli.inputs.load_features", load_features)
        outcome = call(*options, "--out", tmp_path / "model")
        assert (outcome.status, outcome.out, outcome.err) == (130, "", "interrupted\n")
        assert list(tmp_path.iterdir()) == []
