"""Judge what services answer: PostgreSQL, Redis, RabbitMQ, Kafka, a web server.

Each function gets all that a peer has sent so far.  It returns True if that proves the
service ready, and False if more has to come.  Otherwise it raises `NotReadyError`.
"""

from __future__ import annotations

import re
from collections.abc import Container

from .text import printable, safe_repr

__all__ = [
    "AMQP_REQUEST",
    "KAFKA_REQUEST",
    "LONGEST_ANSWER",
    "POSTGRES_REQUEST",
    "REDIS_REQUEST",
    "NotReadyError",
    "amqp_answer",
    "closed_text",
    "hide",
    "http_answer",
    "is_text",
    "kafka_answer",
    "postgres_answer",
    "redis_answer",
    "unlike",
    "words_of",
]

# A longer line, or a longer message, is no answer to any of the requests.
LONGEST_ANSWER = 16384

# In characters: what a reason repeats of the service's words, and of unknown bytes.
_LONGEST_REASON = 200
_LONGEST_QUOTE = 60

# A reason repeats fewer characters of a secret in a row.
_MOST_REPEATED = 4

# PostgreSQL, "Message Formats": StartupMessage, protocol 3.0.  It has no password.
_STARTUP = (
    b"\0\x03\0\0user\0postgres\0database\0postgres\0application_name\0aioconnect\0\0"
)
POSTGRES_REQUEST = (len(_STARTUP) + 4).to_bytes(4) + _STARTUP

REDIS_REQUEST = b"*1\r\n$4\r\nPING\r\n"

# AMQP 0-9-1, section 4.2.2: the protocol header.
AMQP_REQUEST = b"AMQP\0\0\x09\x01"

# The method Connection.Start: class 10, method 10, and its version 0-9.
_AMQP_START = b"\0\x0a\0\x0a\0\x09"

# ApiVersions (18), version 0, with an id and the client's name.
_KAFKA_ID = b"aioc"
_KAFKA_BODY = b"\0\x12\0\0" + _KAFKA_ID + b"\0\x0aaioconnect"
KAFKA_REQUEST = len(_KAFKA_BODY).to_bytes(4) + _KAFKA_BODY

# UNSUPPORTED_VERSION: a broker answers it to say which versions it has.
_KAFKA_READY = (0, 35)

# Redis serves, but not this client, or not without a password.
_REDIS_READY = ("NOAUTH", "NOPERM")

# PostgreSQL, "Error Codes": operator intervention, such as 57P03 "starting up", and
# class 53, insufficient resources, such as 53300 "too many connections".
_POSTGRES_NOT_READY = ("57P", "53")

# No server sends more interim responses and a final one.  Each is read again whenever
# more data has come.
_MOST_RESPONSES = 8

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: ([^\r]*))?\r?")
_END_OF_HEAD = re.compile(rb"\n\r?\n")


class NotReadyError(Exception):
    """The peer is not ready; the text says why, on one printable line."""


def closed_text(data: bytes) -> str:
    """Return the reason for a peer that sent *data*, and then closed."""
    after = f" after {_quote(data)}" if data else " without an answer"
    return f"the peer has closed the connection{after}"


def http_answer(data: bytes, status: Container[int]) -> bool:
    """Judge an HTTP response: its status has to be in *status*."""
    whole = data
    for _ in range(_MOST_RESPONSES):
        line, end, _ = data.partition(b"\n")
        _check_beginning(data, b"HTTP/1.", "HTTP")
        if not end:
            _check_length(len(line), data, "HTTP")
            return False
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise unlike(data, "HTTP")
        code = int(match[1])
        if code in status:
            return True
        # RFC 9110, section 15.2: the final response follows an interim one.  101 is
        # the exception: another protocol follows, and nobody has asked for one.
        if not 100 <= code < 200 or code == 101:
            reason = words_of(match[2] or b"")
            raise NotReadyError(f"{code} {reason}" if reason else f"status {code}")
        head = _END_OF_HEAD.search(data)
        if head is None:
            return False
        data = data[head.end() :]
    raise unlike(whole, "HTTP")


def postgres_answer(data: bytes) -> bool:
    """Judge the answer to a start-up message.

    Every error but the few that pass proves that the server serves: it has read a
    catalogue or its rules to say "no such database" or "no password".
    """
    _check_beginning(data, (b"E", b"R", b"v"), "PostgreSQL")
    if len(data) < 5:
        return False
    length = int.from_bytes(data[1:5])
    if data[:1] == b"E":
        return _postgres_error(data, length)
    if length > LONGEST_ANSWER or length < 8:
        raise unlike(data, "PostgreSQL")
    return len(data) >= 9


def _postgres_error(data: bytes, length: int) -> bool:
    if length > LONGEST_ANSWER:
        # A server that cannot even start a process writes its reason as in version 2
        # of the protocol: a text that ends with a NUL.
        text, end, _ = data[1:].partition(b"\0")
        if not end:
            _check_length(len(text), data, "PostgreSQL")
            return False
        if not is_text(text):
            raise unlike(data, "PostgreSQL")
        raise NotReadyError(words_of(text))
    if len(data) < length + 1:
        return False
    parts = data[5 : length + 1].split(b"\0")
    fields = {part[:1]: part[1:] for part in parts if part}
    if b"C" not in fields or b"M" not in fields:
        raise unlike(data, "PostgreSQL")
    code, text = fields[b"C"], fields[b"M"]
    if code.decode("latin-1").startswith(_POSTGRES_NOT_READY):
        raise NotReadyError(words_of(text) or f"error {words_of(code)}")
    return True


def redis_answer(data: bytes) -> bool:
    """Judge the answer to PING."""
    _check_beginning(data, (b"+PONG", b"-"), "Redis")
    line, end, _ = data.partition(b"\r\n")
    if not end:
        _check_length(len(line), data, "Redis")
        return False
    if line == b"+PONG":
        return True
    words = words_of(line[1:])
    if not words or not line.startswith(b"-"):
        raise unlike(data, "Redis")
    if words.split(" ", 1)[0] in _REDIS_READY:
        return True
    raise NotReadyError(words)


def amqp_answer(data: bytes) -> bool:
    """Judge the answer to the protocol header: it has to be Connection.Start."""
    if data[:4] == AMQP_REQUEST[:4]:
        if len(data) < 8:
            return False
        if data[:8] == AMQP_REQUEST:
            raise unlike(data, "AMQP")  # an echo: no server answers with the same
        version = ".".join(map(str, data[5:8]))
        raise NotReadyError(f"the peer speaks AMQP {version}, and not 0-9-1")
    if AMQP_REQUEST.startswith(data[:4]):
        return False
    # A frame: its type, its channel, its size, and then the method.
    _check_beginning(data, b"\x01\0\0", "AMQP")
    _check_beginning(data[7:], _AMQP_START, "AMQP", data)
    return len(data) >= 7 + len(_AMQP_START)


def kafka_answer(data: bytes) -> bool:
    """Judge the answer to ApiVersions."""
    length = int.from_bytes(data[:4])
    if len(data) >= 4 and not 6 <= length <= LONGEST_ANSWER:
        raise unlike(data, "Kafka")
    _check_beginning(data[4:], _KAFKA_ID, "Kafka", data)
    if len(data) < 10:
        return False
    code = int.from_bytes(data[8:10], signed=True)
    if code in _KAFKA_READY:
        return True
    raise NotReadyError(f"error {code} of Kafka")


def _check_beginning(
    data: bytes, wanted: bytes | tuple[bytes, ...], what: str, whole: bytes = b""
) -> None:
    """Raise unless *data* begins as one of *wanted* does, as far as it has come."""
    alternatives = (wanted,) if isinstance(wanted, bytes) else wanted
    if not any(data[: len(one)] == one[: len(data)] for one in alternatives):
        raise unlike(whole or data, what)


def _check_length(length: int, data: bytes, what: str) -> None:
    if length > LONGEST_ANSWER:
        raise unlike(data, what)


def unlike(data: bytes, what: str) -> NotReadyError:
    """Return the error for *data*, which is not of the protocol *what*."""
    if re.match(rb"[\x15\x16]\x03[\0-\x04]", data):
        return NotReadyError(f"the peer speaks TLS, and not {what} in plain text")
    return NotReadyError(f"the peer sent {_quote(data)}, which is not {what}")


def _quote(data: bytes) -> str:
    beginning = data.lstrip()[:_LONGEST_QUOTE] or data[:_LONGEST_QUOTE]
    line = beginning.splitlines()[0]
    try:
        return safe_repr(line.decode())
    except UnicodeDecodeError:
        return safe_repr(line)


def hide(text: str, secret: str) -> str:
    """Return *text*, a reason, with "..." for what it repeats of *secret*.

    A peer may send a request back, or a part of it, or cut off.
    """
    hidden = [False] * len(text)
    # A single character, or two, are in too many words.
    size = min(_MOST_REPEATED, max(len(secret), 3))
    for start in range(len(text) - size + 1):
        if text[start : start + size] in secret:
            hidden[start : start + size] = [True] * size
    marked = zip(text, hidden, strict=True)
    # A reason is printable: it has no NUL.
    kept = "".join("\0" if is_hidden else one for one, is_hidden in marked)
    return re.sub("\0+", "...", kept)


def words_of(text: bytes) -> str:
    """Return what a service says, as one line of printable characters."""
    return printable(text.decode("utf-8", "replace").strip(), _LONGEST_REASON)


def is_text(text: bytes) -> bool:
    """Tell whether *text* is made of printable characters, and not empty."""
    words = text.decode("utf-8", "replace").strip()
    return bool(words) and words.isprintable()
