"""The child process that holds TensorFlow: `python -m kws_dendrite.export.convert JOBS.json`.

Each job is {"graph": npz, "float": path or null, "int8": path or null, "calibration": npy}. On failure error.txt beside
the jobs says why in one line, and the exit status is 1.
"""

import json
import sys
import traceback
from pathlib import Path

import numpy as np

from kws_dendrite.errors import KwsDendriteError
from kws_dendrite.export.tflite_emitter import convert_float, convert_int8
from kws_dendrite.plain import load_graph


def main(jobs: Path) -> int:
    """Convert every job; returns the exit status."""
    try:
        for job in json.loads(jobs.read_text(encoding="utf-8")):
            graph = load_graph(job["graph"])
            if job["float"]:
                Path(job["float"]).write_bytes(convert_float(graph))
            if job["int8"]:
                calibration = np.load(job["calibration"], allow_pickle=False)
                Path(job["int8"]).write_bytes(convert_int8(graph, calibration))
    except KwsDendriteError as error:
        jobs.with_name("error.txt").write_text(str(error), encoding="utf-8")
        return 1
    except Exception as error:  # TensorFlow raises many kinds; the user gets one line, the log the rest
        traceback.print_exc()
        first = (str(error).splitlines() or ["no message"])[0]
        message = f"TensorFlow's converter failed ({type(error).__name__}): {first}"
        jobs.with_name("error.txt").write_text(message, encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
