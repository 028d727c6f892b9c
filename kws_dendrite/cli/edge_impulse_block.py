"""Edge Impulse's custom learning block: `python -m kws_dendrite.cli.edge_impulse_block`, as Studio's container runs it.

    --data-directory DIR --out-directory DIR [--info-file train_input.json] [--<parameter> VALUE ...]

Reads the arrays that a processing block made, trains, writes `model.tflite` and `model_quantized_int8_io.tflite`, and
prints the validation accuracies of those very files. A mistake in the input is one line and exit status 2; what was in
the output folder is then as it was. `--print-parameters` prints the parameters.json that belongs to this version.
"""

import time

START = time.monotonic()  # before anything heavy is imported: the time limit counts from here

import json  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

from kws_dendrite.errors import KwsDendriteError  # noqa: E402

if TYPE_CHECKING:
    import numpy as np

    from kws_dendrite.cli.block_clock import BlockClock
    from kws_dendrite.cli.block_files import Converter, Score
    from kws_dendrite.cli.block_parameters import Settings
    from kws_dendrite.cli.block_training import Plan
    from kws_dendrite.data import FeatureBank
    from kws_dendrite.plain import Graph
    from kws_dendrite.training.growth import TrainResult

PRINT_PARAMETERS = "--print-parameters"
INT8_LOSS = 0.02  # of accuracy: from here on a warning says where to look


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the block; returns the exit status: 0, 2 for a mistake in the input, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if PRINT_PARAMETERS in arguments or "--help" in arguments or "-h" in arguments:
        from kws_dendrite.cli.block_parameters import help_lines, parameters_json

        printed = PRINT_PARAMETERS in arguments
        print(json.dumps(parameters_json(), indent=4) if printed else "\n".join([__doc__, *help_lines()]))
        return 0
    try:
        return run(arguments)
    except KwsDendriteError as error:
        sys.stdout.flush()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        return 130


def say(line: str) -> None:
    """A line for Studio's log, at once."""
    print(line, flush=True)


def run(arguments: Sequence[str]) -> int:
    """Everything between the arguments and the exit status."""
    from kws_dendrite.cli.block_files import Converter

    with Converter() as converter:  # loads TensorFlow meanwhile
        from kws_dendrite.cli.block_files import check_out
        from kws_dendrite.cli.block_parameters import SEARCH, read_arguments

        settings = read_arguments(arguments)
        say("parameters:")
        for line in settings.lines():
            say(line)
        if settings.unknown:
            say(f"warning: not parameters of this block, ignored: {' '.join(settings.unknown)}")
        for name in check_out(settings.out):
            say(f"warning: {settings.out} holds {name}, which is not of this run and which Studio would convert, too")
        bank, clock = _read(settings)

        from kws_dendrite.cli.block_training import default_plan, plan_by_search, plan_one, train_plan

        searching, trained = settings["mode"] == SEARCH, threading.Event()
        plan = default_plan(bank) if searching else plan_one(settings, bank)
        _rehearse(converter, plan, bank, clock, trained)
        try:
            if searching:
                plan = plan_by_search(settings, bank, clock, say)
            result = train_plan(plan, settings, bank, clock, say)
        finally:
            trained.set()
        _hand_over(converter, result, bank, settings, clock)
        return 130 if result.interrupted and not clock.fired else 0


def _read(settings: "Settings") -> tuple["FeatureBank", "BlockClock"]:
    from kws_dendrite.cli.block_clock import BlockClock
    from kws_dendrite.data import load_block_arrays
    from kws_dendrite.data.block_info import read_info

    if not settings.info.is_file():
        say(f"no {settings.info}: class names are numbers, and there is no time limit")
    info = read_info(settings.info)
    bank = load_block_arrays(settings.data, settings["coefficients"], info)
    _, clips, T, F = bank.train.shape
    say(f"data: {clips:,} training and {len(bank.validation):,} validation clips, {T} frames of {F} coefficients")
    if settings["coefficients"] != F:
        say(f"warning: the arrays have {F} coefficients a frame, not {settings['coefficients']}; taking theirs")
    say(f"labels: {bank.summary['label_form']}; {len(bank.labels)} classes: {', '.join(bank.labels)}")
    say(f"split: {bank.summary['split']}")
    _say_counts(bank)
    if bank.frontend.get("keeps_level"):
        say("level: these features keep each clip's level; nets of the separable family take it off first")
    if info.max_seconds is not None:
        say(f"time limit: {info.max_seconds:.0f} s, the export included")
    return bank, BlockClock(START, info.max_seconds)


def _say_counts(bank: "FeatureBank") -> None:
    import numpy as np

    K = len(bank.labels)
    train, held = (np.bincount(labels, minlength=K) for labels in (bank.train_labels, bank.validation_labels))
    rows = [f"{name} {n:,} + {m:,}" for name, n, m in zip(bank.labels, train, held, strict=True)]
    say(f"clips of each class, training + validation: {'; '.join(rows)}")
    for counts, what in ((train, "train"), (held, "validate")):
        missing = [name for name, count in zip(bank.labels, counts, strict=True) if not count]
        if missing:
            say(f"warning: no clip to {what} on of {', '.join(missing)}")


def _rehearse(
    converter: "Converter", plan: "Plan", bank: "FeatureBank", clock: "BlockClock", trained: threading.Event
) -> None:
    """Measure what an export takes, beside the training, where a time limit asks for it."""
    if clock.limit is None:
        return
    from kws_dendrite.cli.block_files import rehearse
    from kws_dendrite.fold import fold
    from kws_dendrite.models import build_model

    graph = fold(build_model(plan.architecture), 0, bank.labels)

    def measure() -> None:
        try:
            clock.measured(rehearse(converter, graph, _flat(bank.train[0]), _flat(bank.validation)))
        except (KwsDendriteError, OSError, ValueError) as error:  # nothing follows from it: the reserve stays as it is
            clock.known = True
            if not trained.is_set():
                say(f"warning: the export could not be timed ({' '.join(str(error).split())})")

    threading.Thread(target=measure, daemon=True).start()


def _hand_over(
    converter: "Converter", result: "TrainResult", bank: "FeatureBank", settings: "Settings", clock: "BlockClock"
) -> None:
    """Write the best member's files and say what they do."""
    import torch

    from kws_dendrite.cli.block_files import write_files
    from kws_dendrite.fold import fold
    from kws_dendrite.plain import cost
    from kws_dendrite.training.loop import predict

    begun = clock.elapsed()
    member = min(range(len(result.best_loss)), key=result.best_loss.__getitem__)
    graph = fold(result.model, member, bank.labels)
    counted = cost(graph)
    mean = sum(result.best_accuracy) / len(result.best_accuracy)
    say(f"seeds: validation accuracy {mean:.2%} on average, {result.best_accuracy[member]:.2%} of the one taken")
    say(f"net: {counted.parameters:,} parameters, {counted.macs:,} MACs; writing the files")
    logits = predict(result.model, torch.from_numpy(bank.validation).float())[member]
    scores = write_files(
        converter, graph, settings.out, calibration=_flat(bank.train[0]), x=_flat(bank.validation),
        y=bank.validation_labels, trained=torch.softmax(logits, -1).numpy(),
    )  # fmt: skip
    _say_scores(scores, graph, bank)
    took = f"export {clock.elapsed() - begun:.1f} s, in all {clock.elapsed():.1f} s"
    say(took + ("" if clock.limit is None else f" of {clock.limit:.0f} s"))


def _say_scores(scores: "list[Score]", graph: "Graph", bank: "FeatureBank") -> None:
    for kind, score in zip(("float", "int8"), scores, strict=True):
        say(f"{kind} validation accuracy: {score.text}")
    exact, small = scores
    say(f"equal decisions of both files: {(exact.decisions == small.decisions).mean():.2%}")
    rows = []
    for k, name in enumerate(bank.labels):
        own = bank.validation_labels == k
        if own.any():
            rows.append(f"{name} {(small.decisions[own] == k).mean():.1%}")
    say(f"int8, by class: {'; '.join(rows)}")
    say("the epoch and the seed were chosen on these clips: expect a little less on new ones (Studio's model testing)")
    if exact.accuracy - small.accuracy > INT8_LOSS:
        largest = float(abs(bank.train).max())
        say(f"warning: int8 loses {exact.accuracy - small.accuracy:.1%}; the largest feature is {largest:.3g}, look "
            "for clips that stand out")  # fmt: skip


def _flat(features: "np.ndarray") -> "np.ndarray":
    """(N, T, F) -> (N, T*F)."""
    return features.reshape(len(features), -1)


if __name__ == "__main__":
    sys.exit(main())
