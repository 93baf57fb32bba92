"""Cause the errors that need no network: Unix sockets, binding, limits, handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _answers import Case, check, check_error
from _loops import run

import aioconnect
from aioconnect import Address, sockopts, testing

NOBODY = 65534

# For documentation (RFC 5737, RFC 3849): nobody here has such an address.
FOREIGN = {"127.0.0.1": "192.0.2.1", "::1": "2001:db8::1"}


def unix_cases(stack: ExitStack, folder: Path) -> list[Case]:
    """Prepare, in *folder*, what is no listening stream socket."""
    stale, loop, file = folder / "stale", folder / "loop", folder / "file"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    loop.symlink_to(loop)
    file.write_text("")
    datagrams = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    datagrams.bind(str(folder / "datagrams"))
    packets = stack.enter_context(testing.unix_listening(kind=socket.SOCK_SEQPACKET))
    table = [
        ("a socket that was closed", str(stale), errno.ECONNREFUSED),
        ("a file", str(file), errno.ECONNREFUSED),
        ("an abstract name of nobody", f"\0{folder}", errno.ECONNREFUSED),
        ("nothing", str(folder / "nothing"), errno.ENOENT),
        ("below a file", str(file / "below"), errno.ENOTDIR),
        ("a link to itself", str(loop), errno.ELOOP),
        ("datagrams", str(folder / "datagrams"), errno.EPROTOTYPE),
        ("packets", packets.path, errno.EPROTOTYPE),
    ]
    return [
        # Refused is the listener's answer, if only for want of one.
        Case(said, Address(socket.AF_UNIX, path), code, sent=code == errno.ECONNREFUSED)
        for said, path, code in table
    ]


def inet_cases(stack: ExitStack, host: str) -> list[Case]:
    """Prepare what fails at *host*, an address of the loopback interface."""
    refused = stack.enter_context(testing.refusing(host)).address
    silent = stack.enter_context(testing.black_hole(host)).address
    open_ = stack.enter_context(testing.listening(host)).address
    assert isinstance(open_.sockaddr, tuple)
    soon = {"prepare": [sockopts.user_timeout(0.1)]}
    foreign = {"local_addr": (FOREIGN[host], 0)}
    taken = {"local_addr": (host, open_.sockaddr[1])}
    no_such = Address(open_.family, open_.sockaddr, socket.IPPROTO_UDP)
    return [
        Case("refused", refused, errno.ECONNREFUSED, sent=True),
        Case("TCP_USER_TIMEOUT", silent, errno.ETIMEDOUT, sent=True, options=soon),
        Case("not ours", open_, errno.EADDRNOTAVAIL, "bind", options=foreign),
        Case("taken", refused, errno.EADDRINUSE, "bind", options=taken),
        Case(
            "no such protocol",
            no_such,
            errno.EPROTONOSUPPORT,
            "socket",
            options={"proto": socket.IPPROTO_UDP},
        ),
    ]


def tls_cases(stack: ExitStack, host: str) -> list[Case]:
    """Prepare handshakes that are given up, and reset."""
    mute = stack.enter_context(testing.tls_echoing(host, silent=True))
    reset = stack.enter_context(testing.flaky(["reset"], host)).address
    tls = {"ssl": mute.client_context}
    given_up = {**tls, "ssl_handshake_timeout": 0.1}
    return [
        Case("given up", mute.address, errno.ECONNABORTED, "tls", True, tls=given_up),
        # A reset that comes before anybody has looked is the connect's own.
        Case("reset", reset, errno.ECONNRESET, "connect tls", True, tls=tls),
    ]


async def forbidden(folder: Path) -> None:
    """Do without the rights: a socket of mode 0, and SO_MARK."""
    with testing.unix_listening(folder / "mode") as private:
        os.chmod(private.path, 0)
        with as_nobody():
            await check([Case("a socket's mode", private.address, errno.EACCES)])
    marked = {"prepare": [sockopts.mark(1)]}
    with testing.listening() as server, as_nobody():
        await check(
            [Case("SO_MARK", server.address, errno.EPERM, "socket", options=marked)]
        )


@contextmanager
def as_nobody() -> Iterator[None]:
    """Drop root's rights, if they are there."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def no_descriptor_left() -> None:
    """K14: neither a number nor a name needs what cannot be opened any more."""
    with testing.listening() as server:
        with full_table():
            by_number, by_name = await asyncio.gather(
                aioconnect.connect(server.host, server.port),
                aioconnect.connect("localhost", server.port),
                return_exceptions=True,
            )
        case = Case("no descriptor left", server.address, errno.EMFILE, "socket")
        check_error(case, by_number, 1)
        # The resolver may have found the address in time, or say what it lacked.
        assert isinstance(by_name, aioconnect.ConnectError), repr(by_name)
        assert by_name.errno == errno.EMFILE or isinstance(
            by_name, aioconnect.ResolveError
        ), repr(by_name)
        print("EMFILE", "EMFILE", sep="\n")


@contextmanager
def full_table() -> Iterator[None]:
    """Leave this process no descriptor to open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    try:
        with ExitStack() as stack:
            with contextlib.suppress(OSError):
                while True:
                    stack.enter_context(socket.socket())
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def hosts() -> list[str]:
    """Return the addresses of the loopback interface."""
    try:
        with testing.listening("::1"):
            return ["127.0.0.1", "::1"]
    except OSError:
        return ["127.0.0.1"]


async def main() -> None:
    """Cause them all."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        cases = unix_cases(stack, folder)
        for host in hosts():
            cases += inet_cases(stack, host) + tls_cases(stack, host)
        if "::1" in hosts():
            link_local = Address(socket.AF_INET6, ("fe80::1", 80))
            cases.append(Case("no scope", link_local, errno.EINVAL))
        unknown = Address(socket.AF_X25, ("nowhere", 1))
        cases.append(Case("no such family", unknown, errno.EAFNOSUPPORT, "socket"))
        await check(cases)
        await forbidden(folder)
    await no_descriptor_left()


run(main())
