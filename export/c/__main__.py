"""`python -m kws_dendrite.export.c MODEL.tflite FOLDER`: any int8 TFLite file as C, without a bundle."""

import argparse
import json
import sys
from pathlib import Path

from kws_dendrite.errors import DataError, KwsDendriteError
from kws_dendrite.export.c import write_c


def main() -> None:
    """Parse the arguments, write the folder, say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m kws_dendrite.export.c", description=__doc__)
    parser.add_argument("model", type=Path, help="an int8 TFLite file")
    parser.add_argument("folder", type=Path, help="where the sources go")
    parser.add_argument("--labels", type=Path, help="a file of class names, one a line")
    parser.add_argument("--frontend", type=Path, help="frontend.json; with it come the front end and the detector")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result in the folder")
    given = parser.parse_args()
    labels = tuple(_read(given.labels).split("\n")) if given.labels else ()
    try:
        frontend = json.loads(_read(given.frontend)) if given.frontend else None
    except ValueError as error:
        raise DataError(f"{given.frontend} is not JSON: {error}") from error
    made = write_c(
        given.model,
        given.folder,
        labels=tuple(label for label in labels if label),
        frontend=frontend,
        overwrite=given.overwrite,
    )
    print(f"{len(made.files)} files in {made.folder}; {made.arena_bytes:,} bytes of working memory")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


if __name__ == "__main__":
    try:
        main()
    except KwsDendriteError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
