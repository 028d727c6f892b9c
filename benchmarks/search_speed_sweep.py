"""A whole search by the command itself, for search_speed.py: its time, memory, and what a second worker adds."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kws_dendrite.output import write_json

ARMS = "plain,gradient,perforated"  # the published sweep's
EPOCHS, MEMBERS = 40, 1  # one seed a trial, as published
LOOK = 1.0  # seconds between two looks at the memory
PARTS = 8  # of a sweep, whose times are compared


def sweep(data: Path, work: Path, trials: int, workers: int, more: Sequence[str]) -> dict[str, Any]:
    """Run or go on with a sweep of `trials` in all; Ctrl-C stops it."""
    arms = len(ARMS.split(","))
    found = run_search(data, work / f"sweep-{trials}-{workers}", -(-trials // arms), workers, more)
    show(found)
    return found


def workers(data: Path, work: Path, trials: int, more: Sequence[str]) -> dict[str, Any]:
    """The same small search from scratch with one worker and with two; up to 30 trials, ten an arm, it is the same one:
    later draws depend on which trials have ended."""
    arms, results = len(ARMS.split(",")), {}
    for count in (1, 2):
        folder = work / f"workers-{count}"
        shutil.rmtree(folder, ignore_errors=True)
        results[count] = run_search(data, folder, -(-trials // arms), count, more)
        show(results[count])
    factor = results[1]["training_seconds"] / results[2]["training_seconds"]
    print(f"second worker: {factor:.2f} times the trials an hour, on {len(os.sched_getaffinity(0))} cores")
    return {"factor": factor, "one": results[1], "two": results[2]}


def run_search(data: Path, folder: Path, each: int, count: int, more: Sequence[str]) -> dict[str, Any]:
    """`kws-dendrite search` to its end; its figures, summed over the calls that it took."""
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder.with_suffix(".json")
    before = json.loads(notes.read_text()) if notes.exists() and (folder / "search").exists() else {}
    command = [
        sys.executable, "-m", "kws_dendrite.cli.main", "search", str(data), "--out", str(folder / "search"),
        "--space", "paper", "--frontend", "mfcc", "--copies", "0", "--arms", ARMS, "--trials", str(each),
        "--epochs", str(EPOCHS), "--members", str(MEMBERS), "--stop-hopeless", "--workers", str(count),
        "--cache", str(folder.parent / "cache"), *more,
    ]  # fmt: skip
    print(" ".join(command), flush=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    used = processor_seconds()
    begun, peak, process = time.time(), 0, subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(LOOK)
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
    calls = [*before.get("calls", []), [begun, time.time()]]
    found = figures(folder / "search", calls) | {
        "workers": count,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "cpu_seconds": before.get("cpu_seconds", 0.0) + processor_seconds() - used,
        "peak_memory": max(peak, before.get("peak_memory", 0)),
        "calls": calls,
        "command": command[1:],
    }
    write_json(notes, found)
    if process.returncode:
        show(found)
        sys.exit(f"the search ended with status {process.returncode}; the same command goes on with it")
    return found


def figures(folder: Path, calls: list[list[float]]) -> dict[str, Any]:
    """From the records of a search: how many trials of which end, and when."""
    rows = json.loads((folder / "trials.json").read_text()) if (folder / "trials.json").exists() else []
    ended = [row for row in rows if row["state"] in ("complete", "stopped", "failed")]
    moments = sorted(active(seconds_of(row["ended"]), calls) for row in ended)
    first = min((active(seconds_of(row["started"]), calls) for row in ended), default=0.0)
    states = {state: sum(row["state"] == state for row in ended) for state in ("complete", "stopped", "failed")}
    count = len(moments)
    marks = sorted({round(count * part / PARTS) for part in range(1, PARTS + 1)} - {0})
    last = moments[-1] if moments else 0.0
    return {
        "trials": count,
        "states": states,
        "epochs": sum(len(row.get("curve") or ()) for row in ended),
        "seconds": sum(end - start for start, end in calls),
        "training_seconds": last - first,
        "trials_an_hour": 3600 * count / (last - first) if count > 1 else None,
        "seconds_at": {str(mark): moments[mark - 1] - first for mark in marks},
    }


def active(moment: float, calls: list[list[float]]) -> float:
    """Seconds of the calls until `moment`: the time between two calls does not count."""
    return sum(min(moment, end) - start for start, end in calls if moment > start)


def seconds_of(value: Any) -> float:
    """A record's moment, ISO 8601 or seconds."""
    from datetime import datetime

    return value if isinstance(value, (int, float)) else datetime.fromisoformat(value).timestamp()


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory_of(group: int) -> int:
    """Bytes of all processes of a session: shared pages are split between those that share them (PSS)."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) != group:
                continue
            for line in (entry / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (OSError, ProcessLookupError):
            continue
    return total


def show(found: dict[str, Any]) -> None:
    """A few lines for a person."""
    states = ", ".join(f"{count} {state}" for state, count in found["states"].items())
    hourly = found["trials_an_hour"]
    print(
        f"{found['trials']} trials ({states}), {found['epochs']} epochs, {found['workers']} workers on "
        f"{found['cores']} cores, load {found['load'][0]:.1f}: {found['seconds']:.0f} s in all, "
        f"{found['training_seconds']:.0f} s from the first trial to the last"
        + (f", {hourly:.0f} trials an hour" if hourly else "")
        + (f"; {found['cpu_seconds'] / found['trials']:.2f} processor seconds a trial" if found["trials"] else "")
        + f"; peak memory {found['peak_memory'] / 2**30:.2f} GiB"
    )
    print("seconds at trial: " + ", ".join(f"{mark}: {at:.0f}" for mark, at in found["seconds_at"].items()))


if __name__ == "__main__":
    sys.exit("run benchmarks/search_speed.py")
