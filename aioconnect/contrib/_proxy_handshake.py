"""Request a connection from a proxy with SOCKS 4, SOCKS 5 or HTTP CONNECT.

Only this module talks to a proxy.  It takes no octet beyond the proxy's answer from the
channel.

Tracebacks can show the local variables of a frame.  Therefore no frame here that an
exception leaves holds the credentials, or an answer in which a proxy may repeat them.
"""

from __future__ import annotations

import base64
import errno
import re
import socket
from http import HTTPStatus

from .._sansio.errors import AttemptError, AttemptExpired, os_error
from ._proxy_channel import Channel
from ._proxy_url import Hop

__all__ = ["ProxyHandshake"]

# The meaning of the answers.  Any other code violates the protocol.
_SOCKS5_ERRORS = {  # RFC 1928, section 6.  A general failure may be temporary.
    0x01: (errno.ECONNABORTED, "General failure of the SOCKS server"),
    0x02: (errno.EACCES, "Connection not allowed by the ruleset"),
    0x03: (errno.ENETUNREACH, "Network unreachable"),
    0x04: (errno.EHOSTUNREACH, "Host unreachable"),
    0x05: (errno.ECONNREFUSED, "Connection refused by the destination"),
    0x06: (errno.ETIMEDOUT, "TTL expired"),
    0x07: (errno.EOPNOTSUPP, "Command not supported"),
    0x08: (errno.EAFNOSUPPORT, "Address type not supported"),
}
_SOCKS4_ERRORS = {  # a port that refuses is reported only as "rejected or failed"
    0x5B: (errno.ECONNREFUSED, "Request rejected or failed"),
    0x5C: (errno.EACCES, "Request rejected: no identd on the client"),
    0x5D: (errno.EACCES, "Request rejected: identd reports another user"),
}
_HTTP_ERRORS = {  # RFC 9110, section 15
    401: errno.EACCES,
    403: errno.EACCES,
    407: errno.EACCES,
    500: errno.ECONNABORTED,
    502: errno.EHOSTUNREACH,
    503: errno.EHOSTUNREACH,
    504: errno.ETIMEDOUT,
}

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

_STATUS_LINE = re.compile(rb"HTTP/\d\.\d[ \t]+([1-5]\d\d)(?:[ \t][^\n]*)?\r?\n")

# RFC 9112, section 2.2: a recipient may accept a single LF as the end of a line.
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_MAX_HEAD = 2**14

# RFC 9110, section 15.2, allows any number of interim answers.  Nobody needs many, and
# a proxy must not keep a client reading by sending them for ever.
_MAX_INTERIM = 16

# The octets of a SOCKS 5 address, by its type.  A name begins with its own length.
_IPV4, _NAME, _IPV6 = 1, 3, 4
_ADDRESS_SIZES = {_IPV4: 4, _IPV6: 16}


class ProxyHandshake:
    """The dialogue with the proxy *hop* over *channel*.

    *error_prefix* begins the text of each error.
    """

    __slots__ = ("_answer", "_channel", "_error_prefix", "_hop")

    def __init__(self, channel: Channel, hop: Hop, error_prefix: str) -> None:
        self._channel = channel
        self._hop = hop
        self._error_prefix = error_prefix
        self._answer = b""

    async def request(self, host: str, port: int) -> None:
        """Ask the proxy to connect to *host* and *port*, and wait for its answer.

        *host* is a numeric address, or a name in ASCII.

        Raises:
            AttemptError: The proxy refused or failed.
            AttemptExpired: The proxy had not answered at the deadline.
        """
        if self._hop.protocol == "http":
            await self._request_over_http(host, port)
        elif self._hop.protocol == "socks5":
            await self._request_over_socks5(host, port)
        else:
            await self._request_over_socks4(host, port)

    async def _request_over_http(self, host: str, port: int) -> None:
        """Speak HTTP: RFC 9110, section 9.3.6."""
        self._send(_http_request(self._hop, host, port))
        interim = 0
        while (status := await self._read_status()) < 200:
            # A switch to another protocol was not requested.
            self._check_protocol(status != HTTPStatus.SWITCHING_PROTOCOLS)
            interim += 1
            self._check_protocol(interim <= _MAX_INTERIM)
        if status >= 300:
            # The error has the standard phrase.  The proxy's own words may repeat the
            # credentials.
            text = f"{status} {_PHRASES.get(status, '')}".rstrip()
            raise self._error(_HTTP_ERRORS.get(status, errno.EPROTO), text)

    async def _request_over_socks5(self, host: str, port: int) -> None:
        """Speak SOCKS 5: RFC 1928, with the credentials of RFC 1929."""
        self._send(b"\5\2\0\2" if self._hop.user else b"\5\1\0")
        version, method = await self._read(2)
        self._check_protocol(version == 5)
        if method == 2 and self._hop.user:
            self._send(_socks5_credentials(self._hop))
            version, code = await self._read(2)
            self._check_protocol(version == 1)
            if code:
                raise self._error(errno.EACCES, "wrong user or password")
        elif method:
            text = "the proxy accepts none of the authentication methods offered"
            if not self._hop.user:
                text = "the proxy wants a user and a password"
            raise self._error(errno.EACCES, text)
        self._send(b"\5\1\0" + _socks_address(host) + port.to_bytes(2))
        version, code = await self._read(2)
        self._check_protocol(version == 5)
        if code:
            raise self._refusal(_SOCKS5_ERRORS.get(code))
        reserved, kind = await self._read(2)
        self._check_protocol(reserved == 0 and kind in (_IPV4, _NAME, _IPV6))
        size = _ADDRESS_SIZES[kind] if kind != _NAME else (await self._read(1))[0]
        await self._read(size + 2)  # the address that the proxy claims to connect from

    async def _request_over_socks4(self, host: str, port: int) -> None:
        """Speak SOCKS 4, or 4a if *host* is a name."""
        self._send(_socks4_request(self._hop, host, port))
        version, code = (await self._read(8))[:2]
        self._check_protocol(version == 0)
        if code != 0x5A:
            raise self._refusal(_SOCKS4_ERRORS.get(code))

    def _check_protocol(self, is_valid: bool) -> None:
        if not is_valid:
            raise self._protocol_error()

    def _refusal(self, meaning: tuple[int, str] | None) -> AttemptError:
        return self._error(*meaning) if meaning else self._protocol_error()

    def _protocol_error(self) -> AttemptError:
        text = f"the answer is not that of a proxy for {self._hop.protocol}"
        return self._error(errno.EPROTO, text)

    def _closed_error(self) -> AttemptError:
        text = "the proxy has closed the connection"
        return self._error(errno.ECONNRESET, text)

    def _error(self, number: int, text: str) -> AttemptError:
        return AttemptError("proxy", os_error(number, self._error_prefix + text))

    def _send(self, data: bytes) -> None:
        try:
            self._channel.send(data)
        except BrokenPipeError:
            raise self._closed_error() from None
        except OSError as exc:
            raise AttemptError("proxy", exc) from None
        finally:
            del data

    async def _read(self, size: int) -> bytes:
        """Return the next *size* octets."""
        self._answer = b""
        while len(self._answer) < size:
            self._answer += await self._recv(size - len(self._answer))
        return self._answer

    async def _read_status(self) -> int:
        """Read the next HTTP head as a whole, and return its status."""
        self._answer = b""
        is_whole = False
        while not is_whole:
            seen = await self._recv(_MAX_HEAD, peek=True)
            size, is_whole = _part_of_head(self._answer, seen)
            del seen
            self._answer += await self._recv(size)
            self._check_protocol(b"HTTP/".startswith(self._answer[:5]))
            self._check_protocol(len(self._answer) <= _MAX_HEAD)
        match = _STATUS_LINE.match(self._answer)
        if match is None:
            raise self._protocol_error()
        return int(match[1])

    async def _recv(self, max_size: int, *, peek: bool = False) -> bytes:
        try:
            data = await self._channel.recv(max_size, peek=peek)
        except OSError as exc:
            raise AttemptError("proxy", exc) from None
        if data is None:
            text = f"{self._error_prefix}the proxy has not answered yet"
            raise AttemptExpired("proxy", os_error(errno.ETIMEDOUT, text))
        if not data:
            raise self._closed_error()
        return data


def _http_request(hop: Hop, host: str, port: int) -> bytes:
    at = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
    lines = [b"CONNECT %b HTTP/1.1" % at, b"Host: %b" % at, b"User-Agent: aioconnect"]
    if hop.user:
        # The credentials are in UTF-8: RFC 7617, section 2.1.
        basic = base64.b64encode(hop.user + b":" + hop.password)
        lines.append(b"Proxy-Authorization: Basic " + basic)
    return b"\r\n".join([*lines, b"", b""])


def _part_of_head(head: bytes, more: bytes) -> tuple[int, bool]:
    """Return how many octets of *more* belong to *head*, and whether they end it."""
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
    """Return *host* in the form of SOCKS 5: its type, then its octets."""
    for family, kind in ((socket.AF_INET, _IPV4), (socket.AF_INET6, _IPV6)):
        try:
            return bytes([kind]) + socket.inet_pton(family, host)
        except OSError:
            continue
    return b"%c%c%b" % (_NAME, len(host), host.encode())
