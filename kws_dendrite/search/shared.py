"""Features that several processes share: written once as plain arrays, then mapped by each, in memory once."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import OutputError
from kws_dendrite.output import explain, replacing, write_json

ARRAYS = ("train", "train_labels", "validation", "validation_labels", "train_words", "teacher")


@dataclass(frozen=True)
class SharedBank:
    """A bank in a folder of its own."""

    folder: Path

    @classmethod
    def write(cls, bank: FeatureBank, folder: Path) -> "SharedBank":
        """Write `bank` for others to map.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        shared = cls(Path(folder))
        shared.remove()
        try:
            for name in ARRAYS:
                array = getattr(bank, name)
                if array is not None:
                    with replacing(shared.folder / f"{name}.npy") as path:
                        _save(path, array)
            facts = {"labels": list(bank.labels), "frontend": bank.frontend, "summary": bank.summary}
            write_json(shared.folder / "bank.json", facts)
        except BaseException:
            shared.remove()
            raise
        return shared

    def open(self) -> FeatureBank:
        """The bank, its arrays mapped: pages that are read are shared, what is written stays one's own."""
        try:
            facts = json.loads((self.folder / "bank.json").read_text())
            arrays = {
                name: np.load(path, mmap_mode="c", allow_pickle=False)
                for name in ARRAYS
                if (path := self.folder / f"{name}.npy").exists()
            }
        except OSError as error:
            raise OutputError(explain(self.folder, error)) from error
        return replace(
            FeatureBank(**{name: arrays.get(name) for name in ARRAYS}, labels=(), frontend={}, summary={}),
            labels=tuple(facts["labels"]),
            frontend=facts["frontend"],
            summary=facts["summary"],
        )

    def remove(self) -> None:
        """Delete it; who has it mapped keeps it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _save(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
