"""Small dendritic keyword spotters for microcontrollers: train, search, fold, export, measure."""

__version__ = "0.1.0"
