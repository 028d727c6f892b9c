"""A Speech Commands folder: one folder a word, `<speaker>_nohash_<take>` files, the release's own partition.

Source: P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", arXiv:1804.03209.
"""

from pathlib import Path

from kws_dendrite.data.clip import Recording
from kws_dendrite.data.layout import Layout, audio_files, noise_files, read_card, word_folders
from kws_dendrite.data.partition import speech_commands_partition

CLASSIC_KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")  # the 12-class task's ten
MARK = "_nohash_"


def looks_like_speech_commands(folder: Path) -> bool:
    """Whether some word folder holds a clip named `<speaker>_nohash_<take>`."""
    return any(MARK in path.name for word in word_folders(folder) for path in audio_files(word))


def read_speech_commands(folder: Path) -> Layout:
    """Every clip of every word, partitioned by the release's hash of the speaker.

    The keywords are those of the folder's card, else the classic ten that are there (if at least two), else all.
    """
    recordings = []
    for word in word_folders(folder):
        for path in audio_files(word):
            speaker = path.stem.split(MARK)[0] if MARK in path.name else None
            partition = speech_commands_partition(path.name)
            recordings.append(Recording(path, f"{word.name}/{path.name}", word.name, speaker, partition))
    words = {item.word for item in recordings}
    listed = tuple(str(word) for word in read_card(folder).get("keywords", ()))
    classic = tuple(word for word in CLASSIC_KEYWORDS if word in words)
    keywords = listed or (classic if len(classic) > 1 else None)
    return Layout("speech_commands", folder, tuple(recordings), noise_files(folder), keywords, has_test=True)
