"""Values and decisions: addresses, their order, the race, errors, events.

No module here does I/O, asks the system, or looks at a clock.  The current time and
random numbers are arguments.
"""
