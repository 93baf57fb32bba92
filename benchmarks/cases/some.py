"""Connect COUNT times, for a program that counts: NUMBER PORT COUNT."""

from __future__ import annotations

import gc
import sys

from ..machine import end_with_parent
from ..running import Loops, in_batches
from ..servers import Endpoint
from .counted import CONTESTANTS


def main() -> None:
    """Connect, one after the other."""
    end_with_parent()
    number, port, count = map(int, sys.argv[1:])
    contestant = CONTESTANTS[number]
    gc.disable()
    with Loops() as loops:
        opens = contestant.make(Endpoint(port=port))
        in_batches(count)(loops, contestant, opens)


if __name__ == "__main__":
    main()
