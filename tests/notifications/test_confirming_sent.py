"""Mails that strangers cause, as they go out: what stands in them, what is kept of them, and whom they keep waiting."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import structlog

from contracts import facts
from contracts.enrolment import KnownPerson
from contracts.queries import MailPreviewQuestion, MailsQuestion, PersonQuestion
from services.chassis.links import Link
from services.notifications import store
from services.notifications.links import PersonalLinks
from services.notifications.sender import BATCH, Limits
from services.notifications.transport import Maildir, Outcome, Reply, Retry, Sent, Transport
from tests.notifications.conftest import LINK_KEYS, Service
from tests.notifications.inbox import returned
from tests.notifications.lives import (
    PROGRAMME,
    START,
    Life,
    confirmed,
    lapsed,
    occasion,
    pending,
    refused,
    session,
    waitlisted,
)

JUNE, LATER = occasion("2023-06-20"), occasion("2023-06-27", venue="Bibliotheek Gouda")
TYPED = "U heeft 1000 euro gewonnen"
LINK = re.compile(r"https://deelname\.example/confirm/[A-Za-z0-9._-]+")


class Taken(Transport):
    """Takes every mail, or answers as it is told to."""

    def __init__(self, *answers: Outcome) -> None:
        self.mails: list[tuple[str, bytes]] = []
        self._answers = list(answers)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(
        self, envelope_from: str, recipient: str, raw: bytes, message_id: str, *, attempt: int = 1, jitter: float = 0.0
    ) -> Outcome:
        self.mails.append((recipient, raw))
        return self._answers.pop(0) if self._answers else Sent(Reply("250"))

    @property
    def parsed(self) -> list[EmailMessage]:
        found = [message_from_bytes(raw, policy=policy.default) for _, raw in self.mails]
        assert all(isinstance(each, EmailMessage) for each in found)
        return found


def one_session() -> Life:
    return Life(session("kick-off", JUNE))


def typed(notifications: Service, person: str, address: str = "noor@bibliotheek.example") -> None:
    notifications.contacts.known[person] = KnownPerson(name=TYPED, email=address)


def parts(mail: EmailMessage) -> dict[str, str]:
    return {
        part.get_content_type(): part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        for part in mail.walk()
        if not part.is_multipart()
    }


def everything(raw: bytes) -> str:
    """All that a mail says, also in what is encoded."""
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return "\n".join(
        [raw.decode("ascii"), *(f"{name}: {value}" for name, value in mail.items()), *parts(mail).values()]
    )


async def kept(notifications: Service) -> str:
    """All that the database holds, as whoever has a copy of it reads it."""

    def read(raw: Connection) -> str:
        archive = [bytes(one) for (one,) in raw.execute("SELECT raw FROM archive")]
        return "\n".join([*raw.iterdump(), *map(everything, archive)])

    return await notifications.database.run(read)


async def answers(notifications: Service, **which: Any) -> list[tuple[str, str, str | None]]:
    found = await notifications.desk.mails(MailsQuestion(limit=1000, **which))
    return [(each.purpose, each.status, each.answer) for each in reversed(found.mails)]


async def test_the_mail_that_asks_holds_a_link_for_its_recipient_alone(notifications: Service) -> None:
    typed(notifications, "noor")
    life = one_session()
    life.happens(pending("e1", "noor", organisation="probiblio"))
    await notifications.reads(life)
    transport = Taken()
    with structlog.testing.capture_logs() as log:
        await notifications.sender(transport).send_due()
    ((recipient, raw),) = transport.mails
    (mail,) = transport.parsed
    said = parts(mail)
    assert (recipient, str(mail["To"])) == ("noor@bibliotheek.example", "noor@bibliotheek.example")
    assert set(said) == {"text/plain", "text/html"}, "there is nothing for a calendar"
    assert TYPED not in everything(raw)
    assert "Probiblio" in said["text/plain"], "who organises it may be said, and is the only organisation that is"
    (address,) = set(LINK.findall(said["text/plain"]))
    assert set(LINK.findall(said["text/html"])) == {address}
    opened = LINK_KEYS.opened(address.rpartition("/")[2])
    assert opened == Link("confirm", "noor", PROGRAMME, life.time.replace(microsecond=0), START + timedelta(hours=48))
    assert said["text/plain"].count("zaterdag 4 maart 2023 om 10:14 uur") == 1
    token = address.rpartition("/")[2]
    assert token not in str(log)
    assert token not in await kept(notifications)
    assert "[personal link]" in await kept(notifications)


async def test_staff_who_look_at_the_mail_or_export_the_person_see_that_there_is_a_link(notifications: Service) -> None:
    life = one_session()
    life.happens(pending("e1", "noor", "sam"))
    await notifications.reads(life)
    await notifications.sender(Taken()).send_due()
    preview = await notifications.desk.preview(
        MailPreviewQuestion(enrolment="e1", purpose="confirmation-request", person="sam")
    )
    export = await notifications.desk.export(PersonQuestion(person="noor"))
    (sent,) = export.messages
    for shown in (preview.raw, preview.text, preview.html, sent):
        assert not LINK.search(everything(shown.encode()) if shown.startswith("Date:") else shown)
    for shown in (preview.text, preview.html, everything(sent.encode())):
        assert "[personal link]" in shown


async def test_every_attempt_repeats_the_same_bytes_though_they_are_kept_nowhere(notifications: Service) -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    await notifications.reads(life)
    transport = Taken(Retry(Reply("451 later", 451), timedelta(minutes=1)))
    await notifications.sender(transport).send_due()
    notifications.clock.forward(minutes=20)
    await notifications.sender(transport).send_due()
    first, second = transport.mails
    assert first == second
    assert LINK.search(everything(second[1]))
    assert await answers(notifications) == [("confirmation-request", "sent", "250")]


async def test_a_crash_while_it_was_under_way_does_not_lose_it(notifications: Service, tmp_path: Path) -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    await notifications.reads(life)
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    await notifications.sender(transport).send_due()
    (mail,) = (await notifications.desk.mails(MailsQuestion())).mails
    await notifications.becomes(mail.mail, "sending")
    again = notifications.sender(transport)
    await again.resolve_crash()
    await again.send_due()
    (file,) = (tmp_path / "mail/new").iterdir()
    assert LINK.search(everything(file.read_bytes()))


async def test_without_an_address_for_the_link_the_mail_waits_and_says_what_to_set(notifications: Service) -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    life.happens(confirmed("e2", "sam"))
    await notifications.reads(life)
    notifications.links = PersonalLinks(LINK_KEYS, "")
    transport = Taken()
    await notifications.sender(transport).send_due()
    assert [recipient for recipient, _ in transport.mails] == ["sam@bibliotheek.example"] * 2
    ((_, status, answer),) = await answers(notifications, person="noor")
    assert status == "planned"
    assert answer is not None
    assert "DEELNAME_PUBLIC_URL" in answer
    notifications.links = PersonalLinks(LINK_KEYS, "https://deelname.example/")
    notifications.clock.forward(minutes=5)
    await notifications.sender(transport).send_due()
    assert LINK.search(everything(transport.mails[-1][1]))


async def test_no_mail_to_who_never_confirmed_repeats_what_was_typed(notifications: Service) -> None:
    typed(notifications, "noor")
    life = one_session()
    life.happens(confirmed("e1", "noor", channel="web", unconfirmed=("noor",), organisation="probiblio", price="49.50"))
    life.moves("kick-off", LATER, JUNE)
    await notifications.reads(life)
    transport = Taken()
    await notifications.sender(transport).send_due()
    life.happens(facts.SessionCancelled(session="kick-off"))
    life.happens(facts.ProgrammeWithdrawn())
    await notifications.reads(life)
    await notifications.sender(transport).send_due()
    purposes = [purpose for purpose, status, _ in await answers(notifications) if status == "sent"]
    assert purposes == ["confirmation", "invite", "session-cancelled", "programme-cancelled"]
    for recipient, raw in transport.mails:
        assert TYPED not in everything(raw)
        assert "49,50" not in everything(raw)
        assert "Hallo," in everything(raw)
        assert f"To: <{recipient}>\r\n" in raw.decode()
    (invite,) = [mail for mail in transport.parsed if "REQUEST" in str(parts(mail))]
    unfolded = parts(invite)["text/calendar"].replace("\r\n ", "")
    assert "PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:noor@bibliotheek.example" in unfolded


async def test_an_answer_to_an_invitation_brings_the_name_back(notifications: Service) -> None:
    typed(notifications, "noor")
    life = one_session()
    life.happens(confirmed("e1", "noor", channel="web", unconfirmed=("noor",)))
    await notifications.reads(life)
    transport = Taken()
    await notifications.sender(transport).send_due()
    calendar = next(parts(mail)["text/calendar"] for mail in transport.parsed if "text/calendar" in parts(mail))
    uid = re.search(r"UID:(\S+(?:\r\n \S+)*)", calendar)
    assert uid is not None
    reply = returned.reply(uid[1].replace("\r\n ", ""), "noor@bibliotheek.example")
    assert (await notifications.inbox.receive(reply, "deelname@deelname.example")).note == "accepted"
    life.happens(facts.SessionCancelled(session="kick-off"))
    await notifications.reads(life)
    await notifications.sender(transport).send_due()
    assert f"Beste {TYPED}," in everything(transport.mails[-1][1])


async def test_the_contact_is_told_of_no_address_that_a_stranger_typed(notifications: Service, tmp_path: Path) -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    life.happens(confirmed("e2", "sam", channel="web", unconfirmed=("sam",)))
    life.happens(waitlisted("e3", "eva"))
    await notifications.reads(life)
    await notifications.sender(Taken()).send_due()
    for mail in life.mails:
        if mail.purpose != "invite":
            path = notifications.return_paths.of(mail.id)
            address = f"{mail.person}@bibliotheek.example"
            assert (await notifications.inbox.receive(returned.postfix(path, address), path)).kind == "bounce"
    notices = [row for row in await answers(notifications) if row[0] == "undeliverable"]
    assert len(notices) == 1, "of whom a partner enrolled, the contact is told"
    life.happens(facts.SessionCancelled(session="kick-off"))
    await notifications.reads(life)
    transport = Taken()
    await notifications.sender(transport).send_due()
    assert [recipient for recipient, _ in transport.mails] == ["team@deelname.example"]
    assert "Eva de Wit" in everything(transport.mails[0][1])


# Whom they keep waiting -----------------------------------------------------------------------------------------------


async def test_ten_thousand_mails_that_strangers_cause_keep_nobody_waiting(notifications: Service) -> None:
    life = one_session()
    asked = tuple(f"victim{n}" for n in range(10_000))
    for begin in range(0, len(asked), 100):
        life.happens(pending(f"e{begin}", *asked[begin : begin + 100]))
    await notifications.reads(life)
    sender = notifications.sender(transport := Taken(), limits=Limits(programme=1000))
    life.happens(confirmed("own", *(f"reader{n}" for n in range(BATCH))))
    await notifications.reads(life)
    looked_at = 0
    while sum(recipient.startswith("reader") for recipient, _ in transport.mails) < 2 * BATCH:
        async with asyncio.timeout(60):
            looked_at += await sender._turn()
            if sender._under_way:
                await asyncio.wait(set(sender._under_way))
    assert looked_at <= 2 * BATCH + 3 * BATCH // 5, "two batches of their own, and a few of the others beside each"
    plan = await notifications.database.run(
        lambda raw: store.due(raw, notifications.clock(), BATCH),
    )
    assert len(plan) == BATCH // 5


async def test_what_strangers_cause_waits_with_its_reason_and_what_would_be_late_is_dropped(
    notifications: Service,
) -> None:
    life = one_session()
    for n in range(30):
        typed(notifications, f"victim{n}", f"v.i.ctim+{n}@gmail.com")
        life.happens(pending(f"e{n}", f"victim{n}", hours=3))
    life.happens(confirmed("own", "noor"))
    await notifications.reads(life)
    transport = Taken()
    await notifications.sender(transport, limits=Limits(person=40)).send_due()
    assert sum(recipient.endswith("@gmail.com") for recipient, _ in transport.mails) == 8
    said = [answer for purpose, status, answer in await answers(notifications) if status == "planned"]
    most = "waits: 8 mails to one mailbox an hour are the most that people who are not known may cause"
    assert set(said) == {most}
    dropped = {answer for _, status, answer in await answers(notifications) if status == "dropped"}
    assert dropped == {f"it would come too late ({most})"}
    queue = await notifications.database.run(lambda raw: store.queue(raw, notifications.clock()))
    assert (queue.by_strangers, queue.later, queue.overdue) == (len(said), len(said), 0)
    notifications.clock.now = START + timedelta(hours=3)
    await notifications.sender(transport, limits=Limits(person=40)).send_due()
    queue = await notifications.database.run(lambda raw: store.queue(raw, notifications.clock()))
    assert queue.by_strangers == 0, "there is no backlog once the time to confirm is up"


async def test_who_confirms_waits_among_strangers_no_longer(notifications: Service) -> None:
    life = one_session()
    for n in range(3):
        life.happens(waitlisted(f"e{n}", "noor", channel="web", unconfirmed=("noor",)))
    await notifications.reads(life)
    sender = notifications.sender(transport := Taken(), limits=Limits(person=5))
    await sender.send_due()
    assert len(transport.mails) == 1
    life.happens(facts.ParticipantConfirmed(enrolment="e1", person="noor"))
    await notifications.reads(life)
    await sender.send_due()
    assert len(transport.mails) == 3


async def test_a_refusal_that_could_not_go_out_within_a_day_is_old_news(notifications: Service) -> None:
    life = one_session()
    life.happens(refused("e1", "noor", channel="web"))
    life.happens(lapsed("e1"))
    await notifications.reads(life)
    await notifications.database.transact(
        lambda raw: raw.execute("UPDATE mails SET planned_at = '2023-03-01T00:00:00.000Z'")
    )
    for n in range(2):
        typed(notifications, f"noor{n}", f"noor+{n}@bibliotheek.example")
        life.happens(pending(f"p{n}", f"noor{n}"))
    await notifications.reads(life)
    sender = notifications.sender(Taken(), limits=Limits(person=5, strangers_percent=20))
    await sender.send_due()
    statuses = [status for _, status, _ in await answers(notifications)]
    assert statuses == ["dropped", "sent", "planned"]


async def test_a_flood_is_one_line_of_the_log_an_hour_and_nobodys_cap(notifications: Service) -> None:
    life = one_session()
    for n in range(40):
        life.happens(pending(f"e{n}", f"victim{n}"))
    await notifications.reads(life)
    sender = notifications.sender(Taken(), limits=Limits(programme=10, strangers_domain=1))
    with structlog.testing.capture_logs() as log:
        await sender.send_due()
        notifications.clock.forward(minutes=30)
        await sender.send_due()
    assert [each["event"].partition(":")[0] for each in log] == ["strangers cause more mails than their share"]
    assert not any("victim" in str(each) for each in log)
    assert sender.capped == []
