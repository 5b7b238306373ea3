"""Registration's writer on a real database, and a desk at which to ask it for things."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from contracts import commands as c
from contracts.enrolment import EnrolmentRequest, ParticipantRequest, Person
from contracts.organisation import Organisation
from contracts.programme import Programme
from services.chassis.database import Database
from services.chassis.identity import new_id
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import ProgrammeState
from services.registration.handlers import enrolments, people, programmes
from services.registration.handlers.enrolments import Arrival
from services.registration.handlers.repetition import digest
from services.registration.store import Answer
from services.registration.work import Key, Work
from services.registration.writer import Writer
from tests.conftest import NOW
from tests.registration.domain.given import LIBRARY, MUNICIPALITY, ORGANISER, programme

ORGANISATIONS = (LIBRARY, MUNICIPALITY, Organisation(id=ORGANISER, name="Probiblio", kind="support-organisation"))
WRITER_TIMEOUT = 10


@dataclass
class Desk:
    """Asks the writer for things, as the handlers do, and reads what came of it."""

    database: Database
    writer: Writer
    now: datetime = NOW
    smtputf8: bool = False

    async def ask(self, work: Work, key: Key | None = None) -> tuple[int, dict[str, Any]]:
        """The status and the body of the answer."""
        return told(await asyncio.wait_for(self.writer.perform(work, key), WRITER_TIMEOUT))

    def arrival(self, source: str = "staff", request: str | None = None) -> Arrival:
        channel = {"staff": "staff", "web": "web"}.get(source, "intake")
        return Arrival(self.now, channel, source, request, new_id, smtputf8=self.smtputf8)  # type: ignore[arg-type]

    async def publish(self, definition: Programme) -> tuple[int, dict[str, Any]]:
        return await self.ask(programmes.publish(c.PublishProgramme(programme=definition), self.now))

    async def register(self) -> None:
        """Put some organisations into the registry."""
        command = c.RegisterOrganisations(organisations=ORGANISATIONS)
        assert (await self.ask(programmes.register_organisations(command, self.now)))[0] == 200

    async def open(self, **rules: Any) -> None:
        """Publish a programme with these rules."""
        await self.register()
        status, answer = await self.publish(programme(**rules))
        assert status == 200, answer

    async def request(
        self, *who: str | ParticipantRequest, source: str = "staff", id: str | None = None, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        """Ask for a place for people with these addresses."""
        body = asking(*who, **more)
        key = Key(source, id, digest(body)) if id else None
        return await self.ask(enrolments.request(body, self.arrival(source, id)), key)

    async def withdraw(self, enrolment: str, source: str = "staff") -> tuple[int, dict[str, Any]]:
        return await self.ask(enrolments.withdraw(c.WithdrawEnrolment(enrolment=enrolment), self.arrival(source)))

    async def erase(self, email: str) -> tuple[int, dict[str, Any]]:
        return await self.ask(people.erase(c.ErasePerson(email=email), self.now))

    async def correct(self, email: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        return await self.ask(people.correct(c.CorrectPerson(email=email, **changes), self.now))

    async def state(self, id_: str = "ontmoeting") -> ProgrammeState:
        """The programme as the writer has it in memory."""
        found: list[ProgrammeState] = []

        def look(batch: Batch) -> Answer:
            found.append(batch.programme(id_))
            return Answer(204, b"")

        await self.writer.read(look)
        return found[0]

    async def stored(self, id_: str = "ontmoeting") -> ProgrammeState:
        """The programme as the database has it."""
        return await self.database.run(lambda connection: store.load_programme(connection, id_))

    async def log(self) -> list[tuple[int, str, int]]:
        """Position, programme and version of every fact."""
        return await self.database.run(
            lambda raw: raw.execute("SELECT position, programme, version FROM log ORDER BY position").fetchall()
        )

    async def count(self, table: str) -> int:
        return await self.database.run(lambda raw: int(raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))


def asking(
    *who: str | ParticipantRequest, organisation: str | None = None, programme: str = "ontmoeting"
) -> EnrolmentRequest:
    """A request for people, each given by the address alone or in full."""
    return EnrolmentRequest(
        programme=programme,
        organisation=organisation,
        participants=tuple(
            one
            if isinstance(one, ParticipantRequest)
            else ParticipantRequest(person=Person(name="Noor de Wit", email=one))
            for one in who
        ),
    )


def told(answer: Answer) -> tuple[int, dict[str, Any]]:
    """An answer, read."""
    return answer.status, json.loads(answer.body) if answer.body else {}


def rules_of(problem: dict[str, Any]) -> list[str]:
    """The rules that a problem names."""
    return [fault["rule"] for fault in problem["errors"]]


@contextlib.asynccontextmanager
async def working(writer: Writer) -> AsyncIterator[None]:
    """A writer at work; what ends it fails the test."""
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def desk_at(path: Path) -> AsyncIterator[Desk]:
    """A desk with a writer of its own on the database at ``path``."""
    database = await store.open_database(path)
    writer = Writer(database)
    try:
        async with working(writer):
            yield Desk(database, writer)
    finally:
        await database.close()


@pytest.fixture
async def desk(database_path: Path) -> AsyncIterator[Desk]:
    """A desk with a writer at work on an empty database."""
    async with desk_at(database_path) as desk:
        yield desk


@pytest.fixture
def address() -> Callable[[], str]:
    """Another address each time."""
    numbers = itertools.count(1)
    return lambda: f"persoon-{next(numbers)}@bibliotheek-zeist.example"
