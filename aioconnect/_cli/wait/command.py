"""``aioconnect wait``: wait until servers are up, and then become a command."""

from __future__ import annotations

import argparse
import asyncio
import errno
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace

from ..._calls.options import endpoint_of_target
from ..._calls.wait_for_server import until_down, until_up
from ..._connector import Connector
from ..._io.targets import Target
from ..._sansio.error_predicates import Predicate, is_transient, is_unknown_name
from ..._sansio.errors import ConnectError, ConnectTimeoutError
from ..._startup import end_at_once
from ..connector_flags import connector_of
from ..errors import NOT_UP, OUT_OF_TIME, CommandError
from ..terminal import Terminal, write
from .exec_command import execute, find
from .live_view import Screen
from .log_view import Changes, Shown
from .target_status import State

__all__ = ["run"]

# So many targets are named in an error.
_NAMED = 16

# Seconds from one line to the next in a log in which nothing else is new.
_BETWEEN_REMINDERS = 60.0

# What a server that starts may have yet to put right: the permissions of its socket;
# and what other waits hold, if there are many.
_MAY_PASS = (errno.EACCES, errno.EMFILE, errno.ENFILE)

# A name server can fail for as long as it starts, and so can asking it.
_MAY_BE_ANSWERED = (socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_SYSTEM)


def run(arguments: argparse.Namespace) -> int:
    """Wait as *arguments* say; return 0, or become the command.

    Raises:
        CommandError: It was in vain, or the command cannot be run.
    """
    _check(arguments)
    connector = connector_of(arguments, arguments.targets)
    end_at_once()
    asyncio.run(_Wait(arguments, connector).run())
    if arguments.command:
        execute(arguments.command)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    timeout: float | None = arguments.timeout
    if arguments.settle and arguments.down:
        raise CommandError("--settle is for what comes up: it does not fit --down")
    if timeout is not None and arguments.settle >= timeout:
        times = f"--settle {arguments.settle:g} does not fit into"
        raise CommandError(f"{times} --timeout {timeout:g}")
    if arguments.command:
        find(arguments.command[0])


@Predicate
def _may_pass(error: OSError) -> bool:
    """Tell whether a server that starts, or a machine, may yet put *error* right."""
    is_lookup = isinstance(error, socket.gaierror)
    return error.errno in (_MAY_BE_ANSWERED if is_lookup else _MAY_PASS)


_waits_for = is_transient | is_unknown_name | _may_pass


class _Wait:
    """The waits for all targets, at once."""

    def __init__(self, arguments: argparse.Namespace, connector: Connector) -> None:
        self._arguments = arguments
        self._goal = "down" if arguments.down else "up"
        self._connector = replace(connector, retry_on=_waits_for)
        self._over = asyncio.Event()
        self._states: list[State] = []
        self._done = 0
        self._failed: list[State] = []

    async def run(self) -> None:
        """Wait until they are what they are to be.

        Raises:
            CommandError: They are not.
        """
        shown = self._shown()
        targets: list[Target] = self._arguments.targets
        self._states += [State(str(target), shown.changed) for target in targets]
        pairs = zip(targets, self._states, strict=True)
        try:
            async with asyncio.TaskGroup() as group:
                waits = [group.create_task(self._follow(*pair)) for pair in pairs]
                if not (shown.shows_reasons or self._arguments.quiet):
                    waits.append(group.create_task(self._remind()))
                await self._over.wait()
                for wait in waits:
                    wait.cancel()
        finally:
            for state in self._states:
                if state.reason:  # why it has not stayed so before says more
                    state.is_settling = False
            shown.close()
        if not self._is_done:
            raise self._failure(with_reasons=not shown.shows_reasons)

    def _shown(self) -> Shown:
        if self._arguments.quiet:
            return Changes(None)
        if sys.stderr is not None and (terminal := Terminal.of(sys.stderr)).moves:
            return Screen(terminal, self._states, self._goal, self._connector.timeout)
        return Changes(sys.stderr)

    async def _follow(self, target: Target, state: State) -> None:
        options = replace(self._connector, observer=state)
        place = endpoint_of_target(options, target)
        try:
            if self._arguments.down:
                elapsed = await until_down(options, place)
            else:
                elapsed = await until_up(options, place, self._arguments.settle)
        except ConnectTimeoutError:
            self._failed.append(state)
        except ConnectError:
            self._failed.append(state)
            state.end(gave_up=True)
        else:
            self._done += 1
            state.end(f"{self._goal} after {elapsed:.3f} s")
        if self._is_done or self._is_lost:
            self._over.set()

    async def _remind(self) -> None:
        """Say again and again what is waited for, and why."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            await asyncio.sleep(_BETWEEN_REMINDERS)
            elapsed = loop.time() - started
            named = _named(self._waiting, with_reasons=True)
            text = f"aioconnect: not {self._goal} after {elapsed:.0f} s: {named}\n"
            write(sys.stderr, text)

    @property
    def _waiting(self) -> list[State]:
        return [state for state in self._states if not state.done]

    @property
    def _is_done(self) -> bool:
        return self._done >= (1 if self._arguments.any else len(self._states))

    @property
    def _is_lost(self) -> bool:
        return len(self._failed) >= (len(self._states) if self._arguments.any else 1)

    def _failure(self, *, with_reasons: bool) -> CommandError:
        """Return the error of what failed last, which has put an end to it."""
        status = NOT_UP
        text = "gave up"
        states = self._failed
        if not states[-1].gave_up:
            status = OUT_OF_TIME
            text = f"not {self._goal} within {self._connector.timeout:g} s"
            states = self._waiting
        named = _named(states, with_reasons=with_reasons)
        return CommandError(f"{text}: {named}", status)


def _named(states: Sequence[State], *, with_reasons: bool) -> str:
    named = [
        f"{state.name} ({state.reason or 'no answer yet'})"
        if with_reasons
        else state.name
        for state in states[:_NAMED]
    ]
    if more := len(states) - len(named):
        named.append(f"and {more} more")
    return ", ".join(named)
