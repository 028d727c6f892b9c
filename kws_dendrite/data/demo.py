"""The built-in demo: synthetic clips that ship with the package, so that everything runs offline."""

from importlib.resources import files
from pathlib import Path

from kws_dendrite.errors import DataError

DEMO = "demo"  # what a user writes in place of a folder
LICENCE = "Apache-2.0; synthetic speech made with espeak-ng, see the README.md beside it"


def demo_folder() -> Path:
    """Where the demo's clips lie.

    Raises:
        DataError: the package was installed without them.
    """
    folder = Path(str(files("kws_dendrite.data"))) / "demo"
    if not (folder / "dataset.json").is_file():
        raise DataError(f"the demo's clips are missing from {folder}; install the package again")
    return folder
