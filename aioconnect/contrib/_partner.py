"""Say what to install when an optional package is missing, or too old."""

from __future__ import annotations

from importlib import metadata

__all__ = ["unusable"]


def unusable(extra: str, exc: ImportError) -> ImportError:
    """Return the error to raise when *exc* keeps the module of *extra* from its work.

    It is a `ModuleNotFoundError` if a package is missing.
    """
    install = f"in a checkout, pip install '.[{extra}]'"
    if isinstance(exc, ModuleNotFoundError):
        text = f"aioconnect.contrib.{extra} needs {extra}: {install}"
        return ModuleNotFoundError(text, name=exc.name)
    package = (exc.name or extra).partition(".")[0]
    found = f"{package} {metadata.version(package)}"
    text = f"aioconnect.contrib.{extra} needs a newer version than {found}: {install}"
    return ImportError(text, name=exc.name)
