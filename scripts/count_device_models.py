"""Count whole models that the cost table has not seen, on each core, for the test that holds predictions to them.

    python scripts/count_device_models.py [--cores cortex-m4,...] [--out FILE]

Exports the project's models through TensorFlow, writes their C, counts one inference in QEMU, and takes flash and RAM
from the linker. Then compares with what the table predicts.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from device_cost_code import link_app
from device_cost_models import Unseen, calibration, golden_models, project_models

from kws_dendrite.errors import KwsDendriteError
from kws_dendrite.export.benchmark.count import count_folder
from kws_dendrite.export.benchmark.footprint import footprint
from kws_dendrite.export.benchmark.toolchain import GCC, version
from kws_dendrite.export.c import write_c
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.output import write_text
from kws_dendrite.plain.device import CORES, predict

COUNTS = Path(__file__).resolve().parents[1] / "tests" / "plain" / "device_counts.json"


def export(models: Sequence[Unseen], folder: Path) -> dict[str, Path]:
    """Name -> folder of C."""
    files = {model.name: model.tflite or folder / f"{index}.tflite" for index, model in enumerate(models)}
    convert(
        [
            TFLiteJob(model.graph, int8_path=files[model.name], calibration=calibration(model.graph))
            for model in models
            if model.tflite is None
        ]
    )
    folders = {name: folder / f"c{index}" for index, name in enumerate(files)}
    for name, tflite in files.items():
        write_c(tflite, folders[name])
    return folders


def count_model(folder: Path, core: str) -> dict[str, int | None]:
    """Instructions and modelled cycles of one inference, flash, RAM and arena in bytes."""
    (call,) = count_folder(folder, core)
    size = footprint(link_app(folder, core))
    arena = json.loads((folder / "kws_model.json").read_text(encoding="utf-8"))["arena_bytes"]
    return {
        "instructions": call.instructions, "cycles": call.cycles, "flash": size.flash, "ram": size.ram, "arena": arena,
    }  # fmt: skip


def compare(model: Unseen, core: str, counted: dict[str, Any]) -> dict[str, float]:
    """Relative errors of the prediction."""
    cost = predict(model.graph, core)
    predicted = {
        "instructions": cost.instructions, "cycles": cost.cycles, "flash": cost.flash_bytes, "ram": cost.ram_bytes,
        "arena": cost.arena_bytes,
    }  # fmt: skip
    return {name: value / counted[name] - 1 for name, value in predicted.items() if value is not None}


def main() -> None:
    """Count, compare and write."""
    parser = argparse.ArgumentParser(description="Counts of whole models, for the test of predictions.")
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--out", type=Path, default=COUNTS)
    given = parser.parse_args()
    models = [*golden_models(), *project_models()]
    cores = given.cores.split(",")
    counted: dict[str, dict[str, Any]] = {}
    worst: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        folders = export(models, Path(name))
        for model in models:
            counted[model.name] = {core: count_model(folders[model.name], core) for core in cores}
            for core in cores:
                errors = compare(model, core, counted[model.name][core])
                told = "  ".join(f"{key} {value:+.1%}" for key, value in errors.items())
                print(f"{model.name:50s} {core:11s} {told}", flush=True)
                for key, value in errors.items():
                    worst[core, key] = max(worst.get((core, key), 0.0), abs(value))
    for (core, key), value in worst.items():
        print(f"worst {core} {key} {value:.2%}")
    text = json.dumps({"compiler": version(GCC), "models": counted}, indent=1)
    write_text(given.out, text + "\n")


if __name__ == "__main__":
    try:
        main()
    except KwsDendriteError as error:
        sys.exit(f"error: {error}")
