"""Features kept on disk by what they were made of: the samples, the settings, and the code's version."""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kws_dendrite.errors import OutputError
from kws_dendrite.frontend.config import FrontEndConfig, to_json
from kws_dendrite.output import replacing, write_text

CODE_VERSION = "frontend-1"  # raise it when a front end's numbers change: older entries are then never met again
ENTRY = re.compile(r"[a-z]+-[0-9a-f]{40}\.npy")
ABANDONED = re.compile(r"\.[a-z]+-[0-9a-f]{40}\.npy\..*\.npy")  # what `replacing` leaves when killed
README = """\
Features that kws-dendrite computed, kept so that the next run need not compute them again.

Each .npy file is named by a hash of the samples, the front end's settings and the code's version, so an entry is
never out of date. Nothing else is in here: delete any file, or the whole folder, whenever you like.
"""


class FeatureCache:
    """A folder of computed features.

    Args:
        folder: created when first written to. It holds .npy files and a README.txt, all of them safe to delete.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder} is a file; name a folder for the feature cache")

    def get(
        self,
        signals: np.ndarray,
        config: FrontEndConfig,
        compute: Callable[[np.ndarray, FrontEndConfig], np.ndarray],
        *,
        dtype: np.dtype | type = np.float32,
        extra: str = "",
    ) -> np.ndarray:
        """The features of `signals`, from disk if they are there, else from `compute`, which are then kept.

        A damaged entry is computed anew and replaced.

        Args:
            signals: the samples, any shape; hashed whole.
            compute: called as compute(signals, config), for example `extract`.
            dtype: type to keep and to return, float32 or float16.
            extra: whatever else the result depends on, such as the augmentation's settings as JSON.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        path = self.folder / f"{entry_name(signals, config, dtype, extra)}.npy"
        found = _read(path, np.dtype(dtype))
        if found is not None:
            return found
        features = np.ascontiguousarray(compute(signals, config), dtype)
        self._explain()
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array(file, features, allow_pickle=False)
            file.write(_seal(features))
        return features

    def entries(self) -> list[Path]:
        """The kept arrays' files, by name."""
        return sorted(path for path in self.folder.glob("*.npy") if ENTRY.fullmatch(path.name))

    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.entries())

    def clear(self) -> int:
        """Delete every entry, and the folder if nothing else is in it. Returns the bytes freed."""
        freed = self.size()
        abandoned = [path for path in self.folder.glob(".*.npy") if ABANDONED.fullmatch(path.name)]
        for path in self.entries() + abandoned:
            path.unlink(missing_ok=True)
        readme = self.folder / "README.txt"
        if readme.is_file() and readme.read_text(encoding="utf-8") == README:
            readme.unlink()
        with contextlib.suppress(OSError):  # someone else's files, or no folder
            self.folder.rmdir()
        return freed

    def _explain(self) -> None:
        readme = self.folder / "README.txt"
        if not readme.exists():
            write_text(readme, README)


def entry_name(signals: np.ndarray, config: FrontEndConfig, dtype: np.dtype | type, extra: str = "") -> str:
    """The hash that names an entry: samples, their shape and type, settings, `extra`, kept type, code version."""
    signals = np.ascontiguousarray(signals)
    header = json.dumps(
        [CODE_VERSION, to_json(config), extra, np.dtype(dtype).str, signals.dtype.str, signals.shape], sort_keys=True
    )
    digest = hashlib.sha256(header.encode())
    digest.update(b"\0")
    digest.update(signals.view(np.uint8).reshape(-1).data if signals.size else b"")
    return f"{config.block}-{digest.hexdigest()[:40]}"


def _read(path: Path, dtype: np.dtype) -> np.ndarray | None:
    """The array in `path`, or None where it is missing, damaged or of another type."""
    try:
        with path.open("rb") as file:
            features = np.lib.format.read_array(file, allow_pickle=False)
            seal = file.read()
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError):  # numpy's, on damaged headers
        return None
    return features if features.dtype == dtype and seal == _seal(features) else None


def _seal(features: np.ndarray) -> bytes:
    """A digest that follows the array in its file (`np.load` does not mind), so that any damage is noticed."""
    digest = hashlib.sha256(json.dumps([features.dtype.str, features.shape]).encode())
    digest.update(features.data if features.size else b"")
    return digest.digest()
