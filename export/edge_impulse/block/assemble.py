"""Put the learning block's folder together: what `docker build` and `edge-impulse-blocks push` are run in.

    python export/edge_impulse/block/assemble.py my_block

The folder gets the files of this one, constraints.txt with the pinned versions, and a wheel of the project as it is.
Run it again after a change; files that it did not make, such as `.ei-block-config`, stay.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FILES = ("Dockerfile", "parameters.json", ".dockerignore", ".gitignore", "README.md")


def assemble(folder: Path, wheel: Path | None = None) -> None:
    """Fill `folder`; the wheel is built by pip unless one is given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(HERE / name, folder / name)
    shutil.copyfile(ROOT / "constraints.txt", folder / "constraints.txt")
    for stale in folder.glob("kws_dendrite-*.whl"):
        stale.unlink()
    if wheel is None:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
        subprocess.run(command, check=True)
    else:
        shutil.copyfile(wheel, folder / wheel.name)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheel", type=Path, help="a wheel of kws_dendrite to take instead of building one")
    options = parser.parse_args()
    assemble(options.folder, options.wheel)
    print(f"{options.folder}: " + ", ".join(sorted(path.name for path in options.folder.iterdir())))


if __name__ == "__main__":
    main()
