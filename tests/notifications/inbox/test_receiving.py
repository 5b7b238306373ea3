"""What comes back changes what is known, exactly as far as it proves something."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.commands import AddSuppression, LiftSuppression, ReceivedMail, ReceiveMail
from contracts.enrolment import KnownPerson
from contracts.facts import PersonCorrected, PersonErased
from contracts.problem import ProblemError
from contracts.queries import MailPreviewQuestion, PersonQuestion, ReceivedMailQuestion
from services.notifications import store
from services.notifications.domain import Planned
from services.notifications.handlers import Archivist
from services.notifications.inbox import Room, TryLater
from services.notifications.inbox.reader import ReaderUnavailable
from services.notifications.incoming.content import Read
from services.notifications.transport import Maildir
from tests.notifications.conftest import Service, at_once
from tests.notifications.inbox import attacks, returned
from tests.notifications.lives import Life, confirmed, occasion, session, withdrawn

JUNE, LATER = occasion("2023-06-20"), occasion("2023-06-27")
NOOR = "noor@bibliotheek.example"


def life_with(*more: Any) -> Life:
    life = Life(session("kick-off", JUNE), session("slot"))
    for each in more:
        life.happens(each)
    return life


async def told(notifications: Service, life: Life, directory: Path) -> None:
    """Everything that is due goes out."""
    await notifications.reads(life)
    transport = Maildir(directory / "mail")
    await transport.open()
    await notifications.sender(transport).send_due()


async def facts(notifications: Service) -> list[dict[str, Any]]:
    """Our own facts that tell of what came back."""
    entries = await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 1000))
    found = [json.loads(each.body) for each in entries]
    return [each for each in found if each["type"] in ("mail.bounced.v1", "invitation.answered.v1")]


async def suppressed(notifications: Service) -> list[tuple[str | None, str, str | None]]:
    found = await notifications.database.run(store.suppressions)
    return [(each.person, each.source, each.status) for each in found]


def mail_for(life: Life, person: str, purpose: str = "confirmation") -> Planned:
    return next(each for each in life.mails if each.person == person and each.purpose == purpose)


def path(notifications: Service, mail: Planned) -> str:
    return notifications.return_paths.of(mail.id)


async def purposes(notifications: Service) -> list[tuple[str, ...]]:
    return [each for each in await notifications.statuses() if each[0] == "undeliverable"]


@pytest.mark.parametrize("shape", [returned.postfix, returned.exchange], ids=["postfix", "exchange"])
async def test_a_bounce_by_its_own_address_suppresses_and_is_told_once(
    notifications: Service, tmp_path: Path, shape: Any
) -> None:
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    raw = shape(path(notifications, mail), NOOR)
    first = await notifications.inbox.receive(raw, path(notifications, mail))
    again = await notifications.inbox.receive(raw, path(notifications, mail))
    assert (first.kind, first.mail, again.received) == ("bounce", mail.id, first.received)
    (fact,) = await facts(notifications)
    assert fact["data"] | {"status": "5.1.1"} == {
        "mail": mail.id,
        "purpose": "confirmation",
        "person": "noor",
        "enrolment": "e1",
        "status": "5.1.1",
        "suppressed": True,
        "verdict": "gone",
    }
    assert fact["subject"] == life.facts[-1].subject
    assert await suppressed(notifications) == [("noor", "bounce", fact["data"]["status"])]
    assert "@" not in json.dumps(fact)
    assert ("confirmation", "failed") in await notifications.statuses()


async def test_a_bounce_is_known_by_what_it_returns_if_it_is_about_the_address_mailed(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    (row,) = [each for each in await views(notifications) if each.mail == mail.id]
    forged = returned.gmail("deelname@deelname.example", "sam@bibliotheek.example", message_id=row.message_id or "")
    assert (await notifications.inbox.receive(forged)).kind == "unknown"
    assert await facts(notifications) == []
    honest = returned.gmail("deelname@deelname.example", "Noor@Bibliotheek.example", message_id=row.message_id or "")
    assert (await notifications.inbox.receive(honest)).mail == mail.id
    assert len(await facts(notifications)) == 1


async def views(notifications: Service) -> Any:
    return await notifications.database.run(lambda raw: store.mails(raw, store.ALL))


@pytest.mark.parametrize("change", ["id", "code", "mailbox"])
async def test_a_forged_address_suppresses_nobody_and_the_report_is_kept(
    notifications: Service, tmp_path: Path, change: str
) -> None:
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    local, _, domain = path(notifications, mail_for(life, "noor")).partition("@")
    forged = {
        # Somebody who knows another mail's id has its code not.
        "id": local.replace(mail_for(life, "noor").id, mail_for(life, "sam").id),
        "code": local[:-1] + ("0" if local[-1] != "0" else "1"),
        "mailbox": local.replace("bounce", "other"),
    }[change]
    address = f"{forged}@{domain}"
    result = await notifications.inbox.receive(returned.postfix(address, NOOR), address)
    assert (result.kind, result.mail) == ("unknown", None)
    assert await suppressed(notifications) == []
    assert await facts(notifications) == []
    kept = await notifications.postbox.message(ReceivedMailQuestion(received=result.received))
    assert kept.raw == b64encode(returned.postfix(address, NOOR)).decode()


async def fail(notifications: Service, life: Life, days: str, status: str, words: str) -> list[bool]:
    """One mail comes back after each so many days; whether its address gets nothing more then."""
    sent = [each for each in life.mails if each.purpose == "confirmation"]
    cut_off = []
    for mail, after in zip(sent, days.split(), strict=True):
        notifications.clock.forward(days=int(after))
        raw = returned.postfix("x@y.example", NOOR, status=status, diagnostic=words)
        assert (await notifications.inbox.receive(raw, path(notifications, mail))).kind == "bounce"
        cut_off.append(bool(await suppressed(notifications)))
    return cut_off


@pytest.mark.parametrize(
    ("days", "said", "cut_off"),
    [
        # A confirmation and two invitations that met the same full mailbox are one failure.
        ("0 0 0 0", ("5.2.2", "552 5.2.2 mailbox full"), 0),
        ("0 1 1", ("5.2.2", "552 5.2.2 mailbox full"), 3),
        ("0 15 1 2", ("5.2.2", "552 5.2.2 mailbox full"), 4),
        ("0 1 1 1", ("4.4.1", "connect to mx.bibliotheek.example[192.0.2.7]:25: Connection timed out"), 0),
        ("0 1 1 1 1", ("4.4.7", "delivery expired, the host did not answer"), 5),
        ("0 1 1 1 1 1 1", ("5.7.606", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]"), 0),
        ("0 0 0", ("5.7.606", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]"), 0),
        ("0", ("5.1.1", "550 5.1.1 User unknown"), 1),
    ],
)
async def test_an_address_is_cut_off_by_days_on_which_it_failed_and_never_because_of_us(
    notifications: Service, tmp_path: Path, days: str, said: tuple[str, str], cut_off: int
) -> None:
    life = life_with(*(confirmed(f"e{n}", "noor") for n in range(len(days.split()))))
    await told(notifications, life, tmp_path)
    found = await fail(notifications, life, days, *said)
    assert found == [bool(cut_off) and number >= cut_off for number in range(1, len(found) + 1)]
    assert [each["data"].get("suppressed", False) for each in await facts(notifications)] == found


async def test_a_day_is_one_of_the_calendar_that_hangs_on_the_wall(notifications: Service, tmp_path: Path) -> None:
    """Half past eleven at night and an hour later are two days in Amsterdam, and one in UTC."""
    life = life_with(*(confirmed(f"e{n}", "noor") for n in range(3)))
    await told(notifications, life, tmp_path)
    sent = [each for each in life.mails if each.purpose == "confirmation"]
    notifications.clock.now = datetime(2023, 3, 2, 22, 30, tzinfo=UTC)
    for mail, hours in zip(sent, (0, 1, 24), strict=True):
        notifications.clock.forward(hours=hours)
        raw = returned.postfix("x@y.example", NOOR, status="5.2.2", diagnostic="552 5.2.2 mailbox full")
        await notifications.inbox.receive(raw, path(notifications, mail))
    assert await suppressed(notifications) == [("noor", "bounce", "5.2.2")]


async def test_what_is_refused_because_of_us_fails_the_mail_tells_nobody_and_is_counted(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    raw = returned.postfix("x@y.example", NOOR, status="5.1.1", diagnostic="550 5.7.1 rejected by our block list")
    result = await notifications.inbox.receive(raw, path(notifications, mail))
    assert (result.kind, result.note) == ("bounce", "the mail came back (5.1.1): because of us, not of the address")
    assert [each["data"]["verdict"] for each in await facts(notifications)] == ["ours"]
    assert ("confirmation", "failed") in await notifications.statuses()
    assert await purposes(notifications) == []
    assert [each.verdict for each in await views(notifications) if each.mail == mail.id] == ["ours"]
    queue = await notifications.database.run(lambda raw: store.queue(raw, notifications.clock()))
    assert queue.against_us == 1
    notifications.clock.forward(days=2)
    queue = await notifications.database.run(lambda raw: store.queue(raw, notifications.clock()))
    assert queue.against_us == 0


async def test_words_that_nobody_understands_are_kept_with_the_mail_that_they_are_about(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    address = path(notifications, mail_for(life, "noor"))
    raw = (
        b"From: Postmaster <postmaster@hosting.example>\r\nSubject: Delivery failure\r\n\r\n"
        b"Din post kunde inte levereras.\r\n"
    )
    result = await notifications.inbox.receive(raw, address)
    assert (result.kind, result.mail) == ("unknown", mail_for(life, "noor").id)
    understood = raw.replace(b"Din post kunde inte levereras.", b"Reden: 550 Onbekende gebruiker")
    assert (await notifications.inbox.receive(understood, address)).kind == "bounce"
    assert await suppressed(notifications) == [("noor", "bounce", None)]


async def test_a_report_that_a_server_still_tries_changes_nothing(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    address = path(notifications, mail_for(life, "noor"))
    for action, kind in (("delayed", "delayed"), ("relayed", "automatic")):
        raw = returned.postfix(address, NOOR, action=action, status="4.4.1")
        assert (await notifications.inbox.receive(raw, address)).kind == kind
    away = returned.out_of_office(address, NOOR)
    assert (await notifications.inbox.receive(away, address)).kind == "automatic"
    assert await facts(notifications) == []
    assert ("confirmation", "sent") in await notifications.statuses()


async def test_an_odd_report_is_judged_by_its_words(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    address = path(notifications, mail_for(life, "noor"))
    full = returned.qmail(address, NOOR).replace(b"no mailbox here by that name. (#5.1.1)", b"the mailbox is full")
    assert (await notifications.inbox.receive(full, address)).kind == "bounce"
    assert await suppressed(notifications) == []
    address = path(notifications, mail_for(life, "sam"))
    raw = returned.qmail(address, "sam@bibliotheek.example")
    assert (await notifications.inbox.receive(raw, address)).kind == "bounce"
    assert await suppressed(notifications) == [("sam", "bounce", None)]
    assert len(await facts(notifications)) == 2


async def test_a_report_about_a_mail_under_way_is_asked_for_again(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    await notifications.becomes(mail.id, "sending")
    raw = returned.postfix(path(notifications, mail), NOOR)
    with pytest.raises(TryLater):
        await notifications.inbox.receive(raw)
    command = ReceiveMail(raw=b64encode(raw).decode())
    with pytest.raises(ProblemError) as refused:
        await notifications.postbox.receive(command)
    assert refused.value.problem.status == 503
    await notifications.becomes(mail.id, "sent")
    # Without an envelope the address in the headers is as good: nobody else can make one.
    assert (await notifications.postbox.receive(command)).mail == mail.id


# What nobody could read -----------------------------------------------------------------------------------------------


async def test_a_mail_that_exceeds_a_bound_is_kept_as_it_came_and_counted_until_it_is_forgotten(
    notifications: Service,
) -> None:
    raw = attacks.parts(4, 40_000)
    result = await notifications.inbox.receive(raw, "bounce@deelname.example")
    assert (result.kind, result.mail) == ("unknown", None)
    assert result.note == "it was not read: a header with parameters has more than 8000 octets"
    kept = await notifications.postbox.message(ReceivedMailQuestion(received=result.received))
    assert kept.raw == b64encode(raw).decode()
    assert await notifications.database.run(store.unread) == (1, len(raw))
    # The same once more is no second mail.
    assert (await notifications.inbox.receive(raw, "bounce@deelname.example")).received == result.received
    assert await notifications.database.run(store.unread) == (1, len(raw))
    notifications.clock.forward(days=31)
    await Archivist(notifications.database, notifications.clock, archive_days=180, inbox_days=30).tidy()
    assert await notifications.database.run(store.unread) == (0, 0)


async def test_a_large_mail_that_is_kept_is_given_in_pieces(notifications: Service) -> None:
    raw = attacks.letters(1_500_000)
    number = (await notifications.inbox.receive(raw, "bounce@deelname.example")).received
    with pytest.raises(ProblemError) as refused:
        await notifications.postbox.message(ReceivedMailQuestion(received=number))
    assert refused.value.problem.status == 413
    found = b""
    for _ in range(3):
        piece = await notifications.postbox.message(ReceivedMailQuestion(received=number, begin=len(found)))
        assert piece.size == len(raw)
        found += b64decode(piece.raw)
    assert found == raw


async def test_mails_of_strangers_leave_room_for_the_rest_of_what_a_person_is_given(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    for number in range(30):
        await notifications.inbox.receive(
            returned.person("bounce@deelname.example", NOOR, f"{number}" + "\xff" * 40_000)
        )
    await notifications.inbox.receive(returned.person("bounce@deelname.example", NOOR, "A word."))
    export = await notifications.desk.export(PersonQuestion(person="noor"))
    assert len(export.received) == 31
    assert len(export.model_dump_json()) < 500_000
    assert "octets; 'deelname mail received 1 --raw FILE' writes all of it]" in export.received[0]


async def test_a_mail_to_many_is_kept_once(notifications: Service) -> None:
    raw = returned.person("bounce@deelname.example", NOOR)
    take = await notifications.inbox.opens(raw)
    numbers = {(await take(f"bounce+{number}@deelname.example")).received for number in range(10)}
    assert len(numbers) == 1
    assert await notifications.database.run(store.unread) == (1, len(raw))


async def test_where_there_is_no_room_for_what_a_person_has_to_see_the_mail_server_keeps_it(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    first, second = (returned.person("bounce@deelname.example", NOOR, words) for words in ("one", "two"))
    inbox = notifications.inbox_that_reads(at_once, room=Room(octets=len(first) + 10))
    await inbox.receive(first)
    with pytest.raises(TryLater, match="no more room"):
        await inbox.receive(second)
    # What is there is there, and what need not be kept is taken as ever.
    await inbox.receive(first)
    mail = mail_for(life, "noor")
    assert (await inbox.receive(returned.postfix(path(notifications, mail), NOOR))).kind == "bounce"


async def test_a_mail_that_nobody_can_read_at_this_moment_stays_with_who_has_it(notifications: Service) -> None:
    async def reads(raw: bytes, null_sender: bool | None) -> Read:
        raise ReaderUnavailable

    with pytest.raises(TryLater):
        await notifications.inbox_that_reads(reads).receive(returned.person("x@y.example", NOOR))
    assert await notifications.database.run(lambda raw: store.received(raw, 10)) == []


# Who is told ----------------------------------------------------------------------------------------------------------


async def test_the_contact_is_told_once_that_mails_do_not_arrive(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    await notifications.inbox.receive(returned.postfix(path(notifications, mail), NOOR), path(notifications, mail))
    life.moves("kick-off", LATER, JUNE)
    await told(notifications, life, tmp_path)
    life.happens(withdrawn("e1"))
    await told(notifications, life, tmp_path)
    assert await purposes(notifications) == [("undeliverable", "sent")]
    assert ("session-moved", "kick-off", "failed") in await notifications.statuses()
    (notice,) = [each for each in maildir(tmp_path) if "komen niet aan" in each]
    assert "To: Team Deelname <team@deelname.example>" in notice
    assert "Noor de Wit" in notice
    assert NOOR in notice, "a slip of the pen can be seen"
    assert "Reply-To" not in notice


def maildir(directory: Path) -> list[str]:
    return [each.read_text() for each in (directory / "mail" / "new").iterdir()]


async def test_a_notice_that_does_not_arrive_itself_is_told_to_nobody(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    await notifications.inbox.receive(returned.postfix(path(notifications, mail), NOOR), path(notifications, mail))
    await told(notifications, life, tmp_path)
    (notice,) = [each for each in await views(notifications) if each.purpose == "undeliverable"]
    address = notifications.return_paths.of(notice.mail)
    await notifications.inbox.receive(returned.postfix(address, "team@deelname.example"), address)
    assert [each[0] for each in await suppressed(notifications)] == [None, "noor"]
    # Sam's mail fails too; the notice has nowhere to go, and nothing follows from that.
    mail = mail_for(life, "sam")
    raw = returned.postfix(path(notifications, mail), "sam@bibliotheek.example")
    await notifications.inbox.receive(raw, path(notifications, mail))
    await told(notifications, life, tmp_path)
    await told(notifications, life, tmp_path)
    assert await purposes(notifications) == [("undeliverable", "failed"), ("undeliverable", "failed")]


async def test_a_corrected_address_is_mailed_again_and_what_came_back_can_be_sent_there(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    await notifications.inbox.receive(returned.postfix(path(notifications, mail), NOOR), path(notifications, mail))
    notifications.contacts.known["noor"] = somebody_at("noor.de.wit@bibliotheek.example")
    life.happens(PersonCorrected(person="noor", changed=("email",)), subject="_")
    await notifications.reads(life)
    assert await suppressed(notifications) == [("noor", "bounce", "5.1.1")], "the old address is gone as before"
    await notifications.database.transact(lambda raw: store.retry(raw, mail.id, notifications.clock()))
    await told(notifications, life, tmp_path)
    assert ("confirmation", "sent") in await notifications.statuses()
    assert any("To: Noor de Wit <noor.de.wit@bibliotheek.example>" in each for each in maildir(tmp_path))


def somebody_at(email: str) -> Any:
    return KnownPerson(name="Noor de Wit", email=email)


async def test_staff_suppress_and_lift_by_person_and_by_address(notifications: Service, tmp_path: Path) -> None:
    postbox = notifications.postbox
    assert (await postbox.suppress(AddSuppression(person="noor", reason="asked by telephone"))).changed == 1
    assert (await postbox.suppress(AddSuppression(email="NOOR@bibliotheek.EXAMPLE", reason="again"))).changed == 0
    assert (await postbox.suppress(AddSuppression(email="sam@bibliotheek.example", reason="left"))).changed == 1
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"), confirmed("e3", "eva"))
    await told(notifications, life, tmp_path)
    statuses = [each[-1] for each in await notifications.statuses()]
    assert statuses == ["failed"] * 4 + ["sent"] * 4  # eva's two, and a notice about each of the others
    # Whose address it is, is known once a mail was to go there.
    assert [each[:2] for each in await suppressed(notifications)] == [("sam", "staff"), ("noor", "staff")]
    assert (await postbox.lift(LiftSuppression(person="sam"))).changed == 1
    assert (await postbox.lift(LiftSuppression(email=NOOR))).changed == 1
    assert (await postbox.lift(LiftSuppression(email=NOOR))).changed == 0
    for bad in ({}, {"person": "noor", "email": NOOR}):
        with pytest.raises(ValidationError):
            LiftSuppression.model_validate(bad)


async def test_a_retry_does_not_undo_what_staff_decided(notifications: Service, tmp_path: Path) -> None:
    await notifications.postbox.suppress(AddSuppression(person="noor", reason="asked by telephone"))
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    await notifications.database.transact(lambda raw: store.retry(raw, mail.id, notifications.clock()))
    await told(notifications, life, tmp_path)
    assert ("confirmation", "failed") in await notifications.statuses()


# Answers to invitations -----------------------------------------------------------------------------------------------


def uid_of(life: Life, person: str) -> str:
    appointment = mail_for(life, person, "invite").detail.appointment
    assert appointment is not None
    return appointment.uid


async def answered(notifications: Service) -> list[tuple[str, str, str]]:
    return [
        (each["data"]["person"], each["data"]["session"], each["data"]["answer"]) for each in await facts(notifications)
    ]


async def receive(notifications: Service, raw: bytes) -> ReceivedMail:
    return await notifications.inbox.receive(raw, "deelname@deelname.example")


async def test_the_newest_answer_wins_and_a_repetition_says_nothing_new(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    uid = uid_of(life, "noor")
    for partstat, stamp in (
        ("ACCEPTED", "20230302T120000Z"),
        ("DECLINED", "20230302T110000Z"),  # was overtaken on its way
        ("ACCEPTED", "20230302T130000Z"),
        ("DECLINED", "20230302T130000Z"),
        ("TENTATIVE", "20230302T140000Z"),
        ("DECLINED", "20230302T150000Z"),
    ):
        raw = returned.reply(uid, NOOR, partstat, stamp=stamp)
        assert (await receive(notifications, raw)).kind == "reply"
    assert await answered(notifications) == [
        ("noor", "kick-off", "accepted"),
        ("noor", "kick-off", "declined"),
        ("noor", "kick-off", "tentative"),
        ("noor", "kick-off", "declined"),
    ]
    # Who does not come still has the place: only registration takes it back, when somebody asks for that.
    assert ("invite", "kick-off", "sent") in await notifications.statuses()


async def test_an_answer_to_what_was_moved_since_does_not_count(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    life.moves("kick-off", LATER, JUNE)
    await told(notifications, life, tmp_path)
    uid = uid_of(life, "noor")
    last = (await notifications.database.run(lambda raw: store.said_of(raw, uid))).told
    assert last is not None
    assert last.appointment.sequence == 1
    await receive(notifications, returned.reply(uid, NOOR, "ACCEPTED", sequence=0))
    assert await answered(notifications) == []
    await receive(notifications, returned.reply(uid, NOOR, "DECLINED", sequence=1, stamp="20230302T110000Z"))
    assert await answered(notifications) == [("noor", "kick-off", "declined")]


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": "gezinsaanpak-2023.kick-off.0.1@deelname"},
        {"attendee": "sam@bibliotheek.example", "sender": NOOR},
        {"sender": "sam@bibliotheek.example"},
        {"partstat": "DELEGATED"},
        {"method": "COUNTER"},
    ],
    ids=["unknown item", "another attendee", "another sender", "delegated", "another time"],
)
async def test_what_is_no_sure_answer_is_kept_for_a_person(
    notifications: Service, tmp_path: Path, changes: dict[str, Any]
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    raw = returned.reply(**{"uid": uid_of(life, "noor"), "attendee": NOOR} | changes)
    result = await receive(notifications, raw)
    assert result.kind == "unknown"
    assert await facts(notifications) == []
    (kept,) = await notifications.database.run(lambda connection: store.received(connection, 10, unread=True))
    assert kept.size == len(raw)


# Whatever comes -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    raw=st.binary(max_size=400)
    | st.sampled_from(
        [
            returned.postfix("bounce@deelname.example", NOOR),
            returned.exchange("bounce+0@deelname.example", NOOR),
            returned.reply("x@deelname", NOOR),
        ]
    ),
    recipient=st.none()
    | st.sampled_from(["bounce@deelname.example", "deelname@deelname.example"])
    | st.from_regex(r"bounce\+[0-9a-f]{48}@deelname\.example", fullmatch=True),
)
async def test_without_a_known_id_nobody_is_suppressed(
    notifications: Service, raw: bytes, recipient: str | None
) -> None:
    result = await notifications.inbox.receive(raw, recipient)
    assert result.mail is None
    assert await suppressed(notifications) == []
    assert await facts(notifications) == []


# What is kept, and for how long ---------------------------------------------------------------------------------------


async def test_an_erased_person_leaves_no_trace_in_what_came_back(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    mail = mail_for(life, "noor")
    await receive(notifications, returned.reply(uid_of(life, "noor"), NOOR))
    await receive(notifications, returned.person("deelname@deelname.example", NOOR))
    await receive(notifications, returned.person("deelname@deelname.example", "sam@bibliotheek.example"))
    await notifications.inbox.receive(returned.postfix(path(notifications, mail), NOOR), path(notifications, mail))
    await told(notifications, life, tmp_path)
    export = await notifications.desk.export(PersonQuestion(person="noor"))
    assert len(export.received) == 1
    assert NOOR in export.received[0]
    assert [each.answer for each in export.answers] == ["accepted"]
    assert [each.status for each in export.suppressed] == ["5.1.1"]
    assert any("komen niet aan" in each for each in export.messages)

    life.happens(PersonErased(person="noor"), subject="_")
    await notifications.reads(life)
    await notifications.database.forget()
    left = b"".join(each.read_bytes() for each in notifications.database.path.parent.glob("*.db*"))
    assert b"noor@" not in left
    assert b"Noor de Wit" not in left
    assert b"sam@bibliotheek" in left
    assert await suppressed(notifications) == []
    # A report that comes late finds the mail and nobody to keep anything about.
    late = next(each for each in life.mails if each.person == "noor" and each.purpose == "invite")
    await notifications.inbox.receive(returned.exchange(path(notifications, late), NOOR), path(notifications, late))
    assert await suppressed(notifications) == []
    await notifications.database.run(lambda raw: raw.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    left = b"".join(each.read_bytes() for each in notifications.database.path.parent.glob("*.db*"))
    assert b"noor@" not in left


async def test_mail_to_letters_beyond_ascii_is_previewed_and_exported_as_it_goes_out(
    notifications: Service, tmp_path: Path
) -> None:
    notifications.contacts.known["noor"] = somebody_at("noël@bibliotheek.example")
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    preview = await notifications.desk.preview(MailPreviewQuestion(enrolment="e1", purpose="confirmation"))
    export = await notifications.desk.export(PersonQuestion(person="noor"))
    assert len(export.messages) > 1
    assert all("<noël@bibliotheek.example>" in each for each in (preview.raw, *export.messages))


@pytest.mark.parametrize("address", [NOOR, "noël@bibliotheek.example", "noor@xn--bibliothek-47a.example"])
@pytest.mark.parametrize("former", [False, True])
async def test_what_others_wrote_of_who_was_erased_goes_wherever_the_person_was_mailed(
    notifications: Service, tmp_path: Path, address: str, former: bool
) -> None:
    notifications.contacts.known["noor"] = somebody_at(address)
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    if former:
        for mail in life.mails:
            raw = returned.postfix(path(notifications, mail), address, status="4.4.1", diagnostic="timed out")
            await notifications.inbox.receive(raw, path(notifications, mail))
        notifications.contacts.known["noor"] = somebody_at("noor.de.wit@elders.example")
        life.happens(PersonCorrected(person="noor", changed=("email",)), subject="_")
        await told(notifications, life, tmp_path)
    spelt = address.replace("xn--bibliothek-47a", "bibliothëek")
    for words in (f"Van „{spelt}“ hoor ik niets", "Van Zeldzaam hoor ik wel"):
        await receive(notifications, returned.person("deelname@deelname.example", "sam@bibliotheek.example", words))
    life.happens(PersonErased(person="noor"), subject="_")
    await notifications.reads(life)
    await notifications.database.run(lambda raw: raw.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    left = b"".join(each.read_bytes() for each in notifications.database.path.parent.glob("*.db*"))
    assert spelt.encode() not in left
    assert address.encode() not in left
    assert b"Zeldzaam" in left
    assert await notifications.database.run(lambda raw: raw.execute("SELECT * FROM former_addresses").fetchall()) == []


async def test_whose_mails_are_too_old_to_be_kept_is_found_in_what_others_wrote(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await told(notifications, life, tmp_path)
    notifications.clock.forward(days=8)
    await receive(notifications, returned.person("deelname@deelname.example", "sam@bibliotheek.example", NOOR))
    await Archivist(notifications.database, notifications.clock, archive_days=7, inbox_days=30).tidy()
    assert len((await notifications.desk.export(PersonQuestion(person="noor"))).received) == 1
    life.happens(PersonErased(person="noor"), subject="_")
    await notifications.reads(life)
    assert await notifications.database.run(store.unread) == (0, 0)


@pytest.mark.parametrize("change", [PersonErased, PersonCorrected])
async def test_what_stands_against_a_shared_address_stays_when_one_of_those_who_share_it_goes(
    notifications: Service, tmp_path: Path, change: Any
) -> None:
    notifications.contacts.known["sam"] = KnownPerson(name="Sam Bakker", email=NOOR.title())
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    mails = {person: mail_for(life, person) for person in ("noor", "sam")}
    for mail in mails.values():
        await notifications.inbox.receive(returned.postfix(path(notifications, mail), NOOR), path(notifications, mail))
    assert [each[0] for each in await suppressed(notifications)] == ["noor"]
    life.happens(change(person="noor"), subject="_")
    await notifications.reads(life)
    assert [each[0] for each in await suppressed(notifications)] == ["sam"]
    assert (await notifications.postbox.lift(LiftSuppression(person="sam"))).changed == 1


async def test_what_came_back_about_one_is_no_business_of_who_shares_the_address(
    notifications: Service, tmp_path: Path
) -> None:
    notifications.contacts.known["sam"] = KnownPerson(name="Sam Bakker", email=NOOR)
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    for person in ("noor", "sam"):
        mail = mail_for(life, person)
        raw = returned.person(path(notifications, mail), NOOR)
        assert (await notifications.inbox.receive(raw, path(notifications, mail))).mail == mail.id
    await receive(notifications, returned.person("deelname@deelname.example", NOOR))
    with pytest.raises(ProblemError) as refused:
        await notifications.desk.export(PersonQuestion(email=NOOR))
    assert (refused.value.problem.status, refused.value.problem.type) == (409, "urn:deelname:problem:ambiguous")
    export = await notifications.desk.export(PersonQuestion(person="noor"))
    assert len(export.received) == 2

    life.happens(PersonErased(person="noor"), subject="_")
    await notifications.reads(life)
    export = await notifications.desk.export(PersonQuestion(person="sam"))
    assert len(export.received) == 1


async def test_a_calendar_in_a_shared_mailbox_answers_for_the_one_who_was_invited(
    notifications: Service, tmp_path: Path
) -> None:
    notifications.contacts.known["sam"] = KnownPerson(name="Sam Bakker", email=NOOR)
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await told(notifications, life, tmp_path)
    assert uid_of(life, "noor") != uid_of(life, "sam")
    await receive(notifications, returned.reply(uid_of(life, "sam"), NOOR))
    assert await answered(notifications) == [("sam", "kick-off", "accepted")]


async def test_what_came_back_long_ago_is_forgotten(notifications: Service) -> None:
    await receive(notifications, returned.person("deelname@deelname.example", NOOR))
    archivist = Archivist(notifications.database, notifications.clock, archive_days=180, inbox_days=30)
    for days, left in ((29, 1), (2, 0)):
        notifications.clock.forward(days=days)
        await archivist.tidy()
        assert len(await notifications.database.run(lambda raw: store.received(raw, 10))) == left


async def test_what_does_not_fit_into_a_message_is_refused_with_what_to_do(notifications: Service) -> None:
    with pytest.raises(ProblemError) as refused:
        await notifications.postbox.receive(ReceiveMail(raw=b64encode(b"x" * 700_001).decode()))
    assert "LMTP" in (refused.value.problem.detail or "")
    with pytest.raises(ProblemError):
        await notifications.postbox.receive(ReceiveMail(raw="no base64!"))
