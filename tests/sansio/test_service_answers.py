"""What the services answer, piece by piece, and what peers send that are none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect._sansio import mysql_answers as mysql
from aioconnect._sansio import service_answers as answers
from aioconnect._sansio.service_answers import NotReadyError

Judge = Callable[[bytes], bool]

http: Judge = partial(answers.http_answer, status=range(200, 400))

JUDGES: dict[str, Judge] = {
    "HTTP": http,
    "PostgreSQL": answers.postgres_answer,
    "Redis": answers.redis_answer,
    "AMQP": answers.amqp_answer,
    "MySQL": mysql.greeting_answer,
    "MySQL, later": mysql.login_answer,
    "Kafka": answers.kafka_answer,
}


def postgres_error(code: str, text: str) -> bytes:
    """Return an ErrorResponse."""
    fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": text, "F": "postmaster.c"}
    body = "".join(f"{kind}{value}\0" for kind, value in fields.items()).encode()
    return b"E" + (len(body) + 5).to_bytes(4) + body + b"\0"


def mysql_packet(payload: bytes, number: int = 0) -> bytes:
    """Return a packet of MySQL's protocol."""
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def kafka_response(code: int, correlation: bytes = b"aioc") -> bytes:
    body = correlation + code.to_bytes(2, signed=True) + b"\0\0\0\0"
    return len(body).to_bytes(4) + body


SCRAM = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
START = b"\x01\0\0\0\0\x02\0\0\x0a\0\x0a\0\x09\0\0\x01\xe2"
GREETING = mysql_packet(b"\x0a11.4.2-MariaDB\0" + bytes(60))

READY = {
    "HTTP: 200": (http, b"HTTP/1.1 200 OK\r\n"),
    "HTTP: 302": (http, b"HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n"),
    "HTTP: no reason": (http, b"HTTP/1.1 204\r\n"),
    "HTTP: a bare line feed": (http, b"HTTP/1.1 200 OK\n"),
    "HTTP: interim": (
        http,
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n",
    ),
    "PostgreSQL: a password": (answers.postgres_answer, SCRAM),
    "PostgreSQL: trusts": (answers.postgres_answer, b"R\0\0\0\x08\0\0\0\0"),
    "PostgreSQL: a version": (
        answers.postgres_answer,
        b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0",
    ),
    "PostgreSQL: no role": (
        answers.postgres_answer,
        postgres_error("28000", 'role "postgres" does not exist'),
    ),
    "PostgreSQL: no database": (answers.postgres_answer, postgres_error("3D000", "no")),
    "Redis: PONG": (answers.redis_answer, b"+PONG\r\n"),
    "Redis: a password": (
        answers.redis_answer,
        b"-NOAUTH Authentication required.\r\n",
    ),
    "Redis: a right": (answers.redis_answer, b"-NOPERM no permissions\r\n"),
    "AMQP": (answers.amqp_answer, START),
    "MySQL": (mysql.greeting_answer, GREETING),
    "MySQL: it denies": (
        mysql.login_answer,
        mysql_packet(b"\xff\x15\x04#28000Access denied", number=2),
    ),
    "MySQL: it accepts": (mysql.login_answer, mysql_packet(bytes(7), number=4)),
    "MySQL: another method": (
        mysql.login_answer,
        mysql_packet(b"\xfecaching_sha2_password\0", number=2),
    ),
    "Kafka": (answers.kafka_answer, kafka_response(0)),
    "Kafka: another version": (answers.kafka_answer, kafka_response(35)),
}

NOT_READY = {
    "PostgreSQL: no text of version 2": (
        answers.postgres_answer,
        b"E\x7f\x01\x02\x03\0",
        "which is not PostgreSQL",
    ),
    "MySQL: no version": (
        mysql.greeting_answer,
        mysql_packet(b"\x0a" + b"\x01" * 20),
        "which is not MySQL",
    ),
    "Redis: almost": (
        answers.redis_answer,
        b"+PONGS\r\n",
        "the peer sent '+PONGS', which is not Redis",
    ),
    "HTTP: 503": (
        http,
        b"HTTP/1.1 503 Service Unavailable\r\n",
        "503 Service Unavailable",
    ),
    "HTTP: no reason": (http, b"HTTP/1.1 502 \r\n", "status 502"),
    "HTTP: escaped": (http, b"HTTP/1.1 500 \x1b[31mred\r\n", r"500 \x1b[31mred"),
    "HTTP: 101": (http, b"HTTP/1.1 101 Switching\r\n\r\n", "101 Switching"),
    "HTTP: no status": (
        http,
        b"HTTP/1.1 2000 OK\r\n",
        "the peer sent 'HTTP/1.1 2000 OK', which is not HTTP",
    ),
    "HTTP: SSH": (
        http,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        "the peer sent 'SSH-2.0-OpenSSH_9.6', which is not HTTP",
    ),
    "HTTP: TLS": (
        http,
        b"\x15\x03\x01\0\x02\x02\x46",
        "the peer speaks TLS, and not HTTP in plain text",
    ),
    "PostgreSQL: starting": (
        answers.postgres_answer,
        postgres_error("57P03", "the database system is starting up"),
        "the database system is starting up",
    ),
    "PostgreSQL: full": (
        answers.postgres_answer,
        postgres_error("53300", "sorry, too many clients already"),
        "sorry, too many clients already",
    ),
    "PostgreSQL: no text": (
        answers.postgres_answer,
        postgres_error("57P01", ""),
        "error 57P01",
    ),
    "PostgreSQL: no process": (
        answers.postgres_answer,
        b"Ecould not fork new process: Cannot allocate memory\n\0",
        "could not fork new process: Cannot allocate memory",
    ),
    "PostgreSQL: no fields": (
        answers.postgres_answer,
        b"E\0\0\0\x08abc\0",
        r"the peer sent 'E\x00\x00\x00\x08abc\x00', which is not PostgreSQL",
    ),
    "Redis: loading": (
        answers.redis_answer,
        b"-LOADING Redis is loading the dataset in memory\r\n",
        "LOADING Redis is loading the dataset in memory",
    ),
    "Redis: no master": (
        answers.redis_answer,
        b"-MASTERDOWN Link is down\r\n",
        "MASTERDOWN Link is down",
    ),
    "Redis: busy": (answers.redis_answer, b"-BUSY a script\r\n", "BUSY a script"),
    "Redis: SSH": (
        answers.redis_answer,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        "the peer sent 'SSH-2.0-OpenSSH_9.6', which is not Redis",
    ),
    "Redis: a URL's password": (
        answers.redis_answer,
        b"-ERR ask redis://u:secret@h\r\n",
        "ERR ask redis://***@h",
    ),
    "AMQP: another version": (
        answers.amqp_answer,
        b"AMQP\0\x01\0\0",
        "the peer speaks AMQP 1.0.0, and not 0-9-1",
    ),
    "AMQP: an echo": (
        answers.amqp_answer,
        answers.AMQP_REQUEST,
        "which is not AMQP",
    ),
    "AMQP: HTTP": (
        answers.amqp_answer,
        b"HTTP/1.1 400 Bad Request\r\n",
        "the peer sent 'HTTP/1.1 400 Bad Request', which is not AMQP",
    ),
    "MySQL: full": (
        mysql.greeting_answer,
        mysql_packet(b"\xff\x10\x04#08004Too many connections"),
        "Too many connections",
    ),
    "MySQL: blocked": (
        mysql.greeting_answer,
        mysql_packet(b"\xff\x69\x04Host '10.0.0.9' is blocked"),
        "Host '10.0.0.9' is blocked",
    ),
    "MySQL: no text": (
        mysql.greeting_answer,
        mysql_packet(b"\xff\x10\x04"),
        "error 1040",
    ),
    "MySQL: another number": (
        mysql.greeting_answer,
        mysql_packet(b"\x0a5.7\0" + bytes(40), number=1),
        "which is not MySQL",
    ),
    "MySQL: full, later": (
        mysql.login_answer,
        mysql_packet(b"\xff\xb3\x04#42000Too many of yours", number=2),
        "Too many of yours",
    ),
    "MySQL: another kind": (
        mysql.login_answer,
        mysql_packet(b"\x0a", number=2),
        "which is not MySQL",
    ),
    "MySQL: another number, later": (
        mysql.login_answer,
        mysql_packet(bytes(7), number=3),
        "which is not MySQL",
    ),
    "Kafka: an error": (answers.kafka_answer, kafka_response(-1), "error -1 of Kafka"),
    "Kafka: another answer": (
        answers.kafka_answer,
        kafka_response(0, b"oops"),
        "which is not Kafka",
    ),
}


def in_pieces(judge: Judge, data: bytes) -> bool:
    """Return what *judge* says of *data* that comes a byte at a time."""
    for end in range(len(data)):
        if judge(data[:end]):
            return True
    return judge(data)


@pytest.mark.parametrize(("judge", "data"), READY.values(), ids=list(READY))
def test_ready(judge: Judge, data: bytes) -> None:
    """It is the same whether the answer comes at once or a byte at a time."""
    assert judge(data)
    assert in_pieces(judge, data)


@pytest.mark.parametrize(
    ("judge", "data", "why"), NOT_READY.values(), ids=list(NOT_READY)
)
def test_not_ready(judge: Judge, data: bytes, why: str) -> None:
    """The reason repeats what the service said."""
    with pytest.raises(NotReadyError) as at_once:
        judge(data)
    assert why in str(at_once.value)
    assert str(at_once.value).isprintable()
    with pytest.raises(NotReadyError):
        in_pieces(judge, data)


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
def test_nothing_yet(judge: Judge) -> None:
    assert not judge(b"")


BEGINNINGS = [data for _, data, *_ in (*READY.values(), *NOT_READY.values())]


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
@given(
    data=st.binary()
    | st.builds(
        lambda known, cut, more: known[:cut] + more,
        st.sampled_from(BEGINNINGS),
        st.integers(0, 60),
        st.binary(max_size=60),
    )
)
def test_whatever_comes(judge: Judge, data: bytes) -> None:
    """It is ready, not yet known, or not ready for a reason of one printable line."""
    for end in range(len(data) + 1):
        try:
            is_ready = judge(data[:end])
        except NotReadyError as exc:
            assert str(exc)
            assert str(exc).isprintable()
            assert len(str(exc)) < 300
            return
        assert isinstance(is_ready, bool)


@pytest.mark.parametrize(
    ("judge", "data"),
    [
        (http, b"HTTP/1.1 200 " + b"x" * 20_000),
        (http, b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
        (answers.redis_answer, b"-" + b"x" * 20_000),
        (answers.postgres_answer, b"E" + b"x" * 20_000),
        (answers.postgres_answer, b"R\0\0\xff\xff" + b"x" * 20),
        (mysql.greeting_answer, b"\0\0\xff\0\x0a" + b"x" * 20),
        (answers.kafka_answer, b"\0\xff\0\0aioc"),
    ],
)
def test_answers_without_an_end(judge: Judge, data: bytes) -> None:
    """A peer that goes on and on is recognized long before the limit of a read."""
    with pytest.raises(NotReadyError, match="which is not"):
        judge(data)


def test_requests_have_no_secrets_and_the_right_lengths() -> None:
    size = int.from_bytes(answers.POSTGRES_REQUEST[:4])
    assert size == len(answers.POSTGRES_REQUEST)
    assert answers.POSTGRES_REQUEST[4:8] == b"\0\x03\0\0"  # protocol 3.0
    assert b"password" not in answers.POSTGRES_REQUEST
    size = int.from_bytes(mysql.LOGIN[:3], "little")
    assert size == len(mysql.LOGIN) - 4
    size = int.from_bytes(answers.KAFKA_REQUEST[:4])
    assert size == len(answers.KAFKA_REQUEST) - 4
