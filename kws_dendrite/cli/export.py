"""`kws-dendrite export`: a checkpoint's best member as every artefact, each held to the original."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs
from kws_dendrite.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from kws_dendrite.export.bundle import Bundle
    from kws_dendrite.training.checkpoint import Checkpoint


def export(
    model: Annotated[Path, typer.Argument(help="A checkpoint folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.", show_default=False)],
    data: inputs.DataOption,
    member: Annotated[int | None, typer.Option(min=0, help="Which seed; the best on validation unless given.")] = None,
    overwrite: inputs.OverwriteOption = False,
    as_json: inputs.JsonOption = False,
) -> None:
    """Write ONNX and TFLite, and check them.

    Folds the best seed, writes float and int8 artefacts, and holds every hop to the trained model on the validation
    clips.
    """
    from rich.console import Console

    from kws_dendrite.training.checkpoint import load_checkpoint

    console = Console(stderr=True)
    checkpoint = load_checkpoint(model)
    task = checkpoint.record.get("data", {}).get("task")
    calibration, validation = (
        inputs.features_as_trained(data, checkpoint.labels, checkpoint.frontend, task, split, console)
        for split in ("train", "validation")
    )
    inputs.check_shape(validation.features, checkpoint.config, data)
    bundle = export_member(
        checkpoint,
        out,
        calibration=calibration.features,
        validation=(validation.features, validation.labels),
        member=member,
        overwrite=overwrite,
        console=console,
    )
    if as_json:
        print(json.dumps(bundle.to_json(), allow_nan=False))
        return
    print(parity_text(bundle))
    print(f"{bundle.cost.parameters:,} parameters, {bundle.cost.macs:,} MACs; bundle in {out}")


def export_member(
    checkpoint: "Checkpoint",
    out: Path,
    *,
    calibration: "np.ndarray",
    validation: tuple["np.ndarray", "np.ndarray"],
    member: int | None,
    overwrite: bool,
    console: Any,
) -> "Bundle":
    """One member's bundle, from features (N, T, F)."""
    import numpy as np
    import torch

    from kws_dendrite.evaluation import wilson_interval
    from kws_dendrite.export.bundle import write_bundle
    from kws_dendrite.export.card import ModelCard
    from kws_dendrite.fold import fold
    from kws_dendrite.layer_outputs import layer_outputs
    from kws_dendrite.training.loop import predict

    member = checkpoint.best_member if member is None else member
    if member >= checkpoint.members:
        raise ConfigError(f"the checkpoint has members 0 to {checkpoint.members - 1}; got --member {member}")
    graph = fold(checkpoint.model, member, checkpoint.labels)
    x, y = validation
    x = np.asarray(x, np.float32)
    logits = predict(checkpoint.model, torch.from_numpy(x))[member]
    right = int((logits.argmax(-1).numpy() == y).sum())
    record, data = checkpoint.record, checkpoint.record.get("data", {})
    steps = sum(step["accepted"] for step in record.get("growth", []))
    card = ModelCard(
        name=f"{checkpoint.config.family} keyword spotter, {len(checkpoint.labels)} classes",
        data=str(data.get("name", "unnamed data")),
        synthetic=bool(data.get("synthetic")),
        clips=data.get("clips", {"validation": len(y)}),
        members=checkpoint.members,
        accuracy=right / len(y),
        interval=wilson_interval(right, len(y)),
        split="validation",
        training=f"{len(record.get('history', []))} epochs, {steps} dendrites a neuron where attached; "
        f"member {member} of {checkpoint.members}, chosen by validation loss.",
    )
    with console.status("exporting"):
        return write_bundle(
            graph,
            out,
            calibration=np.asarray(calibration, np.float32).reshape(len(calibration), -1),
            validation_x=x.reshape(len(x), -1),
            validation_y=y,
            frontend=with_task(checkpoint),
            card=card,
            torch_probabilities=torch.softmax(logits, -1).numpy(),
            torch_logits=logits.numpy(),
            torch_outputs=layer_outputs(checkpoint.model, torch.from_numpy(x), member),
            overwrite=overwrite,
        )


def parity_text(bundle: "Bundle") -> str:
    """The chain, a line a hop."""
    lines = [f"{hop.name}: worst difference {hop.worst:.1e}, bound {hop.bound:.0e}" for hop in bundle.parity.hops]
    lines += [
        f"{int8.name}: accuracy {int8.accuracy:.2%}, float {int8.float_accuracy:.2%}, "
        f"{int8.equal_decisions:.2%} equal decisions"
        for int8 in bundle.parity.int8
    ]
    if bundle.parity.c is not None:
        exact = bundle.parity.c
        lines.append(
            f"C: {exact.equal:,} of {exact.clips:,} clips equal to the int8 file, byte for byte"
            if exact.clips
            else "C: written, not run (no C compiler here)"
        )
    return "\n".join(lines)


def with_task(checkpoint: "Checkpoint") -> dict[str, Any]:
    """The front end as stored beside an artefact: its settings, and the task that says how clips are read."""
    return {**checkpoint.frontend, "task": checkpoint.record.get("data", {}).get("task", {})}
