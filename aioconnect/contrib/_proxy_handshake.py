"""Ask a proxy for a connection: by SOCKS 4, SOCKS 5, or HTTP CONNECT.

Only this module reads from and writes to the socket before its caller does, and it
reads not an octet more than the proxy's answer.

Tracebacks can show the local variables of a frame.  No frame here that an exception
leaves has the credentials, or an answer, in which a proxy may repeat them.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import re
import socket
from http import HTTPStatus

from .._io.fd_watchers import is_readable
from .._sansio.errors import AttemptError, AttemptExpired, os_error
from ._proxy_url import Hop

__all__ = ["Handshake"]

# What the answers mean; one that is not here is none.
_SOCKS5 = {  # RFC 1928, section 6.  A general failure may pass.
    0x01: (errno.ECONNABORTED, "General failure of the SOCKS server"),
    0x02: (errno.EACCES, "Connection not allowed by the ruleset"),
    0x03: (errno.ENETUNREACH, "Network unreachable"),
    0x04: (errno.EHOSTUNREACH, "Host unreachable"),
    0x05: (errno.ECONNREFUSED, "Connection refused by the destination"),
    0x06: (errno.ETIMEDOUT, "TTL expired"),
    0x07: (errno.EOPNOTSUPP, "Command not supported"),
    0x08: (errno.EAFNOSUPPORT, "Address type not supported"),
}
_SOCKS4 = {  # "rejected or failed" is all that it says of a port that refuses
    0x5B: (errno.ECONNREFUSED, "Request rejected or failed"),
    0x5C: (errno.EACCES, "Request rejected: no identd on the client"),
    0x5D: (errno.EACCES, "Request rejected: identd reports another user"),
}
_HTTP = {  # RFC 9110, section 15
    401: errno.EACCES,
    403: errno.EACCES,
    407: errno.EACCES,
    500: errno.ECONNABORTED,
    502: errno.EHOSTUNREACH,
    503: errno.EHOSTUNREACH,
    504: errno.ETIMEDOUT,
}

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

_STATUS = re.compile(rb"HTTP/\d\.\d[ \t]+([1-5]\d\d)(?:[ \t][^\n]*)?\r?\n")

# RFC 9112, section 2.2: a single LF may be taken for the end of a line.
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LONGEST_HEAD = 2**14

# RFC 9110, section 15.2: there may be any number of interim answers.  There is no use
# for many, and a proxy that sends them for ever must not keep us reading.
_MOST_INTERIM = 16

# How many octets a SOCKS 5 address has, by its type; that of a name says so itself.
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SIZES = {_IPV4: 4, _IPV6: 16}


class Handshake:
    """What is said to the proxy *hop* over *sock*, and answered until *deadline*.

    *name* is put before what an error says.
    """

    __slots__ = ("_answer", "_deadline", "_hop", "_loop", "_name", "_sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        deadline: float | None,
        hop: Hop,
        name: str,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._deadline = deadline
        self._hop = hop
        self._name = name
        self._answer = b""

    async def ask_for(self, host: str, port: int) -> None:
        """Have the proxy connect to *host*, an address or a name in ASCII, and *port*.

        Raises:
            AttemptError: It has not.
            Expired: It had not answered at the deadline.
        """
        if self._hop.kind == "http":
            await self._ask_http(host, port)
        elif self._hop.kind == "socks5":
            await self._ask_socks5(host, port)
        else:
            await self._ask_socks4(host, port)

    async def _ask_http(self, host: str, port: int) -> None:
        """Speak HTTP: RFC 9110, section 9.3.6."""
        self._say(_http_request(self._hop, host, port))
        interim = 0
        while (status := await self._read_status()) < 200:
            # Nobody asked for another protocol.
            self._check(status != HTTPStatus.SWITCHING_PROTOCOLS)
            interim += 1
            self._check(interim <= _MOST_INTERIM)
        if status >= 300:
            # Not in the proxy's own words, which may be our credentials.
            text = f"{status} {_PHRASES.get(status, '')}".rstrip()
            raise self._failure(_HTTP.get(status, errno.EPROTO), text)

    async def _ask_socks5(self, host: str, port: int) -> None:
        """Speak SOCKS 5: RFC 1928, with the credentials of RFC 1929."""
        self._say(b"\5\2\0\2" if self._hop.user else b"\5\1\0")
        version, method = await self._read(2)
        self._check(version == 5)
        if method == 2 and self._hop.user:
            self._say(_socks5_credentials(self._hop))
            version, code = await self._read(2)
            self._check(version == 1)
            if code:
                raise self._failure(errno.EACCES, "wrong user or password")
        elif method:
            text = "the proxy accepts none of the authentication methods offered"
            if not self._hop.user:
                text = "the proxy wants a user and a password"
            raise self._failure(errno.EACCES, text)
        self._say(b"\5\1\0" + _socks_address(host) + port.to_bytes(2))
        version, code = await self._read(2)
        self._check(version == 5)
        if code:
            raise self._said_no(_SOCKS5.get(code))
        reserved, kind = await self._read(2)
        self._check(reserved == 0 and kind in (_IPV4, _NAME, _IPV6))
        size = _SIZES[kind] if kind != _NAME else (await self._read(1))[0]
        await self._read(size + 2)  # where it connects from, if that is true

    async def _ask_socks4(self, host: str, port: int) -> None:
        """Speak SOCKS 4, or 4a if *host* is a name."""
        self._say(_socks4_request(self._hop, host, port))
        version, code = (await self._read(8))[:2]
        self._check(version == 0)
        if code != 0x5A:
            raise self._said_no(_SOCKS4.get(code))

    def _check(self, makes_sense: bool) -> None:
        if not makes_sense:
            raise self._makes_no_sense()

    def _said_no(self, meaning: tuple[int, str] | None) -> AttemptError:
        return self._failure(*meaning) if meaning else self._makes_no_sense()

    def _makes_no_sense(self) -> AttemptError:
        text = f"the answer is not that of a proxy for {self._hop.kind}"
        return self._failure(errno.EPROTO, text)

    def _has_closed(self) -> AttemptError:
        text = "the proxy has closed the connection"
        return self._failure(errno.ECONNRESET, text)

    def _failure(self, number: int, text: str) -> AttemptError:
        return AttemptError("proxy", os_error(number, self._name + text))

    def _say(self, data: bytes) -> None:
        """Send *data*, which the socket has room for.

        It is small, and what was sent before it was answered.
        """
        try:
            while data:
                data = data[self._sock.send(data) :]
        except BrokenPipeError:
            raise self._has_closed() from None
        except OSError as exc:
            raise AttemptError("proxy", exc) from None
        finally:
            del data

    async def _read(self, size: int) -> bytes:
        """Return the next *size* octets."""
        self._answer = b""
        while len(self._answer) < size:
            self._answer += await self._received(size - len(self._answer))
        return self._answer

    async def _read_status(self) -> int:
        """Return the status of the next HTTP head, the whole of which is read then."""
        self._answer = b""
        is_whole = False
        while not is_whole:
            seen = await self._received(_LONGEST_HEAD, socket.MSG_PEEK)
            size, is_whole = _rest_of_head(self._answer, seen)
            del seen
            self._answer += await self._received(size)
            self._check(b"HTTP/".startswith(self._answer[:5]))
            self._check(len(self._answer) <= _LONGEST_HEAD)
        match = _STATUS.match(self._answer)
        if match is None:
            raise self._makes_no_sense()
        return int(match[1])

    async def _received(self, most: int, flags: int = 0) -> bytes:
        try:
            while (data := self._come(most, flags)) is None:
                await self._readable()
        except OSError as exc:
            raise AttemptError("proxy", exc) from None
        if not data:
            raise self._has_closed()
        return data

    def _come(self, most: int, flags: int) -> bytes | None:
        try:
            return self._sock.recv(most, flags)
        except BlockingIOError:
            return None

    async def _readable(self) -> None:
        if not await is_readable(self._loop, self._sock, self._deadline):
            text = f"{self._name}the proxy has not answered yet"
            raise AttemptExpired("proxy", os_error(errno.ETIMEDOUT, text))


def _http_request(hop: Hop, host: str, port: int) -> bytes:
    at = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
    lines = [b"CONNECT %b HTTP/1.1" % at, b"Host: %b" % at, b"User-Agent: aioconnect"]
    if hop.user:
        # In UTF-8: RFC 7617, section 2.1.
        basic = base64.b64encode(hop.user + b":" + hop.password)
        lines.append(b"Proxy-Authorization: Basic " + basic)
    return b"\r\n".join([*lines, b"", b""])


def _rest_of_head(head: bytes, more: bytes) -> tuple[int, bool]:
    """Return how many octets of *more* belong to *head*, and if they end it."""
    seen = head + more
    end = _END_OF_HEAD.search(seen, max(len(head) - 3, 0))
    return (end.end() if end else len(seen)) - len(head), end is not None


def _socks5_credentials(hop: Hop) -> bytes:
    user, password = hop.user, hop.password
    return b"\1%c%b%c%b" % (len(user), user, len(password), password)


def _socks4_request(hop: Hop, host: str, port: int) -> bytes:
    kind, *packed = _socks_address(host)
    name = b""
    if kind == _NAME:
        packed, name = [0, 0, 0, 1], host.encode() + b"\0"
    return b"\4\1%b%b%b\0%b" % (port.to_bytes(2), bytes(packed), hop.user, name)


def _socks_address(host: str) -> bytes:
    """Return *host* as SOCKS 5 wants it: its type, and itself."""
    for family, kind in ((socket.AF_INET, _IPV4), (socket.AF_INET6, _IPV6)):
        try:
            return bytes([kind]) + socket.inet_pton(family, host)
        except OSError:
            continue
    return b"%c%c%b" % (_NAME, len(host), host.encode())
