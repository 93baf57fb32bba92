"""Read a DNS question and write its answer (RFC 1035, RFC 3596, RFC 2782).

Pure: bytes in, bytes out.  Anybody may have sent a question, so every mistake in it
raises `ValueError`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .._sansio.text import safe_repr

__all__ = ["Question", "Record", "check_record", "parse_question", "response"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

# A numeric address for A and AAAA, (priority, weight, port, target) for SRV.
Record: TypeAlias = str | tuple[int, int, int, str]

TYPES = {"A": 1, "AAAA": 28, "SRV": 33}
RCODES = {"NOERROR": 0, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}

_TYPE_NAMES = {number: name for name, number in TYPES.items()}
_IN = 1
_TTL = 60

# RFC 1035 section 4.1.1: the bits of a header's second word.
_QR, _OPCODE, _AA, _TC, _RD, _RA = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0080

# Section 4.1.4: "a pointer to a prior occurance".  The question begins at octet 12.
_POINTER_TO_QUESTION = b"\xc0\x0c"


@dataclass(frozen=True, slots=True)
class Question:
    """One DNS question: *name* in lower case, and *type* such as ``"A"``.

    *id* and *flags* come from the header.  *raw* is the question section as it came.
    """

    name: str
    type: str
    id: int
    flags: int
    raw: bytes


def parse_question(message: bytes) -> Question:
    """Return the only question in *message*.

    Raises:
        ValueError: *message* is not a query with one question of class IN.
    """
    if len(message) < 12:
        raise ValueError(f"a header has 12 bytes, not {len(message)}")
    identifier, flags, count = struct.unpack_from("!HHH", message)
    if flags & (_QR | _OPCODE) or count != 1:
        raise ValueError("not a standard query with one question")
    name, end = _parse_name(message, 12)
    if len(message) < end + 4:
        raise ValueError("the question ends early")
    number, dns_class = struct.unpack_from("!HH", message, end)
    if dns_class != _IN:
        raise ValueError(f"the class is {dns_class}, not IN")
    kind = _TYPE_NAMES.get(number, f"TYPE{number}")
    return Question(name, kind, identifier, flags, message[12 : end + 4])


def _parse_name(message: bytes, offset: int) -> tuple[str, int]:
    labels: list[str] = []
    while True:
        if offset >= len(message):
            raise ValueError("a name ends early")
        length = message[offset]
        if length == 0:
            break
        # The first name of a message cannot contain a pointer: nothing is before it.
        if length > 63 or offset + 1 + length > len(message):
            raise ValueError(f"a label of {length} bytes at {offset}")
        label = message[offset + 1 : offset + 1 + length]
        labels.append(label.decode("ascii").lower())
        offset += 1 + length
    name = ".".join(labels)
    if len(name) > 253:
        raise ValueError(f"a name of {len(name)} characters")
    return name, offset + 1


def response(
    question: Question,
    rcode: str = "NOERROR",
    records: Sequence[Record] = (),
    *,
    is_truncated: bool = False,
) -> bytes:
    """Return the answer to *question*, with *records* of the type it asked for."""
    flags = _QR | _AA | _RA | (question.flags & _RD) | RCODES[rcode]
    if is_truncated:
        flags |= _TC
        records = ()
    header = struct.pack("!6H", question.id, flags, 1, len(records), 0, 0)
    answers = [_resource_record(question.type, record) for record in records]
    return header + question.raw + b"".join(answers)


def _resource_record(kind: str, record: Record) -> bytes:
    data = _record_data(kind, record)
    fixed = struct.pack("!HHIH", TYPES[kind], _IN, _TTL, len(data))
    return _POINTER_TO_QUESTION + fixed + data


def _record_data(kind: str, record: Record) -> bytes:
    if kind == "SRV":
        if not isinstance(record, tuple) or len(record) != 4:
            raise ValueError(
                f"SRV: {safe_repr(record)} is not (priority, weight, port, target)"
            )
        *numbers, target = record
        if not isinstance(target, str):
            raise ValueError(f"the target {safe_repr(target)} is not a name")
        # RFC 2782: "name compression is not to be used for this field".
        return struct.pack("!HHH", *numbers) + _packed_name(target)
    if not isinstance(record, str):
        raise ValueError(f"{kind}: {safe_repr(record)} is not an address in numbers")
    family = socket.AF_INET if kind == "A" else socket.AF_INET6
    return socket.inet_pton(family, record)


def _packed_name(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    if any(len(label) > 63 for label in labels):
        raise ValueError(f"{safe_repr(name)} has a label of more than 63 bytes")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def check_record(kind: str, record: Record) -> None:
    """Refuse a *record* that cannot be a record of type *kind*.

    Raises:
        ValueError: The message says what is wrong.
    """
    try:
        _record_data(kind, record)
    except (OSError, TypeError, ValueError, struct.error) as exc:
        raise ValueError(f"{kind}: {safe_repr(record)}: {exc}") from None
