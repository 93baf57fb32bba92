"""Connect from asyncio: get a connected socket in time, or one error that says why.

The arguments of a function say where to connect, and its options say how.  A
`Connector` holds a set of options for reuse.  See README.md for examples.
"""

import sys as _sys

if _sys.argv and str(_sys.argv[0]).endswith(("-m", "aioconnect")):
    # This may be the command line, which handles signals before it imports the rest.
    from . import _startup as _startup

# isort: split
import importlib as _importlib
import typing as _typing
from types import FunctionType as _FunctionType

from ._api import connect as connect
from ._api import connect_address as connect_address
from ._api import connect_any as connect_any
from ._api import connect_sock as connect_sock
from ._api import connect_unix as connect_unix
from ._api import create_connection as create_connection
from ._api import create_unix_connection as create_unix_connection
from ._api import open_connection as open_connection
from ._api import open_unix_connection as open_unix_connection
from ._api import reconnecting as reconnecting
from ._api import reconnecting_unix as reconnecting_unix
from ._api import wait_until_down as wait_until_down
from ._api import wait_until_down_unix as wait_until_down_unix
from ._api import wait_until_up as wait_until_up
from ._api import wait_until_up_unix as wait_until_up_unix
from ._calls.backoff import Backoff as Backoff
from ._calls.observing import CallObserver as CallObserver
from ._calls.options import ConnectorOptions as ConnectorOptions
from ._calls.ready import Ready as Ready
from ._calls.reconnecting import Reconnecting as Reconnecting
from ._connector import Connector as Connector
from ._io.resolver import Resolver as Resolver
from ._io.resolver import system_resolver as system_resolver
from ._io.targets import Target as Target
from ._io.targets import parse_target as parse_target
from ._sansio.addresses import Address as Address
from ._sansio.addresses import SockAddr as SockAddr
from ._sansio.error_predicates import Predicate as Predicate
from ._sansio.error_predicates import is_refused as is_refused
from ._sansio.error_predicates import is_transient as is_transient
from ._sansio.error_predicates import is_unknown_name as is_unknown_name
from ._sansio.errors import AddressBlockedError as AddressBlockedError
from ._sansio.errors import Attempt as Attempt
from ._sansio.errors import ConnectAbortedError as ConnectAbortedError
from ._sansio.errors import ConnectBlockingError as ConnectBlockingError
from ._sansio.errors import ConnectBrokenPipeError as ConnectBrokenPipeError
from ._sansio.errors import ConnectCertificateError as ConnectCertificateError
from ._sansio.errors import ConnectChildProcessError as ConnectChildProcessError
from ._sansio.errors import ConnectError as ConnectError
from ._sansio.errors import ConnectExistsError as ConnectExistsError
from ._sansio.errors import ConnectInterruptedError as ConnectInterruptedError
from ._sansio.errors import ConnectIsDirectoryError as ConnectIsDirectoryError
from ._sansio.errors import ConnectNotDirectoryError as ConnectNotDirectoryError
from ._sansio.errors import ConnectNotFoundError as ConnectNotFoundError
from ._sansio.errors import ConnectPermissionError as ConnectPermissionError
from ._sansio.errors import ConnectProcessLookupError as ConnectProcessLookupError
from ._sansio.errors import ConnectRefusedError as ConnectRefusedError
from ._sansio.errors import ConnectResetError as ConnectResetError
from ._sansio.errors import ConnectTimeoutError as ConnectTimeoutError
from ._sansio.errors import ConnectTLSError as ConnectTLSError
from ._sansio.errors import ResolveError as ResolveError
from ._sansio.srv_records import SRVRecord as SRVRecord

if _typing.TYPE_CHECKING:
    from . import checks as checks
    from . import outcome as outcome
    from . import sockopts as sockopts
    from ._loops.subclass import loop_factory as loop_factory
    from ._sansio.events import AttemptFailed as AttemptFailed
    from ._sansio.events import AttemptStarted as AttemptStarted
    from ._sansio.events import Connected as Connected
    from ._sansio.events import Event as Event
    from ._sansio.events import GaveUp as GaveUp
    from ._sansio.events import PhaseStarted as PhaseStarted
    from ._sansio.events import Resolved as Resolved
    from ._sansio.events import ResolveFailed as ResolveFailed
    from ._sansio.events import ResolveStarted as ResolveStarted
    from ._sansio.events import RetryScheduled as RetryScheduled
    from ._sansio.events import log_events as log_events
    from ._sansio.history import History as History
    from ._sansio.ip_filter import Allow as Allow
    from ._sansio.ip_filter import only_public as only_public
    from ._timeline import Timeline as Timeline

__version__ = "0.1.0"

__all__ = [
    "Address",
    "AddressBlockedError",
    "Allow",
    "Attempt",
    "AttemptFailed",
    "AttemptStarted",
    "Backoff",
    "CallObserver",
    "ConnectAbortedError",
    "ConnectBlockingError",
    "ConnectBrokenPipeError",
    "ConnectCertificateError",
    "ConnectChildProcessError",
    "ConnectError",
    "ConnectExistsError",
    "ConnectInterruptedError",
    "ConnectIsDirectoryError",
    "ConnectNotDirectoryError",
    "ConnectNotFoundError",
    "ConnectPermissionError",
    "ConnectProcessLookupError",
    "ConnectRefusedError",
    "ConnectResetError",
    "ConnectTLSError",
    "ConnectTimeoutError",
    "Connected",
    "Connector",
    "ConnectorOptions",
    "Event",
    "GaveUp",
    "History",
    "PhaseStarted",
    "Predicate",
    "Ready",
    "Reconnecting",
    "ResolveError",
    "ResolveFailed",
    "ResolveStarted",
    "Resolved",
    "Resolver",
    "RetryScheduled",
    "SRVRecord",
    "SockAddr",
    "Target",
    "Timeline",
    "checks",
    "connect",
    "connect_address",
    "connect_any",
    "connect_sock",
    "connect_unix",
    "create_connection",
    "create_unix_connection",
    "is_refused",
    "is_transient",
    "is_unknown_name",
    "log_events",
    "loop_factory",
    "only_public",
    "open_connection",
    "open_unix_connection",
    "outcome",
    "parse_target",
    "reconnecting",
    "reconnecting_unix",
    "sockopts",
    "system_resolver",
    "wait_until_down",
    "wait_until_down_unix",
    "wait_until_up",
    "wait_until_up_unix",
]


# A connect does not need these, nor the events: they are imported on first use.
_LATER = {
    "Allow": "_sansio.ip_filter",
    "History": "_sansio.history",
    "Timeline": "_timeline",
    "checks": "checks",
    "loop_factory": "_loops.subclass",
    "only_public": "_sansio.ip_filter",
    "outcome": "outcome",
    "sockopts": "sockopts",
}


if not _typing.TYPE_CHECKING:  # a type checker must still report unknown names

    def __getattr__(name: str) -> _typing.Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        later = _LATER.get(name, "_sansio.events")
        module = _importlib.import_module(f".{later}", __name__)
        value = globals()[name] = getattr(module, name, module)
        return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | __all__)


def _say_where_they_are() -> None:
    # A traceback, a repr and a pickle name the module that users import from.
    for name in __all__:
        value = globals().get(name)
        module = getattr(value, "__module__", "")
        if isinstance(value, type | _FunctionType) and module.startswith(
            f"{__name__}."
        ):
            value.__module__ = __name__


_say_where_they_are()
