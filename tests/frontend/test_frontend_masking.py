import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import MaskConfig, Masks, apply_masks, draw_masks, mask_features


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def masks(time_start, time_width, frequency_start, frequency_width) -> Masks:
    return Masks(*(torch.tensor([row]) for row in (time_start, time_width, frequency_start, frequency_width)))


def test_by_hand():
    # time:       0 1 2 3 4         frames 1, 2 masked; then coefficient 2
    features = torch.arange(1.0, 21.0).reshape(1, 5, 4)
    masked = apply_masks(features, masks([1], [2], [2], [1]))
    expected = features.clone()
    expected[0, 1:3] = 0
    expected[0, :, 2] = 0
    assert torch.equal(masked, expected)
    assert torch.equal(features, torch.arange(1.0, 21.0).reshape(1, 5, 4))  # a copy


def test_fill_with_the_clips_mean():
    features = torch.stack([torch.arange(20.0).reshape(5, 4), torch.full((5, 4), 3.0)])
    drawn = Masks(*(torch.tensor([[0], [0]]), torch.tensor([[1], [1]])) * 2)
    masked = apply_masks(features, drawn, fill_mean=True)
    assert (masked[0, 0] == 9.5).all()
    assert torch.equal(masked[1], features[1])


def test_same_generator_same_masks():
    features = torch.randn(16, 50, 13, generator=generator(0))
    config = MaskConfig(time_masks=2, time_width=5, frequency_masks=1, frequency_width=3)
    one = mask_features(features, config, generator(7))
    assert torch.equal(one, mask_features(features, config, generator(7)))
    assert not torch.equal(one, mask_features(features, config, generator(8)))
    replayed = apply_masks(features, draw_masks(config, tuple(features.shape), generator(7)))
    assert torch.equal(one, replayed)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(2, 30),
    coefficients=st.integers(2, 20),
    count=st.integers(0, 3),
    data=st.data(),
)
def test_masks_stay_inside_and_within_their_bounds(seed, frames, coefficients, count, data):
    config = MaskConfig(
        time_masks=count,
        time_width=data.draw(st.integers(0, frames - 1)),
        frequency_masks=count,
        frequency_width=data.draw(st.integers(0, coefficients - 1)),
    )
    drawn = draw_masks(config, (8, frames, coefficients), generator(seed))
    for start, width, widest, size in (
        (drawn.time_start, drawn.time_width, config.time_width, frames),
        (drawn.frequency_start, drawn.frequency_width, config.frequency_width, coefficients),
    ):
        assert start.shape == width.shape == (8, count)
        assert ((start >= 0) & (width >= 0) & (width <= widest) & (start + width <= size)).all()
    ones = torch.ones(8, frames, coefficients)
    masked = apply_masks(ones, drawn)
    assert ((masked == 0) | (masked == 1)).all()
    assert (masked == 0).all(dim=2).sum(dim=1).le(count * config.time_width + (count > 0) * frames).all()


def test_every_place_and_width_comes_up():
    config = MaskConfig(time_masks=1, time_width=2)
    drawn = draw_masks(config, (2000, 4, 3), generator(0))
    assert drawn.time_width.unique().tolist() == [0, 1, 2]
    assert drawn.time_start[drawn.time_width == 2].unique().tolist() == [0, 1, 2]
    assert drawn.time_start[drawn.time_width == 1].unique().tolist() == [0, 1, 2, 3]


def test_none_is_identity():
    features = torch.randn(3, 5, 4, generator=generator(0))
    assert torch.equal(mask_features(features, MaskConfig(), generator(0)), features)


def test_gradients_and_types_pass():
    features = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    masked = mask_features(features, MaskConfig(time_masks=1, time_width=3), generator(1))
    assert masked.dtype == torch.float64
    masked.sum().backward()
    assert torch.equal(features.grad, (masked != 0).double())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MaskConfig(time_masks=1, time_width=50), "50 frames"),
        (MaskConfig(time_masks=1, time_width=60), "50 frames"),
        (MaskConfig(frequency_masks=1, frequency_width=13), "13 coefficients"),
    ],
)
def test_masks_that_exceed_the_features_are_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        mask_features(torch.zeros(2, 50, 13), config, generator(0))


@pytest.mark.parametrize("changes", [{"time_masks": -1}, {"time_width": 1.5}, {"frequency_masks": True}])
def test_impossible_settings(changes):
    with pytest.raises(ConfigError, match="whole number"):
        MaskConfig(**changes)
