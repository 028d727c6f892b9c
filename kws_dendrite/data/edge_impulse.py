"""An Edge Impulse data set export: `info.labels`, or `training/` and `testing/` with `label.*.wav` names.

`info.labels` lies in the root or in each split; its paths are relative to the folder that holds it. The export's own
testing part is the test partition; its training part is divided further into train and validation.
"""

from pathlib import Path
from typing import Any

from kws_dendrite.data.audio import is_audio
from kws_dendrite.data.clip import Recording
from kws_dendrite.data.layout import Layout, audio_files, noise_files, read_object
from kws_dendrite.errors import DataError

INFO = "info.labels"
SPLITS = ("training", "testing")


def looks_like_edge_impulse(folder: Path) -> bool:
    """Whether `info.labels` is there, or a `training/` folder whose clips lie flat in it."""
    if (folder / INFO).is_file() or any((folder / split / INFO).is_file() for split in SPLITS):
        return True
    return bool(audio_files(folder / "training"))


def read_edge_impulse(folder: Path) -> Layout:
    """Clips of both splits.

    Raises:
        DataError: `info.labels` is broken, or names a file outside the folder.
    """
    notes: list[str] = []
    if (folder / INFO).is_file():
        recordings = _from_info(folder, folder, None, notes)
    else:
        recordings = []
        for split in SPLITS:
            if (folder / split / INFO).is_file():
                recordings += _from_info(folder, folder / split, split, notes)
            else:
                recordings += [
                    Recording(path, f"{split}/{path.name}", path.name.split(".")[0], None, _partition(split))
                    for path in audio_files(folder / split)
                ]
    has_test = any(item.partition == "test" for item in recordings)
    if not has_test:
        notes.append("the export has no testing part; a tenth of its training part is set aside as test")
    return Layout("edge_impulse", folder, tuple(recordings), noise_files(folder), None, tuple(notes), has_test)


def _from_info(root: Path, folder: Path, split: str | None, notes: list[str]) -> list[Recording]:
    info = folder / INFO
    files = read_object(info).get("files")
    if not isinstance(files, list):
        raise DataError(f"{info} has no list named 'files'; export the data set again")
    recordings, unlabelled, foreign = [], 0, 0
    for number, entry in enumerate(files):
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            raise DataError(f"{info}: entry {number} has no path; export the data set again")
        path = folder / entry["path"]
        if not path.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{info}: {entry['path']!r} points outside {root}; only files inside are read")
        if not is_audio(path):
            foreign += 1
            continue
        category = entry.get("category") or split or entry["path"].split("/")[0]
        pieces = _labels(entry.get("label"), path, info)
        unlabelled += not pieces
        name = path.relative_to(root).as_posix()
        for word, start, seconds in pieces:
            recordings.append(Recording(path, name, word, None, _partition(str(category)), start, seconds))
    if unlabelled:
        notes.append(f"{unlabelled} clips have no label and are left out")
    if foreign:
        notes.append(f"{foreign} files are not audio (CBOR or JSON samples?) and are left out; export them as WAV")
    return recordings


def _labels(label: Any, path: Path, info: Path) -> list[tuple[str, float, float | None]]:
    """(word, start, seconds) pieces of one entry's label; the label's three types are label, unlabeled, multi-label."""
    if isinstance(label, str):
        return [(label, 0.0, None)]
    if label is None:
        return [(path.name.split(".")[0], 0.0, None)]
    if isinstance(label, dict):
        kind = label.get("type", "label")
        if kind == "unlabeled":
            return []
        if kind == "label" and isinstance(label.get("label"), str):
            return [(label["label"], 0.0, None)]
        if kind == "multi-label" and isinstance(label.get("labels"), list):
            try:
                return [
                    (str(piece["label"]), piece["startIndex"] / 1000, (piece["endIndex"] - piece["startIndex"]) / 1000)
                    for piece in label["labels"]
                ]
            except (KeyError, TypeError) as error:
                raise DataError(f"{info}: the pieces of {path.name} lack label, startIndex or endIndex") from error
    raise DataError(f"{info}: the label of {path.name} is of no known type (label, unlabeled, multi-label)")


def _partition(split: str) -> str | None:
    return "test" if split == "testing" else None
