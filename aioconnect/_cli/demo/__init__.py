"""``aioconnect demo``."""
