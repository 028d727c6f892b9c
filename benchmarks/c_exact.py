"""The generated C against LiteRT's reference kernels on real clips, every operator's tensor, byte for byte.

    python benchmarks/c_exact.py SPEECH_COMMANDS [BUNDLE ...] [--limit 1000] [--json exact.json]

Each bundle is exported to C and compiled for this machine; clips of the test partition, evenly spaced, go through its
own front end, are quantised as on a device, and through both. Without a bundle the three models of tests/golden/tflite
are compared, on the features that their inputs were made for. The exit status is 1 where anything differs.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.data import TaskConfig, load_dataset, read_signals
from kws_dendrite.errors import DataError, KwsDendriteError
from kws_dendrite.export.c import read_program, write_c
from kws_dendrite.export.c.native import NativeModel
from kws_dendrite.export.predictor import TFLitePredictor, open_tflite
from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfccConfig, extract, from_json
from kws_dendrite.output import write_json

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "tflite"
INT8 = "model_quantized_int8_io.tflite"
FRONTENDS: dict[int, FrontEndConfig] = {  # of a file without frontend.json beside it, by its number of features
    650: MfccConfig(num_cepstral=13, frame_length=0.02, frame_stride=0.02, num_filters=32, fft_length=256),
    2000: LogMelConfig(num_filters=40, frame_length=0.02, frame_stride=0.02, fft_length=512),
}


@dataclass(frozen=True)
class Exactness:
    """What one model gave.

    Attributes:
        model: its file.
        clips: compared.
        equal: clips of which every byte of every tensor is equal.
        operators: of the model.
        bytes: compared, in all.
        differing: operator name -> bytes that differ, of those that do.
        decisions: distinct decisions, and `values` distinct int8 inputs: how much the clips exercise.
    """

    model: str
    clips: int
    equal: int
    operators: int
    bytes: int
    differing: dict[str, int]
    decisions: int
    values: int


def compare(path: Path, x: np.ndarray) -> Exactness:
    """Int8 features (N, T*F) through the C and through LiteRT."""
    with tempfile.TemporaryDirectory() as folder:
        write_c(path, Path(folder) / "c")
        model = NativeModel(Path(folder) / "c", watch=True)
        mine = model.watched(x)
    operators = read_program(path).operators
    theirs = reference(path, x, [operator.outputs[0] for operator in operators])
    equal, differing = np.ones(len(x), bool), {}
    for row, ours, true in zip(model.operators, mine, theirs, strict=True):
        wrong = ours != true
        equal &= ~wrong.any(1)
        if wrong.any():
            differing[f"{row['index']} {row['operator']} {row['name']}"] = int(wrong.sum())
    return Exactness(
        model=str(path),
        clips=len(x),
        equal=int(equal.sum()),
        operators=len(operators),
        bytes=sum(true.size for true in theirs),
        differing=differing,
        decisions=len(np.unique(theirs[-1].argmax(1))),
        values=len(np.unique(x)),
    )


def reference(path: Path, x: np.ndarray, tensors: list[int]) -> list[np.ndarray]:
    """What LiteRT's reference kernels leave in these tensors: each int8 (N, bytes)."""
    interpreter = open_tflite(path, preserve=True)
    source = interpreter.get_input_details()[0]["index"]
    kept: list[list[np.ndarray]] = [[] for _ in tensors]
    for row in x:
        interpreter.set_tensor(source, row[None])
        interpreter.invoke()
        for rows, tensor in zip(kept, tensors, strict=True):
            rows.append(interpreter.get_tensor(tensor).reshape(-1))
    return [np.stack(rows) for rows in kept]


def features(path: Path, samples: np.ndarray) -> np.ndarray:
    """Samples (N, S) -> int8 features (N, T*F) of the front end that this model was made for."""
    predictor = TFLitePredictor(path)
    frontend: dict[str, Any] | None = predictor.frontend
    if frontend is not None:
        config = from_json({key: value for key, value in frontend.items() if key != "task"})
    elif predictor.features in FRONTENDS:
        config = FRONTENDS[predictor.features]
    else:
        raise DataError(f"{path} has no frontend.json beside it and {predictor.features} features; name a bundle")
    x = extract(samples, config).reshape(len(samples), -1)
    return predictor.quantize(x)


def clips(data: str, limit: int) -> np.ndarray:
    """Up to `limit` clips of the test partition, evenly spaced: int16 (N, S)."""
    dataset = load_dataset(data, TaskConfig())
    chosen = dataset.partition("test")
    places = np.unique(np.linspace(0, len(chosen) - 1, min(limit, len(chosen))).round().astype(int))
    return read_signals(replace(dataset, clips=tuple(chosen[i] for i in places)), "test").samples


def main() -> int:
    """Compare all, print N of N for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a data folder, such as Speech Commands'")
    parser.add_argument("bundles", nargs="*", type=Path, help=f"bundle folders or int8 files; default: {GOLDEN.name}")
    parser.add_argument("--limit", type=int, default=1000, help="clips, default 1000")
    parser.add_argument("--json", type=Path, help="also write the results there")
    options = parser.parse_intermixed_args()
    paths = [path / INT8 if path.is_dir() else path for path in options.bundles] or sorted(GOLDEN.glob("*.tflite"))
    try:
        samples = clips(options.data, options.limit)
        results = []
        for path in paths:
            results.append(compare(path, features(path, samples)))
            result = results[-1]
            print(
                f"{path.parent.name}/{path.name}: {result.equal} of {result.clips} clips equal in {result.operators} "
                f"operators ({result.bytes:,} bytes; {result.values} input values, {result.decisions} decisions occur)"
            )
            for name, count in result.differing.items():
                print(f"  differs: {name}, {count:,} bytes")
    except KwsDendriteError as error:
        print(f"c_exact: {error}", file=sys.stderr)
        return 2
    if options.json:
        write_json(options.json, json.loads(json.dumps([asdict(result) for result in results])))
    return int(any(result.equal < result.clips for result in results))


if __name__ == "__main__":
    sys.exit(main())
