"""Ask a proxy for a connection, in the words of python-socks.

Only this module reads from and writes to the socket before its caller does, and it
reads not an octet more than the proxy's answer.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from http import HTTPStatus
from typing import Any, cast

from .._errors import AttemptError, Expired, os_error
from .._watchers import is_readable
from ._proxy_url import Hop

try:
    from python_socks import ProxyError, ProxyType
    from python_socks.async_.asyncio.v2 import Proxy
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "aioconnect.contrib.proxy needs python-socks:"
        " in a checkout, pip install '.[proxy]'",
        name=exc.name,
    ) from exc

__all__ = ["Handshake"]

# What the answers mean; one that is not here is none.
_ERRNOS = {
    # SOCKS 5: RFC 1928, section 6.  A general failure may pass.
    0x01: errno.ECONNABORTED,
    0x02: errno.EACCES,
    0x03: errno.ENETUNREACH,
    0x04: errno.EHOSTUNREACH,
    0x05: errno.ECONNREFUSED,
    0x06: errno.ETIMEDOUT,
    0x07: errno.EOPNOTSUPP,
    0x08: errno.EAFNOSUPPORT,
    # SOCKS 4: "rejected or failed" is all that it says of a port that refuses.
    0x5B: errno.ECONNREFUSED,
    0x5C: errno.EACCES,
    0x5D: errno.EACCES,
    # HTTP: RFC 9110, section 15.
    401: errno.EACCES,
    403: errno.EACCES,
    407: errno.EACCES,
    500: errno.ECONNABORTED,
    502: errno.EHOSTUNREACH,
    503: errno.EHOSTUNREACH,
    504: errno.ETIMEDOUT,
}

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

# RFC 9112, section 2.2: a single LF may be taken for the end of a line.
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LONGEST_HEAD = 2**14

# python-socks would end what takes longer than a minute.  The deadline is ours to
# watch, and loops take no infinity.
_NEVER = 1e9


class Handshake:
    """What is said to the proxy *hop* over *sock*, and answered until *deadline*.

    *name* is put before what an error says.  python-socks takes it for one of its
    streams, and for the proxy before, which has nothing to do but to be connected.
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
        """Have the proxy connect to *host* and *port*.

        Raises:
            AttemptError: It has not.
            Expired: It had not answered at the deadline.
        """
        hop = self._hop
        proxy = Proxy(
            ProxyType[hop.kind.upper()],
            str(hop.place.host),
            hop.place.port or 0,
            hop.user,
            hop.password,
            rdns=True,  # what is to be looked up here has been
            forward=cast("Any", self),
        )
        failure: AttemptError | None = None
        try:
            await proxy.connect(host, port, timeout=_NEVER)
        except ProxyError as exc:
            failure = self._said_no(exc)
        except UnicodeError:  # the name of where a SOCKS 5 proxy connects from
            failure = self._failure(errno.EPROTO, "the answer makes no sense")
        if failure is not None:
            raise failure

    def _said_no(self, exc: ProxyError) -> AttemptError:
        code, text = exc.error_code or 0, str(exc)
        number = _ERRNOS.get(code, errno.EPROTO)
        if self._hop.kind == "http":
            if not 100 <= code < 600:
                return self._makes_no_sense()
            # Not in the proxy's own words, which may be our credentials.
            text = f"{code} {_PHRASES.get(code, '')}".rstrip()
        elif not code and len(self._answer) == 2 and self._answer[0] in (1, 5):
            number = errno.EACCES  # about credentials, python-socks has no code for it
        return self._failure(number, text)

    def _makes_no_sense(self) -> AttemptError:
        text = f"the answer is not that of a proxy for {self._hop.kind}"
        return self._failure(errno.EPROTO, text)

    def _has_closed(self) -> AttemptError:
        text = "the proxy has closed the connection"
        return self._failure(errno.ECONNRESET, text)

    def _failure(self, number: int, text: str) -> AttemptError:
        return AttemptError("proxy", os_error(number, self._name + text))

    async def connect(self, **_: object) -> Handshake:
        """Return the stream to the proxy."""
        return self

    async def write(self, data: bytes) -> None:
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

    async def read_exactly(self, n: int) -> bytes:
        """Return the next *n* octets."""
        self._answer = b""
        while len(self._answer) < n:
            self._answer += await self._received(n - len(self._answer))
        return self._answer

    async def read(self) -> bytes:
        """Return the first line of an HTTP answer, whose head has come then."""
        head, end = b"", None
        while end is None:
            seen = head + await self._received(_LONGEST_HEAD, socket.MSG_PEEK)
            end = _END_OF_HEAD.search(seen, max(len(head) - 3, 0))
            rest = (end.end() if end else len(seen)) - len(head)
            head += await self.read_exactly(rest)
            if not b"HTTP/".startswith(head[:5]) or len(head) > _LONGEST_HEAD:
                raise self._makes_no_sense()
        return head.splitlines()[0]

    async def close(self) -> None:
        """Leave the socket to its owner."""

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
            raise Expired("proxy", os_error(errno.ETIMEDOUT, text))
