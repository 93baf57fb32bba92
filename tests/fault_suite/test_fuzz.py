"""Each parser accepts an input, or refuses it with an error that names the option.

There are 50,000 inputs, or as many as ``AIOCONNECT_FUZZ=1000000`` says.  A failure
prints the seed, and ``AIOCONNECT_FUZZ_SEED`` takes it.  Plain `random` draws the
inputs, as mutations of values on which parsers have failed before.  Hypothesis draws a
hundredth of them in the same time, and its shrinking is not needed here.

Nothing is connected or opened.  The functions run without a loop; one that asks for a
loop has accepted its arguments.
"""

from __future__ import annotations

import contextlib
import os
import re
import reprlib
import resource
from collections.abc import Generator
from random import Random, SystemRandom

import pytest
from fault_suite.surfaces import SURFACES, Drawn, Surface
from thrown import Thrown

COUNT = int(os.environ.get("AIOCONNECT_FUZZ", "50000"))
SEED = int(os.environ.get("AIOCONNECT_FUZZ_SEED", SystemRandom().getrandbits(32)))

# The name of the option is at the beginning.
_BEGINNING = 200


def is_taken(surface: Surface, given: Drawn) -> bool:
    """Tell whether *given* is accepted; check that a refusal is a proper one."""
    try:
        made = surface.call(**given)
    except (ValueError, TypeError) as exc:
        said = set(re.findall(r"\w+", str(exc)[:_BEGINNING]))
        if said.isdisjoint({*given, *surface.also}) or not str(exc).isprintable():
            raise
        return False
    if surface.check is not None:
        surface.check(made, given)
    return True


def fuzz(surface: Surface, rng: Random, count: int) -> int:
    """Throw *count* inputs at *surface*; return how many it accepted."""
    taken = 0
    for number in range(count):
        given = surface.draw(rng)
        try:
            taken += is_taken(surface, given)
        except BaseException as exc:
            exc.add_note(
                f"input {number} of AIOCONNECT_FUZZ_SEED={SEED}: {show(given)}"
            )
            raise
    return taken


def show(given: Drawn) -> str:
    """Return any *given* value as one line."""
    with contextlib.suppress(
        ValueError
    ):  # an int may have more digits than Python shows
        return reprlib.repr(given)
    return f"{ {name: type(value).__name__ for name, value in given.items()} }"


@pytest.mark.timeout(120 + COUNT // 200)
@pytest.mark.parametrize("name", SURFACES)
def test_accepted_or_refused_with_an_error_that_names_the_option(
    name: str, thrown: Thrown
) -> None:
    """A parser raises nothing else and opens nothing; what it accepts is a value."""
    count = -(-COUNT // len(SURFACES))
    taken = fuzz(SURFACES[name], Random(f"{SEED} {name}"), count)
    thrown("fuzzing", "accepted", taken)
    thrown("fuzzing", "refused with a clear error", count - taken)


@contextlib.contextmanager
def no_descriptor_left() -> Generator[None]:
    """Make every attempt to open something fail."""
    "ü".encode("punycode")  # Python imports this codec when a name first needs it
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("name", SURFACES)
def test_nothing_is_opened(name: str) -> None:
    """The results are the same if no descriptor is left, so nothing is opened."""
    with no_descriptor_left():
        fuzz(SURFACES[name], Random(f"{SEED} {name}"), 200)
