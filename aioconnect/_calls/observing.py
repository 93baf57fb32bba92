"""Who observes, of one call or of all; and the events, once somebody does.

`_sansio.events` is imported when an event is first asked for here, and at the latest
with the first option ``observer``: what connecting needs is there then (K14).
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from .._sansio import events
    from .._sansio.events import Event
else:
    Event = Any  # to who asks at run time what an observer takes

    class _Events:
        """The module of the events, which is imported when one is asked for."""

        def __getattr__(self, name: str) -> Any:
            from .._sansio import events as module  # noqa: PLC0415  # see above

            return getattr(module, name)

    events = _Events()

__all__ = ["CallObserver", "Observer", "events", "observing"]

Observer: TypeAlias = Callable[[Event], None]


class CallObserver(ABC):
    """An observer that wants to know which events are of one call.

    Given as the option ``observer``, it is asked for another one when a call begins.
    """

    @abstractmethod
    def call(
        self, host: str | None, port: int | None
    ) -> contextlib.AbstractContextManager[Observer]:
        """Return what gives the observer of a call, and is left when the call ends.

        *host* and *port* are those of `ConnectError`.  It is left with what the call
        raises, a `asyncio.CancelledError` too, which it cannot suppress.
        """

    def __call__(self, event: Event) -> None:  # noqa: ARG002  # as observers do
        """Take an event of nobody knows which call: one may be able to.

        Raises:
            TypeError: This one is not.
        """
        raise TypeError(
            f"{type(self).__name__} observes calls: give it as observer= itself"
        )


@contextlib.contextmanager
def observing(
    loop: asyncio.AbstractEventLoop,
    observer: CallObserver,
    host: str | None,
    port: int | None,
) -> Generator[Observer]:
    """Have *observer* observe a call to *host* and *port*; give the call's observer."""
    manager = observer.call(host, port)
    if not isinstance(manager, contextlib.AbstractContextManager):
        raise TypeError(
            f"call() of {type(observer).__name__} must return a context manager,"
            f" not a {type(manager).__name__}"
        )
    observe = manager.__enter__()
    if isinstance(observe, CallObserver):  # itself, say, which takes events then
        observe = observe.__call__
    try:
        yield observe
    except BaseException as exc:
        try:
            manager.__exit__(type(exc), exc, exc.__traceback__)
        except Exception as bug:
            if isinstance(exc, Exception):
                raise
            # A cancellation is never swallowed.
            text = "an observer failed when its call was cancelled"
            loop.call_exception_handler({"message": text, "exception": bug})
        raise
    manager.__exit__(None, None, None)
