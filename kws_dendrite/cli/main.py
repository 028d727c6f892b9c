"""`kws-dendrite`: from a command's name to its typed function. Heavy packages load only inside the functions."""

import errno
import sys

import typer

from kws_dendrite import __version__
from kws_dendrite.errors import KwsDendriteError

COMMANDS = ("run", "data", "features", "train", "search", "export", "benchmark", "evaluate", "report")

app = typer.Typer(
    name="kws-dendrite",
    help="Train a keyword spotter with dendrites, search parameters against accuracy, fold, export, measure.",
    no_args_is_help=True,
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
    import importlib

    for name in COMMANDS:
        module = importlib.import_module(f"kws_dendrite.cli.{name}")
        app.command(name)(getattr(module, name))


def main() -> None:
    """Run one command. A user's error is one line on standard error and exit status 2; Ctrl-C is 130."""
    _register()
    try:
        app()
    except KwsDendriteError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = error.filename or "output"
        print(f"error: no space left on the disk ({where}); free some and run again", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
