"""Integrations with other libraries, one module for each.

Each module needs the extra of the same name; importing `aioconnect` imports none of
them.
"""

from __future__ import annotations

__all__: list[str] = []
