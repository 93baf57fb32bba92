"""``aioconnect wait``: wait until servers are up, and then become a command."""

from __future__ import annotations

import argparse
import asyncio
import errno
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace

from ..._calls.arguments import endpoint_from_target
from ..._calls.wait_for_server import until_down, until_up
from ..._connector import Connector
from ..._io.service_targets import ServiceTarget
from ..._io.targets import Target
from ..._sansio.error_predicates import Predicate, is_transient, is_unknown_name
from ..._sansio.errors import ConnectError, ConnectTimeoutError
from ..._startup import die_on_sigint
from ..check_flags import check_flags, connector_for
from ..connector_flags import connector_from
from ..errors import NOT_UP, OUT_OF_TIME, CommandError
from ..standard_streams import try_write
from ..terminal import Terminal
from .exec_command import exec_command, find_command
from .live_view import LiveView
from .log_view import LogView
from .target_status import TargetStatus, distinct_names

__all__ = ["run"]

# An error names at most this many targets.
_MOST_NAMED = 16

# Seconds until the first reminder in a log where nothing else changes.  Each pause is
# twice as long as the one before, up to the second number.
_FIRST_REMINDER, _LONGEST_PAUSE = 10.0, 60.0

# Errors that may go away: a starting server may yet change the permissions of its
# socket, and other waits may hold all the descriptors.
_MAY_PASS = (errno.EACCES, errno.EMFILE, errno.ENFILE)

# Look-up errors that may go away: they also occur while a name server starts.
_MAY_BE_ANSWERED = (socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_SYSTEM)


def run(arguments: argparse.Namespace) -> int:
    """Wait as *arguments* say; return 0, or become the command.

    Raises:
        CommandError: The wait failed, or the command cannot be run.
    """
    _check(arguments)
    connector = connector_from(arguments, arguments.targets)
    die_on_sigint()
    asyncio.run(_WaitForTargets(arguments, connector).run())
    if arguments.command:
        exec_command(arguments.command)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.settle and arguments.down:
        raise CommandError("--settle and --down cannot be used together")
    check_flags(arguments, arguments.targets)
    for target in arguments.targets:
        if isinstance(target, Target):
            continue
        if arguments.down and target.port is None:
            raise CommandError(f"--down needs a port, and {target} has none")
        if arguments.settle:
            what = f"{target} asks the service, and cannot have --settle"
            raise CommandError(what)
    for flag in ("timeout", "attempt_timeout"):
        limit: float | None = vars(arguments).get(flag)
        if limit is not None and arguments.settle >= limit:
            times = f"--settle ({arguments.settle:g} s) must be shorter than"
            name = flag.replace("_", "-")
            raise CommandError(f"{times} --{name} ({limit:g} s)")
    if arguments.command:
        find_command(arguments.command[0])


@Predicate
def _may_pass(error: OSError) -> bool:
    """Tell whether *error* may go away once a server or this machine recovers."""
    is_lookup = isinstance(error, socket.gaierror)
    return error.errno in (_MAY_BE_ANSWERED if is_lookup else _MAY_PASS)


_is_worth_waiting = is_transient | is_unknown_name | _may_pass


class _WaitForTargets:
    """Wait for all targets at once, as *arguments* say."""

    def __init__(self, arguments: argparse.Namespace, connector: Connector) -> None:
        self._arguments = arguments
        self._goal = "down" if arguments.down else "up"
        self._connector = replace(connector, retry_on=_is_worth_waiting)
        self._finished = asyncio.Event()
        self._statuses: list[TargetStatus] = []
        self._done = 0
        self._failed: list[TargetStatus] = []

    async def run(self) -> None:
        """Wait until enough targets have reached the goal.

        Raises:
            CommandError: They have not, and will not.
        """
        view = self._view()
        targets: list[ServiceTarget] = self._arguments.targets
        names = distinct_names(targets)
        self._statuses += [TargetStatus(name, view.changed) for name in names]
        pairs = zip(targets, self._statuses, strict=True)
        try:
            async with asyncio.TaskGroup() as group:
                waits = [group.create_task(self._wait_for(*pair)) for pair in pairs]
                if not (view.shows_reasons or self._arguments.quiet):
                    waits.append(group.create_task(self._remind()))
                await self._finished.wait()
                for wait in waits:
                    wait.cancel()
        finally:
            for status in self._statuses:
                if status.reason:  # why an earlier round failed says more
                    status.is_settling = False
            view.close()
        if not self._is_done:
            raise self._failure(with_reasons=not view.shows_reasons)

    def _view(self) -> LogView | LiveView:
        if self._arguments.quiet:
            return LogView(None)
        if sys.stderr is not None and (terminal := Terminal.of(sys.stderr)).moves:
            timeout = self._connector.timeout
            return LiveView(terminal, self._statuses, self._goal, timeout)
        return LogView(sys.stderr)

    async def _wait_for(self, target: ServiceTarget, status: TargetStatus) -> None:
        options = replace(self._connector, observer=status)
        try:
            elapsed = await self._until_done(options, target, status)
        except ConnectTimeoutError:
            self._failed.append(status)
        except ConnectError:
            self._failed.append(status)
            status.end(gave_up=True)
        else:
            self._done += 1
            status.end(f"{self._goal} after {elapsed:.3f} s")
        if self._is_done or self._is_lost:
            self._finished.set()

    async def _until_done(
        self, options: Connector, target: ServiceTarget, status: TargetStatus
    ) -> float:
        """Wait until *target* is up, or down; return how many seconds that took."""
        down: bool = self._arguments.down
        if not isinstance(target, Target):
            from ..._services import until_service_down, wait_for_service  # noqa: PLC0415  # a plain target needs no check

            if down:
                return await until_service_down(options, target)
            options = connector_for(options, target, self._arguments)
            status.limit = options.attempt_timeout
            return await wait_for_service(options, target)
        endpoint = endpoint_from_target(options, target)
        if down:
            return await until_down(options, endpoint)
        return await until_up(options, endpoint, self._arguments.settle)

    async def _remind(self) -> None:
        """Write now and then which targets are not done, and why."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        pause = _FIRST_REMINDER
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            elapsed = loop.time() - started
            names = _names(self._unfinished, with_reasons=True)
            text = f"aioconnect: still waiting after {elapsed:.0f} s: {names}\n"
            try_write(sys.stderr, text)

    @property
    def _unfinished(self) -> list[TargetStatus]:
        return [status for status in self._statuses if not status.done]

    @property
    def _is_done(self) -> bool:
        return self._done >= (1 if self._arguments.any else len(self._statuses))

    @property
    def _is_lost(self) -> bool:
        return len(self._failed) >= (len(self._statuses) if self._arguments.any else 1)

    def _failure(self, *, with_reasons: bool) -> CommandError:
        """Return the error for the target that failed last and so ended the wait."""
        if self._failed[-1].gave_up:
            names = _names(self._failed, with_reasons=with_reasons)
            return CommandError(f"gave up: {names}", NOT_UP)
        names = _names(self._unfinished, with_reasons=with_reasons)
        within = f"within {self._connector.timeout:g} s"
        return CommandError(f"not {self._goal} {within}: {names}", OUT_OF_TIME)


def _names(statuses: Sequence[TargetStatus], *, with_reasons: bool) -> str:
    names = [
        f"{status.name} ({status.reason or 'no answer yet'})"
        if with_reasons
        else status.name
        for status in statuses[:_MOST_NAMED]
    ]
    if more := len(statuses) - len(names):
        names.append(f"and {more} more")
    return ", ".join(names)
