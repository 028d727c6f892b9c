"""A teacher's logits over every copy of a bank, computed once and kept in a file."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError
from kws_dendrite.output import replacing
from kws_dendrite.training.checkpoint import load_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import predict

SHARE = 0.7  # of a teacher in the loss, unless the recipe says otherwise


def taught(config: TrainConfig, teacher: Path | str | None, *, asked: bool = False) -> TrainConfig:
    """The recipe of a student: `distillation` is `SHARE` unless it was `asked` to be another.

    Raises:
        ConfigError: distillation without a teacher, or a teacher without.
    """
    if teacher is None:
        if config.distillation:
            raise ConfigError(
                "distillation learns from a larger net: name its checkpoint with --teacher, or leave distillation out"
            )
        return config
    if asked and not config.distillation:
        raise ConfigError("with distillation 0 a teacher has no word; leave --teacher out, or distillation")
    return config if asked else replace(config, distillation=SHARE)


def with_teacher(bank: FeatureBank, checkpoint: Path | str, store: Path | str) -> FeatureBank:
    """`bank` with the logits (A, N, K) of a trained model on each of its copies, for `TrainConfig.distillation`.

    A population teaches as one: the logarithm of its members' mean probability. `store` keeps the logits by the
    hash of the weights and of the bank.

    Raises:
        CheckpointError: no checkpoint there.
        ConfigError: a teacher of other classes or another front end.
    """
    teacher = load_checkpoint(checkpoint)
    if teacher.labels != bank.labels or teacher.frontend != bank.frontend:
        raise ConfigError(
            f"the teacher {checkpoint} was trained on {', '.join(teacher.labels)} with the front end "
            f"{teacher.frontend}; the student has {', '.join(bank.labels)} and {bank.frontend}: train both alike"
        )
    path = Path(store) / f"teacher-{_digest(teacher.model, bank)}.npy"
    if path.exists():
        return replace(bank, teacher=np.load(path, allow_pickle=False))
    logits = np.stack([ensemble_logits(teacher.model, torch.from_numpy(copy)) for copy in bank.train])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, logits, allow_pickle=False)
    return replace(bank, teacher=logits)


def ensemble_logits(model: nn.Module, features: torch.Tensor) -> np.ndarray:
    """Logarithm of the members' mean probability, float32: (N, T, F) -> (N, K)."""
    chunks = [torch.log_softmax(predict(model, part.float()), -1) for part in features.split(512)]
    each = torch.cat(chunks, 1)  # (P, N, K)
    return (torch.logsumexp(each, 0) - np.log(len(each))).numpy()


def _digest(model: nn.Module, bank: FeatureBank) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(bank.train).data)
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.numpy()).data)
    return digest.hexdigest()[:32]
