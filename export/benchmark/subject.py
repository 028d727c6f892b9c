"""What a benchmark runs on: a bundle or one int8 .tflite, and its C sources, written for the occasion where missing."""

import contextlib
import hashlib
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.predictor import read_surroundings

INT8 = "model_quantized_int8_io.tflite"


@dataclass(frozen=True)
class Subject:
    """A model with its sources.

    Attributes:
        path: what the user named.
        tflite: the int8 file; None for a folder of C sources alone.
        c_folder: the generated sources.
    """

    path: Path
    tflite: Path | None
    c_folder: Path

    def vectors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """int8 inputs (N, T*F) and LiteRT's outputs (N, K) of the bundle's test vector; None where there is none.

        Raises:
            ExportError: a test vector that cannot be read.
        """
        path = self.path / "test_vector.npz"
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return file["int8_input"], file["int8_output"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ExportError(f"{path} cannot be read ({type(error).__name__}); export the bundle again") from error


@contextlib.contextmanager
def open_subject(path: Path | str) -> Iterator[Subject]:
    """A bundle, a folder of C sources, or an int8 .tflite; sources that are missing are written to a temporary folder.

    Raises:
        ExportError: none of these, or a .tflite that has no C.
    """
    path = Path(path)
    if (path / "kws_model.h").is_file():
        yield Subject(path, None, path)
        return
    tflite = path / INT8 if path.is_dir() else path
    if not path.exists():
        raise ExportError(f"{path} is not there; name a bundle, a folder of its C sources, or an int8 .tflite")
    if not tflite.is_file():
        wanted = f"a bundle with {INT8}, a folder of its C sources, or an int8 .tflite"
        raise ExportError(f"{path} holds nothing for a device; name {wanted}")
    c_folder = path / "c"
    if (c_folder / "kws_model.h").is_file():
        header = (c_folder / "kws_model.h").read_text(encoding="utf-8")
        if hashlib.sha256(tflite.read_bytes()).hexdigest() not in header:
            raise ExportError(f"{c_folder} was not written from {tflite}; export the bundle again")
        yield Subject(path, tflite, c_folder)
        return
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        write_sources(tflite, Path(name) / "c")
        yield Subject(path, tflite, Path(name) / "c")


def write_sources(tflite: Path, folder: Path) -> None:
    """The C of a .tflite, with the front end and labels that stand beside it.

    Raises:
        ExportError: a file that has no C.
    """
    from kws_dendrite.export.c import write_c

    beside = read_surroundings(tflite.parent)
    front_end = beside.frontend or {}
    # features that Edge Impulse computed have no block here: then there is the model alone
    write_c(tflite, folder, labels=beside.labels, frontend=front_end if front_end.get("block") else None)
