"""The arguments of ``aioconnect completion``."""

from __future__ import annotations

from ..commands import Commands, add_command

__all__ = ["add"]

_EPILOG = """
  $ eval "$(aioconnect completion bash)"
  $ eval "$(aioconnect completion zsh)"
  $ aioconnect completion fish | source

That is for ~/.bashrc, for ~/.zshrc (behind compinit), or for
~/.config/fish/config.fish. It needs the extra: in a checkout, pip install '.[cli]'.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "completion",
        summary="write what has a shell complete commands and flags",
        description="Write a script for SHELL, which then completes the commands of"
        " aioconnect, their flags, and what these can be.",
        epilog=_EPILOG,
    )
    command.add_argument(
        "shell",
        metavar="SHELL",
        choices=("bash", "zsh", "fish"),
        help="bash, zsh or fish",
    )
