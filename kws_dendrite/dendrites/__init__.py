"""Artificial dendrites: extra nodes that learn what a neuron still gets wrong."""

from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.growth import attach, dendritic_layers, draw_candidates, insert, train_candidates
from kws_dendrite.dendrites.layer import Dendritic

__all__ = [
    "DendriteConfig",
    "Dendritic",
    "attach",
    "dendritic_layers",
    "draw_candidates",
    "insert",
    "train_candidates",
]
