"""What it costs to connect, by what is used for it: ``python -m benchmarks``."""
