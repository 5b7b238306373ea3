"""Mails go out once, in order, and what is uncertain is said: against a real SMTP server and a real maildir."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from inspect import isawaitable
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable
from typing import Any

import icalendar
import pytest

from contracts import facts
from contracts.commands import AddSuppression, ResendMail, RetryMail
from contracts.enrolment import KnownPerson
from contracts.problem import ProblemError
from contracts.queries import MailPreviewQuestion, MailsQuestion, MailView
from services.chassis.log import Entry
from services.notifications import store
from services.notifications.contacts import Absence
from services.notifications.handlers import Planner
from services.notifications.sender import BATCH, Limits, Sender
from services.notifications.transport import Fault, Maildir, Outcome, Reply, Sent, Smtp, Transport, parse_transport
from tests.notifications.conftest import Service
from tests.notifications.lives import Life, confirmed, occasion, session, withdrawn

JUNE, LATER = occasion("2023-06-20"), occasion("2023-06-27", venue="Bibliotheek Gouda")


class MailServer:
    """A mail server in a process of its own, and what it took."""

    def __init__(self, directory: Path) -> None:
        self._mails = directory / "taken.jsonl"
        asked = json.dumps({"mails": str(self._mails)})
        server = Path(__file__).with_name("smtp_server.py")
        self.process = Popen([executable, str(server), asked], stdout=PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def taken(self) -> list[EmailMessage]:
        written = self._mails.read_text() if self._mails.exists() else ""
        # The server may be in the middle of a line.
        lines = written[: written.rfind("\n") + 1].splitlines()
        return [_parsed(b64decode(json.loads(line)["raw"])) for line in lines]

    @property
    def envelopes(self) -> list[tuple[str, str, str]]:
        """Envelope sender, envelope recipient and header From of what was taken."""
        written = self._mails.read_text() if self._mails.exists() else ""
        found = [json.loads(line) for line in written[: written.rfind("\n") + 1].splitlines()]
        return [(each["from"], each["to"][0], str(_parsed(b64decode(each["raw"]))["From"])) for each in found]

    def forget(self) -> None:
        """Nothing was taken yet, as far as the next test can see."""
        self._mails.unlink(missing_ok=True)

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def one_mail_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    server = MailServer(tmp_path_factory.mktemp("mail"))
    yield server
    server.stop()


@pytest.fixture
def mail_server(one_mail_server: MailServer) -> MailServer:
    one_mail_server.forget()
    return one_mail_server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    transport = parse_transport(url)
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def running(sender: Sender) -> AsyncIterator[Sender]:
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(20):
        while not (await answer if isawaitable(answer := condition()) else answer):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def all_have(notifications: Service, status: str, attempts: int) -> bool:
    return {(each.status, each.attempts) for each in await mails(notifications)} == {(status, attempts)}


def _parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def calendars(mails: list[EmailMessage]) -> list[tuple[str, str, int]]:
    """Method, UID and SEQUENCE of the mails that carry a calendar, as they were taken."""
    found = []
    for mail in mails:
        for part in mail.walk():
            if part.get_content_type() == "text/calendar":
                payload = part.get_payload(decode=True)
                assert isinstance(payload, bytes)
                calendar = icalendar.Calendar.from_ical(payload)
                event = calendar.walk("VEVENT")[0]
                found.append((str(calendar["METHOD"]), str(event["UID"]), int(str(event["SEQUENCE"]))))
    return found


def calendar_of(mail: EmailMessage) -> str:
    """The calendar part of a mail."""
    part = next(each for each in mail.walk() if each.get_content_type() == "text/calendar")
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def life_with(*more: Any) -> Life:
    life = Life(session("kick-off", JUNE), session("slot"))
    for each in more:
        life.happens(each)
    return life


async def mails(notifications: Service, **conditions: Any) -> list[MailView]:
    found = await notifications.desk.mails(MailsQuestion(**conditions))
    return list(reversed(found.mails))


def lives_at(notifications: Service, person: str, email: str) -> None:
    notifications.contacts.known[person] = KnownPerson(name="Noor de Wit", email=email)


async def test_a_whole_life_reaches_the_mail_server_in_order(notifications: Service, mail_server: MailServer) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport)
        for what in (None, lambda: life.moves("kick-off", LATER, JUNE), lambda: life.happens(withdrawn("e1"))):
            if what:
                what()
            await notifications.reads(life)
            await sender.send_due()
    assert {each[-1] for each in await notifications.statuses()} == {"sent"}
    taken = mail_server.taken
    assert len(taken) == 5
    ((_, uid, _), *_) = calendars(taken)
    assert calendars(taken) == [("REQUEST", uid, 0), ("REQUEST", uid, 1), ("CANCEL", uid, 2)]
    by_id = {each["Message-ID"]: each for each in taken}
    assert len(by_id) == 5
    for each in taken:
        # Nobody can unsubscribe from what was decided about them, and no machine should answer it (RFC 3834).
        assert (each["Auto-Submitted"], each["List-Unsubscribe"], each["Precedence"]) == ("auto-generated", None, None)
        assert each["X-Auto-Response-Suppress"] == "DR, RN, NRN, OOF"
    confirmation = next(each for each in taken if each["In-Reply-To"] is None)
    invite, moved, cancel = [each for each in taken if calendars([each])]
    assert invite["In-Reply-To"] == confirmation["Message-ID"]
    assert moved["In-Reply-To"] == invite["Message-ID"]
    assert moved["References"].split() == [confirmation["Message-ID"], invite["Message-ID"]]
    assert cancel["In-Reply-To"] == moved["Message-ID"]


async def test_each_mail_leaves_from_an_address_of_its_own_and_the_same_one_on_every_attempt(
    notifications: Service, mail_server: MailServer
) -> None:
    await notifications.reads(life_with(confirmed("e1", "noor"), confirmed("e2", "sam")))
    # Refused after the message, so that the server has seen it.
    lives_at(notifications, "sam", "end.451@bibliotheek.example")
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport)
        await sender.send_due()
        notifications.clock.forward(minutes=10)
        await sender.send_due()
    envelopes = mail_server.envelopes
    assert {header for _, _, header in envelopes} == {"Deelname <deelname@deelname.example>"}
    by_mail: dict[str | None, list[str]] = {}
    for sender_address, recipient, _ in envelopes:
        by_mail.setdefault(notifications.return_paths.mail(sender_address), []).append(recipient)
    assert by_mail.keys() == {each.mail for each in await mails(notifications)}
    assert sorted(len(each) for each in by_mail.values()) == [1, 1, 2, 2]
    assert not any("noor" in each or "sam" in each for each, _, _ in envelopes)


async def test_an_invite_that_did_not_go_out_yet_says_the_newest_time_with_sequence_zero(
    notifications: Service, mail_server: MailServer
) -> None:
    life = life_with(*(confirmed(f"e{n}", f"person{n}") for n in range(20)))
    life.moves("kick-off", occasion("2023-06-21"), JUNE)
    life.moves("kick-off", LATER, occasion("2023-06-21"))
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        await notifications.sender(transport).send_due()
    told = calendars(mail_server.taken)
    assert [(method, sequence) for method, _, sequence in told] == [("REQUEST", 0)] * 20
    assert len({uid for _, uid, _ in told}) == 20
    invites = [each for each in mail_server.taken if calendars([each])]
    assert all("20230627T100000" in calendar_of(each) for each in invites)
    assert {each.status for each in await mails(notifications) if each.purpose == "session-moved"} == {"dropped"}


@pytest.fixture
async def held(notifications: Service) -> Service:
    """The service that holds changes for three minutes, as it does by itself."""
    planner = Planner(notifications.database, notifications.clock, hold=timedelta(minutes=3))
    await planner.load()
    return replace(notifications, planner=planner)


async def having_told(service: Service, life: Life, transport: Transport) -> Sender:
    """A sender whose people have just heard how things stand."""
    sender = service.sender(transport)
    await service.reads(life)
    await sender.send_due()
    return sender


async def test_three_edits_in_a_row_become_one_mail_one_sequence_later(held: Service, mail_server: MailServer) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        before = JUNE
        for day in ("2023-06-21", "2023-06-22", "2023-06-27"):
            life.moves("kick-off", occasion(day), before)
            before = occasion(day)
            await held.reads(life)
            await sender.send_due()
            held.clock.forward(seconds=50)
        assert len(mail_server.taken) == 2, "it waits for more"
        waiting = (await mails(held, status="planned"))[0]
        assert "further changes" in (waiting.answer or "")
        held.clock.forward(minutes=5)
        await sender.send_due()
    *_, moved = mail_server.taken
    assert len(mail_server.taken) == 3
    ((_, uid, _), _) = calendars(mail_server.taken)
    assert calendars([moved]) == [("REQUEST", uid, 1)]
    assert "20230627T100000" in calendar_of(moved)
    text = moved.get_body(("plain",))
    assert text is not None
    assert "20 juni" in text.get_content(), "what it was is what the person knows"
    assert [each.status for each in await mails(held)] == ["sent", "sent", "sent", "dropped", "dropped"]


async def test_a_preview_shows_the_calendar_item_that_goes_out_next(held: Service, mail_server: MailServer) -> None:
    life = life_with(confirmed("e1", "noor"))

    async def preview(purpose: str, session: str = "kick-off") -> str:
        asked = MailPreviewQuestion(enrolment="e1", purpose=purpose, session=session)
        return (await held.desk.preview(asked)).calendar or ""

    async with opened(mail_server.url) as transport:
        sender = held.sender(transport)
        await held.reads(life)
        expected = await preview("invite")
        await sender.send_due()
        assert calendar_of(mail_server.taken[1]) == expected == await preview("invite")
        for day in ("2023-06-22", "2023-06-23", "2023-06-24"):
            life.moves("kick-off", occasion(day))
        await held.reads(life)
        held.clock.forward(minutes=9)
        expected = await preview("session-moved")
        assert "SEQUENCE:1\r\n" in expected
        await sender.send_due()
        assert calendar_of(mail_server.taken[-1]) == expected
        held.clock.forward(minutes=9)
        expected = await preview("withdrawn-invite")
        withdrawal = await held.desk.preview(MailPreviewQuestion(enrolment="e1", purpose="withdrawn"))
        life.happens(withdrawn("e1"))
        await held.reads(life)
        await sender.send_due()
        words, cancel = mail_server.taken[-2:]
        assert calendar_of(cancel) == expected
        assert "SEQUENCE:2\r\n" in expected
        said = words.get_body(("plain",))
        assert said is not None
        assert said.get_content().split() == withdrawal.text.split()
        life.happens(confirmed("e2", "noor"))
        await held.reads(life)
        anew = await held.desk.preview(MailPreviewQuestion(enrolment="e2", purpose="invite"))
        await sender.send_due()
        assert calendar_of(mail_server.taken[-1]) == anew.calendar, "a new item, not the cancelled one"


async def test_an_attempt_that_was_refused_for_now_is_not_repeated_with_a_date_that_changed_since(
    held: Service, mail_server: MailServer
) -> None:
    # Refused after the message, so that the server has seen it.
    lives_at(held, "noor", "end.451@bibliotheek.example")
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        assert {calendar_of(each).count("20230620T100000") for each in mail_server.taken if calendars([each])} == {1}
        life.moves("kick-off", LATER, JUNE)
        await held.reads(life)
        seen = len(mail_server.taken)
        held.clock.forward(minutes=2)
        await sender.send_due()
    again = [each for each in mail_server.taken[seen:] if calendars([each])]
    # Nobody knows whether the first attempt was seen.
    assert [(method, sequence) for method, _, sequence in calendars(again)] == [("REQUEST", 1)]
    assert "20230627T100000" in calendar_of(again[0])


async def test_moved_and_moved_back_within_the_hold_says_nothing(held: Service, mail_server: MailServer) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        life.moves("kick-off", LATER, JUNE)
        life.moves("kick-off", JUNE, LATER)
        await held.reads(life)
        held.clock.forward(minutes=9)
        await sender.send_due()
    assert len(mail_server.taken) == 2
    assert (await mails(held))[-1].answer == "nothing differs from what the person was told last"


async def test_moved_and_then_cancelled_is_only_the_cancellation_and_that_at_once(
    held: Service, mail_server: MailServer
) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        life.moves("kick-off", LATER, JUNE)
        life.happens(facts.SessionCancelled(session="kick-off"))
        await held.reads(life)
        await sender.send_due()
        *_, cancel = mail_server.taken
        held.clock.forward(minutes=9)
        await sender.send_due()
    assert len(mail_server.taken) == 3
    assert [(method, sequence) for method, _, sequence in calendars([cancel])] == [("CANCEL", 1)]
    assert "20230620T100000" in calendar_of(cancel), "it takes away what the person was told"


async def test_a_session_without_a_date_is_called_off_in_words_under_the_confirmation(
    held: Service, mail_server: MailServer
) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        life.happens(facts.SessionCancelled(session="slot"))
        await held.reads(life)
        await sender.send_due()
    confirmation, *_, cancel = mail_server.taken
    assert cancel["Subject"] == "Gaat niet door: slot (nl)"
    assert calendars([cancel]) == []
    assert cancel["In-Reply-To"] == confirmation["Message-ID"]
    assert (await held.statuses())[-1] == ("session-cancelled", "slot", "sent")


async def test_a_session_that_was_off_goes_ahead_after_all_as_a_new_item(
    held: Service, mail_server: MailServer
) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        life.happens(facts.SessionCancelled(session="kick-off"))
        await held.reads(life)
        await sender.send_due()
        life.happens(facts.SessionAdded(session=session("kick-off", JUNE)))
        await held.reads(life)
        await sender.send_due()
    *_, invite, cancel, back = mail_server.taken
    assert back["Subject"] == "Gaat toch door op 20 juni: kick-off (nl)"
    [(_, first, _), (_, gone, _), (method, second, sequence)] = calendars([invite, cancel, back])
    assert first == gone != second
    assert (method, sequence) == ("REQUEST", 0)


async def test_who_never_heard_that_a_session_was_off_is_simply_invited(held: Service, mail_server: MailServer) -> None:
    life = life_with(confirmed("e1", "noor"))
    life.happens(facts.SessionCancelled(session="kick-off"))
    life.happens(facts.SessionAdded(session=session("kick-off", JUNE)))
    await held.reads(life)
    async with opened(mail_server.url) as transport:
        await held.sender(transport).send_due()
    assert [each["Subject"] for each in mail_server.taken][1:] == ["Uitnodiging 20 juni: kick-off (nl)"]


@pytest.mark.parametrize("gone", [False, True])
async def test_a_date_that_passed_before_it_could_be_told_does_not_leave_the_later_one_in_the_calendar(
    held: Service, mail_server: MailServer, gone: bool
) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        life.moves("kick-off", occasion("2023-06-06"), JUNE)
        if gone:
            life.later("2023-06-07")
            life.happens(withdrawn("e1"))
        await held.reads(life)
        held.clock.now = datetime(2023, 6, 8, 9, tzinfo=UTC)
        await sender.send_due()
        taken = len(mail_server.taken)
        held.clock.now = datetime(2023, 6, 21, 9, tzinfo=UTC)
        await sender.send_due()
    assert len(mail_server.taken) == taken
    calendar = [each for each in mail_server.taken if calendars([each])][-1]
    ((method, _, sequence),) = calendars([calendar])
    assert (method, sequence) == ("CANCEL" if gone else "REQUEST", 1)
    assert ("20230620T100000" if gone else "20230606T100000") in calendar_of(calendar)
    assert "dropped" not in {status for purpose, *_, status in await held.statuses() if purpose == "withdrawn-invite"}


async def test_who_withdraws_reads_the_time_that_was_told_and_not_one_that_was_held(
    held: Service, mail_server: MailServer
) -> None:
    life = life_with(confirmed("e1", "noor"))
    async with opened(mail_server.url) as transport:
        sender = await having_told(held, life, transport)
        life.moves("kick-off", LATER, JUNE)
        life.happens(withdrawn("e1"))
        await held.reads(life)
        await sender.send_due()
    words = next(each for each in mail_server.taken[2:] if not calendars([each])).get_body(("plain",))
    assert words is not None
    assert "20 juni" in words.get_content()
    assert "27 juni" not in words.get_content()


async def test_a_change_of_what_begins_within_the_hour_is_not_held(held: Service, mail_server: MailServer) -> None:
    life = Life(session("kick-off", occasion("2023-03-02", 11, 12)))
    life.happens(confirmed("e1", "noor"))
    await held.reads(life)
    async with opened(mail_server.url) as transport:
        sender = held.sender(transport)
        await sender.send_due()
        life.moves("kick-off", occasion("2023-03-02", 14, 15))
        await held.reads(life)
        await sender.send_due()
    assert [each.status for each in await mails(held)] == ["sent", "sent", "sent"]


async def test_items_taken_up_silently_go_on_counting_where_the_earlier_database_may_have_been(
    notifications: Service, mail_server: MailServer
) -> None:
    life = life_with(confirmed("e1", "noor"))
    life.moves("kick-off", occasion("2023-06-22"), JUNE)
    planner = Planner(notifications.database, notifications.clock, quiet_until=len(life.facts))
    await planner.load()
    silent = replace(notifications, planner=planner)
    await silent.reads(life)
    async with opened(mail_server.url) as transport:
        sender = silent.sender(transport)
        life.moves("kick-off", LATER, occasion("2023-06-22"))
        await silent.reads(life)
        await sender.send_due()
        life.happens(withdrawn("e1"))
        await silent.reads(life)
        await sender.send_due()
    told = [(method, sequence) for method, _, sequence in calendars(mail_server.taken)]
    assert told == [("REQUEST", 2), ("CANCEL", 3)]


async def test_more_than_a_batch_goes_out_whole_and_each_mail_once(
    notifications: Service, mail_server: MailServer
) -> None:
    life = life_with(*(confirmed(f"e{n}", f"person{n}") for n in range(BATCH)))
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        await notifications.sender(transport).send_due()
        ids = [each["Message-ID"] for each in mail_server.taken]
    assert len(ids) == len(set(ids)) == 2 * BATCH


async def test_what_is_no_longer_true_is_dropped_with_the_reason(
    notifications: Service, mail_server: MailServer
) -> None:
    await notifications.reads(life_with(confirmed("e1", "noor"), withdrawn("e1")))
    async with opened(mail_server.url) as transport:
        await notifications.sender(transport).send_due()
    assert [(each.purpose, each.status, each.answer) for each in await mails(notifications)][:2] == [
        ("confirmation", "dropped", "the person is not enrolled any more"),
        ("invite", "dropped", "the person is not invited to this session any more"),
    ]
    assert await notifications.statuses() == [
        ("confirmation", "dropped"),
        ("invite", "kick-off", "dropped"),
        ("withdrawn", "sent"),
        ("withdrawn-invite", "kick-off", "dropped"),
    ]
    assert (await mails(notifications))[-1].answer == "the invitation that this takes back never went out"


async def test_a_refusal_for_now_is_tried_again_by_the_table_with_the_same_bytes(
    notifications: Service, mail_server: MailServer
) -> None:
    lives_at(notifications, "noor", "end.451@bibliotheek.example")
    await notifications.reads(life_with(confirmed("e1", "noor")))
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport)
        await sender.send_due()
        first = (await mails(notifications))[0]
        assert (first.status, first.attempts) == ("planned", 1)
        assert "451" in (first.answer or "")
        assert 50 < (first.due_at - notifications.clock()).total_seconds() < 70
        notifications.clock.forward(seconds=40)
        await sender.send_due()
        assert (await mails(notifications))[0].attempts == 1, "it is not due yet"
        notifications.clock.forward(seconds=30)
        await sender.send_due()
        assert (await mails(notifications))[0].attempts == 2
        for _ in range(9):
            notifications.clock.forward(hours=14)
            await sender.send_due()
    given_up = (await mails(notifications))[0]
    assert given_up.status == "failed"
    assert (given_up.answer or "").startswith("given up: 451")
    taken = mail_server.taken
    assert len(taken) > 8
    by_id: dict[str, set[bytes]] = {}
    for each in taken:
        by_id.setdefault(each["Message-ID"], set()).add(each.as_bytes())
    assert [len(each) for each in by_id.values()] == [1, 1], "every attempt repeats the same bytes"


async def test_an_invitation_is_given_up_when_the_session_begins(
    notifications: Service, mail_server: MailServer
) -> None:
    lives_at(notifications, "noor", "rcpt.450@bibliotheek.example")
    soon = occasion("2023-03-02", 12, 14)
    life = Life(session("kick-off", soon))
    life.happens(confirmed("e1", "noor"))
    await notifications.reads(life)
    notifications.clock.forward(minutes=45)
    async with opened(mail_server.url) as transport:
        await notifications.sender(transport).send_due()
    assert [each.status for each in await mails(notifications)] == ["planned", "failed"]


async def test_an_address_that_does_not_exist_fails_for_good_and_gets_nothing_more(
    notifications: Service, mail_server: MailServer
) -> None:
    lives_at(notifications, "noor", "rcpt.550.5.1.1@bibliotheek.example")
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await notifications.reads(life)
    told: list[Entry] = []
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport, appended=told.extend)
        await sender.send_due()
        life.moves("kick-off", LATER, JUNE)
        await notifications.reads(life)
        await sender.send_due()
        noor = await mails(notifications, person="noor")
        assert [(each.purpose, each.status) for each in noor] == [
            ("confirmation", "failed"),
            ("invite", "failed"),
            ("undeliverable", "sent"),  # to the programme's contact
            ("session-moved", "failed"),
        ]
        assert noor[-1].attempts == 0
        assert {each.status for each in await mails(notifications, person="sam")} == {"sent"}
        lives_at(notifications, "noor", "noor@bibliotheek.example")
        life.happens(facts.PersonCorrected(person="noor"), subject=facts.NO_PROGRAMME)
        await notifications.reads(life)
        await notifications.desk.retry(RetryMail(mail=noor[0].mail))
        await sender.send_due()
    assert mail_server.taken[-1]["To"] == "Noor de Wit <noor@bibliotheek.example>"
    # Also of what was refused here, the relay is handed every fact, in order.
    assert told == await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 100))


def method_of(mail: EmailMessage) -> str:
    parts = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    return str(parts[0].get_param("method")) if parts else ""


def event_in(mail: EmailMessage) -> Any:
    (event,) = icalendar.Calendar.from_ical(calendar_of(mail)).walk("VEVENT")
    return event


def corrected(person: str) -> facts.PersonCorrected:
    return facts.PersonCorrected(person=person, changed=("email",))


async def test_whoever_has_another_address_gets_everything_there_and_a_stranger_loses_the_invitation(
    notifications: Service, mail_server: MailServer
) -> None:
    """The address that was typed may be somebody else's, who must not learn who is meant now."""
    lives_at(notifications, "noor", "s.deboer@bibliotheek.example")
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport)
        await sender.send_due()
        before = len(mail_server.taken)
        lives_at(notifications, "noor", "noor@bibliotheek.example")
        life.happens(corrected("noor"), subject=facts.NO_PROGRAMME)
        await notifications.reads(life)
        await sender.send_due()
    new = mail_server.taken[before:]
    assert sorted((str(each["To"]), method_of(each)) for each in new) == [
        ("Noor de Wit <noor@bibliotheek.example>", ""),
        ("Noor de Wit <noor@bibliotheek.example>", "REQUEST"),
        ("s.deboer@bibliotheek.example", "CANCEL"),
    ]
    (cancel,) = [each for each in new if method_of(each) == "CANCEL"]
    assert "Noor" not in cancel.as_string()
    assert "noor@bibliotheek.example" not in cancel.as_string()


async def test_nothing_is_taken_back_from_an_address_that_is_gone_nor_what_never_went_there(
    notifications: Service, mail_server: MailServer
) -> None:
    lives_at(notifications, "noor", "rcpt.550.5.1.1@bibliotheek.example")
    lives_at(notifications, "sam", "sam.oud@bibliotheek.example")
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport)
        await sender.send_due()
        await notifications.postbox.suppress(AddSuppression(email="sam.oud@bibliotheek.example", reason="a stranger"))
        for person in ("noor", "sam"):
            lives_at(notifications, person, f"{person}@bibliotheek.example")
            life.happens(corrected(person), subject=facts.NO_PROGRAMME)
        await notifications.reads(life)
        await sender.send_due()
        for person in ("noor", "sam"):
            found = await mails(notifications, person=person)
            standing = {each.purpose: each.status for each in found[-3:]}
            assert standing == {"confirmation": "sent", "readdressed": "dropped", "invite": "sent"}


async def test_what_was_still_to_go_out_goes_to_the_corrected_address_once(
    notifications: Service, mail_server: MailServer
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    life.happens(corrected("noor"), subject=facts.NO_PROGRAMME)
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        await notifications.sender(transport).send_due()
    assert sorted(each.purpose for each in await mails(notifications, status="sent")) == ["confirmation", "invite"]


async def test_a_copy_on_purpose_is_a_mail_of_its_own_that_says_what_was_told_last(
    notifications: Service, mail_server: MailServer
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    told: list[Entry] = []
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport, appended=told.extend)
        await sender.send_due()
        first = {each.purpose: each for each in await mails(notifications)}
        made = [
            await notifications.desk.resend(ResendMail(mail=first[purpose].mail, id="again"))
            for purpose in ("confirmation", "invite", "invite")
        ]
        assert made[1] == made[2], "the same command twice is one copy"
        await sender.send_due()
    copies = [each for each in await mails(notifications) if each.copy_of]
    assert sorted((each.purpose, each.status, each.copy_of) for each in copies) == sorted(
        (purpose, "sent", first[purpose].mail) for purpose in ("confirmation", "invite")
    )
    facts_ = [json.loads(each.body)["data"] for each in told]
    assert {each.get("copy_of") for each in facts_} == {None, *(each.mail for each in first.values())}
    invites = [each for each in mail_server.taken if method_of(each) == "REQUEST"]
    said = [event_in(each) for each in invites]
    assert [(each["UID"], each["SEQUENCE"]) for each in said] == [(said[0]["UID"], 0)] * 2
    assert said[1]["DTSTAMP"].dt > said[0]["DTSTAMP"].dt
    assert len({each["Message-ID"] for each in mail_server.taken}) == 4
    for status in ("planned", "failed", "uncertain", "dropped"):
        await notifications.becomes(first["invite"].mail, status)
        with pytest.raises(ProblemError):
            await notifications.desk.resend(ResendMail(mail=first["invite"].mail))
    with pytest.raises(ProblemError):
        await notifications.desk.resend(ResendMail(mail="nothing"))


async def test_an_answer_that_never_came_is_uncertain_until_a_person_decides(
    notifications: Service, mail_server: MailServer
) -> None:
    lives_at(notifications, "noor", "end.reset@bibliotheek.example")
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport)
        await sender.send_due()
        uncertain = await mails(notifications, status="uncertain")
        assert len(uncertain) == 2
        notifications.clock.forward(days=2)
        await sender.send_due()
        assert len(mail_server.taken) == 2, "nothing is guessed"
        await notifications.desk.retry(RetryMail(mail=uncertain[0].mail))
        await sender.send_due()
    first, *_, again = mail_server.taken
    assert again["Message-ID"] in (uncertain[0].message_id, first["Message-ID"])
    assert [each.as_bytes() for each in mail_server.taken].count(again.as_bytes()) == 2


async def test_what_a_crash_left_half_sent_is_uncertain_over_smtp(
    notifications: Service, mail_server: MailServer
) -> None:
    await half_sent(notifications)
    async with opened(mail_server.url) as transport, running(notifications.sender(transport)):
        await until(lambda: all_have(notifications, "uncertain", 1))
    assert mail_server.taken == []
    types = await notifications.database.run(lambda raw: [each.subject for each in store.LOG.read(raw, 0, 10)])
    assert types == ["log.notifications.gezinsaanpak-2023.mail.failed"] * 2


async def test_what_went_to_a_mail_server_before_a_crash_is_uncertain_for_a_maildir_too(
    notifications: Service, tmp_path: Path
) -> None:
    await half_sent(notifications)
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    sender = notifications.sender(transport)
    await sender.resolve_crash()
    await sender.send_due()
    assert await all_have(notifications, "uncertain", 1)
    assert list((tmp_path / "mail/new").iterdir()) == []


async def test_what_a_crash_left_half_sent_is_delivered_again_into_the_same_file(
    notifications: Service, tmp_path: Path
) -> None:
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    await half_sent(notifications, transport)
    files = sorted((tmp_path / "mail/new").iterdir())
    sender = notifications.sender(transport)
    await sender.resolve_crash()
    await sender.send_due()
    assert {each.status for each in await mails(notifications)} == {"sent"}
    assert sorted((tmp_path / "mail/new").iterdir()) == files
    assert len(files) == 2


async def half_sent(notifications: Service, transport: Maildir | None = None) -> None:
    """As a kill -9 leaves it: ``sending`` is on disk, the mail may be out, the outcome was never stored."""

    class Dying(Maildir):
        """Takes mails, and never says so."""

        async def deliver(self, *arguments: Any, **_: Any) -> Outcome:
            if transport:
                await transport.deliver(*arguments)
            return await asyncio.Future()

    class DyingServer:
        async def deliver(self, *_: Any, **__: Any) -> Outcome:
            return await asyncio.Future()

    await notifications.reads(life_with(confirmed("e1", "noor")))
    dying: Any = Dying(transport.path) if transport else DyingServer()
    task = asyncio.create_task(notifications.sender(dying).send_due())
    await until(lambda: all_have(notifications, "sending", 1))
    await until(lambda: transport is None or len(list((transport.path / "new").iterdir())) == 2)
    for each in asyncio.all_tasks() - {asyncio.current_task()}:
        each.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_server_that_refuses_us_stops_the_queue_and_burns_nobody(notifications: Service) -> None:
    class Refusing:
        """Refuses until it is repaired, as a server does whose password was changed."""

        def __init__(self) -> None:
            self.asked = 0
            self.repaired = False

        async def deliver(self, *_: Any, **__: Any) -> Outcome:
            self.asked += 1
            return Sent(Reply("taken", 250)) if self.repaired else Fault(Reply("authentication failed", 535, "5.7.8"))

    transport = Refusing()
    await notifications.reads(life_with(*(confirmed(f"e{n}", f"person{n}") for n in range(8))))
    async with running(notifications.sender(transport, fault_pause=0.05)) as sender:  # type: ignore[arg-type]
        await until(lambda: bool(sender.fault))
        assert "535" in sender.fault
        asked = transport.asked
        await until(lambda: transport.asked >= asked + 2)
        assert {(each.status, each.attempts) for each in await mails(notifications)} <= {("planned", 0), ("sending", 1)}
        transport.repaired = True
        await until(lambda: not sender.fault)
        await until(lambda: all_have(notifications, "sent", 1))


async def test_while_contacts_cannot_be_read_everything_waits_and_nothing_is_lost(
    notifications: Service, tmp_path: Path
) -> None:
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    notifications.contacts.unavailable = True
    await notifications.reads(life_with(confirmed("e1", "noor")))
    async with running(notifications.sender(transport)):
        await until(lambda: notifications.contacts.asked >= 2)
        assert [each[-1] for each in await notifications.statuses()] == ["planned", "planned"]
        notifications.contacts.unavailable = False
        await until(lambda: len(list((tmp_path / "mail/new").iterdir())) == 2)


async def test_who_was_erased_is_not_mailed_and_who_is_not_known_yet_is_waited_for(
    notifications: Service, tmp_path: Path
) -> None:
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    notifications.contacts.absent = {"noor": Absence.ERASED, "sam": Absence.UNKNOWN}
    await notifications.reads(life_with(confirmed("e1", "noor"), confirmed("e2", "sam")))
    sender = notifications.sender(transport)
    await sender.send_due()
    assert {(each.person, each.status) for each in await mails(notifications)} == {
        ("noor", "dropped"),
        ("sam", "planned"),
    }
    del notifications.contacts.absent["sam"]
    notifications.clock.forward(minutes=1)
    await sender.send_due()
    assert {each.status for each in await mails(notifications, person="sam")} == {"sent"}


async def test_who_stays_unknown_is_given_up_after_a_day(notifications: Service, tmp_path: Path) -> None:
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    notifications.contacts.absent = {"noor": Absence.UNKNOWN}
    await notifications.reads(life_with(confirmed("e1", "noor")))
    notifications.clock.forward(hours=25)
    await notifications.sender(transport).send_due()
    assert {each.answer for each in await mails(notifications)} == {"nobody knows who the person is"}


async def test_one_mail_that_cannot_be_written_stops_no_other(notifications: Service, tmp_path: Path) -> None:
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    lives_at(notifications, "noor", "n..r@bibliotheek.example")
    await notifications.reads(life_with(confirmed("e1", "noor"), confirmed("e2", "sam")))
    await notifications.sender(transport).send_due()
    noor, sam = await mails(notifications, person="noor"), await mails(notifications, person="sam")
    assert {(each.status, each.answer) for each in noor} == {("failed", "cannot be written: UnusableAddress")}
    assert {each.status for each in sam} == {"sent"}


async def test_our_own_log_tells_of_every_mail_and_names_nobody(
    notifications: Service, mail_server: MailServer
) -> None:
    lives_at(notifications, "sam", "rcpt.550.5.1.1@bibliotheek.example")
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        await notifications.sender(transport).send_due()
    entries = await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 100))
    told = [facts.parse(each.body) for each in entries]
    assert [each.position for each in told] == [each.version for each in told] == [1, 2, 3, 4, 5]
    assert sorted((each.type, each.data.model_dump()["person"]) for each in told) == [
        ("mail.failed.v1", "sam"),
        ("mail.failed.v1", "sam"),
        ("mail.sent.v1", "noor"),
        ("mail.sent.v1", "noor"),
        ("mail.sent.v1", "sam"),  # the notice that nothing arrives there
    ]
    assert {each.subject for each in told} == {"gezinsaanpak-2023"}
    assert {each.data.model_dump()["mail"] for each in told} >= {each.id for each in life.mails}
    for entry in entries:
        assert b"bibliotheek.example" not in entry.body
        assert b"de Wit" not in entry.body


async def test_a_clock_that_jumps_ahead_makes_what_waits_due(notifications: Service, mail_server: MailServer) -> None:
    lives_at(notifications, "noor", "rcpt.450@bibliotheek.example")
    await notifications.reads(life_with(confirmed("e1", "noor")))
    async with opened(mail_server.url) as transport, running(notifications.sender(transport)):
        await until(lambda: all_have(notifications, "planned", 1))
        notifications.clock.forward(hours=3)
        await until(lambda: all_have(notifications, "planned", 2))


async def test_a_mail_erased_between_writing_and_sending_stays_unsent(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    due = await notifications.database.run(lambda raw: store.due(raw, notifications.clock(), 10))
    life.happens(facts.PersonErased(person="noor"), subject=facts.NO_PROGRAMME)
    await notifications.reads(life)
    written = [store.Written(each.ordinal, "<x@y>", "noor@x.example", b"raw") for each in due]
    begun = await notifications.database.transact(lambda raw: store.begin(raw, written, notifications.clock()))
    assert begun.ordinals == set()
    assert await notifications.database.run(lambda raw: raw.execute("SELECT * FROM archive").fetchall()) == []


async def test_a_mail_answered_after_its_person_was_erased_keeps_no_address(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    now = notifications.clock()
    due = await notifications.database.run(lambda raw: store.due(raw, now, 10))
    written = [store.Written(each.ordinal, "<x@y>", "noor@x.example", b"raw") for each in due]
    await notifications.database.transact(lambda raw: store.begin(raw, written, now))
    life.happens(facts.PersonErased(person="noor"), subject=facts.NO_PROGRAMME)
    await notifications.reads(life)
    outcomes = [store.Outcome(each.ordinal, "sent", "250 <noor@x.example> taken") for each in due]
    await notifications.database.transact(lambda raw: store.settle(raw, outcomes, [], now))
    assert {(each.status, each.answer) for each in await mails(notifications)} == {("sent", None)}


async def test_mails_beyond_a_persons_cap_wait_and_say_why(notifications: Service, mail_server: MailServer) -> None:
    sessions = [session(f"s{n}", occasion(f"2023-06-{n + 10}")) for n in range(5)]
    life = Life(*sessions)
    life.happens(confirmed("e1", "noor"))
    life.happens(confirmed("e2", "sam"))
    await notifications.reads(life)
    limits = Limits(person=4)
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport, limits=limits)
        await sender.send_due()
        assert len(mail_server.taken) == 8, "one person's cap is nobody else's"
        waiting = await mails(notifications, status="planned")
        assert len(waiting) == 4
        assert {each.answer for each in waiting} == {
            "waits: 4 mails to this mailbox went out within an hour, which is the most"
        }
        assert {each.attempts for each in waiting} == {0}
        notifications.clock.forward(minutes=30)
        again = notifications.sender(transport, limits=limits)
        life.moves("s0", LATER, occasion("2023-06-10"))
        await notifications.reads(life)
        await again.send_due()
        assert len(mail_server.taken) == 8, "whoever starts anew knows what went out"
        notifications.clock.forward(minutes=31)
        await again.send_due()
        assert len(mail_server.taken) == 14
        assert again.capped_for_long == []
    assert {each.status for each in await mails(notifications)} == {"sent"}, "nothing is lost"


async def test_a_cap_that_lasts_is_said_by_the_sender(notifications: Service, tmp_path: Path) -> None:
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    await notifications.reads(life_with(*(confirmed(f"e{n}", f"person{n}") for n in range(9))))
    sender = notifications.sender(transport, limits=Limits(programme=5, domain=1))
    lasting: list[str] = []
    for sent in (5, 10, 15, 18):
        await sender.send_due()
        assert len(list((tmp_path / "mail/new").iterdir())) == sent
        assert sender.capped_for_long == lasting
        notifications.clock.forward(minutes=60.1)
        lasting = ["programme:gezinsaanpak-2023"]
    notifications.clock.forward(minutes=2)
    assert sender.capped_for_long == []


async def test_a_domain_that_wants_it_slowly_holds_up_no_other(notifications: Service, mail_server: MailServer) -> None:
    lives_at(notifications, "noor", "noor@slow.example")
    lives_at(notifications, "sam", "sam@Slow.example")
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"), confirmed("e3", "eva"))
    await notifications.reads(life)
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport, limits=Limits(domain=100, domains={"slow.example": 3}))
        await sender.send_due()
        assert [each["To"].addresses[0].domain.lower() for each in mail_server.taken].count("slow.example") == 2
        assert len(mail_server.taken) == 4
        waiting = await mails(notifications, status="planned")
        assert [each.answer for each in waiting] == ["waits for its turn: 2.4 mails a minute to one domain"] * 2
        assert sorted((each.due_at - notifications.clock()).total_seconds() for each in waiting) == [15, 40]
        notifications.clock.forward(seconds=15)
        await sender.send_due()
        assert len(mail_server.taken) == 5
        notifications.clock.forward(seconds=25)
        await sender.send_due()
    assert {each.status for each in await mails(notifications)} == {"sent"}


def test_an_smtp_setting_makes_an_smtp_transport() -> None:
    assert isinstance(parse_transport("smtp://127.0.0.1:2525"), Smtp)
