"""Parse arguments and lay out help: argparse, adapted to this command."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from typing import Any, NoReturn, TypeAlias

from .._sansio.text import redact_urls
from .errors import CommandError
from .terminal import terminal_size

__all__ = ["Commands", "Container", "HelpFormatter", "Parser", "add_command"]

# argparse lays out for at least this many columns, however narrow the terminal is.
_NARROWEST = 11

# An example in an epilog begins with this.  It is broken where a shell allows it.
_EXAMPLE = "  $ "

# The parts of an argparse message that repeat an argument: its repr, or a word.
_REPEATED_ARGUMENT = re.compile(r"""(['"])((?:\\.|(?!\1).)*)\1|\S+""")


class HelpFormatter(argparse.HelpFormatter):
    """Wrap paragraphs, and break examples and the usage where that is valid."""

    def __init__(self, prog: str) -> None:
        # Without a width, argparse imports shutil each time an argument is added.
        super().__init__(prog, width=terminal_size(sys.stdout).columns - 2)

    def _format_usage(self, *args: Any, **kwargs: Any) -> str:
        usage = super()._format_usage(*args, **kwargs)
        width = max(self._width, _NARROWEST)
        if max(map(len, usage.splitlines())) <= width:
            return usage
        # argparse keeps mutually exclusive flags on one line, however many there are.
        return textwrap.fill(usage, width, subsequent_indent="  ") + "\n\n"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = textwrap.dedent(text).strip("\n").split("\n\n")
        return "\n\n".join(_fill_block(block, width, indent) for block in blocks)


def _fill_block(block: str, width: int, indent: str) -> str:
    if block.startswith(_EXAMPLE):
        return "\n".join(_fold_example(line, width) for line in block.splitlines())
    return textwrap.fill(
        " ".join(block.split()),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,  # so that flags stay whole
    )


def _fold_example(example: str, width: int) -> str:
    lines = textwrap.wrap(
        example.strip(),
        width - 2,  # for the backslash
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return " \\\n".join(lines)


class Parser(argparse.ArgumentParser):
    """A parser that raises its errors as a `CommandError` of one line.

    *summary* is its line in the list of commands.
    """

    summary = ""

    def error(self, message: str) -> NoReturn:
        """Raise the error that ends the program."""
        text = _REPEATED_ARGUMENT.sub(_redact, message)
        raise CommandError(f"{text} (see '{self.prog} --help')")

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own method ignores a full disk.
        if file is not None:  # None if the stream was closed
            file.write(message)


def _redact(repeated: re.Match[str]) -> str:
    quote = repeated[1] or ""
    text = repeated[2] if quote else repeated[0]
    return f"{quote}{redact_urls(text, strict=True)}{quote}"


# argparse returns objects of these types, but has no public names for them.
# pyright: reportPrivateUsage=false
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001
Container: TypeAlias = "argparse._ActionsContainer"  # noqa: SLF001


def add_command(
    commands: Commands,
    name: str,
    *,
    summary: str,
    description: str,
    usage: str | None = None,
    epilog: str = "",
) -> Parser:
    """Add the command *name*; `main` runs it as ``run(arguments)`` of *name*.command.

    *usage* replaces the usage that argparse derives from the arguments.  *epilog* has
    the examples: a block of lines that each begin with "  $ ".
    """
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        usage=usage,
        epilog=epilog,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    command.summary = summary
    command.set_defaults(subcommand=name)
    return command
