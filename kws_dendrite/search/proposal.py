"""One trial's choice: what is drawn from a space, and only what goes together.

Draws come in one order: the family, the front end, the net's shape, the recipe, augmentation, and last, for an arm that
grows, its dendrites. So the same random numbers give every arm the same net and recipe.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import BaseTrial

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.data.task import TaskConfig
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import BLOCKS, FrontEndConfig, feature_shape, from_json, to_json
from kws_dendrite.models import ModelConfig, config_from_json, config_to_json, keeps_level
from kws_dendrite.models.separable import SeparableConfig
from kws_dendrite.search import shapes
from kws_dendrite.search.dendrite_draw import can_have, draw_growth
from kws_dendrite.search.dims import Choice, NoneFits, Value, draw
from kws_dendrite.search.frontend_draw import draw_frontend, widths
from kws_dendrite.search.space import Arm, Dims, Space
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import share_epochs
from kws_dendrite.training.rates import Rates

REHEARSALS = 5  # draws an arm, before a search begins
RATES = ("learning_rate", "weight_decay")  # of the recipe; beside them the net's dropout


@dataclass(frozen=True)
class Ground:
    """What a search stands on, the same for every trial.

    Attributes:
        classes: K.
        frames, coefficients: T and F of the given features.
        frontend: that computes them; None where features come as arrays.
        window: samples of a clip; 0 where features come as arrays.
        keeps_level: whether the given features keep a clip's level.
        train: the recipe; its epochs are a trial's in all.
        augment: of the training clips.
    """

    classes: int
    frames: int
    coefficients: int
    train: TrainConfig
    frontend: FrontEndConfig | None = None
    window: int = 0
    keeps_level: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    @classmethod
    def of_bank(cls, bank: FeatureBank, train: TrainConfig, augment: AugmentConfig | None = None) -> "Ground":
        """The ground that a bank of features is; its augmentation is what the bank says was done, unless given."""
        _, T, F = bank.validation.shape
        done = bank.summary.get("augmentation") or {}
        task = bank.summary.get("task") or {}
        known = {name: task[name] for name in ("window_seconds", "sampling_freq") if name in task}
        computed = bank.frontend.get("block") in BLOCKS
        return cls(
            classes=len(bank.labels),
            frames=T,
            coefficients=F,
            train=train,
            frontend=from_json(bank.frontend) if computed else None,
            window=TaskConfig(**known).window if computed else 0,
            keeps_level=keeps_level(bank.frontend),
            augment=augment or AugmentConfig(**_tuples(done)),
        )


@dataclass(frozen=True)
class Proposal:
    """One trial's choice.

    Attributes:
        model: the net, its frames and coefficients those of `frontend`.
        train: the recipe; its epochs are the trial's in all, over its cycles and candidate phases.
        growth: how dendrites grow; None in the plain arm.
        frontend: None where features come as arrays.
        augment: of the training clips.
    """

    model: ModelConfig
    train: TrainConfig
    growth: DendriteConfig | None
    frontend: FrontEndConfig | None
    augment: AugmentConfig

    @property
    def restarts(self) -> int:
        """Further cosine cycles without growth: the plain arm's learning rate restarts as the others' do."""
        return 1 if self.growth is None else 0

    @property
    def rates(self) -> Rates:
        """What no shape depends on, so that trials which differ in nothing else can be one population."""
        values = {name: (getattr(self.train, name),) for name in RATES}
        return Rates(**values, dropout=(self.model.dropout,) if hasattr(self.model, "dropout") else None)

    @property
    def without_rates(self) -> "Proposal":
        """The same for all trials that can be one population."""
        train = replace(self.train, learning_rate=1.0, weight_decay=0.0)
        model = replace(self.model, dropout=0.0) if hasattr(self.model, "dropout") else self.model
        return replace(self, model=model, train=train)

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes it again."""
        return {
            "model": config_to_json(self.model),
            "train": asdict(self.train),
            "growth": None if self.growth is None else asdict(self.growth),
            "frontend": None if self.frontend is None else to_json(self.frontend),
            "augment": self.augment.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Proposal":
        """The proposal that `to_json` gave.

        Raises:
            ConfigError: something is missing, unknown, or of a wrong type.
        """
        try:
            growth, frontend = value["growth"], value["frontend"]
            return cls(
                model=config_from_json(value["model"]),
                train=TrainConfig(**_tuples(value["train"])),
                growth=None if growth is None else DendriteConfig(**_tuples(growth)),
                frontend=None if frontend is None else from_json(frontend),
                augment=AugmentConfig(**_tuples(value["augment"])),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"this is no proposal of this version's ({error!r}); was it written by another?"
            ) from error


def is_rate(name: str) -> bool:
    """Whether a drawn parameter is one that no shape depends on."""
    group, _, rest = name.partition(".")
    setting = rest.partition(":")[0]
    return setting in RATES if group == "train" else setting == "dropout"


def suggest(trial: BaseTrial, space: Space, arm: Arm, ground: Ground) -> Proposal:
    """Ask `trial` for one point of `space`; the shared choices come first, in the same order for every arm.

    Raises:
        ConfigError: nothing of the space goes with the ground; `check_space` says so before a search begins.
    """
    families = tuple(name for name in space.families if _can_stand(name, space, ground))
    if not families:
        raise NoneFits(f"no family of the space ({', '.join(space.families)}) reads these features")
    family = draw(trial, "model.family", Choice(families))
    frontend, (T, F), level = ground.frontend, (ground.frames, ground.coefficients), ground.keeps_level
    if space.frontends:
        rate = ground.frontend.sampling_freq if ground.frontend else 0
        frontend = draw_frontend(trial, space.frontends, family, rate, ground.window)
        T, F = feature_shape(frontend, ground.window)
        level = keeps_level(to_json(frontend))
    model = _model(trial, family, space.families[family], (T, F, ground.classes), level)
    train = _recipe(trial, space.train, ground.train, T, F)
    augment = replace(ground.augment, **_drawn(trial, "augment", space.augment, ground.augment))
    growth = None if arm == "plain" else draw_growth(trial, space.dendrites, arm, model)
    return Proposal(model, train, growth, frontend, augment)


def check_space(space: Space, arms: tuple[Arm, ...], ground: Ground) -> None:
    """Refuse, before the first trial, what could not be trained.

    Raises:
        ConfigError: front ends to search where features come as arrays; no family that reads the features; fewer epochs
            than the most growth steps of the space take; dendrites without any kind for the arm; choices of which none
            goes with the others (a few are drawn to see: all are dead ends).
    """
    if space.frontends and ground.frontend is None:
        raise ConfigError(
            "the space searches front ends, but the data are features that are computed already: take recordings, or "
            "a space without [frontend]"
        )
    if space.augment and ground.frontend is None:
        raise ConfigError(
            "the space searches augmentation, but the data are features that are computed already: take recordings, "
            "or a space without [augment]"
        )
    if not any(_can_stand(name, space, ground) for name in space.families):
        raise ConfigError(
            f"no family of the space ({', '.join(space.families)}) reads {ground.coefficients} coefficients a frame; "
            f"bc_resnet takes multiples of {shapes.BINS}"
        )
    for arm in arms:
        growth = None if arm == "plain" else _longest(space.dendrites, arm)
        share_epochs(ground.train, ground.train.epochs, growth, restarts=1)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        dead_ends = []
        for _ in range(REHEARSALS):
            try:
                suggest(study.ask(), space, arm, ground)
            except NoneFits as error:  # of a draw now and then, which a search draws anew
                dead_ends.append(error)
        if len(dead_ends) == REHEARSALS:
            raise dead_ends[0]


def _longest(dims: Dims, arm: Arm) -> DendriteConfig:
    """The growth of the space that takes the most epochs.

    Raises:
        ConfigError: there is none for this arm.
    """
    most: dict[str, Any] = {"mode": arm}
    for name in ("kind", "insertion"):
        if name in dims:
            legal = dims[name].within(lambda value, name=name: can_have(arm, name, value))
            if not legal:
                raise ConfigError(f"the space has no dendrites.{name} for the arm {arm}; give it one that it can have")
            most[name] = legal[0]
    if "insertion" in dims and most["insertion"] == "start":  # which takes fewer epochs, where there is another
        most["insertion"] = legal[-1]
    most |= {name: max(dims[name].ends()) for name in ("dendrites", "candidate_epochs") if name in dims}
    if "probe" in dims:
        most["probe"] = max(dims["probe"].ends(), key=len)
    return DendriteConfig(**most)


def _drawn(trial: BaseTrial, group: str, dims: Dims, base: Any) -> dict[str, Any]:
    """Every dimension in turn, each with values that `base` can have together with those before."""
    values: dict[str, Any] = {}
    for name, dim in dims.items():
        values[name] = draw(trial, f"{group}.{name}", dim, _makes(lambda **v: replace(base, **v), values, name))
    return values


def _makes(make: Callable[..., Any], values: Mapping[str, Any], name: str) -> Callable[[Value], bool]:
    """Whether a configuration can be made with this value beside those drawn before."""

    def valid(value: Value) -> bool:
        try:
            make(**{**values, name: value})
        except ConfigError:
            return False
        return True

    return valid


def _can_stand(family: str, space: Space, ground: Ground) -> bool:
    """Whether a family of nets reads the given features, or those of a front end of the space."""
    if not space.frontends:
        return shapes.stands(family, ground.coefficients)
    return any(widths(block, dims, family) for block, dims in space.frontends.items())


def _model(trial: BaseTrial, family: str, dims: Dims, shape: tuple[int, int, int], level: bool) -> ModelConfig:
    T, F, K = shape

    def make(**values: Any) -> ModelConfig:
        return shapes.model_config(family, values, T, F, K, keeps_level=level)

    values: dict[str, Any] = {}
    # What decides how many frames are left comes first, then how far a kernel reaches over them.
    first = ("stride", "depth", "kernel", "stem_kernel")
    for name in sorted(dims, key=lambda name: first.index(name) if name in first else len(first)):
        makes = _makes(make, values, name)

        def valid(value: Value, name: str = name, makes: Callable[[Value], bool] = makes) -> bool:
            if name == "depth" and value > shapes.deepest(family, T, F):
                return False
            return makes(value) and _reaches(make(**{**values, name: value}), name)

        values[name] = draw(trial, f"{family}.{name}", dims[name], valid)
    return make(**values)


def _reaches(model: ModelConfig, name: str) -> bool:
    """Whether no tap of the kernels stands beyond every frame."""
    left = shapes.frames_left(model)
    if name in ("kernel", "stem_kernel"):
        return shapes.spans(getattr(model, name), 1, left)
    if isinstance(model, SeparableConfig) and name in ("layout", "dilations"):
        return shapes.spans(model.kernel, max(model.dilations), left)
    return True


def _recipe(trial: BaseTrial, dims: Dims, base: TrainConfig, T: int, F: int) -> TrainConfig:
    most = {"time_mask": T - 1, "shift_frames": T - 1, "frequency_mask": F - 1}
    values: dict[str, Any] = {}
    for name, dim in dims.items():
        makes = _makes(lambda **v: replace(base, **v), values, name)
        values[name] = draw(
            trial, f"train.{name}", dim, lambda v, name=name, makes=makes: v <= most.get(name, math.inf) and makes(v)
        )
    return replace(base, **values)


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
