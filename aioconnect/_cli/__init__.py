"""The command ``aioconnect``.

Only `main` is here; it imports what the command needs that is run, and no other.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence

from .._sansio.text import error_text
from .._startup import handle_as_first_process
from .errors import USAGE, CommandError
from .parser import make_parser, parse
from .signals import end_by
from .terminal import discard, hold_standard_streams, write

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (`sys.argv` if None); return its exit status."""
    handle_as_first_process()
    hold_standard_streams()
    status = _status_of(sys.argv[1:] if argv is None else argv)
    if not write(sys.stderr, ""):
        discard(2)
    return status


def _status_of(argv: Sequence[str]) -> int:
    try:
        status = _run(argv)
        if sys.stdout is not None:  # it can be closed
            sys.stdout.flush()
    except CommandError as exc:
        write(sys.stderr, f"aioconnect: {exc}\n")
        return exc.status
    except KeyboardInterrupt:
        return end_by(signal.SIGINT)
    except OSError as exc:  # mostly of the output
        discard(1)
        if isinstance(exc, BrokenPipeError):  # who read has gone, as "head" does
            return end_by(signal.SIGPIPE)
        write(sys.stderr, f"aioconnect: {error_text(exc)}\n")
        return 1
    return status


def _run(argv: Sequence[str]) -> int:
    try:
        arguments = parse(argv)
    except SystemExit:  # the help, or the version
        return 0
    name: str | None = getattr(arguments, "subcommand", None)
    if name is None:
        write(sys.stderr, make_parser().format_help())
        return USAGE
    command = importlib.import_module(f".{name}.command", __package__)
    status: int = command.run(arguments)
    return status
