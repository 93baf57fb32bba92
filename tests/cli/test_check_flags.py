"""URLs on the command line, whose services are asked, and the flags that go with it."""

from __future__ import annotations

import json
import re
import sys

import pytest
from cli.scripted_server import LOADING, scripted
from cli.wait_process import WAIT, line_of, started, without_times
from programs import program, run_script

from aioconnect._cli import main
from aioconnect.testing import listening, tls_echoing

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"


def test_wait_says_what_the_service_says() -> None:
    """It goes on until the service is ready, and then becomes the command."""
    with scripted(LOADING) as server:
        url = f"redis://{server.where}"
        command = (*WAIT, url, "--interval", "0.05", "--", "echo", "up")
        with started(*command) as process:
            said = "LOADING Redis is loading the dataset in memory"
            assert line_of(process) == f"{url}: {said}\n"
            server.answer = b"+PONG\r\n"
            out, err = process.communicate(timeout=20)
    assert (out, without_times(err)) == ("up\n", f"{url}: up after ? s\n")


def test_wait_for_a_status() -> None:
    with scripted(b"HTTP/1.1 302 Found\r\n\r\n") as server:
        url = f"http://{server.where}/health?token=secret"
        assert program("wait", url, "--timeout", "20").returncode == 0
        done = program("wait", url, "--timeout", "0.3", "--status", "200-299")
    assert done.returncode == 124
    shown = f"http://{server.where}/health..."
    assert done.stderr.splitlines()[0] == f"{shown}: 302 Found"
    assert "secret" not in done.stderr


def test_wait_for_two_queries() -> None:
    """Two URLs that differ only in their queries have a line each."""
    with scripted(UNAVAILABLE) as server:
        urls = [f"http://{server.where}/?a={number}" for number in (1, 2)]
        done = program("wait", *urls, "--timeout", "0.3")
    assert done.returncode == 124
    name = f"http://{server.where}/..."
    assert f"{name}: 503 Service Unavailable\n" in done.stderr
    assert f"{name} (2): 503 Service Unavailable\n" in done.stderr
    # The last line repeats the names as they are.
    reason = "(503 Service Unavailable)"
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f": {name} {reason}, {name} (2) {reason}")


def test_wait_for_a_silent_service() -> None:
    """Each look has its time, which a flag sets, and the log says so."""
    with listening() as server:
        url = f"redis://127.0.0.1:{server.port}"
        flags = ("--timeout", "60", "--attempt-timeout", "100ms")
        with started(*WAIT, url, *flags) as process:
            assert line_of(process) == f"{url}: no answer within 0.1 s\n"
            process.terminate()
            process.communicate(timeout=20)


def test_wait_for_a_name() -> None:
    assert program("wait", "dns://localhost", "--timeout", "20").returncode == 0
    done = program("wait", "dns://nowhere.invalid", "--timeout", "0.5")
    assert done.returncode == 124


def test_wait_until_down_asks_nothing(refused: str) -> None:
    done = program("wait", "--down", f"redis://{refused}", "--timeout", "20")
    assert done.returncode == 0


def test_insecure() -> None:
    with tls_echoing() as server:
        url = f"tls://127.0.0.1:{server.port}"
        done = program("wait", url, "--timeout", "0.3")
        assert done.returncode == 124
        assert "certificate verify failed" in done.stderr
        assert program("wait", url, "--timeout", "20", "--insecure").returncode == 0
        assert program("probe", url, "--json", "--insecure").returncode == 0
        done = program("sweep", "-", "--insecure", stdin=url)
        assert done.returncode == 0


def test_probe() -> None:
    with scripted(UNAVAILABLE) as server:
        done = program("probe", f"http://{server.where}", "--json")
        assert done.returncode == 1
        assert "503 Service Unavailable" in json.loads(done.stdout)["error"]["message"]
        server.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        done = program("probe", f"http://{server.where}", "--json", "--status", "204")
        assert done.returncode == 0
    assert program("probe", "dns://localhost", "--json").returncode == 0
    assert program("probe", "dns://nowhere.invalid", "--json").returncode == 1


def test_probe_shows_a_name() -> None:
    """A timeline of a look-up alone is one line of it, and no connect."""
    done = program("probe", "dns://localhost", COLUMNS="100")
    assert done.returncode == 0
    assert "attempt" not in done.stdout


def test_sweep() -> None:
    """The URLs of a list are asked; one that is wrong is reported with its line."""
    with scripted(UNAVAILABLE) as server, listening() as plain:
        lines = [
            f"http://{server.where}?token=secret",
            f"127.0.0.1:{plain.port}",
            "dns://localhost",
            "ftp://x",
        ]
        done = program("sweep", "-", stdin="\n".join(lines), COLUMNS="200")
    assert done.returncode == 2
    assert re.search(r"connected +2 ", done.stdout)
    assert re.search(r"not ready +1 ", done.stdout)
    assert f"http://{server.where}/... (503 Service Unavailable)" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert "<stdin>:4: target 'ftp://x', character 1: 'ftp' is not" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("wait ftp://x", "'ftp' is not a known scheme; these are: amqp, amqps"),
        ("wait redis://:secret@x", "leave out the user and the password"),
        ("wait postgres://x/app", "ends after host and port: leave out '/app'"),
        ("wait tls://x", "the port is missing: tls:// has no default port"),
        ("wait redis://x:0", "nobody can listen on port 0"),
        ("wait x:1 --status 200", "--status needs an http:// or https:// target"),
        (
            "wait http://x --insecure",
            "--insecure needs a target with TLS (amqps://, https://, rediss://, tls://)",
        ),
        ("wait http://x --status 2xx", "'2xx' is not a range from 100 to 599, such as"),
        ("wait http://x --status 299-200", "'299-200' is not a range from 100 to 599"),
        ("wait http://x --status 600", "'600' is not a range from 100 to 599"),
        (
            "wait http://x --settle 1",
            "http://x:80/ asks the service, and cannot have --settle",
        ),
        ("wait dns://x --down", "--down needs a port, and dns://x has none"),
        ("probe http://x --tls", "http://x:80/ cannot have --tls or --server-name"),
        (
            "probe http://x --server-name a",
            "http://x:80/ cannot have --tls or --server-name",
        ),
        ("probe x:1 --status 200", "--status needs an http:// or https:// target"),
        (
            "probe x:1 --insecure",
            "--insecure needs a target with TLS (amqps://, https://",
        ),
    ],
)
def test_usage(arguments: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, and the status of wrong usage."""
    assert main(arguments.split()) == 2
    said = capsys.readouterr()
    assert why in said.err
    assert "secret" not in said.err
    assert said.err.count("\n") == 1


def test_a_plain_target_imports_no_check() -> None:
    """The command line starts as fast as before where nothing is asked."""
    with listening() as server:
        target = f"127.0.0.1:{server.port}"
        code = (
            "import sys; from aioconnect._cli import main;"
            f"main(['wait', '{target}']); print(*sys.modules)"
        )
        loaded = set(run_script(sys.executable, "-c", code).split())
    assert "aioconnect._cli.wait.command" in loaded
    late = ("checks", "_services", "_io.conversation", "_sansio.service_answers")
    assert not loaded & {f"aioconnect.{name}" for name in late}
