"""`kws-dendrite export`: a checkpoint's best member as every artefact, each held to the original."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs
from kws_dendrite.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from kws_dendrite.data import Dataset, FeatureBank
    from kws_dendrite.export.bundle import Bundle
    from kws_dendrite.plain import Graph
    from kws_dendrite.training.checkpoint import Checkpoint


def export(
    model: Annotated[Path, typer.Argument(help="A checkpoint folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.", show_default=False)],
    data: inputs.DataOption,
    member: Annotated[int | None, typer.Option(min=0, help="Which seed; the best on validation unless given.")] = None,
    finetune_int8: Annotated[
        int, typer.Option(metavar="EPOCHS", min=0, help="Train the int8 files' weights on, for int8; 0 does not.")
    ] = 0,
    unknown_weight: Annotated[
        float,
        typer.Option(
            metavar="CLASSES",
            help="Add a constant to _unknown_, clips of no word counting as so many classes; 0: none.",
        ),
    ] = 0.0,
    cache: inputs.CacheOption = inputs.DEFAULT_CACHE,
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
    if unknown_weight:
        calibrate(checkpoint, data, validation, unknown_weight, console)
    bank = bank_as_trained(checkpoint, data, cache, console) if finetune_int8 else None
    bundle = export_member(
        checkpoint,
        out,
        calibration=calibration.features,
        validation=(validation.features, validation.labels),
        member=member,
        overwrite=overwrite,
        console=console,
        finetune=None if bank is None else (bank, finetune_int8),
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
    finetune: "tuple[FeatureBank, int] | None" = None,
) -> "Bundle":
    """One member's bundle, from features (N, T, F).

    With `finetune`, a bank and a number of epochs, the int8 artefacts come of the graph fine-tuned for int8 and the
    others of the graph as it was trained.
    """
    import numpy as np
    import torch

    from kws_dendrite.evaluation import wilson_interval
    from kws_dendrite.export.bundle import calibration_clips, write_bundle
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
    chosen = calibration_clips(np.asarray(calibration, np.float32).reshape(len(calibration), -1))
    int8_graph, tuned = None, ""
    if finetune is not None:
        bank, epochs = finetune
        int8_graph = finetuned(graph, bank, epochs, record, chosen, console)
        tuned = f" The int8 files' weights were fine-tuned for int8 in {epochs} epochs, the float files' were not."
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
        f"member {member} of {checkpoint.members}, chosen by validation loss.{tuned}",
    )
    with console.status("exporting"):
        return write_bundle(
            graph,
            out,
            calibration=chosen,
            validation_x=x.reshape(len(x), -1),
            validation_y=y,
            frontend=with_task(checkpoint),
            card=card,
            torch_probabilities=torch.softmax(logits, -1).numpy(),
            torch_logits=logits.numpy(),
            torch_outputs=layer_outputs(checkpoint.model, torch.from_numpy(x), member),
            int8_graph=int8_graph,
            overwrite=overwrite,
        )


def calibrate(checkpoint: "Checkpoint", data: str, validation: inputs.Partition, weight: float, console: Any) -> None:
    """Add the constant for `_unknown_` to the head of every member, in memory; the checkpoint's files stay."""
    from kws_dendrite.frontend import from_json
    from kws_dendrite.training.calibration import calibrate_unknown, unseen_features

    if inputs.holds_arrays(data):
        raise ConfigError("--unknown-weight makes clips of no word out of recordings; the data folder holds features")
    unseen = unseen_features(dataset_as_trained(checkpoint, data), from_json(checkpoint.frontend))
    chosen = calibrate_unknown(
        checkpoint.model, checkpoint.labels, validation.features, validation.labels, unseen, weight
    )
    for member, one in enumerate(chosen):
        inputs.say(
            console,
            f"member {member}: {one.bias:+.2f} on _unknown_, clips of no word {one.unseen_before:.1%} to "
            f"{one.unseen_after:.1%}, mean recall {one.balanced_before:.1%} to {one.balanced_after:.1%}",
        )


def dataset_as_trained(checkpoint: "Checkpoint", data: str) -> "Dataset":
    """The recordings under the task that the checkpoint was trained on."""
    from kws_dendrite.data import TaskConfig, load_dataset
    from kws_dendrite.frontend import from_json

    stored = checkpoint.record.get("data", {}).get("task")
    task = (
        TaskConfig.from_json(stored)
        if stored
        else TaskConfig(sampling_freq=from_json(checkpoint.frontend).sampling_freq)
    )
    return load_dataset(data, task.for_labels(checkpoint.labels))


def bank_as_trained(checkpoint: "Checkpoint", data: str, cache: Path, console: Any) -> "FeatureBank":
    """The training clips with the augmented copies that the checkpoint's training had, from the cache where it can."""
    from dataclasses import fields

    from kws_dendrite.data import AugmentConfig, build_bank, load_block_arrays
    from kws_dendrite.frontend import FeatureCache, from_json

    if inputs.holds_arrays(data):
        return load_block_arrays(data, checkpoint.config.coefficients)
    known = {field.name for field in fields(AugmentConfig)}
    stored = checkpoint.record.get("data", {}).get("augmentation", {})
    augment = AugmentConfig(**{name: value for name, value in stored.items() if name in known})
    dataset = dataset_as_trained(checkpoint, data)
    with inputs.bar(console) as progress:
        row = progress.add_task("features", total=None)
        return build_bank(
            dataset,
            from_json(checkpoint.frontend),
            augment,
            FeatureCache(cache),
            lambda done, total: progress.update(row, completed=done, total=total),
        )


def finetuned(
    graph: "Graph", bank: "FeatureBank", epochs: int, record: dict[str, Any], calibration: "np.ndarray", console: Any
) -> "Graph":
    """The graph fine-tuned for int8, clips drawn as the checkpoint's training drew them."""
    from dataclasses import fields

    from kws_dendrite.cli.screen import TrainingScreen
    from kws_dendrite.training.config import TrainConfig
    from kws_dendrite.training.finetuning import finetune_int8

    known = {field.name for field in fields(TrainConfig)}
    settings = {name: value for name, value in record.get("train", {}).items() if name in known}
    config = TrainConfig(**{**settings, "epochs": epochs})
    seed = int(record.get("seeds", {}).get("seed", 0))
    with TrainingScreen(console).open("int8", epochs) as screen:
        result = finetune_int8(graph, bank, config, seed=seed, calibration=calibration, progress=screen.epoch)
    inputs.say(
        console,
        f"int8: validation loss {result.loss_before:.4f} before fine-tuning, {result.loss_after:.4f} after "
        + (f"(epoch {result.best_epoch} of {epochs})" if result.best_epoch else "(no epoch was better)"),
    )
    return result.graph


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
