"""Run the cases: ``python -m benchmarks``."""

from __future__ import annotations

import sys

try:
    from .command import main
except ModuleNotFoundError as exc:
    sys.exit(f"{exc}; the benchmarks have an extra: pip install '.[bench]'")

if __name__ == "__main__":
    sys.exit(main())
