"""``aioconnect probe``."""
