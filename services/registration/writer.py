"""
The one writer of the log: it takes what waits, decides it in memory, commits it together, and only then answers.

A batch is one hop to the database's thread and one transaction. States live on that thread alone. If a commit fails,
nothing of the batch has happened: its states are thrown away, loaded again when they are needed, and everybody is told
to try again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from contracts.base import same_address
from contracts.enrolment import Person
from contracts.envelope import schema_name
from contracts.facts import NAMES, NO_PROGRAMME, RegistrationFact
from contracts.problem import Problem, problem_type
from contracts.subjects import fact_subject
from services.chassis.database import Database, in_transaction
from services.chassis.identity import new_id
from services.chassis.log import Entry
from services.registration import store
from services.registration.domain import ProgrammeState, Registry, evolve, evolve_registry
from services.registration.store import Answer, Contact

SOURCE = "registration"
LARGEST_BATCH = 512
"""Commands that share a transaction: enough that the fsync costs each of them nothing, few enough to answer soon."""

_log = structlog.get_logger("registration.writer")


@dataclass(frozen=True, slots=True)
class Key:
    """What makes a request the same request: who sent it, its id, and a digest of what it says."""

    source: str
    id: str
    digest: bytes


def problem_answer(problem: Problem) -> Answer:
    """A problem as an answer."""
    return Answer(problem.status, problem.model_dump_json(exclude_none=True).encode())


TRY_AGAIN = problem_answer(
    Problem(
        type=problem_type("try-again"),
        title="Not stored",
        status=503,
        detail="The request could not be stored and has had no effect. Send it again, with the same id if it has one.",
    )
)
BROKEN = problem_answer(
    Problem(
        type=problem_type("unexpected"),
        title="Unexpected failure",
        status=500,
        detail="This request met a fault of ours and has had no effect. The service's log says more.",
    )
)


def _id_reused(key: Key) -> Answer:
    return problem_answer(
        Problem(
            type=problem_type("id-reused"),
            title="The id was used before",
            status=409,
            detail=f"The id '{key.id}' came with another content before. Send a new request under a new id.",
        )
    )


@dataclass(slots=True)
class Memory:
    """The states that have been loaded; only the database's thread touches them."""

    programmes: dict[str, ProgrammeState] = field(default_factory=dict)
    registry: Registry | None = None
    head: int | None = None
    outcomes: int | None = None
    """The last position among the outcomes."""
    versions: dict[str, int] = field(default_factory=dict)
    """How many outcomes each partner has had."""

    def forget(self) -> None:
        """Drop everything: it no longer is what the database says."""
        self.programmes.clear()
        self.registry = None
        self.head = None
        self.outcomes = None
        self.versions.clear()


class Batch:
    """
    What a piece of work sees and does inside the transaction that it shares with others.

    Rows are collected and written together: a statement a row would cost more than all decisions. ``connection`` is
    for what has nothing to do with people and enrolments, ``settled`` for what has: it writes first.
    """

    def __init__(self, connection: sqlite3.Connection, memory: Memory, addresses: Iterable[str] = ()) -> None:
        self.connection = connection
        self.entries: list[Entry] = []
        self.newcomers: dict[str, Contact] = {}
        self._memory = memory
        self._unwritten: list[Contact] = []
        self._enrolments: list[tuple[str, str, str, str | None]] = []
        self._outcomes: list[Entry] = []
        self._people_at: dict[str, str | None] = dict.fromkeys(addresses)
        if self._people_at:
            self._people_at.update(store.people_at(connection, self._people_at))

    @property
    def settled(self) -> sqlite3.Connection:
        """The connection, with everything written that this batch has collected about people and enrolments."""
        store.add_people(self.connection, self._unwritten)
        store.add_enrolments(self.connection, self._enrolments)
        self._unwritten.clear()
        self._enrolments.clear()
        return self.connection

    def programme(self, id_: str) -> ProgrammeState:
        """A programme as it stands, with what this batch has done to it; empty if it does not exist."""
        state = self._memory.programmes.get(id_)
        if state is None:
            state = store.load_programme(self.connection, id_)
            if state.version:
                self._memory.programmes[id_] = state
        return state

    @property
    def registry(self) -> Registry:
        """The registry as it stands."""
        if self._memory.registry is None:
            self._memory.registry = store.load_registry(self.connection)
        return self._memory.registry

    def person_at(self, email: str) -> str | None:
        """The person with this address; case and white space do not count."""
        address = same_address(email)
        if address not in self._people_at:
            self._people_at[address] = store.people_at(self.settled, [address]).get(address)
        return self._people_at[address]

    def add_people(self, people: dict[str, Person], now: datetime) -> None:
        """Remember newcomers."""
        for person, who in people.items():
            newcomer = Contact(person, who, now)
            self._unwritten.append(newcomer)
            self.newcomers[person] = newcomer
            self._people_at[same_address(who.email)] = person

    def correct_person(self, person: str, who: Person) -> None:
        """Remember somebody differently."""
        store.correct_person(self.settled, person, who)
        self._people_at.clear()
        self.newcomers.pop(person, None)

    def erase_person(self, person: str) -> None:
        """Forget who somebody is."""
        store.erase_person(self.settled, person)
        self._people_at.clear()
        self.newcomers.pop(person, None)

    def add_enrolment(self, enrolment: str, programme: str, source: str, request: str | None) -> None:
        """Remember where a new enrolment belongs."""
        self._enrolments.append((enrolment, programme, source, request))

    def add_outcome(self, source: str, subject: str, id_: str, body: bytes) -> None:
        """Answer a partner; the answer is written when the batch is."""
        memory = self._memory
        if memory.outcomes is None:
            memory.outcomes = store.OUTCOMES.head(self.connection)
        if source not in memory.versions:
            memory.versions[source] = store.OUTCOMES.version(self.connection, source)
        memory.outcomes += 1
        memory.versions[source] += 1
        self._outcomes.append(Entry(memory.outcomes, source, memory.versions[source], subject, body, id_))

    def record(
        self, state: ProgrammeState, facts: Sequence[RegistrationFact], now: datetime, cause: str | None = None
    ) -> ProgrammeState:
        """Let facts come true in a programme; they are written when the batch is."""
        before = state.deadlines
        for fact in facts:
            state = evolve(state, fact)
            self._append(state.id, state.version, fact, now, cause)
        if state.deadlines is not before:
            for enrolment in dict.fromkeys(getattr(fact, "enrolment", None) for fact in facts):
                if enrolment is not None and before.get(enrolment) != state.deadlines.get(enrolment):
                    store.set_deadline(self.settled, enrolment, state.id, state.deadlines.get(enrolment))
        self._memory.programmes[state.id] = state
        return state

    def record_registry(self, facts: Sequence[RegistrationFact], now: datetime, cause: str | None = None) -> None:
        """Let facts come true that belong to no programme."""
        registry = self.registry
        for fact in facts:
            registry = evolve_registry(registry, fact)
            self._append(NO_PROGRAMME, registry.version, fact, now, cause)
        self._memory.registry = registry

    def write(self) -> None:
        """Write what has been collected."""
        connection = self.settled
        if self.entries:
            store.LOG.append(connection, self.entries)
        if self._outcomes:
            store.OUTCOMES.append(connection, self._outcomes)

    def _append(self, programme: str, version: int, fact: RegistrationFact, now: datetime, cause: str | None) -> None:
        if self._memory.head is None:
            self._memory.head = store.LOG.head(self.connection)
        self._memory.head = position = self._memory.head + 1
        type_ = NAMES[type(fact)]
        id_ = new_id()
        time = now.astimezone(UTC).isoformat().replace("+00:00", "Z")
        because = f'"causationid":"{cause}",' if cause else ""
        # Put together by hand: making an envelope model only to write it out took a third of a decision's time. That
        # it reads back as the envelope is tested for every type of fact.
        body = (
            f'{{"specversion":"1.0","id":"{id_}","source":"{SOURCE}","type":"{type_}","subject":"{programme}",'
            f'"time":"{time}","datacontenttype":"application/json","dataschema":"{schema_name(type_)}",'
            f'"position":{position},"version":{version},{because}"data":{fact.model_dump_json(exclude_none=True)}}}'
        )
        subject = fact_subject(SOURCE, type_, programme)
        self.entries.append(Entry(position, programme, version, subject, body.encode(), id_))


Work = Callable[[Batch], Answer]
"""A piece of work: it runs on the database's thread and may be run again if the first transaction is undone."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work
    key: Key | None
    addresses: tuple[str, ...]
    then: Callable[[Answer], Awaitable[None]]


class Writer:
    """Runs work in batches; :meth:`run` is the task that does it."""

    def __init__(self, database: Database, committed: Callable[[Batch], None] = lambda _batch: None) -> None:
        """``committed`` is told of every batch, on the event loop's thread, after its commit."""
        self._database = database
        self._memory = Memory()
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._committed = committed

    def submit(
        self,
        work: Work,
        then: Callable[[Answer], Awaitable[None]],
        key: Key | None = None,
        people: Iterable[Person] = (),
    ) -> None:
        """
        Have work done; ``then`` is called with the answer after the commit.

        ``people`` are those whom the work will look up by address: a batch looks up all of its people at once.
        """
        addresses = tuple(same_address(person.email) for person in people)
        self._waiting.append(_Waiting(work, key, addresses, then))
        self._arrived.set()

    async def perform(self, work: Work, key: Key | None = None, people: Iterable[Person] = ()) -> Answer:
        """Have work done and wait for the answer."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        async def then(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.submit(work, then, key, people)
        return await answered

    async def read(self, question: Callable[[Batch], Answer]) -> Answer:
        """Answer a question from the present state, between two batches."""
        return await self._database.run(lambda connection: question(Batch(connection, self._memory)))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._arrived.wait()
            taken, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            if not self._waiting:
                self._arrived.clear()
            answers = await self._commit(taken)
            for waiting, answer in zip(taken, answers, strict=True):
                await waiting.then(answer)

    async def finish(self) -> None:
        """Wait until everything that was submitted has been answered."""
        await self.perform(lambda _batch: Answer(204, b""))

    async def _commit(self, taken: Sequence[_Waiting]) -> list[Answer]:
        try:
            answers, batch = await self._database.run(lambda connection: self._transact(connection, taken))
        except Exception:
            if len(taken) == 1:
                _log.exception("a request failed")
                return [BROKEN]
        else:
            if batch is not None:
                self._committed(batch)
            return answers
        # One of them failed, or the commit did. Alone, each shows which: the others need not suffer for it.
        _log.warning("a batch was undone and is tried one by one", requests=len(taken))
        return [answer for waiting in taken for answer in await self._commit_one(waiting)]

    async def _commit_one(self, waiting: _Waiting) -> list[Answer]:
        return await self._commit([waiting])

    def _transact(self, connection: sqlite3.Connection, taken: Sequence[_Waiting]) -> tuple[list[Answer], Batch | None]:
        def decide_all(raw: sqlite3.Connection) -> tuple[list[Answer], Batch]:
            batch = Batch(raw, self._memory, (address for waiting in taken for address in waiting.addresses))
            answers = [once(batch, waiting.key, waiting.work) for waiting in taken]
            batch.write()
            return answers, batch

        try:
            return in_transaction(connection, decide_all)
        except sqlite3.Error as error:
            self._memory.forget()
            if len(taken) > 1:
                raise
            _log.error("a request could not be stored", error=str(error))
            return [TRY_AGAIN], None
        except BaseException:
            self._memory.forget()
            raise


def once(batch: Batch, key: Key | None, work: Work) -> Answer:
    """Do keyed work the first time, and give the same answer ever after; refuse the key with other content."""
    if key is None:
        return work(batch)
    known = store.answered(batch.connection, key.source, key.id)
    if known is not None:
        digest, answer = known
        return answer if digest == key.digest else _id_reused(key)
    answer = work(batch)
    store.remember_answer(batch.connection, key.source, key.id, key.digest, answer)
    return answer
