"""Settings of a search, checked when made."""

from dataclasses import dataclass, field

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.limits import Limits
from kws_dendrite.search.objective import PARAMETERS, Objective
from kws_dendrite.search.proposal import RATES
from kws_dendrite.search.space import ARMS, Arm, Dims, Space
from kws_dendrite.search.stopping import StoppingRule
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.device import DEFAULT

MOST_COMPANIONS = 32  # the turn is kept while all of them are drawn


@dataclass(frozen=True)
class SearchConfig:
    """Attributes:
    trials: of each arm.
    arms: which; all get the same number of trials and of epochs.
    members: seeds a trial.
    companions: trials of one net that are trained together as one population, each with rates of its own: learning
        rate, weight decay, dropout. More than one, `MOST_COMPANIONS` at most, only where there is the plain arm alone.
    train: the recipe; what the space has of it is drawn, its epochs are a trial's in all, over its cycles and candidate
        phases. The plain arm has two cycles, the others one more than they have growth steps.
    seed: of draws and of training.
    objective: what is held against accuracy or negative loss.
    limits: what no net may cost more; checked before a trial is trained.
    stop_hopeless: end trials early that cannot come to the front any more; None does where there is one arm alone,
        since arms that are compared get equal epochs.
    rule: when a trial is hopeless.
    device: that trains, as torch names it; another than the CPU only where there is the plain arm alone.
    """

    trials: int = 10
    arms: tuple[Arm, ...] = ARMS
    members: int = 2
    companions: int = 1
    train: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=40))
    seed: int = 0
    objective: Objective = PARAMETERS
    limits: Limits = field(default_factory=Limits)
    stop_hopeless: bool | None = None
    rule: StoppingRule = field(default_factory=StoppingRule)
    device: str = DEFAULT

    def __post_init__(self) -> None:
        if self.trials < 1 or self.members < 1:
            raise ConfigError(f"trials and members are at least 1; got {self.trials} and {self.members}")
        unknown = [arm for arm in self.arms if arm not in ARMS]
        if unknown or not self.arms or len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"arms are some of {', '.join(ARMS)}, each once; got {', '.join(self.arms) or 'none'}")

        if not 1 <= self.companions <= MOST_COMPANIONS:
            raise ConfigError(
                f"companions are at least 1, a trial alone, and at most {MOST_COMPANIONS}; got {self.companions}"
            )
        if self.companions > 1 and self.arms != ("plain",):
            raise ConfigError(
                "companions are trials of one net with rates of their own, and a growth step is kept or not for all of "
                "them at once: take --arms plain, or --companions 1"
            )

        if self.device != DEFAULT and self.arms != ("plain",):
            raise ConfigError(f"dendrites grow on the CPU: take --arms plain, or leave --device {self.device} out")

    def check_companions(self, space: Space) -> None:
        """Refuse companions that cannot be trained together.

        Raises:
            ConfigError: patience, which ends a cycle for all of them; a family of the space with no rate to differ in.
        """
        if self.companions == 1:
            return
        if self.train.patience or "patience" in space.train:
            raise ConfigError("companions train for all epochs of a cycle: leave patience out, or take --companions 1")
        alike = [family for family, dims in space.families.items() if not _varies(space.train, RATES)
                 and not _varies(dims, ("dropout",))]  # fmt: skip
        if alike:
            raise ConfigError(
                f"companions differ in learning rate, weight decay or dropout, and the space draws none of them for "
                f"{', '.join(alike)}: give it one, or take --companions 1"
            )

    def may_stop(self, slot: int) -> bool:
        """Whether the rule may end the slot's trial; those that are trained together are audited together."""
        return self.stops and self.rule.may_stop(slot // self.companions)

    @property
    def stops(self) -> bool:
        """Whether hopeless trials are stopped."""
        return len(self.arms) == 1 if self.stop_hopeless is None else self.stop_hopeless

    @property
    def total(self) -> int:
        """Trials of all arms."""
        return self.trials * len(self.arms)


def _varies(dims: Dims, names: tuple[str, ...]) -> bool:
    """Whether one of these dimensions has more than one value."""
    return any(len(set(dims[name].ends())) > 1 for name in names if name in dims)
