import json
import tomllib

import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.search import DEFAULT, SPACES, Choice, Range, Space
from kws_dendrite.search.space_file import from_json, from_toml, read_space

EVERYTHING = Space(
    families={
        "separable": {"channels": Range(4, 8), "filter_size": Choice(((3, 5),)), "layout": Choice(("once", "two"))},
        "paper": {"channels": Choice(((4, 8, 8), (8, 16))), "hidden": Choice(((),))},
    },
    train={"learning_rate": Range(0.01, 0.06, log=True), "mixup": Range(0.0, 0.4, step=0.1)},
    dendrites={"cascade": Choice((True, False)), "probe": Choice(((), (1.0, 0.3)))},
    frontends={"mfcc": {"num_cepstral": Choice((10, 13)), "frame_length": Choice((0.02,))}, "logmel": {}},
    augment={"speed": Choice(((0.9, 1.1), (1.0, 1.0)))},
)


@pytest.mark.parametrize("space", [*SPACES.values(), EVERYTHING], ids=[*SPACES, "everything"])
def test_what_is_written_reads_as_it_was(space, tmp_path):
    assert from_toml(space.to_toml()) == space
    assert from_json(json.loads(json.dumps(space.to_json()))) == space
    assert tomllib.loads(space.to_toml()) == space.to_json()
    path = tmp_path / "my.toml"
    path.write_text(space.to_toml(), encoding="utf-8")
    assert read_space(path) == space
    assert [name for name, _ in read_space(path)] == [name for name, _ in space]


def test_a_file_as_a_person_writes_it():
    space = from_toml(
        """
        [model.separable]
        channels = {low = 4, high = 24, log = true}
        kernel = [5, 7]
        stride = 1
        [train]
        learning_rate = 0.02
        [dendrites]
        dendrites = {low = 1, high = 3}
        probe = [1, 0.3]
        [frontend.mfcc]
        frame_stride = {low = 0.01, high = 0.03, step = 0.005}
        """
    )
    assert space == Space(
        {"separable": {"channels": Range(4, 24, log=True), "kernel": Choice((5, 7)), "stride": Choice((1,))}},
        train={"learning_rate": Choice((0.02,))},
        dendrites={"dendrites": Range(1, 3), "probe": Choice(((1.0, 0.3),))},
        frontends={"mfcc": {"frame_stride": Range(0.01, 0.03, step=0.005)}},
    )


def test_a_file_on_top_of_a_space_that_ships():
    space = from_toml('based_on = "default"\n[model.separable]\nkernel = 9\n[train]\nmixup = 0.2')
    assert space == DEFAULT.with_dims(separable__kernel=9, train__mixup=0.2)
    only = from_toml('based_on = "wide"\n[model.spark]\nblocks = 3\n[frontend.mfcc]\n')
    assert list(only.families) == ["spark"] and only.dim("spark.blocks") == Choice((3,))
    assert only.dim("spark.kernel") == SPACES["wide"].dim("spark.kernel")
    assert list(only.frontends) == ["mfcc"] and only.frontends["mfcc"] == SPACES["wide"].frontends["mfcc"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[model.separable", "no TOML"),
        ("", "at least one family"),
        ("[modle.separable]\n", "no group 'modle'; did you mean model?"),
        ("[model.seperable]\n", "no family of nets 'seperable'; did you mean separable?"),
        ("[model.separable]\nkernels = [5]\n", "no dimension 'kernels'; did you mean kernel?"),
        ("[model.separable]\nkernel = []\n", "separable.kernel: a choice has at least one value"),
        ("[model.separable]\nkernel = {low = 3}\n", "separable.kernel, has a low and a high; high is missing"),
        ("[model.separable]\nkernel = {low = 3, hihg = 5}\n", "has no 'hihg'; did you mean high?"),
        ("[model.separable]\nkernel = {low = 5, high = 3}\n", "separable.kernel: a range goes from a least"),
        ("[model.separable]\nkernel = {low = 'a', high = 3}\n", "separable.kernel: a range goes from one number"),
        ("[model]\nseparable = 3\n", "[model.separable] is a group of dimensions; got 3"),
        ("train = 3\n", "[train] is a group of dimensions; got 3"),
        ("[model.separable]\nkernel = 2020-01-01\n", "kernel is a whole number"),
        ("[model.separable]\nkernel = [inf]\n", "separable.kernel is a whole number; got inf"),
        ("[model.separable]\nkernel = nan\n", "separable.kernel is a whole number; got nan"),
        ("[model.separable]\nchannels = {low = 3, high = 5, log = 'no'}\n", "separable.channels: log is true or false"),
        ('based_on = "defautl"\n', "based_on is 'defautl'; did you mean default?"),
        ('based_on = ["default"]\n', "based_on is ['default']; did you mean default?"),
        ("[frontend.mfcd]\n", "no front end 'mfcd'; did you mean mfcc?"),
    ],
)
def test_a_wrong_file_says_what_is_right(text, says, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_space(path)
    assert says in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the space .*: No such file"):
        read_space(tmp_path / "no.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read the space"):
        read_space(tmp_path / "bytes.toml")
