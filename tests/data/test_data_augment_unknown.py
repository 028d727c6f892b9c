"""Clips of words that do not exist."""

import numpy as np
import pytest
from clip_folders import speech_commands, tone

from kws_dendrite.data import AugmentConfig, TaskConfig, build_bank, load_dataset
from kws_dendrite.data.augment_unknown import KINDS, make_pseudo_unknown, splice
from kws_dendrite.data.dataset import Signals
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import LogMelConfig

RATE, S = 16000, 16000


def signals(labels=(0, 1, 2, 3), silent=3):
    samples = np.stack([tone(1.0, 200 + 150 * row) for row in range(len(labels))])
    silence = np.arange(len(labels)) >= silent
    return Signals(samples, np.array(labels), tuple(f"w{row}/a.wav" for row in range(len(labels))), silence)


def made(count=12, kinds=KINDS, seed=0, of=None):
    return make_pseudo_unknown(of or signals(), 7, count, kinds, RATE, np.random.default_rng(seed))


def test_they_are_unknown_in_turn_and_reproducible():
    clips = made()
    assert clips.samples.shape == (12, S) and clips.samples.dtype == np.int16
    assert clips.labels.tolist() == [7] * 12
    assert not clips.silence.any()
    assert len(set(clips.ids)) == 12
    assert [name.split("@")[0] for name in clips.ids[:3]] == list(KINDS)
    np.testing.assert_array_equal(clips.samples, made().samples)
    assert not np.array_equal(clips.samples, made(seed=1).samples)


def test_reversed_clips_are_training_clips_backwards_and_never_silence():
    spoken = {clip.tobytes() for clip in signals().samples[:3]}
    clips = made(40, ("reversed",)).samples
    assert {clip[::-1].tobytes() for clip in clips} == spoken


def test_a_splice_has_the_first_half_of_one_and_the_second_of_the_other():
    first, second = np.zeros(S, np.int16), np.zeros(S, np.int16)
    first[4000:8000] = tone(0.25, 300)  # middle at 6000
    second[8000:12000] = tone(0.25, 900, peak=1000)  # middle at 10000; the cut lies at 8000
    clip = splice(first, second, 160).astype(np.float64)
    level = np.linalg.norm(first.astype(np.float64)) / np.linalg.norm(second.astype(np.float64))
    np.testing.assert_allclose(clip[6100:7900], first[4100:5900], atol=1)
    np.testing.assert_allclose(clip[8100:9900], second[10100:11900] * level, atol=2)
    assert not clip[:5900].any() and not clip[10100:].any()


def test_splices_are_of_two_classes():
    alone = signals(labels=(1, 1, 1))
    with pytest.raises(DataError, match="of two classes"):
        made(1, ("spliced",), of=alone)
    made(1, ("reversed",), of=alone)
    with pytest.raises(DataError, match="there are none"):
        made(1, ("reversed",), of=signals(silent=0))


def test_sped_clips_are_an_octave_off():
    def pitch(clip):
        return np.abs(np.fft.rfft(clip.astype(np.float64))).argmax()  # Hz: the clip lasts a second

    one = Signals(tone(1.0, 400)[None], np.array([0]), ("w/a.wav",), np.array([False]))
    found = {round(pitch(clip) / 400, 1) for clip in made(20, ("sped",), of=one).samples}
    assert found == {0.5, 2.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pseudo_unknown": -1}, "pseudo_unknown is -1"),
        ({"pseudo_kinds": ()}, "pseudo_kinds is"),
        ({"pseudo_kinds": ("backwards",)}, "expected some of reversed, spliced, sped"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        AugmentConfig(**settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return speech_commands(tmp_path_factory.mktemp("clips"), ("yes", "no", "bird"), speakers=20)


def test_a_bank_has_them_behind_its_clips_others_in_every_copy(folder):
    dataset = load_dataset(folder, TaskConfig())
    plain = build_bank(dataset, LogMelConfig(), AugmentConfig(copies=2))
    bank = build_bank(dataset, LogMelConfig(), AugmentConfig(copies=2, pseudo_unknown=5))
    N = len(plain.train_labels)
    assert bank.train.shape[:2] == (3, N + 5)
    np.testing.assert_array_equal(bank.train[:, :N], plain.train)
    assert bank.train_labels[N:].tolist() == [bank.labels.index("_unknown_")] * 5
    assert len({copy.tobytes() for copy in bank.train[:, N:]}) == 3
    np.testing.assert_array_equal(bank.validation, plain.validation)
    words = bank.train_words
    for word in np.unique(words):
        assert len(np.unique(bank.train_labels[words == word])) == 1
    assert len(np.unique(words)) == 4 + 2  # yes, no, bird, noise; reversed and spliced
    assert bank.summary["augmentation"]["pseudo_kinds"] == ["reversed", "spliced"]


def test_without_an_unknown_class_they_have_no_label(folder):
    dataset = load_dataset(folder, TaskConfig(unknown=False))
    with pytest.raises(ConfigError, match="pseudo_unknown needs the class _unknown_"):
        build_bank(dataset, LogMelConfig(), AugmentConfig(copies=0, pseudo_unknown=5))
