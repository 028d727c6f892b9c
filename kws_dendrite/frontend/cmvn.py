"""Cepstral mean and variance normalisation over a sliding window, with the block's reflected edges."""

import numpy as np


def cmvn(features: np.ndarray, win_size: int) -> np.ndarray:
    """Subtract each window's mean, then divide by each window's standard deviation (ddof 0, + 1e-10).

    Args:
        features: float64 (T, F).
        win_size: frames in the window, odd. Longer than the clip is usual: the edges reflect as often as needed.

    Returns:
        float32 (T, F). The block stores the mean-subtracted features as float32 as well, and so does this.

    A clip whose frames are all alike (digital silence, one frame) has a deviation of zero: rounding noise divided by
    1e-10 comes out, here at most some 1e-3. Computed in float32 throughout it would come out in the thousands.
    """
    half = (win_size - 1) // 2
    margin = ((half, half), (0, 0))
    centred = np.empty(features.shape, np.float32)
    padded = np.pad(features, margin, mode="symmetric")
    for frame in range(len(features)):
        centred[frame] = features[frame] - np.mean(padded[frame : frame + win_size], axis=0)
    normed = np.empty(features.shape, np.float32)
    padded = np.pad(centred, margin, mode="symmetric")
    for frame in range(len(features)):
        normed[frame] = centred[frame] / (np.std(padded[frame : frame + win_size], axis=0) + 1e-10)
    return normed


def window_weights(frames: int, win_size: int) -> np.ndarray:
    """The window means as a matrix: float64 (T, T) with rows that sum to 1, `weights @ features` = windowed means.

    Entry (i, j) is how often the window around frame i meets frame j, reflections counted, over the window's size.
    """
    half = (win_size - 1) // 2
    offsets = np.arange(-half, half + 1)
    position = (np.arange(frames)[:, None] + offsets) % (2 * frames)  # symmetric reflection repeats every 2T
    source = np.where(position < frames, position, 2 * frames - 1 - position)
    weights = np.zeros((frames, frames))
    np.add.at(weights, (np.arange(frames)[:, None], source), 1.0 / win_size)
    return weights
