"""A larger net as a teacher: of one net, and of a study's rows."""

import json

import pytest
from command_line import TINY, contents, refuse, succeed

from kws_dendrite.training.checkpoint import load_checkpoint, weights_hash

WORDS = ("--keywords", "yes,no")


@pytest.fixture(scope="module")
def teacher(place, speech, cache):
    folder = place / "teacher"
    succeed("train", speech, "--out", folder, "--cache", cache, *WORDS, *TINY[:-1], "channels=12")
    return folder


def train(speech, cache, out, *more):
    return ("train", speech, "--out", out, "--cache", cache, *WORDS, *TINY, *more)


def test_a_student_learns_from_it(teacher, speech, cache, tmp_path):
    succeed(*train(speech, cache, tmp_path / "alone"))
    kept = set(cache.glob("teacher-*"))
    succeed(*train(speech, cache, tmp_path / "student", "--teacher", teacher))
    succeed(*train(speech, cache, tmp_path / "half", "--teacher", teacher, "--recipe", "distillation=0.5"))
    weights = [contents(tmp_path / name)["model.safetensors"] for name in ("alone", "student", "half")]
    assert len(set(weights)) == 3
    assert len(set(cache.glob("teacher-*")) - kept) == 1  # its word is taken once
    alone, student, half = (load_checkpoint(tmp_path / name).record for name in ("alone", "student", "half"))
    assert [one["train"]["distillation"] for one in (alone, student, half)] == [0.0, 0.7, 0.5]
    assert "teacher" not in alone and student["teacher"] == half["teacher"] and len(student["teacher"]) == 64


def test_a_grown_student(teacher, speech, cache, tmp_path):
    succeed(*train(speech, cache, tmp_path / "grown", "--teacher", teacher, "--dendrites", "gradient"))
    assert load_checkpoint(tmp_path / "grown").record["train"]["distillation"] == 0.7


def test_a_study_of_students(teacher, speech, cache, tmp_path):
    command = (
        "study", speech, "--out", tmp_path / "study", "--cache", cache, *WORDS, "--copies", "1", "--sizes", "250",
        "--members", "2", "--epochs", "2", "--arms", "plain,gradient",
    )  # fmt: skip
    assert succeed(*command, "--teacher", teacher).out.startswith("2 of 2 rows are finished")
    shared = json.loads((tmp_path / "study" / "study.json").read_text())["made_of"]
    assert shared["recipe"]["distillation"] == 0.7 and shared["teacher"] == weights_hash(teacher)
    refuse(*command, says="started with")
    refuse(*command, "--teacher", teacher, "--arms", "plain,bc_resnet", says="leave the arms bc_resnet and spark out")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--recipe", "distillation=0.5"), "name its checkpoint with --teacher"),
        (("--teacher", "nowhere"), "nowhere is no checkpoint"),
    ],
)
def test_refusals(speech, cache, tmp_path, more, says):
    refuse(*train(speech, cache, tmp_path / "refused", *more), says=says)
    refuse("study", speech, "--out", tmp_path / "refused", "--cache", cache, *WORDS, "--sizes", "250", *more, says=says)
    assert not (tmp_path / "refused").exists()


def test_a_teacher_with_another_front_end_is_refused(teacher, speech, cache, tmp_path):
    refuse(
        *train(speech, cache, tmp_path / "refused", "--teacher", teacher, "--frontend", "mfcc"), says="train both alike"
    )
