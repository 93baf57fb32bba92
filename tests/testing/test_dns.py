"""A DNS server answers as its zone says, to a tiny client and to glibc."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect.testing import (
    DNSQuery,
    DNSReply,
    DNSServer,
    Zone,
    dns_server,
    leak_check,
)
from aioconnect.testing._dns_message import parse_question, response
from aioconnect.testing._ports import bound_socket

TYPES = {"A": 1, "AAAA": 28, "SRV": 33, "MX": 15}

ZONE: Zone = {
    ("a.test", "A"): ["192.0.2.1", "192.0.2.2"],
    ("A.test.", "AAAA"): ["2001:db8::1"],
    ("_x._tcp.a.test", "SRV"): [(1, 2, 8080, "a.test")],
    ("late.test", "A"): DNSReply(["192.0.2.3"], delay=0.2),
    ("drop.test", "A"): DNSReply(drop=True),
    ("big.test", "A"): DNSReply(["192.0.2.4"] * 100, truncate=True),
    ("nx.test", "A"): DNSReply(rcode="NXDOMAIN"),
    ("fail.test", "A"): DNSReply(rcode="SERVFAIL"),
    ("empty.test", "A"): [],
}


def query(name: str, kind: str, identifier: int = 7) -> bytes:
    """Return a question in the format of RFC 1035."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    header = struct.pack("!6H", identifier, 0x0100, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!2H", TYPES[kind], 1)


def ask_udp(server: DNSServer, message: bytes, timeout: float = 5.0) -> bytes:
    """Return the answer to *message* by UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect(server.sockaddr)
        sock.send(message)
        return sock.recv(65536)


def ask_tcp(server: DNSServer, *messages: bytes) -> list[bytes]:
    """Return the answers to *messages*, sent at once by TCP."""
    with socket.create_connection((server.host, server.port), 5.0) as sock:
        stream = b"".join(struct.pack("!H", len(m)) + m for m in messages)
        # The message comes in pieces: even a length can come byte by byte.
        for index in range(len(stream)):
            sock.sendall(stream[index : index + 1])
        with sock.makefile("rb") as file:
            return [file.read(struct.unpack("!H", file.read(2))[0]) for _ in messages]


def flags_and_count(answer: bytes) -> tuple[int, bool, int]:
    """Return the answer's code, whether it is truncated, and its record count."""
    _, flags, questions, count, *_ = struct.unpack_from("!6H", answer)
    assert flags & 0x8000
    assert questions == 1
    return flags & 15, bool(flags & 0x0200), count


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("a.test", "A", (0, False, 2)),
        ("A.TEST", "AAAA", (0, False, 1)),
        ("a.test", "SRV", (0, False, 0)),
        ("a.test", "MX", (0, False, 0)),
        ("_x._tcp.a.test", "SRV", (0, False, 1)),
        ("late.test", "A", (0, False, 1)),
        ("big.test", "A", (0, True, 0)),
        ("nx.test", "A", (3, False, 0)),
        ("unknown.test", "A", (3, False, 0)),
        ("fail.test", "A", (2, False, 0)),
        ("empty.test", "A", (0, False, 0)),
    ],
)
def test_answers_by_udp(name: str, kind: str, expected: tuple[int, bool, int]) -> None:
    with leak_check(), dns_server(ZONE) as server:
        assert flags_and_count(ask_udp(server, query(name, kind))) == expected
        asked = kind if kind != "MX" else "TYPE15"
        assert server.queries == [DNSQuery(name.lower(), asked, "udp")]


def test_the_bytes_of_the_answers() -> None:
    with dns_server(ZONE) as server:
        answer = ask_udp(server, query("a.test", "A", 0x1234))
        assert answer.startswith(b"\x12\x34")
        assert answer.endswith(b"\x00\x04" + socket.inet_aton("192.0.2.2"))
        answer = ask_udp(server, query("a.test", "AAAA"))
        assert answer.endswith(socket.inet_pton(socket.AF_INET6, "2001:db8::1"))
        answer = ask_udp(server, query("_x._tcp.a.test", "SRV"))
        assert answer.endswith(struct.pack("!3H", 1, 2, 8080) + b"\1a\4test\0")


def test_tcp_gives_the_whole_answer_that_udp_truncates() -> None:
    with leak_check(), dns_server(ZONE) as server:
        big, small = ask_tcp(server, query("big.test", "A"), query("a.test", "A"))
        assert flags_and_count(big) == (0, False, 100)
        assert flags_and_count(small) == (0, False, 2)
        assert {asked.transport for asked in server.queries} == {"tcp"}


def test_a_drop_is_never_answered_and_a_delay_delays_no_other_answer() -> None:
    with leak_check(), dns_server(ZONE) as server:
        with contextlib.ExitStack() as stack:
            late, quick = (
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                for _ in range(2)
            )
            begun = time.monotonic()
            for sock, name in ((late, "late.test"), (quick, "a.test")):
                sock.settimeout(5.0)
                sock.sendto(query(name, "A"), (server.host, server.port))
            quick.recv(512)
            late.setblocking(False)
            if time.monotonic() - begun < 0.2:
                with pytest.raises(BlockingIOError):
                    late.recv(512)
            late.settimeout(5.0)
            late.recv(512)
            assert time.monotonic() - begun >= 0.2
        with pytest.raises(TimeoutError):
            ask_udp(server, query("drop.test", "A"), 0.1)
        assert DNSQuery("drop.test", "A", "udp") in server.queries


def test_the_end_does_not_wait_for_late_answers() -> None:
    with leak_check(), contextlib.ExitStack() as stack:
        server = stack.enter_context(dns_server({("a", "A"): DNSReply(delay=3600)}))
        with pytest.raises(TimeoutError):
            ask_udp(server, query("a", "A"), 0.05)
        address = (server.host, server.port)
        with socket.create_connection(address, 5.0) as client:
            stack.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_bad_question_is_not_answered() -> None:
    good = query("a.test", "A")
    pointer = good[:12] + b"\xc0\x0c" + good[-4:]
    label = good[:12] + bytes([100]) + bytes(100) + b"\0" + good[-4:]
    long = good[:12] + (bytes([63]) + b"x" * 63) * 5 + b"\0" + good[-4:]
    chaos = good[:-1] + b"\3"
    bad = [
        label,
        long,
        chaos,
        b"",
        b"x",
        good[:-1],
        good[:14],
        pointer,
        b"\xff" * 512,
        good[:2] + b"\x80",
    ]
    with leak_check(), dns_server(ZONE) as server:
        for message in bad:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(message, (server.host, server.port))
            with socket.create_connection((server.host, server.port)) as stream:
                stream.sendall(struct.pack("!H", len(message)) + message)
        assert flags_and_count(ask_udp(server, good)) == (0, False, 2)
        assert server.queries == [DNSQuery("a.test", "A", "udp")]


@given(st.binary(max_size=600))
def test_any_bytes_are_a_question_or_a_value_error(message: bytes) -> None:
    try:
        question = parse_question(message)
    except ValueError:
        return
    assert response(question)[2] & 0x80


@given(st.binary(max_size=300))
def test_any_name_is_a_question_or_a_value_error(name: bytes) -> None:
    test_any_bytes_are_a_question_or_a_value_error.hypothesis.inner_test(  # type: ignore[attr-defined]
        b"\0\0\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0\1\0\1"
    )


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ({(b"a.test", "A"): []}, r"zone: a key is \(name, type\)"),
        ({("a", "MX"): []}, "type 'MX' is not one of A, AAAA, SRV"),
        ({"a.test": ["192.0.2.1"]}, r"a key is \(name, type\).*, not 'a.test'"),
        ({("a", "A"): ["::1"]}, "A: '::1'"),
        ({("a", "AAAA"): ["192.0.2.1"]}, "AAAA"),
        ({("a", "A"): [(1, 2, 3, "b")]}, "A: .* is not an address"),
        ({("a", "SRV"): ["b"]}, r"not \(priority, weight"),
        ({("a", "SRV"): [(1, 2, 70000, "b")]}, "SRV"),
        ({("a", "SRV"): [(1, 2, 3, "b" * 64)]}, "63 bytes"),
        ({("a", "A"): DNSReply(delay=-1)}, "delay"),
    ],
)
def test_a_bad_zone_is_refused(zone: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dns_server(zone).__enter__()


def test_a_port_that_is_taken_is_an_error() -> None:
    with (
        dns_server({}) as server,
        pytest.raises(OSError, match="in use"),
        leak_check(),
    ):
        dns_server({}, port=server.port).__enter__()


def test_a_port_that_is_free_for_one_protocol_only_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The port is held for TCP, so that only a server can take it.
    with (
        bound_socket("127.0.0.1", is_shared=True) as held,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        port = held.getsockname()[1]
        other.bind(("127.0.0.1", port))
        ports = [port, 0]

        def bound_to_next(host: str, port: int, *, is_shared: bool) -> socket.socket:
            return bound_socket(host, ports.pop(0), is_shared=True)

        monkeypatch.setattr("aioconnect.testing._dns.bound_socket", bound_to_next)
        with leak_check(), dns_server(ZONE) as server:
            assert server.port != other.getsockname()[1]
            assert flags_and_count(ask_udp(server, query("a.test", "A")))[2] == 2


SYSTEM = """
import json, socket, time
from aioconnect.testing import DNSReply, dns_server
many = ["192.0.2.%d" % number for number in range(1, 101)]
zone = {
    ("both.test", "A"): ["192.0.2.1"],
    ("both.test", "AAAA"): ["2001:db8::1"],
    ("big.test", "A"): DNSReply(many, truncate=True),
    ("late.test", "A"): ["192.0.2.1"],
    ("late.test", "AAAA"): DNSReply(["2001:db8::2"], delay=0.5),
    ("drop.test", "A"): ["192.0.2.1"],
    ("drop.test", "AAAA"): DNSReply(drop=True),
    ("fail.test", "A"): DNSReply(rcode="SERVFAIL"),
}
found = {}
with dns_server(zone, port=53) as server:
    for name in ("both", "big", "late", "drop", "fail", "nowhere"):
        begun = time.monotonic()
        try:
            answer = socket.getaddrinfo(name + ".test", 80, type=socket.SOCK_STREAM)
            answer = sorted(entry[4][0] for entry in answer)
        except socket.gaierror as exc:
            answer = exc.errno
        found[name] = (answer, time.monotonic() - begun)
    found["tcp"] = any(query.transport == "tcp" for query in server.queries)
print(json.dumps(found))
"""


def test_the_systems_resolver_accepts_the_answers(tmp_path: Path) -> None:
    """The kit's server has port 53 in a namespace, where glibc's getaddrinfo asks."""
    (tmp_path / "resolv").write_text(
        "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"
    )
    (tmp_path / "nss").write_text("hosts: dns\n")
    (tmp_path / "test.py").write_text(SYSTEM)
    script = (
        "set -e; ip link set lo up; "
        'mount --bind "$1/resolv" "$(readlink -f /etc/resolv.conf)"; '
        'mount --bind "$1/nss" /etc/nsswitch.conf; exec "$0" "$1/test.py"'
    )
    command = ["unshare", "-n", "-m", "sh", "-c", script, sys.executable, str(tmp_path)]
    root = str(Path(__file__).parents[2])
    try:
        run = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": root},
        )
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if run.returncode and ("unshare" in run.stderr or "mount:" in run.stderr):
        pytest.skip(f"namespaces need root: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["both"][0] == ["192.0.2.1", "2001:db8::1"]
    assert len(found["big"][0]) == 100
    assert found["tcp"]
    assert found["late"][0] == ["192.0.2.1", "2001:db8::2"]
    assert found["late"][1] >= 0.5
    assert found["drop"][0] == ["192.0.2.1"]
    assert found["drop"][1] >= 1.9
    assert found["fail"][0] == socket.EAI_AGAIN
    assert found["nowhere"][0] == socket.EAI_NONAME
