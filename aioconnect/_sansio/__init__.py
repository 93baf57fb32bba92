"""Values and decisions: addresses, order, the race, backoff, errors, events.

Nothing here imports asyncio, asks the system, or looks at a clock.
"""
