"""
The one writer of the log: it takes what waits, decides it in memory, commits it together, and only then answers.

A batch is one hop to the database's thread and one transaction. States live on that thread alone. If a commit fails,
nothing of the batch has happened: its states are thrown away, loaded again when they are needed, and everybody is told
to try again. If one piece of work fails, the batch is done once more with a savepoint around each: the others must not
suffer for it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from contracts.base import same_address
from contracts.enrolment import Person
from contracts.envelope import schema_name
from contracts.facts import NAMES, NO_PROGRAMME, RegistrationFact
from contracts.problem import Problem, problem_type
from contracts.subjects import fact_subject
from services.chassis.database import Database, in_transaction
from services.chassis.identity import new_id
from services.chassis.log import Entry, VersionConflict
from services.registration import store
from services.registration.domain import ProgrammeState, Registry, evolve, evolve_registry
from services.registration.store import Answer, Contact

SOURCE = "registration"
LARGEST_BATCH = 512
"""Commands that share a transaction: enough that the fsync costs each of them nothing, few enough to answer soon."""
MOST_WAITING = 10_000
"""Pieces of work that may wait; whoever comes behind them is told to try again at once rather than in vain, later."""

_ATTEMPTS = 3
_OF_THE_DISK = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
"""SQLite's primary result codes that say nothing about the work and everything about where it would be stored."""

_log = structlog.get_logger("registration.writer")

Found = TypeVar("Found")


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

    def copied(self) -> Memory:
        """The same, to go back to; the states themselves are immutable."""
        return Memory(dict(self.programmes), self.registry, self.head, self.outcomes, dict(self.versions))

    def go_back_to(self, before: Memory) -> None:
        """Be as a copy was."""
        self.programmes, self.registry, self.head = before.programmes, before.registry, before.head
        self.outcomes, self.versions = before.outcomes, before.versions


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
        self._afterwards: list[Callable[[sqlite3.Connection], None]] = []
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
        if state.withdrawn and before:
            store.forget_deadlines(self.connection, state.id)
        elif state.deadlines is not before:
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

    def afterwards(self, once_committed: Callable[[sqlite3.Connection], None]) -> None:
        """Have something done when the batch is committed, outside of any transaction."""
        self._afterwards.append(once_committed)

    def committed(self) -> None:
        """Do what was put off; that it fails changes nothing of what has come true."""
        for once_committed in self._afterwards:
            try:
                once_committed(self.connection)
            except sqlite3.Error:
                _log.exception("what follows a commit failed")

    def alone(self, waiting: _Waiting) -> Answer:
        """Do one piece of work so that nothing of it remains if it fails."""
        memory, newcomers = self._memory.copied(), dict(self.newcomers)
        entries, outcomes, afterwards = len(self.entries), len(self._outcomes), len(self._afterwards)
        self.settled.execute("SAVEPOINT alone")
        try:
            answer = once(self, waiting.key, waiting.work)
            self.settled.execute("RELEASE alone")
        except Exception as error:
            if isinstance(error, VersionConflict) or _is_of_the_disk(error):
                raise
            _log.exception("a request failed")
            self.connection.execute("ROLLBACK TO alone")
            self.connection.execute("RELEASE alone")
            self._memory.go_back_to(memory)
            self.newcomers = newcomers
            self._people_at.clear()
            self._unwritten.clear()
            self._enrolments.clear()
            del self.entries[entries:]
            del self._outcomes[outcomes:]
            del self._afterwards[afterwards:]
            return BROKEN
        return answer

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
"""
A piece of work: it runs on the database's thread and may be run again if the first transaction is undone.

What it raises is our fault and is answered with ``BROKEN``; what is wrong with a request, it answers itself.
"""


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

    async def read(self, question: Callable[[Batch], Found]) -> Found:
        """Answer a question from the present state, between two batches; what it gives back is immutable."""
        return await self._database.run(lambda connection: question(Batch(connection, self._memory)))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._arrived.wait()
            taken, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            if not self._waiting:
                self._arrived.clear()
            answers, batch = await self._work_off(taken)
            if batch is not None:
                self._committed(batch)
            for waiting, answer in zip(taken, answers, strict=True):
                await _tell(waiting, answer)
            refused, self._waiting = self._waiting[MOST_WAITING:], self._waiting[:MOST_WAITING]
            for waiting in refused:
                await _tell(waiting, TRY_AGAIN)

    async def finish(self) -> None:
        """Wait until everything that was submitted has been answered."""
        await self.perform(lambda _batch: Answer(204, b""))

    async def _work_off(self, taken: Sequence[_Waiting]) -> tuple[list[Answer], Batch | None]:
        return await self._database.run(lambda connection: self._commit(connection, taken))

    def _commit(self, connection: sqlite3.Connection, taken: Sequence[_Waiting]) -> tuple[list[Answer], Batch | None]:
        """On the database's thread: the answers to all of a batch, whatever happens, and the batch if it came true."""
        careful = False
        for _ in range(_ATTEMPTS):
            try:
                return self._transact(connection, taken, careful)
            except Exception as error:
                self._memory.forget()
                if isinstance(error, VersionConflict):
                    # Somebody else wrote to the log since it was loaded; decided anew, it may go well.
                    _log.warning("the log was changed by another hand", requests=len(taken), error=str(error))
                elif careful or _is_of_the_disk(error):
                    _log.error("a batch could not be stored", requests=len(taken), error=str(error))
                    break
                else:
                    careful = True
            except BaseException:
                self._memory.forget()
                raise
        return [TRY_AGAIN] * len(taken), None

    def _transact(
        self, connection: sqlite3.Connection, taken: Sequence[_Waiting], careful: bool
    ) -> tuple[list[Answer], Batch]:
        def decide_all(raw: sqlite3.Connection) -> tuple[list[Answer], Batch]:
            batch = Batch(raw, self._memory, (address for waiting in taken for address in waiting.addresses))
            if careful:
                answers = [batch.alone(waiting) for waiting in taken]
            else:
                answers = [once(batch, waiting.key, waiting.work) for waiting in taken]
            batch.write()
            return answers, batch

        answers, batch = in_transaction(connection, decide_all)
        batch.committed()
        return answers, batch


async def _tell(waiting: _Waiting, answer: Answer) -> None:
    try:
        await waiting.then(answer)
    except Exception:
        # One answer that could not be given must not keep the others from theirs.
        _log.exception("an answer could not be given")


def _is_of_the_disk(error: Exception) -> bool:
    # The lowest byte is the primary code (https://sqlite.org/rescode.html).
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _OF_THE_DISK


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
