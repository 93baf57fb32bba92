"""Keep a connector's events, and say what is wrong with them.

The messages list everything that happened: a failed assertion is all that a test
run leaves behind.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar, get_args

from .._sansio.events import Event

__all__ = ["Kind", "Recorder"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

# An event's class or the name of it.
Kind: TypeAlias = str | type[Event]

_E = TypeVar("_E")

_NAMES = frozenset(kind.__name__ for kind in get_args(Event))


class Recorder:
    """An observer, ``observer=recorder``, that keeps what it is told.

    *events* is the list of them, oldest first.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep *event*."""
        self.events.append(event)

    def __repr__(self) -> str:
        return f"<Recorder {self.kinds()}>"

    def clear(self) -> None:
        """Forget the events so far."""
        self.events.clear()

    def kinds(self) -> list[str]:
        """Return the names of the events' classes, oldest first."""
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type[_E]) -> list[_E]:
        """Return the events of class *kind*, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    def only(self, kind: type[_E]) -> _E:
        """Return the one event of class *kind*.

        Raises:
            AssertionError: There is none, or more than one.
        """
        found = self.of(kind)
        if len(found) != 1:
            raise AssertionError(
                f"{len(found)} events are {_name(kind)}, not one; {self._story()}"
            )
        return found[0]

    def assert_kinds(self, *kinds: Kind) -> None:
        """Check that the events are of these *kinds*, in this order, and no more.

        Raises:
            AssertionError: It says where they first differ, and lists them all.
        """
        expected = [_name(kind) for kind in kinds]
        found = self.kinds()
        if found == expected:
            return
        pairs = zip(found, expected, strict=False)
        same = min(len(found), len(expected))
        at = next((i for i, (one, other) in enumerate(pairs) if one != other), same)
        got = found[at] if at < len(found) else "nothing"
        wanted = expected[at] if at < len(expected) else "nothing"
        raise AssertionError(f"event {at} is {got}, expected {wanted}; {self._story()}")

    def assert_in_order(self, *kinds: Kind) -> None:
        """Check that events of these *kinds* came in this order, among others.

        Raises:
            AssertionError: It says which is missing, and lists all events.
        """
        rest = iter(self.kinds())
        for index, kind in enumerate(kinds):
            name = _name(kind)
            if name not in rest:
                after = f" after {_name(kinds[index - 1])}" if index else ""
                raise AssertionError(f"no {name}{after}; {self._story()}")

    def assert_none(self, *kinds: Kind) -> None:
        """Check that no event is of one of *kinds*; without any, that none came.

        Raises:
            AssertionError: There is one; all events are listed.
        """
        unwanted = {_name(kind) for kind in kinds} or set(self.kinds())
        for name in self.kinds():
            if name in unwanted:
                raise AssertionError(f"there is {name}; {self._story()}")

    def _story(self) -> str:
        if not self.events:
            return "no event came"
        start = self.events[0].at
        lines = [f"  {e.at - start:+9.3f} {e!r}" for e in self.events]
        return "\n".join(["the events were:", *lines])


def _name(kind: Kind | type[object]) -> str:
    name = kind if isinstance(kind, str) else kind.__name__
    if name not in _NAMES:
        raise ValueError(f"{name!r} is none of {', '.join(sorted(_NAMES))}")
    return name
