"""From a path to a data set: find out the layout, read it, lay the task over it."""

from pathlib import Path

from kws_dendrite.data.assemble import assemble
from kws_dendrite.data.class_folder import read_class_folder, read_named_files
from kws_dendrite.data.dataset import Dataset
from kws_dendrite.data.demo import DEMO, demo_folder
from kws_dendrite.data.edge_impulse import looks_like_edge_impulse, read_edge_impulse
from kws_dendrite.data.layout import Layout, audio_files, word_folders
from kws_dendrite.data.speech_commands import looks_like_speech_commands, read_speech_commands
from kws_dendrite.data.task import TaskConfig
from kws_dendrite.errors import DataError


def load_dataset(path: Path | str, task: TaskConfig | None = None) -> Dataset:
    """List the clips of a data folder; only file headers are read.

    Args:
        path: a Speech Commands folder, an Edge Impulse export, a folder of class folders, a flat folder of
            `label.*.wav` files, or "demo" for the built-in synthetic set.
        task: what to tell apart; the default takes the layout's own keywords.

    Raises:
        DataError: no such folder, no clips, one class alone, a class with too few clips, a clip that cannot be read
            (unless `task.skip_bad`).
        ConfigError: a keyword that is not there, a speaker pattern that matches nothing.
    """
    return assemble(read_layout(path), task or TaskConfig())


def read_layout(path: Path | str) -> Layout:
    """Find out a folder's layout and list its recordings.

    Raises:
        DataError: no such folder, or no audio in it.
    """
    folder = demo_folder() if str(path) == DEMO else Path(path)
    if not folder.exists():
        raise DataError(f"{folder} does not exist; name a folder with recordings, or 'demo' for the built-in set")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; unpack it if it is an archive, and name the folder")
    try:
        return _read(_descend(folder))
    except OSError as error:
        raise DataError(f"{error.filename or folder} cannot be listed: {error.strerror or error}") from error


def _read(folder: Path) -> Layout:
    if (folder / "X_split_train.npy").is_file():
        raise DataError(f"{folder} holds an Edge Impulse block's feature arrays, not recordings; use load_block_arrays")
    if looks_like_edge_impulse(folder):
        layout = read_edge_impulse(folder)
    elif looks_like_speech_commands(folder):
        layout = read_speech_commands(folder)
    elif word_folders(folder):
        layout = read_class_folder(folder)
    else:
        layout = read_named_files(folder)
    if not layout.recordings:
        raise DataError(
            f"{folder} holds no clips; expected one folder of WAV or FLAC files per class, or an Edge Impulse export"
        )
    return layout


def _descend(folder: Path) -> Path:
    """Step into archives that unpack as a folder in a folder (`SpeechCommands/speech_commands_v0.02/yes/`)."""
    below = word_folders(folder)
    alone = len(below) == 1 and not audio_files(folder) and not audio_files(below[0])
    return _descend(below[0]) if alone and word_folders(below[0]) else folder
