"""The loop over a population: AdamW, one cosine cycle, the best epoch of every member kept."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import DivergenceError
from kws_dendrite.training.allocator import keep_freed_memory
from kws_dendrite.training.averaging import WeightAverage
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.rates import MemberAdamW, Rates, dropping
from kws_dendrite.training.targets import Targets, cross_entropy, soft_loss


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one cycle. Train figures are means over the population, validation ones a value a member.

    `train_losses` and `train_accuracies` have the train figures of every member, where members have rates of their own.
    """

    epoch: int
    phase: str
    learning_rate: float
    train_loss: float
    train_accuracy: float
    validation_loss: list[float]
    validation_accuracy: list[float]
    seconds: float
    train_losses: tuple[float, ...] = ()
    train_accuracies: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As stored in a checkpoint's history."""
        values = asdict(self)
        del values["train_losses"], values["train_accuracies"]
        return values

    def of(self, members: slice, rate: float) -> "EpochRecord":
        """The epoch of some members with rates of their own, whose learning rate is `rate` times the population's."""
        losses, accuracies = self.train_losses[members], self.train_accuracies[members]
        return EpochRecord(
            self.epoch,
            self.phase,
            self.learning_rate * rate,
            sum(losses) / len(losses),
            sum(accuracies) / len(accuracies),
            self.validation_loss[members],
            self.validation_accuracy[members],
            self.seconds,
            losses,
            accuracies,
        )


@dataclass
class CycleResult:
    """Attributes:
    history: an entry an epoch.
    best_loss, best_accuracy: validation loss and accuracy of every member at its best epoch.
    interrupted: Ctrl-C ended it; the model holds the best epoch so far.
    stopped: `stop` ended it; so does the model.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best_loss: list[float] = field(default_factory=list)
    best_accuracy: list[float] = field(default_factory=list)
    interrupted: bool = False
    stopped: bool = False


Progress = Callable[[EpochRecord, int], None]  # a finished epoch, and how many the cycle has
Stop = Callable[[], bool]  # asked after every epoch, when `Progress` has seen it; true ends training


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are: there it is trained."""
    return next(model.parameters()).device


@torch.no_grad()
def predict(model: nn.Module, features: Tensor, chunk: int = 512) -> Tensor:
    """Logits of every member in evaluation mode, on the model's device: (N, T, F) -> (P, N, K)."""
    training, device = model.training, device_of(model)
    model.eval()
    parts = [model(features[start : start + chunk].to(device)) for start in range(0, len(features), chunk)]
    model.train(training)
    return torch.cat(parts, dim=1)


def validate(model: nn.Module, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and accuracy of every member: (P,), (P,)."""
    logits = predict(model, features)
    P = logits.shape[0]
    expanded = labels.to(logits.device).expand(P, -1)
    return cross_entropy(logits, expanded).mean(1), (logits.argmax(-1) == expanded).float().mean(1)


def fit_statistics(model: nn.Module, bank: FeatureBank) -> None:
    """Set a standardising model's per-coefficient mean and deviation from the training clips as recorded."""
    door = getattr(model, "features", None)
    if door is None or not getattr(model, "standardised", False):
        return
    x = torch.from_numpy(bank.train[0]).float()  # (N, T, F)
    if door.remove_mean:
        x = x - x.mean(dim=(1, 2), keepdim=True)
    std, mean = torch.std_mean(x.flatten(0, 1), dim=0)
    door.mean.copy_(mean)
    door.std.copy_(std.clamp_min(1e-3))


def train_cycle(
    model: nn.Module,
    bank: FeatureBank,
    config: TrainConfig,
    seed: int,
    *,
    phase: str = "train",
    first_epoch: int = 0,
    progress: Progress | None = None,
    stop: Stop | None = None,
    rates: Rates | None = None,
) -> CycleResult:
    """Train `model` in place over one cosine cycle; it ends with every member at its best validation loss.

    From the second cycle on (`first_epoch` above 0) the model as it comes counts as an epoch too: a cycle never makes
    a member's validation loss worse. Ctrl-C drops the epoch that it falls into.

    Args:
        rates: members' own settings. One that diverges then does not end the others' cycle: its `best_loss` is
            infinite, its weights are its best finite ones.

    Raises:
        DivergenceError: a loss that is not finite, in training or validation, with `rates` that of every member; the
            model is back at its best finite state.
    """
    keep_freed_memory()
    P, device = next(iter(model.parameters())).shape[0], device_of(model)
    own, rates = rates is not None, rates or Rates()
    if own:
        rates.check(P, config)
    validation = torch.from_numpy(bank.validation).float().to(device)
    validation_labels = torch.from_numpy(bank.validation_labels).to(device)
    batches = PopulationBatches(bank, config, P, seed, rates.draws, device)
    optimizer = MemberAdamW(model, config, rates)
    total, warmup = config.epochs * len(batches), config.warmup_epochs * len(batches)
    average = WeightAverage(model, config.average) if config.average else None
    keeper = BestMembers(model, *validate(model, validation, validation_labels)) if first_epoch else BestMembers(model)
    result, lost = CycleResult(), torch.zeros(P, dtype=torch.bool, device=device)
    smoothing: float | Tensor = config.label_smoothing
    if rates.label_smoothing is not None:
        smoothing = torch.tensor(rates.label_smoothing, device=device)
    # Of this cycle: its high rate first makes any net worse.
    lowest, stale = torch.full((P,), math.inf, device=device), 0
    with torch.random.fork_rng(devices=[]), dropping(model, rates):
        torch.manual_seed(seed)  # dropout's own stream; the caller's is put back
        try:
            for epoch in range(config.epochs):
                start = time.perf_counter()
                rate, train_losses, train_accuracies = _train_epoch(
                    model, batches, config, smoothing, optimizer, epoch, total, warmup, average
                )
                lost |= ~train_losses.isfinite()
                loss = train_losses[~lost].mean().item() if own else train_losses.mean().item()
                if not math.isfinite(loss):
                    raise DivergenceError(
                        f"the training loss is {loss} in epoch {first_epoch + epoch}; lower the learning rate "
                        f"(now {config.learning_rate}) or look for bad values in the features"
                    )
                with average.applied() if average else contextlib.nullcontext():
                    losses, accuracies = validate(model, validation, validation_labels)
                    lost |= ~losses.isfinite()
                    if not losses.isfinite().all() and not (own and losses.isfinite().any()):
                        raise DivergenceError(
                            f"the validation loss is {losses.tolist()} after epoch {first_epoch + epoch}; lower the "
                            f"learning rate (now {config.learning_rate}) or look for bad values in the features"
                        )
                    keeper.offer(losses.where(~lost, math.inf), accuracies)
                record = EpochRecord(
                    first_epoch + epoch,
                    phase,
                    rate,
                    loss,
                    train_accuracies.mean().item(),
                    losses.tolist(),
                    accuracies.tolist(),
                    time.perf_counter() - start,
                    tuple(train_losses.tolist()) if own else (),
                    tuple(train_accuracies.tolist()) if own else (),
                )
                result.history.append(record)
                if progress:
                    progress(record, config.epochs)
                if stop and stop():
                    result.stopped = True
                    break
                stale = 0 if (losses < lowest).any() else stale + 1
                lowest = torch.minimum(lowest, losses)
                if config.patience and stale >= config.patience:
                    break
        except KeyboardInterrupt:
            result.interrupted = True
        finally:
            keeper.restore()
    if not keeper.loss.isfinite().all():  # interrupted in the very first epoch: the figures of the model as it came
        keeper.loss, keeper.accuracy = validate(model, validation, validation_labels)
    keeper.loss[lost] = math.inf
    result.best_loss, result.best_accuracy = keeper.loss.tolist(), keeper.accuracy.tolist()
    return result


def _train_epoch(
    model: nn.Module,
    batches: PopulationBatches,
    config: TrainConfig,
    smoothing: float | Tensor,
    optimizer: MemberAdamW,
    epoch: int,
    total: int,
    warmup: float,
    average: WeightAverage | None = None,
) -> tuple[float, Tensor, Tensor]:
    """Last learning rate, of members that have none of their own; mean loss and accuracy of each, (P,)."""
    model.train()
    penalty = getattr(model, "penalty", None)  # a family's own, (P,), such as the sparsity of gates
    losses, hits, rate = [], [], 0.0
    source = batches.soft_epoch() if config.softened else batches.epoch()
    for step, (features, targets) in enumerate(source, epoch * len(batches)):
        factor = min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1 + math.cos(math.pi * step / total))
        rate = config.learning_rate * factor
        logits = model(features)
        labels = targets.labels if isinstance(targets, Targets) else targets
        loss = _losses(logits, targets, config, smoothing).mean(1)
        if penalty is not None:
            loss = loss + penalty()
        optimizer.zero_grad()
        loss.sum().backward()  # members do not touch each other
        optimizer.step(factor)
        if average:
            average.update()
        losses.append(loss.detach())
        hits.append(logits.detach().argmax(-1) == labels)
    return rate, torch.stack(losses).mean(0), torch.stack(hits).float().mean((0, 2))


def _losses(logits: Tensor, targets: Tensor | Targets, config: TrainConfig, smoothing: float | Tensor) -> Tensor:
    """(P, B)."""
    if not isinstance(targets, Targets):
        return cross_entropy(logits, targets, smoothing)
    return soft_loss(
        logits,
        targets,
        label_smoothing=config.label_smoothing,
        distillation=config.distillation,
        temperature=config.temperature,
    )


class BestMembers:
    """The state of every member at its own lowest validation loss."""

    def __init__(self, model: nn.Module, loss: Tensor | None = None, accuracy: Tensor | None = None) -> None:
        self.model = model
        self.members = next(iter(model.parameters())).shape[0]
        device = device_of(model)
        self.loss = torch.full((self.members,), math.inf, device=device) if loss is None else loss.clone()
        self.accuracy = torch.zeros(self.members, device=device) if accuracy is None else accuracy.clone()
        self.state = {name: value.clone() for name, value in model.state_dict().items()}

    def offer(self, loss: Tensor, accuracy: Tensor) -> None:
        """Take the present state of the members whose loss is the lowest so far."""
        better = loss < self.loss
        if not better.any():
            return
        self.loss[better], self.accuracy[better] = loss[better], accuracy[better]
        for name, value in self.model.state_dict().items():
            if value.dim() > 1:  # what has no member axis (the features' statistics) is constant in training
                self.state[name][better] = value[better]

    def restore(self) -> None:
        """Put the best states back into the model."""
        self.model.load_state_dict(self.state)
