"""What the rule for hopeless trials saves, and how often it is wrong: replayed on a search that stopped none.

    kws-dendrite search DATA --out FOLDER --arms plain,growth --trials 100     # arms that are compared are not stopped
    python benchmarks/search_stopping.py replay FOLDER [--risk 0.05 0.1 0.2] [--checks 0.25 0.5 0.75] [--orders 20]

    python benchmarks/search_stopping.py record DATA --out FOLDER --keywords yes,no --clips 1300 --trials 100

`record` makes such a search of few clips, quickly; any search's folder or trials.json will do. `replay` shows each arm
alone, as a search of one arm is what stops trials, then all together. Each is replayed as it went, and in other random
orders of its trials, for which the rule's guarantee was made: the sampler's drift towards better regions is not in
those.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.replay import Replay, replay
from kws_dendrite.search.stopping import StoppingRule

HEAD = (
    f"{'arm':12} {'order':>10} {'risk':>5} {'trials':>6} {'looked':>6} {'stopped':>7} {'epochs':>7} {'seconds':>7} "
    f"{'beyond':>7} {'false':>6} {'lost':>9} {'audits':>14}"
)
LEGEND = """
epochs, seconds: share saved.
beyond: share of the trials looked at that came above their bound, which risk is to limit.
false: stopped trials that would have reached the front of their time.
lost: nets of the whole record's front that were stopped.
audits: trials looked at and kept all the same; those that would have been stopped; of these, falsely. In a search that
did stop trials, these alone tell how often it was wrong."""


def main() -> None:
    """Parse the command line and run one stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    one = stages.add_parser("record")
    one.add_argument("data")
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--keywords", default="yes,no")
    one.add_argument("--clips", type=int, default=1300, help="training clips, drawn at random")
    one.add_argument("--copies", type=int, default=1)
    one.add_argument("--arms", default="plain,growth")
    one.add_argument("--trials", type=int, default=100)
    one.add_argument("--epochs", type=int, default=16)
    one.add_argument("--members", type=int, default=1)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--cache", type=Path, default=Path("kws_cache"))
    two = stages.add_parser("replay")
    two.add_argument("record", type=Path, nargs="+", help="folders of searches, or their trials.json")
    two.add_argument("--risk", type=float, nargs="*", default=[0.05, 0.1, 0.2])
    two.add_argument("--checks", type=float, nargs="*", default=list(StoppingRule.checks))
    two.add_argument("--audit", type=int, default=StoppingRule.audit)
    two.add_argument("--orders", type=int, default=20)
    two.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    record(arguments) if arguments.stage == "record" else show(arguments)


# -- a record ---------------------------------------------------------------------------------------------------------


def record(arguments: argparse.Namespace) -> None:
    """A search without stopping on a random part of the training clips; it goes on where it was stopped."""
    import numpy as np
    import torch

    from kws_dendrite.data import AugmentConfig, TaskConfig, build_bank, load_dataset
    from kws_dendrite.frontend import BLOCKS, FeatureCache
    from kws_dendrite.search import Search, SearchConfig
    from kws_dendrite.search.records import save_trials
    from kws_dendrite.training.config import TrainConfig

    torch.set_num_threads(1)
    words = tuple(arguments.keywords.split(",")) if arguments.keywords else None
    dataset = load_dataset(arguments.data, TaskConfig(keywords=words))
    bank = build_bank(
        dataset, BLOCKS["logmel"](), AugmentConfig(copies=arguments.copies), FeatureCache(arguments.cache)
    )
    order = np.random.default_rng(arguments.seed).permutation(bank.train.shape[1])
    few = np.sort(order[: arguments.clips])
    bank = replace(
        bank,
        train=bank.train[:, few],
        train_labels=bank.train_labels[few],
        train_words=None if bank.train_words is None else bank.train_words[few],
        summary=bank.summary | {"digest": f"{bank.summary.get('digest')}, {len(few)} clips"},
    )
    config = SearchConfig(
        trials=arguments.trials,
        arms=tuple(arguments.arms.split(",")),
        members=arguments.members,
        train=TrainConfig(epochs=arguments.epochs),
        seed=arguments.seed,
        stop_hopeless=False,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    search = Search(arguments.out, bank, config)
    search.save_settings(data_folder=str(Path(arguments.data).resolve()) if arguments.data != "demo" else "demo")

    def said(result: TrialResult) -> None:
        accuracy = "none" if result.validation_accuracy is None else f"{result.validation_accuracy:.3f}"
        print(f"{result.number} {result.arm} {result.state} {result.parameters} {accuracy} {result.seconds:.1f} s")

    try:
        search.run(said)
    finally:
        save_trials(arguments.out, search.records())
        search.close()


# -- the replay -------------------------------------------------------------------------------------------------------


def show(arguments: argparse.Namespace) -> None:
    """A line for each arm, order and risk."""
    trials = [trial for path in arguments.record for trial in read(path)]
    trials = [trial for trial in trials if trial.curve and trial.planned]
    arms = sorted({trial.arm for trial in trials})
    maximise = trials[0].maximise if trials else "accuracy"
    rows = []
    if not arguments.json:
        print(
            f"{sum(len(trial.curve) for trial in trials):,} epochs, {sum(trial.seconds for trial in trials):,.0f} s\n"
        )
        print(HEAD)
    for arm in [*arms, *(["all"] if len(arms) > 1 else [])]:
        own = [trial for trial in trials if arm in (trial.arm, "all")]
        for risk in arguments.risk:
            rule = StoppingRule(tuple(arguments.checks), risk, arguments.audit)
            found = {"as it went": [replay(own, rule, maximise)]}
            found[f"{arguments.orders} random"] = [
                replay(shuffled(own, seed), rule, maximise) for seed in range(arguments.orders)
            ]
            for name, replays in found.items():
                if not replays:
                    continue
                row = summary(replays) | {"arm": arm, "order": name, "risk": risk}
                rows.append(row)
                if not arguments.json:
                    print(line(row))
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(LEGEND)


def read(path: Path) -> list[TrialResult]:
    """The trials of a search."""
    path = path / "trials.json" if path.is_dir() else path
    return [TrialResult.from_json(value) for value in json.loads(path.read_text(encoding="utf-8"))]


def shuffled(trials: Sequence[TrialResult], seed: int) -> list[TrialResult]:
    """The same trials as if drawn in another order, each arm's slots among themselves."""
    chance = random.Random(seed)
    found = []
    for arm in sorted({trial.arm for trial in trials}):
        own = [trial for trial in trials if trial.arm == arm]
        places = [(trial.number, trial.slot) for trial in own]
        chance.shuffle(own)
        found += [replace(trial, number=n, slot=slot) for trial, (n, slot) in zip(own, places, strict=True)]
    return found


def summary(replays: Sequence[Replay]) -> dict[str, float]:
    """Means over the orders."""
    return {
        "trials": replays[0].trials,
        "looked_at": mean(each.looked_at for each in replays),
        "stopped": mean(len(each.stopped) for each in replays),
        "epochs": mean(each.saved_epochs for each in replays),
        "seconds": mean(each.saved_seconds for each in replays),
        "beyond": mean(each.beyond for each in replays),
        "false": mean(each.false_stops for each in replays),
        "lost": mean(each.lost for each in replays),
        "front": replays[0].front,
        "audited": mean(each.audited for each in replays),
        "audit_stops": mean(len(each.audit_stops) for each in replays),
        "audit_false": mean(sum(stop.reached for stop in each.audit_stops) for each in replays),
    }


def line(row: dict) -> str:
    """As in `HEAD`."""
    return (
        f"{row['arm']:12} {row['order']:>10} {row['risk']:5.2f} {row['trials']:6d} {row['looked_at']:6.0f} "
        f"{row['stopped']:7.1f} {row['epochs']:7.1%} {row['seconds']:7.1%} {row['beyond']:7.1%} {row['false']:6.1f} "
        f"{row['lost']:4.1f} of {row['front']:<2d} "
        f"{row['audited']:4.0f} {row['audit_stops']:4.1f} {row['audit_false']:4.1f}"
    )


if __name__ == "__main__":
    main()
