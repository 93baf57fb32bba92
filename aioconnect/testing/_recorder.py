"""Record a connector's events, and assert what they are.

The messages list every event, because a failed assertion is often all that a test run
leaves behind.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar, get_args

from .._sansio.events import Event

__all__ = ["Kind", "Recorder"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

# An event's class, or the name of the class.
Kind: TypeAlias = str | type[Event]

_E = TypeVar("_E")

_KIND_NAMES = frozenset(kind.__name__ for kind in get_args(Event))


class Recorder:
    """An observer that keeps every event: ``observer=recorder``.

    *events* is the list of events, oldest first.
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
        """Return the only event of class *kind*.

        Raises:
            AssertionError: There is no event of this class, or more than one.
        """
        found = self.of(kind)
        if len(found) != 1:
            number, name = len(found), _kind_name(kind)
            raise AssertionError(
                f"{number} events are {name}, not one; {self._list_of_events()}"
            )
        return found[0]

    def assert_kinds(self, *kinds: Kind) -> None:
        """Check that the events are exactly these *kinds*, in this order.

        A kind is a class or its name.

        Raises:
            AssertionError: The message says where they first differ, and lists all.
            ValueError: No event has this name.
        """
        expected = [_kind_name(kind) for kind in kinds]
        found = self.kinds()
        if found == expected:
            return
        pairs = zip(found, expected, strict=False)
        same = min(len(found), len(expected))
        at = next((i for i, (one, other) in enumerate(pairs) if one != other), same)
        got = found[at] if at < len(found) else "nothing"
        wanted = expected[at] if at < len(expected) else "nothing"
        raise AssertionError(
            f"event {at} is {got}, expected {wanted}; {self._list_of_events()}"
        )

    def assert_in_order(self, *kinds: Kind) -> None:
        """Check that events of these *kinds* came in this order, perhaps among others.

        Raises:
            AssertionError: The message says which is missing, and lists all events.
            ValueError: No event has this name.
        """
        rest = iter(self.kinds())
        for index, kind in enumerate(kinds):
            name = _kind_name(kind)
            if name not in rest:
                after = f" after {_kind_name(kinds[index - 1])}" if index else ""
                raise AssertionError(f"no {name}{after}; {self._list_of_events()}")

    def assert_none(self, *kinds: Kind) -> None:
        """Check that no event of these *kinds* came; without *kinds*, no event at all.

        Raises:
            AssertionError: One came.  The message lists all events.
            ValueError: No event has this name.
        """
        unwanted = {_kind_name(kind) for kind in kinds} or set(self.kinds())
        for name in self.kinds():
            if name in unwanted:
                raise AssertionError(f"there is {name}; {self._list_of_events()}")

    def _list_of_events(self) -> str:
        if not self.events:
            return "no event came"
        start = self.events[0].at
        lines = [f"  {e.at - start:+9.3f} {e!r}" for e in self.events]
        return "\n".join(["the events were:", *lines])


def _kind_name(kind: Kind | type[object]) -> str:
    name = kind if isinstance(kind, str) else kind.__name__
    if name not in _KIND_NAMES:
        raise ValueError(f"{name!r} is not one of {', '.join(sorted(_KIND_NAMES))}")
    return name
