"""The arguments of ``aioconnect completion``."""

from __future__ import annotations

from ..parser import Commands, add_command

__all__ = ["add"]

_EPILOG = """
  $ eval "$(aioconnect completion bash)"
  $ eval "$(aioconnect completion zsh)"
  $ aioconnect completion fish | source

Put the line for your shell into ~/.bashrc, ~/.zshrc (after compinit) or
~/.config/fish/config.fish. This needs the extra cli: in a checkout, pip install
'.[cli]'.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "completion",
        summary="write a completion script for bash, zsh or fish",
        description="Write a script that makes SHELL complete the commands of"
        " aioconnect, their flags, and the values of flags.",
        epilog=_EPILOG,
    )
    command.add_argument(
        "shell",
        metavar="SHELL",
        choices=("bash", "zsh", "fish"),
        help="bash, zsh or fish",
    )
