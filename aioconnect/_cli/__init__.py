"""The command ``aioconnect``.

This module has only `main`.  It imports the command that runs, and no other.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence

from .._sansio.text import error_text
from .._startup import exit_on_signals_as_process_1
from .command_line import make_parser, parse
from .errors import USAGE, CommandError
from .exit_by_signal import exit_by_signal
from .standard_streams import discard_output, occupy_closed_streams, try_write

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (`sys.argv` if None); return its exit status."""
    exit_on_signals_as_process_1()
    occupy_closed_streams()
    status = _run_and_report(sys.argv[1:] if argv is None else argv)
    if not try_write(sys.stderr, ""):
        discard_output(2)
    return status


def _run_and_report(argv: Sequence[str]) -> int:
    try:
        status = _run(argv)
        if sys.stdout is not None:  # None if it was closed
            sys.stdout.flush()
    except CommandError as exc:
        try_write(sys.stderr, f"aioconnect: {exc}\n")
        return exc.status
    except KeyboardInterrupt:
        return exit_by_signal(signal.SIGINT)
    except OSError as exc:  # mostly from writing the output
        discard_output(1)
        if isinstance(exc, BrokenPipeError):  # the reader has gone, as "head" does
            return exit_by_signal(signal.SIGPIPE)
        try_write(sys.stderr, f"aioconnect: {error_text(exc)}\n")
        return 1
    return status


def _run(argv: Sequence[str]) -> int:
    try:
        arguments = parse(argv)
    except SystemExit:  # argparse has printed the help or the version
        return 0
    name: str | None = getattr(arguments, "subcommand", None)
    if name is None:
        try_write(sys.stderr, make_parser().format_help())
        return USAGE
    command = importlib.import_module(f".{name}.command", __package__)
    status: int = command.run(arguments)
    return status
