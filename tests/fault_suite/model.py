"""Model of a connect: tell which endings the contract allows.

Pure.  The model knows how the servers treated each attempt, and how the call ended.
It assumes nothing about the order of the addresses in a round, and allows attempts to
overlap.
"""

from __future__ import annotations

import errno
import math
import pickle
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aioconnect import (
    Address,
    Attempt,
    ConnectError,
    ConnectTimeoutError,
    ResolveError,
    is_transient,
)
from aioconnect.testing import Lookup

__all__ = [
    "Bug",
    "Endpoint",
    "Met",
    "Program",
    "check_attempts",
    "check_error",
    "is_spared",
]

# uvloop's clock and timers count milliseconds.
TICK = 0.002

# Timeouts from here on are too long to wait for.
GENEROUS = 10.0

_INET = (socket.AF_INET, socket.AF_INET6)

# asyncio raises these without an errno, for a handshake that is cut short.
_CODES: dict[type[OSError], int] = {
    ConnectionAbortedError: errno.ECONNABORTED,
    ConnectionResetError: errno.ECONNRESET,
}

CONNECTED = "connected"
PENDING = "pending"

# The possible results of an attempt that meets a word: CONNECTED, PENDING until its
# time is over, or a failure in this phase with this errno (None: whatever TLS raises).
Fate = str | tuple[str, int | None]
FATES: dict[str, set[Fate]] = {
    "refuse": {("connect", errno.ECONNREFUSED)},
    "hang": {PENDING},
    # The reset may come before or after the connect is checked.
    "reset": {CONNECTED, ("connect", errno.ECONNRESET)},
    "accept": {CONNECTED},
    "accept_close": {CONNECTED},
    "accept_silent": {CONNECTED},
    "unix": {CONNECTED},
    "missing": {("connect", errno.ENOENT)},
    "stale": {("connect", errno.ECONNREFUSED)},
    "full": {PENDING},
}
TLS_FATES: dict[str, set[Fate]] = {
    "refuse": {("connect", errno.ECONNREFUSED)},
    "hang": {PENDING},
    "reset": {("connect", errno.ECONNRESET), ("tls", None)},
    "accept": {("tls", None)},
    "accept_close": {("tls", None)},
    "accept_silent": {PENDING},
    "trusted": {CONNECTED},
    "expired": {("tls", None)},
}


# The same if a ping has to be answered before the connect counts.
READY_FATES: dict[str, set[Fate]] = FATES | {
    "reset": {
        ("connect", errno.ECONNRESET),
        ("ready", errno.ECONNRESET),
        ("ready", errno.EPIPE),
    },
    "accept_close": {("ready", errno.ECONNRESET), ("ready", errno.EPIPE)},
    "accept_silent": {PENDING},
}


class Bug(Exception):  # noqa: N818  # what a caller's own function raises
    """A mistake in a hook, an observer or a resolver."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, and a word for each attempt at it; the last word is repeated."""

    host: str
    words: tuple[str, ...]

    @property
    def family(self) -> int:
        """The family of the host."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


@dataclass(frozen=True, slots=True)
class Program:
    """One call: its endpoints, its faults and its options.

    *lookups* are the look-ups of its name, by family, round by round; if empty, there
    is no name.  The whole answer may lack what those apart have, and the reverse.
    *faults* are what the k-th call of the last hook raises.  *observer* is None, or the
    number of the event at which the observer fails (0: at none).  The call is cancelled
    after *wait* seconds and *cancel* iterations of the loop, or never if that is None.
    *is_ready*: the peer has to answer a ping.  *is_any*: each endpoint is a target.
    *is_over_loop*: asyncio's own function makes the call.
    """

    endpoints: tuple[Endpoint, ...]
    lookups: dict[int, list[Lookup]]
    tls: bool
    streams: bool
    is_resolved: bool
    is_announced: bool
    timeout: float | None
    attempt_timeout: float | None
    delays: tuple[float, ...]
    retry_on: Callable[[OSError], bool] = is_transient
    family: int = socket.AF_UNSPEC
    local_families: tuple[int, ...] | None = None
    interleave: int | None = 1
    happy_eyeballs_delay: float | None = 0.25
    outcome: str = "default"
    faults: dict[int, type[Exception]] | None = None
    observer: int | None = None
    wait: float = 0.0
    cancel: int | None = None
    is_ready: bool = False
    is_any: bool = False
    races: bool = False
    is_over_loop: bool = False

    @property
    def fates(self) -> dict[str, set[Fate]]:
        """The possible results of an attempt, by the word that it meets."""
        if self.tls:
            return TLS_FATES  # a server that shakes hands answers a ping too
        return READY_FATES if self.is_ready else FATES

    @property
    def is_unix(self) -> bool:
        """Whether the call is to a Unix path."""
        return self.endpoints[0].host == ""

    def may_stay_pending(self) -> bool:
        """Tell whether the call might never end without a timeout."""
        if any(step.never for steps in self.lookups.values() for step in steps):
            return True
        words = [word for endpoint in self.endpoints for word in endpoint.words]
        if self.attempt_timeout is not None and self.attempt_timeout < GENEROUS:
            return False
        return any(PENDING in self.fates[word] for word in words)

    def found(self, number: int) -> set[str]:
        """Return the hosts of round *number* that are tried, if it goes to its end."""
        if not self.lookups:
            wrong = not self.is_resolved and self.family not in (
                0,
                self.endpoints[0].family,
            )
            if self.is_any:
                return {endpoint.host for endpoint in self.endpoints}
            return set() if wrong and not self.is_unix else {self.endpoints[0].host}
        whole = self.lookup(self.family, number)
        # Without a whole answer, what came apart is all there is.
        return hosts_in(whole) if is_answer(whole) else self.found_apart(number)

    def may_find(self, number: int) -> set[str]:
        """Return the hosts of round *number* that may be tried."""
        if not self.lookups:
            return self.found(number)
        whole = self.lookup(self.family, number)
        is_in_time = is_answer(whole) and not whole.delay
        apart = set() if is_in_time else self.found_apart(number)
        return self.found(number) | apart

    def found_apart(self, number: int) -> set[str]:
        """Return the hosts of round *number* if both families are asked for apart."""
        if self.family:
            return set()
        return {h for family in _INET for h in hosts_in(self.lookup(family, number))}

    def lookup(self, family: int, number: int) -> Lookup:
        """Return the look-up of *family* in round *number*."""
        steps = self.lookups[family]
        return steps[min(number, len(steps)) - 1]


def is_answer(lookup: Lookup) -> bool:
    """Tell whether *lookup* is the truth, if only that there is no address."""
    return not lookup.never and lookup.error != socket.EAI_AGAIN


def hosts_in(lookup: Lookup) -> set[str]:
    """Return the hosts that *lookup* has, if it has an answer."""
    return set() if lookup.never or lookup.error else set(lookup.addresses)


@dataclass(frozen=True, slots=True)
class Met:
    """What an attempt met: a word, and the exception of the last hook."""

    word: str
    fault: type[Exception] | None


def allowed(program: Program, family: int, met: Met) -> set[Fate]:
    """Return the allowed results of an attempt in *family* that *met* this."""
    if met.fault is not None:
        return {("socket", errno.EPERM)}
    bound = (socket.AF_UNIX, *(program.local_families or _INET))
    if family not in bound:
        return {("bind", errno.EADDRNOTAVAIL)}
    fates = set(program.fates[met.word])
    if PENDING in fates or program.attempt_timeout or program.timeout is not None:
        # On a slow machine, any attempt may run out of time.
        phases = ("connect", "tls", "ready")
        fates |= {(phase, errno.ETIMEDOUT) for phase in phases}
    return fates


def check_attempts(
    program: Program,
    attempts: Sequence[Attempt],
    met: dict[Address, list[Met]],
    rounds: int,
    is_whole: bool,
) -> None:
    """Check a history: each address once in each round, with what it met.

    The last of the *rounds* has to be complete only if it *is_whole*.
    """
    assert [a.round for a in attempts] == sorted(a.round for a in attempts)
    failures: dict[Address, int] = {}
    unverified: dict[Address, Exception] = {}
    for attempt in attempts:
        assert attempt.elapsed >= 0
        if attempt.address is None:
            check_lookup(program, attempt)
            continue
        # After a certificate that does not verify, the address is not tried again.
        assert attempt.error is unverified.get(attempt.address) or not (
            attempt.address in unverified or is_spared(attempt)
        )
        if is_spared(attempt):
            continue
        if isinstance(attempt.error, ssl.SSLCertVerificationError):
            unverified[attempt.address] = attempt.error
        count = failures.setdefault(attempt.address, 0)
        failures[attempt.address] += 1
        fates = allowed(program, attempt.address.family, met[attempt.address][count])
        assert isinstance(attempt.error, OSError)
        code = None if attempt.phase == "tls" else attempt.error.errno
        assert {(attempt.phase, code), (attempt.phase, attempt.error.errno)} & fates, (
            f"{attempt} met {met[attempt.address][count]}: only {fates} may come of it"
        )
    for number in range(1, rounds + 1):
        check_round(
            program,
            [a for a in attempts if a.round == number],
            number,
            is_whole or number < rounds,
        )
        if number < rounds:
            assert may_retry(program, attempts, number), f"round {number} was final"
            check_delay(program, attempts, number)


def check_round(
    program: Program, attempts: list[Attempt], number: int, is_whole: bool
) -> None:
    tried = [host_of(a.address) for a in attempts if a.address is not None]
    found, may = program.found(number), program.may_find(number)
    assert len(tried) == len(set(tried)), f"tried twice in round {number}: {tried}"
    assert set(tried) <= may, f"round {number} tried {tried}, which has {may}"
    if is_whole:
        assert set(tried) >= found, f"round {number} left out {found - set(tried)}"
        assert attempts


def check_delay(program: Program, attempts: Sequence[Attempt], number: int) -> None:
    """Check that the next round came after the delay of round *number*, not before.

    A delay that would pass the deadline is shortened, by half of the time at the most.
    The call began before its first attempt, so not even half of it is checked.
    """
    ended = max(a.started + a.elapsed for a in attempts if a.round == number)
    begun = [a.started for a in attempts if a.round == number + 1]
    delay = program.delays[number - 1]
    if program.timeout is not None:
        left = program.timeout - (ended - attempts[0].started)
        if delay > left / 4:
            return
    assert min(begun, default=math.inf) >= ended + delay - TICK


def check_lookup(program: Program, attempt: Attempt) -> None:
    """Check an attempt without an address: its look-up has failed."""
    assert attempt.phase == "resolve"
    if isinstance(attempt.error, TimeoutError):
        assert program.timeout is not None
        return
    assert isinstance(attempt.error, socket.gaierror)
    # Otherwise another look-up's answer came too late.
    assert program.timeout is not None or not program.found(attempt.round)


def may_retry(program: Program, attempts: Sequence[Attempt], number: int) -> bool:
    """Tell whether another round may follow round *number*."""
    return number <= len(program.delays) and any(
        isinstance(a.error, OSError)
        and not isinstance(a.error, ssl.SSLCertVerificationError)
        and program.retry_on(a.error)
        for a in speaking(attempts, number)
    )


def speaking(attempts: Sequence[Attempt], number: int) -> list[Attempt]:
    """Return those of round *number* that were connected, or all if none was."""
    all_of_it = [a for a in attempts if a.round == number]
    phases = ("proxy", "tls", "adopt")
    connected = [a for a in all_of_it if a.phase in phases and not is_spared(a)]
    return connected or all_of_it


def is_spared(attempt: Attempt) -> bool:
    """Tell whether *attempt* only repeats an error, and nothing was sent."""
    return not attempt.sent and attempt.phase == "tls"


def check_error(
    program: Program, error: ConnectError, met: dict[Address, list[Met]]
) -> None:
    """Check that *error* is the one error that the contract demands for the call."""
    assert "\n" not in str(error)
    same = pickle.loads(pickle.dumps(error))
    assert (type(same), str(same), same.attempt_count) == (
        type(error),
        str(error),
        error.attempt_count,
    )
    assert error.attempt_count == len(error.attempts)
    rounds = error.rounds
    if isinstance(error, ConnectTimeoutError) and is_over(program, error):
        assert error.errno == errno.ETIMEDOUT
        check_attempts(program, error.attempts, met, rounds, False)
        return
    check_attempts(program, error.attempts, met, rounds, True)
    # Each attempt that began has failed, whatever became of the others.
    for address, words in met.items():
        if program.is_announced:
            made = [a.address for a in error.attempts if not is_spared(a)]
            assert len(words) == made.count(address)
    assert not may_retry(program, error.attempts, rounds), "it gave up too early"
    check_class(error, speaking(error.attempts, rounds))


def is_over(program: Program, error: ConnectError) -> bool:
    """Tell whether the deadline has passed, or the last allowed round has failed."""
    if program.timeout is None:
        return False
    # A shortened delay lasted for at least half of the time.
    least = program.timeout / 2 if error.rounds > 1 else program.timeout
    return error.elapsed >= least - TICK


def check_class(error: ConnectError, attempts: list[Attempt]) -> None:
    """Check the class and the errno, on which the attempts have to agree."""
    never_sent = ("resolve", "guard", "socket", "bind")
    sent = [a for a in attempts if a.phase not in never_sent and not is_spared(a)]
    sent = sent or attempts
    errors = [a.error for a in sent if isinstance(a.error, OSError)]
    kinds = {kind_of(e) for e in errors}
    if len(kinds) > 1:
        assert (type(error), error.errno) == (ConnectError, None)
        return
    (kind,) = kinds
    if kind is socket.gaierror:
        assert isinstance(error, ResolveError)
    elif isinstance(kind, type):
        assert isinstance(error, kind)
    else:
        assert isinstance(error, type(errors[0]))
        assert error.errno == kind


def kind_of(error: OSError) -> type[OSError] | int:
    """Return what has to be the same for all attempts: a class, or the errno."""
    for kind in (ssl.SSLCertVerificationError, ssl.SSLError, socket.gaierror):
        if isinstance(error, kind):
            return kind
    return error.errno or _CODES[type(error)]


def host_of(address: Address) -> str:
    """Return the host of *address*, or an empty text for a Unix path."""
    return str(address.sockaddr[0]) if isinstance(address.sockaddr, tuple) else ""
