"""A folder of classes: one folder a class, any file names; or one flat folder of `label.*.wav` files."""

from pathlib import Path

from kws_dendrite.data.clip import Recording
from kws_dendrite.data.layout import Layout, audio_files, noise_files, read_card, word_folders


def read_class_folder(folder: Path) -> Layout:
    """Every clip of every class folder, subfolders included; the partition is left to the hash."""
    recordings = []
    for word in word_folders(folder):
        for path in _audio_below(word):
            recordings.append(Recording(path, path.relative_to(folder).as_posix(), word.name))
    keywords = tuple(str(word) for word in read_card(folder).get("keywords", ())) or None
    return Layout("class_folder", folder, tuple(recordings), noise_files(folder), keywords)


def read_named_files(folder: Path) -> Layout:
    """Clips lying flat in a folder; the label is the file's name up to the first dot."""
    recordings = [Recording(path, path.name, path.name.split(".")[0]) for path in audio_files(folder)]
    return Layout("named_files", folder, tuple(recordings), noise_files(folder))


def _audio_below(folder: Path) -> list[Path]:
    found = audio_files(folder)
    for below in word_folders(folder):
        found += _audio_below(below)
    return found
