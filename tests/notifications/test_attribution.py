"""Who of the staff stands in the facts of notifications, and where nobody does."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from contracts.base import Message
from services.chassis.commands import Call
from services.notifications import store
from services.notifications.app import routes
from services.notifications.transport import Maildir
from tests.notifications.conftest import Service
from tests.notifications.inbox import returned
from tests.notifications.lives import Life, confirmed, occasion, session

NOOR = "noor@bibliotheek.example"


class _Connection:
    max_payload = 1 << 20


@pytest.fixture
async def life(notifications: Service) -> Life:
    """Noor has a place, and two mails about it are planned."""
    life = Life(session("kick-off", occasion("2023-06-20")), session("slot"))
    life.happens(confirmed("e1", "noor"))
    await notifications.reads(life)
    return life


async def command(notifications: Service, who: str, subject: str, **body: Any) -> Message:
    """What is answered to somebody whom the broker names."""
    table = {route.subject: route.handler for route in routes(notifications.desk, notifications.postbox)}
    headers = {"Nats-Request-Info": json.dumps({"acc": "STAFF", "user": who})}
    call = Call(_Connection(), subject, json.dumps(body).encode(), "", headers)  # type: ignore[arg-type]
    answer = table[subject](call)
    assert answer is not None
    answered = await answer
    assert isinstance(answered, Message)
    return answered


async def send(notifications: Service, directory: Path) -> None:
    transport = Maildir(directory / "mail")
    await transport.open()
    await notifications.sender(transport).send_due()


async def said(notifications: Service) -> list[tuple[str, str | None]]:
    """Type and actor of our own facts."""
    entries = await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 1000))
    return [(fact["type"], fact.get("actor")) for fact in (json.loads(each.body) for each in entries)]


@pytest.mark.usefixtures("life")
async def test_mails_that_facts_call_for_name_nobody(notifications: Service, tmp_path: Path) -> None:
    await send(notifications, tmp_path)
    assert await said(notifications) == [("mail.sent.v1", None)] * 2


async def test_what_becomes_of_a_mail_tried_again_names_who_asked_for_it(
    notifications: Service, life: Life, tmp_path: Path
) -> None:
    again, other = life.mails
    await notifications.becomes(again.id, "failed")
    await command(notifications, "UABC", "do.notifications.mail.retry", mail=again.id)
    # A repetition changes nothing, also not who it was.
    await command(notifications, "UXYZ", "do.notifications.mail.retry", mail=again.id)
    await send(notifications, tmp_path)
    entries = await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 10))
    actors = {fact["data"]["mail"]: fact.get("actor") for fact in (json.loads(each.body) for each in entries)}
    assert actors == {again.id: "broker:UABC", other.id: None}


async def test_who_had_it_tried_again_is_known_after_a_crash_in_the_middle_of_it(
    notifications: Service, life: Life, tmp_path: Path
) -> None:
    for mail in life.mails:
        await notifications.becomes(mail.id, "uncertain")
        await command(notifications, "UABC", "do.notifications.mail.retry", mail=mail.id)
    await send(notifications, tmp_path)
    for mail in life.mails:
        await notifications.becomes(mail.id, "sending")
    await notifications.database.transact(lambda raw: raw.execute("UPDATE mails SET via = NULL"))
    await notifications.sender(Maildir(tmp_path / "mail")).resolve_crash()
    assert (await said(notifications))[2:] == [("mail.failed.v1", "broker:UABC")] * 2


async def test_whoever_suppresses_an_address_stands_in_that_fact_and_in_what_it_keeps_back(
    notifications: Service, life: Life, tmp_path: Path
) -> None:
    await command(notifications, "UABC", "do.notifications.suppression.add", email=NOOR, reason="asked by telephone")
    await command(notifications, "UXYZ", "do.notifications.suppression.add", email=NOOR, reason="once more")
    await send(notifications, tmp_path)
    await command(notifications, "UXYZ", "do.notifications.mail.retry", mail=life.mails[0].id)
    await send(notifications, tmp_path)
    await command(notifications, "ULIF", "do.notifications.suppression.lift", person="noor")
    await command(notifications, "ULIF", "do.notifications.suppression.lift", person="noor")
    facts = await said(notifications)
    assert facts == [
        ("suppression.added.v1", "broker:UABC"),
        ("mail.failed.v1", "broker:UABC"),
        ("mail.failed.v1", "broker:UABC"),
        ("mail.sent.v1", None),  # the notice to the programme's contact, which follows from what failed
        ("mail.failed.v1", "broker:UXYZ"),
        ("suppression.lifted.v1", "broker:ULIF"),
    ]
    bodies = [each.body for each in await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 10))]
    assert json.loads(bodies[-1])["data"] == {"person": "noor"}
    assert not [body for body in bodies if b"@" in body or b"telephone" in body]


@pytest.mark.parametrize("handed_over", ["by the staff", "by the mail server"])
async def test_a_bounce_names_the_staff_when_they_handed_it_over(
    notifications: Service, life: Life, tmp_path: Path, handed_over: str
) -> None:
    await send(notifications, tmp_path)
    path = notifications.return_paths.of(life.mails[0].id)
    raw = returned.postfix(path, NOOR)
    if handed_over == "by the staff":
        encoded = b64encode(raw).decode()
        await command(notifications, "UABC", "do.notifications.mail.receive", raw=encoded, recipient=path)
    else:
        await notifications.inbox.receive(raw, path)
    expected = "broker:UABC" if handed_over == "by the staff" else None
    assert (await said(notifications))[2:] == [("mail.bounced.v1", expected)]
