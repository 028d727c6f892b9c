"""A process that has TensorFlow loaded and converts when asked: its import takes longer than a conversion.

`python -m kws_dendrite.cli.block_converter` answers "ready" once it is loaded, then, for each line with the path of a
jobs file (see kws_dendrite.export.convert), the exit status of converting it.
"""

import os
import sys
from pathlib import Path
from typing import TextIO


def main() -> None:
    """Serve until standard input ends."""
    answers = _take_standard_output()
    import tensorflow  # noqa: F401

    from kws_dendrite.export.convert import main as convert

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(convert(Path(line.rstrip("\n"))), file=answers, flush=True)


def _take_standard_output() -> TextIO:
    """Standard output for the answers alone: what libraries print there goes to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(kept, "w", encoding="utf-8")


if __name__ == "__main__":
    main()
