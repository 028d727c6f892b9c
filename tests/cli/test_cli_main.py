import errno
import subprocess
import sys

import pytest
import typer
from command_line import call, refuse, succeed

from kws_dendrite import __version__
from kws_dendrite.cli.main import COMMANDS, app
from kws_dendrite.errors import DataError

HEAVY = ("torch", "tensorflow", "matplotlib", "optuna", "onnx", "onnxruntime", "scipy", "numpy", "rich")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from kws_dendrite.cli.main import main; sys.argv = ['kws-dendrite', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == "" and "..." not in done.stdout.split("Commands:")[1]
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_the_commands_without_arguments_are_told():
    assert succeed().out == succeed("--help").out


def test_version():
    assert succeed("--version").out == f"kws-dendrite {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command):
    outcome = succeed(command, "--help")
    assert outcome.out.startswith(f"Usage: kws-dendrite {command} ")
    assert "--json" in outcome.out
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "No such command 'trian'"),
        (["train"], "Missing argument 'data'; see kws-dendrite train --help"),
        (["train", "demo"], "Missing option '--out'"),
        (["train", "demo", "--out", "x", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["train", "demo", "--out", "x", "--seed", "-1"], "Invalid value for '--seed'"),
        (["train", "demo", "--out", "x", "--copies", "-1"], "Invalid value for '--copies'"),
        (["train", "demo", "--out", "x", "--learning-rate", "1"], "No such option: --learning-rate"),
        (["train", "demo", "--out"], "requires an argument"),
        (["report", "a", "b"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line(arguments, says):
    assert "kws-dendrite" in refuse(*arguments, says=says)


def raising(monkeypatch, error: BaseException):
    def write_report(folder, out):
        raise error

    monkeypatch.setattr("kws_dendrite.report.page.write_report", write_report)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (DataError("two\nlines  of a library"), 2, "error: two lines of a library\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: no space left on the disk (output); free some"),
        (OSError(errno.ENOSPC, "No space left on device", "a.npz"), 2, "error: no space left on the disk (a.npz)"),
        (PermissionError(errno.EACCES, "Permission denied", "a.npz"), 2, "error: a.npz: Permission denied\n"),
        (typer.Exit(3), 3, ""),
    ],
)
def test_what_a_command_raises_becomes_a_line_and_a_status(monkeypatch, error, status, says):
    raising(monkeypatch, error)
    outcome = call("report", "folder")
    assert outcome.status == status and outcome.out == ""
    assert outcome.err.startswith(says) and outcome.err.count("\n") == (1 if says else 0)


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    raising(monkeypatch, ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        call("report", "folder")
    raising(monkeypatch, OSError("without a number"))
    with pytest.raises(OSError, match="without a number"):
        call("report", "folder")


def test_commands_are_registered_once():
    call("--help")
    call("--help")
    assert [command.name for command in app.registered_commands] == list(COMMANDS)
