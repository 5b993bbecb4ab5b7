"""Entry point of the `mmrag` command: one subcommand per file in `mmrag.cli.commands`."""

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
from mmrag.cli.console import stderr_console, stdout_console
from mmrag.cli.options import expand_options
from mmrag.errors import MMRagError

__all__ = ["app", "main"]

DEBUG = "--debug"

app = typer.Typer(
    name="mmrag",
    help="Search images by an image and a sentence; a vision LLM puts the best first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, index, search, serve, mcp, eval, bench, doctor, collections):
    app.command(no_args_is_help=command in (index, search, eval))(expand_options(command))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; the arguments default to those of the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in given
    try:
        app(sorted(given, key=lambda argument: argument != DEBUG))  # it may stand anywhere
    except Exception as error:
        if debug:
            raise
        line = Text.assemble(("error:", "bold red"), f" {_describe(error)}")
        stderr_console().print(line, soft_wrap=True)
        raise SystemExit(1) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        stdout_console().print(f"mmrag {metadata.version('mmrag')}")
        raise typer.Exit


@app.callback()
def _configure(  # pyright: ignore[reportUnusedFunction]
    debug: Annotated[bool, typer.Option(DEBUG, help="Show tracebacks and logs.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    # Errors are one line; gRPC, Milvus and the hub's client would log tracebacks and retries before it.
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL)
    os.environ.setdefault("HF_HUB_VERBOSITY", "debug" if debug else "critical")


def _describe(error: Exception) -> str:
    match error:
        case MMRagError():
            message = str(error)
        case OSError():
            fault = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            message = f"{fault}. Check the path, its permissions, and the free space of the disk"
        case _:
            message = f"{type(error).__name__}: {error}. mmrag did not expect this; see it: {DEBUG}"
    return " ".join(message.split())
