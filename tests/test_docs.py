"""The README and its neighbours say what is true: commands, options, settings, links and pictures are there."""

import dataclasses
import importlib
import itertools
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import typer

from kws_dendrite.cli.main import COMMANDS, GROUPS
from kws_dendrite.cli.train import growth_plan
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.config import KINDS, MODES, Objective
from kws_dendrite.frontend import LogMelConfig, MfccConfig, MfeConfig
from kws_dendrite.models import FAMILIES
from kws_dendrite.settings import parse_assignments

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "datasets.md", "NOTICE", "docs/dendrites.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
OPENING_LINES = 15
NOT_FOR_READERS = (r"/work\b", r"\bshared/", r"\bissue\s*#?\d", r"#\d+\b", r"\bsession\b", r"\bagents?\b")


def commands():
    """Name -> command, as the command line builds them."""
    app = typer.Typer()
    for name in COMMANDS:
        app.command(name)(getattr(importlib.import_module(f"kws_dendrite.cli.{name}"), name))
    for name, module in GROUPS.items():
        app.add_typer(importlib.import_module(f"kws_dendrite.cli.{module}").app, name=name)
    return typer.main.get_command(app).commands


def lines_of_code(text):
    """Indented lines, continued ones joined, comments cut."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line.strip() for line in joined.splitlines() if line.startswith("    ") and line.strip()]


def command_lines(text):
    return [line for line in lines_of_code(text) if line.startswith("kws-dendrite ")]


def anchors(text):
    """Headings as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("line", command_lines(README) + command_lines((ROOT / "datasets.md").read_text("utf-8")))
def test_each_command_line_is_understood(line):
    name, *arguments = shlex.split(line, comments=True)[1:]
    known = commands()
    assert name in known
    known[name].make_context(name, arguments)  # names, values and what is required, without running anything


def test_every_command_is_shown():
    assert {shlex.split(line)[1] for line in command_lines(README)} == set(COMMANDS) | set(GROUPS)


@pytest.mark.parametrize("page", ["README.md", "datasets.md"])
def test_each_option_that_is_named_exists(page):
    options = {option for command in commands().values() for parameter in command.params for option in parameter.opts}
    text = (ROOT / page).read_text(encoding="utf-8")
    inline = " ".join(re.findall(r"`([^`\n]+)`", text))
    assert set(re.findall(r"--[a-z][a-z0-9-]+", inline)) <= options | {"--help"}


def test_each_setting_that_is_named_exists():
    frontend = {field.name for kind in (MfccConfig, MfeConfig, LogMelConfig) for field in dataclasses.fields(kind)}
    growth = {field.name for field in dataclasses.fields(DendriteConfig)}
    assert set(re.findall(r"--set (\w+)=", README)) <= frontend
    assert set(re.findall(r"--growth (\w+)=", README)) <= growth
    for family in FAMILIES:
        assert f"`{family}`" in README


def test_dendrites_are_described_whole():
    """Every kind, mode and objective has its row; every setting that is named exists; the examples are understood."""
    page = (ROOT / "docs" / "dendrites.md").read_text(encoding="utf-8")
    fields = {field.name for field in dataclasses.fields(DendriteConfig)}
    for name in (*KINDS, *MODES, *get_args(Objective)):
        assert re.search(rf"^\| `{name}`( \(control\))? \|", page, re.MULTILINE), name
    assert set(re.findall(r"`(?:--growth )?(\w+)=", page)) | set(re.findall(r"--growth (\w+)=", page)) <= fields
    for line in command_lines(page):
        name, *arguments = shlex.split(line, comments=True)[1:]
        commands()[name].make_context(name, [*arguments])
        settings = parse_assignments(part for word, part in itertools.pairwise(arguments) if word == "--growth")
        growth_plan(arguments[arguments.index("--dendrites") + 1], settings)
    for name in re.findall(r"`(\w+)`", page[page.index("Each is a function of its own") : page.index("## Examples")]):
        modules = ("kws_dendrite.dendrites", "kws_dendrite.training.growth")
        assert any(hasattr(importlib.import_module(module), name) for module in modules), name


def test_each_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^    make ([\w-]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_each_script_that_is_run_exists():
    for script in re.findall(r"python ([\w/]+\.py)", README):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(text):
        if target.startswith(("http://", "https://")) or target.endswith(".png"):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), target


@pytest.mark.skipif(not (ROOT / "docs" / "results").is_dir(), reason="the results have not been added yet")
def test_each_picture_is_there():
    """The front on real speech, drawn by benchmarks/real_speech.py, and any other."""
    for target in LINK.findall(README):
        if target.endswith(".png"):
            assert (ROOT / target).read_bytes().startswith(b"\x89PNG"), target


def test_it_opens_with_the_two_commands_a_picture_and_a_limitation():
    opening = "\n".join(README.splitlines()[:OPENING_LINES])
    assert "make demo" in opening
    assert "make test" in opening
    assert re.search(r"!\[[^\]]{20,}\]\(docs/results/real_speech/pareto\.png\)", opening)  # described in words, too
    assert "limitation" in opening


def test_the_place_of_the_table_is_marked():
    assert README.count("<!-- table:begin -->") == README.count("<!-- table:end -->") == 1
    assert README.index("<!-- table:begin -->") < README.index("<!-- table:end -->")
    assert "a subset of Speech Commands v0.02 whose training part is about a quarter of the full set" in README


@pytest.mark.parametrize("page", ["README.md", "NOTICE"])
def test_patent_and_name_are_stated(page):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert "11,580,403" in text
    assert '"Perforated Backpropagation" is a name in use by its owner' in text
    assert "independent implementation" in text


def test_the_licence_is_the_whole_text():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("page", [*PAGES, ROOT / "notebooks" / "walkthrough.ipynb"], ids=lambda page: page.name)
@pytest.mark.parametrize("pattern", NOT_FOR_READERS)
def test_nothing_is_said_that_readers_cannot_follow(page, pattern):
    assert not re.search(pattern, page.read_text(encoding="utf-8"), re.IGNORECASE)
