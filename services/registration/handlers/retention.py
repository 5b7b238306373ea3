"""
Whom registration still knows, for how long, and letting go of those whose term has passed.

Where people appear is folded from our own log, like any reader's state, apart from the work that answers people: a
request costs nothing for it. Before anybody is let go, the fold catches up inside the writer's transaction, so that
who came back a moment ago is seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from contracts.facts import (
    NO_PROGRAMME,
    EnrolmentConfirmed,
    EnrolmentPending,
    EnrolmentPromoted,
    EnrolmentRefused,
    EnrolmentWaitlisted,
    EnrolmentWithdrawn,
    Fact,
    ParticipantAdded,
    ParticipantReplaced,
    ParticipantWithdrawn,
    PersonErased,
    ProgrammeWithdrawn,
    parse,
)
from contracts.queries import ExpiringPerson, PeopleExpiring, PeopleExpiringQuestion
from services.chassis.clock import Clock
from services.chassis.reader import load_position, save_position
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import retention
from services.registration.domain.retention import Appearance, Standing, Terms
from services.registration.handlers import people
from services.registration.store import Answer, terms
from services.registration.writer import Writer

FACTS_AT_ONCE = 500
PEOPLE_AT_ONCE = 500
GO_AT_ONCE = 50
"""People who are let go in one transaction: few, for each has facts of their own and others wait to be answered."""
BETWEEN_LOOKS = timedelta(hours=1)
"""By the service's own clock. Terms are days; a clock that was set forward is noticed all the same."""

_FOLD = "retention"
_DONE = Answer(204, b"")
_MORE = Answer(206, b"")

_log = structlog.get_logger("registration.retention")


class Retention:
    """Lets go of whose term has passed; :meth:`look` is to be called again and again."""

    def __init__(self, writer: Writer, clock: Clock, terms_: Terms) -> None:
        self._writer = writer
        self._clock = clock
        self._terms = terms_
        self._looked: datetime | None = None

    async def look(self) -> None:
        """Once an hour of the service's clock, fold what is new in the log and let go of whose term has passed."""
        now = self._clock()
        if self._looked is not None and timedelta(0) <= now - self._looked < BETWEEN_LOOKS:
            return
        await self.let_go(now)
        self._looked = now

    async def let_go(self, now: datetime) -> None:
        """Let go of whose term has passed, a few at a time."""
        await self._catch_up()
        said = await self._writer.perform(lambda batch: _forget_what_was_said(batch, now))
        if int(said.body or b"0"):
            _log.info("what people had said for a programme was deleted", fields=int(said.body))
        gone = 0
        waiting: list[str] = []
        async for person, until in self._everybody():
            if until is not None and until <= now:
                waiting.append(person)
            if len(waiting) >= GO_AT_ONCE:
                gone += await self._erase(waiting, now)
                waiting = []
        gone += await self._erase(waiting, now)
        if gone:
            _log.info("people whose term had passed were erased", people=gone)

    async def expiring(self, asked: PeopleExpiringQuestion) -> PeopleExpiring:
        """Who will be erased, and when."""
        await self._catch_up()
        horizon = self._clock() + timedelta(days=asked.within_days)
        due: list[tuple[datetime, str]] = []
        undecided = 0
        async for person, until in self._everybody():
            if until is None:
                undecided += 1
            elif until <= horizon:
                due.append((until, person))
        due.sort()
        return await self._writer.read(lambda batch: _told(batch, due, asked.limit, undecided))

    async def _everybody(self) -> AsyncIterator[tuple[str, datetime | None]]:
        after = ""
        while page := await self._writer.read(_page_behind(after)):
            for person, appearances in page:
                if appearances:
                    yield person, retention.known_until(appearances, self._terms)
            after = page[-1][0]

    async def _catch_up(self) -> None:
        while (await self._writer.perform(lambda batch: _DONE if fold(batch) else _MORE)).status == _MORE.status:
            pass

    async def _erase(self, persons: Iterable[str], now: datetime) -> int:
        wanted = list(persons)
        if not wanted:
            return 0
        answer = await self._writer.perform(lambda batch: _erase(batch, wanted, now, self._terms))
        return int(answer.body or b"0")


def fold(batch: Batch) -> bool:
    """Fold the next facts of the log; whether there are no more. What the batch itself has yet to write is not seen."""
    connection = batch.connection
    entries = store.LOG.read(connection, load_position(connection, _FOLD), FACTS_AT_ONCE)
    redefined: dict[str, None] = {}
    for entry in entries:
        fact = parse(entry.body)
        _follow(batch, entry.programme, fact)
        if entry.programme != NO_PROGRAMME and fact.type.partition(".")[0] in ("programme", "session"):
            redefined[entry.programme] = None
    for programme in redefined:
        # As the programme stands now, which may be further than the fold: what is to come only sets it again.
        ending = retention.ending(batch.programme(programme), terms.withdrawn(connection, programme))
        terms.set_ending(connection, programme, ending)
    if entries:
        save_position(connection, _FOLD, entries[-1].position)
    return len(entries) < FACTS_AT_ONCE


def _follow(batch: Batch, programme: str, fact: Fact) -> None:
    connection, time = batch.connection, fact.time
    match fact.data:
        case EnrolmentPending() | EnrolmentConfirmed() | EnrolmentWaitlisted() | EnrolmentRefused() as enrolled:
            standing = _STANDINGS[type(enrolled)]
            persons = [one.person for one in enrolled.participants]
            # Who has yet to confirm is known until then, and a term longer.
            since = enrolled.confirm_by if isinstance(enrolled, EnrolmentPending) else time
            terms.appear(connection, enrolled.enrolment, programme, persons, standing=standing, since=since)
        case EnrolmentPromoted(enrolment=enrolment):
            terms.stand(connection, enrolment, "confirmed", time)
        case EnrolmentWithdrawn(enrolment=enrolment):
            terms.stand(connection, enrolment, "withdrawn", time)
        case ParticipantAdded(enrolment=enrolment, participant=newcomer):
            terms.join(connection, enrolment, newcomer.person, time)
        case ParticipantReplaced(enrolment=enrolment, person=person, participant=newcomer):
            terms.join(connection, enrolment, newcomer.person, time)
            terms.stand(connection, enrolment, "withdrawn", time, person)
        case ParticipantWithdrawn(enrolment=enrolment, person=person):
            terms.stand(connection, enrolment, "withdrawn", time, person)
        case ProgrammeWithdrawn():
            terms.set_withdrawn(connection, programme, time)
        case PersonErased(person=person):
            terms.disappear(connection, person)
        case _:
            pass


_STANDINGS: dict[type[object], Standing] = {
    EnrolmentPending: "pending",
    EnrolmentConfirmed: "confirmed",
    EnrolmentWaitlisted: "waiting",
    EnrolmentRefused: "refused",
}


def _page_behind(person: str) -> Callable[[Batch], list[tuple[str, tuple[Appearance, ...]]]]:
    return lambda batch: terms.appearing_behind(batch.connection, person, PEOPLE_AT_ONCE)


def _erase(batch: Batch, persons: Sequence[str], now: datetime, terms_: Terms) -> Answer:
    while not fold(batch):
        pass
    named = b"".join(entry.body for entry in batch.entries)
    gone = 0
    for person, appearances in terms.appearing(batch.settled, persons):
        until = retention.known_until(appearances, terms_)
        if until is None or until > now or person.encode() in named:
            continue
        waited_for = terms.programmes_waited_for(batch.connection, person)
        people.forget(batch, PersonErased(person=person, cause="term-passed"), waited_for, now, None)
        gone += 1
    return Answer(200, str(gone).encode())


def _forget_what_was_said(batch: Batch, now: datetime) -> Answer:
    gone = 0
    for person, programme, field in terms.said(batch.connection):
        until = retention.field_known_until(field, person, batch.programme(programme))
        if until is not None and until <= now:
            terms.say(batch.connection, person, programme, field, None)
            batch.forgets = True
            gone += 1
    return Answer(200, str(gone).encode())


def _told(batch: Batch, due: Sequence[tuple[datetime, str]], limit: int, undecided: int) -> PeopleExpiring:
    told = due[:limit]
    appearing = dict(terms.appearing(batch.connection, [person for _, person in told]))
    contacts = store.contacts(batch.connection, appearing)
    return PeopleExpiring(
        people=tuple(
            ExpiringPerson(
                person=person,
                contact=contacts.get(person),
                until=until,
                programmes=tuple(sorted({one.programme for one in appearing[person]})),
            )
            for until, person in told
            if person in appearing
        ),
        total=len(due),
        undecided=undecided,
    )
