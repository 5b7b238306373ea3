"""The copy of the people table at a real broker: there before the fact, gone after an erasure, back after a loss."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import structlog
from nats.aio.client import Client
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from contracts.enrolment import Correspondent, ParticipantRequest, Person
from services.chassis.log import Entry
from services.chassis.relay import Relay
from services.registration import store
from services.registration.contacts import Contacts, people_named
from services.registration.revisions import Revisions
from services.registration.writer import Writer
from tests.chassis.conftest import running, until
from tests.conftest import Broker
from tests.registration.conftest import Desk, working
from tests.registration.domain.given import programme

STREAM = "LOG_REGISTRATION"
ADDRESS = "noor@x.example"


async def declare(connection: Client) -> None:
    """As deploy does."""
    jetstream = connection.jetstream(timeout=5)
    await jetstream.add_stream(StreamConfig(name=STREAM, subjects=["log.registration.>"], allow_atomic=True))
    await declare_bucket(connection)


async def declare_bucket(connection: Client, *, deny_delete: bool = False) -> None:
    await connection.jetstream(timeout=5).add_stream(
        StreamConfig(
            name="KV_contacts",
            subjects=["$KV.contacts.>"],
            max_msgs_per_subject=64,
            deny_delete=deny_delete,
            allow_rollup_hdrs=True,
            allow_direct=True,
            allow_atomic=True,
        )
    )


async def read(connection: Client, person: str) -> dict[str, Any] | None:
    """What the bucket says of a person; None if nothing, or that nothing is left."""
    with contextlib.suppress(NotFoundError):
        message = await connection.jetstream(timeout=5).get_last_msg("KV_contacts", f"$KV.contacts.{person}")
        return json.loads(message.data) if message.data else None
    return None


async def person_at(desk: Desk, email: str) -> str:
    (person,) = await desk.database.run(lambda raw: store.people_at(raw, email))
    return person


class Copying:
    """A relay with contacts, and what stood in the bucket when each entry was about to be published."""

    def __init__(self, connection: Client, desk: Desk) -> None:
        self.contacts = Contacts(connection, desk.database)
        self.relay = Relay(connection, desk.database, store.LOG, STREAM, before=self.contacts.copy)


@pytest.fixture
async def copying(connection: Client, desk: Desk) -> AsyncIterator[Copying]:
    await declare(connection)
    copying = Copying(connection, desk)
    await desk.open()
    async with running(copying.relay.run()):
        yield copying


def of(name: str) -> ParticipantRequest:
    return ParticipantRequest(person=Person(name=name, email=ADDRESS))


async def relayed(copying: Copying, desk: Desk) -> None:
    head = await desk.database.run(store.LOG.head)
    copying.relay.wake()
    await until(lambda: copying.relay.following and copying.relay.position == head)


async def test_a_person_is_there_before_the_fact_that_names_them(connection: Client, desk: Desk) -> None:
    await declare(connection)
    await desk.open()
    contacts = Contacts(connection, desk.database)
    seen: list[tuple[int, int]] = []

    async def before(entries: Sequence[Entry]) -> None:
        await contacts.copy(entries)
        info = await connection.jetstream().stream_info(STREAM)
        for number in range(30):
            assert await read(connection, await person_at(desk, f"p{number}@x.example"))
        seen.append((entries[0].position, int(info.state.last_seq)))

    for number in range(30):
        await desk.request(f"p{number}@x.example")
    relay = Relay(connection, desk.database, store.LOG, STREAM, before=before)
    async with running(relay.run()):
        await until(lambda: relay.following and relay.position == 34)
    assert seen == [(1, 0)]


async def test_the_bucket_says_who_a_person_is_and_follows_corrections(
    copying: Copying, connection: Client, desk: Desk
) -> None:
    await desk.request(ADDRESS)
    person = await person_at(desk, ADDRESS)
    await relayed(copying, desk)
    assert await read(connection, person) == {"name": "Noor de Wit", "email": ADDRESS, "language": "nl"}
    await desk.correct(ADDRESS, new_name="Noor Bakker", language="en")
    await relayed(copying, desk)
    assert await read(connection, person) == {"name": "Noor Bakker", "email": ADDRESS, "language": "en"}


async def test_a_name_that_was_written_otherwise_is_there_before_the_fact_that_tells_of_it(
    connection: Client, desk: Desk
) -> None:
    await declare(connection)
    await desk.open()
    contacts = Contacts(connection, desk.database)
    for id_ in ("zomer", "herfst", "winter"):
        await desk.publish(programme().model_copy(update={"id": id_}))
    seen: dict[str, Any] = {}

    async def note(entries: Sequence[Entry]) -> None:
        await contacts.copy(entries)
        for entry in entries:
            for person in people_named(entry):
                seen[entry.programme] = await read(connection, person)

    writer = Writer(desk.database, lambda batch: contacts.know(batch.newcomers, batch.respelt))
    relay = Relay(connection, desk.database, store.LOG, STREAM, before=note)
    async with working(writer), running(relay.run()):
        desk = Desk(desk.database, writer)

        async def relayed() -> None:
            head = await desk.database.run(store.LOG.head)
            relay.wake()
            await until(lambda: relay.following and relay.position == head)

        await desk.request(of("Noor de Wit"), programme="zomer")
        await relayed()
        await desk.request(of("NOOR DE WIT"), programme="herfst")
        await relayed()
        await desk.request(of("Noor De Wit"), programme="winter")
        await desk.request(of("noor de wit"))
        await relayed()
    noor = {"name": "Noor de Wit", "email": ADDRESS, "language": "nl"}
    assert seen["zomer"] == noor
    assert seen["herfst"] == noor | {"spellings": {"herfst": "NOOR DE WIT"}}
    assert seen["ontmoeting"]["spellings"] == {
        "herfst": "NOOR DE WIT",
        "ontmoeting": "noor de wit",
        "winter": "Noor De Wit",
    }


async def test_a_name_that_is_written_otherwise_while_the_person_is_being_copied_is_not_forgotten(
    connection: Client, desk: Desk
) -> None:
    await declare(connection)
    await desk.open()
    await desk.publish(programme().model_copy(update={"id": "zomer"}))

    class Interrupted(Contacts):
        async def _put(self, people: Mapping[str, Correspondent]) -> None:
            await super()._put(people)
            if len(await desk.log()) == before:
                await desk.request(of("NOOR DE WIT"), programme="zomer")
                self.know({}, list(people))

    await desk.request(of("Noor de Wit"))
    person, before = await person_at(desk, ADDRESS), len(await desk.log())
    contacts = Interrupted(connection, desk.database)
    await contacts.copy(await desk.database.run(lambda raw: store.LOG.read(raw, 0, 100)))
    await contacts.copy(await desk.database.run(lambda raw: store.LOG.read(raw, before, 100)))
    known = await read(connection, person)
    assert known is not None
    assert known["spellings"] == {"zomer": "NOOR DE WIT"}


async def test_an_erased_person_is_purged(copying: Copying, connection: Client, desk: Desk) -> None:
    await desk.request(ADDRESS)
    person = await person_at(desk, ADDRESS)
    await relayed(copying, desk)
    await desk.erase(ADDRESS)
    await relayed(copying, desk)
    assert await read(connection, person) is None
    await copying.contacts.fill_if_lost()
    assert await read(connection, person) is None


async def test_who_is_erased_before_the_first_fact_is_relayed_never_stays(connection: Client, desk: Desk) -> None:
    await declare(connection)
    await desk.open()
    await desk.request(ADDRESS)
    person = await person_at(desk, ADDRESS)
    copying = Copying(connection, desk)
    copying.contacts.know(await desk.database.run(lambda raw: store.contacts(raw, [person])))
    await desk.erase(ADDRESS)
    async with running(copying.relay.run()):
        await relayed(copying, desk)
    assert await read(connection, person) is None


async def test_a_broker_that_lost_everything_gets_everybody_again(
    copying: Copying, broker: Broker, connection: Client, desk: Desk
) -> None:
    await desk.request(ADDRESS, "sam@x.example")
    await desk.request("eva@x.example")
    await relayed(copying, desk)
    persons = [await person_at(desk, email) for email in (ADDRESS, "sam@x.example", "eva@x.example")]
    await desk.erase("eva@x.example")
    await relayed(copying, desk)
    broker.wipe()

    async def declared() -> bool:
        await declare(connection)
        return True

    await until(declared)
    await desk.request("nieuw@x.example")
    head = await desk.database.run(store.LOG.head)

    async def back() -> bool:
        return int((await connection.jetstream(timeout=1).stream_info(STREAM)).state.last_seq) == head

    await until(back)
    kept = [await read(connection, person) for person in persons]
    assert [one and one["email"] for one in kept] == [ADDRESS, "sam@x.example", None]


async def test_a_bucket_that_was_lost_alone_is_filled_again(copying: Copying, connection: Client, desk: Desk) -> None:
    await desk.request(ADDRESS)
    await relayed(copying, desk)
    await connection.jetstream().delete_stream("KV_contacts")
    await declare_bucket(connection)
    await copying.contacts.fill_if_lost()
    assert await read(connection, await person_at(desk, ADDRESS))
    # And when nothing is lost, nothing is written.
    before = (await connection.jetstream().stream_info("KV_contacts")).state.last_seq
    await copying.contacts.fill_if_lost()
    assert (await connection.jetstream().stream_info("KV_contacts")).state.last_seq == before


async def test_newcomers_who_are_still_being_copied_are_no_loss(connection: Client, desk: Desk) -> None:
    """Under load there are always fewer keys than people: filling the bucket anew each time would be a storm."""
    await declare(connection)
    await desk.open()
    await desk.request(ADDRESS)
    copying = Copying(connection, desk)
    with structlog.testing.capture_logs() as logs:
        await copying.contacts.look_after()
        async with running(copying.relay.run()):
            await relayed(copying, desk)
        await desk.request("sam@x.example")
        await copying.contacts.look_after()
        assert logs == []
        await copying.contacts.look_after()
    assert [line["keys"] for line in logs] == [1]
    assert await read(connection, await person_at(desk, "sam@x.example")) is not None


def stands_in(broker: Broker, *words: str) -> set[str]:
    """Which of these words stand in any file of the broker's store."""
    held = [path.read_bytes() for path in broker.store.rglob("*") if path.is_file()]
    return {word for word in words if any(word.encode() in content for content in held)}


async def test_who_is_erased_is_overwritten_on_the_brokers_disk_and_so_is_every_former_revision(
    copying: Copying, broker: Broker, connection: Client, desk: Desk
) -> None:
    await desk.request(ADDRESS)
    await desk.request("kept@x.example")
    await relayed(copying, desk)
    person = await person_at(desk, ADDRESS)
    await desk.correct(ADDRESS, new_name="Wolfdietrich Umlauft")
    await relayed(copying, desk)
    await desk.correct(ADDRESS, new_email="umlauft@x.example")
    await relayed(copying, desk)
    words = (ADDRESS, "Wolfdietrich Umlauft", "umlauft@x.example", "kept@x.example")
    assert stands_in(broker, *words) == set(words)

    await copying.contacts.revisions.erase()
    # What was corrected is gone as well, for whoever is still known.
    assert stands_in(broker, ADDRESS) == set()
    assert await read(connection, person)

    await desk.erase("umlauft@x.example")
    await relayed(copying, desk)
    assert await read(connection, person) is None
    await copying.contacts.revisions.erase()
    assert stands_in(broker, *words) == {"kept@x.example"}


async def test_what_a_crash_left_to_be_erased_is_found_by_the_next_process(
    copying: Copying, broker: Broker, connection: Client, desk: Desk
) -> None:
    await desk.request(ADDRESS)
    await relayed(copying, desk)
    await desk.erase(ADDRESS)
    await relayed(copying, desk)
    assert stands_in(broker, ADDRESS)
    another = Contacts(connection, desk.database)
    await another.look_after()
    await another.revisions.erase()
    assert not stands_in(broker, ADDRESS)


async def test_a_broker_that_does_not_let_us_erase_is_told_of_and_holds_nothing_up(
    connection: Client, desk: Desk
) -> None:
    revisions = Revisions(connection, tell_after=0.0)
    await declare(connection)
    await connection.jetstream().delete_stream("KV_contacts")
    await declare_bucket(connection, deny_delete=True)
    for content in (b"before", b"after"):
        await connection.jetstream().publish("$KV.contacts.someone", content)
    await revisions.look()
    with structlog.testing.capture_logs() as logs:
        await revisions.erase()
        await revisions.erase()
    assert [line["event"] for line in logs] == ["former revisions of contacts could not be erased"]
    assert "message delete not permitted" in await revisions.trouble()
    assert "declare the streams" in await revisions.trouble()
