"""What a reader of one folder layout hands to `assemble`: recordings, noise, and what it noticed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws_dendrite.data.audio import is_audio
from kws_dendrite.data.clip import Recording
from kws_dendrite.data.task import NOISE_FOLDER
from kws_dendrite.errors import DataError

CARD = "dataset.json"  # optional: {"name", "synthetic", "keywords"} beside the class folders


@dataclass(frozen=True)
class Layout:
    """Everything found in a folder.

    Attributes:
        kind: "speech_commands", "edge_impulse", "class_folder" or "named_files".
        source: the folder.
        recordings: every clip with its class; partitions may be None.
        noise: recordings in `_background_noise_`.
        keywords: the layout's own keywords, or None for "every class".
        notes: lines for the user.
        has_test: the layout brings its own test partition, so the hash must not draw one.
    """

    kind: str
    source: Path
    recordings: tuple[Recording, ...]
    noise: tuple[Path, ...] = ()
    keywords: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    has_test: bool = False


def word_folders(folder: Path) -> list[Path]:
    """Subfolders, sorted, but neither noise nor hidden ones."""
    folders = (entry for entry in folder.iterdir() if entry.is_dir())
    return sorted(entry for entry in folders if entry.name != NOISE_FOLDER and entry.name[0] not in ".~")


def audio_files(folder: Path) -> list[Path]:
    """Audio directly inside a folder, sorted by name."""
    return sorted(entry for entry in folder.iterdir() if is_audio(entry)) if folder.is_dir() else []


def noise_files(folder: Path) -> tuple[Path, ...]:
    """The recordings in `_background_noise_`."""
    return tuple(audio_files(folder / NOISE_FOLDER))


def read_card(folder: Path) -> dict[str, Any]:
    """`dataset.json` of a data folder, or {}.

    Raises:
        DataError: it is there and no JSON object.
    """
    path = folder / CARD
    if not path.is_file():
        return {}
    return read_object(path)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        DataError: unreadable, no JSON, or no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no readable JSON ({error}); export it again or remove it") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object; export it again or remove it")
    return value
