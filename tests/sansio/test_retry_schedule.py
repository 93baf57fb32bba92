"""The rounds of a call: times in, steps out; no clock, no socket."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from aioconnect._sansio.deadline import Deadline
from aioconnect._sansio.endpoints import Endpoint
from aioconnect._sansio.retry_schedule import (
    GiveUp,
    RetrySchedule,
    Sleep,
    Try,
    shorten_last_delay,
)

ONE, TWO, THREE = (Endpoint(name, 80) for name in ("one", "two", "three"))
TIME_IS_UP, NOTHING_LEFT = GiveUp(is_timeout=True), GiveUp(is_timeout=False)


def always() -> bool:
    """Accept each error."""
    return True


def never() -> bool:
    """Accept none."""
    return False


def schedule(
    *endpoints: Endpoint,
    timeout: float | None = None,
    delays: Iterable[float] | None = (),
    races: bool = False,
) -> RetrySchedule:
    """Return the schedule of a call that starts at 100 s."""
    return RetrySchedule(
        endpoints or (ONE,),
        started=100.0,
        timeout=timeout,
        delays=delays,
        races=races,
    )


def play(
    subject: RetrySchedule,
    steps: Sequence[tuple[float, Any]],
    may_retry: Callable[[], bool] = always,
) -> None:
    """Ask *subject* at each time, and compare; what it says to sleep is slept."""
    for now, expected in steps:
        step = subject.next(now, may_retry)
        assert step == expected, f"at {now}"
        if isinstance(step, Sleep):
            subject.rested()


def test_turns_and_rounds() -> None:
    """Each endpoint has its turn in each round, and a delay is between rounds."""
    subject = schedule(ONE, TWO, delays=(0.5, 1.0))
    never_ends = Deadline()
    play(
        subject,
        [
            (100.0, Try(ONE, never_ends)),
            (101.0, Try(TWO, never_ends)),
            (102.0, Sleep(102.5, 0.5)),
            (102.5, Try(ONE, never_ends)),
            (103.0, Try(TWO, never_ends)),
            (104.0, Sleep(105.0, 1.0)),
            (105.0, Try(ONE, never_ends)),
            (105.0, Try(TWO, never_ends)),
            (105.0, NOTHING_LEFT),
        ],
    )
    assert subject.round == 3


def test_raced_endpoints_share_a_turn() -> None:
    subject = schedule(ONE, TWO, races=True)
    play(subject, [(100.0, Try(ONE, Deadline())), (101.0, NOTHING_LEFT)])


def test_the_policy_refuses() -> None:
    """No delay is drawn for an error that it does not accept."""
    drawn: list[float] = []

    def delays() -> Iterable[float]:
        drawn.append(1.0)
        yield 1.0

    subject = schedule(delays=delays())
    play(subject, [(100.0, Try(ONE, Deadline())), (101.0, NOTHING_LEFT)], never)
    assert not drawn


def test_the_verdict_stands() -> None:
    """Who is cancelled when the policy has given up gets no other round for it."""
    subject = schedule()
    play(subject, [(100.0, Try(ONE, Deadline())), (101.0, NOTHING_LEFT)])
    subject.resume(102.0)
    play(subject, [(102.0, NOTHING_LEFT)])


def test_shares_of_turns() -> None:
    """Each has its share of what is left; the last one leaves one to the next round."""
    subject = schedule(ONE, TWO, THREE, timeout=60.0, delays=(1.0,))
    play(
        subject,
        [
            (100.0, Try(ONE, Deadline(120.0, "turn"))),
            (100.0, Try(TWO, Deadline(130.0, "turn"))),
            (100.0, Try(THREE, Deadline(130.0, "turn"))),
        ],
    )


def test_the_last_turn_has_all_that_is_left() -> None:
    subject = schedule(ONE, TWO, timeout=60.0)
    play(
        subject,
        [
            (100.0, Try(ONE, Deadline(130.0, "turn"))),
            (110.0, Try(TWO, Deadline(160.0))),
        ],
    )


def test_one_endpoint_leaves_nothing_to_the_next_round() -> None:
    """An attempt timeout is what bounds it, if anything does."""
    play(schedule(timeout=60.0, delays=(1.0,)), [(100.0, Try(ONE, Deadline(160.0)))])


def test_a_delay_is_cut_short_for_a_last_round() -> None:
    """The deadline is used to its end."""
    subject = schedule(timeout=10.0, delays=(3600.0, 1.0))
    call = Deadline(110.0)
    play(subject, [(100.0, Try(ONE, call))])
    subject.answered(102.0)
    # Twice the longest answer, which was 2 s, before the end.
    play(
        subject,
        [
            (102.0, Sleep(106.0, 4.0)),
            (106.0, Try(ONE, call)),
            (107.0, TIME_IS_UP),
        ],
    )


def test_what_was_expired_says_nothing_about_answers() -> None:
    """50 ms are left for the last round, at least."""
    subject = schedule(timeout=60.0, delays=(3600.0,))
    play(subject, [(100.0, Try(ONE, Deadline(160.0)))])
    subject.expired("attempt")
    step = subject.next(120.0, always)
    assert isinstance(step, Sleep)
    assert step.until == pytest.approx(160.0 - 0.05)


def test_what_a_success_takes_is_expected() -> None:
    subject = schedule(timeout=60.0, delays=(3600.0,))
    subject.expect(10.0)
    play(subject, [(100.0, Try(ONE, Deadline(160.0))), (100.0, Sleep(140.0, 40.0))])


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("attempt", Try(TWO, Deadline(160.0))),
        ("turn", Try(TWO, Deadline(160.0))),
        ("call", TIME_IS_UP),
    ],
)
def test_by_which_limit_an_attempt_expires(limit: Any, expected: Any) -> None:
    """Only the deadline of the call ends the call."""
    subject = schedule(ONE, TWO, timeout=60.0)
    play(subject, [(100.0, Try(ONE, Deadline(130.0, "turn")))])
    subject.expired(limit)
    play(subject, [(130.0, expected)])


def test_no_time_at_all() -> None:
    play(schedule(timeout=0.0), [(100.0, TIME_IS_UP)])


def test_the_loop_was_late() -> None:
    """A round without time is not counted."""
    subject = schedule(timeout=1.0, delays=(0.0,))
    play(
        subject,
        [
            (100.0, Try(ONE, Deadline(101.0))),
            (100.5, Sleep(100.5, 0.0)),
            (101.5, TIME_IS_UP),
        ],
    )
    assert subject.round == 1


def test_the_time_is_up_before_the_next_round() -> None:
    subject = schedule(timeout=1.0, delays=(0.0,))
    play(subject, [(100.0, Try(ONE, Deadline(101.0))), (101.0, TIME_IS_UP)])


def test_no_retries() -> None:
    """A caller's socket is used once: there is no policy to ask."""
    subject = schedule(ONE, TWO, timeout=60.0, delays=None)
    play(
        subject,
        [
            (100.0, Try(ONE, Deadline(130.0, "turn"))),
            (100.0, Try(TWO, Deadline(160.0))),
            (100.0, NOTHING_LEFT),
        ],
    )


def test_expanded() -> None:
    """The endpoints of a service take its turn, and share the time with the others."""
    subject = schedule(ONE, THREE, timeout=60.0)
    play(subject, [(100.0, Try(ONE, Deadline(130.0, "turn")))])
    found = [Endpoint("a", 1), Endpoint("b", 2)]
    assert subject.expand(found, 100.0) == Try(found[0], Deadline(120.0, "turn"))
    play(
        subject,
        [
            (100.0, Try(found[1], Deadline(130.0, "turn"))),
            (100.0, Try(THREE, Deadline(160.0))),
            (100.0, NOTHING_LEFT),
        ],
    )


def test_the_only_one_is_expanded() -> None:
    """From then on its endpoints share with the next round, too."""
    subject = schedule(timeout=60.0, delays=(1.0,))
    play(subject, [(100.0, Try(ONE, Deadline(160.0)))])
    found = [Endpoint("a", 1), Endpoint("b", 2)]
    assert subject.expand(found, 100.0) == Try(found[0], Deadline(130.0, "turn"))
    play(subject, [(100.0, Try(found[1], Deadline(130.0, "turn")))])


def test_a_service_with_one_endpoint() -> None:
    """It shares with the next round, in which the service may be elsewhere."""
    subject = schedule(timeout=60.0, delays=(1.0, 1.0))
    play(subject, [(100.0, Try(ONE, Deadline(160.0)))])
    assert subject.expand([TWO], 100.0) == Try(TWO, Deadline(130.0, "turn"))
    play(
        subject,
        [(130.0, Sleep(131.0, 1.0)), (132.0, Try(ONE, Deadline(160.0)))],
    )
    assert subject.expand([TWO], 132.0) == Try(TWO, Deadline(146.0, "turn"))


def test_no_delay_is_drawn_before_it_is_needed() -> None:
    """Drawing one can have effects, or fail; a turn that connects needs none."""
    drawn: list[str] = []

    class Delays:
        def __iter__(self) -> Iterator[float]:
            drawn.append("iterator")
            return self._generate()

        def _generate(self) -> Iterator[float]:
            drawn.append("delay")
            yield -1.0

    subject = schedule(ONE, TWO, delays=Delays())
    play(subject, [(100.0, Try(ONE, Deadline())), (101.0, Try(TWO, Deadline()))])
    assert not drawn
    with pytest.raises(ValueError, match="retry must be 0 or more"):
        subject.next(102.0, always)
    assert drawn == ["iterator", "delay"]


def test_begun_before_there_was_a_call() -> None:
    """Its failure is one of the first round, whatever the time is."""
    subject = schedule(ONE, TWO, timeout=0.0, delays=(1.0,))
    subject.begin()
    assert subject.round == 1
    play(subject, [(100.0, TIME_IS_UP)])


def test_lost() -> None:
    """Another round follows, with time anew, whatever errors may be retried."""
    subject = schedule(timeout=60.0, delays=(5.0,))
    play(subject, [(100.0, Try(ONE, Deadline(160.0)))])
    subject.expired("call")  # a sibling's time was up when another won
    subject.lost(1000.0)
    play(
        subject,
        [(1000.0, Sleep(1005.0, 5.0)), (1005.0, Try(ONE, Deadline(1060.0)))],
        never,
    )
    assert subject.round == 2


def test_resumed_while_it_slept() -> None:
    """The delay continues, and is not announced again."""
    subject = schedule(timeout=60.0, delays=(5.0,))
    play(subject, [(100.0, Try(ONE, Deadline(160.0)))])
    assert subject.next(100.0, always) == Sleep(105.0, 5.0)
    subject.resume(102.0)
    play(
        subject,
        [(102.0, Sleep(105.0, None)), (105.0, Try(ONE, Deadline(162.0)))],
    )
    assert subject.round == 2


def test_resumed_in_a_round() -> None:
    """The round begins again, and is the same one."""
    subject = schedule(ONE, TWO, timeout=60.0)
    play(subject, [(100.0, Try(ONE, Deadline(130.0, "turn")))])
    subject.resume(110.0)
    play(subject, [(110.0, Try(ONE, Deadline(140.0, "turn")))])
    assert subject.round == 1


def test_bad_delay() -> None:
    """An impossible delay is found when it is drawn."""
    subject = schedule(delays=(-1.0,))
    play(subject, [(100.0, Try(ONE, Deadline()))])
    with pytest.raises(ValueError, match="retry must be 0 or more"):
        subject.next(100.0, always)


@pytest.mark.parametrize(
    ("delay", "left", "longest_answer", "cut"),
    [
        (1.0, 5.0, 0.0, 1.0),  # it ends in time
        (4.95, 5.0, 0.0, 4.95),
        (4.96, 5.0, 0.0, 4.95),  # 50 ms at the least
        (9.0, 5.0, 0.001, 4.95),
        (9.0, 5.0, 0.5, 4.0),  # twice the longest answer
        (9.0, 5.0, 4.0, 2.5),  # half of what is left at the most
        (9.0, 0.06, 0.0, 0.03),
        (0.0, 0.06, 9.0, 0.0),
        (9.0, math.inf, 1.0, 9.0),  # without an end nothing is cut
    ],
)
def test_a_last_round(
    delay: float, left: float, longest_answer: float, cut: float
) -> None:
    """A delay that would reach past the end is cut short for a last round."""
    assert shorten_last_delay(delay, left, longest_answer) == pytest.approx(cut)
