"""A point of the front, trained again with fresh seeds: what is kept of it, and the folder that holds them all."""

import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.errors import CheckpointError
from kws_dendrite.evaluation import crossed_difference, t_interval, wilson_interval
from kws_dendrite.evaluation.statistics import Interval
from kws_dendrite.output import replacing, write_json
from kws_dendrite.training.result_store import ResultStore

FOLDER, RESULT, CORRECT = "front", "refit.json", "validation.npz"


@dataclass(frozen=True)
class Refitted:
    """One point, retrained. Of P seeds; tuples have a value a seed.

    Attributes:
        name: of its folder, "<arm>-<slot>-<dendrites>".
        trial, arm, slot, dendrites: which point of the search it is, as in `RefitPlan`.
        said: what the search said of it, as `RefitPlan.said`.
        made_of: all that it follows from, as JSON values.
        accuracy, loss: on the validation clips, at each seed's best epoch.
        parameters: of the folded nets, which may differ where growth chooses.
        costs: by name, the largest of the seeds, so that whichever is shipped keeps to them.
        value: of those, the one that the search kept small.
        dendrites_kept: growth steps that helped.
        exported: the seed that an export takes, the one with the lowest validation loss.
        epochs: run in all.
        seconds: it took.
        weights: SHA-256 of its checkpoint's weights.
    """

    name: str
    trial: int
    arm: str
    slot: int
    dendrites: int
    said: dict[str, Any]
    made_of: dict[str, Any]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    parameters: tuple[int, ...]
    costs: dict[str, float]
    value: float
    dendrites_kept: int
    exported: int
    epochs: int
    seconds: float
    weights: str

    @property
    def members(self) -> int:
        """P."""
        return len(self.accuracy)

    @property
    def mean_accuracy(self) -> float:
        """Over the seeds."""
        return sum(self.accuracy) / len(self.accuracy)

    @property
    def seed_interval(self) -> Interval:
        """95 % of the mean, over seeds alone."""
        low, high = t_interval(self.accuracy)
        return max(0.0, low), min(1.0, high)

    @property
    def mean_loss(self) -> float:
        """Over the seeds."""
        return sum(self.loss) / len(self.loss)

    def to_json(self) -> dict[str, Any]:
        """As refit.json holds it."""
        return asdict(self)


class RefitStore(ResultStore[Refitted]):
    """The front/ folder of a search."""

    file, result = RESULT, Refitted
    what, finished_one, again = "the point", "refitted point", "refit {}"

    def __init__(self, folder: Path | str) -> None:
        super().__init__(Path(folder) / FOLDER)

    def all(self) -> list[Refitted]:
        """Every finished point, smallest first."""
        found = [point for name in self.names() if (point := self.read(name)) is not None]
        return sorted(found, key=lambda point: (point.value, -point.mean_accuracy, point.trial, point.dendrites))

    def write(self, point: Refitted, correct: np.ndarray) -> None:
        """Finish a point: its checkpoint stands already; `correct` is bool (P, N) over the validation clips."""
        arrays = {"clips": np.array(correct.shape[1]), "correct": np.packbits(correct, axis=1)}
        with replacing(self.path(point.name) / CORRECT) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        write_json(self.path(point.name) / RESULT, point.to_json())

    def correct(self, name: str) -> np.ndarray:
        """bool (P, N): right or wrong on each validation clip.

        Raises:
            CheckpointError: the file is not there or not whole.
        """
        path = self.path(name) / CORRECT
        try:
            with np.load(path, allow_pickle=False) as held:
                return np.unpackbits(held["correct"], axis=1, count=int(held["clips"])).astype(bool)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{path} cannot be read ({error}); remove {path.parent} to refit the point"
            ) from error


def both_interval(correct: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    """95 % interval of a mean accuracy over seeds and clips, both drawn at random: bool (P, N) to two ends.

    Never narrower than over seeds alone or over clips alone (`crossed_difference`), nor than Wilson's over clips: where
    every clip is right the spread is none, and says nothing.
    """
    low, high = crossed_difference(correct, np.zeros_like(correct), groups=groups).interval
    least, most = wilson_interval(float(correct.mean(0).sum()), correct.shape[1])
    return max(0.0, min(low, least)), min(1.0, max(high, most))


def first_difference(
    before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> tuple[str, Any, Any] | None:
    """(field, before, now) of the first leaf that is not the same, None where all are."""
    for name in dict.fromkeys([*now, *before]):
        left, right = before.get(name), now.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found = first_difference(left, right, f"{prefix}{name}.")
            if found:
                return found
        elif left != right:
            return f"{prefix}{name}", left, right
    return None
