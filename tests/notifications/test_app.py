"""The service as a process of its own, behind a broker with the permissions of production."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from smtplib import LMTP
from subprocess import STDOUT
from sys import executable

import pytest

from contracts import facts, subjects
from deploy.links import keep_link_keys
from tests.notifications.inbox import returned
from tests.notifications.lives import confirmed, withdrawn
from tests.notifications.test_sender import MailServer, until
from tests.notifications.whole import System
from tests.warm import popen


@pytest.fixture
def mail_server(tmp_path: Path) -> Iterator[MailServer]:
    server = MailServer(tmp_path)
    yield server
    server.stop()


async def test_from_a_fact_to_a_file_that_any_mail_program_opens_and_back_to_staff(system: System) -> None:
    process = system.start()
    await system.knows("noor")
    await system.happens(confirmed("e1", "noor"))
    await until(lambda: len(system.delivered()) == 2)
    await until(system.is_ready)
    mails = [message_from_bytes(each.read_bytes(), policy=policy.default) for each in system.delivered()]
    assert {str(each["To"]) for each in mails} == {"Noor de Wit <noor@bibliotheek.example>"}
    listed = (await system.asks("ask.notifications.mail.list", enrolment="e1"))["mails"]
    assert {(each["purpose"], each["status"]) for each in listed} == {("confirmation", "sent"), ("invite", "sent")}
    assert {each["message_id"] for each in listed} == {str(each["Message-ID"]) for each in mails}
    preview = await system.asks("ask.notifications.mail.preview", enrolment="e1", purpose="withdrawn", language="en")
    assert preview["to"] == "noor@bibliotheek.example"
    export = await system.asks("ask.notifications.person.export", person="noor")
    assert len(export["messages"]) == 2
    problem = await system.asks("do.notifications.mail.retry", mail=listed[0]["mail"])
    assert problem["status"] == 409
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 15) == 0
    assert "noor" not in system.journal.lower(), "no personal data in the journal"


async def test_the_log_of_mails_reaches_its_stream_and_names_nobody(system: System) -> None:
    system.start()
    await system.knows("noor")
    await system.happens(confirmed("e1", "noor"))
    await until(system.both_relayed)
    # Only the stream's own folder: the broker makes and removes files beside it while we look.
    (stream,) = system.broker.store.glob("jetstream/*/streams/LOG_NOTIFICATIONS")
    stored = b"".join(each.read_bytes() for each in (stream / "msgs").glob("*.blk"))
    assert b"mail.sent.v1" in stored
    assert b"de Wit" not in stored
    assert b"bibliotheek.example" not in stored


async def test_a_bounce_that_a_mail_server_hands_over_is_a_fact_in_the_stream(system: System) -> None:
    await system.knows("noor")
    system.start()
    await system.happens(confirmed("e1", "noor"))
    await until(system.is_ready)
    await until(system.both_relayed)
    paths = [message_from_bytes(each.read_bytes())["Return-Path"].strip("<>") for each in system.delivered()]
    assert len(set(paths)) == 2

    def hand_over() -> None:
        with LMTP("127.0.0.1", system.inbox, timeout=10) as server:
            server.sendmail("", [paths[0]], returned.postfix(paths[0], "noor@bibliotheek.example"))

    await asyncio.to_thread(hand_over)
    stream = system.reporting.jetstream()

    async def told() -> bool:
        return (await stream.stream_info("LOG_NOTIFICATIONS")).state.last_seq >= 3

    await until(told)
    (suppressed,) = (await system.asks("ask.notifications.suppression.list"))["suppressed"]
    assert (suppressed["person"], suppressed["source"], suppressed["status"]) == ("noor", "bounce", "5.1.1")
    (received,) = (await system.asks("ask.notifications.received.list"))["received"]
    assert received["kind"] == "bounce"
    assert "bibliotheek.example" not in system.journal
    assert "bibliotheek.example" not in json.dumps([suppressed, received])
    # What the staff does has a name, what a mail server does has none; the broker says who asks.
    assert (await system.asks("do.notifications.suppression.lift", person="noor"))["changed"] == 1
    actors: dict[str, str | None] = {}

    async def lifted() -> bool:
        log = system.staff.jetstream()
        for number in range(1, (await stream.stream_info("LOG_NOTIFICATIONS")).state.last_seq + 1):
            fact = json.loads((await log.get_msg("LOG_NOTIFICATIONS", number, direct=True)).data or b"{}")
            actors[fact["type"]] = fact.get("actor")
        return "suppression.lifted.v1" in actors

    await until(lifted)
    assert actors["mail.bounced.v1"] is None
    assert actors["suppression.lifted.v1"] == "broker:staff"


async def test_after_a_kill_in_the_middle_of_sending_the_mail_is_uncertain_and_sent_again_on_demand(
    system: System, mail_server: MailServer
) -> None:
    await system.knows("noor", "end.slow@bibliotheek.example")
    process = system.start(mail_server.url)
    await system.happens(confirmed("e1", "noor"))
    # The server has both mails and will never say so.
    await until(lambda: len(mail_server.taken) == 2)
    process.kill()
    process.wait()
    with sqlite3.connect(system.directory / "data" / "notifications.db") as database:
        assert {row[0] for row in database.execute("SELECT status FROM mails")} == {"sending"}
    database.close()
    first = sorted(each.as_bytes() for each in mail_server.taken)

    system.start()

    async def uncertain() -> bool:
        return await system.statuses() == {"uncertain"}

    await until(system.is_ready)
    await until(uncertain)
    assert system.delivered() == [], "nothing is guessed"
    for each in (await system.asks("ask.notifications.mail.list", status="uncertain"))["mails"]:
        assert (await system.asks("do.notifications.mail.retry", mail=each["mail"]))["mail"] == each["mail"]
    await until(lambda: len(system.delivered()) == 2)
    again = [message_from_bytes(each.read_bytes(), policy=policy.default)["Message-ID"] for each in system.delivered()]
    assert sorted(again) == sorted(message_from_bytes(each, policy=policy.default)["Message-ID"] for each in first)


async def test_killed_again_and_again_every_mail_arrives_once(system: System) -> None:
    people = [f"person{number}" for number in range(60)]
    for each in people:
        await system.knows(each)
    for round_ in range(3):
        process = system.start()
        start = round_ * 20
        await system.happens(*(confirmed(f"e-{each}", each) for each in people[start : start + 20]))
        await until(lambda start=start: len(system.delivered()) > 2 * start + 3)  # type: ignore[misc]
        process.kill()
        process.wait()
    system.start()
    await until(lambda: len(system.delivered()) >= 2 * len(people))

    async def all_sent() -> bool:
        return await system.statuses() == {"sent"}

    await until(system.is_ready)
    await until(all_sent)
    ids = [message_from_bytes(each.read_bytes(), policy=policy.default)["Message-ID"] for each in system.delivered()]
    assert len(ids) == len(set(ids)) == 2 * len(people)


async def test_an_erased_person_is_gone_from_the_archive(system: System) -> None:
    system.start()
    await system.knows("noor")
    await system.happens(confirmed("e1", "noor"))
    await until(lambda: len(system.delivered()) == 2)
    await system.registration.request(
        f"$KV.{subjects.CONTACTS}.noor", b"", timeout=5, headers={"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
    )
    await system.happens(withdrawn("e1"))
    await system.happens(facts.PersonErased(person="noor"), subject=facts.NO_PROGRAMME)

    async def dropped() -> bool:
        return await system.statuses() == {"sent", "dropped"}

    await until(dropped)

    async def forgotten() -> bool:
        export = await system.asks("ask.notifications.person.export", person="noor")
        return not export["messages"]

    await until(forgotten)
    assert len(system.delivered()) == 2


async def test_a_database_that_was_lost_stops_the_service_before_it_mails_people_again(system: System) -> None:
    process = system.start()
    await system.knows("noor")
    await system.happens(confirmed("e1", "noor"))
    await until(system.is_ready)

    await until(system.both_relayed)
    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait, 15)
    for each in (system.directory / "data").iterdir():
        each.unlink()
    assert await asyncio.to_thread(system.start().wait, 20) == 1
    assert "mail people again" in system.journal
    assert len(system.delivered()) == 2


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("DEELNAME_TRANSPORT", "smtp://user:geheim@", "transport"),
        ("DEELNAME_SENDER", "nobody", "mailbox@example.org"),
        ("DEELNAME_PUBLIC_URL", "deelname.example.org", "https://deelname.example.org"),
        ("DEELNAME_PUBLIC_URL", "https://deelname.example.org/?page=1", "with a path at most"),
        ("DEELNAME_LINK_KEYS", "/nowhere/links.keys", "'deelname broker configure DIR' makes such a file"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_at_once_and_no_password_is_repeated(
    tmp_path: Path, name: str, value: str, word: str
) -> None:
    settings = {
        "DEELNAME_NATS_URL": "nats://127.0.0.1:1",
        "DEELNAME_DATA": str(tmp_path),
        "DEELNAME_LINK_KEYS": str(keep_link_keys(tmp_path / "links.keys")),
        "DEELNAME_TRANSPORT": "maildir:/nowhere",
        "DEELNAME_SENDER": "Deelname <deelname@deelname.example>",
        name: value,
    }
    with (tmp_path / "output").open("w") as output:
        process = popen(
            [executable, "-m", "services.notifications"],
            env=dict(os.environ) | settings,
            stdout=output,
            stderr=STDOUT,
        )
    assert process.wait(timeout=30) == 1
    said = (tmp_path / "output").read_text()
    assert word in said
    assert "geheim" not in said
