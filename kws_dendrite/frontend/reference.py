"""One clip through the front end its settings name."""

import numpy as np

from kws_dendrite.frontend.config import FrontEndConfig, LogMelConfig, MfccConfig, MfeConfig
from kws_dendrite.frontend.logmel import logmel, logmel_float64
from kws_dendrite.frontend.mfcc import mfcc, mfcc_float64
from kws_dendrite.frontend.mfe import mfe, mfe_float64

_REFERENCE = {MfccConfig: mfcc, MfeConfig: mfe, LogMelConfig: logmel}
_REFERENCE_FLOAT64 = {MfccConfig: mfcc_float64, MfeConfig: mfe_float64, LogMelConfig: logmel_float64}


def compute(signal: np.ndarray, config: FrontEndConfig) -> np.ndarray:
    """int16 (S,) -> float32 (T, F), by the numpy reference. Errors as in `mfcc`, `mfe` and `logmel`."""
    return _REFERENCE[type(config)](signal, config)


def compute_float64(signal: np.ndarray, config: FrontEndConfig) -> np.ndarray:
    """As `compute`, float64 to the end. (T, F)."""
    return _REFERENCE_FLOAT64[type(config)](signal, config)
