"""`kws-dendrite`: from a command's name to its typed function. Heavy packages load only inside the functions."""

import errno
import importlib
import sys

import typer

from kws_dendrite import __version__
from kws_dendrite.errors import KwsDendriteError

COMMANDS = (
    "run", "data", "features", "train", "search", "refit", "pick", "study", "export", "benchmark", "evaluate", "report",
    "check",
)  # fmt: skip
GROUPS = {"edge-impulse": "edge_impulse"}  # name -> module, whose `app` holds the commands
UsageError = typer.BadParameter.__base__  # typer has the class from click, and names only its children

app = typer.Typer(
    name="kws-dendrite",
    help="Train a keyword spotter with dendrites, search parameters against accuracy, fold, export, measure.",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _show_version(value: bool) -> None:
    if value:
        print(f"kws-dendrite {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def _register() -> None:
    if app.registered_commands:
        return
    for name in COMMANDS:
        module = importlib.import_module(f"kws_dendrite.cli.{name}")
        app.command(name)(getattr(module, name))
    for name, module_name in GROUPS.items():
        app.add_typer(importlib.import_module(f"kws_dendrite.cli.{module_name}").app, name=name)


def main() -> None:
    """Run one command. A user's error is one line on standard error and exit status 2; Ctrl-C is 130."""
    try:
        _register()
        status = app(sys.argv[1:] or ["--help"], prog_name="kws-dendrite", standalone_mode=False)
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else app.info.name
        status = _fail(f"{error.format_message().rstrip('.')}; see {command} --help")
    except KwsDendriteError as error:
        status = _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output, such as `head`, has enough
            sys.stdout = None
            status = 1
        elif error.errno == errno.ENOSPC:
            status = _fail(f"no space left on the disk ({error.filename or 'output'}); free some and run again")
        elif error.filename is not None:
            status = _fail(f"{error.filename}: {error.strerror}")
        else:
            raise
    if status == 130:
        print("interrupted", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)  # one line, whatever a library's own text has
    return 2


if __name__ == "__main__":
    main()
