"""Texts of targets, each with the target that it means."""

from __future__ import annotations

import socket

from aioconnect import Address, Target

XMPP = "_xmpp-client._tcp.example.org"


def unix(path: str) -> Target:
    """Return the target of the Unix socket at *path*."""
    return Target(address=Address(socket.AF_UNIX, path))


def vsock(cid: int, port: int) -> Target:
    """Return the target of a vsock address."""
    return Target(address=Address(socket.AF_VSOCK, (cid, port)))


GOOD = {
    "host:5432": Target("host", 5432),
    "example.org.:0": Target("example.org.", 0),
    "EXAMPLE.org:65535": Target("EXAMPLE.org", 65535),
    "bücher.example:80": Target("bücher.example", 80),
    "a_b:80": Target("a_b", 80),
    "127.0.0.1:80": Target("127.0.0.1", 80),
    "[::1]:80": Target("::1", 80),
    "[::ffff:10.0.0.1]:80": Target("::ffff:10.0.0.1", 80),
    "[fe80::1%eth0]:80": Target("fe80::1%eth0", 80),
    "[fe80::1%7]:80": Target("fe80::1%7", 80),
    "unix:/run/x.sock": unix("/run/x.sock"),
    "unix:x": unix("x"),
    "unix:/run/my socket": unix("/run/my socket"),
    "unix:host:80": unix("host:80"),
    "unix:@abstract": unix("\0abstract"),
    "unix:@@": unix("\0@"),
    "unix:./@file": unix("./@file"),
    f"unix:{'x' * 107}": unix("x" * 107),
    f"unix:@{'x' * 107}": unix("\0" + "x" * 107),
    "vsock:2:1024": vsock(2, 1024),
    "vsock:0:4294967295": vsock(0, 2**32 - 1),
    f"srv:{XMPP}": Target(service=XMPP),
    "srv:_a._b.c.": Target(service="_a._b.c."),
}
