"""Servers with the names and ports that a page uses, each on an address of its own."""

from __future__ import annotations

import errno
import json
import random
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import trustme
from docs.peers import SCRIPTS, Script, talking
from proxies import Kind, proxying

from aioconnect.testing import listening
from aioconnect.testing._backlog import _fill_accept_queue
from aioconnect.testing._echoing import echo_server
from aioconnect.testing._ports import bound_socket, close_with_reset

__all__ = ["KINDS", "Entry", "Stage", "Troupe", "entries_of"]


class Entry(NamedTuple):
    """A server: ``db:5432 late 0.3`` or ``unix:/run/app.sock echo``."""

    host: str
    port: int
    kind: str
    what: str

    @property
    def path(self) -> str:
        """The path of a Unix socket, or ""."""
        return self.host.removeprefix("unix:") if self.port == 0 else ""


def entries_of(text: str) -> list[Entry]:
    """Return the entries that *text* has, between semicolons.

    Raises:
        ValueError: One of them is not an entry, or is of no known kind.
    """
    entries = []
    for one in text.split(";"):
        words = one.split(None, 2)
        if not words:
            continue
        found = re.fullmatch(r"(unix:/\S+)|([\w.-]+):(\d+)", words[0])
        if found is None or len(words) < 2:
            raise ValueError(f"{one.strip()!r} is not 'host:port kind' of a stage")
        if words[1] not in KINDS:
            known = ", ".join(KINDS)
            raise ValueError(f"the stage has no kind {words[1]!r}; there are {known}")
        what = words[2].strip() if len(words) > 2 else ""
        entries.append(Entry(found[1] or found[2], int(found[3] or 0), words[1], what))
    return entries


class TakenError(Exception):
    """A port of an address is in use."""


@dataclass
class Troupe:
    """What all stages of a run share: a folder, and an authority for certificates."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.roots = self.folder / "roots.pem"
        self.ca.cert_pem.write_to_path(str(self.roots))

    @contextmanager
    def playing(self, entries: tuple[Entry, ...]) -> Generator[Stage]:
        """Yield a stage on which a server plays each of *entries*."""
        with ExitStack() as stack:
            # The path of a Unix socket must be short.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="stage"))
            stage = Stage(self, Path(folder))
            if any(entry.host == "localhost" for entry in entries):
                stage.use_localhost()
            for host, parts in _addresses(entries):
                stage.enter(stack, host, parts)
            yield stage


def _addresses(entries: tuple[Entry, ...]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield each address, as its name and its entries.

    A port that a name has twice is on two addresses, which the name resolves to.
    """
    hosts: dict[tuple[str, int], list[Entry]] = {}
    seen: dict[tuple[str, int], int] = {}
    for entry in entries:
        count = seen.get((entry.host, entry.port), 0)
        seen[entry.host, entry.port] = count + 1
        hosts.setdefault((entry.host, count), []).append(entry)
    for (host, _), parts in hosts.items():
        yield host, parts


class Stage:
    """Where the names of a page are: *names* has addresses, *paths* has paths."""

    def __init__(self, troupe: Troupe, folder: Path) -> None:
        self.ca = troupe.ca
        self.roots = troupe.roots
        self.folder = folder
        # It gets a file with the name of each host that a program has asked for.
        self.asked = folder / "asked"
        self.asked.mkdir()
        # Blocks that listen on 127.0.0.1 do so beside each other.
        self.own = _draw()
        self.names: dict[str, list[str]] = {"localhost": [self.own]}
        self.paths: dict[str, str] = {}

    def use_localhost(self) -> None:
        """Use 127.0.0.1 itself: aioconnect looks localhost up nowhere."""
        self.own = "127.0.0.1"
        self.names["localhost"] = [self.own]

    def enter(self, stack: ExitStack, host: str, parts: list[Entry]) -> None:
        """Start the servers of one address."""
        if path := parts[0].path:
            self.paths[path] = str(self.folder / f"{len(self.paths)}.sock")
            # Others look for the file, which appears at once.
            stack.enter_context(_play(self, parts[0], "", []))
            return
        for _ in range(100):
            address = self.own if host in ("localhost", "127.0.0.1") else _draw()
            with ExitStack() as attempt:
                try:
                    for entry in parts:
                        attempt.enter_context(_play(self, entry, address, [host]))
                except TakenError:
                    time.sleep(0.1)  # another test may use 127.0.0.1
                    continue
                stack.enter_context(attempt.pop_all())
            self.names.setdefault(host, [])
            if address not in self.names[host]:
                self.names[host].append(address)
            return
        raise RuntimeError(f"the ports of {host} are taken on every address")

    def local(self, text: str) -> str:
        """Return *text* with the addresses and paths that the stage really has."""
        text = re.sub(r"(?<![\d.])127\.0\.0\.1(?![\d.])", self.own, text)
        for path, real in self.paths.items():
            text = text.replace(path, real)
        return text

    def paged(self, text: str) -> str:
        """Return *text* with the addresses and paths of the page."""
        text = re.sub(rf"\b{re.escape(self.own)}\b", "127.0.0.1", text)
        for path, real in self.paths.items():
            text = text.replace(real, path)
        return text

    def write(self, path: Path) -> None:
        """Write the file that programs read to know the stage, to *path*."""
        asked = str(self.asked)
        path.write_text(json.dumps({"names": self.names, "asked": asked}))


def _draw() -> str:
    """Return a loopback address; no other test is likely to have the same.

    All have one length: a chart shortens what it says beside a longer address.
    """
    digits = (random.randint(1, 9) for _ in range(3))
    return ".".join(["127", *map(str, digits)])


@contextmanager
def _play(
    stage: Stage, entry: Entry, address: str, names: list[str]
) -> Generator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(KINDS[entry.kind](stage, entry, address))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise TakenError from exc
            raise
        yield


@contextmanager
def _listener(stage: Stage, entry: Entry, address: str) -> Generator[socket.socket]:
    if not entry.path:
        with listening(address, port=entry.port) as server:
            yield server.sock
        return
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(stage.paths[entry.path])
        sock.setblocking(False)
        sock.listen()
        yield sock


Play = Callable[[Stage, Entry, str], Any]


def _scripted(script: Any) -> Play:
    @contextmanager
    def play(stage: Stage, entry: Entry, address: str) -> Generator[None]:
        with _listener(stage, entry, address) as sock, echo_server(sock, None, script):
            yield

    return play


@contextmanager
def _tls(
    stage: Stage, entry: Entry, address: str, *, wrong: bool = False
) -> Generator[None]:
    names = ["wrong.invalid"] if wrong else [entry.host, address]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    configure = cast("Any", stage.ca.issue_cert(*names).configure_cert)
    configure(context)
    wrap = partial(context.wrap_socket, server_side=True, do_handshake_on_connect=False)
    with _listener(stage, entry, address) as sock, echo_server(sock, wrap):
        yield


@contextmanager
def _refusing(stage: Stage, entry: Entry, address: str) -> Generator[None]:
    with bound_socket(address, entry.port, is_shared=True):
        yield


@contextmanager
def _late(stage: Stage, entry: Entry, address: str) -> Generator[None]:
    """Refuse for some seconds, then echo.

    The time begins with the first lookup, however long the program takes to start.
    """
    over = threading.Event()
    numeric = entry.host == "127.0.0.1"
    asked = stage.asked / entry.host
    with bound_socket(address, entry.port, is_shared=True):

        def serve() -> None:
            while not (numeric or asked.exists() or over.is_set()):
                over.wait(0.005)
            if not over.wait(float(entry.what)):
                with (
                    _listener(stage, entry, address) as sock,
                    echo_server(sock, None, "accept"),
                ):
                    over.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def _silent(stage: Stage, entry: Entry, address: str) -> Generator[None]:
    """Drop each SYN, because the queue is full."""
    fillers: list[socket.socket] = []
    with listening(address, port=entry.port, backlog=0) as server:
        try:
            _fill_accept_queue(server.sock, fillers)
            yield
        finally:
            for filler in fillers:
                close_with_reset(filler)


@contextmanager
def _proxy(kind: Kind, stage: Stage, entry: Entry, address: str) -> Generator[None]:
    user, _, password = entry.what.partition(":")
    said = (user, password) if user else None
    with proxying(kind, credentials=said, host=address, port=entry.port) as proxy:
        proxy.names = cast("dict[str, str]", _First(stage.names))
        yield


class _First(dict[str, Any]):
    """Gives the first address of a name, also of one that enters later."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self._names = names

    def get(self, host: str, other: Any = None) -> Any:
        return self._names[host][0] if host in self._names else other


def _talking(script: Script) -> Play:
    @contextmanager
    def play(stage: Stage, entry: Entry, address: str) -> Generator[None]:
        with (
            _listener(stage, entry, address) as listener,
            talking(listener, entry.what, script),
        ):
            yield

    return play


KINDS: dict[str, Play] = {
    "echo": _scripted("accept"),
    "mute": _scripted("accept_silent"),
    "close": _scripted("accept_close"),
    "reset": _scripted("reset"),
    "refusing": _refusing,
    "late": _late,
    "silent": _silent,
    "tls": _tls,
    "tls-wrong": partial(_tls, wrong=True),
    **{kind: _talking(script) for kind, script in SCRIPTS.items()},
    "socks5": partial(_proxy, "socks5"),
    "socks4": partial(_proxy, "socks4"),
    "http-proxy": partial(_proxy, "http"),
}
