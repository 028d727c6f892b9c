"""What would fail or go silently wrong on a target, read from any TFLite file; and what each target takes."""

from kws_dendrite.export.check.check import check_file, check_model
from kws_dendrite.export.check.findings import Arena, Finding, Report
from kws_dendrite.export.check.model import Model, parse_model, read_model
from kws_dendrite.export.check.targets import Table, Target, find_target, load_table

__all__ = [
    "Arena",
    "Finding",
    "Model",
    "Report",
    "Table",
    "Target",
    "check_file",
    "check_model",
    "find_target",
    "load_table",
    "parse_model",
    "read_model",
]
