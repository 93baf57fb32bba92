"""Add a command to the parser, and lay out its help."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from typing import Any, NoReturn, TypeAlias

from .._sansio.text import redact_urls
from .errors import CommandError
from .terminal import size_of

__all__ = ["Commands", "Container", "Help", "Parser", "add_command"]

# What argparse takes a terminal for that says it is narrower.
_NARROWEST = 11

# An example in an epilog begins with this, and is broken where a shell lets it.
_EXAMPLE = "  $ "

# What argparse repeats of an argument: its repr, or a word.
_REPEATED = re.compile(r"""(['"])((?:\\.|(?!\1).)*)\1|\S+""")


class Help(argparse.HelpFormatter):
    """Wraps paragraphs, and breaks examples and the usage where that can be done."""

    def __init__(self, prog: str) -> None:
        # argparse would import shutil for it, each time an argument is added.
        super().__init__(prog, width=size_of(sys.stdout).columns - 2)

    def _format_usage(self, *args: Any, **kwargs: Any) -> str:
        usage = super()._format_usage(*args, **kwargs)
        width = max(self._width, _NARROWEST)
        if max(map(len, usage.splitlines())) <= width:
            return usage
        # argparse keeps flags together that exclude each other, however many.
        return textwrap.fill(usage, width, subsequent_indent="  ") + "\n\n"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = textwrap.dedent(text).strip("\n").split("\n\n")
        return "\n\n".join(self._block(block, width, indent) for block in blocks)

    def _block(self, block: str, width: int, indent: str) -> str:
        if block.startswith(_EXAMPLE):
            return "\n".join(_folded(line, width) for line in block.splitlines())
        return textwrap.fill(
            " ".join(block.split()),
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,  # such as of what is to be typed
        )


def _folded(example: str, width: int) -> str:
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
    """A parser whose errors are one line, which main() writes.

    *summary* is its line in the list of commands.
    """

    summary = ""

    def error(self, message: str) -> NoReturn:
        """Raise what ends the program."""
        said = _REPEATED.sub(_without_secrets, message)
        raise CommandError(f"{said} (see '{self.prog} --help')")

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse passes over a full disk.
        if file is not None:  # it can be closed
            file.write(message)


def _without_secrets(repeated: re.Match[str]) -> str:
    quote = repeated[1] or ""
    text = repeated[2] if quote else repeated[0]
    return f"{quote}{redact_urls(text, strict=True)}{quote}"


# What argparse gives, and has no public names for.
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
    """Add the command *name*, which is ``run(arguments)`` of ``<name>.command``.

    *usage* says how to call it, if its flags and arguments alone do not.  *epilog* has
    its examples: a block of lines that each begin with "  $ ".
    """
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        usage=usage,
        epilog=epilog,
        formatter_class=Help,
        allow_abbrev=False,
    )
    command.summary = summary
    command.set_defaults(subcommand=name)
    return command
