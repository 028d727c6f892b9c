"""What a folder of generated C says of itself: its sources, its parts, the numbers in its headers, its operators."""

import json
import re
from pathlib import Path

from kws_dendrite.errors import ExportError


def sources_of(c_folder: Path) -> list[Path]:
    """The *.c files of a folder of generated sources.

    Raises:
        ExportError: there is none.
    """
    sources = sorted(Path(c_folder).glob("*.c"))
    if not sources:
        raise ExportError(f"{c_folder} holds no C sources; name a bundle with its c folder, or a .tflite")
    return sources


def parts_of(c_folder: Path) -> tuple[str, ...]:
    """Defines that tell the harness what the folder has: the model, the front end, the detector."""
    there = {"MODEL": "kws_model.h", "FRONTEND": "kws_frontend.h", "DETECTOR": "kws_detector.h"}
    return tuple(f"-DKWS_BENCH_{part}" for part, header in there.items() if (Path(c_folder) / header).is_file())


def header_number(c_folder: Path, header: str, name: str) -> int:
    """A macro's number in one of the folder's headers, 0 where the header is not there.

    Raises:
        ExportError: the header has no such macro.
    """
    path = Path(c_folder) / header
    if not path.is_file():
        return 0
    found = re.search(rf"^\s*#define\s+{name}\s+\(?(-?\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise ExportError(f"{path} does not define {name}; write the C sources again")
    return int(found[1])


def read_operators(c_folder: Path) -> dict[int, dict]:
    """Operator index -> its row of kws_model.json; empty where there is none.

    Raises:
        ExportError: the file is not what `write_c` wrote.
    """
    path = Path(c_folder) / "kws_model.json"
    if not path.is_file():
        return {}
    try:
        return {int(row["index"]): row for row in json.loads(path.read_text(encoding="utf-8"))["operators"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} cannot be read ({type(error).__name__}); write the C sources again") from error


def frames_per_second(c_folder: Path) -> float:
    """Of the folder's front end; 0 without one."""
    stride = header_number(c_folder, "kws_frontend.h", "KWS_FRONTEND_FRAME_STRIDE")
    return header_number(c_folder, "kws_frontend.h", "KWS_FRONTEND_SAMPLE_RATE") / stride if stride else 0.0


def model_sha256(c_folder: Path) -> str:
    """Of the .tflite that the sources were generated from; empty where they do not say."""
    path = Path(c_folder) / "kws_model.json"
    return str(json.loads(path.read_text(encoding="utf-8")).get("sha256", "")) if path.is_file() else ""
