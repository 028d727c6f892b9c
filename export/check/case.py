"""One file before one target: what every rule is given, and the words that rules share."""

from collections.abc import Iterable
from dataclasses import dataclass

from kws_dendrite.export.check.findings import Finding, Severity
from kws_dendrite.export.check.model import Graph, Model, Operator, Tensor
from kws_dendrite.export.check.targets import ESP_DL, Target, load_table

WEIGHTED = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}  # input of the weights
COPYING = frozenset(
    {
        "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "SLICE", "PACK",
        "UNPACK", "GATHER",
    }
)  # fmt: skip
POOLING = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})
QUANTISED = frozenset({"int8", "uint8", "int16"})
_DATA = {"SPLIT": 1, "TRANSPOSE_CONV": 2}  # where the data input is not the first


@dataclass(frozen=True)
class Case:
    """Attributes:
    model: the file.
    target: where it is to run.
    labels: how many names its scores are to have; None where that was not said.
    """

    model: Model
    target: Target
    labels: int | None = None

    @property
    def graph(self) -> Graph:
        """The subgraph that runs."""
        return self.model.main

    @property
    def micro(self) -> bool:
        """Whether the target runs TFLite files on TFLite Micro's kernels."""
        return self.target.key != ESP_DL

    def data(self, operator: Operator) -> Tensor | None:
        """The tensor that an operator works on."""
        return self.graph.read(operator, _DATA.get(operator.kind, 0))

    def finding(
        self,
        rule: str,
        severity: Severity,
        *,
        what: str,
        why: str,
        fix: str,
        source: str = "",
        operators: Iterable[Operator] = (),
        tensor: Tensor | None = None,
    ) -> Finding:
        """A finding; `source` is a key of the table's sources."""
        operators = tuple(operators)
        return Finding(
            rule=rule,
            severity=severity,
            what=what,
            why=why,
            fix=fix,
            source=load_table().sources[source] if source else "",
            operators=tuple(operator.index for operator in operators),
            kind=operators[0].kind if operators else "",
            tensor=tensor.name if tensor is not None else "",
        )


def scaled(tensor: Tensor) -> str:
    """A tensor's per-tensor quantisation in words."""
    if not len(tensor.scales):
        return "no scale"
    if len(tensor.scales) > 1:
        return f"{len(tensor.scales)} scales"
    return f"scale {tensor.scale:.6g}, zero point {tensor.zero_point}"


def listed(operators: Iterable[Operator], most: int = 6) -> str:
    """`3, 5 and 9`, and how many more."""
    indices = [str(operator.index) for operator in operators]
    if len(indices) > most:
        return f"{', '.join(indices[:most])} and {len(indices) - most} more"
    return " and ".join([", ".join(indices[:-1]), indices[-1]] if len(indices) > 1 else indices)
