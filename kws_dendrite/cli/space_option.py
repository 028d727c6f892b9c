"""`--show-space`: a space as the text of a file, to begin one's own from."""

from typing import Annotated

import typer


def _show(name: str | None) -> None:
    if name is None:
        return
    from kws_dendrite.search.spaces import named_space

    print(named_space(name).to_toml(), end="")
    raise typer.Exit()


ShowSpaceOption = Annotated[
    str | None,
    typer.Option(
        "--show-space",
        metavar="SPACE",
        callback=_show,
        is_eager=True,
        help="Print a space as TOML and do nothing else.",
    ),
]
