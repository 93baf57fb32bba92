"""Run the cases: ``python -m benchmarks``."""

from __future__ import annotations

import sys

try:
    from .command import main
except ModuleNotFoundError as exc:
    install = "pip install 'pip>=25.1' && pip install . --group bench"
    sys.exit(f"{exc}; in a checkout, {install}")

if __name__ == "__main__":
    sys.exit(main())
