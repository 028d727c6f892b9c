"""Reading the test partition: once, all rows together, float and int8, and on record.

A reading is written down before the first clip is scored, with the weights of every row in it. Interrupted, it goes on
with those very weights. Another reading, of rows that came or changed later, needs to be asked for and stays visible.
"""

import datetime
import fcntl
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kws_dendrite import __version__
from kws_dendrite.errors import ConfigError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.frontend import FrontEndConfig, from_json
from kws_dendrite.output import replacing, write_json
from kws_dendrite.study.int8 import int8_decisions
from kws_dendrite.study.protocol_paper import is_paper
from kws_dendrite.study.rows import Row, RowStore
from kws_dendrite.study.source import Source, TestClips
from kws_dendrite.training.checkpoint import load_checkpoint
from kws_dendrite.training.loop import predict

FOLDER, RECORD = "test", "reading.json"


@dataclass(frozen=True)
class Reading:
    """One reading of the test partition.

    Attributes:
        time: when it began, UTC, ISO 8601.
        version: of this package.
        rows: name -> SHA-256 of the weights that were scored.
        finished: whether every row was.
    """

    time: str
    version: str
    rows: dict[str, str]
    finished: bool


@dataclass(frozen=True)
class TestScores:
    """How one row did on the test clips.

    Attributes:
        correct: bool (P, N), as trained.
        int8_correct: bool (P, N), as int8 TFLite; None where it was not asked for.
        recall: (K,) mean over members; NaN for a class without clips.
        speakers: int64 (N,), as in `TestClips`; None where they are not known.
    """

    __test__ = False  # not a test of pytest's

    correct: np.ndarray
    int8_correct: np.ndarray | None
    recall: np.ndarray
    speakers: np.ndarray | None = None


class TestRecord:
    """The test/ folder of a study: its readings and the scores of every row that was read."""

    __test__ = False

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder) / FOLDER

    def readings(self) -> list[Reading]:
        """All readings, the first one first.

        Raises:
            ConfigError: the record is not readable.
        """
        path = self.folder / RECORD
        try:
            return [Reading(**value) for value in json.loads(path.read_text(encoding="utf-8"))["readings"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is not a record of readings ({error}); restore it from a copy") from error

    def write(self, readings: Sequence[Reading]) -> None:
        """Keep the record."""
        write_json(self.folder / RECORD, {"readings": [asdict(reading) for reading in readings]})

    def scores(self, row: Row) -> TestScores | None:
        """A row's scores; None where these weights were not read."""
        path = self.folder / f"{row.name}.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as held:
            if str(held["weights"]) != row.weights:
                return None
            clips = int(held["clips"])
            unpacked = {
                name: np.unpackbits(held[name], axis=1, count=clips).astype(bool)
                for name in ("correct", "int8_correct")
                if name in held
            }
            speakers = held.get("speakers")
            return TestScores(unpacked["correct"], unpacked.get("int8_correct"), held["recall"], speakers)

    def keep(self, row: Row, scores: TestScores) -> None:
        """Store a row's scores, a bit a clip."""
        arrays = {
            "weights": np.array(row.weights),
            "clips": np.array(scores.correct.shape[1]),
            "correct": np.packbits(scores.correct, axis=1),
            "recall": scores.recall,
        }
        if scores.int8_correct is not None:
            arrays["int8_correct"] = np.packbits(scores.int8_correct, axis=1)
        if scores.speakers is not None:
            arrays["speakers"] = scores.speakers
        with replacing(self.folder / f"{row.name}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


def read_test(
    folder: Path | str,
    store: RowStore,
    rows: Sequence[Row],
    source: Source,
    *,
    again: bool = False,
    on_row: Callable[[Row, TestScores], None] = lambda row, scores: None,
) -> list[Reading]:
    """Score rows on the test partition, all of them together; returns the readings so far.

    Rows that were read before with the same weights are not read again, and a call without any other row does nothing.

    Args:
        folder: of the study.
        store: where the rows' checkpoints stand.
        rows: finished ones, all that are to be compared.
        source: whose test partition is read.
        again: allow another reading; the report then says that there were several.
        on_row: called after each row.

    Raises:
        ConfigError: the test partition was read before and rows came or changed since, without `again`; or a
            checkpoint is not the one that its row describes.
        OutputError: another process is reading.
    """
    record = TestRecord(folder)
    record.folder.mkdir(parents=True, exist_ok=True)
    with (record.folder / "claim").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"another process reads the test partition of {folder}; wait for it") from error
        readings = record.readings()
        wanted = {row.name: row.weights for row in rows}
        if not _is_covered(readings, wanted):
            _check_allowed(readings, wanted, again)
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            readings.append(Reading(now, __version__, wanted, finished=False))
            record.write(readings)
        _score(record, store, rows, source, on_row)
        if not readings[-1].finished and all(record.scores(row) is not None for row in rows):
            done = {row.name for row in rows} >= set(readings[-1].rows)
            readings[-1] = Reading(**{**asdict(readings[-1]), "finished": done})
            record.write(readings)
    return readings


def _is_covered(readings: Sequence[Reading], wanted: dict[str, str]) -> bool:
    known = {pair for reading in readings for pair in reading.rows.items()}
    return bool(readings) and set(wanted.items()) <= known


def _check_allowed(readings: Sequence[Reading], wanted: dict[str, str], again: bool) -> None:
    if not readings or again:
        return
    known = {pair for reading in readings for pair in reading.rows.items()}
    names = sorted(name for name, weights in wanted.items() if (name, weights) not in known)
    some = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    raise ConfigError(
        f"the test partition was read on {readings[-1].time}, before {some} stood as now; leave those rows out, or add "
        "--again, and the report says that it was read more than once"
    )


def _score(
    record: TestRecord,
    store: RowStore,
    rows: Sequence[Row],
    source: Source,
    on_row: Callable[[Row, TestScores], None],
) -> None:
    left = [row for row in rows if record.scores(row) is None]
    for row in left:
        if store.weights_hash(row.name) != row.weights:
            raise ConfigError(
                f"the weights of {row.name} are not those that were trained; remove {store.path(row.name)} to train "
                "the row anew"
            )
    held: tuple[FrontEndConfig | None, TestClips, np.ndarray] | None = None
    for row in sorted(left, key=lambda row: json.dumps(row.made_of["frontend"])):  # a front end's rows together
        described = row.made_of["frontend"]
        frontend = from_json(described) if described else None
        if held is None or held[0] != frontend:
            held = None
            held = frontend, source.test(frontend), source.calibration(frontend)
        scores = score(store.path(row.name), held[1], None if is_paper(row.arm) else held[2])
        record.keep(row, scores)
        on_row(row, scores)


def score(folder: Path, clips: TestClips, calibration: np.ndarray | None) -> TestScores:
    """One checkpoint's decisions against the labels, float and, with calibration features (M, T*F), int8."""
    checkpoint = load_checkpoint(folder)
    decided = predict(checkpoint.model, torch.from_numpy(clips.features)).argmax(-1).numpy()  # (P, N)
    correct = decided == clips.labels
    int8 = None
    if calibration is not None:
        graphs = [fold(checkpoint.model, member, checkpoint.labels) for member in range(checkpoint.members)]
        int8 = int8_decisions(graphs, calibration, clips.features) == clips.labels
    classes = range(len(checkpoint.labels))
    with np.errstate(invalid="ignore"):
        recall = [correct[:, clips.labels == k].mean() if (clips.labels == k).any() else np.nan for k in classes]
    return TestScores(correct, int8, np.array(recall), clips.speakers)


def summary(readings: Sequence[Reading]) -> dict[str, Any]:
    """For a report: when, how often, and which rows came after the first reading."""
    first = readings[0].rows if readings else {}
    later = sorted({name for one in readings[1:] for name, weights in one.rows.items() if first.get(name) != weights})
    return {"times": [reading.time for reading in readings], "later": later}
