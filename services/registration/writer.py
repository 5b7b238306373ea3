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
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import structlog

from contracts.enrolment import Person
from services.chassis import metrics, tracing
from services.chassis.database import Database
from services.chassis.log import FACTS_APPENDED, VersionConflict
from services.chassis.storage import in_words, primary_code
from services.chassis.transactions import in_transaction
from services.registration.batch import Batch, Memory
from services.registration.store import Answer, PersonKey
from services.registration.work import BROKEN, TRY_AGAIN, Key, Work, once

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

_BATCHES = metrics.sizes("deelname_writer_batch_requests", "Requests that were decided in one transaction.")

_log = structlog.get_logger("registration.writer")

Found = TypeVar("Found")


class _Waiting(NamedTuple):
    work: Work
    key: Key | None
    people: Sequence[PersonKey]
    then: Callable[[Answer], None]
    trace: str | None


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
        then: Callable[[Answer], None],
        key: Key | None = None,
        people: Iterable[Person] = (),
    ) -> None:
        """
        Have work done; ``then`` is called with the answer after the commit.

        ``people`` are those whom the work will look up: a batch looks up all of its people at once.
        """
        keys = [PersonKey.of(person) for person in people]
        self._waiting.append(_Waiting(work, key, keys, then, tracing.current()))
        self._arrived.set()

    async def perform(self, work: Work, key: Key | None = None, people: Iterable[Person] = ()) -> Answer:
        """Have work done and wait for the answer; see :meth:`submit`."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def then(answer: Answer) -> None:
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
            _BATCHES.observe(len(taken))
            if batch is not None:
                for type_, number in Counter(batch.types).items():
                    FACTS_APPENDED.labels(type_).inc(number)
                self._committed(batch)
                if batch.forgets:
                    self._database.forget_soon()
                    await self._database.forget()
            for waiting, answer in zip(taken, answers, strict=True):
                _tell(waiting, answer)
            refused, self._waiting = self._waiting[MOST_WAITING:], self._waiting[:MOST_WAITING]
            for waiting in refused:
                _tell(waiting, TRY_AGAIN)

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
                elif careful or primary_code(error) in _OF_THE_DISK:
                    _log.error("a batch could not be stored", requests=len(taken), error=in_words(error))
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
            batch = Batch(raw, self._memory, (person for waiting in taken for person in waiting.people))
            if careful:
                answers = [_alone(batch, waiting) for waiting in taken]
            else:
                answers = [_traced(batch, waiting) for waiting in taken]
            batch.write()
            return answers, batch

        return in_transaction(connection, decide_all)


def _tell(waiting: _Waiting, answer: Answer) -> None:
    try:
        waiting.then(answer)
    except Exception:
        # One answer that could not be given must not keep the others from theirs.
        _log.exception("an answer could not be given")


def _traced(batch: Batch, waiting: _Waiting) -> Answer:
    batch.trace, batch.correlation = waiting.trace, None
    return once(batch, waiting.key, waiting.work)


def _alone(batch: Batch, waiting: _Waiting) -> Answer:
    """Do one piece of work so that nothing of it remains if it fails."""
    try:
        with batch.all_or_nothing():
            return _traced(batch, waiting)
    except Exception as error:
        if isinstance(error, VersionConflict) or primary_code(error) in _OF_THE_DISK:
            raise
        _log.exception("a request failed")
        return BROKEN
