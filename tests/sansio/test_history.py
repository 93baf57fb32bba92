"""What is remembered of addresses: times in, advice out."""

from __future__ import annotations

import copy
import math
import pickle
import socket
import threading

import pytest

from aioconnect import Address, History
from aioconnect._sansio.happy_eyeballs import HappyEyeballs


def four(number: int) -> Address:
    return Address(socket.AF_INET, (f"192.0.{number >> 8}.{number & 255}", 80))


def race(history: History, now: float, delay: float | None = 0.25) -> HappyEyeballs:
    """Return a race of three addresses that begins *now*."""
    subject = HappyEyeballs(
        attempt_delay=delay,
        resolution_delay=None,
        first_family_count=1,
        sort=tuple,
        advice=history.advice(now),
    )
    query = ((), socket.AF_UNSPEC)
    subject.asked(query, now)
    subject.answered(query, [four(1), four(2), four(3)], now)
    return subject


def order(history: History, now: float) -> list[Address]:
    return list(race(history, now).take_untried())


def test_what_failed_lately_goes_last() -> None:
    """For ten minutes, and until it works again."""
    history = History()
    assert order(history, 0.0) == [four(1), four(2), four(3)]
    history.failed(four(1), 0.0)
    assert order(history, 599.0) == [four(2), four(3), four(1)]
    assert order(history, 601.0) == [four(1), four(2), four(3)]
    history.failed(four(1), 700.0)
    history.failed(four(2), 700.0)
    assert order(history, 700.0) == [four(3), four(1), four(2)]
    history.usable(four(1), 701.0)
    assert order(history, 702.0) == [four(1), four(3), four(2)]


@pytest.mark.parametrize("now", [0.071, 4.294, 99.999])
def test_when_the_next_one_may_start_the_last_one_has_had_its_time(now: float) -> None:
    """Neither before nor after: the difference of two times is rounded otherwise."""
    subject = race(History(), now, 0.1)
    first = subject.next_address(now)
    assert first is not None
    next_start = subject.next_start()
    assert next_start is not None
    assert not subject.had_time(first, math.nextafter(next_start, 0.0))
    assert subject.had_time(first, next_start)
    assert not subject.had_time(four(2), next_start)


def test_connected_is_not_usable() -> None:
    """An address that accepts, and then stalls, has failed all the same."""
    history = History()
    history.failed(four(1), 0.0)
    history.connected(four(1), 0.01, 1.0)
    assert order(history, 2.0) == [four(2), four(3), four(1)]


def test_now_and_then_nothing_goes_last() -> None:
    """So that clients notice that it is back, and agree again."""
    history = History()
    history.failed(four(1), 0.0)
    firsts = [order(history, 1.0)[0] for _ in range(32)]
    assert firsts.count(four(1)) == 2
    assert firsts[0] == four(2), "and not at once"


def test_targets_of_a_race_go_last_too() -> None:
    history = History()
    history.failed(four(1), 0.0)
    subject = HappyEyeballs(
        attempt_delay=None,
        resolution_delay=None,
        first_family_count=1,
        sort=tuple,
        advice=history.advice(1.0),
    )
    for target, numbers in enumerate(([1], [2, 3])):
        found = [four(number) for number in numbers]
        subject.answered(((target,), socket.AF_UNSPEC), found, 1.0)
    assert list(subject.take_untried()) == [four(2), four(3), four(1)]


@pytest.mark.parametrize(
    ("round_trip", "delay"),
    [(0.0, 0.1), (0.02, 0.1), (0.1, 0.3), (1.5, 2.0)],
)
def test_delay_of_an_address_whose_round_trip_is_known(
    round_trip: float, delay: float
) -> None:
    """RFC 6298's first timeout, within 100 ms and 2 s; of others the option's."""
    history = History()
    history.connected(four(1), round_trip, 0.0)
    subject = race(history, 1.0)
    assert subject.next_address(1.0) == four(1)
    assert subject.next_start() == pytest.approx(1.0 + delay)
    assert subject.next_address(5.0) == four(2)
    assert subject.next_start() == 5.25
    one_at_a_time = race(history, 1.0, delay=None)
    assert one_at_a_time.next_address(1.0) == four(1)
    assert one_at_a_time.next_start() is None


def test_a_round_trip_expires() -> None:
    history = History()
    history.connected(four(1), 0.5, 0.0)
    subject = race(history, 601.0)
    subject.next_address(601.0)
    assert subject.next_start() == 601.25


def test_at_most_1024_addresses() -> None:
    """The oldest are forgotten; what is told again is new."""
    history = History()
    for number in range(1024):
        history.failed(four(number), 0.0)
    history.failed(four(0), 0.0)
    history.failed(four(5000), 0.0)
    assert history.recall(four(1), 0.0) is None
    assert history.recall(four(0), 0.0) is not None
    assert repr(history) == "<History of 1024 addresses>"


def test_copies_begin_empty() -> None:
    """Times of another machine would mean nothing."""
    history = History()
    history.failed(four(1), 0.0)
    for one in (pickle.loads(pickle.dumps(history)), copy.copy(history)):
        assert type(one) is History
        assert one.recall(four(1), 0.0) is None
    assert history != History()
    assert hash(history) == hash(history)


def test_threads_share_it() -> None:
    """Nothing is lost, and nothing raises, when all are full."""
    history = History()

    def fill(begin: int) -> None:
        for number in range(begin, begin + 2000):
            history.connected(four(number), 0.01, 0.0)
            history.failed(four(number), 0.0)

    threads = [threading.Thread(target=fill, args=(n * 1000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repr(history) == "<History of 1024 addresses>"
