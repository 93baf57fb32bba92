"""Ask for the addresses of several places at once, so that they can be raced.

The places take turns: the first address of each, then the second of each.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Sequence

from ._address import Address
from ._errors import AttemptError, no_answer
from ._eyeballs import Question
from ._names import Failure, LookUp, Names
from ._options import Options
from ._place import Place
from ._services import ServiceLookUp

__all__ = ["Several"]


class Several:
    """The look-ups of *places*, on the running loop, under *options*.

    The hosts and ports of a service take its place once they are known.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        places: Sequence[Place],
    ) -> None:
        self._loop = loop
        self._options = options
        self._unasked: list[Question] = []
        self._numbers = itertools.count()
        # By the number of the place, in the order in which the places take turns.
        self._found: dict[int, list[Address]] = {}
        self._ordered: dict[int, Sequence[Address]] = {}
        self._names: dict[int, Names] = {}
        self._services: dict[int, str] = {}
        self._asked: dict[int, ServiceLookUp] = {}
        self._failures: list[Failure] = []
        for place in places:
            self._add(place)

    def known(self) -> tuple[Address, ...]:
        """Return the addresses that nobody has to be asked for."""
        return tuple(itertools.chain.from_iterable(self._found.values()))

    def _add(self, place: Place) -> None:
        number = next(self._numbers)
        found = self._found[number] = []
        now = self._loop.time()
        if place.service is not None:
            self._services[number] = place.service
            self._unasked.append((number, socket.AF_UNSPEC))
        elif place.address is not None:
            found.append(place.address)
        else:
            port = place.port or 0
            names = Names(self._loop, self._options, place.host, port, number)
            try:
                known = names.known()
            except AttemptError as exc:
                self._failures.append(Failure(place.host, _bare(exc), now, now))
                return
            self._names[number] = names
            self._unasked += names.unasked()
            found += known or ()

    def unasked(self) -> Sequence[Question]:
        """Do what `Names.unasked` does."""
        unasked, self._unasked = self._unasked, []
        return unasked

    def ask(self, question: Question) -> LookUp:
        """Do what `Names.ask` does."""
        service = self._services.get(question[0])
        if service is not None:
            asked = ServiceLookUp(self._loop, self._options, service)
            self._asked[question[0]] = asked
            return asked.future
        return self._names[question[0]].ask(question)

    def answer(self, question: Question, lookup: LookUp) -> Sequence[Address]:
        """Do what `Names.answer` does."""
        number = question[0]
        if number in self._services:
            return self._expand(number, self._asked.pop(number))
        found = self._names[number].answer(question, lookup)
        self._found[number] += found
        self._ordered.pop(number, None)
        return found

    def _expand(self, number: int, asked: ServiceLookUp) -> Sequence[Address]:
        """Put the places of a service where it was; return what is known of them."""
        service = self._services.pop(number)
        try:
            places = asked.places()
        except AttemptError as exc:
            now = self._loop.time()
            self._failures.append(Failure(service, _bare(exc), asked.started, now))
            return ()
        others, self._found = self._found, {}
        added: tuple[Address, ...] = ()
        for each, found in others.items():
            if each != number:
                self._found[each] = found
                continue
            known = len(self.known())
            for place in places:
                self._add(place)
            added = self.known()[known:]
        return added

    def ordered(self, _: Sequence[Address]) -> Sequence[Address]:
        """Return all addresses, each place's in its order, the places in turns."""
        rows = [self._row(number, found) for number, found in self._found.items()]
        turns = itertools.chain.from_iterable(itertools.zip_longest(*rows))
        return tuple(dict.fromkeys(one for one in turns if one is not None))

    @property
    def knows_all(self) -> bool:
        """Whether every question was answered, if with no."""
        names = self._names.values()
        return not (self._services or self._failures) and all(
            one.knows_all for one in names
        )

    def _row(self, number: int, found: list[Address]) -> Sequence[Address]:
        # Asking the kernel about each place with each answer would take for ever.
        row = self._ordered.get(number)
        if row is None:
            names = self._names.get(number)
            row = found if names is None else names.ordered(tuple(found))
            self._ordered[number] = row
        return row

    def failures(self) -> list[Failure]:
        """Return the look-ups that left a place without an address."""
        hung = no_answer("resolve")
        return [
            *self._failures,
            *(
                Failure(one.service, hung, one.started, None)
                for one in self._asked.values()
            ),
            *(one for names in self._names.values() for one in names.failures()),
        ]


def _bare(exc: AttemptError) -> AttemptError:
    return exc.with_traceback(None)  # which has this frame, and that what it is in
