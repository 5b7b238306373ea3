"""What an older database lacks is taken back from a real broker, people included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nats.aio.client import Client

from contracts.commands import CorrectPerson
from contracts.enrolment import ParticipantRequest, Person
from contracts.facts import ParticipantConfirmed
from services.chassis.database import Database
from services.chassis.relay import Relay
from services.registration import recovery, store
from services.registration.batch import Batch
from services.registration.contacts import Contacts
from services.registration.handlers import people
from services.registration.store import Answer
from tests.chassis.conftest import running, until
from tests.registration.conftest import Desk
from tests.registration.domain.given import programme
from tests.registration.test_contacts import declare

MAILBOX = "jeugd@bieb-twee.example"


def of(name: str, email: str = MAILBOX) -> ParticipantRequest:
    return ParticipantRequest(person=Person(name=name, email=email))


async def confirm(desk: Desk, enrolment: str) -> None:
    """Let everybody in an enrolment have confirmed it."""

    def work(batch: Batch) -> Answer:
        state = batch.programme("ontmoeting")
        for one in state.enrolments[enrolment].participants:
            fact = ParticipantConfirmed(enrolment=enrolment, person=one.person)
            state = batch.record(state, [fact], desk.now)
            store.confirm_person(batch.settled, one.person, desk.now)
        return Answer(204, b"")

    assert (await desk.ask(work))[0] == 204


async def tables(database: Database) -> list[list[Any]]:
    return [
        await database.run(lambda raw, table=table: raw.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall())  # type: ignore[misc]
        for table in ("people", "particulars")
    ]


async def test_people_their_spellings_and_whose_address_is_known_come_back(
    connection: Client, desk: Desk, tmp_path: Path
) -> None:
    await declare(connection)
    await desk.open()
    await desk.publish(programme().model_copy(update={"id": "zomer"}))
    _, early = await desk.request(of("Fatima El Amrani"), of("Noor", "noor@x.example"), of("Sam", "sam@x.example"))
    await confirm(desk, early["enrolment"])
    copy = str(tmp_path / "older.db")
    await desk.database.run(lambda raw: raw.execute("VACUUM INTO ?", (copy,)))

    _, late = await desk.request(of("Piet Bakker"), of("Eva", "eva@x.example"))
    await desk.request(of("FATIMA EL AMRANI"), programme="zomer")
    await confirm(desk, late["enrolment"])
    for change in (
        CorrectPerson(email="noor@x.example", new_email="n.wit@x.example"),
        CorrectPerson(email="sam@x.example", new_name="Sam Bakker"),
        CorrectPerson(email="eva@x.example", new_email="e.smit@x.example"),
    ):
        assert (await desk.ask(people.correct(change, desk.now)))[0] == 200
    relay = Relay(
        connection, desk.database, store.LOG, "LOG_REGISTRATION", before=Contacts(connection, desk.database).copy
    )
    head = await desk.database.run(store.LOG.head)
    async with running(relay.run()):
        await until(lambda: relay.following and relay.position == head)

    older = await store.open_database(tmp_path / "older.db")
    try:
        assert await recovery.take_back_facts(connection, older, restored=True) > 0
        assert await tables(older) == await tables(desk.database)
        confirmed = await older.run(
            lambda raw: raw.execute("SELECT address FROM people WHERE confirmed IS NOT NULL").fetchall()
        )
        assert {address for (address,) in confirmed} == {MAILBOX, "sam@x.example"}
    finally:
        await older.close()
