"""Fetch URLs that users give, and never an address of your own network.

The guard sees each address just before the connect.  So a name that changes its address
after a check does not get through, and neither does a redirect.

It needs the extra ``httpx2``.  Run: python docs/examples/ssrf_safe_fetch.py URL ...
"""

import argparse
import asyncio
import ssl
import sys

import httpx2

import aioconnect
from aioconnect.contrib.httpx2 import ConnectorTransport

LARGEST = 5_000_000  # bytes of a body
LONGEST = 30.0  # seconds for all of it: redirects, headers and body

CONNECTOR = aioconnect.Connector(allow=aioconnect.only_public, timeout=10)


class FetchError(Exception):
    """The text says why, and is fit for the user.

    The cause is for your log: it can name addresses of your own network.
    """


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
                timeout=httpx2.Timeout(5, connect=None),  # the connector has its own
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


REASONS: dict[type[BaseException], str] = {
    aioconnect.AddressBlockedError: "this address is not public",
    aioconnect.ResolveError: "this name cannot be looked up",
    aioconnect.ConnectRefusedError: "the server refuses connections",
    aioconnect.ConnectTimeoutError: "the server did not answer in time",
    ssl.SSLError: "there is no secure connection to the server",
    aioconnect.ConnectError: "the server cannot be reached",
    ValueError: "this host or port cannot exist",
}


def reason(error: BaseException) -> str:
    """Say why.  The errors of a connect are causes of httpx2's error."""
    for kind, text in REASONS.items():
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, kind):
            cause = cause.__cause__
        if cause is not None:
            return text
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
