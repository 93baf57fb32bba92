"""Raise aiohttp's errors for those of a connect, also for a wrong fingerprint."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from .._calls.ready import Ready
from .._sansio.errors import ConnectError

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey

__all__ = ["VerifiedFingerprint", "translating_errors"]


@dataclass(frozen=True, slots=True)
class VerifiedFingerprint:
    """A *ready* hook that verifies the server's *fingerprint*, then calls *ready*."""

    fingerprint: aiohttp.Fingerprint
    ready: Ready | None

    async def __call__(self, transport: asyncio.Transport, protocol: Any) -> object:
        try:
            self.fingerprint.check(transport)
        except aiohttp.ServerFingerprintMismatch as exc:
            # As for a certificate, the next address is tried, and this one never again.
            text = "the certificate has another fingerprint"
            raise ssl.SSLCertVerificationError(1, text) from exc
        return None if self.ready is None else await self.ready(transport, protocol)


@contextmanager
def translating_errors(
    key: ConnectionKey, failed: Callable[..., Exception] = aiohttp.ClientConnectorError
) -> Generator[None]:
    """Raise aiohttp's error for each error of a connect.

    *failed* makes the error if none of aiohttp's other classes fits.

    A `TimeoutError` is not replaced.  The session turns it into aiohttp's own error.
    """
    try:
        yield
    except ssl.SSLCertVerificationError as exc:
        if (mismatch := _mismatch(exc)) is not None:
            raise mismatch from exc
        raise aiohttp.ClientConnectorCertificateError(key, exc) from exc
    except ssl.SSLError as exc:
        raise aiohttp.ClientConnectorSSLError(key, exc) from exc
    except socket.gaierror as exc:
        raise aiohttp.ClientConnectorDNSError(key, exc) from exc
    except TimeoutError:
        raise
    except OSError as exc:
        raise failed(key, exc) from exc


def _mismatch(error: OSError) -> aiohttp.ServerFingerprintMismatch | None:
    """Return a copy of the mismatch that caused *error*, or None if another error did.

    The original cannot be raised: it would be the cause of its own cause.
    """
    attempts = error.attempts if isinstance(error, ConnectError) else ()
    for attempt in reversed(attempts):
        cause = attempt.error.__cause__
        if isinstance(cause, aiohttp.ServerFingerprintMismatch):
            return aiohttp.ServerFingerprintMismatch(*cause.args)
    return None
