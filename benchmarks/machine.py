"""Say where a run is, the machine and the versions, and keep its processes there."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import aioconnect

__all__ = [
    "CLIENT",
    "SERVER",
    "end_with_parent",
    "machine",
    "open_many",
    "pin",
    "versions",
]

PACKAGES: Sequence[str] = (
    "uvloop",
    "aiohappyeyeballs",
    "anyio",
    "async_stagger",
    "stamina",
    "tenacity",
    "trio",
)

_CORES = sorted(os.sched_getaffinity(0))

# The client has the first core for itself, the server the last one.
CLIENT, SERVER = _CORES[0], _CORES[-1]


def pin(core: int) -> None:
    """Keep this process on *core*."""
    os.sched_setaffinity(0, {core})


_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Be killed when the process ends that started this one; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def open_many() -> int:
    """Raise the limit of descriptors as far as it goes, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def machine() -> dict[str, str]:
    """Return what the machine is."""
    return {
        "processor": _processor(),
        "cores": str(len(_CORES)),
        "system": f"{platform.system()} {platform.release()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(named, platform.machine())


def versions() -> dict[str, str]:
    """Return the versions of Python, of this and of all contestants."""
    found = {
        "python": platform.python_version(),
        "aioconnect": aioconnect.__version__,
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
