"""Connect over TLS where IPv6 loses large packets: ``small_path.py LOOP``.

The script runs in namespaces of its own.  The server has the same certificate, with a
chain of some 4 kB, at both addresses of its name.  The firewall drops what is longer
than 1,000 bytes and comes from the server by IPv6, and tells nobody (RFC 2923, section
2.1, calls it a black hole).  TCP's handshake passes, and the client's first message.
The certificates never arrive.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import trustme
from _loops import run

import aioconnect
from aioconnect.testing import Recorder, leak_check, on_one_port
from aioconnect.testing._echoing import EchoServer, echo_server
from aioconnect.testing._ports import bound_socket

NAME = "server.test"

HOSTS = f"""\
127.0.0.1 localhost
::1 {NAME}
127.0.0.1 {NAME}
"""

# Like Ethernet's.  The loopback interface's own would let the chain pass in one packet.
MTU = "1500"

RULES = """
table ip6 path {
  chain in {
    type filter hook input priority 0;
    tcp sport %d meta length > 1000 counter drop
  }
}
"""

# In seconds.  The loss lasts for ever, so nothing depends on how fast this machine is.
GENEROUS, PATIENCE = 60.0, 3.0

POOLS = ("asyncio_", "aioconnect-")


@contextmanager
def losing_large_packets(port: int) -> Generator[None]:
    """Drop large packets from the server by IPv6, and check that there were some."""
    subprocess.run(["nft", "-f", "-"], input=RULES % port, text=True, check=True)
    try:
        yield
        asked = ["nft", "list", "table", "ip6", "path"]
        listed = subprocess.run(asked, capture_output=True, text=True, check=True)
        dropped = re.search(r"packets (\d+)", listed.stdout)
        assert dropped is not None, listed.stdout
        assert int(dropped[1]) > 0, listed.stdout
    finally:
        subprocess.run(["nft", "delete", "table", "ip6", "path"], check=True)


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server with a long chain, and of its client."""
    root = issuer = trustme.CA(key_type=trustme.KeyType.RSA)
    for _ in range(3):
        issuer = issuer.create_child_ca(key_type=trustme.KeyType.RSA)
    leaf = issuer.issue_cert(NAME, key_type=trustme.KeyType.RSA)
    chain = [ssl.PEM_cert_to_DER_cert(b.bytes().decode()) for b in leaf.cert_chain_pems]
    assert 3_000 < sum(map(len, chain)) < 6_000, list(map(len, chain))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    cast("Any", leaf.configure_cert)(server)
    cast("Any", root.configure_trust)(client)
    return server, client


@contextmanager
def serving(context: ssl.SSLContext, host: str, port: int = 0) -> Generator[EchoServer]:
    """Serve echo over TLS at *host*."""
    wrap = partial(context.wrap_socket, server_side=True, do_handshake_on_connect=False)
    with bound_socket(host, port) as sock:
        sock.listen()
        with echo_server(sock, wrap) as server:
            yield server


async def peer_of(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> str:
    """Return the address of the peer, which echoes more than fits into one packet."""
    reader, writer = streams
    sent = b"x" * 5_000
    writer.write(sent)
    assert await reader.readexactly(len(sent)) == sent
    host: str = writer.get_extra_info("peername")[0]
    writer.transport.abort()
    await asyncio.sleep(0)
    return host


async def main(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    """Connect by each, with and without the loss."""
    with ExitStack() as stack:
        six, four = stack.enter_context(
            on_one_port(
                partial(serving, server_context, "::1"),
                partial(serving, server_context, "127.0.0.1"),
            )
        )
        recorder = Recorder()
        connect = partial(
            aioconnect.open_connection,
            NAME,
            six.port,
            ssl=client_context,
            timeout=GENEROUS,
            observer=recorder,
        )
        # Without the loss, IPv6 is the first, and the only one.
        assert await peer_of(await connect()) == "::1"
        assert (six.connections, four.connections) == (1, 0)
        stack.enter_context(losing_large_packets(six.port))
        recorder.clear()
        async with leak_check(ignore_threads=POOLS):
            assert await peer_of(await connect()) == "127.0.0.1"
        six.wait_for_connections(2)
        assert (six.connections, four.connections) == (2, 1)
        recorder.assert_none(aioconnect.AttemptFailed)
        await check_asyncio(six.port, client_context)
        six.wait_for_connections(3)
        assert (six.connections, four.connections) == (3, 1)


async def check_asyncio(port: int, context: ssl.SSLContext) -> None:
    """Check that asyncio waits for IPv6: TCP has won its race."""
    # uvloop has no Happy Eyeballs: it takes the first address that accepts.
    is_asyncios = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    delay: Any = {"happy_eyeballs_delay": 0.25} if is_asyncios else {}
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.open_connection(NAME, port, ssl=context, **delay)
    except TimeoutError:
        return
    raise AssertionError("asyncio has connected, so nothing was lost")


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "mtu", MTU, "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        hosts = Path(directory) / "hosts"
        hosts.write_text(HOSTS)
        subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
        try:
            run(main(*contexts()))
        finally:
            subprocess.run(["umount", "/etc/hosts"], check=True)
