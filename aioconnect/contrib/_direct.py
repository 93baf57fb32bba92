"""Make a connector that goes through no proxy."""

from __future__ import annotations

from dataclasses import fields

from .._connector import Connector

__all__ = ["without_proxy"]


def without_proxy(connector: Connector) -> Connector:
    """Return a `Connector` with the options of *connector*, which connects directly."""
    if connector.route is None:
        return connector
    names = (field.name for field in fields(Connector))
    return Connector(**{name: getattr(connector, name) for name in names})
