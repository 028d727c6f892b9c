"""Measure what the generated C costs on each core, by kernel, and write the table that predictions read.

    python scripts/measure_device_costs.py [--cores cortex-m4,...] [--out FILE]

Each kernel runs over a grid of shapes in QEMU, where instructions are counted exactly. Cost is linear in how often the
kernel's loops run (`kws_dendrite.plain.device.kernels`). Least squares of the relative errors, no cost below zero,
gives what one of each takes. Needs arm-none-eabi-gcc and qemu-system-arm; takes about two minutes.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).resolve().parent))

from device_cost_code import measure_code
from device_cost_grid import ProgramBuilder, grids, write_program

from kws_dendrite.errors import KwsDendriteError
from kws_dendrite.export.benchmark.count import OPERATOR, count_folder
from kws_dendrite.export.benchmark.firmware import FLAGS
from kws_dendrite.export.benchmark.targets import TARGETS
from kws_dendrite.export.benchmark.toolchain import GCC, QEMU, version
from kws_dendrite.output import write_text
from kws_dendrite.plain.device.emitted import Emitted
from kws_dendrite.plain.device.kernels import ISAS, count, is_scale, kernel_of

TABLE = Path(__file__).resolve().parents[1] / "kws_dendrite" / "plain" / "device_costs.json"
FORMS = {"KWS_RISING": "rising", "KWS_LINE": "line", "KWS_ROUND_TWICE": "round", "KWS_ROUND_ONCE": "round"}


def check_forms(text: str, measured: Sequence[tuple[int, Emitted]]) -> None:
    """Refuse a grid whose operators did not come out in the form that they are counted as."""
    for index, operator in measured:
        if operator.operator == "DEPTHWISE_CONV_2D" and is_scale(operator):
            if not re.search(rf"static const kws_scale \w+_{index} = ", text):
                raise SystemExit(f"{operator} came out as no kws_scale")
        elif operator.form and operator.operator != "MAX_POOL_2D":
            layer = re.search(rf"static const kws_(?:conv|depthwise) \w+_{index} = \{{.*?\n\}};", text, re.DOTALL)
            found = next(form for name, form in FORMS.items() if layer and name in layer[0])
            if found != operator.form:
                raise SystemExit(f"{operator} came out as {found}")


Sample = tuple[Emitted, int, int | None]


def samples(cores: Sequence[str]) -> dict[str, list[Sample]]:
    """Core -> each operator of the grid with its instructions and modelled cycles; the rest of a call as well."""
    found: dict[str, list[Sample]] = {core: [] for core in cores}
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as name:
        for grid, operators in grids():
            builder = ProgramBuilder()
            for operator in operators:
                builder.add(operator)
            folder = Path(name) / grid
            folder.mkdir()
            check_forms(write_program(builder.program(), folder), builder.measured)
            for core in cores:
                (call,) = count_folder(folder, core)
                parts = {part.index: part for part in call.segments if part.kind == OPERATOR}
                for index, operator in builder.measured:
                    found[core].append((operator, parts[index].instructions, parts[index].cycles))
                told = f"{len(builder.measured)} operators, {call.instructions:,} instructions"
                print(f"{core} {grid}: {told}", flush=True)
    return found


def fit(rows: Sequence[dict[str, float]], costs: Sequence[int]) -> tuple[dict[str, float], float]:
    """(cost of one of each count, worst relative error of a row), least squares of the relative errors."""
    names = sorted({name for row in rows for name in row})
    matrix = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    target = np.array(costs, float)
    scaled = matrix / target[:, None]
    size = np.linalg.norm(scaled, axis=0)
    answer, _ = nnls(scaled / size, np.ones(len(target)))  # nothing takes less than no instruction
    coefficients = answer / size
    error = np.abs(matrix @ coefficients / target - 1).max()
    return {name: round(float(value), 3) for name, value in zip(names, coefficients, strict=True)}, float(error)


def kernels_of(core: str, found: Sequence[Sample]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kernel -> what its counts cost on the core."""
    isa = ISAS[core]
    groups: dict[str, list[Sample]] = {}
    for sample in found:
        groups.setdefault(kernel_of(sample[0], isa), []).append(sample)
    for kernel, rows in sorted(groups.items()):
        counts = [count(operator, isa) for operator, *_ in rows]
        instructions, error = fit(counts, [row[1] for row in rows])
        value: dict[str, Any] = {"operators": len(rows), "worst": round(error, 4), "instructions": instructions}
        if rows[0][2] is not None:
            value["cycles"], error = fit(counts, [row[2] or 0 for row in rows])
            value["worst cycles"] = round(error, 4)
        yield kernel, value


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="What the generated C costs on each core, by kernel.")
    parser.add_argument("--cores", default=",".join(ISAS))
    parser.add_argument("--out", type=Path, default=TABLE)
    given = parser.parse_args()
    cores = given.cores.split(",")
    found = samples(cores)
    table: dict[str, Any] = {"compiler": version(GCC), "flags": list(FLAGS), "emulator": version(QEMU), "cores": {}}
    for core in cores:
        entry = {"compiled": list(TARGETS[core].flags), "kernels": dict(kernels_of(core, found[core]))}
        table["cores"][core] = entry | measure_code(core)
        for kernel, value in entry["kernels"].items():
            print(f"{core:11s} {kernel:13s} {value['operators']:4d} operators, worst {value['worst']:.1%}")
    write_text(given.out, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except KwsDendriteError as error:
        sys.exit(f"error: {error}")
