"""The folder of C: the model, its kernels, and with a front end the whole detector, ready for a build system."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.emitter import emit_model
from kws_dendrite.export.c.reader import read_program
from kws_dendrite.output import claimed, write_text


@dataclass(frozen=True)
class CSources:
    """What was written.

    Attributes:
        folder: where.
        files: names, in order.
        arena_bytes: working memory of one inference.
        weight_bytes: const data of the model, in the portable layout.
    """

    folder: Path
    files: tuple[str, ...]
    arena_bytes: int
    weight_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return {**asdict(self), "folder": str(self.folder), "files": list(self.files)}


def write_c(
    tflite: Path | str,
    folder: Path | str,
    *,
    labels: tuple[str, ...] = (),
    overwrite: bool = False,
) -> CSources:
    """Write an int8 TFLite file as C99 that compiles alone.

    Args:
        tflite: model_quantized_int8_io.tflite.
        folder: new, empty, or this project's own with `overwrite`.
        labels: K names in output order.
        overwrite: replace a folder that this function wrote.

    Raises:
        ExportError: the file is damaged or holds what has no C kernel; nothing is written.
        OutputError: the folder is in use, not ours, or cannot be written.
    """
    program = read_program(tflite)
    model = emit_model(program, labels)
    files = dict(model.files)
    for name in model.runtime:
        files[name] = runtime_text("model", name)
    folder = Path(folder).absolute()
    with claimed(folder, overwrite=overwrite):
        write_files(files, folder)
    return CSources(folder, tuple(sorted(files)), model.arena_bytes, model.weight_bytes)


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write name -> text below `folder`; names may hold folders, never a way out."""
    for name, text in sorted(files.items()):
        path = folder / name
        if folder not in path.parents or ".." in Path(name).parts:
            raise ExportError(f"{name!r} is not a place below the folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


def runtime_text(part: str, name: str) -> str:
    """The text of a runtime file, export/c/runtime/PART/NAME."""
    return (resources.files(__package__) / "runtime" / part / name).read_text(encoding="utf-8")
