"""MFCC and MFE exactly as Edge Impulse computes them, a plain log-mel, and what goes with them.

The numpy reference (`mfcc`, `mfe`, `logmel`, `compute`) imports no torch; `extract` and `mask_features` load it when
first asked for.
"""

from typing import TYPE_CHECKING, Any

from kws_dendrite.frontend.cache import FeatureCache
from kws_dendrite.frontend.config import (
    BLOCKS,
    FrontEndConfig,
    LogMelConfig,
    MfccConfig,
    MfeConfig,
    coefficients,
    configure,
    feature_shape,
    from_json,
    to_json,
)
from kws_dendrite.frontend.logmel import logmel, logmel_float64
from kws_dendrite.frontend.mfcc import mfcc, mfcc_float64
from kws_dendrite.frontend.mfe import mfe, mfe_float64
from kws_dendrite.frontend.reference import compute, compute_float64

if TYPE_CHECKING:
    from kws_dendrite.frontend.batched import extract
    from kws_dendrite.frontend.masking import MaskConfig, Masks, apply_masks, draw_masks, mask_features

__all__ = [
    "BLOCKS",
    "FeatureCache",
    "FrontEndConfig",
    "LogMelConfig",
    "MaskConfig",
    "Masks",
    "MfccConfig",
    "MfeConfig",
    "apply_masks",
    "coefficients",
    "compute",
    "compute_float64",
    "configure",
    "draw_masks",
    "extract",
    "feature_shape",
    "from_json",
    "logmel",
    "logmel_float64",
    "mask_features",
    "mfcc",
    "mfcc_float64",
    "mfe",
    "mfe_float64",
    "to_json",
]

_NEEDS_TORCH = {
    "extract": "batched",
    "MaskConfig": "masking",
    "Masks": "masking",
    "apply_masks": "masking",
    "draw_masks": "masking",
    "mask_features": "masking",
}


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
