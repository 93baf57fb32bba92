"""Name the options of a connect, and check them once.

A `Connector` runs the checks when it is made.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, TypedDict, cast

from .._io.connect_outcome import Outcome
from .._io.resolver import Resolver
from .._io.sockets import Prepare
from .._sansio.checks import check_count
from .observing import Observer, events
from .option_checks import (
    check_family,
    check_function,
    check_history,
    check_local_addr,
    check_optional_duration,
    check_prepare,
    check_ready,
    check_retry,
    check_synchronous,
    without_lists,
)
from .ready import Ready

if TYPE_CHECKING:
    from .._io.socket_ownership import Handover
    from .._io.transports import Wrap
    from .._sansio.deadline import Deadline
    from .._sansio.endpoints import Endpoint
    from .._sansio.history import History
    from .._sansio.ip_filter import Allow
    from .connect import ConnectOperation
else:
    History = Any  # for `typing.get_type_hints` at run time
    Allow = Callable[[Any, int], bool]  # for `typing.get_type_hints` at run time

__all__ = [
    "Allow",
    "ConnectorOptions",
    "History",
    "LocalAddr",
    "Options",
    "Passage",
    "PlainHelp",
    "Route",
    "WaitOptions",
    "check_local_addr",
    "check_options",
    "options_repr",
    "passage_to",
]

LocalAddr: TypeAlias = tuple[str, int] | Sequence[tuple[str, int]]


class WaitOptions(TypedDict, total=False):
    """The options of `Connector` as keyword arguments, all except *timeout*."""

    attempt_timeout: float | None
    retry: Iterable[float]
    retry_on: Callable[[OSError], bool]
    happy_eyeballs_delay: float | None
    interleave: int | None
    resolution_delay: float | None
    family: int
    proto: int
    flags: int
    local_addr: LocalAddr | None
    resolver: Resolver
    allow: Allow | None
    prepare: Sequence[Prepare]
    ready: Ready | None
    history: History | None
    outcome: Outcome
    observer: Observer | None


class ConnectorOptions(WaitOptions, total=False):
    """The options of `Connector`, as the keyword arguments of the functions."""

    timeout: float | None


class PlainHelp(type):
    """A metaclass that hides special names, such as a dataclass's ``__match_args__``.

    `help` lists what `dir` of the class lists.  Only a metaclass can change that.  It
    hides *route* as well, which is not for users.
    """

    def __dir__(cls) -> list[str]:
        names = (name for name in super().__dir__() if not name.startswith("__"))
        return [name for name in names if name != "route"]


class Options(Protocol):
    """The options that a call reads.  `Connector`, in the layer above, has them."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # for `dataclasses.replace`
    route: ClassVar[Route | None]  # None: directly to each target

    @property
    def timeout(self) -> float | None: ...

    @property
    def attempt_timeout(self) -> float | None: ...

    @property
    def retry(self) -> Iterable[float]: ...

    @property
    def retry_on(self) -> Callable[[OSError], bool]: ...

    @property
    def happy_eyeballs_delay(self) -> float | None: ...

    @property
    def interleave(self) -> int | None: ...

    @property
    def resolution_delay(self) -> float | None: ...

    @property
    def family(self) -> int: ...

    @property
    def proto(self) -> int: ...

    @property
    def flags(self) -> int: ...

    @property
    def local_addr(self) -> LocalAddr | None: ...

    @property
    def resolver(self) -> Resolver: ...

    @property
    def allow(self) -> Allow | None: ...

    @property
    def prepare(self) -> Sequence[Prepare]: ...

    @property
    def ready(self) -> Ready | None: ...

    @property
    def history(self) -> History | None: ...

    @property
    def outcome(self) -> Outcome: ...

    @property
    def observer(self) -> Observer | None: ...


class Passage(Protocol):
    """The way of one call to one target, through proxies.

    *endpoint* is the first proxy, and its final destination is the target.  `find`
    looks up what the proxies will be asked for; after a failure, which it has recorded,
    it returns False.  `request` shakes hands with the proxies over the connected
    socket.  If it raises, the socket is closed, unless it is the caller's.  *wrap* then
    makes the caller's connection.
    """

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def wrap(self) -> Wrap[Any] | None: ...

    async def find(self, turn: Deadline, operation: ConnectOperation) -> bool: ...

    async def request(self, handover: Handover) -> None: ...


class Route(Protocol):
    """How all calls with some options get to their targets: see `passage_to`."""

    def passage(
        self, options: Options, target: Endpoint, wrap: Wrap[Any] | None
    ) -> Passage | None: ...


def passage_to(
    options: Options, target: Endpoint, wrap: Wrap[Any] | None = None
) -> Passage | None:
    """Return the way to *target* through proxies, or None to connect directly.

    What is on this machine (Unix and vsock addresses, no host at all, the peer of a
    connected socket) is always connected to directly.  *wrap* makes the connection.

    Raises:
        ValueError: No proxy can connect to *target*.
    """
    if options.route is None or target.host is None or target.port is None:
        return None
    return options.route.passage(options, target, wrap)


def check_options(options: Options) -> None:
    """Check each option, and store some in a form that compares and hashes.

    Raises:
        ValueError, TypeError: A value cannot work.
    """
    check_optional_duration("timeout", options.timeout)
    check_optional_duration("attempt_timeout", options.attempt_timeout, positive=True)
    check_optional_duration("happy_eyeballs_delay", options.happy_eyeballs_delay)
    check_optional_duration("resolution_delay", options.resolution_delay)
    _check_functions(options)
    check_family(options.family)
    check_count("proto", options.proto)
    check_count("flags", options.flags)
    # The dataclass is frozen: only `object` can still set a field.
    store = functools.partial(object.__setattr__, options)
    if options.interleave is None:
        store("interleave", 1)
    check_count("interleave", options.interleave)
    # Tuples are hashable, and no caller can change them afterwards.
    store("retry", check_retry(options.retry))
    store("prepare", check_prepare(options.prepare))
    if options.local_addr is not None:
        check_local_addr(options.local_addr)
        store("local_addr", without_lists(options.local_addr))


def _check_functions(options: Options) -> None:
    for name in ("retry_on", "resolver", "outcome"):
        check_function(name, getattr(options, name))
    for name in ("allow", "observer"):
        if getattr(options, name) is not None:
            check_function(name, getattr(options, name))
    if options.ready is not None:
        check_ready(options.ready)
    for name in ("retry_on", "outcome", "allow", "observer"):
        if getattr(options, name) is not None:
            check_synchronous(name, getattr(options, name))
    if options.allow is not None:
        # Import the guard now.  Later, without a free descriptor, that fails (K14).
        importlib.import_module("aioconnect._sansio.ip_filter")
    if options.history is not None:
        check_history(options.history)
    observer: object = options.observer
    # With an observer, this comparison imports the events.
    if observer is not None and observer is events.log_events:
        raise TypeError("observer: log_events needs a logger: log_events(logger)")


def options_repr(options: object, kind: type[Any] | None = None) -> str:
    """Return the call that makes *options*, with the options that were changed.

    *kind* is their class by default, or the class from which that one is derived.
    """
    kind = cast("type[Any]", type(options)) if kind is None else kind
    # A traceback can show a Connector whose fields are not all set yet.
    values = ((f, getattr(options, f.name, f.default)) for f in fields(kind))
    changed = [f"{f.name}={value!r}" for f, value in values if value != f.default]
    return f"{kind.__name__}({', '.join(changed)})"
