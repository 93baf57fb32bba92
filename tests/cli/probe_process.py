"""Run ``aioconnect probe`` with pipes, and simplify its output for comparisons."""

from __future__ import annotations

import re
import subprocess
from xml.parsers import expat

from programs import AIOCONNECT, environment

from aioconnect.testing import BlackHole, Server

__all__ = ["address", "is_well_formed", "probing", "shape"]


def shape(text: str) -> list[str]:
    """Return the lines of *text* without times and bars, which differ each time."""
    text = re.sub(r"\d[\d,.]* (ms|s|h)\b", "T", text)
    text = re.sub(r"[─━═·█]+", "━", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def is_well_formed(svg: str) -> bool:
    return bool(expat.ParserCreate().Parse(svg.encode(), True))


def address(server: BlackHole | Server) -> str:
    return f"{server.host}:{server.port}"


def probing(*arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*AIOCONNECT, "probe", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    )
