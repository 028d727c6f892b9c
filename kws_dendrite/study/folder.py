"""A study's folder: several processes may work in it side by side, and none on data or a recipe that differ."""

import fcntl
import json
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ConfigError, OutputError
from kws_dendrite.output import MARKER, write_json
from kws_dendrite.study.rows import differing

DESCRIPTION, FORMAT = "study.json", 1


def open_folder(folder: Path | str, made_of: dict[str, Any]) -> Path:
    """Make a study's folder, or join the study that is there.

    Raises:
        OutputError: a file, not writable, or a folder that no study made.
        ConfigError: a study of other data or another recipe; names the first field that differs.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; name a folder for the study")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise OutputError(f"{folder} is not empty and was not made by kws-dendrite; name an empty or new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / MARKER).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # for a moment: two that start together write one description
            if (
                any(path.name not in (MARKER, DESCRIPTION, "rows") for path in folder.iterdir())
                and not (folder / DESCRIPTION).exists()
            ):
                raise OutputError(f"{folder} holds results of another command; name an empty or new folder")
            _join(folder, made_of)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def read_description(folder: Path | str) -> dict[str, Any]:
    """What a study was made of.

    Raises:
        ConfigError: no study there, or one of another format.
    """
    path = Path(folder) / DESCRIPTION
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} holds no study: it has no {DESCRIPTION}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}); restore it, or name another folder") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("made_of"), dict):
        raise ConfigError(f"{path} is not a study of format {FORMAT}, the one this version reads")
    return value["made_of"]


def _join(folder: Path, made_of: dict[str, Any]) -> None:
    if not (folder / DESCRIPTION).exists():
        write_json(folder / DESCRIPTION, {"format": FORMAT, "made_of": made_of})
        return
    here = json.loads(json.dumps(made_of))
    different = differing(read_description(folder), here)
    if different:
        field, there, now = different[0]
        raise ConfigError(
            f"the study in {folder} was started with {field} {_short(there)}, not {_short(now)}; resume it with the "
            "same, or name another folder"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
