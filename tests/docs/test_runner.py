"""The runner of the pages finds what is wrong with a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs.comparing import difference, error_difference
from docs.pages import PageError, blocks_of
from docs.running import Result, run_console, run_python
from docs.stage import KINDS, Troupe
from docs.typing_run import CHECKERS, type_errors

# The tests of the documentation take longer than the README's command may.
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def troupe(tmp_path_factory: pytest.TempPathFactory) -> Troupe:
    return Troupe(tmp_path_factory.mktemp("troupe"))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def ran(page: Path, text: str, troupe: Troupe, loop: str = "asyncio") -> Result:
    """Run a page with *text*, in which ''' stands for a fence."""
    page.write_text(text.replace("'''", "```"))
    blocks = blocks_of(page)
    python = run_python(blocks, loop, troupe)
    return Result([*python.failures, *run_console(blocks, troupe).failures], [])


# ruff: noqa: E501  # what a page shows is as long as it has to be

ECHO = """# A page

<!-- stage: db:5432 echo; old:9000 refusing; unix:/run/app.sock lines -->

'''python
reader, writer = await aioconnect.open_connection("db", 5432)
writer.write(b"hello")
print(await reader.readexactly(5))
writer.close()
'''

It prints:

'''text
b'hello'
'''

'''python
await aioconnect.connect("old", 9000, timeout=1)
'''

'''text
aioconnect.ConnectRefusedError: cannot connect to old:9000: 10.0.0.5:9000: connection refused (1 attempt, 0.003 s)
'''

<!-- setup
sock = await aioconnect.connect_unix("/run/app.sock")
-->
'''python
loop = asyncio.get_running_loop()
await loop.sock_sendall(sock, b"ping\\n")
print(await loop.sock_recv(sock, 100))
sock.close()
'''
'''text
b'OK ping\\n'
'''

'''python
def test_of_a_reader():
    print("sync")

async def test_of_another():
    print("async")
'''

'''text
sync
async
'''

'''python
async def test_with_a_fixture(refused_port):
    assert refused_port
'''

'''console
$ aioconnect wait db:5432 && echo up
db:5432: up after 0.001 s
up
'''
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_right_page(page: Path, troupe: Troupe, loop: str) -> None:
    assert ran(page, ECHO, troupe, loop).failures == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("'''python\nprint(1)\n'''\n'''text\n2\n'''\n", "-2\n+1"),
        ("'''python\n1 / 0\n'''\n", "ZeroDivisionError"),
        ("'''python\n1 / 0\n'''\n'''text\nTypeError: no\n'''\n", "-TypeError: no"),
        ("'''python\nawait nothing()\n'''\n", 'page.md", line 2, in main'),
        ("'''python\nimport os\nos._exit(3)\n'''\n", "the process ended"),
        ("'''python\ndef test_it():\n    assert False\n'''\n", "AssertionError"),
        ("'''python\ndef test_it(nothing):\n    pass\n'''\n", "pytest ended"),
        ("'''console\n$ echo 1\n2\n'''\n", "-2\n+1"),
        ("'''console\n$ exit 1\n$ echo 2\n2\n'''\n", "only 1 commands ran"),
    ],
)
def test_a_wrong_page(page: Path, troupe: Troupe, text: str, why: str) -> None:
    (failure,) = ran(page, text, troupe).failures
    assert failure.startswith("page.md:2")
    assert why in failure


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("'''py\n1\n'''\n", "page.md:1: nothing runs 'py'"),
        ("'''python\n1\n", "page.md:1: a fence that nothing closes"),
        ("'''python\n1\n'''python\n", "page.md:3: a fence in a fence"),
        ("'''{toctree}\n'''\n", "nothing runs '{toctree}'"),
        ("<!-- stage: db:1 what -->\n'''python\n'''\n", "no kind 'what'; there are"),
        ("<!-- stage: db echo -->\n'''python\n'''\n", "'db echo' is not"),
        ("<!-- stages: db:1 echo -->\n'''python\n'''\n", "nothing understands it"),
        ("<!-- setup: x = 1 -->\n'''python\n'''\n", "write 'stage: ...'"),
        ("<!-- not run: no -->\n'''text\n'''\n", "a block that never runs"),
        ("<!-- not run: no -->\nText\n'''python\n'''\n", "is not before a block"),
    ],
)
def test_a_page_that_nothing_understands(page: Path, text: str, why: str) -> None:
    page.write_text(text.replace("'''", "```"))
    with pytest.raises(PageError) as caught:
        blocks_of(page)
    assert why in str(caught.value)


def test_blocks_in_a_list(page: Path) -> None:
    """They have an indent, which is none of the code's."""
    page.write_text("- One:\n\n  ```python\n  if 1:\n      pass\n  ```\n")
    (block,) = blocks_of(page)
    assert (block.code, block.line) == ("if 1:\n    pass\n", 4)


def test_a_stage_of_a_block(page: Path) -> None:
    """It adds names, and replaces those that the page has, for that block alone."""
    page.write_text(
        "<!-- stage: a:1 echo; b:2 echo -->\n# It\nText.\n\n<!-- stage: b:3 mute -->\n"
        "```python\n```\n\n```python\n```\n"
    )
    first, second = blocks_of(page)
    assert [(one.host, one.port) for one in first.stage] == [("a", 1), ("b", 3)]
    assert [(one.host, one.port) for one in second.stage] == [("a", 1), ("b", 2)]


KIND = """'''python
import asyncio
import aioconnect
from aioconnect import checks

async def main():
{body}

asyncio.run(main())
'''
"""

READY = "await aioconnect.connect('it', 7000, timeout=5, ready=checks.{check})"
STARTS = "await aioconnect.wait_until_up('{url}', timeout=5)"

BODIES = {
    "echo": "reader, writer = await aioconnect.open_connection('it', 7000)",
    "mute": "await aioconnect.connect('it', 7000)",
    "close": "r, w = await aioconnect.open_connection('it', 7000)\n"
    "assert await r.read() == b''\nw.close()",
    "reset": "try:\n    r, w = await aioconnect.open_connection('it', 7000)\n"
    "    await r.read()\nexcept ConnectionResetError:\n    pass\n"
    "else:\n    raise AssertionError",
    "refusing": "try:\n    await aioconnect.connect('it', 7000)\n"
    "except ConnectionRefusedError:\n    pass\nelse:\n    raise AssertionError",
    "late 0.2": "await aioconnect.wait_until_up('it:7000', timeout=5)",
    "silent": "try:\n    await aioconnect.connect('it', 7000, timeout=0.3)\n"
    "except TimeoutError:\n    pass\nelse:\n    raise AssertionError",
    "tls": "r, w = await aioconnect.open_connection('it', 7000, ssl=True)\n"
    "w.write(b'x')\nassert await r.read(1) == b'x'\nw.transport.abort()\n"
    "r, w = await asyncio.open_connection('it', 7000, ssl=True)\nw.transport.abort()",
    "tls-wrong": "import ssl\ntry:\n"
    "    await aioconnect.open_connection('it', 7000, ssl=True)\n"
    "except ssl.SSLCertVerificationError:\n    pass\nelse:\n    raise AssertionError",
    "lines": "r, w = await aioconnect.open_connection('it', 7000)\n"
    "w.write(b'a\\n')\nassert await r.readline() == b'OK a\\n'\nw.close()",
    "greeting 220 hello": "r, w = await asyncio.open_connection('it', 7000)\n"
    "assert await r.readline() == b'220 hello\\n'\nw.close()",
    "http": READY.format(check="http('/')"),
    "http503 2": STARTS.format(url="http://it:7000/"),
    "redis": READY.format(check="redis"),
    "postgres": READY.format(check="postgres"),
    "postgres-starting 2": STARTS.format(url="postgres://it:7000"),
    "amqp": READY.format(check="amqp"),
    "mysql": READY.format(check="mysql"),
    "kafka": READY.format(check="kafka"),
    "socks5 me:secret": "from aioconnect.contrib import proxy\n"
    "c = proxy.ProxyConnector(proxy='socks5://me:secret@it:7000')\n"
    "await c.connect('other', 7001)",
    "socks4": "from aioconnect.contrib import proxy\n"
    "c = proxy.ProxyConnector(proxy='socks4a://it:7000')\nawait c.connect('other', 7001)",
    "http-proxy": "from aioconnect.contrib import proxy\n"
    "c = proxy.ProxyConnector(proxy='http://it:7000')\nawait c.connect('other', 7001)",
}


def test_each_kind_has_a_body() -> None:
    assert {one.split()[0] for one in BODIES} == set(KINDS)


@pytest.mark.parametrize("kind", BODIES)
def test_each_kind(page: Path, troupe: Troupe, kind: str) -> None:
    """Each answers as it should, on uvloop, which resolves by other means."""
    body = "\n".join(f"    {line}" for line in BODIES[kind].splitlines())
    stage = f"<!-- stage: it:7000 {kind}; other:7001 echo -->\n"
    assert ran(page, stage + KIND.format(body=body), troupe, "uvloop").failures == []


def test_a_name_with_two_addresses(page: Path, troupe: Troupe) -> None:
    """The first refuses; the second one answers."""
    text = (
        "<!-- stage: db:5432 refusing; db:5432 echo; localhost:7002 echo -->\n"
        "'''python\nsock = await aioconnect.connect('db', 5432)\nsock.close()\n"
        "r, w = await asyncio.open_connection('127.0.0.1', 7002)\nw.close()\n"
        "found = await asyncio.get_running_loop().getaddrinfo('db', 1, type=1)\n"
        "print(len(found))\n"
        "server = await asyncio.start_server(print, 'localhost', 7003)\n"
        "r, w = await asyncio.open_connection('localhost', 7003)\nw.close()\n"
        "sock = socket.socket()\nsock.setblocking(False)\n"
        "await asyncio.get_running_loop().sock_connect(sock, ('localhost', 7002))\n"
        "sock.close()\nserver.close()\n"
        "r, w = await aioconnect.open_connection('localhost', 7002)\nw.close()\n"
        "'''\n'''text\n2\n...\n'''\n"
    )
    for loop in ("asyncio", "uvloop"):
        assert ran(page, text, troupe, loop).failures == []


def test_a_late_server(page: Path, troupe: Troupe) -> None:
    """It is late for a program that takes long to start, too."""
    text = (
        "<!-- stage: db:5432 late 0.3 -->\n"
        "'''python\nimport asyncio\nimport time\nimport aioconnect\n"
        "time.sleep(0.5)\ntimeline = aioconnect.Timeline()\nasyncio.run("
        "aioconnect.wait_until_up('db:5432', timeout=5, observer=timeline))\n"
        "assert 'connection refused' in str(timeline)\n'''\n\n"
        "'''console\n$ sleep 0.5; aioconnect wait db:5432\n"
        "db:5432: connection refused\ndb:5432: up after 0.31 s\n'''\n"
    )
    assert ran(page, text, troupe).failures == []


def test_programs_of_a_page(page: Path, troupe: Troupe) -> None:
    """A block that begins with its name is a file for the commands."""
    text = (
        "<!-- stage: db:5432 echo -->\n"
        "'''python\n# client.py\nimport socket\n"
        "print(socket.create_connection(('db', 5432)).getpeername())\n'''\n\n"
        "'''console\n$ python client.py\n('10.0.0.1', 5432)\n"
        "$ .venv/bin/aioconnect wait \\\n>   db:5432 -q && \\\n    echo up\nup\n'''\n"
    )
    assert ran(page, text, troupe).failures == []


@pytest.mark.parametrize("checker", CHECKERS)
def test_wrong_types(page: Path, tmp_path: Path, checker: str) -> None:
    """The error has the line of the page."""
    pytest.importorskip(checker)
    page.write_text(
        "```python\nsock = await aioconnect.connect(None, 1.5)\n```\n\n"
        "<!-- setup\nx = 1\n-->\n```python\nimport asyncio\n\n"
        "async def main() -> None:\n    x.nothing\n\nasyncio.run(main())\n```\n"
    )
    folder = tmp_path / "blocks"
    folder.mkdir()
    said = type_errors(checker, blocks_of(page), [], folder)
    assert "page.md:2" in said
    assert "page.md:12" in said


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("up after 0.31 s", "up after 1.002 s"),
        ("waited 1m30s", "waited 250 ms"),
        ("(1 attempt, 0.1 s)", "(14 attempts, 3 s)"),
        ("('127.0.0.1', 40322)", "('127.93.2.8', 51111)"),
        ("a ━━━━ ok 3 ms", "a  ━ ok 0.2 ms"),
        ("one\n...\ntwo", "one\nand\nmore\ntwo"),
        ("2026-01-02 03:04:05,678 INFO", "2025-11-12 13:14:15,001 INFO"),
        ("5 targets, 407/s", "5 targets, 61.5/s"),
        ("fd=7 at 0x7f01", "fd=12 at 0x55aa"),
    ],
)
def test_what_may_differ(expected: str, actual: str) -> None:
    assert difference(expected, actual) == ""


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("db:5432 up", "db:5433 up"),
        ("status 3", "status 4"),
        ("one\n...\ntwo", "one\ntwo\nthree"),
        ("3 targets", "4 targets"),
        ("ConnectError: a", "ConnectError: b"),
    ],
)
def test_what_may_not_differ(expected: str, actual: str) -> None:
    assert difference(expected, actual)


def test_the_end_of_a_traceback() -> None:
    error = "Traceback (most recent call last):\n  File x\nOSError: no\nA note\n"
    assert error_difference("out\nOSError: no\nA note", "out\n", error) == ""
    assert (
        error_difference("Traceback (most recent call last):\n...\nA note", "", error)
        == ""
    )
    assert error_difference("OSError: no", "", error)
