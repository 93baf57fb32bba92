from __future__ import annotations

import re
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_texts import GOOD

from aioconnect import Target, parse_target
from aioconnect._sansio.text import redacted_repr, safe_repr


@pytest.mark.parametrize(("text", "target"), GOOD.items(), ids=ascii)
def test_text(text: str, target: Target) -> None:
    """A text gives one target, and that gives the text."""
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("example.org:https", "example.org:443"),
        ("[::1]:https", "[::1]:443"),
        ("host:0080", "host:80"),
        ("vsock:002:01024", "vsock:2:1024"),
        ("tcp://host:80", "host:80"),
        ("tcp://host:https/", "host:443"),
        ("tcp://[::1]:80", "[::1]:80"),
        ("tcp://srv:80", "[srv]:80"),
    ],
)
def test_canonical(text: str, canonical: str) -> None:
    """One text stands for all that say the same; a URL's last slash says nothing."""
    assert str(parse_target(text)) == canonical


FORMS = "host:port, [IPv6]:port, unix:/path, unix:@name, vsock:cid:port or srv:"
NO_SERVICE = "a service is _service._proto.name"
LIMIT = "is not between 0 and 2**32 - 1"


# The text, the character where it is wrong, and what is wrong there.
BAD = [
    ("", 1, f"a port is missing; a target is {FORMS}"),
    ("host", 5, f"a port is missing; a target is {FORMS}"),
    ("host:", 6, "the port is missing"),
    (":80", 1, "host is empty"),
    ("host:65536", 6, "port must be between 0 and 65535"),
    ("host:-1", 6, "port: '-1' is neither a number nor a TCP service's name"),
    ("host:٣", 6, "port: '٣' is neither"),
    ("host:nowhere", 6, "port: 'nowhere' is neither"),
    ("UNIX:/x", 1, "'UNIX' is not a kind of target"),
    ("/run/db.sock", 1, "write a path as unix:/run/db.sock"),
    ("db,db2:5432", 1, "host: 'db,db2' is neither a name nor"),
    ("*:80", 1, "host: '*' is neither a name nor"),
    (f"host:{'9' * 5000}", 6, "port must be between 0 and 65535"),
    ("my host:80", 1, "host has a NUL or white space in it: 'my host'"),
    ("a..b:80", 1, "host: 'a..b' is not a host name"),
    (f"{'a' * 64}:80", 1, f"host: '{'a' * 64}' is not a host name"),
    (f"{'a.' * 127}b:80", 1, "host is 255 octets long, DNS takes at most 253"),
    ("a\0:80", 2, r"'\x00' cannot be in a target's text"),
    ("a:80\n", 5, r"'\n' cannot be in a target's text"),
    ("\ud800:80", 1, r"'\ud800' cannot be in a target's text"),
    ("unix:/\udcff", 7, r"'\udcff' cannot be in a target's text"),
    ("::1", 1, "an IPv6 address goes in brackets: [host]:port"),
    ("::1:80", 1, "an IPv6 address goes in brackets: [host]:port"),
    ("http://host:80", 1, f"'http' is not a kind of target; a target is {FORMS}"),
    ("tcp://", 7, f"a port is missing; a target is {FORMS}"),
    ("tcp://host:", 12, "the port is missing"),
    ("tcp://host:80/a", 12, "port: '80/a' is neither"),
    ("tcp://::1:80", 7, "an IPv6 address goes in brackets"),
    ("tcp://[::1", 11, "the ] is missing"),
    ("tcp://[host]:80", 8, "'host' is not an IPv6 address"),
    ("tcp://[::1]80", 12, "a port has to follow"),
    ("tcp://a..b:80", 7, "host: 'a..b' is not a host name"),
    ("TCP://host:80", 1, "'TCP' is not a kind of target"),
    ("[::1", 5, "the ] is missing"),
    ("[::1]", 6, "a port has to follow: [host]:port"),
    ("[::1]80", 6, "a port has to follow: [host]:port"),
    ("[::1]:", 7, "the port is missing"),
    ("[::1]:x", 7, "port: 'x' is neither"),
    ("[]:80", 2, "'' is not an IPv6 address"),
    ("[host]:80", 2, "'host' is not an IPv6 address"),
    ("[127.0.0.1]:80", 2, "'127.0.0.1' is not an IPv6 address"),
    ("[::1::2]:80", 2, "host: '::1::2' is neither a name"),
    ("[a:b%eth0]:80", 2, "host: 'a:b%eth0' is neither a name"),
    ("[::1 ]:80", 2, "host has a NUL or white space in it: '::1 '"),
    ("unix:", 6, "path is empty"),
    ("unix:@", 7, "the abstract name is empty"),
    (f"unix:{'x' * 108}", 6, "path is 108 bytes long, the kernel takes at most 107"),
    (f"unix:@{'x' * 108}", 6, "path is 109 bytes long, the kernel takes at most 108"),
    ("vsock:2", 8, "it is vsock:cid:port"),
    ("vsock::1", 7, f"'' {LIMIT}"),
    ("vsock:-1:1", 7, f"'-1' {LIMIT}"),
    ("vsock:4294967296:1", 7, f"'4294967296' {LIMIT}"),
    ("vsock:2:", 9, f"'' {LIMIT}"),
    ("vsock:2:x", 9, f"'x' {LIMIT}"),
    ("vsock:2:٣", 9, f"'٣' {LIMIT}"),
    ("vsock:2:3:4", 9, f"'3:4' {LIMIT}"),
    (f"vsock:2:{'0' * 5000}", 9, f"'{'0' * 199}... {LIMIT}"),
    ("srv:", 5, NO_SERVICE),
    ("srv:example.org", 5, NO_SERVICE),
    ("srv:_a.b.c", 5, NO_SERVICE),
    ("srv:_a._b.", 5, NO_SERVICE),
    ("srv:x_a._b.c", 5, NO_SERVICE),
    ("srv:_a._b.c d", 5, "host has a NUL or white space in it: '_a._b.c d'"),
]


@pytest.mark.parametrize(("text", "character", "says"), BAD, ids=safe_repr)
def test_bad_text(text: str, character: int, says: str) -> None:
    """What is wrong is said with the text, and the character where it is."""
    with pytest.raises(ValueError, match="target") as caught:
        parse_target(text)
    begins = f"target {safe_repr(text)}, character {character}: {says}"
    assert str(caught.value)[: len(begins)] == begins
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


WITH_SECRETS = {
    "postgres://app:hunter2@db:5432/app": "postgres://***@db:5432...",
    "redis://:hunter2@cache:6379/0": "redis://***@cache:6379...",
    "tcp://hunter2@[::1]:5432": "tcp://***@[::1]:5432",
    "app:hunter2@db:5432": "***@db:5432",
    "fee:hunter2@db:5432": "***@db:5432",
    "hunter2@db:5432": "***@db:5432",
    "db:hunter2@": "***@",
    "//app:hunter2@db:5432": "***@db:5432",
    "[app:hunter2@::1]:5432": "***@::1]:5432",
    "srv:hunter2@_a._b.c": "***@_a._b.c",
    "vsock:hunter2@2:1": "***@2:1",
    "unix://:hunter2@/run/x": "unix://***@...",
    "unix:///run/x?password=hunter2": "unix://...",
    "amqp://a:b@hunter2@db:1/?c=hunter2": "amqp://***@db:1...",
    "amqp://a:b/hunter2@db:1": "amqp://***@db:1",
    "amqp://a:b hunter2@db:1\n": "amqp://***@...",
    "amqp://a:hunter2": "amqp://...",
    "amqp://a:hunter2/b": "amqp://...",
    "http://[::1]:80/hunter2": "http://[::1]:80...",
    "http://db#hunter2": "http://db...",
    "mongodb+srv://a:hunter2@b:1,c:2": "mongodb+srv://***@...",
    "tcp://db:1/?password=hunter2": "tcp://db:1/...",
    "db:1?password=hunter2": "db:1...",
}


@pytest.mark.parametrize(("text", "said"), WITH_SECRETS.items(), ids=ascii)
def test_secrets(text: str, said: str) -> None:
    """A URL is no target, and its password is not in the error."""
    with pytest.raises(ValueError, match="target") as caught:
        parse_target(text)
    assert str(caught.value).startswith(f"target {said!r}, character ")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("host", ["app:hunter2@db", "hunter2@db", "amqp://a:hunter2"])
def test_secrets_in_a_host(host: str) -> None:
    with pytest.raises(ValueError, match=r"^host") as caught:
        Target(host, 5432)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", ["/run/a@b?c", "a@b:c", "///run/a@b", "./@a?b"])
def test_no_secrets(path: str) -> None:
    """In a path every character can stand, behind unix: and when that is missing."""
    assert str(parse_target(f"unix:{path}").address) == f"unix:{path}"
    if path.startswith("/run"):
        with pytest.raises(ValueError, match="write a path as unix:/run/a@b"):
            parse_target(path)


@pytest.mark.parametrize("text", [None, 80, b"host:80", ["host:80"], Target("a", 1)])
def test_no_text(text: Any) -> None:
    with pytest.raises(TypeError) as caught:
        parse_target(text)
    assert str(caught.value) == f"a target must be a str, not {text!r}"


def test_a_system_without_vsock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_VSOCK")
    with pytest.raises(ValueError, match="character 1: this system has no vsock"):
        parse_target("vsock:2:1024")


@pytest.mark.parametrize(
    "form", ["{}:80", "host:{}", "[::{}]:80", "[::1%{}]:80", "unix:/{}", "srv:_a._b.{}"]
)
@pytest.mark.parametrize("character", ["9", "x", ":", ".", "é", "[", "\ud800", "\0"])
def test_a_very_long_text(form: str, character: str) -> None:
    """The error shows the beginning of it."""
    text = form.format(character * 10_000)
    with pytest.raises(ValueError, match=r"^target '.*\.{3}, char") as caught:
        parse_target(text)
    assert len(str(caught.value)) < 1000


# What str.isprintable() says: no "other" and no "separator", but for the space.
printable = st.characters(exclude_categories=("C", "Z")) | st.just(" ")
names = st.from_regex(r"[A-Za-z0-9_-]{1,20}(\.[a-z]{1,9}){0,3}\.?", fullmatch=True)
hosts_by_name = names.filter(lambda name: name not in ("unix", "vsock", "srv"))
ports = st.integers(0, 65535) | st.sampled_from(["http", "https", "00080"])
scopes = st.sampled_from(["", "%7", "%eth0", "%-"])
uint32 = st.integers(0, 2**32 - 1)

good_texts = st.one_of(
    st.builds("{}:{}".format, hosts_by_name | st.ip_addresses(v=4), ports),
    st.builds("[{}{}]:{}".format, st.ip_addresses(v=6), scopes, ports),
    st.builds("unix:{}".format, st.text(printable, min_size=2, max_size=25)),
    st.builds("vsock:{}:{}".format, uint32, uint32),
    st.builds("tcp://{}:{}".format, names, ports),
    st.builds(
        "srv:_{}._tcp.{}".format, st.from_regex("[a-z-]{1,9}", fullmatch=True), names
    ),
)

parts = "unix: vsock: srv: tcp:// [ ] : :: . .. / @ ? % _a ._b .c host ::1 fe80::1 80"
more_parts = (
    "065536",
    "4294967296",
    "http",
    "é",
    "\0",
    "\ud800",
    "٣",
    "\xad",
    "9" * 5000,
)
any_texts = (
    good_texts
    | st.text(st.characters())
    | st.lists(st.sampled_from((*parts.split(), *more_parts)), max_size=8).map("".join)
)


@given(good_texts)
def test_round_trip(text: str) -> None:
    """What a target's ``str`` says is that target again."""
    target = parse_target(text)
    again = parse_target(str(target))
    assert again == target
    assert hash(again) == hash(target)
    assert str(again) == str(target)


@given(any_texts)
def test_any_text(text: str) -> None:
    """It is a target, whose ``str`` is one too, or an error that names the text."""
    try:
        target = parse_target(text)
    except ValueError as exc:
        assert str(exc).startswith(f"target {redacted_repr(text)}, character ")
        assert str(exc).encode()
        assert len(str(exc)) < 1000
    else:
        assert parse_target(str(target)) == target


@pytest.mark.parametrize("host", ["unix", "vsock", "srv"])
def test_hosts_with_the_name_of_a_kind(host: str) -> None:
    """The text says that they are hosts."""
    target = Target(host, 80)
    assert str(target) == f"[{host}]:80"
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tcp:host:80", "character 1: 'tcp' is not a kind of target"),
        ("http://host/", "character 1: 'http' is not a kind of target"),
        ("srv:_a._b.c:80", "character 5: a service is _service._proto.name"),
        ("host:9999999999", "character 6: port must be between 0 and 65535, not '99"),
    ],
)
def test_what_is_wrong_is_what_is_said(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_target(text)
