"""How a network grows: settings, checked when made."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from kws_dendrite.errors import ConfigError

Mode = Literal["gradient", "perforated", "growth", "random", "sham"]
Kind = Literal["copy", "lean", "sparse", "temporal", "plateau", "echo", "lowrank", "pool"]
Join = Literal["add", "gate"]
DendriteActivation = Literal["relu", "tanh", "hard_tanh", "sigmoid"]
Objective = Literal["covariance", "correlation", "partial", "gain"]
Insertion = Literal["converged", "early", "start"]
Layers = Literal["all", "conv", "head"]
Price = Literal["parameters", "macs", "cycles"]
ANY_KIND = "any"  # growth chooses among all that a layer can take

MODES: tuple[Mode, ...] = get_args(Mode)
KINDS: tuple[Kind, ...] = get_args(Kind)
TRAINED_CANDIDATES = ("perforated", "growth")  # modes with a candidate phase


@dataclass(frozen=True)
class DendriteConfig:
    """Attributes:
    mode: "gradient", ordinary backpropagation through everything; "perforated", candidates trained on the neuron's
        error, then frozen, no gradient through them; "growth", this project's own: a pool of candidates trained on the
        error, chosen on held-out clips by gain for their price, inserted without changing the function, then trained
        with everything else; two controls: "random", frozen as they were drawn, t alone learns; "sham", inserted with t
        held at 0.
    dendrites: growth steps to try.
    layers: which layers take them: every convolution and the head, the convolutions, or the head.
    kind: what a dendrite computes. "copy" of the layer; "lean", a copy of its last linear map alone, on the same
        input; "sparse", of the `fan_in` inputs that matter most to the neuron; "temporal", `taps` taps over time at
        `dilation` on one channel; "plateau", the neuron's own largest output within `taps` frames, held as a dendrite's
        plateau potential holds its neuron, at the price of t alone; "echo", the layer's own weights at `dilation`,
        behind a BatchNorm of its own; "lowrank", `rank` units a layer that reach every neuron; "pool", at the head, the
        nonlinearity before the pool; "any" lets growth choose by gain for the price.
    join: added to the neuron, or "gate": z * (1 + t * a).
    activation: the dendrite's own nonlinearity.
    cascade: later dendrites of a neuron see earlier ones (kinds with one dendrite a neuron, "pool" aside).
    insertion: after the first cycle has "converged", "early" (after a fifth of the first two cycles), or from the
        "start", without a candidate phase and trained from the first epoch.
    candidates: pool size, candidates a neuron (or times `rank`, for "lowrank").
    objective: what a candidate maximises, over smoothed moments: |covariance| with the error, |correlation|, |partial|
        correlation given the neuron and its earlier dendrites, or "gain", the estimated decrease of the loss.
    candidate_epochs: length of a candidate phase.
    candidate_learning_rate: of Adam in that phase.
    held_out: share of the training clips on which candidates are judged and not trained ("growth").
    significance: a neuron's candidate is worth taking from so many standard errors of its held-out score; 0 takes all.
    budget: what one growth step may add to the folded net, in `price`; 0 is no limit ("growth").
    price: what a dendrite costs: folded parameters, MACs, or modelled Cortex-M4 cycles.
    probe: restart learning rates to try for one epoch each, as factors of the cycle's; the best by validation is taken.
    tries: growth steps in a row that may fail, each from another draw, before growth ends.
    min_improvement: relative decrease of the validation loss that a growth step has to bring to be kept.
    standard_errors: the decrease also has to be so many standard errors of the paired per-clip differences.
    rank, fan_in, taps, dilation: of the kinds that have them.
    """

    mode: Mode = "gradient"
    dendrites: int = 1
    layers: Layers = "all"
    kind: str = "copy"
    join: Join = "add"
    activation: DendriteActivation = "relu"
    cascade: bool = False
    insertion: Insertion = "converged"
    candidates: int = 4
    objective: Objective = "correlation"
    candidate_epochs: int = 8
    candidate_learning_rate: float = 0.01
    held_out: float = 0.2
    significance: float = 3.0
    budget: int = 0
    price: Price = "parameters"
    probe: tuple[float, ...] = ()
    tries: int = 1
    min_improvement: float = 0.0
    standard_errors: float = 0.0
    rank: int = 4
    fan_in: int = 6
    taps: int = 5
    dilation: int = 3

    @property
    def trains_candidates(self) -> bool:
        """Whether a growth step begins with a candidate phase."""
        return self.mode in TRAINED_CANDIDATES and self.insertion != "start"

    @property
    def frozen(self) -> bool:
        """Whether dendrites stay as they are once inserted."""
        return self.mode in ("perforated", "random", "sham")

    def __post_init__(self) -> None:
        for name, known in (
            ("mode", MODES),
            ("layers", get_args(Layers)),
            ("kind", (*KINDS, ANY_KIND)),
            ("join", get_args(Join)),
            ("activation", get_args(DendriteActivation)),
            ("objective", get_args(Objective)),
            ("insertion", get_args(Insertion)),
            ("price", get_args(Price)),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is one of {', '.join(known)}; got {getattr(self, name)!r}")
        if self.dendrites < 1 or self.candidate_epochs < 1:
            raise ConfigError(
                "dendrites and candidate_epochs are at least 1; "
                f"got {self.dendrites} and {self.candidate_epochs}; for a net without dendrites leave growth out"
            )
        if not 0 < self.candidate_learning_rate < math.inf or not 0 <= self.min_improvement < 1:
            raise ConfigError(
                "candidate_learning_rate is above 0, finite, and min_improvement in [0, 1); "
                f"got {self.candidate_learning_rate} and {self.min_improvement}"
            )
        counts = {name: getattr(self, name) for name in ("candidates", "rank", "fan_in", "taps", "dilation", "tries")}
        if min(counts.values()) < 1:
            raise ConfigError(f"{', '.join(counts)} are at least 1; got {', '.join(map(str, counts.values()))}")
        if self.taps % 2 == 0:
            raise ConfigError(f"taps is an odd number of frames; got {self.taps}")
        if not 0 < self.held_out < 1 or not 0 <= self.significance < math.inf or not 0 <= self.standard_errors < 10:
            raise ConfigError(
                "held_out is between 0 and 1, significance finite and at least 0, standard_errors in [0, 10); got "
                f"{self.held_out}, {self.significance} and {self.standard_errors}"
            )
        if self.budget < 0:
            raise ConfigError(f"budget is at least 0 (0 is no limit); got {self.budget}")
        if not all(0 < factor <= 10 for factor in self.probe):
            raise ConfigError(f"probe has factors above 0 and at most 10; got {self.probe}")
        if self.kind == ANY_KIND and self.mode != "growth":
            raise ConfigError(f"kind 'any' needs mode 'growth', which measures what each kind gains; got {self.mode!r}")
        if self.insertion == "start" and self.mode in ("perforated", "growth"):
            raise ConfigError(
                f"mode {self.mode!r} needs a trained net to learn from; take insertion='converged' or 'early', or "
                "mode='gradient' for dendrites from the start"
            )
        if self.cascade and self.kind in ("lowrank", "pool", ANY_KIND):
            raise ConfigError(
                f"cascade needs one dendrite a neuron on the layer's own map, which kind {self.kind!r} does not have"
            )
