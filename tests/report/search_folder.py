"""A made-up search folder that looks like a real one, at any moment of it: no number in it was measured."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

ARMS = ("plain", "growth", "perforated")
START = datetime(2026, 3, 4, 20, 0, tzinfo=UTC)
EPOCHS = 40
WORKERS = ("bench-2211-a1", "bench-2212-b7", "laptop-990-c3")
GAINS = {"plain": 0.0, "growth": 0.004, "perforated": -0.006}


def search_trials(rng: np.random.Generator, ended: int = 170, total: int = 200, members: int = 3) -> list[dict]:
    """trials.json as the search writes it, `ended` of `total` trials into it."""
    found: list[dict[str, Any]] = []
    clock = dict.fromkeys(WORKERS, 0.0)
    for number in range(total):
        arm = ARMS[number % len(ARMS)]
        worker = min(clock, key=clock.__getitem__)
        drawn = draw(rng, arm)
        base = {"number": number, "slot": number // len(ARMS), "arm": arm, "maximise": "accuracy", "tries": 1}
        if number >= ended + 3:
            found.append({**base, **EMPTY, "attempt": 0, "state": "waiting"})
            continue
        attempt = 0
        while rng.random() < 0.12:
            over = int(rng.integers(8300, 14000))
            limit = rng.choice(["RAM {} B is over --max-ram 8,192 B", "parameter count {} is over --max-params 8,000"])
            params = {**draw(rng, arm), "model.channels": int(rng.integers(36, 48))}
            found.append({**base, **EMPTY, "attempt": attempt, "state": "skipped", "why": limit.format(f"{over:,}"),
                          "params": params,
                          "started": stamp(clock[worker]), "ended": stamp(clock[worker] + 0.1), "seconds": 0.1,
                          "worker": worker})  # fmt: skip
            attempt += 1
        if number == ended // 2:
            for name in clock:
                clock[name] += 9 * 3600  # the night
        state = "running" if number >= ended else "failed" if number in (41, 77) else "complete"
        record = trained(rng, drawn, arm, members, state)
        seconds = record["epochs"] * float(rng.uniform(0.5, 0.9)) * 6
        record |= base | {"attempt": attempt, "worker": worker, "started": stamp(clock[worker]), "seconds": seconds}
        if state != "running":
            clock[worker] += seconds
            record["ended"] = stamp(clock[worker])
        found.append(record)
    return found


EMPTY: dict[str, Any] = {
    "why": None, "validation_accuracy": None, "validation_accuracy_members": [], "validation_loss_members": [],
    "parameters": None, "macs": None, "costs": None, "params": {}, "architecture": None, "growth": None,
    "seconds": 0.0, "points": [], "curve": [], "steps": [], "started": None, "ended": None, "worker": None,
    "recipe": None, "frontend": None, "augment": None, "epochs": None, "saved": 0, "dendrites": None,
}  # fmt: skip


def stamp(seconds: float) -> str:
    """A moment of the search, as trials.json has it."""
    return (START + timedelta(seconds=seconds)).isoformat()


def draw(rng: np.random.Generator, arm: str) -> dict[str, Any]:
    """Parameters with conditions among them, by Optuna's names."""
    family = str(rng.choice(["separable", "separable", "paper", "bc_resnet"]))
    kind = str(rng.choice(["logmel", "logmel", "mfcc"]))
    params: dict[str, Any] = {
        "model.family": family, "model.channels": int(rng.integers(6, 34)),
        "train.learning_rate": float(10 ** rng.uniform(-3, -1)), "train.weight_decay": float(10 ** rng.uniform(-5, -2)),
        "frontend.kind": kind, "frontend.num_filters": int(rng.choice([20, 24, 32, 40])),
        "frontend.frame_stride": float(rng.choice([0.01, 0.02, 0.03])), "augment.copies": int(rng.integers(2, 8)),
    }  # fmt: skip
    if kind == "mfcc":
        params["frontend.num_cepstral"] = int(rng.integers(8, 20))
    if family == "separable":
        params |= {"model.kernel": int(rng.choice([5, 7, 9, 11])), "model.repeats": int(rng.integers(1, 4))}
    if arm != "plain":
        params |= {"dendrites.kind": str(rng.choice(["copy", "lean", "sparse", "temporal"])),
                   "dendrites.layers": str(rng.choice(["all", "conv", "head"])),
                   "dendrites.count": int(rng.integers(1, 4))}  # fmt: skip
    return params


def trained(rng: np.random.Generator, params: dict, arm: str, members: int, state: str) -> dict[str, Any]:
    """A trial's points and curve; hopeless ones are stopped."""
    channels, family = params["model.channels"], params["model.family"]
    width = {"separable": 1.0, "paper": 2.6, "bc_resnet": 1.4}[family]
    size = int((24 * channels + 1.6 * channels**2 + 120) * width)
    bad_rate = abs(np.log10(params["train.learning_rate"]) + 1.8)
    top = 0.975 - 2.1 * (size / width) ** -0.42 + GAINS[arm] - 0.03 * bad_rate**2 - 0.012 * (width - 1)
    top -= 0.02 * (params["frontend.kind"] == "mfcc") + abs(rng.normal(0, 0.012))
    count = params.get("dendrites.count", 0)
    stopped = state == "complete" and top < 0.80 and rng.random() < 0.75
    last = int(rng.integers(8, 20)) if stopped else EPOCHS if state == "complete" else int(rng.integers(5, 34))
    marks = [round(EPOCHS * (k + 1) / (count + 1)) for k in range(count + 1)]
    curve, points, offsets = [], [], rng.normal(0, 0.006, members)
    for epoch in range(last):
        step = sum(epoch >= mark for mark in marks[:-1])
        # Each step starts its learning rate anew: a dip, then a little above what was.
        cycle = epoch - (marks[step - 1] if step else 0)
        mean = top + 0.008 * step - (0.75 if step == 0 else 0.12) * np.exp(-(cycle + 1) / 4)
        values = np.clip(mean + offsets + rng.normal(0, 0.004, members), 0.05, 0.99)
        curve.append({"epoch": epoch, "phase": f"dendrite {step}" if step else "cycle 1", "seconds": 3.1,
                      "train_loss": float(1.2 * (1 - mean)), "train_accuracy": float(min(0.99, mean + 0.02)),
                      "validation_loss": [float(1.4 * (1 - v)) for v in values],
                      "validation_accuracy": [round(float(v), 4) for v in values]})  # fmt: skip
        if epoch + 1 in marks or (stopped and epoch + 1 == last):
            grown = int(size * (1 + 0.12 * step))
            points.append({"dendrites": step, "validation_accuracy": float(values.mean()),
                           "validation_accuracy_members": [float(v) for v in values],
                           "validation_loss_members": curve[-1]["validation_loss"], "parameters": grown,
                           "macs": grown * 57, "costs": {"ram": 2000 + 2 * grown, "flash": 9000 + grown},
                           "value": grown, "epochs": epoch + 1, "restarts": 0,
                           "growth": None if not step else {"mode": arm, "dendrites": step}})  # fmt: skip
    points = points if state != "failed" else []
    at = points[-1] if points else {}
    names = ("validation_accuracy", "parameters", "macs", "costs", "dendrites", "growth")
    why = None
    if stopped:
        reached = curve[-1]["validation_accuracy"][0]
        why = f"{reached:.1%} after {last} epochs: the front has 91 % at {size:,} parameters"
    if state == "failed":
        why = "the training loss is nan in epoch 6; lower the learning rate (now 0.0912)"
    return EMPTY | {name: at.get(name) for name in names} | {
        "state": "stopped" if stopped else state, "why": why, "params": params, "points": points, "curve": curve,
        "validation_accuracy_members": at.get("validation_accuracy_members", []),
        "validation_loss_members": at.get("validation_loss_members", []), "epochs": last,
        "saved": EPOCHS - last if stopped else 0,
        "architecture": {"family": family, "channels": channels}, "recipe": {"epochs": EPOCHS},
        "frontend": {"block": params["frontend.kind"], "num_filters": params["frontend.num_filters"]},
    }  # fmt: skip


SETTINGS: dict[str, Any] = {
    "version": "0.1.0", "study": "office", "space": "default",
    "data": {"name": "Speech Commands v0.02, 12 classes", "synthetic": False,
             "clips": {"train": 8538, "validation": 1655}, "labels": ["yes", "no", "_unknown_", "_silence_"]},
    "objective": {"name": "params", "label": "Folded parameters"}, "limits": {"max_params": 8000, "max_ram": 8192},
    "arms": list(ARMS), "trials": 67, "epochs": EPOCHS, "members": 3, "seed": 0, "stop": True,
    "storage": "postgresql://search@db/office",
}  # fmt: skip


def refitted(trials: list[dict], seed: int = 0, tested: bool = True) -> dict[str, Any]:
    """front.json of the trials' front: a little less than the search had said."""
    rng, rows, best = np.random.default_rng(seed), [], 0.0
    nets = [(trial, net) for trial in trials if trial["state"] in ("complete", "stopped") for net in trial["points"]]
    for trial, net in sorted(nets, key=lambda pair: pair[1]["value"]):
        if net["validation_accuracy"] <= best:
            continue
        best = net["validation_accuracy"]
        fresh = best - abs(float(rng.normal(0.008, 0.006)))
        on_test = {"accuracy": fresh - 0.01, "interval": [fresh - 0.03, fresh + 0.01], "int8_accuracy": fresh - 0.012}
        rows.append({
            "name": f"{trial['arm']}-{trial['slot']}-{net['dendrites']}", "trial": trial["number"], "arm": trial["arm"],
            "dendrites": net["dendrites"], "front": not rows or fresh > max(row["accuracy"] for row in rows),
            "accuracy": fresh, "interval": [fresh - 0.018, fresh + 0.018], "said": {"accuracy": best},
            "parameters": net["parameters"], "value": net["value"], "test": on_test if tested else None,
        })  # fmt: skip
    return {
        "members": 5, "validation_clips": 1655, "planned": len(rows), "finished": len(rows), "points": rows,
        "optimism": {"said": 0.853, "refitted": 0.845, "difference": 0.008, "interval": [0.004, 0.012]},
        "arms_on": "test", "readings": {"times": ["2026-03-05T10:00:00+00:00"] if tested else []},
        "arms": [{"limit": 1000, "arm": "growth", "against": "plain", "difference": 0.004, "interval": [-0.006, 0.014],
                  "p_holm": 0.62}],
    }  # fmt: skip


def make_search_folder(folder: Path, *, seed: int = 0, ended: int = 170, total: int = 200) -> Path:
    """Write search.json and trials.json; the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    trials = search_trials(np.random.default_rng(seed), ended, total)
    (folder / "trials.json").write_text(json.dumps(trials), encoding="utf-8")
    settings = SETTINGS | {"trials": total // len(ARMS) + (total % len(ARMS) > 0)}
    (folder / "search.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
