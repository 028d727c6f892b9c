import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.search import DEFAULT, PAPER, WIDE, Choice, Range, named_space


def test_names_and_files(tmp_path):
    assert [named_space(name) for name in ("default", "wide", "paper")] == [DEFAULT, WIDE, PAPER]
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "default"\n[model.separable]\nkernel = 9\n', encoding="utf-8")
    assert named_space(str(path)) == DEFAULT.with_dims(separable__kernel=9)


@pytest.mark.parametrize(
    ("text", "says"), [("papr", "did you mean paper?"), ("zzz", "known: "), ("no.toml", "cannot read the space")]
)
def test_an_unknown_name_offers_the_nearest(text, says):
    with pytest.raises(ConfigError) as caught:
        named_space(text)
    assert says in str(caught.value)


def test_the_default_keeps_the_front_end_and_the_augmentation_that_are_given():
    """So that one bank of features serves every trial."""
    assert not DEFAULT.frontends and not DEFAULT.augment
    assert WIDE.frontends and not WIDE.augment and set(DEFAULT.families) < set(WIDE.families)


def test_the_papers_grid():
    """arXiv 2605.15647's own, as far as there is a counterpart."""
    assert list(PAPER.families) == ["paper"]
    values = {name: dim.values for name, dim in PAPER if isinstance(dim, Choice) and len(dim.values) > 1}
    assert values == {
        "paper.dropout": (0.1, 0.3, 0.5),
        "paper.pattern": ("8-16-32", "8-16-24", "8-16-16", "8-8-8"),
        "paper.width": (0.25, 0.5, 1.0, 2.0, 4.0),
        "paper.linear": (1, 2),
        "train.learning_rate": (0.001, 0.005, 0.01),
        "train.patience": (10, 25, 100),
        "dendrites.layers": ("all", "head"),
        "dendrites.activation": ("sigmoid", "relu", "tanh"),
        "dendrites.cascade": (False, True),
        "dendrites.min_improvement": (0.0, 0.001),
    }
    assert PAPER.dim("paper.depth") == Range(1, 3) and PAPER.dim("dendrites.dendrites") == Range(1, 4)
    assert PAPER.dim("train.batch_size") == Choice((32,))
