"""Artificial dendrites: extra nodes that learn what a neuron still gets wrong."""

from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.growth import StepReport, fresh_choices, grow_step, insert, with_choice
from kws_dendrite.dendrites.layer import Dendritic, Spec
from kws_dendrite.dendrites.places import attach, dendritic_layers, remove_silent, remove_stale_wrappers
from kws_dendrite.dendrites.pool import Pool, draw_pools, judge_pools, train_pools
from kws_dendrite.dendrites.selection import Choice, select, take_all

__all__ = [
    "Choice", "DendriteConfig", "Dendritic", "Pool", "Spec", "StepReport", "attach", "dendritic_layers", "draw_pools",
    "fresh_choices", "grow_step", "insert", "judge_pools", "remove_silent", "remove_stale_wrappers", "select",
    "take_all", "train_pools", "with_choice",
]  # fmt: skip
