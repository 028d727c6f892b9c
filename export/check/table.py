"""docs/operators.md from operators.toml: what each target takes for int8, with its sources.

python -m kws_dendrite.export.check.table docs/operators.md
"""

import sys
from pathlib import Path

from kws_dendrite.export.check.targets import ESP_DL, Cell, Table, Target, load_table
from kws_dendrite.output import write_text

UNKNOWN = "not stated"
HEAD = """# Operators

Which operators the microcontroller runtimes run in int8, for which types, in which quantised form. It is what
`kws-dendrite check MODEL.tflite --target {keys}` checks a file against.

Made by `python -m kws_dendrite.export.check.table docs/operators.md` from `export/check/operators.toml`, where every
entry has its source. "{unknown}" means that the source that was read does not say; it does not mean no. Edge Impulse's
kernels were looked up for int8 alone. Types are those of the operator's data input.
"""


def render(table: Table) -> str:
    """The page."""
    used: dict[str, int] = {}  # source key -> number on the page

    def cite(*keys: str) -> str:
        for key in keys:
            used.setdefault(key, len(used) + 1)
        return " ".join(f"[{used[key]}](#sources)" for key in keys)

    lines = [HEAD.format(keys="|".join(table.targets), unknown=UNKNOWN), "## In short", ""]
    lines += _matrix(table)
    for target in table.targets.values():
        lines += ["", f"## {target.title}", "", f"{target.what} Operators: {cite(target.resolver)}."]
        if target.fast:
            lines[-1] += f" Kernels of {target.fast_name}: {cite(target.fast_source)}."
        lines += ["", "| operator | types | quantised form | fast kernel | source |", "|---|---|---|---|---|"]
        known = sorted(name for name in target.operators if name in target.cells)
        for name in known:
            cell = target.cells[name]
            lines.append(
                f"| {_named(name, target, table)} | {_types(cell)} | {cell.form or UNKNOWN} | {_fast(name, target)} | "
                f"{cite(*cell.sources)} |"
            )
        others = sorted(target.operators - set(known))
        if others:
            lines += ["", f"Also in its list, types and form {UNKNOWN}: {', '.join(f'`{name}`' for name in others)}."]
        if target.custom:
            lines += ["", f"Custom operators in its list: {', '.join(f'`{name}`' for name in sorted(target.custom))}."]
    lines += ["", "## Sources", ""]
    lines += [f"{number}. <{table.sources[key]}>" for key, number in used.items()]
    return "\n".join(lines) + "\n"


def _matrix(table: Table) -> list[str]:
    """A row an operator that somebody's form is known of, a column a target."""
    targets = list(table.targets.values())
    lines = [f"| operator | {' | '.join(target.title for target in targets)} |", f"|---|{'---|' * len(targets)}"]
    for name in sorted(set().union(*(target.cells for target in targets))):
        cells = ["yes" if name in target.operators else "no" for target in targets]
        cells = [
            f"{cell}, fast" if cell == "yes" and name in target.fast else cell
            for cell, target in zip(cells, targets, strict=True)
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def _named(name: str, target: Target, table: Table) -> str:
    return f"`{name}` ({table.onnx[name]})" if target.key == ESP_DL else f"`{name}`"


def _types(cell: Cell) -> str:
    return ", ".join(cell.types) or UNKNOWN


def _fast(name: str, target: Target) -> str:
    return ("yes" if name in target.fast else "no") if target.fast else UNKNOWN


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m kws_dendrite.export.check.table docs/operators.md")
    write_text(Path(sys.argv[1]), render(load_table()))
