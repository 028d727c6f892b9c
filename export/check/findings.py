"""What a check found: one problem as a value, and all of a file's problems together."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["fails", "wrong", "slow", "note"]
SEVERITIES: tuple[Severity, ...] = ("fails", "wrong", "slow", "note")  # worst first
MEANING = {
    "fails": "it will not load or run",
    "wrong": "it runs and gives wrong scores, without a word",
    "slow": "it runs right, but slowly or in more memory than it needs",
    "note": "worth knowing",
}


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        rule: its name, for programs.
        severity: "fails", "wrong" (silently), "slow" or "note".
        what: the problem, in one line.
        why: what the target does with it.
        fix: what to do.
        source: where the target says so, a URL; "" where no source was found.
        operators: indices, in order of execution, of the operators it is about.
        kind: their name; "" where it is about the whole file.
        tensor: the tensor it is about; "" where none.
    """

    rule: str
    severity: Severity
    what: str
    why: str
    fix: str
    source: str = ""
    operators: tuple[int, ...] = ()
    kind: str = ""
    tensor: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "operators": list(self.operators)}


@dataclass(frozen=True)
class Arena:
    """Estimated memory for activations, in bytes.

    Attributes:
        activations: of the tensors that are alive together, planned; the least that an interpreter can do with.
        estimate: with what TFLite Micro keeps beside them.
    """

    activations: int
    estimate: int


@dataclass(frozen=True)
class Report:
    """A file's check.

    Attributes:
        file: its name.
        target: key of the target.
        title: the target's name.
        size: bytes of the file.
        form: what it is, in one line: operators, input, output.
        findings: worst first, then in order of execution.
        arena: None where no plan could be made.
    """

    file: str
    target: str
    title: str
    size: int
    form: str
    findings: tuple[Finding, ...]
    arena: Arena | None = None
    counts: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        counts = {severity: sum(f.severity == severity for f in self.findings) for severity in SEVERITIES}
        object.__setattr__(self, "counts", counts)

    @property
    def ok(self) -> bool:
        """Whether the target will run it, and give the scores it should."""
        return not self.counts["fails"] and not self.counts["wrong"]

    def to_json(self) -> dict[str, Any]:
        """Plain values, `ok` among them."""
        return {
            "file": self.file,
            "target": self.target,
            "ok": self.ok,
            "size": self.size,
            "form": self.form,
            "counts": self.counts,
            "arena": None if self.arena is None else asdict(self.arena),
            "findings": [finding.to_json() for finding in self.findings],
        }
