"""Plain graph -> ONNX, TFLite, C. Leans on plain and the numpy front end alone; imports no torch.

The names below load their modules on first use: ONNX, its runtime and LiteRT take a second to import.
"""

import importlib
from typing import Any

_HOME = {
    "Bundle": "bundle",
    "ModelCard": "card",
    "ParityReport": "parity",
    "Predictor": "predictor",
    "check_parity": "parity",
    "load_predictor": "predictor",
    "write_bundle": "bundle",
    "write_onnx": "onnx",
    "write_onnx_int8": "onnx_int8",
    "write_tflite": "tflite",
    "write_tflite_int8": "tflite",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
