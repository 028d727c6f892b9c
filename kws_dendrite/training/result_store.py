"""A folder of trained nets that several processes fill: of each its checkpoint, its result, and who trains it."""

import json
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from kws_dendrite.errors import CheckpointError
from kws_dendrite.output import taken
from kws_dendrite.training.checkpoint import weights_hash

Result = TypeVar("Result")


class ResultStore(Generic[Result]):
    """Attributes:
    file: name of a result.
    result: a frozen dataclass of what JSON holds, lists as tuples.
    what, finished_one: a net in words, and one with a result.
    again: how to make one again, "{}" for the net.
    """

    file: ClassVar[str]
    result: ClassVar[type]
    what: ClassVar[str]
    finished_one: ClassVar[str]
    again: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Folder of a net: its checkpoint, its result, and the lock."""
        return self.folder / name

    def claimed(self, name: str) -> AbstractContextManager[bool]:
        """Whether the net is ours while open."""
        return taken(self.path(name))

    def read(self, name: str) -> Result | None:
        """The result of a net, None for one that is not finished.

        Raises:
            CheckpointError: it is not what this version writes.
        """
        path = self.path(name) / self.file
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            again = self.again.format(self.what)
            raise CheckpointError(f"{path} is not JSON ({error}); remove {path.parent} to {again}") from error
        names = [item.name for item in fields(self.result)]
        if not isinstance(value, dict) or set(names) - set(value):
            again = self.again.format("it")
            raise CheckpointError(f"{path} is not a {self.finished_one}; remove {path.parent} to {again}")
        return self.result(**{key: tuple(value[key]) if isinstance(value[key], list) else value[key] for key in names})

    def names(self) -> list[str]:
        """Of every net with a result."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{self.file}"))

    def weights_hash(self, name: str) -> str:
        """SHA-256 of a net's weights as they stand."""
        return weights_hash(self.path(name))
