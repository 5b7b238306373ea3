"""A clock that goes back by hours or days: no mail waits until the time that it showed before comes again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.chassis.going_back import GoingBack
from services.notifications import store
from services.notifications.sender import Limits, Sender
from services.notifications.transport import Maildir
from tests.notifications.conftest import Service
from tests.notifications.lives import confirmed
from tests.notifications.test_sender import MailServer, life_with, lives_at, mail_server, mails, one_mail_server, opened

__all__ = ["mail_server", "one_mail_server"]

AGES = timedelta(days=400)


async def watched(notifications: Service, sender: Sender) -> GoingBack:
    clock = notifications.clock
    return await GoingBack(notifications.database, clock, store.NEVER_LATER, store.text, sender.time_went_back).begun()


@pytest.mark.parametrize("by", [timedelta(hours=2), AGES], ids=["hours", "ages"])
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_what_was_to_be_tried_again_is_tried_again_at_once(
    notifications: Service, mail_server: MailServer, by: timedelta, restarted: bool
) -> None:
    lives_at(notifications, "noor", "end.451@bibliotheek.example")
    await notifications.reads(life_with(confirmed("e1", "noor")))
    async with opened(mail_server.url) as transport:
        sender = notifications.sender(transport)
        watch = await watched(notifications, sender)
        for _ in range(3):
            await sender.send_due()
            notifications.clock.forward(hours=3)
            await watch.look()
        notifications.clock.now -= by
        if restarted:
            sender = notifications.sender(transport)
            watch = await watched(notifications, sender)
        await watch.look()
        await sender.send_due()
        assert {each.attempts for each in await mails(notifications)} == {4}
        now = notifications.clock()
        assert all(now < each.due_at < now + timedelta(hours=6) for each in await mails(notifications))


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_a_cap_is_full_for_an_hour_and_not_until_the_old_time_comes_again(
    notifications: Service, restarted: bool
) -> None:
    await notifications.reads(life_with(confirmed("e1", "noor"), confirmed("e2", "noor")))
    maildir = Maildir(notifications.database.path.parent / "mail")
    await maildir.open()
    limits = Limits(person=1)
    sender = notifications.sender(maildir, limits=limits)
    watch = await watched(notifications, sender)
    await sender.send_due()
    number = len([each for each in await mails(notifications) if each.status == "sent"])
    assert number == 1
    notifications.clock.now -= AGES
    if restarted:
        sender = notifications.sender(maildir, limits=limits)
        watch = await watched(notifications, sender)
    await watch.look()
    await sender.send_due()
    waiting = [each for each in await mails(notifications) if each.status == "planned"]
    assert waiting
    assert all(each.due_at <= notifications.clock() + timedelta(hours=1) for each in waiting)
    notifications.clock.forward(hours=1, seconds=1)
    await sender.send_due()
    assert len([each for each in await mails(notifications) if each.status == "sent"]) == 2
