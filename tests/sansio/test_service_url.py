"""The URLs of services, and what is wrong with others."""

from __future__ import annotations

import pytest

from aioconnect._io.resolver import check_port
from aioconnect._sansio.service_url import (
    ServiceURL,
    check_authority,
    has_service_scheme,
    parse_service_url,
)


def parse(text: str) -> ServiceURL:
    return parse_service_url(text, check_port)


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("http://web", ("http", "web", 80, "/"), "http://web:80/"),
        ("https://web/x", ("https", "web", 443, "/x"), "https://web:443/x"),
        (
            "http://[::1]:8080/a?token=b",
            ("http", "::1", 8080, "/a?token=b"),
            "http://[::1]:8080/a...",
        ),
        ("HTTP://x?token=b", ("http", "x", 80, "/?token=b"), "http://x:80/..."),
        (
            "redis://[fe80::1%25eth0]",
            ("redis", "fe80::1%eth0", 6379, ""),
            "redis://[fe80::1%eth0]:6379",
        ),
        ("postgres://db", ("postgres", "db", 5432, ""), "postgres://db:5432"),
        ("amqps://mq", ("amqps", "mq", 5671, ""), "amqps://mq:5671"),
        ("postgresql://db/", ("postgresql", "db", 5432, ""), "postgresql://db:5432"),
        ("redis://[::1]", ("redis", "::1", 6379, ""), "redis://[::1]:6379"),
        ("rediss://x:1", ("rediss", "x", 1, ""), "rediss://x:1"),
        ("amqp://mq", ("amqp", "mq", 5672, ""), "amqp://mq:5672"),
        ("mysql://db", ("mysql", "db", 3306, ""), "mysql://db:3306"),
        ("kafka://b:9093", ("kafka", "b", 9093, ""), "kafka://b:9093"),
        ("tls://x:https", ("tls", "x", 443, ""), "tls://x:443"),
        ("dns://db.internal", ("dns", "db.internal", None, ""), "dns://db.internal"),
    ],
)
def test_urls(text: str, url: tuple[object, ...], shown: str) -> None:
    """The text of a URL has its port, and no query, which may be a secret."""
    assert has_service_scheme(text)
    assert parse(text) == url
    assert str(parse(text)) == shown


@pytest.mark.parametrize("text", ["db:5432", "tcp://db:1", "unix:///x", "unix:/a://b"])
def test_plain_targets(text: str) -> None:
    assert not has_service_scheme(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://x", "'ftp' is not a known scheme; these are: amqp, amqps, dns,"),
        ("FTP://x", "'ftp' is not a known scheme"),
        ("postgres://u:secret@db", "leave out the user and the password"),
        ("redis://:se/cret@h:1", "no check uses them"),
        ("http://h/@me", "in a path, write @ as %40"),
        ("postgres://db/app", "ends after host and port: leave out '/app'"),
        ("mysql://db/a?x=secret", "ends after host and port: leave out '/a'"),
        ("dns://db/app", "dns:// ends after the name: leave out '/app'"),
        ("redis://db?x=secret", "host and port: leave out what follows ?"),
        ("redis://db/#secret", "host and port: leave out what follows #"),
        ("http://\u2100.example", "host: '\u2100.example' is no name in a URL"),
        ("http://h/#secret", "path: a path begins with a slash"),
        ("http://h/a b", "path: a path begins with a slash"),
        ("http://h#x", "path: a path begins with a slash"),
        ("tls://x", "the port is missing: tls:// has no default port"),
        ("redis://x:", "the port is missing"),
        ("redis://x:0", "nobody can listen on port 0"),
        ("redis://x:65536", "65536"),
        ("redis://", "host is empty"),
        ("redis://[::1", "the ] is missing"),
        ("redis://::1", "an IPv6 address goes in brackets"),
        ("dns://x:53", "a dns:// URL has only a name, without a port"),
        ("dns://", "host is empty"),
        ("redis://x\x1b[0m", "a character that cannot be printed"),
        ("redis:x", "it is not a URL"),
    ],
)
def test_what_is_wrong(text: str, why: str) -> None:
    """One sentence says what is wrong, and quotes no password."""
    with pytest.raises(ValueError, match=r"^target ") as caught:
        parse(text)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "se/cret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("http://web", "web"),
        ("http://web:8080", "web:8080"),
        ("https://[fe80::1%25eth0]", "[fe80::1]"),
        ("https://[fe80::1%eth0]", "[fe80::1]"),
        ("http://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_authority(text: str, authority: str) -> None:
    """It is what the header Host says (RFC 9110, section 7.2)."""
    assert parse(text).authority == authority
    check_authority(authority)


@pytest.mark.parametrize("host", ["", "a b", "a\r\nX: y", "::1", "ü", "a:", "a/b"])
def test_bad_authority(host: str) -> None:
    with pytest.raises(ValueError, match=r"^host must be name"):
        check_authority(host)
    with pytest.raises(TypeError, match=r"^host must be a str"):
        check_authority(7)


def test_a_bad_authority_has_no_secret() -> None:
    with pytest.raises(ValueError, match=r"^host must be name") as caught:
        check_authority("user:secret@web")
    assert "secret" not in str(caught.value)
