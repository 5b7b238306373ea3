"""Whoever writes to us holds up nothing: mails go out while strangers do their worst by the inbox."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from smtplib import LMTP
from time import monotonic

from tests.notifications.inbox import attacks
from tests.notifications.lives import confirmed
from tests.notifications.test_sender import until
from tests.notifications.whole import System

WITHIN = 10.0
"""Seconds within which a mail goes out on a busy machine; an attack as it was took minutes, or for ever."""


def hand_over(port: int, raw: bytes) -> float:
    """How many seconds the answer took, which was that the mail was taken."""
    begun = monotonic()
    with LMTP("127.0.0.1", port, timeout=100) as server:
        assert server.sendmail("", ["bounce@deelname.example"], raw) == {}
    return monotonic() - begun


@contextmanager
def half_sent(port: int, number: int) -> Iterator[None]:
    """Connections that begin a mail and do not end it."""
    with ExitStack() as opened:
        for _ in range(number):
            stranger = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            stranger.sendall(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bounce@deelname.example>\r\nDATA\r\nhalf")
        yield


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


async def test_mails_go_out_while_strangers_do_their_worst_by_the_inbox(system: System) -> None:
    process = system.start()
    await until(system.is_ready)
    raws = [make(size) for make, size in attacks.SIZES.values()]
    raws += [make(10 * size)[:9_900_000] for make, size in list(attacks.SIZES.values())[:5]]
    mine = iter(raws)

    async def attack() -> list[float]:
        return [await asyncio.to_thread(hand_over, system.inbox, raw) for raw in mine]

    with half_sent(system.inbox, 40):
        attacking = asyncio.gather(*(attack() for _ in range(4)))
        took, number = [], 0
        while not attacking.done():
            await system.knows(f"person{number}")
            await system.happens(confirmed(f"e{number}", f"person{number}"))
            number += 1
            begun = monotonic()
            await until(lambda: len(system.delivered()) == 2 * number)  # noqa: B023
            took.append(monotonic() - begun)
            assert (await asyncio.to_thread(system.readiness))["reasons"] == {}
        answered = [each for some in await attacking for each in some]
    assert number > 3
    assert max(took) < WITHIN, took
    assert len(answered) == len(raws)
    received = (await system.asks("ask.notifications.received.list", unread=True, limit=1000))["received"]
    assert len(received) == len(set(raws))
    assert {each["kind"] for each in received} == {"unknown"}
    assert sum("it was not read" in each["note"] for each in received) >= len(raws) / 2
    assert len(system.journal) < 60_000
    with urllib.request.urlopen(f"http://127.0.0.1:{system.port}/metrics") as answer:  # noqa: ASYNC210
        measured = answer.read().decode()
    assert f"deelname_unread_mails {len(received)}" in measured
    assert "deelname_inbox_fault 0" in measured
    assert "deelname_mail_reader_ends_total{" not in measured
    # What reads mails ends with the service, also where the service has no time to say so.
    (reader,) = children(process.pid)
    process.kill()
    process.wait()
    await until(lambda: not Path(f"/proc/{reader}").exists())


async def test_a_service_that_is_told_to_stop_does_not_wait_for_a_mail_that_is_being_read(system: System) -> None:
    process = system.start()
    await until(system.is_ready)
    # The first mail starts the reader, which is then held: this mail is being read for as long as we like.
    await asyncio.to_thread(hand_over, system.inbox, attacks.letters(10))
    (reader,) = children(process.pid)
    os.kill(reader, signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", system.inbox)) as mail_server:
        said = b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bounce@deelname.example>\r\nDATA\r\nx\r\n.\r\n"
        mail_server.sendall(said)
        await until(lambda: b"354" in mail_server.recv(4096))
        begun = monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert monotonic() - begun < 15
        # It was not taken: the mail server comes again.
        assert b"250 2.0.0 taken" not in mail_server.recv(4096)
    with sqlite3.connect(system.directory / "data" / "notifications.db") as database:
        assert database.execute("SELECT count(*) FROM received").fetchone() == (1,)
    database.close()
    await until(lambda: not Path(f"/proc/{reader}").exists())


async def test_a_port_that_is_taken_does_not_keep_mails_from_going_out(system: System) -> None:
    with socket.create_server(("127.0.0.1", system.inbox)):
        system.start()
        await system.knows("noor")
        await system.happens(confirmed("e1", "noor"))
        await until(lambda: len(system.delivered()) == 2)
        assert "cannot listen" in (await asyncio.to_thread(system.readiness))["reasons"]["inbox"]
    await until(system.is_ready)
    await asyncio.to_thread(hand_over, system.inbox, attacks.letters(10))
