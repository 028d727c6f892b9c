"""The learning block's folder: a Dockerfile whose every step makes sense, and the same install without Docker."""

import os
import re
import shlex
import socket
import subprocess
import sys

import pytest
from block_arrays import Arrays, accuracies, run_block
from block_image import BLOCK, ROOT, assemble, steps

DOCKERFILE = BLOCK / "Dockerfile"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def named(name):
    return [step for step in steps(DOCKERFILE) if step.name == name]


def pip_commands():
    return [shlex.split(c) for step in named("RUN") for c in step.commands if c.startswith("python -m pip")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As assemble.py makes it, with a wheel of no content."""
    place = tmp_path_factory.mktemp("image")
    wheel = place / "kws_dendrite-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    return assemble(place / "my_block", wheel)


def test_the_image_is_slim_python_of_a_version_that_the_project_runs_on():
    (base,) = named("FROM")
    version = re.fullmatch(r"python:3\.(\d+)-slim(-\w+)?", base.text)
    assert version, base.text
    wanted = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert int(wanted[1]) <= int(version[1]) < int(wanted[2])


def test_instructions_come_in_an_order_that_works():
    order = [step.name for step in steps(DOCKERFILE)]
    assert order[0] == "FROM" and order[-1] == "ENTRYPOINT"
    assert set(order) <= {
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "ENV",
        "ENTRYPOINT",
    }  # no USER: the mounts' owner is unknown
    assert order.index("WORKDIR") < order.index("COPY")


def test_the_working_folder_is_not_one_that_edge_impulse_mounts():
    (place,) = named("WORKDIR")
    assert place.text.startswith("/") and place.text.split("/")[1] not in ("home", "data", "tmp", "")


def test_the_entry_point_is_the_module_unbuffered_and_in_exec_form():
    (entry,) = named("ENTRYPOINT")
    assert entry.words == ["python", "-u", "-m", "kws_dendrite.cli.edge_impulse_block"]


def test_everything_that_is_copied_is_in_the_folder_and_not_ignored(folder):
    ignored = (folder / ".dockerignore").read_text("utf-8").split()
    for step in named("COPY"):
        *sources, target = step.text.split()
        assert target == "./"
        for source in sources:
            found = list(folder.glob(source))
            assert len(found) == 1, source
            assert not any(found[0].match(pattern) for pattern in ignored)


def test_what_is_installed_was_copied_before(folder):
    copied = set()
    for step in steps(DOCKERFILE):
        if step.name == "COPY":
            copied |= {path.name for source in step.text.split()[:-1] for path in folder.glob(source)}
        if step.name == "RUN":
            for word in re.findall(r"(?:-c\s+|\./)(\S+)", step.text):
                assert {path.name for path in folder.glob(word)} <= copied
                assert list(folder.glob(word)), word


def test_torch_comes_from_the_cpu_index_first_and_pinned():
    first, second, check = pip_commands()
    assert first[-1] == "torch" and first[first.index("--index-url") + 1] == CPU_INDEX
    assert "--no-deps" in first and "--no-deps" not in second  # that index lacks pinned versions
    for command in (first, second):
        assert command[command.index("-c") + 1] == "constraints.txt"
        assert "--no-cache-dir" in command
    assert second[-1] == "./kws_dendrite-*.whl"
    assert check[3:] == ["check"]


def test_each_version_in_the_image_is_pinned(folder):
    """All that the project needs, and all that that needs, stands in constraints.txt."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pins = dict(line.split("==") for line in (folder / "constraints.txt").read_text("utf-8").split() if "==" in line)
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    listed = re.search(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)[1]
    waiting = [Requirement(text) for text in re.findall(r'"([^"]+)"', listed)]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        assert name in pins or name in ("setuptools", "wheel"), name  # pip's own company, which a freeze leaves out
        if name in pins:
            assert requirement.specifier.contains(pins[name]), (str(requirement), pins[name])
        try:
            waiting += [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:  # of another platform
            continue
    assert {"torch", "tensorflow", "ai-edge-litert", "optuna"} <= seen


def test_a_second_assembly_replaces_the_wheel_and_keeps_the_accounts_file(folder, tmp_path):
    (folder / ".ei-block-config").write_text("{}")
    newer = tmp_path / "kws_dendrite-9.9.9-py3-none-any.whl"
    newer.write_bytes(b"newer")
    assemble(folder, newer)
    assert [path.name for path in folder.glob("*.whl")] == [newer.name]
    assert (folder / ".ei-block-config").read_text() == "{}"
    assert ".ei-block-config" in (folder / ".gitignore").read_text("utf-8").split()


@pytest.mark.slow
def test_the_same_install_in_a_clean_environment_runs_the_block(tmp_path):
    """Every pip step as the Dockerfile has it, in a new virtual environment; then the entry point, as Studio calls it.

    Where torch's index cannot be reached, torch comes from where this machine's pip is set up to look.
    """
    folder = assemble(tmp_path / "my_block")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    reachable = can_reach("download.pytorch.org")
    for command in pip_commands():
        words = [str(python), *command[1:]]
        if "--index-url" in words and not reachable:
            place = words.index("--index-url")
            del words[place : place + 2]
        words[-1:] = [path.name for path in folder.glob(words[-1])] if "*" in words[-1] else words[-1:]
        if words[-1].endswith(".whl"):
            words[-1] = f"./{words[-1]}"
        subprocess.run(words, cwd=folder, check=True)
    version = subprocess.run(
        [python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=True
    ).stdout
    assert "+cpu" in version
    (entry,) = named("ENTRYPOINT")
    data = Arrays(tmp_path / "data").write()
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache")}  # nothing of this project's
    outcome = run_block(
        data, tmp_path / "out", "--epochs", "4", "--seeds", "2", command=[str(python), *entry.words[1:]],
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert accuracies(outcome)["int8"] > 0.9


def can_reach(host):
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        return False
    return True
