"""The Edge Impulse learning block's parameters: what Studio shows (parameters.json) and what it passes, in one table.

Studio passes `--<param> value` for each entry: numbers and choices as text, booleans as 1 or 0, flags by presence. A
project that was cloned from an older block passes what that one had, or nothing. Whatever is passed is used or
refused, never dropped in silence, and `Settings.lines` says for every value where it came from.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kws_dendrite.dendrites.config import MODES
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import FAMILIES

TRAIN, SEARCH = "train", "search"
NONE = "none"  # of dendrites
FOLDERS = ("data-directory", "out-directory", "info-file", "input-file")
ALIASES = {"num-cepstral": "coefficients"}  # names that a project may pass for a parameter of ours
UNSET = ("", "null", "none", "undefined", "nan")  # what a cloned project passes for a value that it does not have
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
LABELS = {
    TRAIN: "Train one model",
    SEARCH: "Search under a parameter limit",
    NONE: "None",
    "gradient": "Trained by backpropagation",
    "perforated": "Trained by correlation, then frozen",
    "growth": "Grown: chosen by correlation, then trained",
    "random": "Random and frozen (a control)",
    "sham": "Without effect (a control)",
    "separable": "Separable temporal CNN",
    "edge_impulse_1d": "Edge Impulse's 1-D CNN",
    "edge_impulse_2d": "Edge Impulse's 2-D CNN",
    "paper": "3 x 3 CNN of arXiv 2605.15647",
    "bc_resnet": "BC-ResNet",
    "spark": "Of SparkNet's kind",
}


@dataclass(frozen=True)
class Parameter:
    """One entry.

    Attributes:
        param: as Studio passes it, `--param`.
        name, help: as Studio shows it.
        kind: Studio's type: int, float, boolean or select.
        value: the default.
        choices: of a select.
        least, most: the range of a number, both included.
        mode: it counts in this mode alone.
        advanced: shown among the advanced settings.
    """

    param: str
    name: str
    help: str
    kind: str
    value: Any
    choices: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    mode: str | None = None
    advanced: bool = False

    def to_json(self) -> dict[str, Any]:
        """As an entry of parameters.json."""
        entry = {"name": self.name, "value": self.value, "type": self.kind, "help": self.help, "param": self.param}
        if self.choices:
            entry["valid"] = [{"label": LABELS.get(choice, choice), "value": choice} for choice in self.choices]
        if self.mode:
            entry["showIf"] = {"parameter": "mode", "operator": "eq", "value": self.mode}
        if self.advanced:
            entry["section"] = "advanced"
        return entry

    def read(self, text: str) -> Any:
        """The value that `text` stands for.

        Raises:
            ConfigError: it stands for none, or for one outside the range.
        """
        if self.kind == "boolean":
            return self._flag(text)
        if self.kind == "select":
            return self._choice(text)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        whole = self.kind == "int"
        if not math.isfinite(number) or (whole and number != int(number)):
            raise ConfigError(f"{self.param} is {'a whole number' if whole else 'a number'}; got {text!r}")
        if not self.least <= number <= self.most:
            limit = f"at least {self.least:g}" + ("" if self.most == math.inf else f" and at most {self.most:g}")
            raise ConfigError(f"{self.param} is {limit}; got {text!r}")
        return int(number) if whole else number

    def _flag(self, text: str) -> bool:
        if text.lower() not in YES + NO:
            raise ConfigError(f"{self.param} is 1 or 0, true or false; got {text!r}")
        return text.lower() in YES

    def _choice(self, text: str) -> str:
        given = text.lower().replace("-", "_")
        if self.param == "dendrites" and text.lower() in YES + NO:  # where a project had a switch
            return "gradient" if text.lower() in YES else NONE
        for choice in self.choices:
            if given in (choice, LABELS.get(choice, "").lower().replace("-", "_")):
                return choice
        near = get_close_matches(given, self.choices, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{self.param} is one of {', '.join(self.choices)}; got {text!r}{hint}")


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "mode", "Mode", "One training, or a search for the most accurate net within the parameter limit.", "select",
        TRAIN, (TRAIN, SEARCH),
    ),
    Parameter(
        "epochs", "Number of training cycles", "Epochs in all, those of dendrites included.", "int", 100, least=1,
        most=100_000,
    ),
    Parameter(
        "learning-rate", "Learning rate", "At the top of the cosine schedule; 0 takes the family's own.", "float", 0,
        least=0, most=10, mode=TRAIN,
    ),
    Parameter(
        "coefficients", "Coefficients per frame",
        "Of the processing block: MFCC's number of coefficients, MFE's or the spectrogram's number of bands.", "int",
        13, least=1, most=10_000,
    ),
    Parameter(
        "family", "Family of nets", "Edge Impulse's own two are there to compare with.", "select", "separable",
        tuple(FAMILIES), mode=TRAIN,
    ),
    Parameter(
        "dendrites", "Dendrites",
        "How artificial dendrites grow. A search then tries nets with and without them; the controls are not for it.",
        "select", NONE,
        (NONE, *MODES),
    ),
    Parameter(
        "seeds", "Seeds", "Nets trained side by side from different random numbers; the best on validation is kept.",
        "int", 5, least=1, most=64,
    ),
    Parameter(
        "max-params", "Parameter limit", "Weights and biases of the net that is picked, at most.", "int", 2000, least=1,
        mode=SEARCH,
    ),
    Parameter(
        "trials", "Trials", "Nets that the search tries of each kind.", "int", 10, least=1, most=10_000, mode=SEARCH,
    ),
    Parameter(
        "balance-classes", "Balance classes", "Draw clips of every class equally often, however many it has.",
        "boolean", False, advanced=True,
    ),
    Parameter(
        "seed", "First random number", "The same number gives the same net on the same machine.", "int", 0, least=0,
        most=2**31 - 1, advanced=True,
    ),
)  # fmt: skip
BY_NAME = {parameter.param: parameter for parameter in PARAMETERS}

# The learning rates that each family was measured with (benchmarks/real_speech.py): Studio's own, the paper's best run.
OWN_LEARNING_RATE = {"edge_impulse_1d": 0.005, "edge_impulse_2d": 0.005, "paper": 0.01}
LEARNING_RATE = 0.03  # of the others, TrainConfig's


@dataclass(frozen=True)
class Settings:
    """What a run is to do.

    Attributes:
        data, out: folders.
        info: train_input.json's path.
        values: parameter -> value.
        given: parameter -> the text it was read from; what is not here has its default.
        unknown: arguments that are none of ours.
    """

    data: Path
    out: Path
    info: Path
    values: dict[str, Any]
    given: dict[str, str]
    unknown: tuple[str, ...] = ()

    def __getitem__(self, param: str) -> Any:
        return self.values[param]

    @property
    def learning_rate(self) -> float:
        """As given, or the family's own."""
        return self["learning-rate"] or OWN_LEARNING_RATE.get(self["family"], LEARNING_RATE)

    def lines(self) -> list[str]:
        """Every value and where it came from, a line each."""
        lines = [] if self.given else ["no parameters were passed: every value is the default"]
        for parameter in PARAMETERS:
            value, text = self[parameter.param], self.given.get(parameter.param)
            if text is None or _unset(text, parameter):
                origin = "default" if text is None else f"default; {text!r} was passed"
            else:
                origin = "passed" if text == _written(value) else f"passed as {text!r}"
            if parameter.param == "learning-rate" and not value and self["mode"] == TRAIN:
                origin += f"; {self['family']}'s own is {self.learning_rate:g}"
            if parameter.mode and parameter.mode != self["mode"]:
                origin += f"; counts in mode {parameter.mode} alone"
            lines.append(f"  {parameter.param:<16} {_written(value):<16} ({origin})")
        return lines


def read_arguments(arguments: Sequence[str]) -> Settings:
    """Settings from what Studio passes.

    Raises:
        ConfigError: no data or output folder, or a parameter whose value cannot be.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in FOLDERS:
        parser.add_argument(f"--{name}", nargs="?", const="")
    for name in (*BY_NAME, *ALIASES):
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}"))
        parameter = BY_NAME[ALIASES.get(name, name)]
        # A boolean without a value is a flag that is there; anything else without one is a value that is not.
        parser.add_argument(*spellings, dest=name, nargs="?", const="1" if parameter.kind == "boolean" else "")
    found, unknown = parser.parse_known_args([argument for argument in arguments if argument != "--"])
    texts = {name.replace("_", "-"): _bare(text) for name, text in vars(found).items() if text is not None}
    folders = {}
    for name in FOLDERS[:2]:
        if not texts.get(name):
            raise ConfigError(f"--{name} is missing; Studio and the block runner pass it, name a folder")
        folders[name] = Path(texts[name])
    info = texts.get("info-file") or texts.get("input-file")
    given, values = {}, {parameter.param: parameter.value for parameter in PARAMETERS}
    for name in (*ALIASES, *BY_NAME):  # a parameter's own name counts above another for it
        text, param = texts.get(name), ALIASES.get(name, name)
        if text is None:
            continue
        given[param] = text
        if not _unset(text, BY_NAME[param]):
            values[param] = BY_NAME[param].read(text)
    data, out = folders.values()
    return Settings(data, out, Path(info) if info else data / "train_input.json", values, given, tuple(unknown))


def help_lines() -> list[str]:
    """Every parameter with its default and what it does."""
    lines = []
    for parameter in PARAMETERS:
        choices = f" ({', '.join(parameter.choices)})" if parameter.choices else ""
        lines.append(f"  --{parameter.param} {_written(parameter.value)}: {parameter.help}{choices}")
    return lines


def parameters_json() -> dict[str, Any]:
    """The content of parameters.json."""
    return {
        "version": 1,
        "type": "machine-learning",
        "info": {
            "name": "Keyword spotter (kws_dendrite)",
            "description": "Small keyword spotters, with or without artificial dendrites; writes checked float and "
            "int8 TFLite files and prints the accuracies of those very files.",
            "operatesOn": "audio",
            "indRequiresGpu": False,
        },
        "parameters": [parameter.to_json() for parameter in PARAMETERS],
    }


def _unset(text: str, parameter: Parameter) -> bool:
    return text.lower() in UNSET and text.lower() not in parameter.choices


def _bare(text: str) -> str:
    """Without blanks and quotes around it."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _written(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
