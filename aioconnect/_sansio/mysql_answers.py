"""Judge what a MySQL or a MariaDB says first, and to a login without a password."""

from __future__ import annotations

from .service_answers import LONGEST_ANSWER, NotReadyError, is_text, unlike, words_of

__all__ = [
    "LOGIN",
    "NO_PASSWORD",
    "asks_for_more",
    "greeting_answer",
    "login_answer",
]

# MySQL, HandshakeResponse41: the client speaks protocol 4.1, and knows methods of
# authentication.  A packet is its length, its number, and then: capabilities, the
# longest packet, UTF-8, 23 reserved octets, a user, no password, and a method.
_RESPONSE = (
    (0x0008_8200).to_bytes(4, "little")
    + LONGEST_ANSWER.to_bytes(4, "little")
    + b"\x21"
    + bytes(23)
    + b"aioconnect\0\0mysql_native_password\0"
)
LOGIN = len(_RESPONSE).to_bytes(3, "little") + b"\x01" + _RESPONSE

# The empty packet that follows a request for another method: no password.
NO_PASSWORD = b"\0\0\0\x03"

# The kinds of the packets that a MySQL answers with.
_GREETING, _ERROR = 10, 255
_OK, _MORE, _OTHER_METHOD = 0, 1, 254

# Errors after which the same client may get in later: too many connections, no memory,
# a shutdown, no thread.
_NOT_READY = (1040, 1041, 1053, 1135, 1203, 1226)


def greeting_answer(data: bytes) -> bool:
    """Judge what a MySQL or a MariaDB sends first: its greeting, or an error."""
    packet = _packet(data, 0, (_GREETING, _ERROR))
    if not packet:
        return False
    if packet[0] == _ERROR:
        raise NotReadyError(_error(packet)[1])
    version, end, _ = packet[1:].partition(b"\0")
    if not end or not is_text(version):
        raise unlike(data, "MySQL")
    return True


def login_answer(data: bytes) -> bool:
    """Judge the answer to `LOGIN`, or to `NO_PASSWORD`.

    As with PostgreSQL, a server that denies the login serves.
    """
    number = data[3] if len(data) > 3 and data[3] in (2, 4) else 2
    kinds = (_OK, _MORE, _OTHER_METHOD, _ERROR)
    packet = _packet(data, number, kinds)
    if packet and packet[0] == _ERROR:
        code, text = _error(packet)
        if code in _NOT_READY:
            raise NotReadyError(text)
    return bool(packet)


def asks_for_more(data: bytes) -> bool:
    """Tell whether *data*, an answer to `LOGIN`, wants one more packet."""
    return data[4] in (_MORE, _OTHER_METHOD)


def _packet(data: bytes, number: int, kinds: tuple[int, ...]) -> bytes:
    """Return the payload of the packet in *data*, or nothing if more has to come."""
    if len(data) < 5:
        return b""
    length = int.from_bytes(data[:3], "little")
    if not 1 <= length <= LONGEST_ANSWER or data[3] != number or data[4] not in kinds:
        raise unlike(data, "MySQL")
    return data[4 : 4 + length] if len(data) >= 4 + length else b""


def _error(packet: bytes) -> tuple[int, str]:
    """Return the number and the text of an error."""
    code, text = int.from_bytes(packet[1:3], "little"), packet[3:]
    if text.startswith(b"#"):
        text = text[6:]  # after the SQL state
    return code, words_of(text) or f"error {code}"
