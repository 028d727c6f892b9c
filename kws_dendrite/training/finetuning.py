"""Fine-tuning a folded graph for int8: a few epochs with fake quantisation, at a low rate.

The graph as it came, unrounded, teaches: its probabilities are the target. Training has chosen that function by
validation; labels would go on training another (docs/quantisation_aware.md).
"""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kws_dendrite import plain
from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.training.allocator import keep_freed_memory
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import EpochRecord, Progress
from kws_dendrite.training.quantised import QuantisedGraph
from kws_dendrite.training.rates import ADAM_BETAS
from kws_dendrite.training.targets import cross_entropy

LEARNING_RATE = 1e-3  # in parts of a tensor's own size a step: the net stays the one it was
TINY = 1e-6  # of a tensor that is all zero
CALIBRATION_CLIPS = 500  # as the exporter takes


@dataclass(frozen=True)
class Finetuned:
    """Attributes:
    graph: the graph with its fine-tuned weights and biases; as it came where no epoch was better.
    history: an entry an epoch; validation figures are of the simulated int8 net.
    loss_before, loss_after: its validation loss as it came and of `graph`.
    best_epoch: 0 for the graph as it came.
    """

    graph: plain.Graph
    history: list[EpochRecord] = field(default_factory=list)
    loss_before: float = math.nan
    loss_after: float = math.nan
    best_epoch: int = 0

    def to_json(self) -> dict[str, Any]:
        """As stored with a bundle."""
        return {
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "validation_loss_before": self.loss_before,
            "validation_loss_after": self.loss_after,
        }


def finetune_int8(
    graph: plain.Graph,
    bank: FeatureBank,
    config: TrainConfig,
    *,
    seed: int = 0,
    learning_rate: float = LEARNING_RATE,
    calibration: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Finetuned:
    """Weights and biases for int8, the best of the epochs and of the graph as it came by validation loss.

    The activations' grids are not learned: they come from calibration clips anew after every epoch, by the exporter's
    own rule, and the exporter takes them from the same clips again. So what is trained is what the file computes.

    Args:
        graph: folded; not changed. A weight that several layers share stays one weight.
        config: how clips are drawn, and `epochs`; what it says of rates and targets is for a fresh net and not used.
        learning_rate: of Adam at the top of one cosine, relative to the root mean square of each weight and bias, as
            folding leaves them of sizes a hundredfold apart.
        calibration: features (M, T*F) that the exporter will be given; None takes clean training clips.

    Raises:
        GraphError: a graph that has no simulated form.
        DataError: a loss that is not finite; a bank of other features or classes.
        ConfigError: a learning rate that is none.
    """
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ConfigError(f"the learning rate of fine-tuning is above 0 and finite; got {learning_rate}")
    _, T, F = bank.validation.shape
    K = plain.infer_shapes(graph)[graph.output.name][-1]
    if graph.input.size != T * F or len(bank.labels) != K:
        raise DataError(
            f"the graph reads {graph.input.size} values and tells {K} classes apart, the bank has {T} x {F} and "
            f"{len(bank.labels)}: name the data that it was trained for"
        )
    keep_freed_memory()
    settings = replace(config, learning_rate=learning_rate, warmup_epochs=0, mixup=0.0, distillation=0.0)
    batches = PopulationBatches(bank, settings, 1, seed)
    net, teacher = QuantisedGraph(graph), QuantisedGraph(graph)
    clips = torch.from_numpy(_calibration(bank) if calibration is None else np.asarray(calibration, np.float32))
    validation = torch.from_numpy(bank.validation).float().flatten(1)
    labels = torch.from_numpy(bank.validation_labels)
    net.calibrate(clips)
    before, _ = _validate(net, validation, labels)
    best, best_epoch, kept, history = before, 0, graph, []
    groups = [{"params": [p], "size": max(p.detach().square().mean().sqrt().item(), TINY)} for p in net.parameters()]
    optimizer = torch.optim.Adam(groups, lr=learning_rate, betas=ADAM_BETAS)
    total = settings.epochs * len(batches)
    for epoch in range(settings.epochs):
        start = time.perf_counter()
        losses, hits = [], []
        for step, (x, y) in enumerate(batches.epoch(), epoch * len(batches)):  # (1, B, T, F), (1, B)
            rate = learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))
            for group in optimizer.param_groups:
                group["lr"] = rate * group["size"]
            x = x[0].flatten(1)
            logits, target = net(x), torch.softmax(teacher.exact(x), -1)
            loss = -(target * torch.log_softmax(logits, -1)).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            hits.append((logits.detach().argmax(-1) == y[0]).float().mean())
        try:
            net.calibrate(clips)
            loss, accuracy = _validate(net, validation, labels)
        except DataError:  # no grid holds what is not finite
            loss, accuracy = math.nan, 0.0
        if not math.isfinite(loss):
            raise DataError(
                f"fine-tuning for int8 diverged in epoch {epoch}; lower its learning rate (now {learning_rate})"
            )
        if loss < best:
            best, best_epoch, kept = loss, epoch + 1, net.to_graph()
        figures = torch.stack(losses).mean().item(), torch.stack(hits).mean().item()
        seconds = time.perf_counter() - start
        history.append(EpochRecord(epoch, "int8", rate, *figures, [loss], [accuracy], seconds))
        if progress:
            progress(history[-1], settings.epochs)
    return Finetuned(kept, history, before, best, best_epoch)


def _calibration(bank: FeatureBank) -> np.ndarray:
    """Clean training clips, evenly spaced, (M, T*F)."""
    N = bank.train.shape[1]
    rows = np.linspace(0, N - 1, min(N, CALIBRATION_CLIPS)).astype(int)
    return bank.train[0, rows].astype(np.float32).reshape(len(rows), -1)


@torch.no_grad()
def _validate(net: QuantisedGraph, x: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of the simulated int8 net."""
    logits = torch.cat([net(part) for part in x.split(512)])
    loss = cross_entropy(logits[None], labels[None]).mean().item()
    return loss, (logits.argmax(-1) == labels).float().mean().item()
