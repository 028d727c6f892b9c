"""`kws-dendrite evaluate`: the accuracy of any artefact, checkpoint to int8 TFLite, on a partition of any data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs
from kws_dendrite.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from kws_dendrite.evaluation import Evaluation


def evaluate(
    model: Annotated[
        Path,
        typer.Option(help="A checkpoint, a graph .npz, .onnx, .tflite, a bundle or its c folder.", show_default=False),
    ],
    data: inputs.DataOption,
    split: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    as_json: inputs.JsonOption = False,
) -> None:
    """Measure a model's accuracy.

    With its 95 % interval, recall by class and the confusion matrix.
    """
    from rich.console import Console

    from kws_dendrite.output import write_json

    console = Console(stderr=True)
    result, summary, kind = evaluate_model(model, data, split, console)
    report = {
        "model": str(model),
        "kind": kind,
        "data": summary.get("name", data),
        "split": split,
        "synthetic": bool(summary.get("synthetic")),
        **result.to_json(),
    }
    if out:
        write_json(out, report)
    if as_json:
        print(json.dumps(report, allow_nan=False))
        return
    low, high = result.interval
    seeds = f", mean of {len(result.accuracies)} seeds" if len(result.accuracies) > 1 else ""
    print(f"{kind}: accuracy {result.accuracy:.2%} [{low:.2%}, {high:.2%}] on {result.clips} {split} clips{seeds}")
    if report["synthetic"]:
        print("synthetic demo data: says nothing about real speech")
    for label, recall in zip(result.labels, result.recall, strict=True):
        print(f"  {label:<16} {'–' if recall is None else f'{recall:.1%}'}")


def evaluate_model(model: Path, data: str, split: str, console: Any) -> tuple["Evaluation", dict[str, Any], str]:
    """Evaluation of an artefact, the data's summary, and what kind of artefact it is."""
    from kws_dendrite.evaluation import evaluate_scores
    from kws_dendrite.training.checkpoint import is_checkpoint

    if is_checkpoint(model):
        import torch

        from kws_dendrite.training.checkpoint import load_checkpoint
        from kws_dendrite.training.loop import predict

        checkpoint = load_checkpoint(model)
        clips = inputs.features_as_trained(
            data, checkpoint.labels, checkpoint.frontend, checkpoint.record.get("data", {}).get("task"), split, console
        )
        inputs.check_shape(clips.features, checkpoint.config, data)
        scores = torch.softmax(predict(checkpoint.model, torch.from_numpy(clips.features)), -1).numpy()
        return evaluate_scores(scores, clips.labels, checkpoint.labels), clips.summary, "checkpoint"
    from kws_dendrite.export.predictor import load_predictor

    predictor = load_predictor(model)
    if not predictor.labels or predictor.frontend is None:
        raise DataError(f"{model} has no labels.txt and frontend.json beside it; keep it in its bundle folder")
    frontend = dict(predictor.frontend)
    task = frontend.pop("task", None)
    clips = inputs.features_as_trained(data, predictor.labels, frontend, task, split, console)
    scores = scored(predictor, clips.features)
    return evaluate_scores(scores, clips.labels, predictor.labels), clips.summary, predictor.kind


def scored(predictor: Any, x: "np.ndarray") -> "np.ndarray":
    """Probabilities (N, K) for features (N, T, F)."""
    return predictor.predict(x.reshape(len(x), -1))
