"""Everything that Edge Impulse's "Upload your model" asks for, and the device after it, in one folder."""

import shutil
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.errors import DataError
from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.export.edge_impulse import c_struct, vector
from kws_dendrite.export.edge_impulse.model import FLOAT, INT8, ONNX, BundleModel, Vector
from kws_dendrite.export.edge_impulse.steps import REPRESENTATIVE, STUDIO_LINE, steps_text
from kws_dendrite.frontend import LogMelConfig, compute
from kws_dendrite.output import MARKER, claimed, write_text

MOST_REPRESENTATIVE = 500  # clips; ranges settle well before


@dataclass(frozen=True)
class Material:
    """Clips from the data that the model was trained on.

    Attributes:
        features: float32 (N, T*F), of training clips.
        audio: int16 (M, S), windows of a few other clips.
        labels: (M,) their classes.
    """

    features: np.ndarray
    audio: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Pack:
    """What was written.

    Attributes:
        folder: where.
        sizes: file name -> bytes.
        labels: in order.
        representative: clips among the representative features.
        front_end: "mfcc", "mfe", "logmel", or None where it is not known.
    """

    folder: Path
    sizes: dict[str, int]
    labels: tuple[str, ...]
    representative: int
    front_end: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "folder": str(self.folder),
            "sizes": dict(self.sizes),
            "labels": list(self.labels),
            "representative": self.representative,
            "front_end": self.front_end,
        }


def write_pack(
    model: BundleModel, folder: Path | str, *, material: Material | None = None, overwrite: bool = False
) -> Pack:
    """Write the folder.

    Args:
        model: what `read_bundle` gave.
        folder: where it goes.
        material: clips; without them, the bundle's own test vector has to do.
        overwrite: replace an earlier pack there.

    Raises:
        ExportError: a test vector that is not the model's.
        DataError: clips that do not fit the model.
        OutputError: the folder is in use, not ours, or holds results already.
    """
    chosen, representative = _clips(model, material)
    with claimed(folder, overwrite=overwrite) as out, tempfile.TemporaryDirectory(prefix=".unfinished.", dir=out) as at:
        work = Path(at)
        for name in (INT8, FLOAT, ONNX, "labels.txt", "frontend.json"):
            if (model.folder / name).is_file():
                shutil.copyfile(model.folder / name, work / name)
        with (work / REPRESENTATIVE).open("wb") as file:
            np.save(file, representative)
        write_text(work / "test_vector.json", vector.vector_json(model, chosen))
        write_text(work / STUDIO_LINE, vector.studio_line(chosen))
        write_text(work / vector.HEADER, vector.vector_header(model, chosen))
        write_text(work / vector.EXAMPLE, vector.example_source(chosen))
        if chosen.audio is not None and model.frontend is not None:
            _write_wav(work / "test_audio.wav", chosen.audio, model.frontend.sampling_freq)
        if model.frontend is not None:
            write_text(work / c_struct.HEADER, c_struct.features_header(model))
        if isinstance(model.frontend, LogMelConfig):
            assert model.shape is not None
            for name, text in emit_frontend(model.frontend, model.shape[0]).items():
                write_text(work / name, text)
        sizes = {path.name: path.stat().st_size for path in sorted(work.iterdir())}
        text = steps_text(model, chosen, rows=len(representative), from_data=material is not None, sizes=sizes)
        write_text(work / "STEPS.md", text)
        sizes["STEPS.md"] = (work / "STEPS.md").stat().st_size
        for entry in out.iterdir():
            if entry.name != MARKER and entry != work:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for entry in sorted(work.iterdir()):
            entry.replace(out / entry.name)
    block = model.frontend.block if model.frontend is not None else None
    return Pack(Path(folder), sizes, model.labels, len(representative), block)


def _clips(model: BundleModel, material: Material | None) -> tuple[Vector, np.ndarray]:
    """The test vector, and the representative features float32 (N, T*F)."""
    if material is None:
        chosen = model.vector()
        return chosen, chosen.features
    features = np.ascontiguousarray(material.features, np.float32)
    if features.ndim != 2 or features.shape[1] != model.features or not len(features):
        raise DataError(f"the data give features of shape {features.shape}, the model reads (N, {model.features})")
    if not np.isfinite(features).all():
        raise DataError("the data give features that are not finite; look for a broken clip")
    rows = np.linspace(0, len(features) - 1, min(len(features), MOST_REPRESENTATIVE)).astype(int)
    model.vector()  # the bundle is one piece
    if not len(material.audio) or model.frontend is None:
        return model.vector(), features[rows]
    x = np.stack([compute(clip, model.frontend).reshape(-1) for clip in material.audio])
    return model.run(x, material.labels, material.audio[0]), features[rows]


def _write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    with path.open("wb") as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
