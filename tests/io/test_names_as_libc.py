"""What names lead to, compared with asyncio, which asks getaddrinfo once."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.namespace

LOOPS = ["asyncio", "uvloop"]


@pytest.mark.parametrize("loop", LOOPS)
def test_the_same_machine(in_namespace: Callable[..., str], loop: str) -> None:
    """A name leads to the machine that asyncio connects to, if libc answers in time.

    Other sources of names, and other domains of the search list, have the other family,
    and DNS fails in many ways.  Where libc fails for now, there is an address.
    """
    in_namespace("names_as_libc.py", loop, "same")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_late_answer(in_namespace: Callable[..., str], loop: str) -> None:
    """Nobody waits for it, if one family has an answer; it counts when it comes."""
    in_namespace("names_as_libc.py", loop, "late")


@pytest.mark.parametrize("loop", LOOPS)
def test_dead_names(in_namespace: Callable[..., str], loop: str) -> None:
    """One takes a thread, and later three; 300 leave threads for other names."""
    in_namespace("names_as_libc.py", loop, "dead")


@pytest.mark.parametrize("loop", LOOPS)
def test_the_order_of_the_system(in_namespace: Callable[..., str], loop: str) -> None:
    """Its configuration may prefer IPv4."""
    if not Path("/etc/gai.conf").exists():
        pytest.skip("needs a gai.conf to mount another one over")
    in_namespace("names_as_libc.py", loop, "order")


@pytest.mark.parametrize("loop", LOOPS)
def test_scope_ids(in_namespace: Callable[..., str], loop: str) -> None:
    """A link-local address keeps its interface, which glibc gives with AF_UNSPEC only.

    It does not read one from /etc/hosts.
    """
    try:
        ctypes.CDLL("libnss_myhostname.so.2")
    except OSError:
        pytest.skip("needs nss-myhostname")
    in_namespace("names_as_libc.py", loop, "scope")
