"""The command `embcodec`: a file for each group of commands, which parse, call and print."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from embcodec._errors import BackendUnavailableError
from embcodec.cli import bench, codec, evaluation, files, search

__all__ = ["app", "main"]

_EXPECTED = (ValueError, TypeError, OSError, MemoryError, BackendUnavailableError)

app = typer.Typer(
    help="Compress embeddings without losing what they are used for.",
    epilog="A first look: embcodec demo",
    add_completion=False,
    rich_markup_mode="rich",
)
for group in (evaluation, codec, files, search, bench):
    group.add_to(app)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line.

    Errors are one line on stderr; EMBCODEC_DEBUG in the environment shows where they came up.

    Args:
        args: by default those of the process.

    Returns:
        The exit status: 0, 2 for an error, 130 after an interrupt.
    """
    arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
    command = typer.main.get_command(app)
    try:
        with command.make_context("embcodec", arguments) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as done:
        return done.exit_code
    except KeyboardInterrupt as interrupt:
        return _fail(str(interrupt) or "interrupted", 130)
    except BrokenPipeError:  # the reader of a pipe has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except Exception as error:
        if os.environ.get("EMBCODEC_DEBUG"):
            raise
        return _fail(_message(error), 2)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"embcodec: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _message(error: Exception) -> str:
    if hasattr(error, "format_message"):  # of a command line that cannot be parsed
        return str(error.format_message())
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, _EXPECTED) and str(error):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (EMBCODEC_DEBUG=1 shows where)"
