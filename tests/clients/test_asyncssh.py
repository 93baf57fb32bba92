"""asyncssh on a loop of `loop_factory` or over a socket, and OpenSSH."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("asyncssh")


@pytest.mark.parametrize("number", [0, 1], ids=["loop_factory", "sock"])
def test_asyncssh(base: Base, host: str, ssh_server: Service, number: int) -> None:
    """A command is run before its server is there, and again by a new one."""
    printed = run_recipe("asyncssh", base, host, ssh_server, number=number)
    assert printed == ["early\n", "again\n"]
    ssh_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )
