"""``aioconnect sweep``: check many targets, so many at once, and sum up."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Generator
from dataclasses import replace

from ..._connector import Connector
from ..._io.targets import Target
from ..._sansio.errors import ConnectError
from ..._timeline import Timeline
from ..._timeline.phrases import duration
from ..connector_flags import connector_of
from ..errors import NOT_UP, USAGE, CommandError
from ..fd_limit import room_for
from ..output import Output
from ..progress import Display, Silent, display
from ..running import run_until_signal
from ..signals import end_by
from ..target_argument import target_of
from ..terminal import Terminal, standard_output, write
from .line_reader import Line, lines
from .summary import CONNECTED, Tally, outcome_of

__all__ = ["run"]

# A summary needs so many columns, and gains nothing from more, whatever COLUMNS says.
_NARROWEST, _WIDEST = 20, 400

# Seconds from one step of the bar to the next.
_TICK = 0.1

# Of the record of a call: what it takes to find out why, and not that.
_LEFT_OUT = ("steps", "steps_left_out")

# So many are begun before the loop gets to run in between.
_IN_A_ROW = 16


def run(arguments: argparse.Namespace) -> int:
    """Check the targets; return the exit status.

    Raises:
        CommandError: There is no list, or no target in it.
    """
    connector_of(arguments)  # what is wrong with it is wrong before a line is read
    with _opened(arguments.file) as (fd, name):
        limit, note = room_for(arguments.limit)
        # Whoever types the targets sees how far it is.
        is_silent = os.isatty(fd) or (arguments.json and _are_read())
        shown = Silent(sys.stderr) if is_silent else display(sys.stderr, _size(fd))
        with shown:
            if note is not None:
                shown.say(note)
            sweep = _Sweep(arguments, name, shown)
            number = run_until_signal(sweep.run(fd, limit), asyncio.new_event_loop)
    sweep.report(number)
    return end_by(number) if number is not None else sweep.status()


@contextlib.contextmanager
def _opened(file: str) -> Generator[tuple[int, str]]:
    if file == "-":
        if sys.stdin is None:
            raise CommandError("standard input is closed")
        yield sys.stdin.fileno(), "<stdin>"
        return
    try:
        opened = open(file, "rb", buffering=0)  # noqa: SIM115  # a line below
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise CommandError(f"{file}: {why}") from None
    with opened:
        yield opened.fileno(), file


def _output() -> Output:
    return Output(standard_output().fileno())


def _are_read() -> bool:
    """Tell whether somebody reads the records as they come.

    They, or what their reader makes of them, would be between the bars of a terminal.
    """
    status = os.fstat(standard_output().fileno())
    return stat.S_ISFIFO(status.st_mode) or os.isatty(standard_output().fileno())


def _size(fd: int) -> int | None:
    status = os.fstat(fd)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


class _Sweep:
    """One sweep of the list called *name*, and what has come of it so far."""

    def __init__(
        self, arguments: argparse.Namespace, name: str, shown: Display
    ) -> None:
        self._arguments = arguments
        self._name = name
        self._shown = shown
        self._output = _output() if arguments.json else None
        self._connectors: dict[bool, Connector] = {}
        self._tally = Tally()
        self._bad = self._under_way = 0
        self._read = 0  # bytes of the list, up to the targets that are done
        self._elapsed = 0.0
        self._error: Exception | None = None

    async def run(self, fd: int, limit: int) -> None:
        """Check the targets that *fd* has, *limit* at once."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        showing = loop.create_task(self._keep_showing())
        try:
            async with asyncio.TaskGroup() as group:
                await self._begin_all(fd, limit, group)
        except* (BrokenPipeError, CommandError) as failed:
            (self._error, *_) = failed.exceptions
        finally:
            showing.cancel()
            self._elapsed = loop.time() - started

    async def _keep_showing(self) -> None:
        while True:
            failed = self._tally.failed
            text = f"{self._tally.count:,} checked, {failed:,} not connected"
            self._shown.show(self._read, text)
            await asyncio.sleep(_TICK)

    async def _begin_all(self, fd: int, limit: int, group: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(limit)
        try:
            async with contextlib.aclosing(lines(fd, self._name)) as found:
                async for line in found:
                    if line.number % _IN_A_ROW == 0:
                        await asyncio.sleep(0)
                    target = self._target(line)
                    if target is None:
                        continue
                    await slots.acquire()
                    check = group.create_task(self._check(target, line))
                    check.add_done_callback(lambda _: slots.release())
                    self._under_way += 1
        except CommandError as exc:
            self._error = exc  # and what is under way goes on

    def _target(self, line: Line) -> Target | None:
        """Return the target that *line* is, or None: what is wrong with it is said."""
        try:
            if line.problem:
                raise CommandError(line.problem)
            target = target_of(line.text)
            self._connector(target)
        except CommandError as exc:
            self._bad += 1
            self._read += line.size
            self._shown.say(f"{self._name}:{line.number}: {exc}")
            return None
        return target

    def _connector(self, target: Target) -> Connector:
        is_service = target.service is not None
        if is_service not in self._connectors:
            self._connectors[is_service] = connector_of(self._arguments, (target,))
        return self._connectors[is_service]

    async def _check(self, target: Target, line: Line) -> None:
        connector = self._connector(target)
        timeline = Timeline(line.text)
        if self._output is not None:
            connector = replace(connector, observer=timeline)
        loop = asyncio.get_running_loop()
        started = loop.time()
        outcome = CONNECTED
        try:
            (await connector.connect_any((target,))).close()
        except ConnectError as exc:
            outcome = outcome_of(exc)
        elapsed = loop.time() - started
        if self._output is not None:
            await self._output.write(_record(timeline))
        self._tally.add(line.text, outcome, elapsed)
        self._read += line.size
        self._under_way -= 1

    def report(self, number: int | None) -> None:
        """Sum up, after the signal *number* or at the end.

        It is on standard output, unless the records are.

        Raises:
            BrokenPipeError: Who reads the records has gone.
        """
        if isinstance(self._error, BrokenPipeError):
            raise self._error
        stream = sys.stderr if self._output is not None else sys.stdout
        has_begun = self._tally.count or self._bad or self._under_way
        if stream is None or not has_begun:
            return
        terminal = Terminal.of(stream)
        width = min(max(terminal.size.columns, _NARROWEST), _WIDEST)
        said = [
            self._headline(number),
            *self._tally.report(width, color=terminal.colors),
        ]
        if self._bad:
            are = "line is no target" if self._bad == 1 else "lines are no targets"
            said.append(f"{self._bad:,} {are}")
        text = terminal.shown("\n".join(said))
        if self._output is None:
            print(text, flush=True)
        else:
            write(stream, f"{text}\n")

    def _headline(self, number: int | None) -> str:
        count = self._tally.count
        many = "" if count == 1 else "s"
        rate = count / max(self._elapsed, 1e-3)
        text = f"{count:,} target{many} in {duration(self._elapsed)}, {rate:,.0f}/s"
        if number is None:
            return text
        name = signal.Signals(number).name
        return f"{text}; {self._under_way:,} were under way at {name}"

    def status(self) -> int:
        """Return the exit status.

        Raises:
            CommandError: The list or standard output has failed, or had nothing in it.
        """
        if self._error is not None:
            raise self._error
        if not self._tally.count and not self._bad:
            raise CommandError(f"{self._name}: there is no target in it")
        if self._bad:
            return USAGE
        return NOT_UP if self._tally.failed else 0


def _record(timeline: Timeline) -> str:
    record = timeline.to_dict()
    return json.dumps({k: v for k, v in record.items() if k not in _LEFT_OUT}) + "\n"
