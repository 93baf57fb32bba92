"""``aioconnect sweep``: connect to the targets of a list, many at once; count."""

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
from ..._io.service_targets import ServiceTarget
from ..._io.targets import Target
from ..._sansio.errors import ConnectError
from ..._sansio.text import error_text
from ..._timeline import Timeline
from ..._timeline.phrases import format_duration
from ..argument_types import target as parse_target
from ..check_flags import connector_for
from ..connector_flags import connector_from
from ..errors import NOT_UP, USAGE, CommandError
from ..event_loop import run_until_signal
from ..exit_by_signal import exit_by_signal
from ..standard_streams import standard_output, try_write
from ..target_words import host_and_port
from ..terminal import Terminal
from .fd_limit import fit_to_fd_limit
from .line_reader import Line, read_lines
from .output_writer import OutputWriter
from .progress_bar import MessagesOnly, Progress, progress_on
from .summary import CONNECTED, NOT_READY, Summary, outcome_of

__all__ = ["run"]

# The summary needs the first number of columns.  It gains nothing from more than the
# second, whatever COLUMNS says.
_NARROWEST, _WIDEST = 20, 400

# Seconds between two updates of the progress bar.
_UPDATE_INTERVAL = 0.1

# The keys of a call's record that --json leaves out: the error says why a connect
# failed, and the steps are long.
_LEFT_OUT = ("steps", "steps_left_out")

# In characters: what the summary repeats of a service that is not ready.
_LONGEST_REASON = 60

# After this many lines, the loop gets a turn before the next connect begins.
_BATCH = 16


def run(arguments: argparse.Namespace) -> int:
    """Connect to the targets of the list; return the exit status.

    Raises:
        CommandError: The list cannot be read, or has no target.
    """
    connector_from(arguments)  # report wrong flags before the first line is read
    with _open_list(arguments.file) as (fd, name):
        limit, note = fit_to_fd_limit(arguments.limit)
        # A user who types the targets sees the progress without a bar.
        has_no_bar = os.isatty(fd) or (arguments.json and _records_are_watched())
        progress = (
            MessagesOnly(sys.stderr)
            if has_no_bar
            else progress_on(sys.stderr, _file_size(fd))
        )
        with progress:
            if note is not None:
                progress.say(note)
            sweep = _Sweep(arguments, name, progress)
            number = run_until_signal(sweep.run(fd, limit), asyncio.new_event_loop)
    sweep.report(number)
    return exit_by_signal(number) if number is not None else sweep.exit_status()


@contextlib.contextmanager
def _open_list(file: str) -> Generator[tuple[int, str]]:
    """Yield the descriptor and the name of the list."""
    if file == "-":
        if sys.stdin is None:
            raise CommandError("standard input is closed")
        yield sys.stdin.fileno(), "<stdin>"
        return
    try:
        opened = open(file, "rb", buffering=0)  # noqa: SIM115  # a line below
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise CommandError(f"{file}: {reason}") from None
    with opened:
        yield opened.fileno(), file


def _records_are_watched() -> bool:
    """Tell whether standard output is a terminal or a pipe.

    Then the records, or what a program makes of them, would mix with a bar.
    """
    fd = standard_output().fileno()
    return stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd)


def _file_size(fd: int) -> int | None:
    status = os.fstat(fd)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def _connect_once(connector: Connector, target: ServiceTarget) -> None:
    if isinstance(target, Target):
        (await connector.connect_any((target,))).close()
        return
    from ..._services import connect_to_service  # noqa: PLC0415  # a plain target needs no check

    await connect_to_service(connector, target)


class _Sweep:
    """One sweep over the list called *name*, and its results so far."""

    def __init__(
        self, arguments: argparse.Namespace, name: str, progress: Progress
    ) -> None:
        self._arguments = arguments
        self._name = name
        self._progress = progress
        self._writer = (
            OutputWriter(standard_output().fileno()) if arguments.json else None
        )
        self._connectors: dict[bool, Connector] = {}
        self._summary = Summary()
        self._bad_lines = self._under_way = 0
        self._bytes_done = 0  # of the list: the lines of the targets that are done
        self._elapsed = 0.0
        self._error: Exception | None = None

    async def run(self, fd: int, limit: int) -> None:
        """Connect to the targets that *fd* lists, *limit* at once."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        updating = loop.create_task(self._keep_updating())
        try:
            async with asyncio.TaskGroup() as group:
                await self._start_all(fd, limit, group)
        except* (BrokenPipeError, CommandError) as failed:
            (self._error, *_) = failed.exceptions
        finally:
            updating.cancel()
            self._elapsed = loop.time() - started

    async def _keep_updating(self) -> None:
        while True:
            failed = self._summary.failed
            text = f"{self._summary.count:,} checked, {failed:,} not connected"
            self._progress.update(self._bytes_done, text)
            await asyncio.sleep(_UPDATE_INTERVAL)

    async def _start_all(self, fd: int, limit: int, group: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(limit)
        try:
            async with contextlib.aclosing(read_lines(fd, self._name)) as lines:
                async for line in lines:
                    if line.number % _BATCH == 0:
                        await asyncio.sleep(0)
                    target = self._parse(line)
                    if target is None:
                        continue
                    await slots.acquire()
                    check = group.create_task(self._check(target, line))
                    check.add_done_callback(lambda _: slots.release())
                    self._under_way += 1
        except CommandError as exc:
            self._error = exc  # the connects that are under way go on

    def _parse(self, line: Line) -> ServiceTarget | None:
        """Return the target in *line*, or None after a message about the problem."""
        try:
            if line.problem:
                raise CommandError(line.problem)
            target = parse_target(host_and_port(line.text.split()) or line.text)
            self._connector_for(target)
        except CommandError as exc:
            self._bad_lines += 1
            self._bytes_done += line.size
            self._progress.say(f"{self._name}:{line.number}: {exc}")
            return None
        return target

    def _connector_for(self, target: ServiceTarget) -> Connector:
        is_service = isinstance(target, Target) and target.service is not None
        if is_service not in self._connectors:
            self._connectors[is_service] = connector_from(self._arguments, (target,))
        return connector_for(self._connectors[is_service], target, self._arguments)

    async def _check(self, target: ServiceTarget, line: Line) -> None:
        connector = self._connector_for(target)
        shown = line.text if isinstance(target, Target) else str(target)
        timeline = Timeline(shown)
        if self._writer is not None:
            connector = replace(connector, observer=timeline)
        loop = asyncio.get_running_loop()
        started = loop.time()
        outcome, name = CONNECTED, shown
        try:
            await _connect_once(connector, target)
        except ConnectError as exc:
            outcome = outcome_of(exc)
            if outcome == NOT_READY:
                name = f"{name} ({error_text(exc.attempts[-1].error, _LONGEST_REASON)})"
        elapsed = loop.time() - started
        if self._writer is not None:
            await self._writer.write(_record(timeline))
        self._summary.add(name, outcome, elapsed)
        self._bytes_done += line.size
        self._under_way -= 1

    def report(self, number: int | None) -> None:
        """Write the summary, at the end or after the signal *number*.

        It goes to standard output, or to standard error if the records go there.

        Raises:
            BrokenPipeError: The reader of the records has gone.
        """
        if isinstance(self._error, BrokenPipeError):
            raise self._error
        stream = sys.stderr if self._writer is not None else sys.stdout
        has_begun = self._summary.count or self._bad_lines or self._under_way
        if stream is None or not has_begun:
            return
        terminal = Terminal.of(stream)
        width = min(max(terminal.size.columns, _NARROWEST), _WIDEST)
        lines = [
            self._headline(number),
            *self._summary.to_lines(width, color=terminal.colors),
        ]
        if self._bad_lines:
            is_one = self._bad_lines == 1
            bad = "line is not a target" if is_one else "lines are not targets"
            lines.append(f"{self._bad_lines:,} {bad}")
        text = terminal.encodable("\n".join(lines))
        if self._writer is None:
            print(text, flush=True)
        else:
            try_write(stream, f"{text}\n")

    def _headline(self, number: int | None) -> str:
        count = self._summary.count
        plural = "" if count == 1 else "s"
        took = format_duration(self._elapsed)
        rate = count / max(self._elapsed, 1e-3)
        text = f"{count:,} target{plural} in {took}, {rate:,.0f}/s"
        if number is None:
            return text
        name = signal.Signals(number).name
        return f"{text}; {name} stopped {self._under_way:,} more"

    def exit_status(self) -> int:
        """Return the exit status.

        Raises:
            CommandError: The list or standard output failed, or the list has no target.
        """
        if self._error is not None:
            raise self._error
        if not self._summary.count and not self._bad_lines:
            raise CommandError(f"{self._name}: the list has no target")
        if self._bad_lines:
            return USAGE
        return NOT_UP if self._summary.failed else 0


def _record(timeline: Timeline) -> str:
    record = timeline.to_dict()
    return json.dumps({k: v for k, v in record.items() if k not in _LEFT_OUT}) + "\n"
