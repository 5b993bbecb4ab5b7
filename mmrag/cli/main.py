"""The `mmrag` command. In: what a person types. Out: an answer, or one line that says what to do.

Each command is one file in `mmrag.cli.commands`; nothing heavy is imported before one runs.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer
from rich.text import Text

from mmrag.cli.commands.bench import bench
from mmrag.cli.commands.collections import collections
from mmrag.cli.commands.demo import demo
from mmrag.cli.commands.doctor import doctor
from mmrag.cli.commands.eval import eval
from mmrag.cli.commands.index import index
from mmrag.cli.commands.mcp import mcp
from mmrag.cli.commands.search import search
from mmrag.cli.commands.serve import serve
from mmrag.cli.console import messages, results
from mmrag.cli.options import spelled_out
from mmrag.errors import MMRagError

__all__ = ["app", "main"]

DEBUG = "--debug"

app = typer.Typer(
    name="mmrag",
    help="Search images by an image and a sentence; a vision LLM puts the best first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (demo, index, search, serve, mcp, eval, bench, doctor, collections):
    app.command(no_args_is_help=command in (index, search, eval))(spelled_out(command))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, and leave with its exit code.

    Parameters
    ----------
    arguments
        What follows the program's name; those of the process when None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in given
    try:
        words = [word for word in given if word != DEBUG]
        app([DEBUG, *words] if debug else words)  # a person may write it anywhere
    except Exception as error:
        if debug:
            raise
        told = Text.assemble(("error:", "bold red"), f" {_in_words(error)}")
        messages().print(told, soft_wrap=True)
        raise SystemExit(1) from None


def _tell_version(asked: bool) -> None:
    if asked:
        results().print(f"mmrag {metadata.version('mmrag')}")
        raise typer.Exit


@app.callback()
def _program(  # pyright: ignore[reportUnusedFunction]
    debug: Annotated[bool, typer.Option(DEBUG, help="Show tracebacks and logs.")] = False,
    version: Annotated[  # its callback has done it before anything else is looked at
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell which.")
    ] = False,
) -> None:
    # What goes wrong is told in one sentence; gRPC and Milvus would log it with tracebacks first,
    # and the hub's client each time it tries again.
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL)
    os.environ.setdefault("HF_HUB_VERBOSITY", "debug" if debug else "critical")


def _in_words(error: Exception) -> str:
    match error:
        case MMRagError():
            words = str(error)
        case OSError():
            fault = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            words = f"{fault}. Check the path, what you may do there, and the room on the disk"
        case _:
            words = f"{type(error).__name__}: {error}. mmrag did not expect this; see it: {DEBUG}"
    return " ".join(words.split())
