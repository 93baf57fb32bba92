"""Fetch URLs that users give, and never an address of your own network.

The guard sees each address just before the connect.  So a name that changes its address
after a check does not get through, and neither does a redirect.

It needs the extra ``httpx2``.  Run: python docs/examples/ssrf_safe_fetch.py URL ...
"""

import argparse
import asyncio
import sys

import httpx2

import aioconnect
from aioconnect.contrib.httpx2 import ConnectorTransport

LARGEST = 5_000_000  # bytes of a body
LONGEST = 30.0  # seconds for all of it: redirects, headers and body

CONNECTOR = aioconnect.Connector(allow=aioconnect.only_public, timeout=10)


class FetchError(Exception):
    """The URL could not be fetched.  The text says why, and is fit for the user."""


async def fetch(url: str, *, connector: aioconnect.Connector = CONNECTOR) -> bytes:
    """Return the body at *url*, after up to five redirects.

    Raises:
        FetchError: It could not be fetched, or must not be.
    """
    try:
        # trust_env=False: no proxy and no password of this machine is used.
        async with (
            asyncio.timeout(LONGEST),
            httpx2.AsyncClient(
                transport=ConnectorTransport(connector),
                follow_redirects=True,
                max_redirects=5,
                trust_env=False,
            ) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            body = bytearray()
            async for data in response.aiter_bytes():
                body += data
                if len(body) > LARGEST:
                    raise FetchError(f"the body has more than {LARGEST} bytes")
            return bytes(body)
    except TimeoutError:
        raise FetchError(f"it took more than {LONGEST:g} s") from None
    except httpx2.InvalidURL as error:
        raise FetchError(f"this is no URL: {error}") from error
    except httpx2.HTTPStatusError as error:
        raise FetchError(f"the server answered {error.response.status_code}") from error
    except httpx2.HTTPError as error:
        raise FetchError(reason(error)) from error


def reason(error: BaseException) -> str:
    """Say why: the errors of a connect are causes of httpx2's error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aioconnect.AddressBlockedError):
            return "this address is not public"
        if isinstance(cause, aioconnect.ConnectError):
            return str(cause)
        cause = cause.__cause__
    return str(error) or type(error).__name__


async def main(urls: list[str]) -> int:
    """Print the size of each body, or the reason; return the exit status."""
    status = 0
    for url in urls:
        try:
            print(f"{url}: {len(await fetch(url))} bytes")
        except FetchError as error:
            print(f"{url}: {error}")
            status = 1
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+", metavar="URL")
    sys.exit(asyncio.run(main(parser.parse_args().urls)))
