"""Every answer counts once, the last one given is true, and a decline reaches somebody who can do something."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commands import ResendMail
from contracts.facts import PersonErased
from contracts.queries import MailPreviewQuestion, PersonQuestion
from services.notifications import store
from services.notifications.domain.answering import CLOCKS_DIFFER, Given, overtakes
from services.notifications.handlers import Archivist
from services.notifications.transport import Maildir
from tests.notifications.conftest import Service, at_once
from tests.notifications.lives import Life, confirmed, occasion, session, withdrawn

JUNE, LATER = occasion("2023-06-20"), occasion("2023-06-27")
NOOR = "noor@bibliotheek.example"
ECHO = "20230301T090000Z"
"""A DTSTAMP that says nothing: Outlook repeats the invitation's."""


async def invited(notifications: Service, directory: Path, *people: str) -> Life:
    life = Life(session("kick-off", JUNE), session("slot", LATER))
    for number, person in enumerate(people or ("noor",)):
        life.happens(confirmed(f"e{number}", person))
    await told(notifications, life, directory)
    notifications.clock.forward(hours=2)
    return life


async def told(notifications: Service, life: Life, directory: Path) -> list[str]:
    """Everything that is due goes out; the plain text of what went to the contact until now."""
    await notifications.reads(life)
    transport = Maildir(directory / "mail")
    await transport.open()
    await notifications.sender(transport).send_due()
    notices = []
    for each in (directory / "mail" / "new").iterdir():
        mail = message_from_bytes(each.read_bytes(), policy=policy.default)
        body = mail.get_body(("plain",))
        assert body is not None
        if "team@deelname.example" in mail["To"]:
            notices.append((mail["Date"].datetime, f"{mail['Subject']}\n{body.get_content()}"))
    return [words for _, words in sorted(notices)]


def answer(
    life: Life,
    partstat: str,
    *,
    session: str = "kick-off",
    person: str = "noor",
    stamp: str = ECHO,
    date: str | None = None,
    replied: str | None = None,
    words: str | None = None,
    sender: str | None = None,
) -> bytes:
    """As Outlook answers."""
    found = [each for each in life.mails if (each.person, each.purpose, each.session) == (person, "invite", session)]
    appointment = found[-1].detail.appointment
    assert appointment is not None
    address = f"{person}@bibliotheek.example"
    lines = [
        f"From: {sender or address}",
        *([f"Date: {date}"] if date else []),
        "Content-Type: text/calendar; method=REPLY",
        "",
        "BEGIN:VCALENDAR",
        "METHOD:REPLY",
        "BEGIN:VEVENT",
        f"UID:{appointment.uid}",
        f"DTSTAMP:{stamp}",
        *([f"COMMENT:{words}"] if words else []),
        *([f"X-MICROSOFT-CDO-REPLYTIME:{replied}"] if replied else []),
        f"ATTENDEE;PARTSTAT={partstat}:mailto:{address}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    return "\r\n".join(lines).encode()


async def receive(notifications: Service, *mails: bytes) -> None:
    for each in mails:
        assert (await notifications.inbox.receive(each, "deelname@deelname.example")).kind == "reply"


async def given_answers(notifications: Service) -> list[str]:
    entries = await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 1000))
    found = [json.loads(each.body) for each in entries]
    return [each["data"]["answer"] for each in found if each["type"] == "invitation.answered.v1"]


async def holds(notifications: Service) -> str:
    (answer,) = await notifications.database.run(lambda raw: store.answers(raw, "noor"))
    return answer.answer


EARLY, LATE = "Thu, 2 Mar 2023 10:30:00 +0000", "Thu, 2 Mar 2023 12:10:00 +0100"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"replied": "20230302T103000Z"}, {"replied": "20230302T111000Z"}),
        ({"date": EARLY}, {"date": LATE}),
        ({"replied": "20230302T103000Z", "date": LATE}, {"replied": "20230302T111000Z", "date": EARLY}),
        ({"date": EARLY}, {"replied": "20230302T111000Z"}),
        ({"stamp": "20230302T103000Z"}, {"replied": "20230302T111000Z"}),
        ({"stamp": "20230302T103000Z"}, {"stamp": "20230302T111000Z", "date": EARLY}),
        ({"stamp": "20230302T103000Z", "date": EARLY}, {"stamp": "20230302T103000Z", "date": LATE}),
    ],
)
@pytest.mark.parametrize("overtaken", [False, True])
async def test_the_answer_that_was_given_last_holds_in_whatever_order_they_come(
    notifications: Service, tmp_path: Path, first: dict[str, str], second: dict[str, str], *, overtaken: bool
) -> None:
    life = await invited(notifications, tmp_path)
    mails = [answer(life, "ACCEPTED", **first), answer(life, "DECLINED", **second)]
    for each in reversed(mails) if overtaken else mails:
        await receive(notifications, each)
        notifications.clock.forward(minutes=1)
    assert await holds(notifications) == "declined"
    assert await given_answers(notifications) == (["declined"] if overtaken else ["accepted", "declined"])


async def test_where_nothing_says_when_it_was_given_the_last_that_came_holds_and_a_copy_of_the_first_does_not(
    notifications: Service, tmp_path: Path
) -> None:
    life = await invited(notifications, tmp_path)
    first, second = answer(life, "ACCEPTED"), answer(life, "DECLINED")
    for each in (first, second, first, second, first):
        await receive(notifications, each)
        notifications.clock.forward(minutes=1)
    assert await given_answers(notifications) == ["accepted", "declined"]


@pytest.mark.parametrize(
    "lie",
    [
        {"date": "Thu, 1 Jan 2099 00:00:00 +0000"},
        {"replied": "20990101T000000Z"},
        {"stamp": "20990101T000000Z"},
        {"date": "Fri, 31 Dec 9999 23:59:59 -1200", "stamp": "99991231T235959Z"},
    ],
)
async def test_an_answer_from_the_far_future_is_not_the_last_one_ever(
    notifications: Service, tmp_path: Path, lie: dict[str, str]
) -> None:
    life = await invited(notifications, tmp_path)
    await receive(notifications, answer(life, "ACCEPTED", **lie))
    notifications.clock.forward(hours=1)
    await receive(notifications, answer(life, "DECLINED", date=LATE))
    assert await holds(notifications) == "declined"


MOMENTS = st.integers(0, 10_000).map(lambda minutes: datetime(2023, 3, 2, tzinfo=UTC) + timedelta(minutes=minutes))


@given(st.lists(st.tuples(st.integers(0, 2), MOMENTS, st.integers(0, 500)), min_size=1, max_size=6), st.randoms())
def test_of_answers_whose_clocks_are_right_the_same_one_holds_in_every_order(
    drawn: list[tuple[int, datetime, int]], random: Any
) -> None:
    answers = [Given(sequence, at, at, at + timedelta(minutes=late)) for sequence, at, late in drawn]
    best = max(answers, key=lambda each: each[:3])
    random.shuffle(answers)
    held = answers[0]
    for each in answers[1:]:
        held = each if overtakes(each, held) else held
    assert held[:3] == best[:3]


@given(MOMENTS, MOMENTS, st.booleans())
def test_whatever_was_claimed_an_answer_given_after_it_came_holds(
    claimed: datetime, now: datetime, stamped: bool
) -> None:
    old = Given(0, claimed if stamped else now, claimed, now)
    later = now + timedelta(minutes=10)
    assert overtakes(Given(0, later, later, later), old)
    assert old.ahead == (claimed > now + CLOCKS_DIFFER)


# A decline reaches somebody ------------------------------------------------------------------------------------------


async def test_the_contact_is_told_who_declines_what_with_the_words_that_came_and_what_to_do(
    notifications: Service, tmp_path: Path
) -> None:
    life = await invited(notifications, tmp_path)
    await receive(notifications, answer(life, "DECLINED", words="Ik ben <b>ziek</b>\\, sorry", date=EARLY))
    (notice,) = await told(notifications, life, tmp_path)
    for words in (
        "Noor de Wit komt niet op 20 juni: ",
        "Noor de Wit schreef erbij:\n\n* “Ik ben <b>ziek</b>, sorry”",
        "dinsdag 20 juni 2023",
        "Noor de Wit houdt de plek.",
        "deelname enrolment participant withdraw e0 noor",
    ):
        assert words in notice
    # What the person wrote is in no fact, and nothing changed but what is known.
    entries = await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 1000))
    assert not any(b"ziek" in each.body for each in entries)
    assert ("invite", "kick-off", "sent") in await notifications.statuses()


async def test_a_copy_and_the_same_answer_once_more_tell_the_contact_nothing(
    notifications: Service, tmp_path: Path
) -> None:
    life = await invited(notifications, tmp_path)
    declined = answer(life, "DECLINED", date=EARLY)
    await receive(notifications, declined)
    assert len(await told(notifications, life, tmp_path)) == 1
    await receive(notifications, declined, answer(life, "DECLINED", date=LATE))
    notifications.clock.forward(hours=2)
    assert len(await told(notifications, life, tmp_path)) == 1


async def test_several_sessions_declined_at_once_are_one_mail(notifications: Service, tmp_path: Path) -> None:
    life = await invited(notifications, tmp_path)
    inbox = notifications.inbox_that_reads(at_once, hold=timedelta(minutes=3))
    for name in ("slot", "kick-off"):
        await inbox.receive(answer(life, "DECLINED", session=name, date=EARLY))
        assert await told(notifications, life, tmp_path) == []
    notifications.clock.forward(minutes=4)
    (notice,) = await told(notifications, life, tmp_path)
    assert "20 juni" in notice
    assert "27 juni" in notice
    assert notice.startswith("Noor de Wit komt niet: ")


async def test_who_changes_their_mind_in_time_is_told_to_nobody_and_later_it_is_said(
    notifications: Service, tmp_path: Path
) -> None:
    life = await invited(notifications, tmp_path)
    inbox = notifications.inbox_that_reads(at_once, hold=timedelta(minutes=3))
    await inbox.receive(answer(life, "DECLINED", date=EARLY))
    await inbox.receive(answer(life, "ACCEPTED", date=LATE))
    notifications.clock.forward(minutes=4)
    assert await told(notifications, life, tmp_path) == []
    assert ("declined", "dropped") in await notifications.statuses()
    # Who then declines, and accepts after that was told, is told twice, and not within the hour.
    notifications.clock.forward(hours=1)
    moment = notifications.clock().strftime("%Y%m%dT%H%M%SZ")
    await receive(notifications, answer(life, "DECLINED", replied=moment))
    assert len(await told(notifications, life, tmp_path)) == 1
    notifications.clock.forward(minutes=1)
    moment = notifications.clock().strftime("%Y%m%dT%H%M%SZ")
    await receive(notifications, answer(life, "TENTATIVE", replied=moment))
    assert len(await told(notifications, life, tmp_path)) == 1
    notifications.clock.forward(hours=1)
    _, notice = await told(notifications, life, tmp_path)
    assert "Noor de Wit zegt geen nee meer" in notice


async def test_a_copy_for_the_contact_says_what_the_first_one_said(notifications: Service, tmp_path: Path) -> None:
    life = await invited(notifications, tmp_path)
    await receive(notifications, answer(life, "DECLINED", words="Ziek"))
    (first,) = await told(notifications, life, tmp_path)
    (mail,) = [
        each.mail
        for each in await notifications.database.run(lambda raw: store.mails(raw, store.ALL))
        if each.purpose == "declined"
    ]
    for _ in range(2):
        await notifications.desk.resend(ResendMail(mail=mail))
        notifications.clock.forward(minutes=1)
    assert await told(notifications, life, tmp_path) == [first] * 3


async def test_nobody_else_declines_for_somebody(notifications: Service, tmp_path: Path) -> None:
    life = await invited(notifications, tmp_path, "noor", "sam")
    forged = answer(life, "DECLINED", sender="sam@bibliotheek.example")
    assert (await notifications.inbox.receive(forged)).kind == "unknown"
    assert await told(notifications, life, tmp_path) == []


async def test_of_what_is_over_or_of_who_takes_part_no_more_nothing_is_told(
    notifications: Service, tmp_path: Path
) -> None:
    life = await invited(notifications, tmp_path, "noor", "sam")
    await receive(notifications, answer(life, "DECLINED", person="sam"))
    life.happens(withdrawn("e1"))
    assert await told(notifications, life, tmp_path) == []
    notifications.clock.now = datetime(2023, 6, 21, tzinfo=UTC)
    await receive(notifications, answer(life, "DECLINED"))
    assert await told(notifications, life, tmp_path) == []
    notifications.clock.now = datetime(2023, 7, 21, tzinfo=UTC)
    await receive(notifications, answer(life, "DECLINED", session="slot"))
    assert await told(notifications, life, tmp_path) == []


async def test_words_that_came_with_an_answer_go_with_the_person_and_with_the_mails_of_that_time(
    notifications: Service, tmp_path: Path
) -> None:
    life = await invited(notifications, tmp_path, "noor", "sam")
    await receive(notifications, answer(life, "DECLINED", words="Verdriet thuis"))
    await receive(notifications, answer(life, "DECLINED", person="sam", words="Een ander feest"))
    await told(notifications, life, tmp_path)
    export = await notifications.desk.export(PersonQuestion(person="noor"))
    assert [each.words for each in export.answers] == ["Verdriet thuis"]
    notifications.clock.forward(days=31)
    await Archivist(notifications.database, notifications.clock, archive_days=180, inbox_days=30).tidy()
    export = await notifications.desk.export(PersonQuestion(person="sam"))
    assert [each.words for each in export.answers] == [None]
    assert any("Een ander feest" in each for each in export.messages)
    for person in ("noor", "sam"):
        life.happens(PersonErased(person=person), subject="_")
    await notifications.reads(life)
    await notifications.database.forget()
    await notifications.database.run(lambda raw: raw.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    left = b"".join(each.read_bytes() for each in notifications.database.path.parent.glob("*.db*"))
    assert b"Verdriet" not in left
    assert b"Een ander feest" not in left


async def test_how_the_contact_would_be_told_can_be_seen_before_anybody_declines(
    notifications: Service, tmp_path: Path
) -> None:
    await invited(notifications, tmp_path)
    seen = await notifications.desk.preview(MailPreviewQuestion(enrolment="e0", purpose="declined", session="slot"))
    assert "27 juni 2023" in seen.text
    assert seen.to == "team@deelname.example"
