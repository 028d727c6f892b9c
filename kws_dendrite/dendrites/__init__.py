"""Artificial dendrites: extra nodes that learn what a neuron still gets wrong."""

from kws_dendrite.dendrites.checking import CheckReport, quick_check
from kws_dendrite.dendrites.config import DendriteConfig
from kws_dendrite.dendrites.grower import Grower, GrowerConfig, Report, Step, parameter_groups
from kws_dendrite.dendrites.growth import StepReport, fresh_choices, grow_step, insert, with_choice
from kws_dendrite.dendrites.handover import GrowResult, grow
from kws_dendrite.dendrites.layer import Dendritic, Spec
from kws_dendrite.dendrites.merging import merge
from kws_dendrite.dendrites.places import attach, dendritic_layers, remove_silent, remove_stale_wrappers
from kws_dendrite.dendrites.pool import Pool, draw_pools, judge_pools, train_pools
from kws_dendrite.dendrites.selection import Choice, select, take_all
from kws_dendrite.dendrites.torch_structure import restore, structure

__all__ = [
    "CheckReport", "Choice", "DendriteConfig", "Dendritic", "GrowResult", "Grower", "GrowerConfig", "Pool", "Report",
    "Spec", "Step", "StepReport", "attach", "dendritic_layers", "draw_pools", "fresh_choices", "grow", "grow_step",
    "insert", "judge_pools", "merge", "parameter_groups", "quick_check", "remove_silent", "remove_stale_wrappers",
    "restore", "select", "structure", "take_all", "train_pools", "with_choice",
]  # fmt: skip
