"""The command ``aioconnect``.

Only `main` is here; it imports what the command needs that is run, and no other.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

from ._errors import NOT_UP, USAGE, CommandError
from ._parser import make_parser, parse
from ._signals import end_by

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (`sys.argv` if None); return its exit status."""
    try:
        return _flushed(_run(sys.argv[1:] if argv is None else argv))
    except CommandError as exc:
        if sys.stderr is not None:  # it can be closed
            print(f"aioconnect: {exc}", file=sys.stderr)
        return exc.status
    except KeyboardInterrupt:
        return end_by(signal.SIGINT)
    except BrokenPipeError:
        # Who read has gone, as "head" does.
        _discard_output()
        return end_by(signal.SIGPIPE)


def _run(argv: Sequence[str]) -> int:
    try:
        arguments = parse(argv)
    except SystemExit:  # the help, or the version
        return 0
    module: str | None = getattr(arguments, "module", None)
    if module is None:
        make_parser().print_help(sys.stderr)
        return USAGE
    command = importlib.import_module(f".{module}", __package__)
    status: int = command.run(arguments)
    return status


def _flushed(status: int) -> int:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        _discard_output()
        raise CommandError(f"standard output: {exc.strerror}", NOT_UP) from None
    return status


def _discard_output() -> None:
    # Python would fail again at exit, to write what is left.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
