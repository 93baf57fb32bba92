"""Servers that fail on purpose, and checks of what a client leaves open.

Each server is a synchronous context manager that listens on loopback.  It works with
any client: with or without a running loop, on asyncio or uvloop, in unittest or
pytest.  The pytest fixtures are in `aioconnect.testing.plugin`.  TLS servers need the
package trustme, and the fixtures need pytest.
"""

from __future__ import annotations

from ._backlog import BlackHole as BlackHole
from ._backlog import FullBacklog as FullBacklog
from ._backlog import black_hole as black_hole
from ._backlog import full_backlog as full_backlog
from ._dns import DNSQuery as DNSQuery
from ._dns import DNSReply as DNSReply
from ._dns import DNSServer as DNSServer
from ._dns import Zone as Zone
from ._dns import dns_server as dns_server
from ._echoing import EchoServer as EchoServer
from ._echoing import echoing as echoing
from ._echoing import late as late
from ._flaky import FlakyServer as FlakyServer
from ._flaky import Word as Word
from ._flaky import flaky as flaky
from ._leaks import LeakCheck as LeakCheck
from ._leaks import leak_check as leak_check
from ._listening import Server as Server
from ._listening import UnixServer as UnixServer
from ._listening import listening as listening
from ._listening import unix_listening as unix_listening
from ._ports import on_one_port as on_one_port
from ._recorder import Recorder as Recorder
from ._refusing import HeldPort as HeldPort
from ._refusing import RefusingPort as RefusingPort
from ._refusing import refusing as refusing
from ._refusing import unused_port as unused_port
from ._resolvers import Lookup as Lookup
from ._resolvers import ResolverCall as ResolverCall
from ._resolvers import ScriptedResolver as ScriptedResolver
from ._resolvers import StaticResolver as StaticResolver
from ._tls import TLSEchoServer as TLSEchoServer
from ._tls import tls_echoing as tls_echoing

__all__ = [
    "BlackHole",
    "DNSQuery",
    "DNSReply",
    "DNSServer",
    "EchoServer",
    "FlakyServer",
    "FullBacklog",
    "HeldPort",
    "LeakCheck",
    "Lookup",
    "Recorder",
    "RefusingPort",
    "ResolverCall",
    "ScriptedResolver",
    "Server",
    "StaticResolver",
    "TLSEchoServer",
    "UnixServer",
    "Word",
    "Zone",
    "black_hole",
    "dns_server",
    "echoing",
    "flaky",
    "full_backlog",
    "late",
    "leak_check",
    "listening",
    "on_one_port",
    "refusing",
    "tls_echoing",
    "unix_listening",
    "unused_port",
]


def _name_publicly() -> None:
    # Tracebacks and documentation then name a module that users can import.
    for name in __all__:
        value = globals()[name]
        if getattr(value, "__module__", "").startswith(__name__):
            value.__module__ = __name__


_name_publicly()
