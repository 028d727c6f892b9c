"""Growing a net that is deployed: some clips of a new speaker, the net's function unchanged at the moment of insertion.

    python examples/deployed.py --data SPEECH_COMMANDS --work FOLDER [--members 5] [--epochs 20]

A net is trained without some of the training partition's speakers (or taken from FOLDER, where an earlier run left
it). For each of them, one half of their keyword clips adapts the net, the other half scores it; the clips of the
validation partition, other people's, say what the adaptation costs everyone else. The test partition is not read.

Arms, of the same epochs on the same clips: fine-tuning all of the net; its head alone, or its head and its BatchNorms'
scales and shifts, the rest frozen; a dendrite a neuron added and all trained; dendrites added and nothing else trained,
the deployed weights as they are. Each arm's learning rate is the one that is best for every fourth of the speakers, of
those rates at which everyone else loses no more than one point, or three; the other speakers are reported. Intervals
are over those, members averaged.
"""

import argparse
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kws_dendrite.data import AugmentConfig, Clip, Dataset, TaskConfig, build_bank, load_dataset
from kws_dendrite.dendrites import DendriteConfig, dendritic_layers, grow_step
from kws_dendrite.evaluation import paired_difference, t_interval
from kws_dendrite.fold import fold
from kws_dendrite.frontend import FeatureCache, LogMelConfig
from kws_dendrite.models import SeparableConfig, build_model
from kws_dendrite.plain import cost
from kws_dendrite.training.checkpoint import is_checkpoint, load_checkpoint, save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.loop import cross_entropy, predict

SPEAKERS = 24  # those with the most keyword clips
CHOOSING = 4  # every fourth of them chooses the learning rates
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
LOSSES = (1.0, 3.0)  # points that everyone else may lose
BATCH = 16
SILENCE_AND_UNKNOWN = 2
GROWN = DendriteConfig(mode="gradient", kind="lean", activation="tanh")


@dataclass(frozen=True)
class Speaker:
    """Features (N, T, F) and labels (N,) of the clips that adapt and of those that score."""

    name: str
    adapt: tuple[Tensor, Tensor]
    score: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Arm:
    """Attributes:
    grows: dendrites are added first.
    trains: whether a parameter of this name learns; a dendrite's has "branches", "t" or "cascade" in it.
    """

    grows: bool
    trains: Callable[[str], bool]


def of_dendrite(name: str) -> bool:
    """Whether a parameter is a dendrite's."""
    return any(part in ("branches", "t", "cascade") for part in name.split("."))


ARMS = {
    "fine-tuned": Arm(False, lambda name: True),
    "head alone": Arm(False, lambda name: name.startswith("head")),
    "norms and head": Arm(False, lambda name: name.startswith("head") or ".norm." in name),
    "dendrites, all trained": Arm(True, lambda name: True),
    "dendrites alone": Arm(True, of_dendrite),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a Speech Commands folder")
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoint and the features")
    parser.add_argument("--members", type=int, default=5, help="nets side by side, seeds of everything")
    parser.add_argument("--base-epochs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20, help="of the adaptation")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset(chosen.data, TaskConfig())
    counts = Counter(c.speaker for c in dataset.partition("train") if c.speaker and is_keyword(dataset, c.label))
    names = [name for name, _ in counts.most_common(SPEAKERS)]
    base = deployed(dataset, names, chosen)
    others = features_of(dataset, list(dataset.partition("validation")), chosen.work)
    speakers = read_speakers(dataset, names, chosen.work)
    print(report(base, others, speakers, chosen.epochs))


def is_keyword(dataset: Dataset, label: int) -> bool:
    """Not silence, not unknown, which stand last."""
    return label < len(dataset.labels) - SILENCE_AND_UNKNOWN


def deployed(dataset: Dataset, new: list[str], chosen: argparse.Namespace) -> nn.Module:
    """The net, trained without the new speakers and read back from its checkpoint."""
    folder = chosen.work / "deployed"
    if not is_checkpoint(folder):
        old = replace(dataset, clips=tuple(clip for clip in dataset.clips if clip.speaker not in new))
        bank = build_bank(old, LogMelConfig(), AugmentConfig(copies=1), FeatureCache(chosen.work / "cache"))
        _, T, F = bank.validation.shape
        net = SeparableConfig(T, F, len(bank.labels), channels=20, blocks=(0, 0), dilations=(1, 3))
        result = train(build_model(net, chosen.members, 0), bank, TrainConfig(epochs=chosen.base_epochs), seed=0)
        record = {"title": "without some speakers"}
        save_checkpoint(folder, result.model, net, labels=bank.labels, frontend=bank.frontend, record=record)
    return load_checkpoint(folder).model


def features_of(dataset: Dataset, clips: list[Clip], work: Path) -> tuple[Tensor, Tensor]:
    """Features (N, T, F) and labels (N,) of these clips as recorded, in their order."""
    theirs = [replace(clip, partition="validation") for clip in clips] + [replace(clips[0], partition="train")]
    cache = FeatureCache(work / "cache")
    bank = build_bank(replace(dataset, clips=tuple(theirs)), LogMelConfig(), AugmentConfig(copies=0), cache)
    return torch.from_numpy(bank.validation), torch.from_numpy(bank.validation_labels)


def read_speakers(dataset: Dataset, names: list[str], work: Path) -> list[Speaker]:
    """Every other clip of a speaker adapts, the others score."""
    clips = [clip for clip in dataset.partition("train") if clip.speaker in names and is_keyword(dataset, clip.label)]
    clips.sort(key=lambda clip: clip.name)
    features, labels = features_of(dataset, clips, work)
    speakers = []
    for name in names:
        rows = torch.tensor([row for row, clip in enumerate(clips) if clip.speaker == name])
        half, rest = rows[::2], rows[1::2]
        speakers.append(Speaker(name, (features[half], labels[half]), (features[rest], labels[rest])))
    return speakers


def grown(base: nn.Module, adapt: tuple[Tensor, Tensor], seed: int) -> nn.Module:
    """A copy with dendrites, drawn on the new speaker's clips; its function is the base's."""
    model = copy.deepcopy(base)
    P = next(iter(model.parameters())).shape[0]
    features = adapt[0].expand(P, *adapt[0].shape)
    grow_step(model, features, lambda: (), lambda: (), GROWN, seed, cross_entropy, lambda choice: 0.0)
    return model.eval()


def adapted(base: nn.Module, arm: Arm, speaker: Speaker, rate: float, epochs: int, seed: int) -> nn.Module:
    """The net after the speaker's clips. BatchNorm's statistics stay: a few clips of one voice make poor ones."""
    model = (grown(base, speaker.adapt, seed) if arm.grows else copy.deepcopy(base)).eval()
    learning = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(arm.trains(name))
        learning += [parameter] if parameter.requires_grad else []
    optimizer = torch.optim.Adam(learning, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    P = learning[0].shape[0]
    for _ in range(epochs):
        for features, labels in batches(*speaker.adapt, P, seed):
            optimizer.zero_grad()
            cross_entropy(model(features), labels).mean(1).sum().backward()
            optimizer.step()
        schedule.step()
        seed += 1
    return model


def batches(features: Tensor, labels: Tensor, members: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(P, B, T, F), (P, B): each member's own order, the same in all arms."""
    orders = [
        torch.randperm(len(labels), generator=torch.Generator().manual_seed(997 * seed + p)) for p in range(members)
    ]
    for rows in torch.stack(orders).split(BATCH, 1):
        yield features[rows], labels[rows]


def accuracy(model: nn.Module, clips: tuple[Tensor, Tensor]) -> float:
    """In %, members averaged."""
    return 100 * (predict(model, clips[0]).argmax(-1) == clips[1]).float().mean().item()


def report(base: nn.Module, others: tuple[Tensor, Tensor], speakers: list[Speaker], epochs: int) -> str:
    """The table."""
    choosing = speakers[CHOOSING - 1 :: CHOOSING]
    reported = [speaker for number, speaker in enumerate(speakers, 1) if number % CHOOSING]
    before = [accuracy(base, speaker.score) for speaker in reported]
    everyone = accuracy(base, others)
    changed = max(
        float((predict(grown(base, one.adapt, seed), others[0]) - predict(base, others[0])).abs().max())
        for seed, one in enumerate(reported[:3])
    )
    size = cost(fold(base, 0)).parameters
    bigger = grown(base, reported[0].adapt, 0)
    for layer in dendritic_layers(bigger).values():
        nn.init.constant_(layer.t[0], 0.1)
    halves = np.mean([(len(speaker.adapt[1]), len(speaker.score[1])) for speaker in reported], 0)
    lines = [
        f"{size:,} folded parameters, {cost(fold(bigger, 0)).parameters:,} grown; {len(before)} new speakers of "
        f"{halves[0]:.0f} + {halves[1]:.0f} clips, {len(next(base.parameters()))} nets",
        f"largest change of a logit by insertion: {changed:g}",
        f"{'net':24} {'rate':>6} {'new speaker %':>22} {'everyone else %':>16}",
        f"{'as deployed':24} {'':>6} {interval(before):>22} {everyone:16.1f}",
    ]
    scores: dict[tuple[str, float, bool], np.ndarray] = {}

    def score(name: str, rate: float, here: bool) -> np.ndarray:
        """(speakers, 2): accuracy on the new speaker's clips and on everyone else's, of those reported or choosing."""
        if (name, rate, here) not in scores:
            group = enumerate(reported, 100) if here else enumerate(choosing)
            pairs = [one(base, ARMS[name], speaker, rate, epochs, seed, others) for seed, speaker in group]
            scores[name, rate, here] = np.array(pairs)
        return scores[name, rate, here]

    for most in LOSSES:
        lines.append(f"everyone else may lose {most:g} points:")
        found = {}
        for name in ARMS:
            allowed = [r for r in RATES if score(name, r, False)[:, 1].mean() >= everyone - most] or [min(RATES)]
            rate = max(allowed, key=lambda r, name=name: score(name, r, False)[:, 0].mean())
            found[name] = score(name, rate, True)
            lines.append(f"{name:24} {rate:6g} {interval(found[name][:, 0]):>22} {found[name][:, 1].mean():16.1f}")
        for name in ("dendrites, all trained", "dendrites alone"):
            for than in ("fine-tuned", "head alone", "norms and head"):
                new, old = (paired_difference(found[name][:, k], found[than][:, k]) for k in (0, 1))
                lines.append(f"{name} less {than}: new speaker {points(new)}, everyone else {points(old)}")
    return "\n".join(lines)


def one(
    base: nn.Module, arm: Arm, speaker: Speaker, rate: float, epochs: int, seed: int, others: tuple[Tensor, Tensor]
) -> tuple[float, float]:
    """Accuracy on the new speaker's and on everyone else's clips after adaptation."""
    model = adapted(base, arm, speaker, rate, epochs, seed)
    return accuracy(model, speaker.score), accuracy(model, others)


def interval(values: list[float] | np.ndarray) -> str:
    """Mean and 95 % interval over speakers."""
    low, high = t_interval(values)
    return f"{np.mean(values):.1f} [{low:.1f}, {high:.1f}]"


def points(found) -> str:  # noqa: ANN001 - a PairedDifference
    """A difference in points with its interval."""
    return f"{found.mean:+.1f} [{found.interval[0]:+.1f}, {found.interval[1]:+.1f}]"


if __name__ == "__main__":
    main()
