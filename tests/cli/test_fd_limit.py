"""A sweep makes only as many connects at once as there are descriptors for."""

from __future__ import annotations

import json
import resource
from functools import partial

import pytest
from cli.sweep_process import running

from aioconnect._cli.sweep.fd_limit import fit_to_fd_limit

Limits = tuple[int, int]


@pytest.mark.parametrize(
    ("limits", "silent_ones", "says"),
    [
        (
            (256, 256),
            32,
            "aioconnect: checking 16 targets at once, not 500, because the limit is",
        ),
        ((64, 8192), 300, "2,000 targets in "),
    ],
)
def test_there_are_always_descriptors(
    limits: Limits, silent_ones: int, says: str, silent: str, refused: str
) -> None:
    """The soft limit is raised; if the hard limit is low, fewer run at once."""
    start = partial(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
    arguments = ("--json", "-", "--limit", "500", "--timeout", "1")
    with running(*arguments, start=start) as process:
        targets = [silent] * silent_ones + [refused] * (2000 - silent_ones)
        out, said = process.communicate("\n".join(targets))
    ended = [json.loads(line)["error"]["errno"] for line in out.splitlines()]
    assert {code: ended.count(code) for code in set(ended)} == {
        "ETIMEDOUT": silent_ones,
        "ECONNREFUSED": 2000 - silent_ones,
    }
    assert said.startswith(says)


def test_limit_that_cannot_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS the kernel has a limit even if the hard limit is infinite."""

    def refuse(resource_: int, limits: Limits) -> None:
        raise ValueError("not allowed to raise maximum limit")

    low = (1024, resource.RLIM_INFINITY)
    with monkeypatch.context() as patch:
        patch.setattr(resource, "getrlimit", lambda _: low)
        patch.setattr(resource, "setrlimit", refuse)
        fits, said = fit_to_fd_limit(500)
    assert 40 < fits < 100
    assert said is not None
    assert said.startswith(
        f"checking {fits} targets at once, not 500, because the limit is 1024"
    )


def test_too_few_descriptors(refused: str) -> None:
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (24, 24))
    with running("-", start=few) as process:
        _, said = process.communicate(refused)
    assert said == "aioconnect: 24 file descriptors are too few (see ulimit -n)\n"
    assert process.returncode == 2
