"""The learning block's parameters: one table for Studio's form and for what is read from the command line."""

import json
from pathlib import Path

import pytest
from block_image import BLOCK

from kws_dendrite.cli import edge_impulse_block
from kws_dendrite.cli.block_parameters import (
    BY_NAME,
    LEARNING_RATE,
    OWN_LEARNING_RATE,
    PARAMETERS,
    parameters_json,
    read_arguments,
)
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.config import MODES
from kws_dendrite.errors import ConfigError
from kws_dendrite.models import FAMILIES
from kws_dendrite.training.config import TrainConfig

STORED = json.loads((BLOCK / "parameters.json").read_text("utf-8"))
ENTRIES = {entry["param"]: entry for entry in STORED["parameters"]}
TYPES = {"int", "float", "string", "boolean", "select", "flag"}  # of those that exist, the ones for learning blocks
FOLDERS = ["--data-directory", "in", "--out-directory", "out"]


def read(*arguments):
    return read_arguments([*FOLDERS, *arguments])


def test_the_stored_file_is_what_this_version_prints(capsys):
    """After a change: python -m kws_dendrite.cli.edge_impulse_block --print-parameters > .../block/parameters.json"""
    assert edge_impulse_block.main(["--print-parameters"]) == 0
    assert capsys.readouterr().out == (BLOCK / "parameters.json").read_text("utf-8")
    assert parameters_json() == STORED


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_names_every_parameter_and_folder(capsys, word):
    assert edge_impulse_block.main([word]) == 0
    text = capsys.readouterr().out
    assert "--data-directory" in text and "--out-directory" in text
    for param in BY_NAME:
        assert f"--{param} " in text


def test_the_form_is_as_studio_reads_it():
    assert STORED["version"] == 1 and STORED["type"] == "machine-learning"
    info = STORED["info"]
    assert info["operatesOn"] == "audio" and info["indRequiresGpu"] is False
    assert info["name"] and info["description"]
    assert len(ENTRIES) == len(STORED["parameters"])
    for param, entry in ENTRIES.items():
        assert set(entry) <= {"name", "value", "type", "help", "param", "valid", "showIf", "section"}
        assert entry["type"] in TYPES and entry["name"] and entry["help"]
        assert param == param.lower() and " " not in param and "_" not in param
        assert (entry["type"] == "select") == ("valid" in entry)
        if "showIf" in entry:
            condition = entry["showIf"]
            assert condition["operator"] == "eq"
            assert condition["value"] in [choice["value"] for choice in ENTRIES[condition["parameter"]]["valid"]]


def test_choices_are_the_codes_own():
    valid = {param: [choice["value"] for choice in entry.get("valid", [])] for param, entry in ENTRIES.items()}
    assert valid["family"] == list(FAMILIES)
    assert valid["dendrites"] == ["none", *MODES]
    assert valid["mode"] == ["train", "search"]
    for mode in MODES:
        DendriteConfig(mode=mode)


def test_the_parameters_asked_for_are_all_there():
    wanted = {"mode", "epochs", "learning-rate", "coefficients", "family", "dendrites", "seeds", "max-params", "trials"}
    assert wanted <= set(ENTRIES)


def test_every_default_of_the_form_is_the_one_taken_without_it():
    passed = [word for entry in STORED["parameters"] for word in (f"--{entry['param']}", str(entry["value"]))]
    assert read(*passed).values == read().values
    assert read().given == {}


def test_every_choice_can_be_passed_by_value_or_by_label():
    for param, entry in ENTRIES.items():
        for choice in entry.get("valid", []):
            for text in (choice["value"], choice["label"], f'"{choice["value"]}"', choice["value"].upper()):
                assert read(f"--{param}", text)[param] == choice["value"], text


@pytest.mark.parametrize(
    ("words", "param", "value"),
    [
        (("--epochs", "30"), "epochs", 30),
        (("--epochs=30",), "epochs", 30),
        (("--epochs", "30.0"), "epochs", 30),
        (("--epochs", "3e1"), "epochs", 30),
        (("--epochs", ' "30" '), "epochs", 30),
        (("--epochs", "1", "--epochs", "2"), "epochs", 2),
        (("--learning_rate", "1e-2"), "learning-rate", 0.01),
        (("--learning-rate", "0.01"), "learning-rate", 0.01),
        (("--num-cepstral", "40"), "coefficients", 40),
        (("--num-cepstral", "40", "--coefficients", "20"), "coefficients", 20),
        (("--balance-classes", "1"), "balance-classes", True),
        (("--balance-classes", "0"), "balance-classes", False),
        (("--balance-classes", "true"), "balance-classes", True),
        (("--balance-classes", "False"), "balance-classes", False),
        (("--balance-classes",), "balance-classes", True),  # as a flag
        (("--balance-classes", "--epochs", "4"), "balance-classes", True),
        (("--dendrites", "true"), "dendrites", "gradient"),
        (("--dendrites", "0"), "dendrites", "none"),
        (("--dendrites", "none"), "dendrites", "none"),
        (("--family", "edge-impulse-1d"), "family", "edge_impulse_1d"),
        (("--epochs", ""), "epochs", 100),
        (("--epochs",), "epochs", 100),
        (("--epochs", "undefined"), "epochs", 100),
        (("--epochs", "null", "--seeds", "3"), "epochs", 100),
        (("--", "--epochs", "5"), "epochs", 5),
    ],
)
def test_spellings(words, param, value):
    settings = read(*words)
    assert settings[param] == value and type(settings[param]) is type(value)
    assert settings.unknown == ()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--epochs", "true"), "epochs is a whole number; got 'true'"),
        (("--epochs", "2.5"), "epochs is a whole number; got '2.5'"),
        (("--epochs", "inf"), "epochs is a whole number"),
        (("--epochs", "-3"), "epochs is at least 1 and at most 100000; got '-3'"),
        (("--seeds", "65"), "seeds is at least 1 and at most 64"),
        (("--learning-rate", "fast"), "learning-rate is a number"),
        (("--balance-classes", "maybe"), "balance-classes is 1 or 0, true or false; got 'maybe'"),
        (("--dendrites", "perforate"), "got 'perforate'; did you mean perforated"),
        (("--mode", "2"), "mode is one of train, search; got '2'"),
    ],
)
def test_what_is_passed_is_used_or_refused(words, says):
    with pytest.raises(ConfigError, match=says):
        read(*words)


def test_unknown_arguments_are_kept_to_be_named():
    settings = read("--use-dendrites", "true", "--epochs", "3", "stray", "--validation-set-size", "0.2")
    assert settings["epochs"] == 3
    assert settings.unknown == ("--use-dendrites", "true", "stray", "--validation-set-size", "0.2")


@pytest.mark.parametrize("name", ["--info-file", "--input-file"])
def test_the_info_file_has_two_names(name):
    assert read(name, "/else/where.json").info == Path("/else/where.json")
    assert read().info == Path("in/train_input.json")


def test_every_value_is_told_with_where_it_came_from():
    lines = read("--epochs", "30", "--seeds", "2.0", "--family", "null", "--mode", "search").lines()
    told = {line.split()[0]: line for line in lines}
    assert set(told) == set(BY_NAME)
    assert told["epochs"].endswith("(passed)") and told["seeds"].endswith("(passed as '2.0')")
    assert told["family"].endswith("(default; 'null' was passed; counts in mode train alone)")
    assert told["coefficients"].endswith("(default)")
    assert "no parameters were passed" in read().lines()[0]


def test_a_learning_rate_of_nothing_is_the_familys_own():
    assert read().learning_rate == LEARNING_RATE == TrainConfig().learning_rate
    for family in FAMILIES:
        settings = read("--family", family)
        assert settings.learning_rate == OWN_LEARNING_RATE.get(family, LEARNING_RATE)
        assert read("--family", family, "--learning-rate", "0.5").learning_rate == 0.5
    line = next(line for line in read("--family", "edge_impulse_1d").lines() if "learning-rate" in line)
    assert line.endswith("(default; edge_impulse_1d's own is 0.005)")
    assert set(OWN_LEARNING_RATE) <= set(FAMILIES)


def test_help_and_labels_name_each_choice():
    for parameter in PARAMETERS:
        labels = [choice["label"] for choice in parameter.to_json().get("valid", [])]
        assert len(set(labels)) == len(labels)
