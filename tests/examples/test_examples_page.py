"""docs/any_model.md says what is true: names, settings, scripts and links are there."""

import ast
import re
from pathlib import Path

import pytest

from kws_dendrite import dendrites

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "any_model.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_FOR_READERS = (r"/work\b", r"\bshared/", r"\bissue\s*#?\d", r"\bsession\b", r"\bagents?\b")


def blocks(text):
    """Indented blocks that are Python."""
    found = []
    for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.MULTILINE):
        code = "\n".join(line[4:] for line in block.splitlines())
        if "import" in code or "=" in code:
            found.append(code)
    return found


@pytest.mark.parametrize("text", [PAGE, README], ids=["page", "readme"])
def test_names_that_are_imported_exist(text):
    names = {
        name.strip()
        for line in re.findall(r"from kws_dendrite\.dendrites import (.+)", text)
        for name in line.split(",")
    }
    assert {"Grower", "GrowerConfig"} <= names
    assert all(hasattr(dendrites, name) for name in names)


def test_settings_that_are_shown_are_taken():
    calls = 0
    for code in blocks(PAGE):
        try:
            tree = ast.parse(code)
        except SyntaxError:
            continue
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", "")
            if name in ("DendriteConfig", "GrowerConfig"):
                calls += 1
                known = getattr(dendrites, name).__dataclass_fields__
                assert {keyword.arg for keyword in call.keywords} <= known.keys()
    assert calls >= 2
    for mode in re.findall(r'^\| `"(\w+)"', PAGE, re.MULTILINE):
        assert dendrites.DendriteConfig(mode=mode).mode == mode


@pytest.mark.parametrize("pattern", NOT_FOR_READERS)
def test_nothing_is_said_that_readers_cannot_follow(pattern):
    assert not re.search(pattern, PAGE, re.IGNORECASE)


def test_scripts_exist():
    scripts = re.findall(r"(examples/\w+\.py)", PAGE)
    assert set(scripts) == {"examples/digits.py", "examples/mnist.py", "examples/deployed.py"}
    assert all((ROOT / script).is_file() for script in scripts)
