"""The golden vectors of Edge Impulse's blocks, as (signal, settings, expected)."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.frontend import FrontEndConfig, from_json

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "edge_impulse"
MFCC = sorted(path.stem for path in FOLDER.glob("mfcc_*.npz"))
MFE = sorted(path.stem for path in FOLDER.glob("mfe_*.npz"))
# One frame: its mean comes off, and the block divides what rounding left by 1e-10.
SINGLE_FRAME = {"mfcc_v4_short_320_single_frame", "mfcc_v4_short_400"}
SILENT = {"mfcc_v4_zeros_1s"}
DEGENERATE = SINGLE_FRAME | SILENT


@dataclass(frozen=True)
class Golden:
    name: str
    signal: np.ndarray
    config: FrontEndConfig
    arrays: dict[str, np.ndarray]

    @property
    def features(self) -> np.ndarray:
        """float64 (T, F); for MFE as it is stored, wrapped."""
        return self.arrays["features_f64"].reshape(self.arrays["features_2d"].shape)


def load(name: str) -> Golden:
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    settings = json.loads(str(arrays.pop("params")))
    for key in ("signal_kind", "seed", "n_samples"):
        settings.pop(key)
    return Golden(name, arrays.pop("signal"), from_json(settings), arrays)


def noise(samples: int, seed: int = 0, level: float = 2000.0) -> np.ndarray:
    """Noise whose level swells and fades, int16 (samples,): no two frames alike."""
    rng = np.random.default_rng(seed)
    envelope = 0.1 + np.abs(np.sin(np.linspace(0.3, 7.0, samples)))
    return np.clip(rng.standard_normal(samples) * envelope * level, -32768, 32767).astype(np.int16)
