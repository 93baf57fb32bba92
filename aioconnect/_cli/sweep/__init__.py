"""``aioconnect sweep``."""
