"""Who people are, asked at a broker with the permissions of production."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from contracts.enrolment import Correspondent
from deploy.broker import RunningBroker, start_broker_async
from services.chassis.broker import connect
from services.chassis.relay import publish_batch
from services.notifications.contacts import Absence, Contacts, ContactsUnavailable

Clients = tuple[RunningBroker, Client, Client]


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    broker = await start_broker_async(tmp_path / "broker")
    registration, notifications = [
        await connect(broker.address, name, name, broker.passwords[name]) for name in ("registration", "notifications")
    ]
    yield broker, registration, notifications
    await registration.close()
    await notifications.close()
    broker.kill()


def person(number: int) -> Correspondent:
    return Correspondent(name="Zoë", email=f"zoe{number}@bibliotheek.example")


async def write(registration: Client, people: dict[str, Correspondent]) -> None:
    messages = [(f"$KV.contacts.{id_}", who.to_json(), dict[str, str]()) for id_, who in people.items()]
    for begin in range(0, len(messages), 500):
        await publish_batch(registration, messages[begin : begin + 500])


async def test_everybody_is_found_whatever_became_of_the_others(clients: Clients) -> None:
    _, registration, notifications = clients
    await write(registration, {"known": person(1), "erased": person(2), "corrected": person(3)})
    await write(registration, {"corrected": person(4)})
    await registration.request("$KV.contacts.erased", headers={"KV-Operation": "PURGE", "Nats-Rollup": "sub"})
    await registration.request("$KV.contacts.unreadable", b"{")
    # As a rule that came later would refuse them both.
    spelt = Correspondent(name="Noor", email="noor@x.example", spellings={"zomer": "NOOR"})
    await write(registration, {"spelt": spelt})
    old = Correspondent(name="Noor 1000 www.x.example", email="noor@x")
    await write(registration, {"old": old})

    found = await Contacts(notifications).of(["known", "erased", "corrected", "unreadable", "nobody", "old", "spelt"])

    assert found == {
        "old": old,
        "spelt": spelt,
        "known": person(1),
        "erased": Absence.ERASED,
        "corrected": person(4),
        "unreadable": Absence.UNKNOWN,
        "nobody": Absence.UNKNOWN,
    }


async def test_a_bucket_that_knows_nobody_of_them_says_so(clients: Clients) -> None:
    _, _, notifications = clients

    assert await Contacts(notifications).of(["nobody"]) == {"nobody": Absence.UNKNOWN}
    assert await Contacts(notifications).of([]) == {}


async def test_more_people_than_one_request_takes_are_all_found(clients: Clients) -> None:
    _, registration, notifications = clients
    people = {f"person-{number}": person(number) for number in range(1300)}
    await write(registration, people)

    assert await Contacts(notifications).of(people) == people


async def test_without_a_broker_nothing_is_said_about_anybody(clients: Clients) -> None:
    broker, registration, notifications = clients
    await write(registration, {"known": person(1)})
    await registration.close()
    broker.kill()

    with pytest.raises(ContactsUnavailable):
        await Contacts(notifications).of(["known"])
