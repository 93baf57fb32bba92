"""Ask whether a service is ready, and not only whether its port accepts connections.

Each check is for the option *ready*: ``wait_until_up("db", 5432, timeout=60,
ready=checks.postgres)``.  It works for every function that has the option.  A service
that is not ready fails the attempt with a `ConnectionAbortedError` that repeats what
the service said, so that a wait goes on.  A URL, such as ``postgres://db``, brings its
check along: see `aioconnect.wait_until_up`.

No check sends a password, reads more than 64 kB, or limits its own time: that is the
option *attempt_timeout*.  Redis and Kafka can be used after their checks.  The other
checks use the connection up, and are for waits.
"""

from __future__ import annotations

import errno
import re
import ssl as _ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, cast

from ._io.conversation import (
    MOST_RECEIVED,
    Channel,
    TLSChannel,
    TooMuchReceivedError,
    channel,
)
from ._io.tls import TLSOptions
from ._sansio import mysql_answers as _mysql
from ._sansio import service_answers as _answers
from ._sansio.error_predicates import is_transient
from ._sansio.errors import os_error
from ._sansio.hosts import check_host
from ._sansio.service_url import check_authority, check_path
from ._sansio.target_text import join_host_port
from ._sansio.text import error_text, printable, safe_repr

__all__ = [
    "Check",
    "amqp",
    "http",
    "kafka",
    "mysql",
    "postgres",
    "redis",
    "tls",
]

# Asks over a channel; raises `NotReadyError` or an `OSError` if the peer is not ready.
_Ask: TypeAlias = Callable[[Channel], Awaitable[object]]

# The reasons of OpenSSL for a peer that answers a handshake with something else.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")

# "[SSL: REASON] text (_ssl.c:1006)".
_OPENSSL_MARKS = re.compile(r"^\[SSL[^]]*\] | \(_ssl\.c:\d+\)$")

# The final responses of RFC 9110 that are no error.  Redirects are not followed.
_NO_ERROR = range(200, 400)


@dataclass(frozen=True, slots=True, repr=False)
class Check:
    """A function for the option *ready*; the functions of this module make it.

    It is a value: it compares and hashes, and pickles unless there is a TLS context.
    """

    # Of waits and of URLs, in seconds, unless the option says otherwise.  A web
    # application may ask its own services first.
    attempt_timeout: ClassVar[float] = 5.0
    name: str
    ask: _Ask

    def __repr__(self) -> str:
        return f"checks.{self.name}"

    async def __call__(self, *connection: Any) -> None:
        """Ask the peer of a socket, of streams, or of a transport and its protocol.

        The connection stays open, and the caller's.

        Raises:
            OSError: The peer is not ready.  `is_transient` accepts the error.
            TypeError: *connection* is something else.
        """
        reason = f"more than {MOST_RECEIVED // 1024} kB came, and no answer"
        cause: Exception | None = None
        with channel(connection) as way:
            try:
                await self.ask(way)
            except _answers.NotReadyError as exc:
                reason = str(exc)
            except TooMuchReceivedError:
                pass
            except OSError as exc:
                if is_transient(exc):
                    raise
                # Waiting may mend this, too: a certificate that is replaced, say.
                reason, cause = _reason_of(exc), exc
            else:
                return
        try:
            raise os_error(errno.ECONNABORTED, reason) from cause
        finally:
            del cause


def _reason_of(error: OSError) -> str:
    """Return what *error* says, without what is only for OpenSSL's developers."""
    if isinstance(error, _ssl.SSLCertVerificationError):
        return f"certificate verify failed: {printable(error.verify_message)}"
    if isinstance(error, _ssl.SSLError):
        if error.reason in _NOT_TLS:
            return "the peer does not speak TLS"
        if isinstance(error, _ssl.SSLEOFError):
            return _answers.closed_text(b"")
    return _OPENSSL_MARKS.sub("", error_text(error))


@dataclass(frozen=True, slots=True)
class _Exchange:
    """Send *request*, and let *judge* look at the answer until it is sure."""

    request: bytes
    judge: Callable[[bytes], bool]

    async def __call__(self, way: Channel) -> bytes:
        """Do so, and return the answer.  Raises what an `_Ask` does."""
        if self.request:
            await way.send(self.request)
        received = b""
        while not self.judge(received):
            data = await way.receive()
            if not data:
                raise _answers.NotReadyError(_answers.closed_text(received))
            received += data
        return received


@dataclass(frozen=True, slots=True)
class _HTTPExchange:
    """Send a GET request for *path*, and compare the response with *status*."""

    path: str = field(repr=False)  # the query may be secret
    host: str | None
    status: range

    async def __call__(self, way: Channel) -> None:
        """Do so.  Raises what an `_Ask` does."""
        host = _host_of(way.peername) if self.host is None else self.host
        lines = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {host}",
            "User-Agent: aioconnect",
            "Accept: */*",
            "Connection: close",
        )
        request = "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")
        try:
            await _Exchange(request, self.judge)(way)
        except _answers.NotReadyError as exc:
            # The query may be secret, and some peers send a request back.
            text = _answers.hide(str(exc), self.path.partition("?")[2])
            raise _answers.NotReadyError(text) from None

    def judge(self, data: bytes) -> bool:
        return _answers.http_answer(data, self.status)


def _host_of(peername: object) -> str:
    """Return the value of Host (RFC 9110, section 7.2) for a peer without a name."""
    if not isinstance(peername, tuple):
        return "localhost"  # of a Unix socket
    host, port, *_ = cast("tuple[Any, ...]", peername)
    return join_host_port(str(host).partition("%")[0], port)


@dataclass(frozen=True, slots=True)
class _TLSExchange:
    """Make a TLS handshake, and then *ask*, if there is anything to ask."""

    ask: _Ask | None
    context: _ssl.SSLContext
    server_hostname: str | None

    async def __call__(self, way: Channel) -> None:
        """Do so.  Raises what an `_Ask` does."""
        encrypted = TLSChannel(way, self.context, self.server_hostname or None)
        await encrypted.shake_hands()
        if self.ask is not None:
            await self.ask(encrypted)


def http(
    path: str = "/", *, host: str | None = None, status: range = _NO_ERROR
) -> Check:
    """Return a check that a GET request for *path* is answered with a good status.

    *path* begins with a slash, and may have a query.  *host* is the value of the header
    Host, by default the peer's address.  *status* is the range of statuses that count
    as ready, by default 200 to 399.  A redirect is not followed.  The server is asked
    to close the connection afterwards.  For HTTPS, see `tls`.

    Raises:
        ValueError, TypeError: An argument cannot work.
    """
    _check_type("path", path, str, "checks.http('/health')")
    _check_type("status", status, range, "range(200, 300)")
    # Only the ends: `min` of a range looks at each number.
    if not status or not all(100 <= end <= 599 for end in (status[0], status[-1])):
        raise ValueError(f"status must be between 100 and 599, not {safe_repr(status)}")
    if host is not None:
        check_authority(host)
    shown, has_query, _ = path.partition("?")  # the query may be secret
    name = f"http({safe_repr(shown + '?...' if has_query else shown)})"
    return Check(name, _HTTPExchange(check_path(path), host, status))


def _check_type(name: str, value: object, kind: type, example: str) -> None:
    if not isinstance(value, kind):
        # A text may have a secret in it.
        is_text = isinstance(value, str | bytes | bytearray)
        given = type(value).__name__ if is_text else safe_repr(value)
        said = f"{name} must be a {kind.__name__}, not {given}"
        raise TypeError(f"{said}: write {example}, for example")


def tls(
    check: Check | None = None,
    *,
    host: str | None = None,
    insecure: bool = False,
    ssl: _ssl.SSLContext | None = None,
) -> Check:
    """Return a check that makes a TLS handshake, and then *check*, if given.

    ``checks.tls(checks.http("/health"), host="example.org")`` asks by HTTPS.  *host* is
    the name to verify.  *insecure* accepts every certificate.  *ssl* is a context of
    your own, instead of ``ssl.create_default_context()``.  It is for functions that
    have no TLS of their own: over ``open_connection(..., ssl=True)``, use *check*
    itself.  A certificate that does not verify is not ready, and a wait goes on.

    Raises:
        ValueError, TypeError: The arguments do not fit together.
    """
    if check is not None:
        _check_type(
            "check", check, Check, "checks.tls(checks.redis, host='example.org')"
        )
    if host is not None:
        _check_type("host", host, str, "host='example.org'")
        check_host(host)
    if insecure and ssl is not None:
        raise ValueError("insecure is for the default context: ssl has its own rules")
    context = _ssl.create_default_context() if ssl is None else ssl
    if insecure:
        context.check_hostname = False
        context.verify_mode = _ssl.CERT_NONE
    if host is None and context.check_hostname:
        raise ValueError("host is missing: the name to verify, unless insecure=True")
    # Without a name, "" keeps the options from asking for one.
    name = None if host is not None else ""
    options = TLSOptions(context, name).for_host(host)
    inner = "" if check is None else check.name
    ask = None if check is None else check.ask
    return Check(f"tls({inner})", _TLSExchange(ask, context, options.server_hostname))


async def _ask_mysql(way: Channel) -> None:
    await _Exchange(b"", _mysql.greeting_answer)(way)
    answer = await _Exchange(_mysql.LOGIN, _mysql.login_answer)(way)
    if _mysql.asks_for_more(answer):
        await _Exchange(_mysql.NO_PASSWORD, _mysql.login_answer)(way)


# The answer to a start-up message.  "The database system is starting up", and too many
# connections, are not ready.  Any other answer is, with "no such user" among them.
postgres = Check(
    "postgres", _Exchange(_answers.POSTGRES_REQUEST, _answers.postgres_answer)
)

# The answer to PING.  PONG is ready, and so is the demand for a password.  LOADING,
# MASTERDOWN, BUSY and all other errors are not.
redis = Check("redis", _Exchange(_answers.REDIS_REQUEST, _answers.redis_answer))

# The answer to the header of AMQP 0-9-1: Connection.Start is ready.
amqp = Check("amqp", _Exchange(_answers.AMQP_REQUEST, _answers.amqp_answer))

# The answer to a login without a password.  It is denied, and that is ready.  A client
# that stops after the greeting is an error of its host: after some of them, MySQL
# blocks the host.
mysql = Check("mysql", _ask_mysql)

# The answer to ApiVersions.
kafka = Check("kafka", _Exchange(_answers.KAFKA_REQUEST, _answers.kafka_answer))
