"""Facts in, planned mails out, exactly once; and what staff ask."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts import facts
from contracts.base import EmailAddress
from contracts.commands import RetryMail
from contracts.problem import ProblemError
from contracts.queries import MailPreviewQuestion, MailsQuestion, PersonQuestion
from services.chassis.database import Database
from services.chassis.reader import Message
from services.notifications import store
from services.notifications.contacts import Absence
from services.notifications.domain import obstacle
from services.notifications.handlers import Archivist, Planner
from services.notifications.transport import Maildir
from tests.notifications.conftest import Service, SetClock
from tests.notifications.lives import (
    Life,
    confirmed,
    messages,
    missing,
    occasion,
    refused,
    session,
    told,
    waitlisted,
    withdrawn,
)
from tests.notifications.plausible import OPERATIONS, World

JUNE = occasion("2023-06-20")
MAILS = "SELECT id, fact, purpose, person, enrolment, session, uid, detail, status FROM mails ORDER BY ordinal"


def life_with(*more: Any) -> Life:
    life = Life(session("kick-off", JUNE), session("slot"))
    for each in more:
        life.happens(each)
    return life


async def rows(database: Database) -> list[Any]:
    return await database.run(lambda raw: raw.execute(MAILS).fetchall())


async def test_a_fact_becomes_rows_state_and_position_together(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    assert await notifications.planner.position() == 3
    assert await notifications.statuses() == [("confirmation", "planned"), ("invite", "kick-off", "planned")]
    assert await rows(notifications.database) == [
        (each.id, 3, each.purpose, "noor", "e1", each.session, *row[6:8], "planned")
        for each, row in zip(life.mails, await rows(notifications.database), strict=True)
    ]


async def test_a_mail_read_back_is_the_mail_that_was_planned(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"))
    life.moves("kick-off", occasion("2023-06-27", venue="Bibliotheek"), JUNE)
    life.happens(withdrawn("e1"))
    await notifications.reads(life)
    await notifications.database.transact(
        lambda raw: raw.execute("UPDATE mails SET uid = NULL")  # all of them are due, whatever they wait for
    )
    due = await notifications.database.run(lambda raw: store.due(raw, notifications.clock(), 100))
    assert [(each.mail.id, each.mail.purpose, each.mail.detail) for each in due] == [
        (each.id, each.purpose, each.detail) for each in life.mails
    ]


async def test_after_a_restart_the_state_is_the_same_and_nothing_is_planned_again(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"), waitlisted("e2", "sam"))
    await notifications.reads(life)
    again = Planner(notifications.database, notifications.clock)
    await again.load()
    assert again.state.partitions() == notifications.planner.state.partitions()
    for partition in again.state.partitions():
        assert dict(again.state.partition(partition)) == dict(notifications.planner.state.partition(partition))
    before = await rows(notifications.database)
    life.moves("kick-off", occasion("2023-06-27"), JUNE)
    await again.apply(messages(life.facts)[await again.position() :])
    assert [row[2] for row in (await rows(notifications.database))[len(before) :]] == ["session-moved"]


async def test_a_batch_that_fails_half_way_changes_nothing(notifications: Service) -> None:
    await notifications.reads(life_with())
    life = life_with(confirmed("e1", "noor"), confirmed("e2", "sam"))
    batch = messages(life.facts)[2:]
    broken = [batch[0], Message(4, batch[1].subject, b'{"specversion":"1.0","type":"enrolment.confirmed.v1"}')]
    with pytest.raises(ValidationError):
        await notifications.planner.apply(broken)
    assert await notifications.planner.position() == 2
    assert await notifications.statuses() == []
    await notifications.planner.apply(batch)
    assert len(await notifications.statuses()) == 4


async def test_a_database_that_refuses_half_way_leaves_state_and_rows_as_they_were(notifications: Service) -> None:
    await notifications.reads(life_with())
    life = life_with(confirmed("e1", "noor"))
    await notifications.database.run(
        lambda raw: raw.execute(
            "CREATE TRIGGER full BEFORE INSERT ON positions BEGIN SELECT raise(ABORT, 'disk is full'); END"
        )
    )
    state = notifications.planner.state
    with pytest.raises(sqlite3.Error):
        await notifications.reads(life)
    assert notifications.planner.state is state
    assert await notifications.statuses() == []
    await notifications.database.run(lambda raw: raw.execute("DROP TRIGGER full"))
    await notifications.reads(life)
    assert len(await notifications.statuses()) == 2


async def test_a_log_with_a_past_can_be_taken_up_without_a_word_about_the_past(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"))
    planner = Planner(notifications.database, notifications.clock, quiet_until=3)
    await planner.apply(messages(life.facts))
    assert await notifications.statuses() == []
    life.moves("kick-off", occasion("2023-06-27"), JUNE)
    await planner.apply(messages(life.facts)[3:])
    assert await notifications.statuses() == [("session-moved", "kick-off", "planned")]


async def test_facts_of_a_later_version_are_passed_over(notifications: Service) -> None:
    life = life_with()
    unknown = messages(life.facts)[1].body.replace(b"programme.published.v1", b"programme.celebrated.v1")
    await notifications.planner.apply([Message(1, "log.registration._.x.y", unknown)])
    assert await notifications.planner.position() == 1


async def test_an_erased_person_is_mailed_nothing_and_nothing_is_kept(notifications: Service, tmp_path: Path) -> None:
    life = life_with(confirmed("e1", "noor", "sam"))
    await notifications.reads(life)
    sender = notifications.sender(transport := Maildir(tmp_path / "mail"))
    await transport.open()
    await sender.send_due()
    life.moves("kick-off", occasion("2023-06-27"), JUNE)
    life.happens(facts.PersonErased(person="noor"), subject=facts.NO_PROGRAMME)
    await notifications.reads(life)
    await sender.send_due()
    noor = await notifications.desk.mails(MailsQuestion(person="noor"))
    assert [(each.purpose, each.status, each.answer) for each in noor.mails] == [
        ("session-moved", "dropped", "the person was erased"),
        ("invite", "sent", None),
        ("confirmation", "sent", None),
    ]
    assert (await notifications.desk.export(PersonQuestion(person="noor"))).messages == ()
    assert len((await notifications.desk.export(PersonQuestion(person="sam"))).messages) == 3
    database = notifications.database.path
    for file in (database, database.with_name(f"{database.name}-wal")):
        assert b"noor@" not in file.read_bytes().lower()
    assert b"sam@" in database.read_bytes().lower()


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 10**6)), max_size=30), st.data())
def test_however_a_log_is_split_into_batches_the_planned_mails_are_the_same(
    steps: Sequence[tuple[str, int]], data: st.DataObject
) -> None:
    world = World()
    for operation, number in steps:
        world.step(operation, lambda below, number=number: number % below)  # type: ignore[misc]
    log = messages(world.life.facts)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log)), max_size=6)) | {0, len(log)})

    async def planned(path: Path) -> list[Any]:
        database = await Database.open(path, store.MIGRATIONS)
        for start, end in pairwise(cuts):
            # A new planner each time, as after a restart.
            planner = Planner(database, SetClock())
            await planner.load()
            assert await planner.position() == start
            await planner.apply(log[start:end])
        found = await rows(database)
        await database.close()
        return found

    with TemporaryDirectory() as directory:
        found = asyncio.run(planned(Path(directory) / "a.db"))
    assert [(row[0], row[2], row[3]) for row in found] == [
        (each.id, each.purpose, each.person) for each in world.life.mails
    ]


class TestDesk:
    """What staff ask and tell."""

    async def test_mails_are_listed_newest_first_by_any_condition(self, notifications: Service) -> None:
        await notifications.reads(life_with(confirmed("e1", "noor"), waitlisted("e2", "sam")))
        desk = notifications.desk
        everything = await desk.mails(MailsQuestion())
        assert [(each.purpose, each.person) for each in everything.mails] == [
            ("waiting", "sam"),
            ("invite", "noor"),
            ("confirmation", "noor"),
        ]
        assert len((await desk.mails(MailsQuestion(enrolment="e1"))).mails) == 2
        assert len((await desk.mails(MailsQuestion(person="sam", status="planned"))).mails) == 1
        assert (await desk.mails(MailsQuestion(programme="another"))).mails == ()
        assert len((await desk.mails(MailsQuestion(limit=1))).mails) == 1

    @pytest.mark.parametrize(
        "purpose",
        [
            "confirmation",
            "promotion",
            "invite",
            "session-moved",
            "session-cancelled",
            "withdrawn",
            "withdrawn-invite",
            "programme-cancelled",
        ],
    )
    async def test_any_mail_that_fits_can_be_seen_before_it_is_sent(self, notifications: Service, purpose: str) -> None:
        await notifications.reads(life_with(confirmed("e1", "noor")))
        before = await notifications.statuses()
        preview = await notifications.desk.preview(MailPreviewQuestion(enrolment="e1", purpose=purpose, language="en"))
        assert preview.to == "noor@bibliotheek.example"
        assert "Noor de Wit" in preview.text
        assert "Gezinsaanpak (en)" in preview.text
        assert preview.raw.startswith("Date: ")
        assert (preview.calendar is not None) == (
            purpose in ("invite", "session-moved", "session-cancelled", "withdrawn-invite")
        )
        assert await notifications.statuses() == before

    async def test_a_session_without_a_date_says_what_is_known(self, notifications: Service) -> None:
        await notifications.reads(life_with(confirmed("e1", "noor")))
        question = MailPreviewQuestion(enrolment="e1", purpose="confirmation")
        assert "januari 2024 (nl), precieze datum en tijd volgen" in (await notifications.desk.preview(question)).text

    async def test_a_session_without_a_date_can_be_cancelled_in_words(self, notifications: Service) -> None:
        await notifications.reads(life_with(confirmed("e1", "noor")))
        question = MailPreviewQuestion(enrolment="e1", purpose="session-cancelled", session="slot", language="en")
        preview = await notifications.desk.preview(question)
        assert (preview.subject, preview.calendar) == ("Cancelled: slot (en)", None)

    async def test_a_refusal_a_place_in_the_queue_and_an_incomplete_team_can_be_seen_too(
        self, notifications: Service
    ) -> None:
        lacks = facts.EnrolmentIncomplete(
            enrolment="e3", missing=missing("maker", 2), complete_by=occasion("2023-05-01").begins
        )
        await notifications.reads(
            life_with(refused("e1", "noor"), waitlisted("e2", "sam"), confirmed("e3", "eva"), lacks)
        )
        for enrolment, purpose, word in (
            ("e1", "refusal", "De inschrijving is gesloten."),
            ("e2", "waiting", "wachtlijst"),
            ("e2", "promotion", "Er is een plek vrij"),
            ("e3", "team-incomplete", "2 × maker"),
        ):
            preview = await notifications.desk.preview(MailPreviewQuestion(enrolment=enrolment, purpose=purpose))
            assert word in preview.text

    @pytest.mark.parametrize(
        ("question", "status", "word"),
        [
            ({"enrolment": "e9", "purpose": "invite"}, 404, "e9"),
            ({"enrolment": "e1", "purpose": "waiting"}, 409, "waiting"),
            ({"enrolment": "e1", "purpose": "birthday"}, 409, "confirmation, invite"),
            ({"enrolment": "e1", "purpose": "invite", "session": "slot"}, 409, "no date"),
            ({"enrolment": "e1", "purpose": "invite", "session": "x"}, 409, "kick-off, slot"),
            ({"enrolment": "e1", "purpose": "invite", "person": "sam"}, 409, "sam"),
            ({"enrolment": "e1", "purpose": "team-incomplete"}, 409, "lack"),
        ],
    )
    async def test_a_mail_that_does_not_fit_is_refused_with_what_would(
        self, notifications: Service, question: dict[str, str], status: int, word: str
    ) -> None:
        await notifications.reads(life_with(confirmed("e1", "noor")))
        with pytest.raises(ProblemError) as raised:
            await notifications.desk.preview(MailPreviewQuestion.model_validate(question))
        assert raised.value.problem.status == status
        assert word in (raised.value.problem.detail or "")

    async def test_there_is_no_preview_for_who_was_erased_or_while_contacts_cannot_be_read(
        self, notifications: Service
    ) -> None:
        await notifications.reads(life_with(confirmed("e1", "noor")))
        question = MailPreviewQuestion(enrolment="e1", purpose="confirmation")
        notifications.contacts.absent["noor"] = Absence.ERASED
        with pytest.raises(ProblemError) as raised:
            await notifications.desk.preview(question)
        assert raised.value.problem.status == 410
        notifications.contacts.unavailable = True
        with pytest.raises(ProblemError) as raised:
            await notifications.desk.preview(question)
        assert raised.value.problem.status == 503

    @pytest.mark.parametrize("address", ["noor@bibliotheek.example", " Noor@Bibliotheek.example "])
    async def test_a_person_is_exported_by_id_or_by_address_however_it_is_typed(
        self, notifications: Service, tmp_path: Path, address: EmailAddress
    ) -> None:
        await notifications.reads(life_with(confirmed("e1", "noor", "sam")))
        transport = Maildir(tmp_path / "mail")
        await transport.open()
        await notifications.sender(transport).send_due()
        by_address = await notifications.desk.export(PersonQuestion(email=address))
        assert by_address == await notifications.desk.export(PersonQuestion(person="noor"))
        assert [each.purpose for each in by_address.mails] == ["invite", "confirmation"]
        assert len(by_address.messages) == 2
        assert all("noor@bibliotheek.example" in each for each in by_address.messages)

    async def test_an_export_needs_to_know_of_whom(self, notifications: Service) -> None:
        with pytest.raises(ProblemError) as raised:
            await notifications.desk.export(PersonQuestion(email="x@x.example"))
        assert raised.value.problem.status == 404

    async def test_only_what_failed_or_is_uncertain_is_sent_again(self, notifications: Service) -> None:
        life = life_with(confirmed("e1", "noor"))
        await notifications.reads(life)
        id_ = life.mails[0].id
        for status in ("failed", "uncertain"):
            await notifications.becomes(id_, status)
            assert (await notifications.desk.retry(RetryMail(mail=id_))).mail == id_
            assert (await notifications.statuses())[0] == ("confirmation", "planned")
        assert (await notifications.desk.retry(RetryMail(mail=id_))).mail == id_, "asking twice is harmless"
        for status in ("sent", "dropped"):
            await notifications.becomes(id_, status)
            with pytest.raises(ProblemError) as raised:
                await notifications.desk.retry(RetryMail(mail=id_))
            assert raised.value.problem.status == 409
        with pytest.raises(ProblemError) as raised:
            await notifications.desk.retry(RetryMail(mail="nothing"))
        assert raised.value.problem.status == 404


async def test_the_bytes_of_old_mails_are_forgotten_and_that_they_were_sent_is_not(
    notifications: Service, tmp_path: Path
) -> None:
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    await notifications.sender(transport).send_due()
    archivist = Archivist(notifications.database, notifications.clock, archive_days=30, inbox_days=30)
    notifications.clock.forward(days=29)
    await archivist.tidy()
    assert len((await notifications.desk.export(PersonQuestion(person="noor"))).messages) == 2
    life.moves("kick-off", occasion("2023-06-27"), JUNE)
    await notifications.reads(life)
    notifications.clock.forward(days=2)
    await archivist.tidy()
    assert (await notifications.desk.export(PersonQuestion(person="noor"))).messages == ()
    assert [each[-1] for each in await notifications.statuses()] == ["sent", "sent", "planned"]


async def test_obstacles_are_judged_by_the_same_mail_after_a_restart(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"), withdrawn("e1"))
    await notifications.reads(life)
    again = Planner(notifications.database, notifications.clock)
    await again.load()
    stopped = [each for each in life.mails if obstacle(again.state, each, life.time)]
    assert told(stopped) == [("confirmation", "noor"), ("invite", "noor", "kick-off")]
