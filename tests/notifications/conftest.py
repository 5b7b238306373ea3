"""A database of the service, people to mail, and a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.enrolment import KnownPerson
from deploy.broker import start_broker_async
from services.chassis.broker import connect
from services.chassis.database import Database
from services.chassis.links import LinkKeys
from services.chassis.log import Entry
from services.notifications import store
from services.notifications.contacts import Absence, Contact, ContactsUnavailable
from services.notifications.handlers import Desk, Planner
from services.notifications.inbox import Inbox, Postbox
from services.notifications.inbox.receiving import Reads
from services.notifications.incoming.content import Read
from services.notifications.incoming.reading import read
from services.notifications.letters import Address
from services.notifications.links import PersonalLinks
from services.notifications.rendering import Renderer
from services.notifications.return_path import ReturnPaths
from services.notifications.sender import Limits, Sender
from services.notifications.transport import Transport
from tests.notifications.lives import START, Life, messages
from tests.notifications.whole import System

LINK_KEYS = LinkKeys({"k1": bytes(32)})
BOUNCES = "bounce@deelname.example"
SENDER = Address("Deelname", "deelname@deelname.example")


@dataclass
class SetClock:
    """Stands still until it is moved."""

    now: datetime = START + timedelta(hours=1)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class AddressBook:
    """Contacts without a broker, for what is about something else; everybody is in it who was not erased."""

    absent: dict[str, Absence] = field(default_factory=dict)
    known: dict[str, KnownPerson] = field(default_factory=dict)
    unavailable: bool = False
    asked: int = 0

    async def of(self, people: Collection[str]) -> Mapping[str, Contact]:
        self.asked += 1
        if self.unavailable:
            raise ContactsUnavailable("test")
        return {each: self.absent.get(each) or self.known.get(each) or someone(each) for each in people}


def someone(person: str) -> KnownPerson:
    return KnownPerson(name=f"{person.title()} de Wit", email=f"{person}@bibliotheek.example")


async def at_once(raw: bytes, null_sender: bool | None) -> Read:
    """Reads a mail in this process: what reading does to others is not what most tests are about."""
    return read(raw, null_sender)


@dataclass
class Service:
    """Everything of the service but the broker."""

    database: Database
    clock: SetClock
    contacts: AddressBook
    planner: Planner
    renderer: Renderer
    return_paths: ReturnPaths
    links: PersonalLinks = field(default_factory=lambda: PersonalLinks(LINK_KEYS, "https://deelname.example"))

    def sender(
        self,
        transport: Transport,
        fault_pause: float = 60,
        limits: Limits | None = None,
        appended: Callable[[Sequence[Entry]], None] = lambda _: None,
    ) -> Sender:
        return Sender(
            self.database,
            transport=transport,
            contacts=self.contacts,
            renderer=self.renderer,
            clock=self.clock,
            state=lambda: self.planner.state,
            envelope_from=self.return_paths.of,
            links=self.links,
            appended=appended,
            fault_pause=fault_pause,
            limits=limits or Limits(),
        )

    @property
    def inbox(self) -> Inbox:
        return self.inbox_that_reads(at_once)

    def inbox_that_reads(self, reads: Reads, **more: Any) -> Inbox:
        return Inbox(
            self.database,
            reads=reads,
            return_paths=self.return_paths,
            organiser=SENDER.mailbox,
            clock=self.clock,
            **more,
        )

    @property
    def postbox(self) -> Postbox:
        return Postbox(self.database, inbox=self.inbox, contacts=self.contacts, clock=self.clock)

    @property
    def desk(self) -> Desk:
        return Desk(
            self.database,
            state=lambda: self.planner.state,
            contacts=self.contacts,
            renderer=self.renderer,
            clock=self.clock,
        )

    async def reads(self, life: Life) -> None:
        """Everything in the log that was not read yet."""
        position = await self.planner.position()
        if fresh := messages(life.facts)[position:]:
            await self.planner.apply(fresh)

    async def becomes(self, mail: str, status: str) -> None:
        """A mail's status as if something had made it so."""
        await self.database.transact(
            lambda raw: raw.execute("UPDATE mails SET status = ? WHERE id = ?", (status, mail))
        )

    async def statuses(self) -> list[tuple[str, ...]]:
        """Purpose, session, status of all mails, in the order of planning."""
        found = await self.database.run(lambda raw: store.mails(raw, store.ALL))
        return [(each.purpose, *((each.session,) if each.session else ()), each.status) for each in reversed(found)]


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    return Renderer(SENDER, "https://deelname.example")


@pytest.fixture
async def notifications(database_path: Path, renderer: Renderer) -> AsyncIterator[Service]:
    """The service without a broker, on a real database."""
    database = await Database.open(database_path, store.MIGRATIONS)
    clock = SetClock()
    planner = Planner(database, clock)
    await planner.load()
    return_paths = ReturnPaths(BOUNCES, await database.run(store.key))
    yield Service(database, clock, AddressBook(), planner, renderer, return_paths)
    await database.close()


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    broker = await start_broker_async(tmp_path / "broker")
    clients = {
        name: await connect(broker.address, name, name, broker.passwords[name])
        for name in ("registration", "staff", "reporting")
    }
    system = System(broker, clients, tmp_path)
    yield system
    if system.process is not None:
        system.process.kill()
        system.process.wait()
    for client in clients.values():
        await client.close()
    broker.kill()
