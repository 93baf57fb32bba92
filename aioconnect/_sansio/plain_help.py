"""Have `help` of a class show what users need, and nothing that is generated.

Pure.
"""

from __future__ import annotations

__all__ = ["PlainHelp"]


class PlainHelp(type):
    """A metaclass that hides special names, such as a dataclass's ``__match_args__``.

    `help` lists what `dir` of the class lists.  Only a metaclass can change that.
    """

    def __dir__(cls) -> list[str]:
        hidden = {"where"}  # Connector's, which only the package calls
        names = super().__dir__()
        return [one for one in names if one not in hidden and not one.startswith("__")]
