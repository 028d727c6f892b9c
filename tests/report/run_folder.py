"""A made-up run folder that looks like a real one: no number in it was measured."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

LABELS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "_unknown_", "_silence_"]
COUNTS = [419, 405, 425, 406, 412, 396, 396, 402, 411, 402, 408, 408]


def trials(rng: np.random.Generator, members: int = 5, trials_per_arm: int = 22) -> list[dict[str, Any]]:
    """trials.json of three arms."""
    found = []
    for arm, gain in (("plain", 0.0), ("gradient", -0.004), ("perforated", 0.006)):
        for _ in range(trials_per_arm):
            channels = int(rng.integers(6, 42))
            parameters = int(24 * channels + 1.6 * channels**2 + 120 + rng.integers(0, 60))
            mean = 0.965 - 1.9 * parameters**-0.42 + gain - abs(rng.normal(0, 0.03))
            values = np.clip(mean + rng.normal(0, 0.005, members), 0, 1)
            state = "PRUNED" if rng.random() < 0.06 else "COMPLETE"
            found.append({
                "number": len(found), "arm": arm, "parameters": parameters, "macs": parameters * 57, "state": state,
                "validation_accuracy": None if state == "PRUNED" else float(values.mean()),
                "validation_accuracy_members": [] if state == "PRUNED" else [float(v) for v in values],
                "params": {
                    "channels": channels, "kernel": int(rng.choice([7, 9, 11])), "dilations": [1, 3],
                    "learning_rate": float(10 ** rng.uniform(-2, -1.2)),
                    "dendrites": 0 if arm == "plain" else int(rng.integers(1, 4)),
                },
                "seconds": float(rng.uniform(20, 90)),
            })  # fmt: skip
    return found


def history(rng: np.random.Generator, members: int = 5, cycle: int = 18) -> tuple[list[dict], list[dict]]:
    """model.json's "history" and "growth": two growth steps that helped, one that did not."""
    entries, growth, drop = [], [], 0.0
    for step, phase in enumerate(("cycle 1", "dendrite 1", "dendrite 2", "dendrite 3")):
        start, accepted = step * cycle, step < 3
        drop += (0.0, 0.05, 0.03, -0.01)[step]
        for epoch in range(cycle):
            warm = math.exp(-epoch / 6)
            base = 0.34 + (1.9 if step == 0 else 0.16) * warm - drop
            loss = base + 0.03 + rng.normal(0, 0.012, members)
            entries.append({
                "epoch": start + epoch, "phase": phase, "seconds": 0.4,
                "learning_rate": 0.03 * (1 + math.cos(math.pi * epoch / cycle)) / 2,
                "train_loss": float(base - 0.03 + rng.normal(0, 0.006)),
                "train_accuracy": float(np.clip(0.99 - 0.25 * base, 0, 1)),
                "validation_loss": [float(v) for v in loss],
                "validation_accuracy": [float(np.clip(0.995 - 0.27 * v, 0, 1)) for v in loss],
            })  # fmt: skip
        if step:
            growth.append({
                "epoch": start, "dendrites": step, "kind": "growth", "accepted": accepted,
                "loss_before": 0.37 - 0.02 * step, "loss_after": 0.35 - (0.02 * step if accepted else 0.01),
                "scores": {"stem": 0.21, "block.pointwise": 0.34, "head": 0.12},
                "chosen": {
                    "stem": {"kind": "lowrank", "units": 3, "gain": 0.031, "significance": 6.2},
                    "head": {"kind": "lean", "units": 0, "gain": 0.012, "significance": 4.1},
                },
                "standard_error": 0.004, "learning_rate": 0.01 if step == 2 else None,
            })  # fmt: skip
    return entries, growth


def confusion(rng: np.random.Generator) -> list[list[int]]:
    """Counts over the test clips, about 91 % on the diagonal."""
    rows = []
    for k, total in enumerate(COUNTS):
        share = np.full(len(LABELS), 0.2) + rng.random(len(LABELS)) ** 3 * 4
        share[k] = 0
        share[10] += 3
        recall = (0.94, 0.9, 0.91, 0.89, 0.94, 0.93, 0.92, 0.88, 0.95, 0.86, 0.78, 0.995)[k]
        share *= (1 - recall) / share.sum()
        share[k] = recall
        rows.append([int(v) for v in rng.multinomial(total, share / share.sum())])
    return rows


def make_run_folder(folder: Path, *, seed: int = 0, synthetic: bool = True, members: int = 5) -> Path:
    """Write every part of a run folder; the same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    entries, growth = history(rng, members)
    table = confusion(rng)
    right, clips = sum(table[k][k] for k in range(len(LABELS))), sum(COUNTS)
    data = {
        "name": "Speech Commands v0.02, 12 classes", "layout": "Speech Commands folder", "synthetic": synthetic,
        "labels": LABELS, "clips": {"train": 8538, "validation": 1655, "test": clips}, "speakers": 1618,
        "noise": ["doing_the_dishes.wav", "pink_noise.wav"], "unreadable": 0, "digest": "3f" * 32,
        "task": {"keywords": LABELS[:10], "unknown": True, "silence": True, "sampling_freq": 16000, "seed": 0},
        "augmentation": {"copies": 6, "shift_ms": 100.0, "snr_db": [3.0, 30.0], "speed": [0.87, 1.15]},
        "classes": [
            {"label": label, "clips": {"train": 790 - 7 * k, "validation": 96 + k, "test": COUNTS[k]},
             "speakers": 400 - 9 * k, "seconds": 1300.0 - 8 * k, "clipped": 3 * k % 7, "silent": int(k == 9)}
            for k, label in enumerate(LABELS)
        ],
        "skipped": [], "notes": ["training part: about a quarter of the full set"],
    }  # fmt: skip
    parts: dict[str, Any] = {}
    parts["search/trials.json"] = trials(rng, members)
    finished = [t for t in parts["search/trials.json"] if t["arm"] == "perforated" and t["state"] == "COMPLETE"]
    chosen = max((t for t in finished if t["parameters"] < 2400), key=lambda t: t["validation_accuracy"])
    parts["run.json"] = {
        "command": "kws-dendrite run --data speech_commands --out run", "version": "0.1.0",
        "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.1", "tensorflow": "2.21.0"},
        "settings": {"search": {"trials": 66, "arms": ["plain", "gradient", "perforated"], "seeds": members, "seed": 0},
                     "train": {"epochs": 60, "batch": 128, "learning_rate": 0.03, "label_smoothing": 0.05},
                     "augment": {"copies": 6, "shift_ms": 100, "snr_db": [3, 30], "speed": [0.87, 1.15]}},
        "data": data, "synthetic": synthetic, "chosen": chosen["number"],
        "seconds": {"data": 12.1, "search": 1904.0, "train": 171.5, "export": 34.2, "evaluate": 9.6},
    }  # fmt: skip
    parts["model/model.json"] = {
        "architecture": {"family": "separable", "channels": 20, "kernel": 9, "blocks": [0, 0], "dilations": [1, 3]},
        "frontend": {"block": "logmel", "bands": 24, "frame_length": 0.03, "frame_stride": 0.02, "remove_mean": True},
        "labels": LABELS, "seeds": list(range(members)), "history": entries, "growth": growth, "data": data,
        "metrics": {"parameters": chosen["parameters"], "macs": chosen["macs"]},
    }  # fmt: skip
    names = ["model.onnx", "model_int8.onnx", "model.tflite", "model_quantized_int8_io.tflite"]
    accuracy = right / clips
    parts["evaluation.json"] = {
        "split": "test", "clips": clips, "members": 1, "accuracy": accuracy, "interval": wilson(right, clips),
        "interval_kind": "Wilson over clips", "confusion": table, "labels": LABELS, "synthetic": synthetic,
        "artefacts": dict(zip(names, (accuracy, accuracy - 0.0021, accuracy, accuracy - 0.0033), strict=True)),
    }  # fmt: skip
    parts["benchmark.json"] = [
        {"artefact": name, "runtime": runtime, "bytes": size, "median_us": us, "p10_us": us * 0.94, "p90_us": us * 1.22,
         "runs": 1000, "machine": "Made-up CPU, Linux"}
        for name, runtime, size, us in (
            (names[0], "onnxruntime", 9412, 38.2), (names[1], "onnxruntime", 7420, 71.5),
            (names[2], "LiteRT", 8964, 24.9), (names[3], "LiteRT", 6712, 19.3),
        )
    ]  # fmt: skip
    parts["export/parity.json"] = parity(accuracy)
    for name, value in parts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1), encoding="utf-8")
    return folder


def parity(accuracy: float, clips: int = 1655) -> dict[str, Any]:
    """parity.json: three exact hops, two quantised ones."""
    layers = ("stem", "block.depthwise", "block.pointwise", "pool", "head")
    noise = {layer: 41.3 - 3.1 * k for k, layer in enumerate(layers)}
    return {
        "clips": clips,
        "hops": [
            {"name": name, "clips": clips, "worst": worst, "bound": bound, "worst_logits": 9 * worst,
             "equal_decisions": 1.0}
            for name, worst, bound in (
                ("torch -> plain", 3.1e-7, 1e-5), ("plain -> onnx", 2.4e-7, 1e-5), ("plain -> tflite", 4.8e-6, 1e-4),
            )
        ],
        "int8": [
            {"name": name, "clips": clips, "accuracy": accuracy - loss, "float_accuracy": accuracy,
             "equal_decisions": 0.987 - loss, "worst": 0.081, "signal_to_noise_db": found}
            for name, loss, found in (("onnx_int8", 0.0018, {}), ("tflite_int8", 0.0031, noise))
        ],
        "c": {"clips": clips, "equal": clips},
    }  # fmt: skip


def wilson(right: int, clips: int) -> list[float]:
    """Written out again, so that the fixture leans on nothing it helps to test."""
    z, p = 1.959964, right / clips
    centre, half = p + z * z / (2 * clips), z * math.sqrt(p * (1 - p) / clips + z * z / (4 * clips * clips))
    return [(centre - half) / (1 + z * z / clips), (centre + half) / (1 + z * z / clips)]
