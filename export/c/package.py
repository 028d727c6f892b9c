"""What makes the folder of C sources a CMake library, an Arduino library and a Zephyr module at once.

The texts are templates in runtime/package. The Arduino side follows the library specification 1.5 (rev. 2.2) in its
flat layout: of the sources, those in the root alone are compiled. The Zephyr side follows the module.yml schema in
Zephyr's scripts/zephyr_module.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from kws_dendrite.errors import ConfigError, ExportError

# Arduino: letters, digits, spaces, underscores, dots and dashes; a letter or digit first; a letter somewhere.
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9 _.\-]{0,62}")
# Semantic Versioning 2.0.0, its grammar.
_NUMBER = r"(?:0|[1-9]\d*)"
_IDENTIFIER = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"(?P<numbers>{_NUMBER}\.{_NUMBER}\.{_NUMBER})(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_SOURCE = re.compile(r"kws_[A-Za-z0-9_]+\.[ch]")
_CONDITION = re.compile(r"^@if ([a-z]+)@\n(.*?)^@end@\n", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"@([A-Z]+)@")

METADATA = (
    "CMakeLists.txt", "library.properties", "keywords.txt", "zephyr/module.yml", "zephyr/CMakeLists.txt",
    "zephyr/Kconfig", "README.md",
)  # fmt: skip
DETECTOR_EXAMPLES = (
    "examples/host/main.c",
    "examples/arduino_microphone/arduino_microphone.ino",
    "examples/zephyr/CMakeLists.txt",
    "examples/zephyr/prj.conf",
    "examples/zephyr/src/main.c",
)
MODEL_EXAMPLES = ("examples/features/main.c",)


@dataclass(frozen=True)
class Publisher:
    """Who stands in library.properties; placeholders until someone publishes the library.

    Attributes:
        author: names, with addresses or without, separated by commas.
        maintainer: name and address.
        url: the project's page.
    """

    author: str = "kws_dendrite"
    maintainer: str = "kws_dendrite <nobody@example.com>"
    url: str = "https://example.com/"

    def __post_init__(self) -> None:
        for field in ("author", "maintainer", "url"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value.strip() or not value.isprintable():
                raise ConfigError(f"{field} must be one line of text, got {value!r}")
        if not re.fullmatch(r"https?://\S+", self.url):
            raise ConfigError(f"url must start with http:// or https:// and hold no space, got {self.url!r}")


def package_files(
    name: str,
    version: str,
    sources: Iterable[str],
    has_detector: bool,
    *,
    figures: Mapping[str, str] | None = None,
    publisher: Publisher | None = None,
) -> dict[str, str]:
    """Everything of the folder that is not C source: path in the folder -> text.

    Args:
        name: the library's name by Arduino's rules, up to 63 characters.
        version: a semantic version, such as "1.0.0".
        sources: names of the folder's .c and .h files; other files, such as kws_model.json, are let be.
        has_detector: kws_detector and kws_frontend are among them; the examples lean on that.
        figures: rows of the README's table of sizes, such as {"flash": "9,812 bytes"}; None leaves it out.
        publisher: for library.properties; None leaves placeholders.

    Raises:
        ConfigError: a name or version that Arduino's specification refuses.
        ExportError: sources that are missing or that have names of another kind.
    """
    numbers = check_identity(name, version)
    names = _check_sources(sources, has_detector)
    publisher = publisher or Publisher()
    frontend = "kws_frontend.c" in names
    flags = {
        "detector": has_detector,
        "model": not has_detector,
        "frontend": frontend,
        "nofrontend": not frontend,
        "figures": bool(figures),
    }
    compiled = [source for source in names if source.endswith(".c")]
    examples = DETECTOR_EXAMPLES if has_detector else MODEL_EXAMPLES
    rows = [f"| {what} | {value} |" for what, value in (figures or {}).items()]
    values = {
        "NAME": name,
        "FOLDER": name.replace(" ", "_"),
        "VERSION": version,
        "NUMBERS": numbers,
        "AUTHOR": publisher.author,
        "MAINTAINER": publisher.maintainer,
        "URL": publisher.url,
        "EXAMPLE": examples[0],
        "PROGRAM": "kws_host" if has_detector else "kws_features",
        "CMAKESOURCES": "\n    ".join(compiled),
        "ZEPHYRSOURCES": "\n    ".join(f"${{KWS_DIR}}/{source}" for source in compiled),
        "FIGURES": "\n".join(["| figure | value |", "| --- | --- |", *rows]),
    }
    filled = {path: _fill(_read(path), flags, values) for path in (*METADATA, *examples)}
    return filled | {"LICENSE": _read("LICENSE")}


def check_identity(name: str, version: str) -> str:
    """Check both by the Arduino library specification; returns the version's three numbers, which CMake takes.

    Raises:
        ConfigError: one that is refused.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower().startswith("arduino"):
        raise ConfigError(
            f"name is {name!r}; a library's name has up to 63 letters, digits, spaces, '_', '.' and '-', starts with a "
            "letter or digit, holds a letter and does not start with Arduino"
        )
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise ConfigError(f"version is {version!r}; it must be a semantic version, such as 1.0.0 or 1.2.0-beta.1")
    return match["numbers"]


def _check_sources(sources: Iterable[str], has_detector: bool) -> list[str]:
    names = sorted({source for source in sources if source.endswith((".c", ".h"))})
    for name in names:
        if not _SOURCE.fullmatch(name):
            raise ExportError(
                f"{name!r} cannot be packaged: sources lie in the folder's root and are called kws_*.c, .h"
            )
    needed = {"kws_model.c", "kws_model.h"}
    if has_detector:
        needed |= {f"kws_{part}.{kind}" for part in ("detector", "frontend") for kind in "ch"}
    missing = sorted(needed - set(names))
    if missing:
        raise ExportError(f"{', '.join(missing)} not among the sources to package: {', '.join(names) or 'none'}")
    return names


def _read(path: str) -> str:
    return files("kws_dendrite.export").joinpath("c", "runtime", "package", *path.split("/")).read_text("utf-8")


def _fill(template: str, flags: Mapping[str, bool], values: Mapping[str, str]) -> str:
    """Keep each "@if flag@ ... @end@" whose flag is set, then put in the values.

    One pass, so that a value that looks like a placeholder stays what it is.
    """
    kept = _CONDITION.sub(lambda match: match[2] if flags[match[1]] else "", template)
    return _PLACEHOLDER.sub(lambda match: values[match[1]], kept)
