"""A mail server that takes no mail at all is told of at once, and its mails need not wait when it is back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta

import pytest

from contracts.commands import RetryMail
from services.notifications import store
from services.notifications.transport import Outcome, Reply, Retry, Sent, Smtp
from services.notifications.transport.smtp import Relay
from tests.notifications.conftest import Service
from tests.notifications.lives import Life, confirmed, occasion, session

JUNE = occasion("2023-06-20")
REFUSED = Reply("Error connecting to mail.example: Connect call failed")
LATER = Reply.of(452, "4.2.2 <noor@bibliotheek.example>: mailbox full")


class Moody:
    """Answers as the test says."""

    def __init__(self, reply: Reply | None) -> None:
        self.reply = reply

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, *_: object, **__: object) -> Outcome:
        return Retry(self.reply, timedelta(hours=4)) if self.reply else Sent(Reply.of(250, "2.0.0 ok"))


async def planned(notifications: Service) -> int:
    """Two people are to be mailed; how many mails that is."""
    life = Life(session("kick-off", JUNE))
    life.happens(confirmed("e1", "noor"))
    life.happens(confirmed("e2", "sam"))
    await notifications.reads(life)
    return len(life.mails)


async def overdue(notifications: Service) -> float:
    return (await notifications.database.run(lambda raw: store.queue(raw, notifications.clock()))).overdue


async def sent(notifications: Service) -> int:
    return [status for *_, status in await notifications.statuses()].count("sent")


async def test_what_cannot_be_reached_is_told_at_once_and_overdue_since_the_first_attempt(
    notifications: Service,
) -> None:
    mails = await planned(notifications)
    sender = notifications.sender(Moody(REFUSED))
    assert await sender.reach.trouble() == ""
    await sender.send_due()
    assert await sender.reach.trouble() == (
        f"the mail server cannot be reached: {REFUSED}. Mails that wait: {mails}, the first for 0 minutes"
    )
    # Between two attempts nothing is due, and it should have gone for all that.
    notifications.clock.forward(minutes=7)
    assert await overdue(notifications) == 7 * 60
    assert "the first for 7 minutes" in await sender.reach.trouble()


async def test_it_is_told_after_a_restart_too(notifications: Service) -> None:
    await planned(notifications)
    await notifications.sender(Moody(REFUSED)).send_due()
    another = notifications.sender(Moody(None))
    await another.reach.load()
    assert "the mail server cannot be reached: as the last attempts" in await another.reach.trouble()


async def test_the_first_mail_that_comes_through_lets_the_others_go_at_once(notifications: Service) -> None:
    mails = await planned(notifications)
    transport = Moody(REFUSED)
    sender = notifications.sender(transport)
    await sender.send_due()
    transport.reply = None
    # The others would wait for hours.
    await notifications.database.transact(
        lambda raw: raw.execute("UPDATE mails SET due_at = '2000-01-01' WHERE ordinal = 1")
    )
    await sender.send_due()
    assert await sent(notifications) == mails
    assert (await sender.reach.trouble(), await overdue(notifications)) == ("", 0)


async def test_whoever_has_mended_it_lets_all_go_by_one_word(notifications: Service) -> None:
    mails = await planned(notifications)
    transport = Moody(REFUSED)
    sender = notifications.sender(transport)
    await sender.send_due()
    transport.reply = None
    (mail, *_) = await notifications.database.run(lambda raw: store.mails(raw, store.ALL))
    await notifications.desk.retry(RetryMail(mail=mail.mail))
    await sender.send_due()
    assert await sent(notifications) == mails


async def test_what_is_a_matter_of_one_mailbox_is_no_trouble_of_the_server(notifications: Service) -> None:
    """A full mailbox wakes nobody, for two days."""
    await planned(notifications)
    sender = notifications.sender(Moody(LATER))
    await sender.send_due()
    notifications.clock.forward(minutes=70)
    assert (await sender.reach.trouble(), await overdue(notifications)) == ("", 0)


@pytest.mark.parametrize(
    "reply",
    [
        Reply.of(421, "4.3.2 <noor@bibliotheek.example> shutting down"),
        Reply("no answer before the message: silent for 300 seconds"),
        Reply("452 4.3.1 disk full", 452, general=True),
    ],
    ids=str,
)
async def test_a_server_that_answers_and_takes_no_mail_is_the_same_and_nobody_is_named(
    notifications: Service, reply: Reply
) -> None:
    await planned(notifications)
    sender = notifications.sender(Moody(reply))
    await sender.send_due()
    assert "the mail server cannot be reached" in (told := await sender.reach.trouble())
    assert "noor" not in told


async def test_nobody_waits_for_a_server_once_no_mail_does(notifications: Service) -> None:
    await planned(notifications)
    sender = notifications.sender(Moody(REFUSED))
    await sender.send_due()
    await notifications.database.transact(lambda raw: raw.execute("UPDATE mails SET status = 'dropped'"))
    assert await sender.reach.trouble() == ""


# What a server that is not there looks like from the transport --------------------------------------------------------


@contextmanager
def nobody_listens() -> Iterator[int]:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def a_black_hole() -> Iterator[int]:
    """It accepts, and never says a word."""
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        yield silent.getsockname()[1]


@pytest.mark.parametrize("outage", [nobody_listens, a_black_hole])
async def test_all_that_wait_for_a_connection_learn_at_once_that_there_is_none(
    outage: Callable[[], AbstractContextManager[int]],
) -> None:
    """Sixty mails over two connections would find out one after the other, each after half a minute."""
    with outage() as port:
        transport = Smtp(Relay("127.0.0.1", port, connections=2, connect_timeout=0.5))
        await transport.open()
        async with asyncio.timeout(5):
            mails = [transport.deliver("a@x.example", "b@x.example", b"hi", "<1@x>") for _ in range(60)]
            answers = await asyncio.gather(*mails)
        await transport.close()
    assert all(isinstance(answer, Retry) and answer.unreached for answer in answers)


async def test_a_name_that_nobody_knows_is_no_way_to_a_server() -> None:
    transport = Smtp(Relay("mail.deelname.invalid", 25, connect_timeout=5))
    await transport.open()
    answer = await transport.deliver("a@x.example", "b@x.example", b"hi", "<1@x>")
    await transport.close()
    assert isinstance(answer, Retry)
    assert answer.unreached
