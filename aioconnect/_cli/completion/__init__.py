"""``aioconnect completion``."""
