"""The standard library's own tests of connecting pass on loops of `loop_factory`.

Every test that mentions one of the functions is run, except for those listed here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from programs import run_script

SCRIPT = Path(__file__).parents[1] / "scripts" / "stdlib_tests.py"
CONNECTS = re.compile(
    r"\b(create_(unix_)?connection|open_(unix_)?connection|sock_connect)\b"
)

# The number of modules that run at once.  Most of them wait.
TOGETHER = 4

SOCKET = "asserts what asyncio asks of a mock in the place of its socket module"
PRIVATE = "asserts how a mock in the place of a private method of the loop is called"
WORDS = "asserts the words of an error; ours has others, of the same class and errno"
NO_ERRNO = "asserts the words of a mock's errors, which have no errno"
STAGGERED = "replaces asyncio.staggered, which this package does not use"
KEPT = "wants a socket of the caller's closed, a mock; ours stays the caller's (K5)"
NO_SERVICE = "wants OSError for an unknown service; that is our ValueError, at once"

MODULES_LEFT_OUT = {
    "test_proactor_events": "Windows' loop",
    "test_selector_events": "makes its loops of asyncio's private parts",
}
LEFT_OUT_ON_UVLOOP = {
    "test_base_events": "puts mocks in asyncio's socket module: uvloop would dial",
    "test_sendfile": "uvloop has no sendfile",
}

# Left out on both loops: these fail on a factory's loop, and pass on its base.
LEFT_OUT = {
    "test_base_events": {
        "test_create_connection_bluetooth": SOCKET,
        "test_create_connection_ip_addr": SOCKET,
        "test_create_connection_ipv6_scope": SOCKET,
        "test_create_connection_multiple_errors": NO_ERRNO,
        "test_create_connection_multiple_errors_local_addr": NO_ERRNO,
        "test_create_connection_no_inet_pton": SOCKET,
        "test_create_connection_service_name": f"{SOCKET}; then {NO_SERVICE}",
        "test_create_connection_ssl_server_hostname_default": PRIVATE,
        "test_create_connection_timeout": SOCKET,
    },
    "test_events": {"test_create_connection_local_addr_in_use": WORDS},
    "test_unix_events": {"test_create_unix_connection_ssl_noserverhost": WORDS},
}

# The same, where there are such tests: since some release of Python 3.14 or 3.15.
LEFT_OUT_IF_THERE = {
    "test_base_events": {
        "test_create_connection_connect_non_os_err_close_err": SOCKET,
        "test_create_connection_happy_eyeballs": SOCKET,
        "test_create_connection_happy_eyeballs_empty_exceptions": STAGGERED,
        "test_create_connection_happy_eyeballs_ipv4_only": SOCKET,
        "test_create_connection_sock_transport_error_closes_sock": KEPT,
        "test_create_connection_transport_error_closes_sock": SOCKET,
    },
}

# Left out on uvloop: these look into asyncio's transports.  On any uvloop they wait
# until their timeout.
HANG_ON_UVLOOP = {
    "test_server_context": ["test_create_server2", "test_gh140947"],
    "test_ssl": [
        "test_flush_before_shutdown",
        "test_remote_shutdown_receives_trailing_data",
        "test_remote_shutdown_receives_trailing_data_on_slow_socket",
    ],
    "test_sslproto": [
        "test_create_connection_memory_leak",
        "test_start_tls_client_buf_proto_1",
        "test_start_tls_client_reg_proto_1",
    ],
    "test_streams": ["test_start_tls_buffered_data"],
}


def modules() -> list[str]:
    """Return the modules that have tests of functions that connect."""
    # Debian has the tests in a package of their own.
    spec = find_spec("test.test_asyncio") if find_spec("test") else None
    if spec is None or spec.origin is None:
        pytest.skip("the standard library's tests are not installed")
    return [
        path.stem
        for path in sorted(Path(spec.origin).parent.glob("test_*.py"))
        if CONNECTS.search(path.read_text())
    ]


def wrong(module: str, came: Mapping[str, Any]) -> Iterator[str]:
    """Report every result that differs from the lists."""
    known, passed = (
        {test.split(".")[1] for test in came[which]} for which in ("known", "passed")
    )
    expected = LEFT_OUT.get(module, {})
    listed = expected | LEFT_OUT_IF_THERE.get(module, {})
    for test, text in came["failed"].items():
        if test.split(".")[1] not in listed:
            yield f"{module}: {test} fails on our loop only: {text}"
    yield from (
        f"{module}: there is no {name}" for name in expected if name not in known
    )
    yield from (
        f"{module}: {name} passes: do not list it" for name in passed & listed.keys()
    )
    if not passed or not came["heard"]:
        yield f"{module}: {len(passed)} passed, with {came['heard']} events: not ours"


@pytest.mark.thorough
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_stdlib(loop: str) -> None:
    """The standard library's tests of connecting pass on a loop of `loop_factory`.

    A test that is left out is listed, with its reason.  On uvloop, the tests that
    uvloop itself does not pass are listed too.
    """

    def run(module: str) -> dict[str, Any]:
        unrun = HANG_ON_UVLOOP.get(module, []) if loop == "uvloop" else []
        python = (sys.executable, "-X", "dev", str(SCRIPT))
        came: dict[str, Any] = json.loads(run_script(*python, module, loop, *unrun))
        return came

    found = modules()
    left_out = MODULES_LEFT_OUT | (LEFT_OUT_ON_UVLOOP if loop == "uvloop" else {})
    assert left_out.keys() <= set(found)
    # The last ones take longest.
    chosen = [module for module in reversed(found) if module not in left_out]
    with ThreadPoolExecutor(TOGETHER) as pool:
        came = dict(zip(chosen, pool.map(run, chosen), strict=True))
    problems = [text for module in chosen for text in wrong(module, came[module])]
    assert not problems, "\n".join(problems)
