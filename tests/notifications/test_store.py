"""Rows of mails: what is due, what waits for what, and what a query may pick by."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.chassis.log import Entry, VersionConflict
from services.notifications import store
from services.notifications.domain import Detail, Planned
from tests.notifications.conftest import Service
from tests.notifications.lives import START, Life, confirmed, occasion, session, withdrawn

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
