"""The folder of C: the model, its kernels, and with a front end the whole detector, ready for three build systems."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.detector import DetectorConfig, emit_detector
from kws_dendrite.export.c.emitter import emit_model
from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.export.c.package import package_files
from kws_dendrite.export.c.program import Program
from kws_dendrite.export.c.reader import read_program
from kws_dendrite.frontend import FrontEndConfig, coefficients, feature_shape, from_json
from kws_dendrite.output import claimed, write_text

DEFAULT_NAME, DEFAULT_VERSION = "kws_model", "1.0.0"


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
    frontend: FrontEndConfig | Mapping[str, Any] | None = None,
    detector: DetectorConfig | None = None,
    frames: int | None = None,
    name: str = DEFAULT_NAME,
    version: str = DEFAULT_VERSION,
    overwrite: bool = False,
) -> CSources:
    """Write an int8 TFLite file as C99 that compiles alone, and that CMake, Arduino and Zephyr take as it is.

    Args:
        tflite: model_quantized_int8_io.tflite.
        folder: new, empty, or this project's own with `overwrite`.
        labels: K names in output order.
        frontend: what the model's features are, a config or its JSON, a bundle's frontend.json included; with it the
            folder holds the front end and the detector too.
        frames: T, rows of the model's features, to hold the front end to; frontend.json's own window says it too.
        detector: when a score is a detection; needs `frontend` and `labels`.
        name, version: the library's, by Arduino's rules.
        overwrite: replace a folder that this function wrote.

    Raises:
        ExportError: the file is damaged or holds what has no C form, or the front end does not give the model's
            features; nothing is written.
        ConfigError: detector settings that do not fit the labels, or a name that Arduino refuses.
        OutputError: the folder is in use, not ours, or cannot be written.
    """
    program = read_program(tflite)
    model = emit_model(program, labels)
    files = dict(model.files)
    for runtime in model.runtime:
        files[runtime] = runtime_text("model", runtime)
    if frontend is not None:
        files |= _application(program, labels, frontend, detector, frames)
    elif detector is not None:
        raise ExportError("a detector needs to know the model's front end")
    figures = {
        "Working memory of one inference (`kws_arena`)": f"{model.arena_bytes:,} bytes",
        "The model's constants, portable build": f"{model.weight_bytes:,} bytes",
    }
    files |= package_files(name, version, files, frontend is not None, figures=figures)
    folder = Path(folder).absolute()
    with claimed(folder, overwrite=overwrite):
        write_files(files, folder)
    return CSources(folder, tuple(sorted(files)), model.arena_bytes, model.weight_bytes)


def _application(
    program: Program,
    labels: tuple[str, ...],
    frontend: FrontEndConfig | Mapping[str, Any],
    detector: DetectorConfig | None,
    frames: int | None,
) -> dict[str, str]:
    """Front end and detector: from samples to detections."""
    config = frontend
    if isinstance(frontend, Mapping):
        settings = dict(frontend)
        window = (settings.pop("task", None) or {}).get("window_seconds")  # how a bundle's clips were cut
        config = from_json(settings)
        if frames is None and window is not None:
            frames = feature_shape(config, round(window * config.sampling_freq))[0]
    source, target = program.tensors[program.input], program.tensors[program.output]
    width = coefficients(config)
    if source.size % width:
        raise ExportError(
            f"the model reads {source.size} features, no multiple of the {width} that its front end gives a frame"
        )
    if frames not in (None, source.size // width):
        raise ExportError(
            f"the front end gives windows of {frames} frames, but the model's {source.size} features are "
            f"{source.size // width} frames of {width}; is it the model's own front end?"
        )
    names = labels or tuple(map(str, range(target.size)))
    quantization = (target.scale, target.zero_point)
    return emit_frontend(config, source.size // width) | emit_detector(
        names, detector, output_quantization=quantization
    )


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
