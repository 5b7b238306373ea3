"""A mail that stays under way is seen, whatever the clock of mails says."""

from __future__ import annotations

import itertools

from services.notifications.sender import UnderWay
from services.notifications.sender.under_way import TOO_LONG
from tests.notifications.conftest import Service
from tests.notifications.lives import Life, confirmed, occasion, session


async def test_a_mail_that_stays_under_way_is_trouble_until_somebody_knows_what_became_of_it(
    notifications: Service,
) -> None:
    life = Life(session("kick-off", occasion("2023-06-20")))
    life.happens(confirmed("e1", "noor"))
    await notifications.reads(life)
    mail = life.mails[0].id
    now = 100.0
    under_way = UnderWay(notifications.database, seconds=lambda: now)
    await under_way.look()
    assert (under_way.longest, under_way.trouble) == (0, "")

    await notifications.becomes(mail, "sending")
    await under_way.look()
    # The clock of mails may be set by weeks: nobody waited for that.
    notifications.clock.forward(days=30)
    now += TOO_LONG
    await under_way.look()
    assert (under_way.longest, under_way.trouble) == (TOO_LONG, "")
    now += 1
    assert under_way.trouble == "mails that have been under way for 10 minutes: 1"

    await notifications.becomes(mail, "uncertain")
    await under_way.look()
    assert (under_way.longest, under_way.trouble) == (0, "")


async def test_a_mail_that_is_tried_once_more_is_under_way_anew(notifications: Service) -> None:
    life = Life(session("kick-off", occasion("2023-06-20")))
    life.happens(confirmed("e1", "noor"))
    await notifications.reads(life)
    now = 0.0
    under_way = UnderWay(notifications.database, seconds=lambda: now)
    await notifications.becomes(life.mails[0].id, "sending")
    await under_way.look()
    now += TOO_LONG + 1
    await notifications.database.transact(lambda raw: raw.execute("UPDATE mails SET attempts = attempts + 1"))
    await under_way.look()
    assert under_way.trouble == ""


async def test_no_mail_is_under_way_for_less_than_no_time(notifications: Service) -> None:
    """The clock ticks between two readings of it, and a measure below 0 is none."""
    ticks = itertools.count()
    under_way = UnderWay(notifications.database, seconds=lambda: float(next(ticks)))
    await under_way.look()
    assert under_way.longest == 0
