import pytest
from command_line import call

from kws_dendrite.search import SPACES
from kws_dendrite.search.space_file import from_toml


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_printed_as_the_file_that_it_could_be(name):
    shown = call("search", "--show-space", name)
    assert shown.status == 0 and from_toml(shown.out) == SPACES[name]


def test_a_file_is_printed_with_what_it_is_based_on(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('based_on = "default"\n[model.separable]\nkernel = 9\n', encoding="utf-8")
    shown = call("search", "--show-space", path)
    assert from_toml(shown.out) == SPACES["default"].with_dims(separable__kernel=9)


def test_an_unknown_space_offers_the_nearest():
    shown = call("search", "--show-space", "papr")
    assert shown.status == 2 and "did you mean paper?" in shown.err
