"""Optional partners, a module for each, behind the extra of the same name.

Importing `aioconnect` imports none of them.
"""

from __future__ import annotations

__all__: list[str] = []
