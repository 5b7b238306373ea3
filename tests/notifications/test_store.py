"""Rows of mails: what is due, what waits for what, and what a query may pick by."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.facts import (
    InvitationAnswered,
    MailBounced,
    MailFailed,
    MailSent,
    NotificationsFact,
    SuppressionAdded,
    SuppressionLifted,
    parse,
)
from contracts.subjects import fact_subject
from services.chassis.log import Entry, VersionConflict
from services.notifications import store
from services.notifications.domain import Appointment, Detail, Planned
from services.notifications.domain.mails import NO_DETAIL, Taken
from services.notifications.sender import BATCH
from services.notifications.store.rows import DETAIL, read_detail, write_detail
from services.notifications.transport import Maildir
from tests.notifications.conftest import Service
from tests.notifications.lives import START, UNDATED, Life, confirmed, occasion, session, withdrawn

JUNE = occasion("2023-06-20")


def life_with(*more: Any) -> Life:
    life = Life(session("kick-off", JUNE))
    for each in more:
        life.happens(each)
    return life


async def due(notifications: Service, limit: int = 100) -> list[tuple[str, str | None]]:
    found = await notifications.database.run(lambda raw: store.due(raw, notifications.clock(), limit))
    return [(each.mail.purpose, each.confirmation) for each in found]


async def test_the_longest_due_comes_first_and_no_more_than_asked_for(notifications: Service) -> None:
    await notifications.reads(life_with(confirmed("e1", "noor"), confirmed("e2", "sam")))
    assert [purpose for purpose, _ in await due(notifications, 3)] == ["confirmation", "invite", "confirmation"]
    await notifications.database.transact(
        lambda raw: raw.execute("UPDATE mails SET due_at = ? WHERE ordinal = 4", (store.text(START),))
    )
    assert (await due(notifications, 1))[0][0] == "invite"


async def test_an_invite_knows_the_confirmation_that_it_belongs_to(notifications: Service) -> None:
    life = life_with(confirmed("e1", "noor"))
    await notifications.reads(life)
    assert await due(notifications) == [("confirmation", None), ("invite", life.mails[0].id)]


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        ("planned", True),
        ("sending", True),
        ("sent", False),
        ("failed", False),
        ("uncertain", False),
        ("dropped", False),
    ],
)
async def test_a_cancellation_waits_for_its_invitation_until_the_fate_of_that_is_known(
    notifications: Service, status: str, waits: bool
) -> None:
    life = life_with(confirmed("e1", "noor"), withdrawn("e1"))
    await notifications.reads(life)
    await notifications.becomes(life.mails[1].id, status)
    assert ("withdrawn-invite" not in [purpose for purpose, _ in await due(notifications)]) == waits


async def test_a_mail_is_due_when_it_is_planned_even_if_registrations_clock_is_ahead(notifications: Service) -> None:
    notifications.clock.now = START - timedelta(hours=5)
    await notifications.reads(life_with(confirmed("e1", "noor")))
    assert len(await due(notifications)) == 2


async def test_the_same_mail_is_never_planned_twice(notifications: Service) -> None:
    mail = Planned("id", "waiting", "noor", "p", START, "e1", None, Detail(place=1))

    def record(raw: Any) -> None:
        store.record(raw, 1, notifications.planner.state, [(1, mail)], START)

    await notifications.database.transact(record)
    with pytest.raises(Exception, match="UNIQUE"):
        await notifications.database.transact(record)


async def test_two_writers_of_our_log_do_not_overwrite_each_other(notifications: Service) -> None:
    entry = Entry(position=2, programme="p", version=1, subject="s", body=b"{}", id="a")
    with pytest.raises(VersionConflict):
        await notifications.database.transact(lambda raw: store.LOG.append(raw, [entry]))


async def test_mails_are_picked_by_known_columns_only(notifications: Service) -> None:
    with pytest.raises(ValueError, match="answer"):
        await notifications.database.run(lambda raw: store.mails(raw, 1, answer="x"))


def test_moments_sort_as_their_texts_do() -> None:
    moments = [START + timedelta(milliseconds=n * 333) for n in range(7)]
    assert sorted(map(store.text, moments)) == [store.text(each) for each in moments]
    assert store.text(START) == "2023-03-02T09:14:00.000Z"


@pytest.mark.parametrize(
    "fact",
    [
        MailSent(mail="m1", purpose="invite", person="noor", enrolment="e1", session="kick-off"),
        MailFailed(mail="m1", purpose="confirmation", person="noor", enrolment="e1", cause="given-up"),
        MailBounced(mail="m1", purpose="confirmation", person="noor", status="5.1.1", suppressed=True),
        InvitationAnswered(enrolment="e1", session="kick-off", person="noor", answer="declined"),
        SuppressionAdded(person="noor"),
        SuppressionLifted(person=None),
    ],
    ids=lambda fact: type(fact).__name__,
)
async def test_every_fact_of_ours_reads_back_as_its_envelope(notifications: Service, fact: NotificationsFact) -> None:
    odd = '00-aa"\\\n-01'
    news = [store.News("p-1", fact), store.News("p-1", fact, odd, "broker:anna"), store.News("p-1", fact, actor=odd)]
    told = await notifications.database.transact(lambda raw: store.append(raw, news, START))
    assert told == await notifications.database.run(lambda raw: store.LOG.read(raw, 0, 10))
    for number, (entry, each) in enumerate(zip(told, news, strict=True), 1):
        read = parse(entry.body)
        assert (read.data, read.time, read.traceparent, read.actor) == (fact, START, each.trace, each.actor)
        assert (read.position, read.version, read.id) == (number, number, entry.id)
        assert (read.subject, read.source, read.specversion) == ("p-1", "notifications", "1.0")
        assert entry.subject == fact_subject("notifications", read.type, "p-1")
        assert read.dataschema == f"urn:deelname:schema:{read.type}"
        assert read.causationid == getattr(fact, "mail", None)


def test_a_detail_is_what_was_written_also_for_who_did_not_write_it() -> None:
    item = Appointment("uid", 3, START, START, JUNE, before=UNDATED, postponed=True, change=7, announced=True)
    for detail in (NO_DETAIL, Detail(place=2), Detail(taken=(Taken("kick-off", JUNE, "uid"),)), Detail(item)):
        written = write_detail(detail)
        assert read_detail(written) == read_detail(written) == DETAIL.validate_json(written) == detail


async def test_what_runs_for_every_batch_and_at_every_start_looks_through_no_table(
    notifications: Service, tmp_path: Path
) -> None:
    """Mails stay for years: a statement that reads them all gets slower with each."""
    transport = Maildir(tmp_path / "mail")
    await transport.open()
    statements: list[str] = []
    await notifications.database.run(lambda raw: raw.set_trace_callback(statements.append))
    life = life_with(*(confirmed(f"e{number}", f"person-{number}") for number in range(BATCH)))
    life.moves("kick-off", occasion("2023-06-21"), JUNE)
    life.happens(withdrawn("e1"))
    await notifications.reads(life)
    await notifications.sender(transport).send_due()
    await notifications.database.run(lambda raw: store.queue(raw, notifications.clock()))
    await notifications.database.run(store.sending)
    await notifications.database.run(lambda raw: store.tried_since(raw, notifications.clock()))
    await notifications.database.run(lambda raw: raw.set_trace_callback(None))

    def scans(raw: Any) -> set[str]:
        plans = (raw.execute(f"EXPLAIN QUERY PLAN {each}").fetchall() for each in statements if each[:1] in "\nSUID")
        return {step for plan in plans for *_, step in plan if step.startswith("SCAN")}

    found = await notifications.database.run(scans)
    # The rows that a statement brings with it, and the question whether anything is suppressed at all.
    assert {each for each in found if not each.endswith(("CONSTANT ROW", "CONSTANT ROWS", " w", " o"))} == {
        "SCAN suppressed"
    }
