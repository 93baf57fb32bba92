"""What each option accepts, and what is refused when it is given."""

from __future__ import annotations

import collections
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aioconnect import Connector


class Array(collections.UserList[float]):
    """A list that, like numpy's arrays, is neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


@pytest.mark.parametrize("kind", [list, collections.deque, Array])
def test_mutable_delays(kind: Any) -> None:
    """A mutable collection is copied, and checked at once."""
    delays = kind([0.1, 0.2])
    connector = Connector(retry=delays)
    delays[0] = 5
    assert connector.retry == (0.1, 0.2)
    assert hash(connector) == hash(Connector(retry=(0.1, 0.2)))
    assert "retry=(0.1, 0.2)" in repr(connector)
    with pytest.raises(ValueError, match="retry must be 0 or more"):
        Connector(retry=kind([-1.0]))


@pytest.mark.parametrize("delays", [range(10**12), frozenset({0.1})])
def test_immutable_delays(delays: Any) -> None:
    """An immutable collection is kept as it is, however long."""
    assert Connector(retry=delays).retry is delays


class Endless:
    """Delays that are no collection, and compare by identity."""

    __hash__ = None  # type: ignore[assignment]  # that is the test

    def __iter__(self) -> Iterator[float]:
        raise AssertionError("drawn before there was a call")


def test_endless_delays_are_not_drawn_beforehand() -> None:
    delays = Endless()
    assert Connector(retry=delays).retry is delays


@pytest.mark.parametrize("name", ["retry_on", "resolver", "ready", "allow", "observer"])
def test_a_class_is_refused(name: str) -> None:
    """A call of it returns an object, which is true: every error would be retried."""
    options: Any = {name: ConnectionResetError}
    with pytest.raises(TypeError, match=f"{name} must be a function, not the class"):
        Connector(**options)


class AsynchronousCallable:
    async def __call__(self, *what: object) -> bool:
        raise AssertionError(what)


async def asynchronous_generator(*what: object) -> AsyncIterator[bool]:
    yield True


@pytest.mark.parametrize(
    "asked",
    [AsynchronousCallable(), AsynchronousCallable().__call__, asynchronous_generator],
)
@pytest.mark.parametrize(
    "name", ["retry_on", "allow", "observer", "outcome", "prepare"]
)
def test_an_asynchronous_function_is_refused(name: str, asked: Any) -> None:
    """A coroutine is true: every error would be retried."""
    options: Any = {name: [asked] if name == "prepare" else asked}
    with pytest.raises(TypeError, match=f"{name} must not be an asynchronous function"):
        Connector(**options)


class Proxy:
    """An object with every attribute, like a proxy for a remote object."""

    def __getattr__(self, name: str) -> Proxy:
        return self

    def __call__(self, *what: object) -> bool:
        return True


def test_an_object_with_every_attribute_is_accepted() -> None:
    proxy = Proxy()
    assert Connector(retry_on=proxy).retry_on is proxy
