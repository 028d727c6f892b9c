"""An Edge Impulse data set export: `info.labels`, or a folder a category with `label.*.wav` names.

`info.labels` lies in the root or in each category's folder; its paths are relative to the folder that holds it. The
export's own testing part is the test partition, its validation part (projects that have one) the validation partition.
What is left of the training part is divided into train and validation, unless the metadata say which: this project's
own exports keep `partition` and `speaker` there (see `edge_impulse_export`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kws_dendrite.data.acquisition import is_acquisition
from kws_dendrite.data.audio import is_audio
from kws_dendrite.data.clip import Recording
from kws_dendrite.data.layout import Layout, audio_files, noise_files, read_card, read_object
from kws_dendrite.errors import DataError

INFO = "info.labels"
SPLITS = ("training", "validation", "testing")
PARTITION_KEY, SPEAKER_KEY = "partition", "speaker"  # of a sample's metadata
_PARTITIONS = {"testing": "test", "validation": "validation"}
_NAMED = 5  # names in a note, before it only counts


@dataclass
class _LeftOut:
    """Entries that are not read, by the reason why."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.names.setdefault(reason, []).append(name)

    def notes(self) -> list[str]:
        lines = []
        for reason, names in self.names.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"left out, {reason}: {len(names)} ({', '.join(names[:_NAMED])}{more})")
        return lines


def looks_like_edge_impulse(folder: Path) -> bool:
    """Whether `info.labels` is there, or a `training/` folder whose clips lie flat in it."""
    if (folder / INFO).is_file() or any((folder / split / INFO).is_file() for split in SPLITS):
        return True
    return bool(_samples(folder / "training"))


def read_edge_impulse(folder: Path) -> Layout:
    """Clips of every category. Entries without a label, with several, or that are no audio are left out and named.

    Raises:
        DataError: `info.labels` is broken, or names a file outside the folder.
    """
    left_out = _LeftOut()
    if (folder / INFO).is_file():
        recordings = _from_info(folder, folder, None, left_out)
    else:
        recordings = []
        for split in SPLITS:
            if (folder / split / INFO).is_file():
                recordings += _from_info(folder, folder / split, split, left_out)
            else:
                recordings += [
                    Recording(path, f"{split}/{path.name}", path.name.split(".")[0], None, _PARTITIONS.get(split))
                    for path in _samples(folder / split)
                ]
    notes = left_out.notes()
    has_test = any(item.partition == "test" for item in recordings)
    if not has_test:
        notes.append("the export has no testing part; a tenth of its training part is set aside as test")
    keywords = tuple(str(word) for word in read_card(folder).get("keywords", ())) or None
    return Layout("edge_impulse", folder, tuple(recordings), noise_files(folder), keywords, tuple(notes), has_test)


def _samples(folder: Path) -> list[Path]:
    """Audio and acquisition files directly inside a folder."""
    found = [path for path in folder.iterdir() if is_acquisition(path)] if folder.is_dir() else []
    return sorted(found + audio_files(folder))


def _from_info(root: Path, folder: Path, split: str | None, left_out: _LeftOut) -> list[Recording]:
    info = folder / INFO
    files = read_object(info).get("files")
    if not isinstance(files, list):
        raise DataError(f"{info} has no list named 'files'; export the data set again")
    inside, recordings, seen = root.resolve(), [], set()
    for number, entry in enumerate(files):
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or not entry["path"].strip():
            raise DataError(f"{info}: entry {number} has no path; export the data set again")
        path = folder / entry["path"]
        try:
            escapes = not path.resolve().is_relative_to(inside)
        except (OSError, ValueError, RuntimeError) as error:  # a NUL in it, a name too long, a loop of links
            raise DataError(f"{info}: entry {number} has a path that is none ({error})") from error
        if escapes:
            raise DataError(f"{info}: {entry['path']!r} points outside {root}; only files inside are read")
        name = path.relative_to(root).as_posix()
        category = str(entry.get("category") or split or entry["path"].split("/")[0])
        word, reason = _label(entry.get("label"), path, info)
        if reason is None and not (is_audio(path) or is_acquisition(path)):
            reason = "not audio"
        if reason is None and category in ("anomaly", "post-processing"):
            reason = f"category {category}"
        if reason is None and name in seen:
            reason = "listed twice"
        if reason is not None:
            left_out.add(reason, name)
            continue
        seen.add(name)
        speaker, partition = _metadata(entry.get("metadata"), category)
        recordings.append(Recording(path, name, word, speaker, partition))
    return recordings


def _label(label: Any, path: Path, info: Path) -> tuple[str, str | None]:
    """(word, why it cannot be read) of one entry's label; its three types are label, unlabeled, multi-label."""
    if label is None:
        return path.name.split(".")[0], None
    kind = label.get("type", "label") if isinstance(label, dict) else "label"
    if kind == "unlabeled":
        return "", "no label"
    if kind == "multi-label":
        return "", "several labels in one clip"
    word = label.get("label") if isinstance(label, dict) else label
    if kind == "label" and isinstance(word, str):
        return word, None if word.strip() else "no label"
    raise DataError(f"{info}: the label of {path.name} is of no known type (label, unlabeled, multi-label)")


def _metadata(metadata: Any, category: str) -> tuple[str | None, str | None]:
    """(speaker, partition). The category is Studio's own and wins: metadata only divide what is training there."""
    values = metadata if isinstance(metadata, dict) else {}
    speaker = values.get(SPEAKER_KEY)
    speaker = str(speaker) if isinstance(speaker, str | int) and str(speaker).strip() else None
    if category in _PARTITIONS:
        return speaker, _PARTITIONS[category]
    partition = values.get(PARTITION_KEY)
    return speaker, partition if category == "training" and partition in ("train", "validation") else None
