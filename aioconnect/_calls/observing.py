"""Let an observer follow one call, and import the events when they are needed.

`events` imports `_sansio.events` on first use.  That is, at the latest, the check of
the option ``observer``.  So no import is needed while a call connects (K14).
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
    Event = Any  # for `typing.get_type_hints` at run time

    class _Events:
        """The module of the events, imported when one of its names is used."""

        def __getattr__(self, name: str) -> Any:
            from .._sansio import events as module  # noqa: PLC0415  # see the docstring

            return getattr(module, name)

    events = _Events()

__all__ = ["CallObserver", "CountsServers", "Observer", "events", "observing"]

Observer: TypeAlias = Callable[[Event], None]


class CallObserver(ABC):
    """An observer that has an observer of its own for each call.

    Derive a class from it, and define `call`.  Pass an instance as ``observer``: each
    call that connects then begins with ``instance.call(host, port)``.
    """

    @abstractmethod
    def call(
        self, host: str | None, port: int | None
    ) -> contextlib.AbstractContextManager[Observer]:
        """Return a context manager that yields the observer of a call.

        It is exited when the call ends, with the exception of the call, if any.  That
        can be an `asyncio.CancelledError`.  The context manager cannot suppress an
        exception.  *host* and *port* are the same as in `ConnectError`.
        """

    def __call__(self, event: Event) -> None:  # noqa: ARG002  # as observers do
        """Refuse an event of an unknown call.  A subclass may accept it.

        Raises:
            TypeError: Always, unless a subclass accepts events.
        """
        raise TypeError(
            f"{type(self).__name__} observes calls: give it as observer= itself"
        )


class CountsServers(ABC):
    """An observer of one call that is also told how many servers the call may try."""

    @abstractmethod
    def __call__(self, event: Event) -> None:
        """Take *event*."""

    @abstractmethod
    def note_servers(self, count: int) -> None:
        """Note that the call connects to one of *count* servers."""


@contextlib.contextmanager
def observing(
    loop: asyncio.AbstractEventLoop,
    observer: CallObserver,
    host: str | None,
    port: int | None,
    servers: int = 1,
) -> Generator[Observer]:
    """Yield the observer that *observer* has for a call to *host* and *port*.

    For one of several *servers*, both are None.
    An exception of the observer does not replace a cancellation.  It goes to the
    exception handler of *loop*.
    """
    context = observer.call(host, port)
    if not isinstance(context, contextlib.AbstractContextManager):
        raise TypeError(
            f"call() of {type(observer).__name__} must return a context manager,"
            f" not a {type(context).__name__}"
        )
    observe = context.__enter__()
    if servers > 1 and isinstance(observe, CountsServers):
        observe.note_servers(servers)
    if isinstance(observe, CallObserver):  # perhaps itself, if it accepts events
        observe = observe.__call__
    try:
        yield observe
    except BaseException as exc:
        try:
            context.__exit__(type(exc), exc, exc.__traceback__)
        except Exception as bug:
            if isinstance(exc, Exception):
                raise
            # Report the bug, and raise the cancellation, which is never swallowed.
            text = "an observer failed when its call was cancelled"
            loop.call_exception_handler({"message": text, "exception": bug})
        raise
    context.__exit__(None, None, None)
