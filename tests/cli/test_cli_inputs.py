"""Bad input by way of `train`, which reads data as `search` and `run` do; and an Edge Impulse block's arrays."""

import json

import numpy as np
import pytest
from command_line import TINY, refuse, succeed, tone, untouched, write_arrays, write_clip, write_speech

from kws_dendrite.cli import inputs
from kws_dendrite.errors import ConfigError
from kws_dendrite.training.checkpoint import load_checkpoint


@pytest.fixture
def data(tmp_path):
    """Two classes of four clips each, to be spoilt."""
    for number, word in enumerate(("off", "on")):
        for take in range(4):
            write_clip(tmp_path / "data" / word / f"{take}.wav", tone(300 + 300 * number + take))
    return tmp_path / "data"


class TestClips:
    def refused(self, data, says):
        place = data.parent
        with untouched(place):
            refuse("train", data, "--out", place / "new", "--cache", place / "cache", *TINY, says=says)
            refuse("search", data, "--out", place / "new", "--cache", place / "cache", says=says)
            refuse("run", "--data", data, "--out", place / "new", "--cache", place / "cache", says=says)
            refuse("data", data, says=says)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"these are the words of a text", "on/bad.wav is text, not audio"),
            (b"", "on/bad.wav is empty (0 bytes)"),
            (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00", "on/bad.wav"),
            (b"\x00\x01\x02\x03" * 100, "on/bad.wav cannot be decoded as audio"),
        ],
    )
    def test_a_bad_clip_is_named_or_skipped(self, data, content, says):
        (data / "on" / "bad.wav").write_bytes(content)
        self.refused(data, says)
        outcome = succeed(
            "train", data, "--out", data.parent / "new", "--cache", data.parent / "cache", "--skip-bad", *TINY
        )
        assert "skipped 1 unreadable clip" in outcome.err
        assert load_checkpoint(data.parent / "new").record["data"]["unreadable"] == 1

    def test_a_clip_without_samples(self, data):
        write_clip(data / "on" / "bad.wav", np.zeros(0, np.int16))
        self.refused(data, "on/bad.wav has no samples (zero length)")

    def test_a_missing_clip(self, data):
        (data / "on" / "bad.wav").symlink_to(data / "nowhere.wav")
        self.refused(data, "on/bad.wav does not exist")

    def test_a_class_with_one_clip(self, data):
        write_clip(data / "maybe" / "0.wav", tone(500))
        self.refused(data, "class 'maybe' has 1 clip(s)")

    def test_one_class_alone(self, data):
        for path in (data / "off").iterdir():
            path.unlink()
        (data / "off").rmdir()
        self.refused(data, "on")

    def test_no_folder(self, data):
        self.refused(data / "none", "does not exist")

    def test_an_empty_folder(self, data):
        (data.parent / "empty").mkdir()
        refuse("train", data.parent / "empty", "--out", data.parent / "new", says="holds no clips")


def set_nan(arrays):
    arrays["X_split_train"][5, 7] = np.nan


def set_one_class(arrays):
    arrays["Y_split_train"][:] = [1, 0, 0]


def set_short(arrays):
    arrays["Y_split_test"] = arrays["Y_split_test"][:-1]


class TestArrays:
    def test_the_checkpoint_knows_how_to_read_them(self, trained_on_arrays, arrays):
        checkpoint = load_checkpoint(trained_on_arrays)
        assert (checkpoint.config.frames, checkpoint.config.coefficients, checkpoint.config.classes) == (50, 13, 3)
        assert checkpoint.frontend["coefficients"] == 13
        outcome = succeed("evaluate", "--model", trained_on_arrays, "--data", arrays, "--split", "validation", "--json")
        report = json.loads(outcome.out)
        assert report["clips"] == 15
        assert report["accuracy_members"] == pytest.approx(checkpoint.record["metrics"]["validation_accuracy"])

    def test_other_coefficients_a_frame_are_remembered(self, arrays, tmp_path):
        succeed("train", arrays, "--out", tmp_path, "--coefficients", 26, *TINY)
        assert load_checkpoint(tmp_path).config.frames == 25
        succeed("evaluate", "--model", tmp_path, "--data", arrays, "--split", "train")

    def test_what_is_called_test_is_validation(self, trained_on_arrays, arrays):
        refuse("evaluate", "--model", trained_on_arrays, "--data", arrays, says="take --split validation")

    def test_clips_and_arrays_do_not_mix(self, trained_on_arrays, trained, arrays, speech):
        refuse("evaluate", "--model", trained_on_arrays, "--data", speech, says="features that Edge Impulse computed")
        asked = ("--data", arrays, "--split", "validation")
        refuse("evaluate", "--model", trained, *asked, says="this package's logmel features")

    def test_arrays_of_another_project(self, trained_on_arrays, tmp_path):
        def other_frames(arrays):
            for split in ("train", "test"):
                arrays[f"X_split_{split}"] = arrays[f"X_split_{split}"][:, :520]

        asked = ("evaluate", "--model", trained_on_arrays, "--split", "validation", "--data")
        refuse(*asked, write_arrays(tmp_path / "short", other_frames), says="reads 50 frames of 13 coefficients")
        write_arrays(tmp_path / "named")
        (tmp_path / "named" / "train_input.json").write_text(json.dumps({"classes": ["a", "b", "c"]}))
        refuse(*asked, tmp_path / "named", says="tells apart 0, 1, 2;")

    @pytest.mark.parametrize("options", [("--keywords", "yes"), ("--set", "num_filters=20")])
    def test_options_of_a_front_end_do_not_apply(self, arrays, tmp_path, options):
        refuse("train", arrays, "--out", tmp_path / "new", *options, says=f"leave {options[0]} out")

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (set_nan, "row 5 holds NaN or infinite features"),
            (set_one_class, "one class alone"),
            (set_short, "X_split_test.npy has 15 rows, Y_split_test.npy 14"),
        ],
    )
    def test_bad_arrays(self, tmp_path, change, says):
        write_arrays(tmp_path / "arrays", change)
        with untouched(tmp_path):
            for command in ("train", "search"):
                refuse(command, tmp_path / "arrays", "--out", tmp_path / "new", says=says)

    @pytest.mark.parametrize("name", ["X_split_train", "X_split_test", "Y_split_train", "Y_split_test"])
    def test_a_truncated_or_missing_array(self, tmp_path, name):
        path = write_arrays(tmp_path / "arrays") / f"{name}.npy"
        content = path.read_bytes()
        path.write_bytes(content[:100])
        refuse("train", tmp_path / "arrays", "--out", tmp_path / "new", says=f"{name}.npy is no readable .npy array")
        path.unlink()  # without X_split_train.npy it is no folder of arrays at all
        says = "holds no clips" if name == "X_split_train" else f"{name}.npy does not exist"
        refuse("train", tmp_path / "arrays", "--out", tmp_path / "new", says=says)

    def test_pickled_arrays_are_not_loaded(self, tmp_path):
        write_arrays(tmp_path / "arrays")
        np.save(tmp_path / "arrays" / "Y_split_train.npy", np.array([{"a": 1}] * 36), allow_pickle=True)
        refuse("train", tmp_path / "arrays", "--out", tmp_path / "new", says="Y_split_train.npy is no readable")


def test_a_cache_that_cannot_be_used(speech, tmp_path):
    (tmp_path / "file").write_text("")
    asked = ("train", speech, "--out", tmp_path / "new", *TINY)
    refuse(*asked, "--cache", tmp_path / "file", says="name a folder for the feature cache")
    refuse(*asked, "--cache", "/proc/cache", says="/proc/cache")
    assert not (tmp_path / "new").exists()


def test_speakers_by_a_pattern(tmp_path):
    folder = write_speech(tmp_path / "speech", ("yes", "no"), speakers=8)
    pattern = ("--speaker-pattern", r"(?P<speaker>\w+)_nohash")
    succeed("train", folder, "--out", tmp_path / "model", "--cache", tmp_path / "cache", *pattern, *TINY)
    assert load_checkpoint(tmp_path / "model").record["data"]["task"]["speaker_pattern"] == pattern[1]


def test_augmentation_is_set_by_name():
    choice = inputs.Choice("demo", copies=2, augmentation=("continuous=0.5", "snr_db=5,20"))
    assert (choice.augment.copies, choice.augment.continuous, choice.augment.snr_db) == (2, 0.5, (5, 20))
    with pytest.raises(ConfigError, match="there is no setting 'continous'"):
        _ = inputs.Choice("demo", augmentation=("continous=0.5",)).augment
    with pytest.raises(ConfigError, match="--copies"):
        _ = inputs.Choice("demo", augmentation=("copies=3",)).augment
