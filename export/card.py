"""MODEL_CARD.md: what the model is, what it was measured on, what it costs, what it cannot do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kws_dendrite import __version__
from kws_dendrite.errors import ConfigError
from kws_dendrite.export.parity import ParityReport
from kws_dendrite.plain import Cost

SYNTHETIC_NOTICE = (
    "**Synthetic data.** The clips were spoken by a speech synthesiser, not by people. The numbers here show that the "
    "chain works; they say nothing about real voices, rooms or microphones."
)
FILES = {
    "model.onnx": "ONNX, float32",
    "model_int8.onnx": "ONNX, int8 (QDQ), float32 in and out",
    "model.tflite": "TFLite, float32",
    "model_quantized_int8_io.tflite": "TFLite, int8 throughout, int8 in and out: the one for microcontrollers",
    "graph.npz": "the plain graph itself (numpy arrays and JSON)",
    "labels.txt": "class names, one a line, in output order",
    "frontend.json": "how audio becomes features",
    "test_vector.npz": "features, float probabilities, and the int8 file's exact input and output bytes",
    "parity.json": "the differences above, in full, and int8's noise layer by layer",
}


@dataclass(frozen=True)
class ModelCard:
    """What the exporter cannot know by itself.

    Attributes:
        name: a title.
        data: the data set, as a person would name it.
        synthetic: whether its clips are synthetic speech.
        clips: partition -> number of clips.
        members: P, how many seeds of this architecture were trained; the exported one is a single member.
        accuracy: the exported model's share of right decisions on `split`, in [0, 1].
        interval: its 95 % interval.
        split: the partition `accuracy` was measured on.
        training: how it was trained, in a sentence or two.
        limits: further things it cannot do, a sentence each.
    """

    name: str
    data: str
    synthetic: bool
    clips: Mapping[str, int]
    members: int = 1
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    split: str = "validation"
    training: str = ""
    limits: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            raise ConfigError(f"a card's accuracy is a share in [0, 1], not {self.accuracy}")
        if self.members < 1:
            raise ConfigError(f"a card's members is at least 1, not {self.members}")


def card_text(
    card: ModelCard,
    *,
    labels: tuple[str, ...],
    frontend: Mapping[str, Any],
    cost: Cost,
    parity: ParityReport,
    sizes: Mapping[str, int],
    has_c: bool,
) -> str:
    """The card as Markdown.

    Args:
        card: what the caller says.
        labels: K class names.
        frontend: the front end's JSON.
        cost: of the plain graph.
        parity: the chain as measured.
        sizes: file name -> bytes, of the files in the bundle.
        has_c: whether C sources stand in `c/`.
    """
    parts = [f"# {card.name}", f"Keyword spotter, {len(labels)} classes: {', '.join(labels)}."]
    if card.synthetic:
        parts.append(SYNTHETIC_NOTICE)
    parts += [
        "## Data and accuracy",
        _data(card),
        "## Input and output",
        _front_end(frontend),
        "## Cost",
        _cost(cost),
        "## From the trained model to the files",
        _parity(parity),
        "## Files",
        _files(sizes, has_c),
        "## Limits",
        _limits(card),
        f"Written by kws-dendrite {__version__}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _data(card: ModelCard) -> str:
    clips = ", ".join(f"{count:,} {partition}" for partition, count in card.clips.items())
    lines = [f"{card.data}; clips: {clips}."]
    if card.accuracy is not None:
        interval = f" (95 % interval {_range(card.interval)})" if card.interval else ""
        number = card.clips.get(card.split)
        over = f" over {number:,} clips" if number else ""
        lines.append(f"Accuracy on the {card.split} partition{over}: {100 * card.accuracy:.1f} %{interval}.")
    lines.append(f"Seeds trained of this architecture: P = {card.members}; this is one of them.")
    if card.training:
        lines.append(card.training)
    return "\n".join(lines)


def _range(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _front_end(frontend: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in frontend.items() if key not in ("block", "task"))
    return (
        "Input: one clip's features, flat and frame-major (1, T*F). Output: (1, K) probabilities, softmax included.\n"
        f"Front end: {frontend.get('block', 'unknown')}" + (f" ({settings})." if settings else ".")
    )


def _cost(cost: Cost) -> str:
    return (
        "| parameters | multiply-accumulates | int8 weights and biases | peak int8 activations |\n|---|---|---|---|\n"
        f"| {cost.parameters:,} | {cost.macs:,} | {cost.weight_bytes_int8:,} B | {cost.peak_activation_bytes:,} B |\n\n"
        "Of the network alone: the front end and a runtime's own tables come on top."
    )


def _parity(parity: ParityReport) -> str:
    lines = [f"Over {parity.clips:,} clips, every one through every file:", ""]
    lines += ["| step | worst difference of a probability | bound |", "|---|---|---|"]
    lines += [f"| {hop.name} | {hop.worst:.1e} | {hop.bound:.0e} |" for hop in parity.hops]
    lines += ["", "| int8 file | accuracy | float model's | equal decisions |", "|---|---|---|---|"]
    for row in parity.int8:
        accuracies = f"{100 * row.accuracy:.1f} % | {100 * row.float_accuracy:.1f} %"
        lines.append(f"| {row.name} | {accuracies} | {100 * row.equal_decisions:.1f} % |")
    if parity.c is not None and parity.c.clips:
        lines += ["", f"The C gives the int8 TFLite file's bytes on {parity.c.equal:,} of {parity.c.clips:,} clips."]
    elif parity.c is not None:
        lines += ["", "The C was not run where this bundle was written: there was no C compiler."]
    return "\n".join(lines)


def _files(sizes: Mapping[str, int], has_c: bool) -> str:
    lines = ["| file | bytes | what |", "|---|---|---|"]
    lines += [f"| `{name}` | {sizes[name]:,} | {what} |" for name, what in FILES.items() if name in sizes]
    if has_c:
        lines += [
            "",
            "`c/` is plain C99: the model, its front end and a detector; its README.md says how to take it in.",
        ]
    else:
        lines += ["", "This bundle holds no C sources; run the int8 TFLite file with TensorFlow Lite Micro."]
    return "\n".join(lines)


def _limits(card: ModelCard) -> str:
    limits = [
        "It decides among the classes above; what it was not trained on lands in one of them.",
        "Accuracy was measured on clips cut like the training clips, not on continuous audio.",
        *card.limits,
    ]
    return "\n".join(f"* {limit}" for limit in limits)
