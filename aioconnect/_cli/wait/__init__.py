"""``aioconnect wait``."""
